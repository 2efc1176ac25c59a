//! One turn: a `BEGIN IMMEDIATE` transaction while this process has the lock files' turn.

use std::sync::Arc;

use memc_core::ledger::{FORMAT, Head};
use memc_core::store::{StoreError, TurnError};
use sqlx::SqliteConnection;

use super::connection::{close, writer};
use super::session::{failure, surely_not_committed};
use super::{Inner, STATEMENTS};
use crate::ledger::{Beginning, append, end, head, missed};
use crate::turn::{Caller, away};

pub(super) async fn run(inner: Arc<Inner>, at: Head, caller: Caller) -> Result<Head, TurnError> {
    let connections = inner.connections().await?;
    // In the order of the callers of this handle; then among processes.
    let mut slot = tokio::select! {
        slot = connections.writer.lock() => slot,
        gone = caller.gone() => return Err(gone),
    };
    // Before the connection, so that it is given back after the transaction has ended.
    let _turn = tokio::select! {
        turn = inner.turns.take(inner.options.lock_wait) => turn.map_err(away)?,
        gone = caller.gone() => return Err(gone),
    };
    // From here on the task is alone, and whatever ends it early closes the connection and with it the transaction.
    if !connections.are_of(&inner.path).map_err(away)? {
        return Err(away("the database file was replaced; it is opened anew"));
    }
    let mut connection = match slot.take() {
        Some(connection) => connection,
        None => writer(&inner.path).await.map_err(|error| failure(error).appending())?,
    };
    let turn = Turn { inner: &inner, at, caller };
    match turn.take(&mut connection).await {
        // Replaced while this was its turn: what was written is in a file that nobody finds any more.
        Ok(_) if !connections.are_of(&inner.path).unwrap_or(false) => {
            close(connection).await;
            let error = StoreError::unavailable("turn", "the database file was replaced meanwhile");
            Err(TurnError::Unknown(error))
        }
        Ok(head) => {
            *slot = Some(connection);
            Ok(head)
        }
        Err(Ended::Before(error)) => {
            // What was written is undone, or the connection is not used again.
            match sqlx::raw_sql("ROLLBACK").execute(&mut connection).await {
                Ok(_) => *slot = Some(connection),
                Err(_) => close(connection).await,
            }
            Err(error)
        }
        Err(Ended::Unopened(error)) => {
            close(connection).await;
            Err(error)
        }
        Err(Ended::Committing { error, before, after }) => {
            close(connection).await;
            settle(&inner, error, before, after).await
        }
    }
}

/// How a turn that was not acknowledged ended.
enum Ended {
    /// There was no transaction.
    Unopened(TurnError),
    /// Before its COMMIT: the transaction is still open.
    Before(TurnError),
    /// During its COMMIT.
    Committing { error: sqlx::Error, before: Head, after: Head },
}

struct Turn<'a> {
    inner: &'a Inner,
    at: Head,
    caller: Caller,
}

impl Turn<'_> {
    async fn take(self, connection: &mut SqliteConnection) -> Result<Head, Ended> {
        let before = |error: TurnError| Ended::Before(error);
        begin(connection).await.map_err(|error| Ended::Unopened(failure(error).appending()))?;
        let end = end(connection, &STATEMENTS).await.map_err(|failure| before(failure.appending()))?;
        let at = self.caller.reached(self.at).await.map_err(before)?;
        let Beginning { end, missed, now } =
            missed(connection, &STATEMENTS, end, at, FORMAT).await.map_err(before)?;
        let commits = self.caller.decide(missed, now).await.map_err(before)?;
        let unsettled = self.inner.is_unsettled();
        if unsettled {
            mark_settled(connection).await.map_err(|error| before(failure(error).appending()))?;
        }
        let savepoint = sqlx::raw_sql("SAVEPOINT appending").execute(&mut *connection).await;
        savepoint.map_err(|error| before(failure(error).appending()))?;
        let after = append(connection, &end, &commits).await;
        let after = after.map_err(|failure| before(failure.appending()))?;
        match sqlx::raw_sql("COMMIT").execute(&mut *connection).await {
            Ok(_) => {
                if unsettled {
                    self.inner.set_unsettled(false);
                }
                Ok(after)
            }
            Err(error) if surely_not_committed(&error) => Err(before(failure(error).appending())),
            Err(error) => Err(Ended::Committing { error, before: end.head, after }),
        }
    }
}

async fn begin(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    // Deferred transactions fail at once where they would have to wait for another writer.
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(connection).await.map(|_| ())
}

async fn mark_settled(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("UPDATE ledger SET settled = settled + 1").execute(connection).await.map(|_| ())
}

/// Find out what a failed COMMIT left behind, still within the turn.
///
/// A COMMIT that cannot flush is an error, and its pages are in the log all the same: nobody reads them, but the
/// recovery after a crash may find them whole and take them for a commit. They are out of the way once another
/// transaction has been written in their place, and what is the ledger's end then stays it.
async fn settle(inner: &Inner, error: sqlx::Error, before: Head, after: Head) -> Result<Head, TurnError> {
    inner.set_unsettled(true);
    let error = failure(error).reading("commit");
    match try_to_settle(inner).await {
        Ok(found) => {
            inner.set_unsettled(false);
            if found == after {
                Ok(after)
            } else if found == before {
                Err(TurnError::Store(error))
            } else {
                Err(TurnError::Unknown(error))
            }
        }
        Err(unsettled) => {
            tracing::warn!(%error, %unsettled, "a commit failed, and what became of it is not settled yet");
            Err(TurnError::Unknown(error))
        }
    }
}

async fn try_to_settle(inner: &Inner) -> Result<Head, StoreError> {
    let reading = |error: sqlx::Error| failure(error).reading("settle");
    let mut connection = writer(&inner.path).await.map_err(reading)?;
    begin(&mut connection).await.map_err(reading)?;
    let found = head(&mut connection, &STATEMENTS).await.map_err(|failure| failure.reading("settle"))?;
    mark_settled(&mut connection).await.map_err(reading)?;
    sqlx::raw_sql("COMMIT").execute(&mut connection).await.map_err(reading)?;
    close(connection).await;
    Ok(found)
}
