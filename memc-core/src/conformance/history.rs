//! Reading commits.

use std::borrow::Cow;

use super::Fixture;
use super::process::{Answer, append, commit, team};
use crate::ledger::{Action, Change, Head};
use crate::model::{Key, Principal, RequestId, Revision, TeamId, Timestamp};

/// Every field of a commit survives, empty and unusual ones too.
pub async fn commits_come_back_as_they_were(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut first = commit(Head::EMPTY, Timestamp::from_millis(1), "", vec![]);
    first.changes =
        vec![Change::Put(team(1, first.revision)), Change::Remove(Key::Team { id: TeamId::new(1) })];
    first.request = Some(RequestId::new("a-request/1").unwrap());
    let mut second =
        commit(first.head(), Timestamp::from_millis(2), "rack 3: 停电 \"quoted\" \\ ' ; --", vec![]);
    second.action = Action { name: Cow::Borrowed("host.lose"), target: String::new(), ..second.action };
    second.actor = Principal::new("user:it's;\"me\"").unwrap();
    let mut third = commit(second.head(), Timestamp::from_millis(2), &"long ".repeat(5000), vec![]);
    third.changes = (1..=500).map(|number| Change::Put(team(number, third.revision))).collect();
    let appended = vec![first, second, third];
    let answer = appended.clone();
    let head = store.turn(Head::EMPTY, &mut Answer::new(move |_| answer.clone())).await.expect("turn");
    assert_eq!(head, appended[2].head());
    assert_eq!(store.commits(Revision::default(), 10).await.expect("commits"), appended);
    let fresh = fixture.open().await;
    assert_eq!(fresh.head().await.expect("head"), head);
    assert_eq!(fresh.commits(Revision::default(), 10).await.expect("commits"), appended);
}

/// Commits after a revision, oldest first, no more than asked for.
pub async fn commits_come_in_pages(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let mut head = Head::EMPTY;
    for _ in 0..5 {
        head = append(&*store, head, &["a", "b", "c", "d", "e"]).await.expect("append");
    }
    for (after, limit, expected) in [
        (0, 1, 1..=1),
        (0, 25, 1..=25),
        (0, usize::MAX, 1..=25),
        (7, 3, 8..=10),
        (24, 10, 25..=25),
        #[allow(clippy::reversed_empty_ranges)]
        (25, 10, 1..=0),
        #[allow(clippy::reversed_empty_ranges)]
        (u64::MAX, 10, 1..=0),
        #[allow(clippy::reversed_empty_ranges)]
        (3, 0, 1..=0),
    ] {
        let page = store.commits(Revision::new(after), limit).await.expect("commits");
        let revisions: Vec<u64> = page.iter().map(|commit| commit.revision.get()).collect();
        assert_eq!(revisions, expected.collect::<Vec<_>>(), "after {after}, at most {limit}");
    }
}

/// History before a revision, newest first, of everything or of one target.
pub async fn history_is_newest_first(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let targets = ["cache:shop/a", "cache:shop/b", "cache:shop/a", "host:m1", "cache:shop/A", "cache:shop/a"];
    let mut answer = Answer::new(|now| {
        let (mut head, mut commits) = (Head::EMPTY, Vec::new());
        for target in targets {
            let mut made =
                commit(head, now, "", vec![Change::Put(team(head.revision.next().get(), head.revision))]);
            made.action.target = target.into();
            head = made.head();
            commits.push(made);
        }
        commits
    });
    store.turn(Head::EMPTY, &mut answer).await.expect("turn");
    for (target, before, limit, expected) in [
        (None, u64::MAX, 100, vec![6, 5, 4, 3, 2, 1]),
        (None, u64::MAX, 2, vec![6, 5]),
        (None, 3, 10, vec![2, 1]),
        (None, 1, 10, vec![]),
        (None, 0, 10, vec![]),
        (Some("cache:shop/a"), u64::MAX, usize::MAX, vec![6, 3, 1]),
        (Some("cache:shop/a"), 6, 1, vec![3]),
        (Some("cache:shop"), 7, 10, vec![]),
        (Some("cache:shop/%"), 7, 10, vec![]),
        (Some("host:m1"), 7, 10, vec![4]),
    ] {
        let page = store.history(target, Revision::new(before), limit).await.expect("history");
        let revisions: Vec<u64> = page.iter().map(|commit| commit.revision.get()).collect();
        assert_eq!(revisions, expected, "of {target:?} before {before}, at most {limit}");
    }
}
