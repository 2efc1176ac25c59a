//! The campaign: load, faults on a seeded schedule, and the check.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use memc_core::model::Timestamp;
use memc_core::store::Store;
use memc_test_servers::Server;
use tokio::runtime::Runtime;

use crate::audit::{Audit, audit};
use crate::backup::Backup;
use crate::fault::Fault;
use crate::journal::Counter;
use crate::judge::Judged;
use crate::power;
use crate::proxy::Proxy;
use crate::random::Random;
use crate::surroundings::Surroundings;
use crate::target::{self, Kind};
use crate::world;

/// How long nothing at all may be answered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
pub(crate) const WORKERS: u32 = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    pub(crate) store: Kind,
    /// Answers to wait for, at least.
    #[arg(long, default_value_t = 3000)]
    pub(crate) operations: u64,
    /// Faults to inject, evenly over the operations.
    #[arg(long, default_value_t = 13)]
    faults: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients of each of the two processes.
    #[arg(long, default_value_t = 12)]
    clients: u32,
    /// Run with a setting of the server that is not safe, `name=value`, and write nevertheless.
    #[arg(long, value_name = "SETTING", value_parser = setting)]
    accept: Option<(String, String)>,
    /// Have the disk ignore that files are flushed whose paths contain this.
    #[arg(long, value_name = "PART")]
    pub(crate) ignore_flushes: Option<String>,
    /// One kind of fault instead of all.
    #[arg(long)]
    only: Option<Fault>,
    /// Where to leave the journal, and beside it, should the campaign break off, what the server has on disk and the
    /// last backup; otherwise all of that goes.
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("write name=value")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let Some(surroundings) = Surroundings::of_this_process() else {
        return Surroundings::make(arguments);
    };
    let since = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut campaign = Campaign::start(arguments, &surroundings, &runtime);
    let finished = campaign.inject();
    campaign.end();
    let store = campaign.connect();
    let last = campaign.audit(&*store);
    if let Err(why) = finished {
        campaign.found.violations.insert(why);
    }
    if let Some(keep) = &arguments.keep {
        std::fs::copy(&campaign.journal, keep).expect("a copy of the journal");
    }
    campaign.report(&last, since.elapsed())
}

/// What is wrong, by all checks so far.
#[derive(Debug, Default)]
pub(crate) struct Found {
    lost: BTreeSet<String>,
    doubled: BTreeSet<String>,
    violations: BTreeSet<String>,
}

pub(crate) struct Campaign<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) surroundings: &'a Surroundings,
    pub(crate) runtime: &'a Runtime,
    pub(crate) random: Random,
    pub(crate) server: Option<Server>,
    pub(crate) proxy: Option<Proxy>,
    /// The file of a SQLite store.
    pub(crate) database: PathBuf,
    /// The store, past the proxy.
    pub(crate) direct: String,
    /// The store, through it.
    url: String,
    pub(crate) journal: PathBuf,
    enough: PathBuf,
    /// How many faults have begun.
    pace: PathBuf,
    pub(crate) workers: Vec<Worker>,
    pub(crate) counter: Counter,
    pub(crate) backup: Backup,
    /// A revision that is not before the backup's, if one is known.
    pub(crate) backed_up: Option<u64>,
    done: BTreeMap<Fault, u64>,
    /// The last fault that has begun, and its number.
    at: Option<(u64, Fault)>,
    found: Found,
    /// How many answers were judged again, over all checks.
    judged: Judged,
    /// How many reads were looked at, and how many a crash took back.
    reads: (u64, u64),
    /// When it began.
    earliest: Timestamp,
    /// How far the clock of a store without a server was moved ahead, in seconds.
    pub(crate) ahead: i64,
    /// Writes that power cuts took back.
    pub(crate) undone: u64,
    /// Power cuts that took something back.
    pub(crate) cuts: u64,
    /// The highest epoch that there was.
    pub(crate) epoch: u32,
    /// How often the ledger was set back to a backup.
    pub(crate) rewound: u64,
    pub(crate) directory: tempfile::TempDir,
}

pub(crate) struct Worker {
    pub(crate) child: Child,
    pub(crate) run: u32,
}

