//! A PostgreSQL connection as the ledger's queries use it.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row, raw_sql};

use crate::session::{Failure, Session};
use crate::statement::{Columns, Kind, Step, names, on_conflict};
use crate::value::{Type, Value};

impl Session for PgConnection {
    type Row = PgRow;

    async fn change(&mut self, steps: &[Step]) -> Result<Vec<u64>, Failure> {
        // Two statements at most: within one nobody says what comes first.
        let deletions = steps.iter().take_while(|step| step.kind == Kind::Delete).count();
        let mut counts = Vec::with_capacity(steps.len());
        for steps in [&steps[..deletions], &steps[deletions..]] {
            if steps.is_empty() {
                continue;
            }
            let statement = statement(steps).into();
            let row =
                steps.iter().fold(query(&statement), bind).fetch_one(&mut *self).await.map_err(failure)?;
            for (column, step) in steps.iter().enumerate() {
                counts.push(match step.kind {
                    Kind::Delete => row.try_get::<i64, _>(column).map_err(failure)?.unsigned_abs(),
                    // All of them, or an error.
                    Kind::Insert | Kind::Put => step.rows.len() as u64,
                });
            }
        }
        Ok(counts)
    }

    async fn undo(&mut self) -> Result<(), Failure> {
        raw_sql("ROLLBACK TO SAVEPOINT appending").execute(self).await.map(|_| ()).map_err(failure)
    }

    fn query(&mut self, sql: &Arc<str>, values: Vec<Value>) -> BoxStream<'_, Result<PgRow, sqlx::Error>> {
        let query = values.into_iter().fold(query(sql), |query, value| match value {
            Value::Null => query.bind(None::<i64>),
            Value::Integer(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
        });
        query.fetch(self)
    }

    fn failure(error: sqlx::Error) -> Failure {
        failure(error)
    }
}

/// One statement for several tables, which is prepared once for any numbers of rows.
fn statement(steps: &[Step]) -> String {
    let mut parameter = 0;
    let mut parts = Vec::with_capacity(steps.len());
    let mut answers = Vec::with_capacity(steps.len());
    for (number, step) in steps.iter().enumerate() {
        let (table, columns) = (step.table, names(step.columns));
        let rows = rows(step.columns, &mut parameter);
        let (change, answer) = match step.kind {
            Kind::Delete => (
                format!("DELETE FROM {table} WHERE ({columns}) IN ({rows}) RETURNING 1"),
                format!("(SELECT count(*) FROM step_{number})"),
            ),
            Kind::Insert => (format!("INSERT INTO {table} ({columns}) {rows}"), "NULL".to_owned()),
            Kind::Put => {
                (format!("INSERT INTO {table} ({columns}) {rows} {}", on_conflict(step)), "NULL".to_owned())
            }
        };
        parts.push(format!("step_{number} AS ({change})"));
        answers.push(answer);
    }
    format!("WITH {} SELECT {}", parts.join(", "), answers.join(", "))
}

/// Rows from one array for each column. In this form the server takes them from the arrays one by one, while a function
/// after FROM would be run to its end first, each into a table of its own.
fn rows(columns: Columns, parameter: &mut usize) -> String {
    let arrays = columns.iter().map(|(_, kind)| {
        *parameter += 1;
        match kind {
            Type::Integer => format!("unnest(${parameter}::bigint[])"),
            Type::Text => format!("unnest(${parameter}::text[])"),
            Type::Json => format!("unnest(${parameter}::text[])::json"),
            Type::Bytes => format!("unnest(${parameter}::bytea[])"),
        }
    });
    format!("SELECT {}", arrays.collect::<Vec<_>>().join(", "))
}

fn bind(query: PgQuery, step: &Step) -> PgQuery {
    step.columns.iter().enumerate().fold(query, |query, (column, (_, kind))| {
        let values = step.rows.iter().map(|row| row.get(column));
        match kind {
            Type::Integer => query.bind(values.map(integer).collect::<Vec<_>>()),
            Type::Text | Type::Json => query.bind(values.map(text).collect::<Vec<_>>()),
            Type::Bytes => query.bind(values.map(bytes).collect::<Vec<_>>()),
        }
    })
}

type PgQuery = Query<'static, Postgres, PgArguments>;

fn query(sql: &Arc<str>) -> PgQuery {
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
