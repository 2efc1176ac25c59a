//! The conformance suite is itself tested: stores that are broken on purpose, each of which a case finds out.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use memc_core::Store;
use memc_core::conformance::{self, Fixture};
use memc_core::ledger::{Change, Commit, Head};
use memc_core::model::{Key, Record, Revision, Timestamp};
use memc_core::store::{Decide, Finding, Load, MOST_MISSED, StoreError, TurnError};

/// How a [`Careless`] store is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    None,
    /// Appends at the head it read, whoever else did so meanwhile.
    LostUpdate,
    /// A commit becomes visible after a later one, as with a sequence that is not part of the transaction.
    Gap,
    /// Does not keep requests.
    NotIdempotent,
    /// Appends commit by commit.
    TornAppend,
    /// Answers from a copy that is a few moments old.
    StaleRead,
    /// Acknowledges before it is durable.
    EarlyAcknowledgement,
    /// Compares revisions, and not the ids of commits.
    RewindUnnoticed,
    /// Whoever asks first goes on being first.
    Starving,
    /// Hands over records while others change them.
    TornLoad,
}

#[derive(Debug, Clone, Default)]
struct Ledger {
    records: BTreeMap<Key, Record>,
    commits: Vec<Commit>,
}

impl Ledger {
    fn head(&self) -> Head {
        self.commits.last().map_or(Head::EMPTY, Commit::head)
    }

    fn take(&mut self, commit: &Commit, flaw: Flaw) {
        for change in &commit.changes {
            match change {
                Change::Put(Record::Request(_)) if flaw == Flaw::NotIdempotent => {}
                Change::Put(record) => drop(self.records.insert(record.key(), record.clone())),
                Change::Remove(key) => drop(self.records.remove(key)),
            }
        }
        let at = commit.revision.get() as usize - 1;
        self.commits.truncate(at);
        self.commits.push(commit.clone());
    }
}

#[derive(Debug)]
struct Server {
    flaw: Flaw,
    ledger: Mutex<Ledger>,
    /// What outlasts a crash, and what a backup has.
    kept: Mutex<Ledger>,
    backup: Mutex<Ledger>,
    turn: tokio::sync::Mutex<()>,
    handles: AtomicUsize,
    first_in_line: AtomicUsize,
}

/// A store in memory that may be broken.
#[derive(Debug, Clone)]
struct Careless {
    server: Arc<Server>,
    handle: usize,
    seen: Arc<Mutex<(Ledger, u32)>>,
}

impl Careless {
    fn lock(&self) -> MutexGuard<'_, Ledger> {
        self.server.ledger.lock().unwrap()
    }

    fn flaw(&self) -> Flaw {
        self.server.flaw
    }

    /// What a reader sees.
    fn view(&self) -> Ledger {
        let current = self.lock().clone();
        match self.flaw() {
            Flaw::StaleRead => {
                let mut seen = self.seen.lock().unwrap();
                seen.1 += 1;
                if seen.1 % 4 == 1 {
                    seen.0 = current;
                }
                seen.0.clone()
            }
            Flaw::Gap => {
                let mut holed = current;
                let count = holed.commits.len();
                if count > 4 {
                    holed.commits.remove(count - 2);
                }
                holed
            }
            _ => current,
        }
    }
}