impl<'a> Campaign<'a> {
    fn start(arguments: &'a Arguments, surroundings: &'a Surroundings, runtime: &'a Runtime) -> Self {
        let directory = tempfile::Builder::new().prefix("faults-").tempdir_in(&surroundings.beside);
        let directory = directory.expect("a directory");
        let data = surroundings.disk.as_deref().unwrap_or(directory.path());
        let kind = arguments.store;
        let accepted = arguments.accept.as_ref().map(|(name, value)| (name.as_str(), value.as_str()));
        let earliest = Timestamp::of_this_machine();
        let server = target::start(kind, &target::settings(kind, accepted.as_slice()));
        // Its files are copies, and nobody acknowledged those.
        power::flush(&surroundings.logs);
        let proxy = server.as_ref().map(|server| runtime.block_on(Proxy::start(server.port())));
        let database = data.join("memc.db");
        let direct = target::url(kind, server.as_ref(), None, &database);
        let url = target::url(kind, server.as_ref(), proxy.as_ref().map(|it| it.port), &database);
        runtime.block_on(world::found(&direct, accepted.is_some()));
        if accepted.is_some() || arguments.ignore_flushes.is_some() {
            // Without it nothing is asked that could be lost.
            power::flush(&surroundings.logs);
        }
        let journal = directory.path().join("journal");
        File::create(&journal).expect("a journal");
        let mut campaign = Campaign {
            arguments,
            surroundings,
            runtime,
            random: Random::new(arguments.seed),
            server,
            proxy,
            database,
            direct,
            url,
            enough: directory.path().join("enough"),
            pace: directory.path().join("pace"),
            counter: Counter::open(&journal),
            journal,
            workers: Vec::new(),
            backup: Backup::within(directory.path()),
            backed_up: None,
            done: BTreeMap::new(),
            at: None,
            found: Found::default(),
            judged: Judged::default(),
            reads: (0, 0),
            earliest,
            ahead: 0,
            undone: 0,
            cuts: 0,
            epoch: 1,
            rewound: 0,
            directory,
        };
        campaign.begin_fault(0);
        for number in 0..WORKERS {
            campaign.set_clock(number as usize, 0);
            let worker = campaign.spawn(number, 0);
            campaign.workers.push(worker);
        }
        campaign
    }

    pub(crate) fn spawn(&self, number: u32, run: u32) -> Worker {
        let arguments = self.arguments;
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("worker").args(["--url", &self.url]);
        command.arg("--journal").arg(&self.journal).arg("--enough").arg(&self.enough);
        let share = arguments.operations / (arguments.faults + 1) / u64::from(WORKERS * arguments.clients);
        command.arg("--pace").arg(&self.pace).args(["--share", &share.to_string()]);
        command.args(["--number", &number.to_string(), "--run", &run.to_string()]);
        command.args(["--clients", &arguments.clients.to_string(), "--seed", &arguments.seed.to_string()]);
        if arguments.accept.is_some() {
            command.arg("--accept-risks");
        }
        command.env("MOVED_CLOCK", self.clock(number as usize));
        Worker { child: command.stdin(Stdio::null()).spawn().expect("a worker can be started"), run }
    }

    /// Faults, evenly over the operations.
    fn inject(&mut self) -> Result<(), String> {
        let mut due: Vec<Fault> = Vec::new();
        let Arguments { operations, faults, store, only, .. } = *self.arguments;
        for number in 1..=faults {
            self.wait_for_answers(operations * number / (faults + 1))?;
            if due.is_empty() {
                let disk = self.surroundings.disk.is_some();
                due = only.map_or_else(|| Fault::all(store, disk), |fault| vec![fault]);
                self.random.shuffle(&mut due);
            }
            let fault = due.pop().expect("a kind of fault");
            self.begin_fault(number);
            self.at = Some((number, fault));
            self.do_one(fault)?;
            *self.done.entry(fault).or_default() += 1;
            // Something is to be answered between one fault and the next.
            self.counter.read();
            self.wait_for_answers(self.counter.answers + 1)?;
        }
        self.wait_for_answers(operations)
    }

    /// Clients ask as fast as they can until each has had its share of the operations for this fault.
    fn begin_fault(&self, number: u64) {
        // Renamed, so that nobody reads half a number.
        let fresh = self.pace.with_extension("new");
        std::fs::write(&fresh, number.to_string()).expect("a file");
        std::fs::rename(&fresh, &self.pace).expect("the file can be renamed");
    }

