//! History of bounded length: deleting the oldest commits.

use memc_core::model::Timestamp;

use crate::ConnectError;
use crate::migrate::Schema;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use crate::server::ServerStore;
use crate::session::{Failure, Session, rows};
use crate::statement::Statements;
use crate::url::Scheme;
use crate::value::{Fields, Value};

/// The newest commits, which are never deleted: those that processes may still have to catch up with.
pub(crate) const KEPT: u64 = 5_000;

/// How many commits one step looks at, and deletes at most: what others wait for is short.
pub(crate) const STEP: usize = 1_000;

/// Delete what happened before a time from the history of the store that a URL names, and say how many commits that
/// were.
///
/// Records stay as they are: only the commits that led to them go, oldest first, and never the newest 5,000. Others may
/// use the store meanwhile; it is done in steps of 1,000 commits, each durable by itself, so that it can be broken off
/// and begun again. A process that was away for longer than what is kept loads anew. The database reuses the space.
///
/// # Errors
/// As [`connect_existing`](crate::connect_existing), which it begins with.
pub async fn forget_history(url: &str, before: Timestamp) -> Result<u64, ConnectError> {
    let options = crate::Options::default();
    match Scheme::of(url)? {
        #[cfg(feature = "sqlite")]
        Scheme::Sqlite => {
            let path = crate::url::sqlite_path(url)?;
            Ok(crate::SqliteStore::open_as(&path, options, Schema::AsItIs).await?.forget(before).await?)
        }
        #[cfg(feature = "postgres")]
        Scheme::Postgres => {
            let server = crate::postgres::server(url)?;
            Ok(ServerStore::open(server, options, Schema::AsItIs).await?.forget(before).await?)
        }
        #[cfg(feature = "mysql")]
        Scheme::MySql => {
            let server = crate::mysql::server(url)?;
            Ok(ServerStore::open(server, options, Schema::AsItIs).await?.forget(before).await?)
        }
        #[allow(unreachable_patterns)] // with all features on
        _ => crate::not_built_in(),
    }
}

/// One step; says how many were deleted. Fewer than [`STEP`] means that it is done.
pub(crate) async fn step(
    session: &mut impl Session,
    sql: &Statements,
    before: Timestamp,
) -> Result<usize, Failure> {
    let values = vec![Value::integer(KEPT), Value::integer(STEP)];
    let mut last = None;
    let mut count = 0;
    let read = |fields: &mut Fields<'_>| Ok((fields.number()?, Timestamp::from_millis(fields.number()?)));
    for (revision, at) in rows(session, &sql.oldest, values, read).await? {
        // Times never go back along the ledger.
        if at >= before {
            break;
        }
        (last, count) = (Some(revision), count + 1);
    }
    if let Some(last) = last {
        rows(session, &sql.forget, vec![Value::integer(last)], |_| Ok(())).await?;
    }
    Ok(count)
}
