//! Whose turn it is, among all processes of this machine.
//!
//! Five files beside the database, each locked as a whole (`flock`): a process takes `<database>.wait3`, `.wait2`,
//! `.wait1`, `.next` and `.turn`, one after the other, and lets go of each once it has the one after it. Whoever has just
//! had a turn is back at the first, behind those who wait, so that nobody is starved; a single lock would go to the same
//! process again and again.
//!
//! Whoever waits for a lock other than the first has the one before it, so that nobody else waits for it. Only at the
//! first may several wait, and there somebody who comes just then may be served before them: who was woken has to run
//! first. Of four processes one has the turn and three wait, with `next`, `wait1` and `wait2`, so that one who comes back
//! has `wait3` to itself, and has it still when the next comes back before the others have moved up. So four are served in
//! the order in which they came, and so are five where a turn takes longer than moving up. More processes may pass each
//! other at `wait3`, never one that has come further. A process of an older version knows the last two files only, and
//! comes in at `next`.
//!
//! The kernel lets go of a lock when its process ends, however it ends. One that is stopped while it waits holds up those
//! behind it as if it had the turn.
//!
//! The locks are for fairness and for naming who is in the way. Safety does not rest on them: a turn is one
//! `BEGIN IMMEDIATE` transaction that compares the ledger's end.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

/// What the files' names end in, in the order in which they are locked.
const QUEUE: [&str; 5] = [".wait3", ".wait2", ".wait1", ".next", ".turn"];

type Asked = oneshot::Sender<io::Result<Held>>;

/// Takes turns for one handle, one after another, on a thread of its own: waiting for a file lock can neither be
/// cancelled nor given a time limit, so it must not hold up a runtime.
#[derive(Debug)]
pub(super) struct Turns {
    asked: mpsc::Sender<Asked>,
    queue: [PathBuf; QUEUE.len()],
}

/// The turn; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // Closing would do as well, unless a child process that is just being started still has a copy.
        let _ = self.0.unlock();
    }
}

impl Turns {
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let queue = QUEUE.map(|suffix| beside(database, suffix));
        let (asked, requests) = mpsc::channel::<Asked>();
        let files = queue.clone();
        thread::Builder::new().name("memc-turns".into()).spawn(move || {
            for request in requests {
                // Who gave up waiting meanwhile is not kept in the queue of other processes.
                if !request.is_closed() {
                    // If they gave up later, the lock is released right here.
                    let _ = request.send(take(&files));
                }
            }
        })?;
        Ok(Turns { asked, queue })
    }

    /// Wait for the turn, this long at most.
    pub(super) async fn take(&self, at_most: Duration) -> io::Result<Held> {
        let (asked, answer) = oneshot::channel();
        let ended = || io::Error::other("the thread that takes turns has ended");
        self.asked.send(asked).map_err(|_| ended())?;
        match tokio::time::timeout(at_most, answer).await {
            Ok(held) => held.map_err(|_| ended())?,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("store locked: {} for {} s", self.in_the_way(), at_most.as_secs()),
            )),
        }
    }

    /// Who has the turn, or is to have it and does not take it, by its own word.
    fn in_the_way(&self) -> String {
        let [.., turn] = &self.queue;
        let held = |path: &&PathBuf| open(path).is_ok_and(|file| file.try_lock().is_err());
        match self.queue.iter().rev().find(held) {
            Some(path) if path != turn => format!("{} has been next", holder(path)),
            _ => format!("{} has had the turn", holder(turn)),
        }
    }
}

fn holder(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    match text.lines().next() {
        Some(holder) if !holder.is_empty() => holder.to_owned(),
        _ => "an unknown process".to_owned(),
    }
}