    pub(crate) fn wait_for_answers(&mut self, count: u64) -> Result<(), String> {
        let (mut since, mut before) = (Instant::now(), self.counter.answers);
        loop {
            self.counter.read();
            if self.counter.answers >= count {
                return Ok(());
            }
            if self.counter.answers > before {
                (since, before) = (Instant::now(), self.counter.answers);
            } else if since.elapsed() > PATIENCE {
                return Err(format!("nothing was answered for {PATIENCE:?}, after {:?}", self.done));
            }
            for worker in &mut self.workers {
                if let Some(status) = worker.child.try_wait().expect("a worker's state") {
                    return Err(format!("a worker ended by itself: {status}"));
                }
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Let every client finish what it is at.
    fn end(&mut self) {
        File::create(&self.enough).expect("a file");
        let since = Instant::now();
        for worker in &mut self.workers {
            while worker.child.try_wait().expect("a worker's state").is_none() {
                if since.elapsed() > PATIENCE {
                    worker.child.kill().expect("a worker can be killed");
                }
                sleep(Duration::from_millis(10));
            }
        }
    }

    /// The store, past the proxy.
    pub(crate) fn connect(&self) -> Arc<dyn Store> {
        self.runtime.block_on(world::connect(&self.direct)).expect("connect")
    }

    /// Compare what clients were told until now with the ledger, while nobody changes it.
    pub(crate) fn audit(&mut self, store: &dyn Store) -> Audit {
        let within = self.earliest..=self.latest();
        let mut audit = self.runtime.block_on(audit(&self.journal, store, self.arguments.store, within));
        let (judged, reads) = (audit.book.judge.judged, &audit.book.reads);
        self.judged.refusals += judged.refusals;
        self.judged.receipts += judged.receipts;
        self.judged.shown += judged.shown;
        self.reads = (reads.checked, reads.taken_back);
        let faults = std::mem::take(&mut audit.book.faults);
        self.found.lost.extend(faults.lost);
        self.found.doubled.extend(faults.doubled);
        self.found.violations.extend(faults.violations);
        audit
    }

    /// A server that does not start any more is worth a look, and its files are on a file system that goes with this.
    fn keep_evidence(&self) {
        let Some(keep) = &self.arguments.keep else { return };
        let into = keep.with_added_extension("broken");
        let data = self.server.as_ref().map_or_else(|| self.database.clone(), Server::data);
        let parts = [("data", data.as_path()), ("backup", self.backup.path()), ("journal", &self.journal)];
        let _ = std::fs::remove_dir_all(&into);
        let _ = std::fs::create_dir(&into);
        for (name, from) in parts {
            let _ =
                Command::new("cp").arg("-a").arg(from).arg(into.join(name)).env_remove("LD_PRELOAD").status();
        }
        eprintln!("its files are in {}", into.display());
    }

    fn report(&self, last: &Audit, took: Duration) -> ExitCode {
        let answers = &last.book.answers;
        println!("store {}", self.arguments.store.name());
        println!("seed {}", self.arguments.seed);
        println!("operations {}", answers.asked);
        println!("acknowledged {}", answers.acknowledged);
        println!("refused {}", answers.refused);
        println!("failed {}", answers.failed);
        println!("unknown {}", answers.unknown);
        println!("clients_cut_off {}", answers.cut_off);
        println!("unanswered {}", answers.unanswered);
        println!("refusals_judged {}", self.judged.refusals);
        println!("receipts_judged {}", self.judged.receipts);
        println!("instances_compared {}", self.judged.shown);
        println!("reads_compared {}", self.reads.0);
        println!("reads_taken_back {}", self.reads.1);
        println!("revision {}", last.head.revision);
        println!("ports_lowest {}", last.ports.lowest);
        println!("ports_other {}", last.ports.other);
        println!("writes_undone {}", self.undone);
        println!("cuts_that_undid {}", self.cuts);
        println!("rewound {}", self.rewound);
        println!("faults {}", self.done.values().sum::<u64>());
        println!("kinds {}", self.done.len());
        for (fault, count) in &self.done {
            println!("{} {count}", fault.name());
        }
        let Found { lost, doubled, violations } = &self.found;
        println!("lost {}", lost.len());
        println!("doubled {}", doubled.len());
        println!("violations {}", violations.len());
        println!("seconds {}", took.as_secs());
        let mut right = true;
        for (kind, all) in [("lost", lost), ("doubled", doubled), ("violation", violations)] {
            right &= all.is_empty();
            all.iter().take(20).for_each(|it| eprintln!("{kind}: {it}"));
        }
        if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Drop for Campaign<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("broken off in {:?}", self.at);
            self.keep_evidence();
        }
    }
}
