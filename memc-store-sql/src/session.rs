//! What the ledger's queries need of a database: the one thing each dialect implements.

use std::error::Error;
use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use memc_core::store::{StoreError, TurnError};

use crate::statement::Step;
use crate::value::{Columns, Fields, Unreadable, Value};

/// A connection, or a transaction on one.
pub(crate) trait Session: Send {
    type Row: Columns + Send;

    /// Take these steps, deletions first, in as few round trips as the database allows, and say of how many rows each
    /// was.
    fn change(&mut self, steps: &[Step]) -> impl Future<Output = Result<Vec<u64>, Failure>> + Send;

    /// Undo everything since the savepoint `appending`, which the transaction has set before it writes.
    fn undo(&mut self) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Run a query. Its rows come as the database finds them, and wait there until they are asked for.
    fn query(&mut self, sql: &Arc<str>, values: Vec<Value>) -> BoxStream<'_, Result<Self::Row, sqlx::Error>>;

    /// What an error means for who asked.
    fn failure(error: sqlx::Error) -> Failure;
}

/// Run a query that has few rows, and read each.
pub(crate) async fn rows<S: Session, T>(
    session: &mut S,
    sql: &Arc<str>,
    values: Vec<Value>,
    read: fn(&mut Fields<'_>) -> Result<T, Unreadable>,
) -> Result<Vec<T>, Failure> {
    let mut rows = session.query(sql, values);
    let mut all = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(S::failure)? {
        all.push(read(&mut Fields::new(&row))?);
    }
    Ok(all)
}

/// What became of a statement that did not do what it should, as the driver's error codes tell.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A key or a check is in the way.
    Constraint(Box<dyn Error + Send + Sync>),
    /// It is more than the server takes, in whatever order.
    #[cfg_attr(not(feature = "mysql"), allow(dead_code))]
    TooLong(String),
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
            Failure::TooLong(why) => StoreError::corrupt(operation, why),
        }
    }

    /// For a turn before its COMMIT: nothing was appended.
    pub(crate) fn appending(self) -> TurnError {
        match self {
            Failure::Constraint(source) => TurnError::Conflict(StoreError::corrupt("append", source)),
            Failure::TooLong(why) => TurnError::TooLong(why),
            other => TurnError::Store(other.reading("append")),
        }
    }
}

impl From<Unreadable> for Failure {
    fn from(unreadable: Unreadable) -> Self {
        Failure::Corrupt(Box::new(unreadable))
    }
}
