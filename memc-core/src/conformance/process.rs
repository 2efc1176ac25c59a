//! A process as the cases play it: a handle, and what it knows of the ledger.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::Store;
use crate::ledger::{Action, Change, Commit, Head, Order, Receipt, Refusal, State, decide};
use crate::model::{CommitId, Key, Principal, Record, Revision, Team, TeamId, TeamName, Timestamp};
use crate::store::{Decide, Load, TurnError};

/// Records by key.
pub(super) type Records = BTreeMap<Key, Record>;

/// Everything a store loads, and as of when; checks the order of kinds.
pub(super) async fn load(store: &dyn Store) -> (Records, Head) {
    #[derive(Default)]
    struct Collect {
        records: Records,
        last: usize,
    }
    impl Load for Collect {
        fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
            for record in records {
                let place = kind(&record);
                assert!(place >= self.last, "{:?} came after a later kind", record.key());
                self.last = place;
                let key = record.key();
                assert!(self.records.insert(key.clone(), record).is_none(), "{key:?} came twice");
            }
            Ok(())
        }
    }
    let mut into = Collect::default();
    let head = store.load(&mut into).await.expect("load");
    (into.records, head)
}

fn kind(record: &Record) -> usize {
    match record {
        Record::Fleet(_) => 0,
        Record::Cluster(_) => 1,
        Record::Host(_) => 2,
        Record::Team(_) => 3,
        Record::Quota(_) => 4,
        Record::Cache(_) => 5,
        Record::Instance(_) => 6,
        Record::RetiredPort(_) => 7,
        Record::Plan(_) => 8,
        Record::Request(_) => 9,
    }
}

/// What commits fold to, without any rule; checks that they continue each other.
pub(super) fn fold(records: &mut Records, head: &mut Head, commits: &[Commit]) {
    for commit in commits {
        assert_eq!(commit.revision, head.revision.next(), "revisions have no gaps");
        assert_eq!(commit.previous, head.id, "commit {} names the one before", commit.revision);
        assert!(commit.at >= head.at, "time went back at {}", commit.revision);
        for change in &commit.changes {
            match change {
                Change::Put(record) => records.insert(record.key(), record.clone()),
                Change::Remove(key) => records.remove(key),
            };
        }
        *head = commit.head();
    }
}

/// Every commit, in pages.
pub(super) async fn all_commits(store: &dyn Store) -> Vec<Commit> {
    let mut commits: Vec<Commit> = Vec::new();
    loop {
        let after = commits.last().map_or(Revision::default(), |commit| commit.revision);
        let page = store.commits(after, 100).await.expect("commits");
        if page.is_empty() {
            return commits;
        }
        commits.extend(page);
    }
}

/// The ledger agrees with itself: its commits continue each other, and what is loaded is their fold.
pub(super) async fn assert_sound(store: &dyn Store) -> (Records, Head) {
    let (records, head) = load(store).await;
    let (mut folded, mut end) = (Records::new(), Head::EMPTY);
    let commits = all_commits(store).await;
    let until = commits.iter().take_while(|commit| commit.revision <= head.revision).count();
    fold(&mut folded, &mut end, &commits[..until]);
    assert_eq!(end, head, "the head is the last commit's");
    assert_eq!(records, folded, "what is loaded is what the commits fold to");
    (records, head)
}

/// Answers a turn with what a function makes, and keeps what it was told.
pub(super) struct Answer<F> {
    pub(super) missed: Vec<Commit>,
    pub(super) now: Option<Timestamp>,
    make: F,
}

impl<F: FnMut(Timestamp) -> Vec<Commit> + Send> Answer<F> {
    pub(super) fn new(make: F) -> Self {
        Answer { missed: Vec::new(), now: None, make }
    }
}

impl<F: FnMut(Timestamp) -> Vec<Commit> + Send> Decide for Answer<F> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        self.missed.extend(missed);
        self.now = Some(now);
        (self.make)(now)
    }
}

/// A commit after `head`.
pub(super) fn commit(head: Head, at: Timestamp, detail: &str, changes: Vec<Change>) -> Commit {
    Commit {
        revision: head.revision.next(),
        id: CommitId::fresh(),
        previous: head.id,
        at: at.max(head.at),
        actor: Principal::new("user:conformance").unwrap(),
        action: Action { name: Cow::Borrowed("test"), target: "team:t".into(), detail: detail.into() },
        request: None,
        changes,
    }
}

