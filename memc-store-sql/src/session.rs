//! What the ledger's queries need of a database: the one thing each dialect implements.

use std::error::Error;
use std::sync::Arc;

use memc_core::store::{StoreError, TurnError};

use crate::statement::Step;
use crate::value::{Type, Value};

/// A connection, or a transaction on one.
pub(crate) trait Session: Send {
    /// Take these steps, deletions first, in as few round trips as the database allows, and say of how many rows each
    /// was.
    fn change(&mut self, steps: &[Step]) -> impl Future<Output = Result<Vec<u64>, Failure>> + Send;

    /// Undo everything since the savepoint `appending`, which the transaction has set before it writes.
    fn undo(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Run a query whose columns are of these types.
    fn rows(
        &mut self,
        sql: &Arc<str>,
        values: Vec<Value>,
        types: &[Type],
    ) -> impl Future<Output = Result<Vec<Vec<Value>>, Failure>> + Send;
}

/// What became of a statement that did not do what it should, as the driver's error codes tell.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A key or a check is in the way.
    Constraint(Box<dyn Error + Send + Sync>),
    /// It is more than the server takes, in whatever order.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code))]
    TooLong(Box<dyn Error + Send + Sync>),
    /// Away, locked, full: it may work later.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// What is stored cannot be.
    Corrupt(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// For operations that append nothing.
    pub(crate) fn reading(self, operation: &'static str) -> StoreError {
        match self {
            Failure::Unavailable(source) => StoreError::unavailable(operation, source),
            Failure::Constraint(source) | Failure::TooLong(source) | Failure::Corrupt(source) => {
                StoreError::corrupt(operation, source)
            }
        }
    }

    /// For a turn before its COMMIT: nothing was appended.
    pub(crate) fn appending(self) -> TurnError {
        match self {
            Failure::Constraint(source) | Failure::TooLong(source) => {
                TurnError::Conflict(StoreError::corrupt("append", source))
            }
            other => TurnError::Store(other.reading("append")),
        }
    }
}

impl From<crate::value::Unreadable> for Failure {
    fn from(unreadable: crate::value::Unreadable) -> Self {
        Failure::Corrupt(Box::new(unreadable))
    }
}
