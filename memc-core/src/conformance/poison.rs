//! A command that the store refuses, beside others.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use async_trait::async_trait;
use tokio::sync::Mutex as Gate;

use super::Fixture;
use super::process::{all_commits, assert_sound};
use crate::Fleet;
use crate::fleet::{Options, SubmitError};
use crate::ledger::{Change, Command, Commit, Head, Order, Receipt};
use crate::model::{Key, Mib, Principal, Quota, Record, Revision, Team, TeamId, TeamName, Timestamp};
use crate::store::{Decide, Finding, Load, Store, StoreError, TurnError};

/// Commands that are decided together, and which of them is poisoned.
const TOGETHER: usize = 8;
const POISONED: usize = 3;
const POISONER: &str = "user:poison";

/// A command that the store itself refuses, in a batch beside good ones, takes none of them down: the batch is a
/// conflict and leaves nothing behind, each good one is carried out once, and writes go on. As of a bug in the rules:
/// what the command comes to is spoiled on its way to the store. It removes what is not there; for stores with
/// constraints it also takes a name twice and refers to nothing.
pub async fn a_poisoned_command_harms_only_itself(fixture: &dyn Fixture) {
    let options = Options { accept_risks: true, ..Options::default() };
    let poisoner = Arc::new(Poisoner {
        store: fixture.open().await,
        gate: Gate::default(),
        poison: Mutex::new(None),
        refused: Mutex::new(Vec::new()),
    });
    let fleet = Fleet::open(poisoner.clone(), options).await.expect("open");
    let order = |actor: &str, name: &str| Order {
        actor: Principal::new(actor).unwrap(),
        request: None,
        command: Command::CreateTeam { name: TeamName::new(name).unwrap() },
    };
    fleet.submit(order("user:good", "taken")).await.expect("a first command");
    let poisons = poisons(fixture.has_constraints());
    for (round, (what, poison)) in poisons.into_iter().enumerate() {
        *lock(&poisoner.poison) = Some(poison);
        lock(&poisoner.refused).clear();
        let before = fixture.open().await.head().await.expect("head").revision;
        // While the turn of the first waits, the others join it.
        let closed = poisoner.gate.lock().await;
        let orders = (0..TOGETHER).map(|number| {
            let actor = if number == POISONED { POISONER } else { "user:good" };
            order(actor, &format!("r{round}-{number}"))
        });
        let mut waiting: Vec<Submitted> = Vec::new();
        for order in orders {
            let fleet = fleet.clone();
            let mut submitted: Submitted = Box::pin(async move { fleet.submit(order).await });
            let polled = submitted.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending(), "{what}: answered before its turn");
            waiting.push(submitted);
        }
        drop(closed);
        let mut revisions = Vec::new();
        for (number, submitted) in waiting.into_iter().enumerate() {
            match submitted.await {
                Ok(receipt) if number != POISONED => revisions.push(receipt.revision),
                Err(SubmitError::Internal) if number == POISONED => {}
                other => panic!("{what}: a poisoned command took command {number} down: {other:?}"),
            }
        }
        // The batch, then the poisoned one alone.
        assert_eq!(*lock(&poisoner.refused), [TOGETHER, 1], "{what}: commits in the turns that were refused");
        revisions.sort_unstable();
        let expected: Vec<_> =
            (1..).map(|more| Revision::new(before.get() + more)).take(TOGETHER - 1).collect();
        assert_eq!(revisions, expected, "{what}: each good command was carried out once");
        let store = fixture.open().await;
        let commits = all_commits(&*store).await;
        assert_eq!(
            commits.len() as u64,
            before.get() + TOGETHER as u64 - 1,
            "{what}: nothing else was appended"
        );
        assert!(
            commits.iter().all(|commit| commit.actor.as_str() != POISONER),
            "{what}: poison was appended"
        );
        assert_sound(&*store).await;
    }
    let told = fleet.status().findings.into_iter().any(|finding| finding.code == "ledger.conflict");
    assert!(told, "a conflict is a finding");
}

type Submitted = Pin<Box<dyn Future<Output = Result<Receipt, SubmitError>> + Send>>;

fn poisons(constraints: bool) -> Vec<(&'static str, Change)> {
    let (nobody, revision) = (TeamId::new(1 << 40), Revision::new(1));
    let mut poisons = vec![("removing what is not there", Change::Remove(Key::Team { id: nobody }))];
    if constraints {
        let name = TeamName::new("taken").unwrap();
        let team = Team { id: nobody, name, revision };
        let cluster = crate::model::ClusterId::new(1 << 40);
        let quota = Quota { cluster, team: nobody, memory: Mib::ZERO, revision };
        poisons.push(("taking a name twice", Change::Put(Record::Team(team))));
        poisons.push(("referring to nothing", Change::Put(Record::Quota(quota))));
    }
    poisons
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds changes to what one actor's commands come to, and lets turns through as the case says.
struct Poisoner {
    store: Arc<dyn Store>,
    /// Held by a turn, or by the case while turns are to wait.
    gate: Gate<()>,
    poison: Mutex<Option<Change>>,
    /// How many commits each turn had that was a conflict.
    refused: Mutex<Vec<usize>>,
}

impl fmt::Debug for Poisoner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

struct Spoiling<'a> {
    by: &'a mut dyn Decide,
    poison: Option<Change>,
    commits: usize,
}

impl Decide for Spoiling<'_> {
    fn reached(&self, at: Head) -> Head {
        self.by.reached(at)
    }

    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        let mut commits = self.by.decide(missed, now);
        for commit in commits.iter_mut().filter(|commit| commit.actor.as_str() == POISONER) {
            commit.changes.extend(self.poison.clone());
        }
        self.commits = commits.len();
        commits
    }
}

#[async_trait]
impl Store for Poisoner {
    async fn head(&self) -> Result<Head, StoreError> {
        self.store.head().await
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        self.store.load(into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.store.commits(after, limit).await
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.store.history(target, before, limit).await
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        let _open = self.gate.lock().await;
        let mut spoiling = Spoiling { by, poison: lock(&self.poison).clone(), commits: 0 };
        let taken = self.store.turn(at, &mut spoiling).await;
        if matches!(taken, Err(TurnError::Conflict(_))) {
            lock(&self.refused).push(spoiling.commits);
        }
        taken
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.store.check().await
    }
}
