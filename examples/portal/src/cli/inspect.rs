//! Reading a fleet without becoming part of it: nothing is written, no task is started.

use memc_core::ledger::{Change, State};
use memc_core::model::Record;
use memc_core::store::{Load, Store, StoreError};

struct Folded(State);

impl Load for Folded {
    fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
        let mut records = records.into_iter();
        records
            .try_for_each(|record| self.0.apply(Change::Put(record)).map(drop))
            .map_err(|error| error.to_string())
    }
}

/// The state that a store keeps, or what contradicts itself in it.
pub(super) async fn state(store: &dyn Store) -> Result<State, StoreError> {
    let mut folded = Folded(State::default());
    let head = store.load(&mut folded).await?;
    folded.0.loaded(head);
    Ok(folded.0)
}

/// What a store's history says: the state that its commits fold to, or why they do not. Reads all of it.
pub(super) async fn history(store: &dyn Store) -> Result<State, StoreError> {
    let mut state = State::default();
    loop {
        let commits = store.commits(state.head().revision, 1000).await?;
        if commits.is_empty() {
            return Ok(state);
        }
        for commit in &commits {
            state.fold(commit).map_err(|error| StoreError::corrupt("commits", error))?;
        }
    }
}
