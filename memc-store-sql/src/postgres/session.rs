//! A PostgreSQL connection as the ledger's queries use it.

use std::sync::Arc;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row, raw_sql};

use crate::session::{Failure, Session};
use crate::statement::Many;
use crate::value::{Type, Value};

impl Session for PgConnection {
    async fn change(&mut self, statement: &Many, rows: &[Vec<Value>]) -> Result<u64, Failure> {
        let columns = statement.columns.iter().enumerate();
        let query = columns.fold(query(&statement.sql), |query, (column, (_, kind))| {
            let values = rows.iter().map(|row| row.get(column));
            match kind {
                Type::Integer => query.bind(values.map(integer).collect::<Vec<_>>()),
                Type::Text | Type::Json => query.bind(values.map(text).collect::<Vec<_>>()),
                Type::Bytes => query.bind(values.map(bytes).collect::<Vec<_>>()),
            }
        });
        let done = query.execute(self).await.map_err(failure)?;
        Ok(done.rows_affected())
    }

    async fn undo(&mut self) -> Result<(), Failure> {
        raw_sql("ROLLBACK TO SAVEPOINT appending").execute(self).await.map(|_| ()).map_err(failure)
    }

    async fn rows(
        &mut self,
        sql: &Arc<str>,
        values: Vec<Value>,
        types: &[Type],
    ) -> Result<Vec<Vec<Value>>, Failure> {
        let query = values.into_iter().fold(query(sql), |query, value| match value {
            Value::Null => query.bind(None::<i64>),
            Value::Integer(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
        });
        let rows = query.fetch_all(self).await.map_err(failure)?;
        rows.iter().map(|row| read(row, types).map_err(failure)).collect()
    }
}

fn query(sql: &Arc<str>) -> Query<'static, Postgres, PgArguments> {
    // The statements are made of names in this crate; values are bound.
    sqlx::query(AssertSqlSafe(Arc::clone(sql)))
}

fn integer(value: Option<&Value>) -> Option<i64> {
    if let Some(Value::Integer(number)) = value { Some(*number) } else { None }
}

fn text(value: Option<&Value>) -> Option<String> {
    if let Some(Value::Text(text)) = value { Some(text.clone()) } else { None }
}

fn bytes(value: Option<&Value>) -> Option<Vec<u8>> {
    if let Some(Value::Bytes(bytes)) = value { Some(bytes.clone()) } else { None }
}

fn read(row: &PgRow, types: &[Type]) -> Result<Vec<Value>, sqlx::Error> {
    let value = |(column, kind): (usize, &Type)| {
        Ok(match kind {
            Type::Integer => row.try_get::<Option<i64>, _>(column)?.map(Value::Integer),
            Type::Text | Type::Json => row.try_get::<Option<String>, _>(column)?.map(Value::Text),
            Type::Bytes => row.try_get::<Option<Vec<u8>>, _>(column)?.map(Value::Bytes),
        }
        .unwrap_or(Value::Null))
    };
    types.iter().enumerate().map(value).collect()
}

// Error codes, <https://www.postgresql.org/docs/current/errcodes-appendix.html>; the first two letters are their class.
pub(super) const UNDEFINED_TABLE: &str = "42P01";
pub(super) const LOCK_NOT_AVAILABLE: &str = "55P03";

pub(super) fn code(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

/// What an error means for who asked.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    let class = code(&error).and_then(|code| code.get(..2).map(str::to_owned));
    match (class.as_deref(), &error) {
        // Data that no column takes, and integrity constraints.
        (Some("22" | "23"), _) => Failure::Constraint(error.into()),
        // Something that is not there, or not allowed; something damaged.
        (Some("42" | "XX"), _) => Failure::Corrupt(error.into()),
        (
            None,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_),
        ) => Failure::Corrupt(error.into()),
        // Away, starting, stopping, full, read-only, a lock or another transaction in the way (40001, 40P01).
        _ => Failure::Unavailable(error.into()),
    }
}
