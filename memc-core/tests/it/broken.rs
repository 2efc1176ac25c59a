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
use memc_core::store::{Decide, Finding, Load, MOST_MISSED, MemoryStore, StoreError, TurnError};

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
    /// Now and then shows the ledger as it was some commits ago, as a replica that lags does.
    GoesBack,
    /// Says that it is away when its constraints refuse a turn.
    ConflictAsFailure,
    /// Keeps the commits before the one that its constraints refuse.
    HalfOfARefusedBatch,
    /// Gives commits a time of its own.
    OwnClock,
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
        let mut commit = commit.clone();
        if flaw == Flaw::OwnClock {
            commit.at = Timestamp::of_this_machine();
        }
        for change in &commit.changes {
            match change {
                Change::Put(Record::Request(_)) if flaw == Flaw::NotIdempotent => {}
                Change::Put(record) => drop(self.records.insert(record.key(), record.clone())),
                Change::Remove(key) => drop(self.records.remove(key)),
            }
        }
        let at = commit.revision.get() as usize - 1;
        self.commits.truncate(at);
        self.commits.push(commit);
    }

    /// As it was so many commits ago.
    fn before(&self, count: usize) -> Ledger {
        let mut before = Ledger::default();
        let until = self.commits.len().saturating_sub(count);
        self.commits[..until].iter().for_each(|commit| before.take(commit, Flaw::None));
        before
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
            Flaw::GoesBack => {
                let mut seen = self.seen.lock().unwrap();
                seen.1 += 1;
                // Long enough for whoever notices to load anew what is as old.
                if seen.1 % 40 < 32 { current } else { current.before(3) }
            }
            _ => current,
        }
    }

    /// What a turn whose commits cannot be appended answers.
    fn refuse(&self, commits: &[Commit], why: &'static str) -> TurnError {
        match self.flaw() {
            Flaw::ConflictAsFailure => TurnError::Store(StoreError::unavailable("turn", why)),
            flaw => {
                if flaw == Flaw::HalfOfARefusedBatch {
                    commits.iter().for_each(|commit| self.lock().take(commit, flaw));
                }
                TurnError::Conflict(StoreError::corrupt("turn", why))
            }
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
        for (number, commit) in commits.iter().enumerate() {
            if commit.revision != end.revision.next() || commit.at < end.at {
                return Err(self.refuse(&commits[..number], "it does not continue the ledger"));
            }
            for change in &commit.changes {
                if let Change::Remove(key) = change
                    && !tried.records.contains_key(key)
                {
                    return Err(self.refuse(&commits[..number], "what is removed is not there"));
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

    async fn crash(&self) -> Result<(), &'static str> {
        *self.0.ledger.lock().unwrap() = self.0.kept.lock().unwrap().clone();
        Ok(())
    }

    async fn back_up(&self) -> Result<(), &'static str> {
        *self.0.backup.lock().unwrap() = self.0.ledger.lock().unwrap().clone();
        Ok(())
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

/// Its processes have nothing in common.
#[derive(Default)]
struct Apart(MemoryStore);

#[async_trait]
impl Fixture for Apart {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.0.clone())
    }

    fn process(&self) -> Option<std::process::Command> {
        Some(conformance::this_program("broken::process", "nowhere"))
    }
}

/// Not a test: what a case starts in processes of their own.
#[test]
#[ignore = "started by a case, in processes of their own"]
fn process() {
    conformance::process(async |_place: String| Arc::new(MemoryStore::new()) as Arc<dyn Store>);
}

/// Fails unless the case finds something within a minute, and it is one of these: who is first to meet what a flaw
/// leaves behind is the scheduler's choice.
fn assert_caught(why: &[&str], case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let within_a_minute =
        || runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), case).await });
    let Err(caught) = catch_unwind(AssertUnwindSafe(within_a_minute)) else {
        panic!("not caught within a minute");
    };
    let said = caught.downcast_ref::<String>().map(String::as_str);
    let said = said.or(caught.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(why.iter().any(|why| said.contains(why)), "caught, but not because of {why:?}: {said}");
}

macro_rules! caught {
    ($($name:ident: $fixture:expr, by $case:ident: $($why:literal)|+;)*) => {$(
        #[test]
        fn $name() {
            assert_caught(&[$($why),+], async {
                conformance::$case(&$fixture).await;
            });
        }
    )*};
}

caught! {
    a_lost_update: Place::new(Flaw::LostUpdate), by concurrent_turns_neither_lose_nor_double:
        "two commits were given revision" | "does not continue what was read before" | "revisions have no gaps";
    a_turn_that_others_overtake: Place::new(Flaw::LostUpdate), by a_turn_that_is_held_up_ends_at_the_end:
        "others had appended before it decided";
    a_gap: Place::new(Flaw::Gap), by commits_come_in_pages: "after 0, at most 25";
    a_request_carried_out_twice: Place::new(Flaw::NotIdempotent), by random_commands_match_the_reference:
        "what is loaded is what the commits fold to";
    a_torn_append: Place::new(Flaw::TornAppend), by dropped_turns_are_all_or_nothing:
        "half a batch was appended";
    a_stale_read: Place::new(Flaw::StaleRead), by handles_see_each_other: "round 2: the other handle's head";
    acknowledged_before_it_is_durable: Place::new(Flaw::EarlyAcknowledgement), by acknowledged_outlasts_a_crash:
        "acknowledged before the crash, and not there after it";
    a_rewound_head: Place::new(Flaw::RewindUnnoticed), by a_rewound_ledger_is_found: "asked to decide on another history";
    a_starving_handle: Place::new(Flaw::Starving), by turns_are_fair: "uneven shares of 600 turns";
    a_load_of_several_moments: Place::new(Flaw::TornLoad), by loads_are_of_one_moment: "is of several moments";
    a_read_that_goes_back: Place::new(Flaw::GoesBack), by handles_agree_on_one_history: "went back";
    a_conflict_told_as_a_failure: Place::new(Flaw::ConflictAsFailure), by a_poisoned_command_harms_only_itself:
        "a poisoned command took command";
    half_of_a_refused_batch: Place::new(Flaw::HalfOfARefusedBatch), by a_poisoned_command_harms_only_itself:
        "a poisoned command took command";
    a_time_of_its_own: Place::new(Flaw::OwnClock), by commits_of_earlier_formats_are_taken: "format 1";
    processes_with_a_ledger_each: Apart::default(), by processes_agree_on_one_history:
        "went back";
}
