//! The campaign: load, faults on a seeded schedule, and the check.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use memc_test_servers::Server;
use tokio::runtime::Runtime;

use crate::audit::audit;
use crate::book::Book;
use crate::journal::{Counter, Journal, Line};
use crate::power;
use crate::proxy::Proxy;
use crate::random::Random;
use crate::target::{self, Kind};
use crate::world;

/// How long nothing at all may be answered.
const PATIENCE: Duration = Duration::from_secs(120);
const WORKERS: u32 = 2;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    store: Kind,
    /// Answers to wait for, at least.
    #[arg(long, default_value_t = 3000)]
    operations: u64,
    /// Faults to inject, evenly over the operations.
    #[arg(long, default_value_t = 12)]
    faults: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients of each of the two processes.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// Run on settings that lose what was acknowledged, and write nevertheless: the check has to find it.
    #[arg(long)]
    lossy: bool,
    /// Let unsafe settings be such that `kill -9` is enough to lose something.
    #[arg(long)]
    harsh: bool,
    /// A small file system, to be filled up now and then: the data is in it, for servers by way of TMPDIR.
    #[arg(long)]
    disk: Option<PathBuf>,
    /// Where the library of `power-cut/`, preloaded, keeps its logs: cut the power now and then. Settings stay safe then,
    /// since a process may take a moment to notice another.
    #[arg(long)]
    power_cut: Option<PathBuf>,
    /// Where to leave the journal; otherwise it goes.
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// The server is killed and started again.
    ServerKilled,
    /// The server stands still, then goes on.
    ServerStopped,
    /// A worker is killed and started again.
    WorkerKilled,
    /// A worker stands still, then goes on.
    WorkerStopped,
    /// Server and worker are killed together.
    BothKilled,
    /// All connections are closed.
    Cut,
    /// Requests arrive and replies do not; then all connections are closed.
    RepliesLost,
    /// Nothing gets through for a while, and then everything.
    Stalled,
    /// The server runs with an unsafe setting for as long as it takes until both processes have noticed.
    Unsafe,
    /// There is no room on the disk; then there is again, and the server, should it have given up, is started again.
    DiskFull,
    /// Everything is killed, and what was never flushed to disk is taken back.
    PowerCut,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Fault::ServerKilled => "server_killed",
            Fault::ServerStopped => "server_stopped",
            Fault::WorkerKilled => "worker_killed",
            Fault::WorkerStopped => "worker_stopped",
            Fault::BothKilled => "both_killed",
            Fault::Cut => "connections_cut",
            Fault::RepliesLost => "replies_lost",
            Fault::Stalled => "stalled",
            Fault::Unsafe => "unsafe_setting",
            Fault::DiskFull => "disk_full",
            Fault::PowerCut => "power_cut",
        }
    }

    /// What can happen to a store of this kind.
    fn of(arguments: &Arguments) -> Vec<Fault> {
        if arguments.lossy {
            let cut = arguments.power_cut.is_some();
            return vec![if cut { Fault::PowerCut } else { Fault::ServerKilled }];
        }
        let mut all = vec![Fault::WorkerKilled, Fault::WorkerStopped];
        if arguments.disk.is_some() {
            all.push(Fault::DiskFull);
        }
        if arguments.power_cut.is_some() {
            all.push(Fault::PowerCut);
        }
        if arguments.store != Kind::Sqlite {
            all.extend([
                Fault::ServerKilled,
                Fault::ServerStopped,
                Fault::BothKilled,
                Fault::Cut,
                Fault::RepliesLost,
                Fault::Stalled,
                Fault::Unsafe,
            ]);
        }
        all.retain(|fault| *fault != Fault::Unsafe || arguments.power_cut.is_none());
        all
    }
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let since = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut campaign = Campaign::start(arguments, &runtime);
    let finished = campaign.inject();
    campaign.end();
    let (mut book, revision) = runtime.block_on(async {
        let store = world::connect(&campaign.direct).await.expect("connect");
        audit(&campaign.journal, &*store).await
    });
    if let Err(why) = finished {
        book.violation(why);
    }
    if let Some(keep) = &arguments.keep {
        std::fs::copy(&campaign.journal, keep).expect("a copy of the journal");
    }
    println!("writes_undone {}", campaign.undone);
    report(arguments, &campaign.done, &book, revision.get(), since.elapsed())
}

