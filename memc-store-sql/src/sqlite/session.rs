//! A SQLite connection as the ledger's queries use it.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, SqliteConnection};

use crate::session::{Failure, Session};
use crate::statement::{Kind, Step, names, next, on_conflict};
use crate::value::Value;

impl Session for SqliteConnection {
    type Row = SqliteRow;

    async fn change(&mut self, steps: &[Step]) -> Result<Vec<u64>, Failure> {
        let mut counts = Vec::with_capacity(steps.len());
        for step in steps {
            let (mut changed, mut left) = (0, &step.rows[..]);
            while !left.is_empty() {
                let (these, others) = next(left);
                let statement = statement(step, these.len()).into();
                let done = query(&statement, these.concat()).execute(&mut *self).await.map_err(failure)?;
                changed += done.rows_affected();
                left = others;
            }
            counts.push(changed);
        }
        Ok(counts)
    }

    async fn undo(&mut self) -> Result<(), Failure> {
        sqlx::raw_sql("ROLLBACK TO appending").execute(self).await.map(|_| ()).map_err(failure)
    }

    fn query(&mut self, sql: &Arc<str>, values: Vec<Value>) -> BoxStream<'_, Result<SqliteRow, sqlx::Error>> {
        query(sql, values).fetch(self)
    }

    fn failure(error: sqlx::Error) -> Failure {
        failure(error)
    }
}

/// The statement for a step that is of so many rows.
fn statement(step: &Step, rows: usize) -> String {
    let (table, columns) = (step.table, names(step.columns));
    let row = format!("({})", vec!["?"; step.columns.len()].join(", "));
    let rows = vec![row; rows].join(", ");
    match step.kind {
        Kind::Delete => format!("DELETE FROM {table} WHERE ({columns}) IN (VALUES {rows})"),
        Kind::Insert => format!("INSERT INTO {table} ({columns}) VALUES {rows}"),
        Kind::Put => format!("INSERT INTO {table} ({columns}) VALUES {rows} {}", on_conflict(step)),
    }
}

fn query(sql: &Arc<str>, values: Vec<Value>) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    // The statements are made of names in this crate; values are bound.
    let query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    values.into_iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Integer(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}

/// SQLite's result codes, <https://www.sqlite.org/rescode.html>; the extended ones keep these in their low byte.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const BUSY: i32 = 5;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const MISMATCH: i32 = 20;
    pub(super) const NOTADB: i32 = 26;
}

fn primary_code(error: &dyn DatabaseError) -> Option<i32> {
    error.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff)
}

/// What an error means for who asked.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    match &error {
        sqlx::Error::Database(database) => match (database.kind(), primary_code(&**database)) {
            (ErrorKind::Other, Some(code::ERROR | code::CORRUPT | code::NOTADB)) => {
                Failure::Corrupt(error.into())
            }
            // A trigger's and a strict column's refusals have no kind of their own.
            (ErrorKind::Other, Some(code::CONSTRAINT | code::MISMATCH)) => Failure::Constraint(error.into()),
            (ErrorKind::Other, Some(code::BUSY)) => {
                Failure::Unavailable(format!("another program keeps the database locked: {error}").into())
            }
            (ErrorKind::Other, _) => Failure::Unavailable(error.into()),
            _ => Failure::Constraint(error.into()),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_) => {
            Failure::Corrupt(error.into())
        }
        _ => Failure::Unavailable(error.into()),
    }
}

/// Whether a file is in the way, or the permissions of one are, or those of the directory.
pub(super) fn may_not_use(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if matches!(primary_code(&**database), Some(code::READONLY | code::CANTOPEN)))
}

/// Whether a COMMIT that failed with this has surely left nothing behind: SQLite found out before it wrote.
pub(super) fn surely_not_committed(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if matches!(primary_code(&**database), Some(code::BUSY | code::CONSTRAINT)))
}
