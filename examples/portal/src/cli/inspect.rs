//! Reading a fleet without becoming part of it: nothing is written, no task is started.

use std::collections::HashMap;

use memc_core::ledger::{Change, Commit, Head, State};
use memc_core::model::{CommitId, Key, Record, Revision};
use memc_core::store::{Load, Store, StoreError};

struct Folded {
    state: State,
    records: Vec<Record>,
    keep: bool,
}

impl Load for Folded {
    fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
        for record in records {
            if self.keep {
                self.records.push(record.clone());
            }
            self.state.apply(Change::Put(record)).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

async fn load(store: &dyn Store, keep: bool) -> Result<Folded, StoreError> {
    let mut folded = Folded { state: State::default(), records: Vec::new(), keep };
    let head = store.load(&mut folded).await?;
    folded.state.loaded(head);
    Ok(folded)
}

/// The state that a store keeps, or what contradicts itself in it.
pub(super) async fn state(store: &dyn Store) -> Result<State, StoreError> {
    Ok(load(store, false).await?.state)
}

/// What the tables of a store and the history beside them say of each other.
#[derive(Debug)]
pub(super) struct Comparison {
    /// What the tables say.
    pub(super) state: State,
    /// Records in them.
    pub(super) records: u64,
    /// Commits that are kept, from which revision on.
    pub(super) commits: u64,
    pub(super) first: Revision,
    /// Records that no commit wrote which is kept: they cannot be compared. 0 where the whole history is kept.
    pub(super) older: u64,
    /// Records of which the two say something else.
    pub(super) different: Vec<Key>,
    /// What is wrong with the history itself.
    pub(super) broken: Option<String>,
}

impl Comparison {
    /// Whether the history reaches back to the first commit.
    pub(super) fn is_whole(&self) -> bool {
        self.commits == 0 || self.first == Revision::new(1)
    }
}

/// Compare every record with what the commits that are kept made of it. Reads everything; others may go on writing, it is
/// compared as of the moment of loading.
pub(super) async fn compare(store: &dyn Store) -> Result<Comparison, StoreError> {
    let Folded { state, records, .. } = load(store, true).await?;
    let head = state.head();
    let mut history = History::default();
    let mut at = Revision::default();
    while at < head.revision {
        let page = store.commits(at, 1000).await?;
        let Some(last) = page.last() else {
            break;
        };
        at = last.revision;
        page.iter().filter(|commit| commit.revision <= head.revision).for_each(|commit| history.take(commit));
    }
    if history.broken.is_none()
        && head != Head::EMPTY
        && (history.last.0, history.last.1) != (head.revision, head.id)
    {
        history.broken = Some(format!(
            "it ends with revision {} ({}), the head is {} ({})",
            history.last.0, history.last.1, head.revision, head.id
        ));
    }
    let whole = history.commits == 0 || history.first == Revision::new(1);
    let (count, mut older, mut different) = (records.len() as u64, 0, Vec::new());
    for record in records {
        let key = record.key();
        match history.made.remove(&key) {
            None if !whole => older += 1,
            Some(Some(made)) if made == record => {}
            _ => different.push(key),
        }
    }
    // What the commits made and the tables do not have.
    different.extend(history.made.into_iter().filter(|(_, made)| made.is_some()).map(|(key, _)| key));
    different.sort();
    let History { commits, first, broken, .. } = history;
    Ok(Comparison { state, records: count, commits, first, older, different, broken })
}

/// What the commits that are kept come to.
struct History {
    commits: u64,
    first: Revision,
    last: (Revision, CommitId),
    /// Each record that they wrote, as the last of them left it.
    made: HashMap<Key, Option<Record>>,
    broken: Option<String>,
}

impl Default for History {
    fn default() -> Self {
        let last = (Revision::default(), CommitId::NONE);
        History { commits: 0, first: Revision::default(), last, made: HashMap::new(), broken: None }
    }
}

impl History {
    fn take(&mut self, commit: &Commit) {
        if self.commits == 0 {
            self.first = commit.revision;
        }
        // What the first one that is kept names as the one before may have been forgotten.
        let follows = (commit.revision, commit.previous) == (self.last.0.next(), self.last.1);
        if !follows && (self.commits > 0 || commit.revision == Revision::new(1)) && self.broken.is_none() {
            self.broken = Some(format!(
                "commit {} names {} as the one before, which is {} ({})",
                commit.revision, commit.previous, self.last.0, self.last.1
            ));
        }
        self.commits += 1;
        self.last = (commit.revision, commit.id);
        for change in &commit.changes {
            match change {
                Change::Put(record) => self.made.insert(record.key(), Some(record.clone())),
                Change::Remove(key) => self.made.insert(key.clone(), None),
            };
        }
    }
}
