//! Reading everything as of one moment, without keeping the server from its work.
//!
//! The hashes are read one after another while others write. What was read of each record is as of some moment between
//! two heads; the commits between the two, applied in their order over what was read, make all of it as of the second.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use memc_core::ledger::{Change, Commit, FORMAT, Head};
use memc_core::model::{Key, Record};
use memc_core::store::{Load, StoreError};
use redis::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::Inner;
use crate::error::Failure;
use crate::keys::{KINDS, kind_number};
use crate::link::Repeat;
use crate::reply::{bytes, list, text};

/// Hashes asked for ahead.
const AHEAD: usize = 8;
/// How often it is begun anew if history is forgotten or replaced meanwhile.
const ATTEMPTS: usize = 5;
/// Commits read at once.
const PAGE: usize = 1000;
/// Records handed over at once.
const HANDED: usize = 1000;

pub(crate) async fn load(inner: &Arc<Inner>, into: &mut dyn Load) -> Result<Head, StoreError> {
    for _ in 0..ATTEMPTS {
        let loaded = read(inner).await.map_err(|failure| failure.reading("load"))?;
        let Some((head, kinds)) = loaded else {
            continue;
        };
        for mut records in kinds {
            while !records.is_empty() {
                let page = records.split_off(records.len().saturating_sub(HANDED));
                into.take(page).map_err(|why| StoreError::corrupt("load", why))?;
            }
        }
        return Ok(head);
    }
    Err(StoreError::unavailable(
        "load",
        "the history was forgotten faster than everything could be read: keep more",
    ))
}

/// The records by kind, or nothing where the commits meanwhile do not tell what happened.
async fn read(inner: &Arc<Inner>) -> Result<Option<(Head, Vec<Vec<Record>>)>, Failure> {
    let begin = inner.head().await?;
    let mut kinds: Vec<Vec<Record>> = KINDS.iter().map(|_| Vec::new()).collect();
    if begin.format != FORMAT {
        // Whoever asks sees that, and that its records cannot be read.
        return Ok(Some((begin, kinds)));
    }
    let command = {
        let mut command = redis::cmd("SMEMBERS");
        command.arg(&inner.keys.buckets);
        command
    };
    let mut buckets = VecDeque::new();
    for name in list(inner.link.ask(&command, Repeat::Once).await?)? {
        buckets.push_back(text(name)?);
    }
    let mut asked: VecDeque<(String, JoinHandle<Result<Value, Failure>>)> = VecDeque::new();
    loop {
        while asked.len() < AHEAD
            && let Some(name) = buckets.pop_front()
        {
            let (inner, key) = (Arc::clone(inner), name.clone());
            // In tasks of their own, so that the server answers while this one reads.
            let answer = tokio::spawn(async move {
                let mut command = redis::cmd("HGETALL");
                command.arg(&key);
                inner.link.ask(&command, Repeat::Once).await
            });
            asked.push_back((name, answer));
        }
        let Some((name, answer)) = asked.pop_front() else {
            break;
        };
        let answer = answer.await.map_err(|ended| Failure::Away(ended.into()))??;
        let kind = inner.keys.kind_of_bucket(&name);
        let kind = kind.ok_or_else(|| Failure::corrupt(format!("{name} is of no known kind of record")))?;
        records(&name, kind, answer, &mut kinds[kind])?;
    }
    let Some((head, changed)) = meanwhile(inner, begin).await? else {
        return Ok(None);
    };
    if !changed.is_empty() {
        for records in &mut kinds {
            records.retain(|record| !changed.contains_key(&record.key()));
        }
        for (key, record) in changed {
            kinds[kind_number(&key)].extend(record);
        }
    }
    Ok(Some((head, kinds)))
}

type Changed = HashMap<Key, Option<Record>>;

/// The head now, and what every record that was changed since `begin` is at it.
async fn meanwhile(inner: &Inner, begin: Head) -> Result<Option<(Head, Changed)>, Failure> {
    let (end, mut head, mut changed) = (inner.head().await?, begin, Changed::new());
    while head.revision < end.revision {
        let left = usize::try_from(end.revision.get() - head.revision.get()).unwrap_or(PAGE);
        let commits = inner.commits(head.revision, left.min(PAGE)).await?;
        if commits.is_empty() {
            return Ok(None);
        }
        for commit in commits {
            if commit.revision != head.revision.next() || commit.previous != head.id {
                return Ok(None);
            }
            head = commit.head();
            apply(&mut changed, commit);
        }
    }
    Ok((head.revision == end.revision && head.id == end.id).then_some((end, changed)))
}

fn apply(changed: &mut Changed, commit: Commit) {
    for change in commit.changes {
        match change {
            Change::Put(record) => changed.insert(record.key(), Some(record)),
            Change::Remove(key) => changed.insert(key, None),
        };
    }
}

fn records(bucket: &str, kind: usize, answer: Value, into: &mut Vec<Record>) -> Result<(), Failure> {
    let mut fields = list(answer)?.into_iter();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        let value = bytes(value)?;
        let record = match kind {
            0 => stored(&value).map(Record::Fleet),
            1 => stored(&value).map(Record::Cluster),
            2 => stored(&value).map(Record::Host),
            3 => stored(&value).map(Record::Team),
            4 => stored(&value).map(Record::Quota),
            5 => stored(&value).map(Record::Cache),
            6 => stored(&value).map(Record::Instance),
            7 => stored(&value).map(Record::RetiredPort),
            8 => stored(&value).map(Record::Plan),
            _ => stored(&value).map(Record::Request),
        };
        let record = record.map_err(|error| {
            let field = text(field).unwrap_or_default();
            Failure::corrupt(format!("{bucket}, field {field}, cannot be read: {error}"))
        })?;
        into.push(record);
    }
    Ok(())
}

/// The kind is known: that is three times as fast as reading it from the record.
fn stored<T: DeserializeOwned>(value: &[u8]) -> Result<T, serde_json::Error> {
    #[derive(Deserialize)]
    struct Stored<T> {
        record: T,
    }
    serde_json::from_slice::<Stored<T>>(value).map(|stored| stored.record)
}
