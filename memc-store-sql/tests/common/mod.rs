//! What tests of single stores share.

#![allow(dead_code)] // each test uses some of it

pub(crate) mod fleet;

use std::time::{Duration, Instant};

use memc_core::ledger::{Action, Change, Commit, Head};
use memc_core::model::{CommitId, Principal, Record, Revision, Team, TeamId, TeamName, Timestamp};
use memc_core::store::{Decide, Load, Severity, Store, TurnError};

/// A commit after `head`.
pub(crate) fn commit(head: Head, at: Timestamp, changes: Vec<Change>) -> Commit {
    Commit {
        revision: head.revision.next(),
        id: CommitId::fresh(),
        previous: head.id,
        at: at.max(head.at),
        actor: Principal::new("user:test").unwrap(),
        action: Action { name: "test".into(), target: String::new(), detail: String::new() },
        request: None,
        changes,
    }
}

/// Appends, after whatever was missed, what a function makes of the ledger's end.
pub(crate) struct Then<F>(pub(crate) Head, pub(crate) F);

impl<F: FnMut(Head, Timestamp) -> Vec<Commit> + Send> Decide for Then<F> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        let head = missed.last().map_or(self.0, Commit::head);
        (self.1)(head, now)
    }
}

/// One commit that puts a team of its revision's number.
pub(crate) fn one(head: Head, now: Timestamp) -> Vec<Commit> {
    let revision = head.revision.next();
    let name = TeamName::new(&format!("t{revision}")).unwrap();
    let team = Record::Team(Team { id: TeamId::new(revision.get()), name, revision });
    vec![commit(head, now, vec![Change::Put(team)])]
}

pub(crate) async fn append(store: &dyn Store, at: Head) -> Result<Head, TurnError> {
    store.turn(at, &mut Then(at, one)).await
}

/// Append what changes come to, in commits of their own.
pub(crate) async fn append_changes(
    store: &dyn Store,
    at: Head,
    changes: Vec<Vec<Change>>,
) -> Result<Head, TurnError> {
    let make = move |mut head: Head, now: Timestamp| {
        let commits = changes.iter().map(|changes| {
            let made = commit(head, now, changes.clone());
            head = made.head();
            made
        });
        commits.collect()
    };
    store.turn(at, &mut Then(at, make)).await
}

pub(crate) async fn load(store: &dyn Store) -> Vec<Record> {
    struct Collect(Vec<Record>);
    impl Load for Collect {
        fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
            self.0.extend(records);
            Ok(())
        }
    }
    let mut into = Collect(Vec::new());
    store.load(&mut into).await.expect("load");
    into.0
}

/// The codes of what stands against trusting a store.
pub(crate) async fn refusals(store: &dyn Store) -> Vec<String> {
    let findings = store.check().await.expect("check");
    let refused = findings.into_iter().filter(|finding| finding.severity == Severity::Refuse);
    refused.map(|finding| finding.code).collect()
}

/// 2,000 turns whose futures are dropped at any moment: what was acknowledged is there, nothing is there by half, and the
/// connections are in order.
pub(crate) async fn drop_turns(store: &dyn Store, other: &dyn Store) {
    let mut random = 7_u64;
    let (mut at, mut acknowledged, mut dropped) = (Head::EMPTY, Vec::new(), 0);
    let since = Instant::now();
    for _ in 0..20 {
        at = append(store, at).await.expect("append");
    }
    // At any moment of a turn, and a while after, however fast this machine is just now: so that one of three is
    // acknowledged.
    let mut most = since.elapsed().as_micros() as u64 / 20 * 3 / 2;
    for _ in 0..2000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let make = |mut head: Head, now| {
            let mut commits = Vec::new();
            for _ in 0..2 {
                commits.extend(one(head, now));
                head = commits[commits.len() - 1].head();
            }
            commits
        };
        let after = Duration::from_micros((random >> 32) % most);
        match tokio::time::timeout(after, store.turn(at, &mut Then(at, make))).await {
            Ok(taken) => {
                at = taken.expect("turn");
                acknowledged.push(at);
                most -= most / 25;
            }
            Err(_) => {
                dropped += 1;
                most += most / 50;
            }
        }
        // So that not too much is missed.
        if random >> 60 == 0 {
            at = store.head().await.expect("head");
        }
    }
    eprintln!("{} turns acknowledged, {dropped} dropped", acknowledged.len());
    assert!(acknowledged.len() > 100 && dropped > 100);
    at = append(store, store.head().await.unwrap()).await.expect("append");
    let commits = store.commits(Revision::default(), usize::MAX).await.expect("commits");
    assert_eq!(commits.last().unwrap().head(), at);
    assert_eq!(commits.len() % 2, 1, "half a turn was appended");
    for head in acknowledged {
        assert_eq!(commits[head.revision.get() as usize - 1].head(), head, "acknowledged, but not there");
    }
    assert_eq!(load(other).await.len(), commits.len());
}
