//! A process with a fleet and clients that ask at random, until a file says that it is enough.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use memc_core::fleet::{Fleet, Options, SubmitError};
use memc_core::ledger::{Order, Receipt, State};
use memc_core::model::{Key, Principal, RequestId};

use crate::ask::Ask;
use crate::journal::{Journal, Line, Outcome, Place, process, unanswered};
use crate::judge::places;
use crate::random::Random;
use crate::world;

/// How often a request is asked again before its client turns to another.
const ATTEMPTS: u32 = 8;
/// Time for a store that is away to come back.
const PAUSE: Duration = Duration::from_millis(120);
/// So many of 100 calls have a client that gives up waiting.
const CUT_OFF: u64 = 21;
/// Between two requests of a client that has had its share.
const SLOWLY: Duration = Duration::from_millis(20);
/// Timers tell no shorter time.
const TICK: Duration = Duration::from_millis(1);
/// How often it is looked whether a new epoch has begun.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    url: String,
    #[arg(long)]
    journal: PathBuf,
    /// The file that says that it is enough.
    #[arg(long)]
    enough: PathBuf,
    /// The file that says how many faults have begun.
    #[arg(long)]
    pace: PathBuf,
    /// How many requests a client makes as fast as it can after each of them.
    #[arg(long)]
    share: u64,
    #[arg(long)]
    number: u32,
    /// How often this worker has been started.
    #[arg(long)]
    run: u32,
    #[arg(long)]
    clients: u32,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    accept_risks: bool,
}

pub(crate) fn run(arguments: &Arguments) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(work(arguments));
}

async fn work(arguments: &Arguments) {
    let Some(fleet) = open(arguments).await else {
        return;
    };
    let journal = Arc::new(Journal::open(&arguments.journal));
    journal.write(&Line::Opened { process: process(arguments.number), run: arguments.run });
    tokio::spawn(follow(fleet.clone(), journal.clone(), process(arguments.number)));
    let clients: Vec<_> = (0..arguments.clients)
        .map(|number| {
            let actor = format!("user:w{}c{number}", arguments.number);
            let seed = Random::new(arguments.seed ^ (u64::from(arguments.run) << 40)).next();
            let seed = seed ^ (u64::from(arguments.number) << 32) ^ (u64::from(number) << 16);
            let client = Client {
                fleet: fleet.clone(),
                journal: journal.clone(),
                enough: arguments.enough.clone(),
                pace: arguments.pace.clone(),
                share: arguments.share,
                had: (String::new(), 0),
                prefix: format!("r{}", arguments.run),
                random: Random::new(seed),
                left_over: unanswered(&arguments.journal, &actor),
                asked: 0,
                cut_off: 0,
                took: Duration::from_millis(8),
                actor,
            };
            tokio::spawn(client.run())
        })
        .collect();
    for client in clients {
        client.await.expect("a client");
    }
}

/// Tell of each new epoch that this process comes to.
async fn follow(fleet: Fleet, journal: Arc<Journal>, process: String) {
    let epoch = || fleet.read(|state| state.fleet().map(|fleet| fleet.epoch)).unwrap_or_default();
    let mut last = epoch();
    loop {
        tokio::time::sleep(LOOK).await;
        let epoch = epoch();
        if epoch != last {
            let reloaded = fleet.status().findings.iter().any(|finding| finding.code == "ledger.reloaded");
            journal.write(&Line::Followed { process: process.clone(), epoch, reloaded });
            last = epoch;
        }
    }
}

