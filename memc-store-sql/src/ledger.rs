//! The ledger in its tables: reading it and appending to it, alike for every database.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::slice;
use std::time::Duration;

use memc_core::ledger::{Action, Change, Commit, Head};
use memc_core::model::{CommitId, Key, Record, Revision, Timestamp};
use memc_core::store::{Load, MOST_MISSED, StoreError, TurnError};

use crate::session::{Failure, Session};
use crate::statement::{HEAD, PAGE, Statements};
use crate::table::{COMMIT, TABLES, key, row};
use crate::value::{Fields, Type, Unreadable, Value};

/// The ledger's end.
pub(crate) async fn head(session: &mut impl Session, sql: &Statements) -> Result<Head, Failure> {
    Ok(head_and_clock(session, sql).await?.0)
}

/// The ledger's end, and the database's time.
async fn head_and_clock(session: &mut impl Session, sql: &Statements) -> Result<(Head, Timestamp), Failure> {
    let rows = session.rows(&sql.head, Vec::new(), &HEAD).await?;
    let Some(row) = rows.into_iter().next() else {
        return Err(Unreadable("table ledger is empty".into()).into());
    };
    let mut fields = Fields::new(row);
    let format = fields.narrow()?;
    let clock = Timestamp::from_millis(fields.number()?);
    let Some(revision) = fields.optional_number()? else {
        return Ok((Head { format, ..Head::EMPTY }, clock));
    };
    let (revision, id) = (Revision::new(revision), CommitId::from_bytes(fields.bytes()?));
    Ok((Head { revision, id, at: Timestamp::from_millis(fields.number()?), format }, clock))
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

/// Hand over every record, page by page, each of which comes in time. The session is a transaction that sees one
/// moment.
pub(crate) async fn load(
    session: &mut impl Session,
    sql: &Statements,
    patience: Duration,
    into: &mut dyn Load,
) -> Result<Head, StoreError> {
    let head = in_time(patience, head(session, sql)).await?;
    for (table, statements) in TABLES.iter().zip(&sql.tables) {
        let types: Vec<Type> = table.columns.iter().map(|(_, kind)| *kind).collect();
        let mut page = in_time(patience, session.rows(&statements.first_page, Vec::new(), &types)).await?;
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
            let next = session.rows(&statements.next_page, (sql.after_values)(last), &types);
            page = in_time(patience, next).await?;
        }
    }
    Ok(head)
}

async fn in_time<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, Failure>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer.map_err(|failure| failure.reading("load")),
        Err(_) => Err(StoreError::unavailable("load", format!("no answer for {patience:?}"))),
    }
}

fn in_table(name: &str, error: &Unreadable) -> String {
    format!("table {name}: {error}")
}

/// What a turn begins with.
pub(crate) struct Beginning {
    pub(crate) head: Head,
    pub(crate) missed: Vec<Commit>,
    /// The database's time, and not before the last commit's.
    pub(crate) now: Timestamp,
}

/// Compare the ledger's end with what the caller knows, and read what it missed. Within a turn.
pub(crate) async fn missed(
    session: &mut impl Session,
    sql: &Statements,
    at: Head,
    format: u32,
) -> Result<Beginning, TurnError> {
    let (head, clock) = head_and_clock(session, sql).await.map_err(Failure::appending)?;
    let now = clock.max(head.at);
    if head.revision < at.revision || (head.revision == at.revision && head.id != at.id) {
        return Err(TurnError::Diverged(head));
    }
    if head.format != format {
        return Err(TurnError::Format(head.format));
    }
    if head.revision == at.revision {
        return Ok(Beginning { head, missed: Vec::new(), now });
    }
    let missed = commits(session, sql, at.revision, MOST_MISSED + 1).await.map_err(Failure::appending)?;
    // History before some revision may have been cut off or replaced: what follows `at` has to name it.
    if missed.first().is_none_or(|first| first.previous != at.id) {
        return Err(TurnError::Diverged(head));
    }
    if missed.len() > MOST_MISSED {
        return Err(TurnError::Behind);
    }
    Ok(Beginning { head, missed, now })
}