fn report(
    arguments: &Arguments,
    done: &BTreeMap<Fault, u64>,
    book: &Book,
    revision: u64,
    took: Duration,
) -> ExitCode {
    let (answers, faults) = (&book.answers, &book.faults);
    println!("store {}", arguments.store.name());
    println!("seed {}", arguments.seed);
    println!("operations {}", answers.asked);
    println!("acknowledged {}", answers.acknowledged);
    println!("refused {}", answers.refused);
    println!("failed {}", answers.unavailable + answers.stopped);
    println!("unknown {}", answers.unknown);
    println!("clients_cut_off {}", answers.cut_off);
    println!("unanswered {}", answers.unanswered);
    println!("revision {revision}");
    println!("faults {}", done.values().sum::<u64>());
    for (fault, count) in done {
        println!("{} {count}", fault.name());
    }
    println!("lost {}", faults.lost.len());
    println!("doubled {}", faults.doubled.len());
    println!("violations {}", faults.violations.len());
    println!("seconds {}", took.as_secs());
    let mut right = true;
    for (kind, all) in
        [("lost", &faults.lost), ("doubled", &faults.doubled), ("violation", &faults.violations)]
    {
        right &= all.is_empty();
        all.iter().take(20).for_each(|it| eprintln!("{kind}: {it}"));
    }
    if right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Campaign<'a> {
    arguments: &'a Arguments,
    random: Random,
    server: Option<Server>,
    proxy: Option<Proxy>,
    /// The store, past the proxy.
    direct: String,
    /// The store, through it.
    url: String,
    journal: PathBuf,
    enough: PathBuf,
    workers: Vec<Worker>,
    counter: Counter,
    done: BTreeMap<Fault, u64>,
    /// Writes that power cuts took back.
    undone: u64,
    _directory: tempfile::TempDir,
}

struct Worker {
    child: Child,
    run: u32,
}

impl<'a> Campaign<'a> {
    fn start(arguments: &'a Arguments, runtime: &Runtime) -> Self {
        // Beside this program, not among the data.
        let program = std::env::current_exe().expect("this program");
        let beside = program.parent().expect("a directory");
        let directory = tempfile::Builder::new().prefix("faults-").tempdir_in(beside).expect("a directory");
        let data = arguments.disk.as_deref().unwrap_or(directory.path());
        let kind = arguments.store;
        let settings = if arguments.lossy { kind.lossy_settings() } else { &[] };
        let server = target::start(kind, settings);
        let proxy = server.as_ref().map(|server| runtime.block_on(Proxy::start(server.port())));
        let direct = target::url(kind, server.as_ref(), None, data);
        let url = target::url(kind, server.as_ref(), proxy.as_ref().map(|it| it.port), data);
        runtime.block_on(world::found(&direct, arguments.lossy));
        let journal = directory.path().join("journal");
        File::create(&journal).expect("a journal");
        let mut campaign = Campaign {
            arguments,
            random: Random::new(arguments.seed),
            server,
            proxy,
            direct,
            url,
            enough: directory.path().join("enough"),
            counter: Counter::open(&journal),
            journal,
            workers: Vec::new(),
            done: BTreeMap::new(),
            undone: 0,
            _directory: directory,
        };
        for number in 0..WORKERS {
            let child = campaign.spawn(number, 0);
            campaign.workers.push(Worker { child, run: 0 });
        }
        campaign
    }

    fn spawn(&self, number: u32, run: u32) -> Child {
        let arguments = self.arguments;
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("worker").args(["--url", &self.url]);
        command.arg("--journal").arg(&self.journal).arg("--enough").arg(&self.enough);
        command.args(["--number", &number.to_string(), "--run", &run.to_string()]);
        command.args(["--clients", &arguments.clients.to_string(), "--seed", &arguments.seed.to_string()]);
        if arguments.lossy {
            command.arg("--accept-risks");
        }
        command.stdin(Stdio::null()).spawn().expect("a worker can be started")
    }

    /// Faults, evenly over the operations.
    fn inject(&mut self) -> Result<(), String> {
        let mut due: Vec<Fault> = Vec::new();
        let Arguments { operations, faults, .. } = *self.arguments;
        for number in 1..=faults {
            self.wait_for_answers(operations * number / (faults + 1))?;
            if due.is_empty() {
                due = Fault::of(self.arguments);
                self.random.shuffle(&mut due);
            }
            let fault = due.pop().expect("a kind of fault");
            self.do_one(fault)?;
            *self.done.entry(fault).or_default() += 1;
            // Something is to be answered between one fault and the next.
            self.counter.read();
            self.wait_for_answers(self.counter.answers + 1)?;
        }
        self.wait_for_answers(operations)
    }

