//! Servers that die, and ledgers that go back.

use super::process::{all_commits, append, append_at_the_end, assert_sound};
use super::{Fixture, not_tested};
use crate::Fleet;
use crate::fleet::Options;
use crate::ledger::{Command, Head, Order};
use crate::model::{Principal, Revision, TeamName};
use crate::store::TurnError;

const CRASHES: usize = 6;

/// What was acknowledged is there after a crash, again and again, and what comes after it continues it.
pub async fn acknowledged_outlasts_a_crash(fixture: &dyn Fixture) {
    let mut head = Head::EMPTY;
    for round in 0..CRASHES {
        let store = fixture.open().await;
        // Not a multiple of anything that a store might flush at.
        for number in 0..7 {
            head = append_at_the_end(&*store, head, &[&format!("{round}/{number}")]).await;
        }
        if let Err(why) = fixture.crash().await {
            return not_tested(&format!("a crash: {why}"));
        }
        let fresh = fixture.open().await;
        let commits = all_commits(&*fresh).await;
        let last = commits.last().map(|commit| commit.head());
        assert_eq!(last, Some(head), "acknowledged before the crash, and not there after it");
        assert_eq!(commits.len(), (round + 1) * 7);
        assert_sound(&*fresh).await;
    }
}

/// A ledger that was set back to an older copy is told from the one it was: also when it has grown to the same
/// revision again, with other commits. A fleet that follows it loads anew and says so.
pub async fn a_rewound_ledger_is_found(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let old = append(&*store, Head::EMPTY, &["a", "b"]).await.expect("append");
    if let Err(why) = fixture.back_up().await {
        return not_tested(&format!("a ledger that is set back to a backup: {why}"));
    }
    let options = Options { accept_risks: true, ..Options::default() };
    let fleet = Fleet::open(fixture.open().await, options).await.expect("open");
    let before = store.head().await.expect("head");
    fixture.restore().await;

    let diverged = async |at: Head| {
        let mut nothing = super::process::Answer::new(|_| panic!("asked to decide on another history"));
        let taken = store.turn(at, &mut nothing).await;
        assert!(matches!(taken, Err(TurnError::Diverged(_))), "{taken:?} at {at:?}");
    };
    diverged(before).await;
    let other = fixture.open().await;
    let mut end = old;
    while end.revision < before.revision {
        end = append_at_the_end(&*other, end, &["another"]).await;
    }
    assert_eq!(end.revision, before.revision);
    diverged(before).await;
    append_at_the_end(&*other, end, &["and one more"]).await;
    diverged(before).await;

    fleet.refresh().await.expect("refresh");
    let team = Command::CreateTeam { name: TeamName::new("after").unwrap() };
    let order = Order { actor: Principal::new("user:conformance").unwrap(), request: None, command: team };
    fleet.submit(order).await.expect("the fleet goes on");
    let fresh = fixture.open().await;
    let (records, head) = super::process::load(&*fresh).await;
    assert_eq!(fleet.read(|state| state.head()), head);
    assert!(records.len() > 1 && head.revision > Revision::new(1));
    let told = fleet.status().findings.into_iter().any(|finding| finding.code == "ledger.reloaded");
    assert!(told, "a ledger that went back is a finding");
}
