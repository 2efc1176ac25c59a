//! Whose turn it is, among all processes of this machine.
//!
//! Two files beside the database, each locked as a whole (`flock`): a process takes `<database>.next`, then
//! `<database>.turn`, then lets go of `next`. Whoever has just had a turn is back at `next`, behind those who wait
//! there, so that nobody is starved; a single lock would go to the same process again and again. The kernel lets go of
//! a lock when its process ends, however it ends. It wakes all who wait for one at once, and whoever runs first has it: on
//! a busy machine somebody at `next` may be passed a few times in a row (19 foreign turns were seen once in 4,800 waits of
//! four processes, beside four loops that take all of two cores).
//!
//! The locks are for fairness and for naming who is in the way. Safety does not rest on them: a turn is one
//! `BEGIN IMMEDIATE` transaction that compares the ledger's end.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

type Asked = oneshot::Sender<io::Result<Held>>;

/// Takes turns for one handle, one after another, on a thread of its own: waiting for a file lock can neither be
/// cancelled nor given a time limit, so it must not hold up a runtime.
#[derive(Debug)]
pub(super) struct Turns {
    asked: mpsc::Sender<Asked>,
    turn: PathBuf,
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
        let (next, turn) = (beside(database, ".next"), beside(database, ".turn"));
        let (asked, requests) = mpsc::channel::<Asked>();
        let file = turn.clone();
        thread::Builder::new().name("memc-turns".into()).spawn(move || {
            for request in requests {
                // Who gave up waiting meanwhile is not kept in the queue of other processes.
                if !request.is_closed() {
                    // If they gave up later, the lock is released right here.
                    let _ = request.send(take(&next, &file));
                }
            }
        })?;
        Ok(Turns { asked, turn })
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
                format!("store locked: {} has had the turn for {} s", self.holder(), at_most.as_secs()),
            )),
        }
    }

    /// Who has the turn, by its own word.
    fn holder(&self) -> String {
        let text = std::fs::read_to_string(&self.turn).unwrap_or_default();
        match text.lines().next() {
            Some(holder) if !holder.is_empty() => holder.to_owned(),
            _ => "an unknown process".to_owned(),
        }
    }
}

fn take(next: &Path, turn: &Path) -> io::Result<Held> {
    // Opened anew each time, so that a lock file that somebody deleted comes back for all.
    let next = open(next)?;
    next.lock()?;
    let turn = open(turn)?;
    turn.lock()?;
    next.unlock()?;
    write_holder(&turn)?;
    Ok(Held(turn))
}

fn write_holder(mut turn: &File) -> io::Result<()> {
    let program = std::env::current_exe().ok();
    let program = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let holder = format!("process {} ({})", std::process::id(), program.as_deref().unwrap_or("unknown"));
    // The line ends before whatever a longer name left behind.
    turn.write_all(format!("{holder}\n").as_bytes())
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
