//! The ledger in its tables: reading it and appending to it, alike for every database.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::mem;

use memc_core::ledger::{Action, Change, Commit, Head};
use memc_core::model::{CommitId, Key, Record, Revision, Timestamp};
use memc_core::store::{MOST_MISSED, TurnError};

use crate::session::{Failure, Session, rows};
use crate::statement::{Kind, Statements, Step};
use crate::table::{COMMIT, TABLES, Table, key, row};
use crate::value::{Fields, Unreadable, Value};

/// The ledger's end.
pub(crate) async fn head(session: &mut impl Session, sql: &Statements) -> Result<Head, Failure> {
    Ok(end(session, sql).await?.head)
}

/// The ledger's end, and what goes with it.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) head: Head,
    /// The database's time.
    clock: Timestamp,
    /// The last number that was given out, of hosts, instances and so on; 0 where there is no fleet yet.
    pub(crate) last_id: u64,
    /// The fleet's row.
    fleet: Option<Vec<Value>>,
}

pub(crate) async fn end(session: &mut impl Session, sql: &Statements) -> Result<End, Failure> {
    let mut ends = rows(session, &sql.head, Vec::new(), end_of).await?;
    Ok(ends.pop().ok_or_else(no_ledger)?)
}

/// What [`Statements::head`] has answered.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn read_end(row: Option<&impl crate::value::Columns>) -> Result<End, Unreadable> {
    end_of(&mut Fields::new(row.ok_or_else(no_ledger)?))
}

fn no_ledger() -> Unreadable {
    Unreadable("table ledger is empty".into())
}

fn end_of(fields: &mut Fields<'_>) -> Result<End, Unreadable> {
    let format = fields.narrow()?;
    let clock = Timestamp::from_millis(fields.number()?);
    let mut end = End { head: Head { format, ..Head::EMPTY }, clock, last_id: 0, fleet: None };
    let Some(revision) = fields.optional_number()? else {
        return Ok(end);
    };
    let (revision, id) = (Revision::new(revision), CommitId::from_bytes(fields.bytes()?));
    end.head = Head { revision, id, at: Timestamp::from_millis(fields.number()?), format };
    end.last_id = fields.number()?;
    end.fleet = match (fields.optional_text()?, fields.optional_number()?) {
        (Some(id), Some(epoch)) => Some(vec![Value::Integer(1), Value::text(id), Value::integer(epoch)]),
        _ => None,
    };
    Ok(end)
}

/// The commits after a revision, oldest first.
pub(crate) async fn commits(
    session: &mut impl Session,
    sql: &Statements,
    after: Revision,
    limit: usize,
) -> Result<Vec<Commit>, Failure> {
    let values = vec![Value::integer(after.get()), Value::integer(limit)];
    rows(session, &sql.commits, values, commit).await
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
    rows(session, sql, values, commit).await
}

/// What a turn begins with.
pub(crate) struct Beginning {
    pub(crate) end: End,
    pub(crate) missed: Vec<Commit>,
    /// The database's time, and not before the last commit's.
    pub(crate) now: Timestamp,
}

/// Compare the ledger's end with what the caller knows, and read what it missed. Within a turn.
pub(crate) async fn missed(
    session: &mut impl Session,
    sql: &Statements,
    end: End,
    at: Head,
    format: u32,
) -> Result<Beginning, TurnError> {
    let head = end.head;
    let now = end.clock.max(head.at);
    if head.revision < at.revision || (head.revision == at.revision && head.id != at.id) {
        return Err(TurnError::Diverged(head));
    }
    if head.format != format {
        return Err(TurnError::Format(head.format));
    }
    if head.revision == at.revision {
        return Ok(Beginning { end, missed: Vec::new(), now });
    }
    let missed = commits(session, sql, at.revision, MOST_MISSED + 1).await.map_err(Failure::appending)?;
    // History before some revision may have been cut off: how far that is, is seen by reading on.
    if missed.len() > MOST_MISSED && missed[0].revision != at.revision.next() {
        return Err(TurnError::Behind);
    }
    // It may have been replaced: what follows `at` has to name it.
    if missed.first().is_none_or(|first| first.previous != at.id) {
        return Err(TurnError::Diverged(head));
    }
    if missed.len() > MOST_MISSED {
        return Err(TurnError::Behind);
    }
    Ok(Beginning { end, missed, now })
}

/// Write commits and what they change, within a transaction that the caller has begun with a savepoint and commits.
/// Answers with the new end.
///
/// All at once, which takes a few statements however many commits there are. Where that meets a key or a reference that
/// would be out of the way if every change were made in its order (two hosts that exchange their names), or something
/// is really wrong, it is done again in order, and that decides.
pub(crate) async fn append(
    session: &mut impl Session,
    end: &End,
    commits: &[Commit],
) -> Result<Head, Failure> {
    let Some(after) = continued(end.head, commits)? else {
        return Ok(end.head);
    };
    match append_at_once(session, end, commits).await {
        Err(Failure::Constraint(_)) => {
            session.undo().await?;
            append_in_order(session, end, commits).await?;
        }
        written => written?,
    }
    Ok(after)
}

