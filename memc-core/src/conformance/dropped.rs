//! Callers that go away in the middle of a turn.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Fixture;
use super::process::{Follow, all_commits, append_at_the_end, assert_sound};
use crate::ledger::Head;

/// How many turns are dropped.
const DROPPED: u32 = 2000;
/// Rounds after which it is looked whether turns of this store can be dropped at all: one in memory is over at its first
/// poll, nearly always.
const TRIED: u32 = 200;
/// Of those that are dropped after a time, the steps by which it grows, and how many there are.
const STEP: Duration = Duration::from_micros(25);
const STEPS: u32 = 120;

/// 2,000 turns whose futures are dropped, half of them at each of their awaits in turn and half after some time, are
/// all there or not at all, and leave the handle as it was: what is acknowledged afterwards is really there.
pub async fn dropped_turns_are_all_or_nothing(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let (mut at, mut dropped, mut polls, mut most, mut round) = (Head::EMPTY, 0, 1, 1, 0);
    while dropped < DROPPED && (round < TRIED || dropped * 8 > round) {
        let start = at.revision;
        let mut follow = Follow { at, details: &["dropped", "dropped"] };
        let turn = store.turn(at, &mut follow);
        let ended = if round % 2 == 0 {
            let ended = AtMost { turn, polls }.await;
            most = most.max(polls);
            // One await further each time, until there is none.
            polls = if ended.is_some() { 1 } else { polls + 1 };
            ended
        } else {
            tokio::time::timeout(STEP * (round / 2 % STEPS), turn).await.ok()
        };
        match ended {
            Some(taken) => {
                taken.expect("a turn that was not dropped");
            }
            None => dropped += 1,
        }
        // At once, while what was dropped may still be ending: by the same handle or by another.
        let user = if round % 3 == 0 { &other } else { &store };
        at = append_at_the_end(&**user, at, &["kept"]).await;
        let fresh = if round % 100 == 0 { fixture.open().await } else { other.clone() };
        let there = fresh.commits(start, 10).await.expect("commits");
        let last = there.last().map(|commit| commit.head());
        assert_eq!(last, Some(at), "round {round}: acknowledged, but not there");
        let of_dropped = there.iter().filter(|commit| commit.action.detail == "dropped").count();
        assert!(of_dropped.is_multiple_of(2), "round {round}: half a batch was appended");
        round += 1;
    }
    eprintln!("{dropped} of {round} turns were dropped, after up to {most} polls");
    let commits = all_commits(&*other).await;
    let of_dropped: Vec<_> = commits.iter().filter(|commit| commit.action.detail == "dropped").collect();
    for batch in of_dropped.chunks(2) {
        assert!(batch.len() == 2 && batch[1].previous == batch[0].id, "half a batch was appended");
    }
    assert_eq!(commits.iter().filter(|commit| commit.action.detail == "kept").count() as u32, round);
    assert_sound(&*fixture.open().await).await;
}

/// A future, dropped after so many polls.
struct AtMost<F> {
    turn: F,
    polls: u32,
}

impl<F: Future + Unpin> Future for AtMost<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        let last = self.polls == 0;
        match Pin::new(&mut self.turn).poll(context) {
            Poll::Pending if last => Poll::Ready(None),
            polled => Poll::Ready(Some(ready!(polled))),
        }
    }
}