#[async_trait]
impl Store for Careless {
    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.view().head())
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        let view = self.view();
        let records: Vec<Record> = view.records.into_values().collect();
        let (first, second) = records.split_at(records.len() / 2);
        into.take(first.to_vec()).map_err(|why| StoreError::corrupt("load", why))?;
        let mut second = second.to_vec();
        if self.flaw() == Flaw::TornLoad {
            tokio::time::sleep(Duration::from_millis(2)).await;
            let later = self.lock().clone();
            second = second.iter().filter_map(|record| later.records.get(&record.key()).cloned()).collect();
        }
        into.take(second).map_err(|why| StoreError::corrupt("load", why))?;
        Ok(view.commits.last().map_or(Head::EMPTY, Commit::head))
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        let commits = self.view().commits;
        Ok(commits.into_iter().filter(|commit| commit.revision > after).take(limit).collect())
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        let commits = self.view().commits.into_iter().rev().filter(|commit| commit.revision < before);
        let of_target = commits.filter(|commit| target.is_none_or(|target| commit.action.target == target));
        Ok(of_target.take(limit).collect())
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        let flaw = self.flaw();
        if flaw == Flaw::Starving {
            // Who had the last turn gets the next, unless nobody had one for long.
            let (mut before, mut quiet) = (self.lock().head(), 0);
            while self.server.first_in_line.load(Ordering::SeqCst) != self.handle && quiet < 250 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let head = self.lock().head();
                quiet = if head == before { quiet + 1 } else { 0 };
                before = head;
            }
        }
        let turn = match flaw {
            Flaw::LostUpdate => None,
            _ => Some(self.server.turn.lock().await),
        };
        self.server.first_in_line.store(self.handle, Ordering::SeqCst);
        let ledger = self.lock().clone();
        let head = ledger.head();
        let another = flaw != Flaw::RewindUnnoticed && head.revision == at.revision && head.id != at.id;
        if head.revision < at.revision || another {
            return Err(TurnError::Diverged(head));
        }
        let missed: Vec<Commit> =
            ledger.commits.iter().filter(|commit| commit.revision > at.revision).cloned().collect();
        if missed.len() > MOST_MISSED {
            return Err(TurnError::Behind);
        }
        let continues = missed.first().is_none_or(|first| first.previous == at.id);
        if !continues && flaw != Flaw::RewindUnnoticed {
            return Err(TurnError::Diverged(head));
        }
        let commits = by.decide(missed, Timestamp::of_this_machine().max(head.at));
        let mut end = head;
        let mut tried = ledger;
        for commit in &commits {
            if commit.revision != end.revision.next() || commit.at < end.at {
                let why = StoreError::corrupt("turn", "it does not continue the ledger");
                return Err(TurnError::Conflict(why));
            }
            for change in &commit.changes {
                if let Change::Remove(key) = change
                    && !tried.records.contains_key(key)
                {
                    let why = StoreError::corrupt("turn", "what is removed is not there");
                    return Err(TurnError::Conflict(why));
                }
                match change {
                    Change::Put(record) => drop(tried.records.insert(record.key(), record.clone())),
                    Change::Remove(key) => drop(tried.records.remove(key)),
                }
            }
            end = commit.head();
        }
        if matches!(flaw, Flaw::LostUpdate | Flaw::TornAppend) {
            tokio::task::yield_now().await;
        }
        for commit in &commits {
            self.lock().take(commit, flaw);
            if flaw == Flaw::TornAppend {
                tokio::time::sleep(Duration::from_micros(50)).await;
            }
        }
        let durable = flaw != Flaw::EarlyAcknowledgement || end.revision.get().is_multiple_of(5);
        if durable {
            *self.server.kept.lock().unwrap() = self.lock().clone();
        }
        drop(turn);
        Ok(end)
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }
}

struct Place(Arc<Server>);

impl Place {
    fn new(flaw: Flaw) -> Self {
        let (ledger, kept, backup) = Default::default();
        let (turn, handles, first_in_line) = Default::default();
        Place(Arc::new(Server { flaw, ledger, kept, backup, turn, handles, first_in_line }))
    }
}

#[async_trait]
impl Fixture for Place {
    async fn open(&self) -> Arc<dyn Store> {
        let handle = self.0.handles.fetch_add(1, Ordering::SeqCst);
        Arc::new(Careless { server: self.0.clone(), handle, seen: Arc::default() })
    }

    async fn crash(&self) -> bool {
        *self.0.ledger.lock().unwrap() = self.0.kept.lock().unwrap().clone();
        true
    }

    async fn back_up(&self) -> bool {
        *self.0.backup.lock().unwrap() = self.0.ledger.lock().unwrap().clone();
        true
    }

    async fn restore(&self) {
        *self.0.ledger.lock().unwrap() = self.0.backup.lock().unwrap().clone();
    }
}

/// What the broken ones are made from is no broken store itself.
mod sound {
    use super::*;

    memc_core::store_conformance!(Place::new(Flaw::None));
}

macro_rules! caught {
    ($($name:ident: $flaw:ident by $case:ident;)*) => {$(
        #[test]
        fn $name() {
            let case = || conformance::run(async {
                let place = Place::new(Flaw::$flaw);
                conformance::$case(&place).await;
            });
            let passed = catch_unwind(AssertUnwindSafe(case)).is_ok();
            assert!(!passed, "{} passed with {:?}", stringify!($case), Flaw::$flaw);
        }
    )*};
}

caught! {
    a_lost_update: LostUpdate by concurrent_turns_neither_lose_nor_double;
    a_gap: Gap by commits_come_in_pages;
    a_request_carried_out_twice: NotIdempotent by random_commands_match_the_reference;
    a_torn_append: TornAppend by dropped_turns_are_all_or_nothing;
    a_stale_read: StaleRead by handles_see_each_other;
    acknowledged_before_it_is_durable: EarlyAcknowledgement by acknowledged_outlasts_a_crash;
    a_rewound_head: RewindUnnoticed by a_rewound_ledger_is_found;
    a_starving_handle: Starving by turns_are_fair;
    a_load_of_several_moments: TornLoad by loads_are_of_one_moment;
}
