//! Several processes on one ledger, killed while they write.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use memc_core::Store;
use memc_core::ledger::{Action, Commit, Head};
use memc_core::model::{CommitId, Revision, Timestamp};
use memc_core::store::Decide;
use memc_custom_store::LogStore;

const LEDGER: &str = "MEMC_TEST_LEDGER";

/// Appends one commit after whatever was missed.
struct One(Head);

impl Decide for One {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        self.0 = missed.last().map_or(self.0, Commit::head);
        vec![Commit {
            revision: self.0.revision.next(),
            id: CommitId::fresh(),
            previous: self.0.id,
            at: now,
            actor: "user:ann".parse().unwrap(),
            action: Action { name: "test".into(), target: String::new(), detail: "x".repeat(10_000) },
            request: None,
            changes: vec![],
        }]
    }
}

#[test]
#[ignore = "never ends: it is what the other test starts and kills"]
fn writer() {
    let Some(ledger) = std::env::var_os(LEDGER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    runtime.block_on(async {
        let store = LogStore::open(ledger).await.unwrap();
        let mut at = store.head().await.unwrap();
        loop {
            at = store.turn(at, &mut One(at)).await.unwrap();
            println!("acknowledged {}", serde_json::to_string(&at).unwrap());
        }
    });
}

fn start(ledger: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--ignored", "--nocapture"])
        .env(LEDGER, ledger)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn what_killed_processes_acknowledged_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: Vec<Head> = Vec::new();
    for round in 0..8 {
        let mut writers = [start(directory.path()), start(directory.path())];
        // A writer would wait once its pipe is full, which nobody reads meanwhile; that takes some hundred turns.
        std::thread::sleep(Duration::from_millis(100 + 7 * round));
        for writer in &mut writers {
            writer.kill().unwrap();
        }
        for writer in writers {
            let printed = String::from_utf8(writer.wait_with_output().unwrap().stdout).unwrap();
            let heads = printed.lines().filter_map(|line| line.split_once("acknowledged "));
            acknowledged.extend(heads.filter_map(|(_, head)| serde_json::from_str::<Head>(head).ok()));
        }
    }
    assert!(acknowledged.len() > 16, "only {} turns were taken", acknowledged.len());
    memc_core::conformance::run(async {
        let store = LogStore::open(directory.path()).await.unwrap();
        let commits = store.commits(Revision::new(0), usize::MAX).await.unwrap();
        acknowledged.sort_by_key(|head| head.revision);
        assert!(acknowledged.is_sorted_by(|one, next| one.revision < next.revision), "a revision twice");
        for head in acknowledged {
            let there = commits.iter().find(|it| it.revision == head.revision).map(Commit::head);
            assert_eq!(there, Some(head));
        }
        let end = store.head().await.unwrap();
        assert_eq!(store.turn(end, &mut One(end)).await.unwrap().revision, end.revision.next());
    });
}
