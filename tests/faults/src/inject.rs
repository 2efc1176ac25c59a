//! How each fault is done.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use memc_core::model::Timestamp;
use memc_core::store::Store;
use memc_test_servers::Server;

use crate::campaign::{Campaign, PATIENCE, WORKERS};
use crate::fault::Fault;
use crate::journal::{Journal, Line, process};
use crate::power;
use crate::proxy::Proxy;
use crate::surroundings::disk_size;
use crate::target;
use crate::world;

/// How far a clock jumps at most, in seconds.
const JUMP: u64 = 6 * 3600;

impl Campaign<'_> {
    pub(crate) fn do_one(&mut self, fault: Fault) -> Result<(), String> {
        sleep(Duration::from_micros(self.random.below(20_000)));
        let short = Duration::from_millis(self.random.below(300));
        // Now and then longer than a turn may last: then the others go on without whoever had it.
        let long = if self.random.percent(8) { 2000 } else { 0 };
        let pause = Duration::from_millis(100 + long + self.random.below(600));
        let victim = self.random.below(WORKERS.into()) as usize;
        match fault {
            Fault::ServerKilled => {
                self.server().kill9();
                if self.random.percent(50) {
                    self.back_up();
                }
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
                if self.server.is_none() && self.random.percent(50) {
                    self.back_up();
                }
                sleep(short);
                self.restart_worker(victim);
            }
            Fault::WorkerStopped => {
                self.signal("STOP", victim);
                sleep(pause);
                self.signal("CONT", victim);
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
            Fault::ClockMoved => self.move_clock(victim)?,
            Fault::Restored => self.restore()?,
        }
        Ok(())
    }

    fn unsafe_setting(&mut self) -> Result<(), String> {
        let journal = Journal::open(&self.journal);
        let store = self.arguments.store;
        let settings = target::settings(store, store.unsafe_settings());
        self.server().restart_with(&settings);
        journal.write(&Line::Unsafe);
        self.counter.read();
        // Time to write nevertheless.
        self.wait_for_answers(self.counter.answers + 50)?;
        journal.write(&Line::Safe);
        self.server().kill9();
        // What was not flushed meanwhile never would be: whoever turns that on again has to flush everything.
        power::flush(&self.surroundings.logs);
        self.server().restart_with(&target::settings(store, &[]));
        Ok(())
    }

    fn fill_disk(&mut self, pause: Duration) {
        let disk = self.surroundings.disk.clone().expect("a small disk");
        // No larger than what is on it, and then the rest: most of it would take a while to fill.
        let used =
            Command::new("df").args(["--block-size=1", "--output=used"]).arg(&disk).output().expect("df");
        let used = String::from_utf8_lossy(&used.stdout).lines().last().and_then(|it| it.trim().parse().ok());
        let used: u64 = used.expect("the number of bytes used");
        resize(&disk, &(used + (8 << 20)).to_string());
        let balloon = disk.join("balloon");
        let mut file = File::create(&balloon).expect("a file");
        for size in [1 << 20, 1 << 12] {
            let block = vec![0; size];
            while file.write_all(&block).is_ok() {}
        }
        sleep(pause);
        std::fs::remove_file(&balloon).expect("the file can be removed");
        drop(file);
        resize(&disk, &disk_size(self.arguments.operations));
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
        let undone = power::cut(&self.surroundings.logs);
        self.undone += undone;
        self.cuts += u64::from(undone > 0);
        if let Some(server) = &self.server {
            // Names the process of a PostgreSQL that runs. If it was never flushed it is empty, and then PostgreSQL does not
            // start until somebody removes it.
            let _ = std::fs::remove_file(server.data().join("postmaster.pid"));
        }
        if let Some(server) = &mut self.server {
            server.restart();
        }
        all.for_each(|worker| self.restart_worker(worker));
    }

    /// A worker's clock jumps, forwards or backwards, and stays there until it jumps again. Without a server the clock
    /// of whoever has the turn is the store's, and no lower time follows a higher one: so that time passes at all, the
    /// others' clocks follow a jump forwards after a while, and a jump backwards is made good.
    fn move_clock(&mut self, victim: usize) -> Result<(), String> {
        let jump = self.random.below(JUMP) as i64;
        let jump = if self.random.percent(50) { jump } else { -jump };
        let ahead = self.ahead;
        let own = self.server.is_some();
        self.set_clock(victim, if own { jump } else { ahead + jump });
        self.counter.read();
        self.wait_for_answers(self.counter.answers + 100)?;
        if !own {
            self.ahead = ahead.max(ahead + jump);
            (0..WORKERS as usize).for_each(|worker| self.set_clock(worker, self.ahead));
        }
        Ok(())
    }

    /// In place, since it is mapped into the worker's memory.
    pub(crate) fn set_clock(&self, worker: usize, offset: i64) {
        use std::os::unix::fs::FileExt;
        let clock = File::options().write(true).create(true).truncate(false).open(self.clock(worker));
        clock.and_then(|clock| clock.write_all_at(&offset.to_ne_bytes(), 0)).expect("a clock");
    }

    /// By when all commits are, by clocks that may count.
    pub(crate) fn latest(&self) -> Timestamp {
        Timestamp::of_this_machine().after(Duration::from_secs(self.ahead.unsigned_abs() + 1))
    }

    fn back_up(&mut self) {
        match &self.server {
            Some(server) => self.backup.copy(&server.data()),
            None => self.backup.copy_database(&self.database),
        }
        self.backed_up = None;
    }

    /// The data is put back as it was at the last backup. First, what was acknowledged until now is looked for, since
    /// some of it is not there any more afterwards. The workers live on, and have to find out.
    fn restore(&mut self) -> Result<(), String> {
        if !self.backup.exists() {
            if let Some(server) = &mut self.server {
                server.kill9();
            }
            self.back_up();
            if let Some(server) = &mut self.server {
                server.restart();
            }
        }
        self.wait_for_progress()?;
        // Before the turns of a SQLite store are over, since opening takes one.
        let mut store = self.connect();
        let journal = Journal::open(&self.journal);
        // Nobody changes anything from here on.
        let all = 0..WORKERS as usize;
        let turns = if self.server.is_some() {
            all.clone().for_each(|worker| self.signal("STOP", worker));
            // What they sent may be under way.
            sleep(Duration::from_millis(200));
            None
        } else {
            Some(["next", "turn"].map(|name| lock(&self.database.with_added_extension(name))))
        };
        self.audit(&*store);
        journal.write(&Line::Restoring);
        match &mut self.server {
            Some(server) => {
                server.kill9();
                self.backup.put_back(&server.data());
                power::flush(&self.surroundings.logs);
                server.restart();
                store = self.connect();
            }
            None => self.backup.put_back_database(&self.database),
        }
        let to = self.head(&*store);
        journal.write(&Line::Restored { to });
        drop(turns);
        if self.server.is_some() {
            all.for_each(|worker| self.signal("CONT", worker));
        }
        // An epoch that no worker has seen is needed. It comes from a clock, and SQLite's are those of the processes, which
        // were moved; and a backup may be put back twice within one second.
        let mut epoch = 0;
        while epoch <= self.epoch {
            epoch = self.runtime.block_on(world::start_epoch(&self.direct));
        }
        self.epoch = epoch;
        self.rewound += 1;
        self.backed_up = Some(to);
        self.wait_for_epoch(epoch)
    }

    /// Until every worker knows of something that came after the backup.
    fn wait_for_progress(&mut self) -> Result<(), String> {
        let since = Instant::now();
        let backed_up = match self.backed_up {
            Some(revision) => revision,
            None => self.head(&*self.connect()),
        };
        self.backed_up = Some(backed_up);
        loop {
            self.counter.read();
            let knows = |(number, worker): (usize, &crate::campaign::Worker)| {
                let process = process(number as u32);
                self.counter.opened.get(&process) == Some(&worker.run)
                    && self.counter.acknowledged.get(&process).is_some_and(|revision| *revision > backed_up)
            };
            if self.workers.iter().enumerate().all(knows) {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("nothing was acknowledged since the backup: {:?}", self.counter));
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Until every worker follows the ledger that was put back.
    fn wait_for_epoch(&mut self, epoch: u32) -> Result<(), String> {
        let since = Instant::now();
        loop {
            self.counter.read();
            let followed: Vec<_> =
                (0..WORKERS).filter_map(|it| self.counter.followed.get(&process(it))).collect();
            if let Some(silent) = followed.iter().find(|it| it.0 == epoch && !it.1) {
                return Err(format!("a worker loaded anew and did not say so: {silent:?}"));
            }
            if followed.len() == WORKERS as usize && followed.iter().all(|it| it.0 == epoch) {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(format!("workers do not follow epoch {epoch}: {followed:?}"));
            }
            sleep(Duration::from_millis(5));
        }
    }

    fn head(&self, store: &dyn Store) -> u64 {
        self.runtime.block_on(store.head()).expect("the head").revision.get()
    }

    fn kill_worker(&mut self, victim: usize) {
        let child = &mut self.workers[victim].child;
        child.kill().expect("a worker can be killed");
        child.wait().expect("a worker ends");
    }

    fn restart_worker(&mut self, victim: usize) {
        let run = self.workers[victim].run + 1;
        self.workers[victim] = self.spawn(victim as u32, run);
    }

    fn signal(&self, name: &str, worker: usize) {
        let pid = self.workers[worker].child.id().to_string();
        let status = Command::new("kill").arg(format!("-{name}")).arg(pid).status();
        assert!(status.expect("kill can be started").success());
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

    pub(crate) fn clock(&self, worker: usize) -> PathBuf {
        self.directory.path().join(format!("clock-{worker}"))
    }
}

/// Give a file system in memory another size, in bytes.
fn resize(disk: &Path, size: &str) {
    let resized = Command::new("mount").args(["-o", &format!("remount,size={size}")]).arg(disk).status();
    assert!(resized.expect("mount").success(), "the file system cannot be resized");
}

/// The turn of a SQLite store is the last of a chain of such locks. Whoever takes only the last two, as older versions
/// did, has it as well, and those who wait for the ones before stay where they are.
fn lock(path: &Path) -> File {
    let file = File::options().write(true).create(true).truncate(false).open(path).expect("a lock");
    file.lock().expect("a lock");
    file
}
