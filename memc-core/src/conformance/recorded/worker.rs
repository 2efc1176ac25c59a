//! Processes that the suite starts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::process::{Answer, commit, team};
use super::super::run;
use super::clients::{self, Again};
use super::journal::{Directory, Journal, Line};
use crate::Store;
use crate::ledger::Change;
use crate::model::{Key, TeamId};
use crate::store::TurnError;

/// What a process is told: where the ledger is, and what to do.
const PLACE: &str = "MEMC_CONFORMANCE_PLACE";
const TASK: &str = "MEMC_CONFORMANCE_TASK";
/// The file for which clients wait, so that all of them begin together.
pub(super) const GO: &str = "go";
/// The file that says that turns are being taken.
const TURNING: &str = "turning";
/// Records that such a turn puts before it fails.
const PUT: u64 = 500;
/// For so long they are taken at most before the process is killed, in microseconds.
const MOMENTS: u64 = 30_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Task {
    /// Ask, and write down what comes of it.
    Clients { process: usize, asks: usize, again: Vec<Again> },
    /// Take turns that fail at their last commit, until killed.
    Turns,
}

/// A command that starts this program again for the one test of this name, which calls [`process`] and is to be
/// `#[ignore]`d. With modules, as `cargo test` prints it; `place` is handed to [`process`].
#[must_use]
pub fn this_program(test: &str, place: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", test, "--ignored", "--nocapture"]).env(PLACE, place);
    command
}

/// What a process does that was started with [`Fixture::process`](super::Fixture::process): `open` opens a handle on the ledger at a place. In
/// any other process it does nothing.
pub fn process<S: Future<Output = Arc<dyn Store>>>(open: impl FnOnce(String) -> S) {
    let (Ok(place), Ok(task)) = (std::env::var(PLACE), std::env::var(TASK)) else { return };
    let (directory, task): (PathBuf, Task) = serde_json::from_str(&task).expect("a task of this version");
    run(async {
        let store = open(place).await;
        match task {
            Task::Clients { process, asks, again } => ask(store, &directory, process, asks, again).await,
            Task::Turns => turns(&*store, &directory).await,
        }
    });
}

async fn ask(store: Arc<dyn Store>, directory: &Path, process: usize, asks: usize, again: Vec<Again>) {
    let fleet = clients::open(store).await;
    let journal = Arc::new(Journal::open(directory));
    journal.write(&Line::Opened { process });
    while !directory.join(GO).exists() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    clients::ask(&fleet, &journal, process, asks, again).await;
}

/// Large turns whose last commit removes what is not there: none of them is ever appended.
async fn turns(store: &dyn Store, directory: &Path) {
    loop {
        let at = store.head().await.expect("head");
        let mut answer = Answer::new(|now| {
            let put = (1..=PUT).map(|number| Change::Put(team(1_000_000 + number, at.revision.next())));
            let large = commit(at, now, "in the middle", put.collect());
            let nothing = vec![Change::Remove(Key::Team { id: TeamId::new(u64::MAX / 4) })];
            let last = commit(large.head(), now, "never", nothing);
            vec![large, last]
        });
        let taken = store.turn(at, &mut answer).await;
        assert!(matches!(taken, Err(TurnError::Conflict(_))), "{taken:?}");
        std::fs::write(directory.join(TURNING), []).expect("a file");
    }
}

/// A process that was started, and is killed if it is dropped.
pub(super) struct Running(Child);

/// Give a process its task.
pub(super) fn start(mut command: Command, directory: &Directory, task: Task) -> Running {
    command.env(TASK, serde_json::to_string(&(directory.path(), task)).unwrap());
    Running(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a process"))
}

impl Running {
    /// `kill -9`.
    pub(super) fn kill(mut self) {
        self.0.kill().expect("it can be killed");
        let status = self.0.wait().expect("it ends");
        assert!(!status.success(), "it ended before it was killed");
    }

    pub(super) fn assert_well(&mut self, what: &str) {
        if let Some(status) = self.0.try_wait().expect("its status") {
            assert!(status.success(), "a process ended badly while {what}: {status}");
        }
    }

    pub(super) async fn assert_ends_well(mut self) {
        let status = loop {
            if let Some(status) = self.0.try_wait().expect("its status") {
                break status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        assert!(status.success(), "a process ended badly: {status}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Where it has ended already there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Start a process that is always in the middle of a turn, and kill it.
pub(in super::super) async fn die_in_a_turn(process: Command) {
    let directory = Directory::new();
    let mut running = start(process, &directory, Task::Turns);
    while !directory.path().join(TURNING).exists() {
        running.assert_well("taking turns");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Another moment of a turn each time.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    tokio::time::sleep(Duration::from_micros(u64::from(now.subsec_micros()) % MOMENTS)).await;
    running.kill();
}
