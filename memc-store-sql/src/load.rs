//! Reading everything as of one moment.

use std::time::Duration;

use futures_util::TryStreamExt;
use memc_core::ledger::Head;
use memc_core::model::Record;
use memc_core::store::{Load, StoreError};
use sqlx::Connection;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::ledger::end;
use crate::session::{Failure, Session};
use crate::statement::Statements;
use crate::table::TABLES;
use crate::value::Fields;

/// Records handed over at once.
const PAGE: usize = 500;
/// Pages that are ready before they are asked for.
const AHEAD: usize = 4;

/// Hand over every record, in pages, each of which comes in time. The connection is one of its own, in a transaction
/// that sees one moment and ends with it.
///
/// Each table is one query whose rows come as the database finds them: it is read once, and by a task of its own, so
/// that the next page is read while the last is taken in.
pub(crate) async fn load<C: Session + Connection + 'static>(
    connection: C,
    sql: &'static Statements,
    patience: Duration,
    into: &mut dyn Load,
) -> Result<Head, StoreError> {
    let (ready, mut pages) = mpsc::channel(AHEAD);
    // Whoever drops this future drops `pages`, which ends the task.
    let reading = tokio::spawn(async move {
        let mut connection = connection;
        let read = read(&mut connection, sql, patience, ready).await;
        // The server is told, so that it need not find out by itself.
        let _ = timeout(Duration::from_secs(1), connection.close()).await;
        read
    });
    while let Some(page) = pages.recv().await {
        into.take(page).map_err(|why| StoreError::corrupt("load", why))?;
    }
    reading.await.unwrap_or_else(|ended| Err(StoreError::unavailable("load", ended)))
}

async fn read<S: Session>(
    session: &mut S,
    sql: &Statements,
    patience: Duration,
    ready: mpsc::Sender<Vec<Record>>,
) -> Result<Head, StoreError> {
    let end = in_time(patience, end(session, sql)).await?;
    for (table, sql) in TABLES.iter().zip(&sql.tables) {
        let mut rows = session.query(sql, Vec::new());
        loop {
            let page = in_time(patience, async {
                let mut page = Vec::with_capacity(PAGE);
                while page.len() < PAGE
                    && let Some(row) = rows.try_next().await.map_err(S::failure)?
                {
                    let record = (table.read)(&mut Fields::new(&row));
                    let mut record = record.map_err(|error| error.in_table(table.name))?;
                    if let Record::Fleet(fleet) = &mut record {
                        fleet.last_id = end.last_id;
                    }
                    page.push(record);
                }
                Ok(page)
            })
            .await?;
            let full = page.len() == PAGE;
            if !page.is_empty() && ready.send(page).await.is_err() {
                return Err(StoreError::unavailable("load", "the caller is gone"));
            }
            if !full {
                break;
            }
        }
    }
    Ok(end.head)
}

async fn in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, StoreError> {
    match timeout(patience, answer).await {
        Ok(answer) => answer.map_err(|failure| failure.reading("load")),
        Err(_) => Err(StoreError::unavailable("load", format!("no answer for {patience:?}"))),
    }
}
