//! What the ledger's queries need of a database: the one thing each dialect implements.

use std::error::Error;
use std::sync::Arc;

use memc_core::store::{StoreError, TurnError};

use crate::value::{Type, Value};

/// A connection, or a transaction on one.
pub(crate) trait Session: Send {
    /// Carry out steps in their order, and say how many rows they changed together. Where one fails, those after it
    /// are not carried out.
    fn execute(&mut self, steps: Vec<Step>) -> impl Future<Output = Result<u64, Failure>> + Send;

    /// Run a query whose columns are of these types.
    fn rows(
        &mut self,
        sql: &Arc<str>,
        values: Vec<Value>,
        types: &[Type],
    ) -> impl Future<Output = Result<Vec<Vec<Value>>, Failure>> + Send;
}

/// A statement that changes rows, with its parameters.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) sql: Arc<str>,
    pub(crate) values: Vec<Value>,
}

/// What became of a statement that did not do what it should, as the driver's error codes tell.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A key or a check is in the way.
    Constraint(Box<dyn Error + Send + Sync>),
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
            Failure::Constraint(source) | Failure::Corrupt(source) => StoreError::corrupt(operation, source),
        }
    }

    /// For a turn before its COMMIT: nothing was appended.
    pub(crate) fn appending(self) -> TurnError {
        match self {
            Failure::Constraint(source) => TurnError::Conflict(StoreError::corrupt("append", source)),
            other => TurnError::Store(other.reading("append")),
        }
    }
}

impl From<crate::value::Unreadable> for Failure {
    fn from(unreadable: crate::value::Unreadable) -> Self {
        Failure::Corrupt(Box::new(unreadable))
    }
}
