//! The ledger in its tables: reading it and appending to it, alike for every database.

use std::borrow::Cow;

use memc_core::ledger::{Action, Change, Commit, Head};
use memc_core::model::{CommitId, Key, Record, Revision, Timestamp};
use memc_core::store::{Load, MOST_MISSED, StoreError, TurnError};

use crate::session::{Failure, Session, Step};
use crate::statement::{COMMIT, HEAD, PAGE, Statements};
use crate::table::{TABLES, key, row};
use crate::value::{Fields, Type, Unreadable, Value};

/// How many steps are sent at once.
const STEPS: usize = 8;

/// The ledger's end.
pub(crate) async fn head(session: &mut impl Session, sql: &Statements) -> Result<Head, Failure> {
    let rows = session.rows(&sql.head, Vec::new(), &HEAD).await?;
    let Some(row) = rows.into_iter().next() else {
        return Err(Unreadable("table ledger is empty".into()).into());
    };
    let mut fields = Fields::new(row);
    let format = fields.narrow()?;
    let Some(revision) = fields.optional_number()? else {
        return Ok(Head { format, ..Head::EMPTY });
    };
    let id = CommitId::from_bytes(fields.bytes()?);
    Ok(Head { revision: Revision::new(revision), id, at: Timestamp::from_millis(fields.number()?), format })
}

/// The commits after a revision, oldest first.
pub(crate) async fn commits(
    session: &mut impl Session,
    sql: &Statements,
    after: Revision,
    limit: usize,
) -> Result<Vec<Commit>, Failure> {
    let values = vec![Value::integer(after.get()), Value::integer(limit)];
    read_commits(session.rows(&sql.commits, values, &COMMIT.map(|(_, kind)| kind)).await?)
}

/// The commits before a revision, newest first.
pub(crate) async fn history(
    session: &mut impl Session,
    sql: &Statements,
    target: Option<&str>,
    before: Revision,
    limit: usize,
) -> Result<Vec<Commit>, Failure> {
    let mut values = vec![Value::integer(before.get()), Value::integer(limit)];
    let sql = match target {
        None => &sql.history,
        Some(target) => {
            values.insert(0, Value::text(target));
            &sql.history_of_target
        }
    };
    read_commits(session.rows(sql, values, &COMMIT.map(|(_, kind)| kind)).await?)
}

/// Hand over every record, page by page. The session is a transaction that sees one moment.
pub(crate) async fn load(
    session: &mut impl Session,
    sql: &Statements,
    into: &mut dyn Load,
) -> Result<Head, StoreError> {
    let reading = |failure: Failure| failure.reading("load");
    let head = head(session, sql).await.map_err(reading)?;
    for (table, statements) in TABLES.iter().zip(&sql.tables) {
        let types: Vec<Type> = table.columns.iter().map(|(_, kind)| *kind).collect();
        let mut page = session.rows(&statements.first_page, Vec::new(), &types).await.map_err(reading)?;
        loop {
            let last = page.last().map(|row| row[..table.key].to_vec());
            let (count, mut records) = (page.len(), Vec::with_capacity(page.len()));
            for row in page {
                let record = (table.read)(&mut Fields::new(row));
                records
                    .push(record.map_err(|error| StoreError::corrupt("load", in_table(table.name, &error)))?);
            }
            if !records.is_empty() {
                into.take(records).map_err(|why| StoreError::corrupt("load", why))?;
            }
            let Some(last) = last.filter(|_| count == PAGE) else {
                break;
            };
            page = session.rows(&statements.next_page, last, &types).await.map_err(reading)?;
        }
    }
    Ok(head)
}

fn in_table(name: &str, error: &Unreadable) -> String {
    format!("table {name}: {error}")
}

/// Compare the ledger's end with what the caller knows, and read what it missed. Within a turn.
pub(crate) async fn missed(
    session: &mut impl Session,
    sql: &Statements,
    at: Head,
    format: u32,
) -> Result<(Head, Vec<Commit>), TurnError> {
    let head = head(session, sql).await.map_err(Failure::appending)?;
    if head.revision < at.revision || (head.revision == at.revision && head.id != at.id) {
        return Err(TurnError::Diverged(head));
    }
    if head.format != format {
        return Err(TurnError::Format(head.format));
    }
    if head.revision == at.revision {
        return Ok((head, Vec::new()));
    }
    let missed = commits(session, sql, at.revision, MOST_MISSED + 1).await.map_err(Failure::appending)?;
    // History before some revision may have been cut off or replaced: what follows `at` has to name it.
    if missed.first().is_none_or(|first| first.previous != at.id) {
        return Err(TurnError::Diverged(head));
    }
    if missed.len() > MOST_MISSED {
        return Err(TurnError::Behind);
    }
    Ok((head, missed))
}

