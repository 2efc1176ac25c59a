//! A store in memory: the reference that others are compared with, and what tests use.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{Decide, Finding, Load, MOST_MISSED, Severity, Store, StoreError, TurnError};
use crate::ledger::{Change, Commit, Head};
use crate::model::{Key, Record, Revision, Timestamp};

/// Keeps everything in this process's memory, for tests and for trying things out. A clone is a second handle on the
/// same ledger.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    // A tokio mutex queues its waiters in order: turns are taken fairly.
    ledger: Arc<Mutex<Ledger>>,
}

#[derive(Debug, Default)]
struct Ledger {
    records: BTreeMap<Key, Record>,
    commits: Vec<Commit>,
}

impl Ledger {
    fn head(&self) -> Head {
        self.commits.last().map_or(Head::EMPTY, Commit::head)
    }

    fn after(&self, revision: Revision, limit: usize) -> Vec<Commit> {
        let from = usize::try_from(revision.get()).unwrap_or(usize::MAX).min(self.commits.len());
        self.commits[from..].iter().take(limit).cloned().collect()
    }
}

impl MemoryStore {
    /// An empty ledger.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Whether commits continue the ledger and remove only what is there: all or nothing, so before any is applied.
fn check(ledger: &Ledger, commits: &[Commit]) -> Result<(), String> {
    let mut head = ledger.head();
    // What the commits so far put (true) or removed.
    let mut there: HashMap<Key, bool> = HashMap::new();
    for commit in commits {
        if commit.revision != head.revision.next() || commit.previous != head.id || commit.at < head.at {
            return Err(format!("commit {} does not continue {}", commit.revision, head.revision));
        }
        head = commit.head();
        for change in &commit.changes {
            match change {
                Change::Put(record) => {
                    there.insert(record.key(), true);
                }
                Change::Remove(key) => {
                    let known = there.get(key).copied();
                    if !known.unwrap_or_else(|| ledger.records.contains_key(key)) {
                        return Err(format!("{key:?} is not there to be removed"));
                    }
                    there.insert(key.clone(), false);
                }
            }
        }
    }
    Ok(())
}

#[async_trait]
impl Store for MemoryStore {
    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.ledger.lock().await.head())
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        let ledger = self.ledger.lock().await;
        let records = ledger.records.values().cloned().collect();
        into.take(records).map_err(|why| StoreError::corrupt("load", why))?;
        Ok(ledger.head())
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        Ok(self.ledger.lock().await.after(after, limit))
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        let ledger = self.ledger.lock().await;
        let newest_first = ledger.commits.iter().rev().filter(|commit| commit.revision < before);
        let of_target =
            newest_first.filter(|commit| target.is_none_or(|target| commit.action.target == target));
        Ok(of_target.take(limit).cloned().collect())
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        let mut ledger = self.ledger.lock().await;
        let (head, at) = (ledger.head(), by.reached(at));
        if head.revision < at.revision || (head.revision == at.revision && head.id != at.id) {
            return Err(TurnError::Diverged(head));
        }
        let missed = ledger.after(at.revision, MOST_MISSED + 1);
        if missed.len() > MOST_MISSED {
            return Err(TurnError::Behind);
        }
        if missed.first().is_some_and(|first| first.previous != at.id) {
            return Err(TurnError::Diverged(head));
        }
        let commits = by.decide(missed, Timestamp::of_this_machine().max(head.at));
        check(&ledger, &commits).map_err(|why| TurnError::Conflict(StoreError::corrupt("turn", why)))?;
        for commit in commits {
            for change in &commit.changes {
                match change {
                    Change::Put(record) => ledger.records.insert(record.key(), record.clone()),
                    Change::Remove(key) => ledger.records.remove(key),
                };
            }
            ledger.commits.push(commit);
        }
        Ok(ledger.head())
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(vec![Finding {
            severity: Severity::Note,
            code: "memory.volatile".into(),
            message: "everything is lost when this process ends: use a store on disk for anything but trials"
                .into(),
        }])
    }
}
