//! Callers that go away in the middle of a turn.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Fixture;
use super::process::{Follow, all_commits, append_at_the_end, assert_sound};
use crate::ledger::Head;
use crate::model::Revision;

const ROUNDS: u32 = 120;

/// A turn whose future is dropped, after so many polls or so much time, is all there or not at all, and leaves the
/// handle as it was: what is acknowledged afterwards is really there.
pub async fn dropped_turns_are_all_or_nothing(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let (mut at, mut dropped) = (Head::EMPTY, 0);
    for round in 0..ROUNDS {
        let mut follow = Follow { at, details: &["dropped", "dropped"] };
        let turn = store.turn(at, &mut follow);
        let ended = if round % 2 == 0 {
            AtMost { turn, polls: 1 + round / 2 % 3 }.await
        } else {
            tokio::time::timeout(Duration::from_micros(u64::from(25 * round)), turn).await.ok()
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
        let fresh = if round % 20 == 0 { fixture.open().await } else { other.clone() };
        let before = Revision::new(at.revision.get() - 1);
        let there = fresh.commits(before, 1).await.expect("commits");
        assert_eq!(
            there.first().map(|commit| commit.head()),
            Some(at),
            "round {round}: acknowledged, but not there"
        );
    }
    // A turn may be over at its first poll, as in memory: then there was nothing to drop.
    eprintln!("{dropped} of {ROUNDS} turns were dropped");
    let commits = all_commits(&*other).await;
    let of_dropped: Vec<_> = commits.iter().filter(|commit| commit.action.detail == "dropped").collect();
    for batch in of_dropped.chunks(2) {
        assert!(batch.len() == 2 && batch[1].previous == batch[0].id, "half a batch was appended");
    }
    assert_eq!(commits.iter().filter(|commit| commit.action.detail == "kept").count() as u32, ROUNDS);
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
