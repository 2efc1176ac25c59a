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
        let most = longest_message(self, steps).await?;
        // A message is sent when it is longer, and a statement more is at most as long again.
        let digits = MOST_BYTES.min(most / 4);
        for (number, step) in steps.iter().enumerate() {
            let mut left = &step.rows[..];
            while let Some(first) = left.first() {
                let few = text::few(left, digits).min(if is_update(step) { 1 } else { usize::MAX });
                if few == 0 {
                    run(self, &mem::take(&mut statements), steps, &mem::take(&mut of), &mut counts).await?;
                    counts[number] += run_apart(self, step, first, most).await?;
                    left = &left[1..];
                    continue;
                }
                let (rows, others) = left.split_at(few);
                text::write(&mut statements, step, rows);
                of.push((number, rows.len()));
                left = others;
                if statements.len() > digits {
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
            counts[*step] += if upserts(&steps[*step]) { *rows as u64 } else { done.rows_affected() };
        }
    }
    Ok(())
}

/// Whether rows are inserted or updated: the latter are counted twice, but it is of all, or fails.
fn upserts(step: &Step) -> bool {
    step.kind == Kind::Put && !is_update(step)
}

/// Run the statement of one long row of a step.
async fn run_apart(
    connection: &mut MySqlConnection,
    step: &Step,
    row: &Vec<Value>,
    most: usize,
) -> Result<u64, Failure> {
    let (statement, values) = text::apart(step, row);
    // With the message's head, and each value's type and length.
    let bytes = statement.len() + text::bytes(row) + 1024;
    if bytes > most {
        let needed = bytes.next_power_of_two();
        let why = format!(
            "a change takes a message of {bytes} bytes, max_allowed_packet is {most}, {needed} is needed: set it in the \
             [mysqld] section of the server's configuration and start it again"
        );
        return Err(Failure::TooLong(why));
    }
    let statement = query(&statement.into(), values).persistent(false);
    let done = statement.execute(connection).await.map_err(failure)?;
    Ok(if upserts(step) { 1 } else { done.rows_affected() })
}

/// Bytes in the steps' texts from which on the server is asked how long a message may be. In digits, with what is around
/// them, fewer fit into 256 KiB, which is the least that is told to do: a batch of short commits must not come to a message
/// that is too long, as each of them could be carried out.
const ASKED_FROM: usize = 64 << 10;

/// How long a message the server takes. It closes the connection on a longer one, so that nobody would know why.
async fn longest_message(connection: &mut MySqlConnection, steps: &[Step]) -> Result<usize, Failure> {
    if steps.iter().flat_map(|step| &step.rows).map(|row| text::bytes(row)).sum::<usize>() < ASKED_FROM {
        return Ok(usize::MAX);
    }
    let asked = sqlx::query_scalar("SELECT @@max_allowed_packet");
    let most: u64 = asked.fetch_one(connection).await.map_err(failure)?;
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
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