/// Write commits and what they change, within a transaction that the caller has begun with a savepoint and commits.
/// Answers with the new end.
///
/// All at once, which takes a few statements however many commits there are. Where that meets a key or a reference that
/// would be out of the way if every change were made in its order (two hosts that exchange their names), or something
/// is really wrong, it is done again in order, and that decides.
pub(crate) async fn append(
    session: &mut impl Session,
    sql: &Statements,
    head: Head,
    commits: &[Commit],
) -> Result<Head, Failure> {
    let Some(after) = end(head, commits)? else {
        return Ok(head);
    };
    match write(session, sql, commits, changes_of(commits)).await {
        Err(Failure::Constraint(_)) => {
            session.undo().await?;
            for commit in commits {
                for change in &commit.changes {
                    write(session, sql, &[], [change]).await?;
                }
                write(session, sql, slice::from_ref(commit), []).await?;
            }
        }
        written => written?,
    }
    Ok(after)
}

fn changes_of(commits: &[Commit]) -> impl Iterator<Item = &Change> {
    commits.iter().flat_map(|commit| &commit.changes)
}

/// Where the ledger ends with these commits; they have to continue it.
fn end(mut head: Head, commits: &[Commit]) -> Result<Option<Head>, Failure> {
    for commit in commits {
        if commit.revision != head.revision.next() || commit.previous != head.id || commit.at < head.at {
            let why = format!("commit {} does not continue revision {}", commit.revision, head.revision);
            return Err(Failure::Constraint(why.into()));
        }
        head = commit.head();
    }
    Ok((!commits.is_empty()).then_some(head))
}

/// Write commits, and what all these changes come to.
async fn write(
    session: &mut impl Session,
    sql: &Statements,
    commits: &[Commit],
    changes: impl IntoIterator<Item = &Change>,
) -> Result<(), Failure> {
    let net = Net::of(changes)?;
    if !commits.is_empty() {
        let rows: Vec<_> = commits.iter().map(commit_row).collect();
        exactly(rows.len(), session.change(&sql.append, &rows).await?, "commits")?;
    }
    // What refers to others goes first and comes last.
    for ((table, statements), gone) in TABLES.iter().zip(&sql.tables).zip(&net.tables).rev() {
        if !gone.removed.is_empty() {
            let removed = session.change(&statements.delete, &gone.removed).await?;
            exactly(gone.removed.len(), removed, table.name)?;
        }
        if !gone.passed.is_empty() {
            session.change(&statements.delete, &gone.passed).await?;
        }
    }
    for (statements, there) in sql.tables.iter().zip(&net.tables) {
        if !there.put.is_empty() {
            session.change(&statements.put, &there.put).await?;
        }
    }
    Ok(())
}

/// Each row is named by its primary key: fewer changed means that something to be removed was not there.
fn exactly(expected: usize, changed: u64, table: &str) -> Result<(), Failure> {
    if changed == expected as u64 {
        return Ok(());
    }
    Err(Failure::Constraint(format!("{expected} changes of table {table} changed {changed} rows").into()))
}

/// What changes come to: for each table its rows, or their keys.
struct Net {
    tables: [Rows; TABLES.len()],
}

#[derive(Default)]
struct Rows {
    /// There before, and to be removed.
    removed: Vec<Vec<Value>>,
    /// Put and removed again: perhaps there before.
    passed: Vec<Vec<Value>>,
    /// In the order in which they were put last.
    put: Vec<Vec<Value>>,
}

impl Net {
    fn of<'a>(changes: impl IntoIterator<Item = &'a Change>) -> Result<Self, Failure> {
        struct Fate<'a> {
            /// The first change removes it, so that it has to be there.
            was_there: bool,
            last: usize,
            record: Option<&'a Record>,
        }
        let mut fates: HashMap<Key, Fate> = HashMap::new();
        for (last, change) in changes.into_iter().enumerate() {
            let (key, record) = match change {
                Change::Put(record) => (record.key(), Some(record)),
                Change::Remove(key) => (key.clone(), None),
            };
            match fates.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(Fate { was_there: record.is_none(), last, record });
                }
                Entry::Occupied(entry) if record.is_none() && entry.get().record.is_none() => {
                    return Err(Failure::Constraint(format!("{:?} is removed twice", entry.key()).into()));
                }
                Entry::Occupied(mut entry) => (entry.get_mut().last, entry.get_mut().record) = (last, record),
            }
        }
        let mut fates: Vec<_> = fates.into_iter().collect();
        fates.sort_unstable_by_key(|(_, fate)| fate.last);
        let mut net = Net { tables: Default::default() };
        for (named, fate) in fates {
            if fate.was_there || fate.record.is_none() {
                let (table, values) = key(&named);
                let rows = &mut net.tables[table];
                if fate.was_there { &mut rows.removed } else { &mut rows.passed }.push(values);
            }
            if let Some(record) = fate.record {
                let (table, values) = row(record);
                net.tables[table].put.push(values);
            }
        }
        Ok(net)
    }
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
