//! Callers that go away in the middle of a turn.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;

use super::Fixture;
use super::process::{AtMost, Follow, all_commits, append_at_the_end, assert_sound};
use crate::ledger::{Commit, Head};
use crate::model::{Revision, Timestamp};
use crate::store::{Decide, Store};

/// How many turns are dropped.
const DROPPED: u32 = 2000;
/// Turns that are dropped one after another, before what became of them is looked at.
const IN_A_ROW: u32 = 4;
/// Tries after which it is looked whether turns of this store can be dropped by themselves: one in memory is over at its
/// first poll, unless it has to wait for another.
const TRIED: u32 = 100;
/// Turns that are dropped behind one other.
const AT_ONCE: u32 = 20;
/// Of those that are dropped after a time, the steps by which it grows, and how many there are.
const STEP: Duration = Duration::from_micros(25);
const STEPS: u32 = 120;

/// 2,000 turns whose futures are dropped, half of them at each of their awaits in turn and half after some time, are
/// all there or not at all, and leave the handle as it was: what is acknowledged afterwards is really there.
pub async fn dropped_turns_are_all_or_nothing(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let mut dropping = Dropping { at: Head::EMPTY, dropped: 0, tries: 0, polls: 1, most: 1, round: 0 };
    while dropping.dropped < DROPPED && (dropping.tries < TRIED || dropping.dropped * 4 > dropping.tries) {
        dropping.in_a_row(fixture, &*store, &*other).await;
    }
    while dropping.dropped < DROPPED {
        dropping.behind_another(&store, &*other).await;
    }
    let Dropping { dropped, tries, most, round, .. } = dropping;
    eprintln!("{dropped} turns were dropped, {tries} tries by themselves, after up to {most} polls");
    let commits = all_commits(&*other).await;
    let of_dropped: Vec<_> = commits.iter().filter(|commit| commit.action.detail == "dropped").collect();
    for batch in of_dropped.chunks(2) {
        assert!(batch.len() == 2 && batch[1].previous == batch[0].id, "half a batch was appended");
    }
    assert_eq!(commits.iter().filter(|commit| commit.action.detail == "kept").count() as u32, round);
    assert_sound(&*fixture.open().await).await;
    assert_eq!(dropped, DROPPED, "turns that were dropped");
}

struct Dropping {
    at: Head,
    dropped: u32,
    tries: u32,
    /// After so many the next turn is dropped; and after how many one was at most.
    polls: u32,
    most: u32,
    /// How often something was appended afterwards.
    round: u32,
}

impl Dropping {
    /// Try to drop some turns of two commits each, and append another one.
    async fn in_a_row(&mut self, fixture: &dyn Fixture, store: &dyn Store, other: &dyn Store) {
        let (round, start) = (self.round, self.at.revision);
        for _ in 0..IN_A_ROW.min(DROPPED - self.dropped) {
            self.once(store).await;
        }
        // At once, while what was dropped may still be ending: by the same handle or by another.
        let user = if round.is_multiple_of(3) { other } else { store };
        let reader = if round.is_multiple_of(100) { Some(fixture.open().await) } else { None };
        self.keep(start, user, reader.as_deref().unwrap_or(other)).await;
    }

    async fn once(&mut self, store: &dyn Store) {
        let mut follow = Follow { at: self.at, details: &["dropped", "dropped"] };
        let turn = store.turn(self.at, &mut follow);
        let ended = if self.tries.is_multiple_of(2) {
            let ended = AtMost { future: turn, polls: self.polls }.await;
            self.most = self.most.max(self.polls);
            // One await further each time, until there is none.
            self.polls = if ended.is_some() { 1 } else { self.polls + 1 };
            ended
        } else {
            tokio::time::timeout(STEP * (self.tries / 2 % STEPS), turn).await.ok()
        };
        match ended {
            Some(taken) => {
                taken.expect("a turn that was not dropped");
            }
            None => self.dropped += 1,
        }
        self.tries += 1;
    }

    /// Drop turns that wait for another one, which is being decided meanwhile.
    async fn behind_another(&mut self, store: &Arc<dyn Store>, other: &dyn Store) {
        let (at, start) = (self.at, self.at.revision);
        let (begun, begins) = oneshot::channel();
        let (end, ends) = mpsc::channel();
        let first = Arc::clone(store);
        let first = tokio::spawn(async move {
            first.turn(at, &mut Held { begun: Some(begun), ends }).await.expect("an empty turn")
        });
        begins.await.expect("it is decided");
        for _ in 0..AT_ONCE.min(DROPPED - self.dropped) {
            let mut follow = Follow { at, details: &["dropped", "dropped"] };
            let ended = AtMost { future: other.turn(at, &mut follow), polls: 1 }.await;
            assert!(ended.is_none(), "{ended:?}: a turn was over while another one was being decided");
            self.dropped += 1;
        }
        end.send(()).expect("it waits for this");
        first.await.expect("a turn ended badly");
        self.keep(start, other, &**store).await;
    }

    /// Append one commit, and look what is there since the start of the round.
    async fn keep(&mut self, start: Revision, user: &dyn Store, reader: &dyn Store) {
        let round = self.round;
        self.at = append_at_the_end(user, self.at, &["kept"]).await;
        let there = reader.commits(start, 1000).await.expect("commits");
        let last = there.last().map(|commit| commit.head());
        assert_eq!(last, Some(self.at), "round {round}: acknowledged, but not there");
        let of_dropped = there.iter().filter(|commit| commit.action.detail == "dropped").count();
        assert!(of_dropped.is_multiple_of(2), "round {round}: half a batch was appended");
        self.round += 1;
    }
}

/// Says when it is asked to decide, and appends nothing once it is told to.
struct Held {
    begun: Option<oneshot::Sender<()>>,
    ends: mpsc::Receiver<()>,
}

impl Decide for Held {
    fn decide(&mut self, _missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        if let Some(begun) = self.begun.take() {
            begun.send(()).expect("the case waits for this");
            self.ends.recv().expect("the case says so");
        }
        Vec::new()
    }
}
