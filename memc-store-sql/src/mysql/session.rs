//! A MariaDB connection as the ledger's queries use it.

use std::mem;
use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sqlx::mysql::{MySqlArguments, MySqlDatabaseError, MySqlRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Either, MySql, MySqlConnection, raw_sql};

use super::text::{self, MOST_BYTES, is_update};
use crate::session::{Failure, Session};
use crate::statement::{Kind, Step};
use crate::value::Value;

impl Session for MySqlConnection {
    type Row = MySqlRow;

    async fn change(&mut self, steps: &[Step]) -> Result<Vec<u64>, Failure> {
        let mut counts = vec![0; steps.len()];
        let (mut statements, mut of) = (String::new(), Vec::new());
        for (number, step) in steps.iter().enumerate() {
            let mut left = &step.rows[..];
            while !left.is_empty() {
                let (rows, others) = left.split_at(if is_update(step) { 1 } else { text::few(left) });
                text::write(&mut statements, step, rows);
                of.push((number, rows.len()));
                left = others;
                if statements.len() > MOST_BYTES {
                    run(self, &mem::take(&mut statements), steps, &mem::take(&mut of), &mut counts).await?;
                }
            }
        }
        run(self, &statements, steps, &of, &mut counts).await?;
        Ok(counts)
    }

    async fn undo(&mut self) -> Result<(), Failure> {
        raw_sql("ROLLBACK TO SAVEPOINT appending").execute(self).await.map(|_| ()).map_err(failure)
    }

    fn query(&mut self, sql: &Arc<str>, values: Vec<Value>) -> BoxStream<'_, Result<MySqlRow, sqlx::Error>> {
        query(sql, values).fetch(self)
    }

    fn failure(error: sqlx::Error) -> Failure {
        failure(error)
    }
}

/// Run statements, each of which is of so many rows of one of the steps, in one round trip.
async fn run(
    connection: &mut MySqlConnection,
    statements: &str,
    steps: &[Step],
    of: &[(usize, usize)],
    counts: &mut [u64],
) -> Result<(), Failure> {
    if of.is_empty() {
        return Ok(());
    }
    let mut of = of.iter();
    let mut done = raw_sql(AssertSqlSafe(statements)).fetch_many(connection);
    while let Some(done) = done.try_next().await.map_err(failure)? {
        if let (Either::Left(done), Some((step, rows))) = (done, of.next()) {
            // One that inserts or updates counts the latter twice; it is of all, or fails.
            let upserts = steps[*step].kind == Kind::Put && !is_update(&steps[*step]);
            counts[*step] += if upserts { *rows as u64 } else { done.rows_affected() };
        }
    }
    Ok(())
}

fn query(sql: &Arc<str>, values: Vec<Value>) -> Query<'static, MySql, MySqlArguments> {
    // The statements are made of names in this crate; values are bound.
    let query = sqlx::query(AssertSqlSafe(Arc::clone(sql)));
    values.into_iter().fold(query, |query, value| match value {
        Value::Null => query.bind(None::<i64>),
        Value::Integer(number) => query.bind(number),
        Value::Text(text) => query.bind(text),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}

// Error numbers, <https://mariadb.com/kb/en/mariadb-error-code-reference/>.
pub(super) const NO_SUCH_TABLE: u16 = 1146;
const BAD_FIELD: u16 = 1054;
const NO_SUCH_FUNCTION: u16 = 1305;
const UNKNOWN_VARIABLE: u16 = 1193;
const SYNTAX: u16 = 1064;
const CRASHED_TABLES: [u16; 3] = [126, 1194, 1712];
/// Values that a column does not take; checks of MariaDB and of MySQL.
const CONSTRAINTS: [u16; 8] = [1048, 1264, 1265, 1366, 1406, 4025, 3819, 4078];

pub(super) fn number(error: &sqlx::Error) -> Option<u16> {
    Some(error.as_database_error()?.try_downcast_ref::<MySqlDatabaseError>()?.number())
}

/// What an error means for who asked.
pub(super) fn failure(error: sqlx::Error) -> Failure {
    // 22: data that no column takes, 23: integrity constraints, 45: a trigger's own word.
    let state = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    match (number(&error), state.as_deref().and_then(|state| state.get(..2))) {
        (Some(number), _) if CONSTRAINTS.contains(&number) => Failure::Constraint(error.into()),
        (Some(_), Some("22" | "23" | "45")) => Failure::Constraint(error.into()),
        (Some(NO_SUCH_TABLE | BAD_FIELD | NO_SUCH_FUNCTION | UNKNOWN_VARIABLE | SYNTAX), _) => {
            Failure::Corrupt(error.into())
        }
        (Some(number), _) if CRASHED_TABLES.contains(&number) => Failure::Corrupt(error.into()),
        (None, _)
            if matches!(
                error,
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnNotFound(_)
            ) =>
        {
            Failure::Corrupt(error.into())
        }
        // Away, starting, stopping, full, read-only, a lock or another transaction in the way (1205, 1213, 1020).
        _ => Failure::Unavailable(error.into()),
    }
}