fn take(queue: &[PathBuf]) -> io::Result<Held> {
    let mut held: Option<File> = None;
    for path in queue {
        // Opened anew each time, so that a lock file that somebody deleted comes back for all.
        let lock = open(path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                if let Some(before) = &held {
                    write_holder(before)?;
                }
                lock.lock()?;
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if let Some(before) = held.replace(lock) {
            before.unlock()?;
        }
    }
    let turn = held.ok_or_else(|| io::Error::other("no lock"))?;
    write_holder(&turn)?;
    Ok(Held(turn))
}

fn write_holder(mut file: &File) -> io::Result<()> {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let holder = format!("process {} ({})", std::process::id(), program.as_deref().unwrap_or("unknown"));
    // The line ends before whatever a longer name left behind.
    file.write_all(format!("{holder}\n").as_bytes())
}

fn open(path: &Path) -> io::Result<File> {
    let opened = private().create(true).write(true).truncate(false).open(path);
    opened.map_err(|error| {
        io::Error::new(error.kind(), format!("{} cannot be opened: {error}", path.display()))
    })
}

/// Options for files that hold what only their owner may read.
pub(super) fn private() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;

    /// How many wait for each of these files, as the kernel says.
    fn waiting(queue: &[PathBuf]) -> Vec<usize> {
        let (mut locks, mut part) = (Vec::new(), vec![0; 1 << 16]);
        let mut file = File::open("/proc/locks").unwrap();
        // In reads as large as can be: each is of one moment, and what moves on between two is seen twice.
        loop {
            let read = file.read(&mut part).unwrap();
            if read == 0 {
                break;
            }
            locks.extend_from_slice(&part[..read]);
        }
        let locks = String::from_utf8(locks).unwrap();
        let waits = |file: &PathBuf| {
            let inode = format!(":{} ", file.metadata().map_or(0, |it| it.ino()));
            locks.lines().filter(|line| line.contains("-> FLOCK") && line.contains(&inode)).count()
        };
        queue.iter().map(waits).collect()
    }

    /// Wait until so many wait, and say for which of the files.
    fn all_wait(queue: &[PathBuf], count: usize) -> Vec<usize> {
        let since = Instant::now();
        loop {
            let [before, after] = [waiting(queue), waiting(queue)];
            if before == after && before.iter().sum::<usize>() == count {
                return before;
            }
            assert!(since.elapsed() < Duration::from_secs(60), "of {count}, these wait: {before:?}");
            thread::yield_now();
        }
    }

    /// Each ends its turn once all others wait for theirs, as in a turn that takes longer than coming back: then each waits
    /// for another file, and they are served in the order in which they came.
    fn take_turns(processes: usize) {
        let in_all = processes * 300;
        let directory = tempfile::tempdir().unwrap();
        let queue = QUEUE.map(|suffix| beside(&directory.path().join("memc.db"), suffix));
        let turns = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for number in 0..processes {
                let (queue, turns) = (&queue, &turns);
                scope.spawn(move || {
                    loop {
                        let _held = take(queue).unwrap();
                        let taken = turns.lock().unwrap().len();
                        if taken == in_all {
                            return;
                        }
                        // At the end they do not all come back.
                        if taken < in_all - processes {
                            let waiting = all_wait(queue, processes - 1);
                            assert!(waiting.iter().all(|count| *count < 2), "{processes}: {waiting:?}");
                        }
                        turns.lock().unwrap().push(number);
                    }
                });
            }
        });
        let turns = &turns.into_inner().unwrap()[..in_all - processes];
        let passed = turns.windows(processes + 1).filter(|round| round[0] != round[processes]);
        assert_eq!(passed.count(), 0, "{turns:?}");
    }

    #[tokio::test]
    async fn who_stands_still_before_the_turn_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("memc.db");
        let turns = Turns::of(&database).unwrap();
        // As an earlier one left it.
        drop(turns.take(Duration::from_secs(60)).await.unwrap());
        let next = open(&beside(&database, ".next")).unwrap();
        next.lock().unwrap();
        (&next).write_all(b"process 1 (stopped)\n").unwrap();
        let told = turns.take(Duration::from_millis(100)).await.unwrap_err().to_string();
        assert_eq!(told, "store locked: process 1 (stopped) has been next for 0 s");
        drop(next);
        turns.take(Duration::from_secs(60)).await.unwrap();
    }

    #[test]
    fn up_to_five_are_served_in_the_order_in_which_they_come() {
        (2..=5).for_each(take_turns);
    }
}