/// Some record that needs no other: a team of this number.
pub(super) fn team(number: u64, revision: Revision) -> Record {
    let name = TeamName::new(&format!("team-{number}")).unwrap();
    Record::Team(Team { id: TeamId::new(number), name, revision })
}

/// Append commits with these details at `head`, which has to be the end.
pub(super) async fn append(store: &dyn Store, head: Head, details: &[&str]) -> Result<Head, TurnError> {
    store.turn(head, &mut Follow { at: head, details }).await
}

/// Appends commits, each of which puts a team of its revision's number, after whatever was missed.
pub(super) struct Follow<'a> {
    pub(super) at: Head,
    pub(super) details: &'a [&'a str],
}

impl Decide for Follow<'_> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        fold(&mut Records::new(), &mut self.at, &missed);
        let (mut head, mut commits) = (self.at, Vec::new());
        for detail in self.details {
            let revision = head.revision.next();
            let made = commit(head, now, detail, vec![Change::Put(team(revision.get(), revision))]);
            head = made.head();
            commits.push(made);
        }
        commits
    }
}

/// Append such commits wherever the ledger ends, beginning with what is known at `at`.
pub(super) async fn append_at_the_end(store: &dyn Store, mut at: Head, details: &[&str]) -> Head {
    loop {
        match store.turn(at, &mut Follow { at, details }).await {
            Ok(head) => return head,
            Err(TurnError::Behind) => {
                let missed = store.commits(at.revision, 1000).await.expect("commits");
                at = missed.last().expect("there were more").head();
            }
            Err(error) => panic!("a turn failed: {error}"),
        }
    }
}

/// A process that decides by the rules.
pub(super) struct Process {
    pub(super) store: Arc<dyn Store>,
    pub(super) state: State,
}

/// What became of each order of a turn.
pub(super) type Verdicts = Vec<Result<Receipt, Refusal>>;

impl Process {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Process { store, state: State::default() }
    }

    /// Decide orders together and append them in one turn, catching up as often as it takes. `clock` stands in for
    /// the store's, so that two stores can be compared.
    pub(super) async fn turn(&mut self, orders: &[Order], clock: Timestamp) -> Verdicts {
        loop {
            let at = self.state.head();
            let mut deciding =
                Deciding { state: &mut self.state, orders, clock, verdicts: Vec::new(), commits: Vec::new() };
            let taken = self.store.turn(at, &mut deciding).await;
            let Deciding { verdicts, commits, .. } = deciding;
            match taken {
                Ok(head) => {
                    commits.iter().for_each(|commit| self.state.fold(commit).expect("own commits follow"));
                    assert_eq!(self.state.head(), head, "a turn answers with the new end");
                    return verdicts;
                }
                Err(TurnError::Behind) => {
                    let missed = self.store.commits(at.revision, 1000).await.expect("commits");
                    missed.iter().for_each(|commit| self.state.fold(commit).expect("commits follow"));
                }
                Err(error) => panic!("a turn failed: {error}"),
            }
        }
    }
}

struct Deciding<'a> {
    state: &'a mut State,
    orders: &'a [Order],
    clock: Timestamp,
    verdicts: Verdicts,
    commits: Vec<Commit>,
}

impl Decide for Deciding<'_> {
    fn decide(&mut self, missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        let now = self.clock;
        missed.iter().for_each(|commit| self.state.fold(commit).expect("what was missed follows"));
        (self.verdicts, self.commits) = (Vec::new(), Vec::new());
        let mut draft = self.state.clone();
        for order in self.orders {
            self.verdicts.push(decide(&draft, order, now).map(|decision| {
                if !decision.changes.is_empty() {
                    let head = draft.head();
                    let made = Commit {
                        revision: head.revision.next(),
                        id: CommitId::fresh(),
                        previous: head.id,
                        at: now,
                        actor: order.actor.clone(),
                        action: decision.action,
                        request: order.request.clone(),
                        changes: decision.changes,
                    };
                    draft.fold(&made).expect("a decision fits its state");
                    self.commits.push(made);
                }
                decision.receipt
            }));
        }
        self.commits.clone()
    }
}

/// A future, dropped after so many polls.
pub(super) struct AtMost<F> {
    pub(super) future: F,
    pub(super) polls: u32,
}

impl<F: Future + Unpin> Future for AtMost<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        let last = self.polls == 0;
        match Pin::new(&mut self.future).poll(context) {
            Poll::Pending if last => Poll::Ready(None),
            polled => Poll::Ready(Some(ready!(polled))),
        }
    }
}