/// The store may be away just now.
async fn open(arguments: &Arguments) -> Option<Fleet> {
    while !arguments.enough.exists() {
        let options = Options {
            check_every: Duration::from_millis(300),
            accept_risks: arguments.accept_risks,
            ..Options::default()
        };
        if let Ok(store) = world::connect(&arguments.url).await
            && let Ok(fleet) = Fleet::open(store, options).await
        {
            return Some(fleet);
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}

struct Client {
    fleet: Fleet,
    journal: Arc<Journal>,
    enough: PathBuf,
    pace: PathBuf,
    share: u64,
    /// The fault that began last, and how many requests were made since.
    had: (String, u64),
    actor: String,
    prefix: String,
    random: Random,
    /// What the process before this one asked when it was killed.
    left_over: Option<(String, Ask)>,
    asked: u64,
    cut_off: u64,
    /// How long the last answer took.
    took: Duration,
}

impl Client {
    async fn run(mut self) {
        for count in 0_u64.. {
            if self.enough.exists() {
                return;
            }
            self.keep_pace().await;
            if self.random.percent(10) {
                self.look().await;
            }
            let (request, ask) = match self.left_over.take() {
                Some(left_over) => left_over,
                None => {
                    let random = &mut self.random;
                    let ask = self.fleet.read(|state| Ask::random(random, state));
                    (format!("{}n{count}", self.prefix), ask)
                }
            };
            self.insist(&request, &ask).await;
        }
    }

    /// A fault takes its time, and the faster the store the more is asked meanwhile: without this a campaign on SQLite
    /// made 38 times the operations that it was meant to, and filled its disk.
    async fn keep_pace(&mut self) {
        let fault = std::fs::read_to_string(&self.pace).expect("the file of the pace");
        if fault == self.had.0 {
            self.had.1 += 1;
        } else {
            self.had = (fault, 0);
        }
        if self.had.1 > self.share {
            tokio::time::sleep(SLOWLY).await;
        }
    }

    /// Ask, and again under the same id until there is an answer that counts.
    async fn insist(&mut self, request: &str, ask: &Ask) {
        for _ in 0..ATTEMPTS {
            match self.ask(request, ask).await {
                Outcome::Acknowledged(_) => {
                    // Some clients did not get the message.
                    if !self.random.percent(3) {
                        return;
                    }
                }
                Outcome::Refused(_) | Outcome::Broken(_) => return,
                Outcome::Unavailable | Outcome::Stopped => tokio::time::sleep(PAUSE).await,
                Outcome::Unknown | Outcome::CutOff => {}
            }
        }
    }

    /// Bring memory up to the ledger's end.
    async fn look(&mut self) {
        self.journal.write(&Line::Looks { actor: self.actor.clone() });
        let revision = self.fleet.refresh().await.ok().map(|revision| revision.get());
        self.journal.write(&Line::Saw { actor: self.actor.clone(), revision });
    }

    async fn ask(&mut self, request: &str, ask: &Ask) -> Outcome {
        let (actor, id) = (self.actor.clone(), request.to_owned());
        let seen = self.fleet.read(revision);
        self.journal.write(&Line::Asked {
            actor: actor.clone(),
            request: id.clone(),
            ask: ask.clone(),
            seen,
        });
        let order = Order {
            actor: Principal::new(&actor).expect("a name"),
            request: Some(RequestId::new(request).expect("an id")),
            command: ask.command(),
        };
        let (since, submitted) = (Instant::now(), self.fleet.submit(order));
        self.asked += 1;
        let outcome = if self.cut_off * 100 < self.asked * CUT_OFF {
            // Within what an answer takes, however fast the machine is.
            let patience = Duration::from_micros(self.random.below(self.took.as_micros() as u64 + 1));
            let patience = if patience < TICK { Duration::ZERO } else { patience };
            tokio::time::timeout(patience, submitted).await.map_or(Outcome::CutOff, outcome)
        } else {
            outcome(submitted.await)
        };
        match outcome {
            Outcome::CutOff => self.cut_off += 1,
            // Not the time that a store was away.
            Outcome::Acknowledged(_) | Outcome::Refused(_) => self.took = since.elapsed(),
            _ => {}
        }
        let (seen, shown) = self.fleet.read(|state| (revision(state), shown(state, &outcome)));
        self.journal.write(&Line::Got { actor, request: id, outcome: outcome.clone(), seen, shown });
        outcome
    }
}

fn revision(state: &State) -> u64 {
    state.head().revision.get()
}

/// The instances of a cache that was acknowledged.
fn shown(state: &State, outcome: &Outcome) -> Vec<Place> {
    match outcome {
        Outcome::Acknowledged(Receipt { subject: Key::Cache { id }, .. }) => places(state, *id),
        _ => Vec::new(),
    }
}

fn outcome(answer: Result<Receipt, SubmitError>) -> Outcome {
    match answer {
        Ok(receipt) => Outcome::Acknowledged(receipt),
        Err(SubmitError::Refused(refusal)) => Outcome::Refused(refusal.code().into()),
        Err(SubmitError::Unavailable(_) | SubmitError::Busy) => Outcome::Unavailable,
        Err(SubmitError::Unsafe(_)) => Outcome::Stopped,
        Err(SubmitError::OutcomeUnknown) => Outcome::Unknown,
        Err(error) => Outcome::Broken(error.to_string()),
    }
}