    fn wait_for_answers(&mut self, count: u64) -> Result<(), String> {
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

    fn do_one(&mut self, fault: Fault) -> Result<(), String> {
        sleep(Duration::from_micros(self.random.below(20_000)));
        let pause = Duration::from_millis(200 + self.random.below(1800));
        let short = Duration::from_millis(self.random.below(300));
        let victim = self.random.below(WORKERS.into()) as usize;
        match fault {
            Fault::ServerKilled => {
                self.server().kill9();
                sleep(short);
                self.server().restart();
            }
            Fault::ServerStopped => {
                self.server().stop_process();
                sleep(pause);
                self.server().continue_process();
            }
            Fault::WorkerKilled => {
                self.kill_worker(victim);
                sleep(short);
                self.restart_worker(victim);
            }
            Fault::WorkerStopped => {
                let pid = self.workers[victim].child.id();
                signal("STOP", pid);
                sleep(pause);
                signal("CONT", pid);
            }
            Fault::BothKilled => {
                self.kill_worker(victim);
                self.server().kill9();
                sleep(short);
                self.server().restart();
                self.restart_worker(victim);
            }
            Fault::Cut => self.proxy().cut(),
            Fault::RepliesLost => {
                self.proxy().lose_replies();
                sleep(short);
                self.proxy().cut();
            }
            Fault::Stalled => {
                self.proxy().stall();
                sleep(pause);
                self.proxy().go_on();
            }
            Fault::Unsafe => self.unsafe_setting()?,
            Fault::DiskFull => self.fill_disk(pause),
            Fault::PowerCut => self.cut_power(),
        }
        Ok(())
    }

    fn unsafe_setting(&mut self) -> Result<(), String> {
        let journal = Journal::open(&self.journal);
        let Arguments { store, harsh, .. } = *self.arguments;
        let settings = if harsh { store.lossy_settings() } else { store.unsafe_settings() };
        let at_once = store.looks_at_once();
        self.counter.read();
        self.counter.stopped.clear();
        self.server().restart_with(settings);
        journal.write(&Line::Unsafe { at_once });
        let since = Instant::now();
        while !at_once && self.counter.stopped.len() < WORKERS as usize {
            if since.elapsed() > PATIENCE {
                return Err(format!("nobody noticed {settings:?}: {:?}", self.counter.stopped));
            }
            sleep(Duration::from_millis(5));
            self.counter.read();
        }
        // All know: time to write nevertheless.
        self.wait_for_answers(self.counter.answers + 50)?;
        journal.write(&Line::Safe);
        self.server().restart_with(&[]);
        Ok(())
    }

    fn fill_disk(&mut self, pause: Duration) {
        let balloon = self.arguments.disk.as_ref().expect("a small disk").join("balloon");
        let mut file = File::create(&balloon).expect("a file");
        for size in [1 << 20, 1 << 12] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        sleep(pause);
        std::fs::remove_file(&balloon).expect("the file can be removed");
        drop(file);
        if let Some(server) = &mut self.server {
            server.restart();
        }
    }

    fn cut_power(&mut self) {
        let all = 0..WORKERS as usize;
        if let Some(server) = &mut self.server {
            server.kill9();
        }
        all.clone().for_each(|worker| self.kill_worker(worker));
        self.undone += power::cut(self.arguments.power_cut.as_ref().expect("logs"));
        if let Some(server) = &mut self.server {
            server.restart();
        }
        all.for_each(|worker| self.restart_worker(worker));
    }

    fn kill_worker(&mut self, victim: usize) {
        let child = &mut self.workers[victim].child;
        child.kill().expect("a worker can be killed");
        child.wait().expect("a worker ends");
    }

    fn restart_worker(&mut self, victim: usize) {
        let run = self.workers[victim].run + 1;
        let child = self.spawn(victim as u32, run);
        self.workers[victim] = Worker { child, run };
    }

    fn server(&mut self) -> &mut Server {
        self.server.as_mut().expect("a server")
    }

    /// Once there is a connection that something can happen to.
    fn proxy(&self) -> &Proxy {
        let proxy = self.proxy.as_ref().expect("a proxy");
        let since = Instant::now();
        while proxy.open() == 0 {
            assert!(since.elapsed() < PATIENCE, "nobody connects");
            sleep(Duration::from_millis(2));
        }
        proxy
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
}

impl Drop for Campaign<'_> {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            let _ = worker.child.kill();
            let _ = worker.child.wait();
        }
    }
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status();
    assert!(status.expect("kill can be started").success());
}
