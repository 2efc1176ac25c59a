//! A store that fails when told to, for tests of what is built on a fleet.

use std::sync::Mutex;
use std::sync::PoisonError;

use async_trait::async_trait;

use super::{Decide, Finding, Load, MemoryStore, Severity, Store, StoreError, TurnError};
use crate::ledger::{Commit, Head};
use crate::model::Revision;

/// How a [`FaultyStore`] behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fault {
    /// As a store should.
    #[default]
    None,
    /// It does not answer, and says so at once.
    Away,
    /// It never answers.
    Hangs,
    /// Its settings are such that what it acknowledges could be lost.
    Unsafe,
    /// The next append is made and its acknowledgement lost; then it is away.
    BreaksOff,
}

/// A [`MemoryStore`] that fails when told to. With the feature `conformance`, for tests.
#[derive(Debug, Default)]
pub struct FaultyStore {
    store: MemoryStore,
    fault: Mutex<Fault>,
}

impl FaultyStore {
    /// Behave like this from now on.
    pub fn be(&self, fault: Fault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    fn fault(&self) -> Fault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn up(&self) -> Result<&MemoryStore, StoreError> {
        match self.fault() {
            Fault::Away => Err(StoreError::unavailable("test", "the store was told to be away")),
            Fault::Hangs => std::future::pending().await,
            Fault::None | Fault::Unsafe | Fault::BreaksOff => Ok(&self.store),
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn head(&self) -> Result<Head, StoreError> {
        self.up().await?.head().await
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        self.up().await?.load(into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.up().await?.commits(after, limit).await
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.up().await?.history(target, before, limit).await
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        let head = self.up().await?.turn(at, by).await?;
        if self.fault() == Fault::BreaksOff {
            self.be(Fault::Away);
            return Err(TurnError::Unknown(StoreError::unavailable("commit", "the connection was reset")));
        }
        Ok(head)
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.up().await?;
        let finding = || Finding {
            severity: Severity::Refuse,
            code: "test.unsafe".into(),
            message: "the store was told to be unsafe".into(),
        };
        Ok((self.fault() == Fault::Unsafe).then(finding).into_iter().collect())
    }
}
