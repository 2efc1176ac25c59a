//! One turn: a short transaction under the ledger's lock.

use std::sync::Arc;

use memc_core::ledger::{FORMAT, Head};
use memc_core::store::{Finding, TurnError};
use tokio::time::timeout;

use super::{Began, Inner, Server, close, refusing, silent};
use crate::ledger::{Beginning, End, append, missed};
use crate::session::{Failure, Session};
use crate::turn::{Caller, away};
use crate::value::Unreadable;

pub(super) async fn run<S: Server>(
    inner: Arc<Inner<S>>,
    at: Head,
    caller: Caller,
) -> Result<Head, TurnError> {
    // In the order of the callers of this handle; then among processes.
    let mut slot = tokio::select! {
        slot = inner.writer.lock() => slot,
        gone = caller.gone() => return Err(gone),
    };
    let (mut connection, end) = inner.begin(slot.take()).await.map_err(Failure::appending)?;
    // From here on the task is alone. Whatever ends it early drops the connection, which closes its socket, and the
    // server ends the transaction.
    let patience = inner.options.patience;
    let after = match timeout(patience, decide_and_write::<S>(&mut connection, end, at, caller)).await {
        Ok(Ok(after)) => after,
        Ok(Err(error)) => {
            match inner.in_time(S::roll_back(&mut connection)).await {
                Ok(()) => *slot = Some(connection),
                Err(_) => close(connection).await,
            }
            return Err(error);
        }
        Err(_) => return Err(away(silent(patience))),
    };
    let unknown = |error: Failure| TurnError::Unknown(error.reading("commit"));
    inner.in_time(S::commit(&mut connection)).await.map_err(unknown)?;
    *slot = Some(connection);
    Ok(after)
}

async fn decide_and_write<S: Server>(
    connection: &mut S::Connection,
    end: Result<End, Unreadable>,
    at: Head,
    caller: Caller,
) -> Result<Head, TurnError> {
    let end = end.map_err(|error| Failure::from(error).appending())?;
    let at = caller.reached(at).await?;
    let Beginning { end, missed, now } = missed(connection, S::statements(), end, at, FORMAT).await?;
    let commits = caller.decide(missed, now).await?;
    append(connection, &end, &commits).await.map_err(Failure::appending)
}

/// A connection in a turn, and the ledger's end.
type Begun<S> = (<S as Server>::Connection, Result<End, Unreadable>);

impl<S: Server> Inner<S> {
    /// Begin a turn, with the connection of the last one if that still works.
    async fn begin(&self, last: Option<S::Connection>) -> Result<Begun<S>, Failure> {
        if let Some(connection) = last {
            match self.begin_with(connection).await? {
                Ok(begun) => return Ok(begun),
                // It was started again meanwhile, or has closed what was idle.
                Err(error) => tracing::info!(%error, "the connection to the store is made anew"),
            }
        }
        let mut connection = self.connect().await?;
        self.in_time(S::set_up_for_turns(&mut connection, &self.options)).await?;
        // The server may not be the one that was checked, or not run with the same settings.
        let findings = self.findings(&mut connection).await?;
        let accepted = |finding: &&Finding| self.accepted.contains(&finding.code);
        if let Some(finding) = refusing(&findings).find(|finding| !accepted(finding)) {
            let why = format!("the server has come back with unsafe settings: {}", finding.message);
            close(connection).await;
            return Err(Failure::Unavailable(why.into()));
        }
        self.begin_with(connection).await?.map_err(S::Connection::failure)
    }

    /// Begin a turn. The inner error is one of the connection.
    async fn begin_with(
        &self,
        mut connection: S::Connection,
    ) -> Result<Result<Begun<S>, sqlx::Error>, Failure> {
        let at_most = self.options.lock_wait + self.options.patience;
        match timeout(at_most, S::begin(&mut connection, &self.options)).await {
            Ok(Ok(Began::Alone(end))) => Ok(Ok((connection, end))),
            Ok(Ok(Began::Locked(holder))) => {
                close(connection).await;
                let waited = self.options.lock_wait;
                Err(Failure::Unavailable(
                    format!("store locked: {holder} has had the turn for {waited:?}").into(),
                ))
            }
            Ok(Err(error)) => Ok(Err(error)),
            Err(_) => Err(Failure::Unavailable(silent(at_most))),
        }
    }
}