/// Where the ledger ends with these commits; they have to continue it.
fn continued(mut head: Head, commits: &[Commit]) -> Result<Option<Head>, Failure> {
    for commit in commits {
        if commit.revision != head.revision.next() || commit.previous != head.id || commit.at < head.at {
            let why = format!("commit {} does not continue revision {}", commit.revision, head.revision);
            return Err(Failure::Constraint(why.into()));
        }
        head = commit.head();
    }
    Ok((!commits.is_empty()).then_some(head))
}

async fn append_at_once(session: &mut impl Session, end: &End, commits: &[Commit]) -> Result<(), Failure> {
    let Net { mut tables } = Net::of(commits.iter().flat_map(|commit| &commit.changes))?;
    // Most turns change of the fleet no more than its last number, which its row does not have.
    let fleet = &mut tables[0];
    if fleet.removed.is_empty() && fleet.passed.is_empty() {
        fleet.put.retain(|row| end.fleet.as_ref() != Some(row));
    }
    let mut steps = Vec::new();
    // What refers to others goes first and comes last.
    for (table, rows) in TABLES.iter().zip(&mut tables).rev() {
        steps.push(step(table, Kind::Delete, mem::take(&mut rows.removed)));
        let passed = step(table, Kind::Delete, mem::take(&mut rows.passed));
        steps.push(Step { exact: false, ..passed });
    }
    steps.push(commit_step(commit_rows(end.last_id, commits)));
    for (table, Rows { put, .. }) in TABLES.iter().zip(tables) {
        // A number past the last one is new. Where that is not so, the database says it, and order helps.
        let is_new = |row: &Vec<Value>| {
            let past = matches!(row.first(), Some(Value::Integer(id)) if id.unsigned_abs() > end.last_id);
            table.is_numbered() && end.last_id > 0 && past
        };
        let (new, there) = put.into_iter().partition(is_new);
        steps.push(step(table, Kind::Insert, new));
        steps.push(step(table, Kind::Put, there));
    }
    steps.retain(|step| !step.rows.is_empty());
    change(session, &steps).await
}

async fn append_in_order(session: &mut impl Session, end: &End, commits: &[Commit]) -> Result<(), Failure> {
    for (commit, appended) in commits.iter().zip(commit_rows(end.last_id, commits)) {
        for made in &commit.changes {
            match made {
                Change::Remove(named) => {
                    let (table, values) = key(named);
                    change(session, &[step(&TABLES[table], Kind::Delete, vec![values])]).await?;
                }
                Change::Put(record) => {
                    let (table, values) = row(record);
                    let mut put = [step(&TABLES[table], Kind::Put, vec![values])];
                    if session.change(&put).await? == [0] {
                        put[0].kind = Kind::Insert;
                        change(session, &put).await?;
                    }
                }
            }
        }
        change(session, &[commit_step(vec![appended])]).await?;
    }
    Ok(())
}

fn step(table: &Table, kind: Kind, rows: Vec<Vec<Value>>) -> Step {
    let columns = if kind == Kind::Delete { &table.columns[..table.key] } else { table.columns };
    Step { kind, table: table.name, columns, key: table.key, rows, exact: true }
}

fn commit_step(rows: Vec<Vec<Value>>) -> Step {
    Step { kind: Kind::Insert, table: "commits", columns: &COMMIT, key: 1, rows, exact: true }
}

/// Each row is named by its primary key: fewer changed means that one was not there.
async fn change(session: &mut impl Session, steps: &[Step]) -> Result<(), Failure> {
    let changed = session.change(steps).await?;
    for (step, changed) in steps.iter().zip(changed) {
        if step.exact && changed != step.rows.len() as u64 {
            let (expected, table) = (step.rows.len(), step.table);
            let why = format!("{expected} changes of table {table} changed {changed} rows");
            return Err(Failure::Constraint(why.into()));
        }
    }
    Ok(())
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

/// Commits' rows, each with the last number that was given out until then.
fn commit_rows(mut last_id: u64, commits: &[Commit]) -> Vec<Vec<Value>> {
    let row = |commit: &Commit| {
        for change in &commit.changes {
            match change {
                Change::Put(Record::Fleet(fleet)) => last_id = fleet.last_id,
                Change::Remove(Key::Fleet) => last_id = 0,
                _ => {}
            }
        }
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
            Value::integer(last_id),
        ]
    };
    commits.iter().map(row).collect()
}

fn commit(fields: &mut Fields<'_>) -> Result<Commit, Unreadable> {
    read_commit(fields).map_err(|error| error.in_table("commits"))
}

fn read_commit(fields: &mut Fields<'_>) -> Result<Commit, Unreadable> {
    Ok(Commit {
        revision: Revision::new(fields.number()?),
        id: CommitId::from_bytes(fields.bytes()?),
        previous: CommitId::from_bytes(fields.bytes()?),
        at: Timestamp::from_millis(fields.number()?),
        actor: fields.parse()?,
        action: Action {
            name: Cow::Owned(fields.text()?.into()),
            target: fields.text()?.into(),
            detail: fields.text()?.into(),
        },
        request: fields.optional_parse()?,
        changes: fields.json()?,
    })
}