/// Write commits and what they change, within a transaction that the caller commits. Answers with the new end.
pub(crate) async fn append(
    session: &mut impl Session,
    sql: &Statements,
    mut head: Head,
    commits: &[Commit],
) -> Result<Head, Failure> {
    // Nearly every commit puts the fleet's record. Nothing refers to it, so the last of them is enough.
    let mut fleet = None;
    for commit in commits {
        if commit.revision != head.revision.next() || commit.previous != head.id || commit.at < head.at {
            let why = format!("commit {} does not continue revision {}", commit.revision, head.revision);
            return Err(Failure::Constraint(why.into()));
        }
        let mut steps = Vec::with_capacity(STEPS);
        for change in &commit.changes {
            match change {
                Change::Put(record @ Record::Fleet(_)) => fleet = Some(record),
                Change::Put(record) => steps.push(put(sql, record)),
                // Put and removed: both are done, so that the removal is checked like any other.
                Change::Remove(named) => {
                    steps.extend(fleet.take_if(|_| *named == Key::Fleet).map(|record| put(sql, record)));
                    let (table, values) = key(named);
                    steps.push(Step { sql: sql.tables[table].delete.clone(), values });
                }
            }
            if steps.len() >= STEPS {
                execute(session, commit.revision, std::mem::take(&mut steps)).await?;
            }
        }
        steps.push(Step { sql: sql.append.clone(), values: commit_row(commit) });
        execute(session, commit.revision, steps).await?;
        head = commit.head();
    }
    if let Some(record) = fleet {
        execute(session, head.revision, vec![put(sql, record)]).await?;
    }
    Ok(head)
}

fn put(sql: &Statements, record: &Record) -> Step {
    let (table, row) = row(record);
    Step { sql: sql.tables[table].put.clone(), values: (sql.put_values)(row, TABLES[table].key) }
}

/// Each step names one row by its primary key, so that together they change as many rows as they are, or something
/// that a commit removes was not there.
async fn execute(session: &mut impl Session, revision: Revision, steps: Vec<Step>) -> Result<(), Failure> {
    let count = steps.len() as u64;
    let changed = session.execute(steps).await?;
    if changed == count {
        return Ok(());
    }
    Err(Failure::Constraint(format!("{count} changes of commit {revision} changed {changed} rows").into()))
}

fn commit_row(commit: &Commit) -> Vec<Value> {
    vec![
        Value::integer(commit.revision.get()),
        Value::Bytes(commit.id.as_bytes().to_vec()),
        Value::Bytes(commit.previous.as_bytes().to_vec()),
        Value::integer(commit.at.as_millis()),
        Value::text(&commit.actor),
        Value::text(&commit.action.name),
        Value::text(&commit.action.target),
        Value::text(&commit.action.detail),
        Value::optional(commit.request.as_ref().map(Value::text)),
        Value::json(&commit.changes),
    ]
}

fn read_commits(rows: Vec<Vec<Value>>) -> Result<Vec<Commit>, Failure> {
    let read = |row| read_commit(row).map_err(|error| Unreadable(in_table("commits", &error)).into());
    rows.into_iter().map(read).collect()
}

fn read_commit(row: Vec<Value>) -> Result<Commit, Unreadable> {
    let mut fields = Fields::new(row);
    Ok(Commit {
        revision: Revision::new(fields.number()?),
        id: CommitId::from_bytes(fields.bytes()?),
        previous: CommitId::from_bytes(fields.bytes()?),
        at: Timestamp::from_millis(fields.number()?),
        actor: fields.parse()?,
        action: Action { name: Cow::Owned(fields.text()?), target: fields.text()?, detail: fields.text()? },
        request: fields.optional_parse()?,
        changes: fields.json()?,
    })
}
