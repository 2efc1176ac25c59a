//! Clients of one process, which write down what they ask and what they are told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::super::process::AtMost;
use super::super::random::Random;
use super::ask::Ask;
use super::journal::{Answer, Journal, Line, Seen};
use crate::Fleet;
use crate::fleet::{Options, SubmitError};
use crate::ledger::{Commit, Head};
use crate::model::{Revision, Timestamp};
use crate::store::{Decide, Finding, Load, Store, StoreError, TurnError};

/// Clients of a process.
pub(super) const CLIENTS: usize = 4;
/// Questions that a client asks.
pub(super) const ASKS: usize = 60;
/// How long a client waits, or a connection lasts, that is cut off: at most, in microseconds.
const CUT_OFF: u64 = 6000;

/// A question that is asked again by another process than first asked it.
pub(super) type Again = (String, String, Ask);

/// A fleet whose connection to the store breaks now and then in the middle of a turn.
pub(super) async fn open(store: Arc<dyn Store>) -> Fleet {
    let options = Options { accept_risks: true, ..Options::default() };
    Fleet::open(Arc::new(Breaking { store, turns: AtomicU64::new(0) }), options).await.expect("open")
}

/// Ask what another process got no answer to, then what clients think of by themselves; each client one thing after
/// another, so many times, and all clients at the same time.
pub(super) async fn ask(
    fleet: &Fleet,
    journal: &Arc<Journal>,
    process: usize,
    asks: usize,
    again: Vec<Again>,
) {
    for (actor, request, ask) in again {
        let client = Client { fleet: fleet.clone(), journal: Arc::clone(journal), process, actor };
        client.ask(&request, &ask, Patience::Endless).await;
    }
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let actor = format!("user:p{process}c{number}");
            let client = Client { fleet: fleet.clone(), journal: Arc::clone(journal), process, actor };
            tokio::spawn(client.run(asks, Random((process * CLIENTS + number) as u64)))
        })
        .collect();
    for client in clients {
        client.await.expect("a client ended badly");
    }
}

/// How long a client waits for an answer.
enum Patience {
    None,
    Until(Duration),
    Endless,
}

struct Client {
    fleet: Fleet,
    journal: Arc<Journal>,
    process: usize,
    actor: String,
}

impl Client {
    async fn run(self, asks: usize, mut random: Random) {
        for number in 0..asks {
            let (request, ask) = (format!("n{number}"), Ask::random(&mut random));
            let patience = match random.below(16) {
                // Some stores answer sooner than any clock tells.
                0 => Patience::None,
                1 => Patience::Until(Duration::from_micros(random.below(CUT_OFF))),
                _ => Patience::Endless,
            };
            let known = self.ask(&request, &ask, patience).await;
            if !known && random.below(3) > 0 {
                self.ask(&request, &ask, Patience::Endless).await;
            }
            if random.below(2) == 0 {
                self.read(random.below(2) == 0).await;
            }
        }
    }

    /// Whether there was an answer that tells.
    async fn ask(&self, request: &str, ask: &Ask, patience: Patience) -> bool {
        let (process, actor) = (self.process, self.actor.clone());
        let (request, order) = (request.to_owned(), ask.order(&actor, request));
        self.journal.write(&Line::Asked { process, actor: actor.clone(), request, ask: ask.clone() });
        let submit = self.fleet.submit(order);
        let answered = match patience {
            Patience::None => AtMost { future: Box::pin(submit), polls: 1 }.await,
            Patience::Until(most) => tokio::time::timeout(most, submit).await.ok(),
            Patience::Endless => Some(submit.await),
        };
        let answer = match answered {
            Some(Ok(receipt)) => Answer::Acknowledged(receipt),
            Some(Err(SubmitError::Refused(refusal))) => Answer::Refused(refusal.code().to_owned()),
            Some(Err(SubmitError::Unavailable(_))) => Answer::Unavailable,
            Some(Err(SubmitError::OutcomeUnknown)) | None => Answer::Unknown,
            Some(Err(error)) => panic!("{ask:?}: {error}"),
        };
        let known = answer != Answer::Unknown;
        self.journal.write(&Line::Got { process, actor, answer });
        known
    }

    /// Read what memory shows; `fresh` after bringing it up to the ledger's end.
    async fn read(&self, fresh: bool) {
        let (process, actor) = (self.process, self.actor.clone());
        self.journal.write(&Line::Reads { process, actor: actor.clone() });
        let fresh = fresh && self.fleet.refresh().await.is_ok();
        let seen = self.fleet.read(Seen::of);
        self.journal.write(&Line::Read { process, actor, fresh, seen });
    }
}

/// Now and then a turn's future is dropped in the middle, as if the connection broke, and its caller told that nobody
/// knows what became of it. The fleet has to find that out, and the store has to make it possible.
struct Breaking {
    store: Arc<dyn Store>,
    turns: AtomicU64,
}

impl fmt::Debug for Breaking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl Store for Breaking {
    async fn head(&self) -> Result<Head, StoreError> {
        self.store.head().await
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        self.store.load(into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.store.commits(after, limit).await
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.store.history(target, before, limit).await
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        let number = self.turns.fetch_add(1, Ordering::Relaxed);
        if number % 8 != 7 {
            return self.store.turn(at, by).await;
        }
        let lasts = Duration::from_micros(Random(number).below(CUT_OFF));
        let mut noting = Noting { by, decided: false };
        let taken = tokio::time::timeout(lasts, self.store.turn(at, &mut noting)).await;
        let broken = StoreError::unavailable("turn", "the connection broke");
        match taken {
            Ok(Err(error)) => Err(error),
            Ok(Ok(_)) | Err(_) if noting.decided => Err(TurnError::Unknown(broken)),
            Ok(Ok(_)) | Err(_) => Err(TurnError::Store(broken)),
        }
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.store.check().await
    }
}

/// Whether there is anything of which nobody knows what became.
struct Noting<'a> {
    by: &'a mut dyn Decide,
    decided: bool,
}

impl Decide for Noting<'_> {
    fn reached(&self, at: Head) -> Head {
        self.by.reached(at)
    }

    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        self.decided = true;
        self.by.decide(missed, now)
    }
}
