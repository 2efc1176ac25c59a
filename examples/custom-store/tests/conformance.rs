//! The cases every store has to pass, and what only this one can get wrong.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use async_trait::async_trait;
use memc_core::conformance::{self, Fixture};
use memc_core::fleet::{OpenError, Options};
use memc_core::ledger::{Action, Change, Commit, FORMAT, Head};
use memc_core::model::{CommitId, Key, Record, Revision, Team, TeamId, Timestamp};
use memc_core::store::{Decide, TurnError};
use memc_core::{Fleet, Store};
use memc_custom_store::LogStore;

struct Log(tempfile::TempDir);

impl Log {
    fn new() -> Self {
        Log(tempfile::tempdir().unwrap())
    }

    fn directory(&self) -> String {
        self.0.path().to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn add(&self, bytes: &[u8]) {
        File::options().append(true).open(self.path("log")).unwrap().write_all(bytes).unwrap();
    }
}

async fn open(directory: String) -> Arc<dyn Store> {
    Arc::new(LogStore::open(directory).await.unwrap())
}

/// Not a test: what the cases start in processes of their own.
#[test]
#[ignore = "started by the cases, in processes of their own"]
fn process() {
    conformance::process(open);
}

#[async_trait]
impl Fixture for Log {
    async fn open(&self) -> Arc<dyn Store> {
        open(self.directory()).await
    }

    fn process(&self) -> Option<Command> {
        Some(conformance::this_program("process", &self.directory()))
    }

    /// As a process leaves it that dies in the middle of a turn. What the system had not yet written when the power
    /// went cannot be taken away here.
    async fn crash(&self) -> Result<(), &'static str> {
        // Longer than the line that comes after it, which has to cut it off, not only to write over it.
        self.add(&br#"[{"revision":1,"id":"0000"#.repeat(1000));
        Ok(())
    }

    async fn back_up(&self) -> Result<(), &'static str> {
        fs::copy(self.path("log"), self.path("copy")).unwrap();
        Ok(())
    }

    async fn restore(&self) {
        let lock = File::options().create(true).append(true).open(self.path("lock")).unwrap();
        lock.lock().unwrap();
        fs::copy(self.path("copy"), self.path("new")).unwrap();
        fs::rename(self.path("new"), self.path("log")).unwrap();
    }
}

memc_core::store_conformance!(Log::new());

/// Answers with these commits.
struct Answer(Vec<Commit>);

impl Decide for Answer {
    fn decide(&mut self, _: Vec<Commit>, _: Timestamp) -> Vec<Commit> {
        self.0.clone()
    }
}

#[test]
fn damage_within_the_log_is_told_from_a_torn_line() {
    memc_core::conformance::run(async {
        let log = Log::new();
        let store = log.open().await;
        log.add(b"[{\"revision\":1");
        assert_eq!(store.head().await.unwrap(), Head::EMPTY);
        log.add(b"\n");
        assert!(store.head().await.unwrap_err().is_corrupt());
        assert!(LogStore::open(log.0.path()).await.unwrap_err().is_corrupt());
    });
}

#[test]
fn another_format_is_not_read() {
    memc_core::conformance::run(async {
        let log = Log::new();
        let store = log.open().await;
        let newer = Head { revision: Revision::new(1), format: FORMAT + 1, ..Head::EMPTY };
        log.add(
            format!("[{}, \"whatever commits are by then\"]\n", serde_json::to_string(&newer).unwrap())
                .as_bytes(),
        );
        assert_eq!(store.head().await.unwrap(), newer);
        let turn = store.turn(Head::EMPTY, &mut Answer(Vec::new())).await;
        assert!(matches!(turn, Err(TurnError::Format(format)) if format == FORMAT + 1), "{turn:?}");
        assert!(store.commits(Revision::new(0), 1).await.is_err());
        let fleet = Fleet::open(store, Options::default()).await;
        assert!(matches!(fleet, Err(OpenError::Format(format)) if format == FORMAT + 1));
    });
}

#[test]
fn what_does_not_continue_the_ledger_is_a_conflict() {
    memc_core::conformance::run(async {
        let log = Log::new();
        let store = log.open().await;
        let team = Team { id: TeamId::new(1), name: "shop".parse().unwrap(), revision: Revision::new(1) };
        let (put, remove) =
            (Change::Put(Record::Team(team)), Change::Remove(Key::Team { id: TeamId::new(1) }));
        let first = Commit {
            revision: Revision::new(1),
            id: CommitId::fresh(),
            previous: CommitId::NONE,
            at: Timestamp::from_millis(5),
            actor: "user:ann".parse().unwrap(),
            action: Action { name: "test".into(), target: String::new(), detail: String::new() },
            request: None,
            changes: vec![put.clone(), remove.clone(), put, remove.clone()],
        };
        let next =
            Commit { revision: Revision::new(2), id: CommitId::fresh(), previous: first.id, ..first.clone() };
        let bad = [
            Commit { changes: vec![remove], ..next.clone() },
            Commit { revision: Revision::new(3), changes: vec![], ..next.clone() },
            Commit { previous: CommitId::fresh(), changes: vec![], ..next.clone() },
            Commit { at: Timestamp::from_millis(4), changes: vec![], ..next.clone() },
        ];
        for bad in bad {
            let turn = store.turn(Head::EMPTY, &mut Answer(vec![first.clone(), bad])).await;
            assert!(matches!(turn, Err(TurnError::Conflict(_))), "{turn:?}");
            assert_eq!(log.open().await.head().await.unwrap(), Head::EMPTY);
        }
        log.crash().await.unwrap();
        let good = Commit { changes: vec![], ..next };
        let head = store.turn(Head::EMPTY, &mut Answer(vec![first, good.clone()])).await.unwrap();
        assert_eq!(head, good.head());
        let bytes = fs::read(log.path("log")).unwrap();
        assert_eq!(
            bytes.iter().position(|byte| *byte == b'\n'),
            Some(bytes.len() - 1),
            "one line, and no torn one"
        );
    });
}
