//! Reading everything as of one moment, without keeping the server from its work.
//!
//! The hashes are read one after another while others write. What was read of each record is as of some moment between
//! two heads; the commits between the two, applied in their order over what was read, make all of it as of the second.
//! That is so of one server only: one that came back may not have the last commits, and knows no place in a scan of another.
//! So nothing can be handed over before everything was read. Until then the records are kept as small as their kind is,
//! in blocks that go one by one as they are handed over.
//!
//! What a single command keeps the server from others for: an answer with one hash, at most 512 records of the numbered
//! kinds, or with about a thousand names of hashes.

use std::collections::{BTreeSet, HashMap, VecDeque};
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
use crate::reply::{bytes, list, text, tuple};

/// Hashes asked for ahead.
const AHEAD: usize = 8;
/// Names of hashes that the server looks at for one answer.
const NAMES: usize = 1000;
/// How often it is begun anew if history is forgotten or replaced meanwhile.
const ATTEMPTS: usize = 5;
/// Commits read at once.
const PAGE: usize = 1000;

/// Records handed over at once.
const HANDED: usize = 1000;
/// Bytes of a block of records. Allocators give a piece as large as this back to the system once it is free; smaller ones
/// would leave the process as large as it was with everything read, and the holes between what stays are not all filled.
const BLOCK: usize = 4 << 20;

/// Everything as of one moment.
struct Loaded {
    head: Head,
    /// The records of each kind, with what changed while they were read.
    kinds: Vec<Box<dyn Kept>>,
    changed: Changed,
}

pub(crate) async fn load(inner: &Arc<Inner>, into: &mut dyn Load) -> Result<Head, StoreError> {
    for _ in 0..ATTEMPTS {
        let loaded = read(inner).await.map_err(|failure| failure.reading("load"))?;
        let Some(Loaded { head, kinds, changed }) = loaded else {
            continue;
        };
        for (kind, kept) in kinds.into_iter().enumerate() {
            let is_current = |record: &Record| changed.is_empty() || !changed.contains_key(&record.key());
            let newer = changed.values().flatten().filter(|record| kind_number(&record.key()) == kind);
            let mut records = kept.records().filter(is_current).chain(newer.cloned()).peekable();
            while records.peek().is_some() {
                let page = records.by_ref().take(HANDED).collect();
                into.take(page).map_err(|why| StoreError::corrupt("load", why))?;
            }
        }
        return Ok(head);
    }
    Err(StoreError::unavailable(
        "load",
        "the server was another, or the history forgotten, before everything could be read, several times",
    ))
}

/// The records, or nothing where the commits meanwhile do not tell what happened.
async fn read(inner: &Arc<Inner>) -> Result<Option<Loaded>, Failure> {
    inner.link.current().await?;
    let opened = inner.link.opened();
    let begin = inner.head().await?;
    let mut kinds: Vec<Box<dyn Kept>> = (0..KINDS.len()).map(kept).collect();
    if begin.format != FORMAT {
        // Whoever asks sees that, and that its records cannot be read.
        return Ok(Some(Loaded { head: begin, kinds, changed: Changed::new() }));
    }
    let Some(names) = names(inner).await? else {
        return Ok(None);
    };
    let mut names = names.into_iter();
    let mut asked: VecDeque<(String, JoinHandle<Result<Value, Failure>>)> = VecDeque::new();
    loop {
        while asked.len() < AHEAD
            && let Some(name) = names.next()
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
        kinds[kind].keep(&name, answer)?;
    }
    let meanwhile = meanwhile(inner, begin).await?.filter(|_| inner.link.opened() == opened);
    Ok(meanwhile.map(|(head, changed)| Loaded { head, kinds, changed }))
}

/// The names of all hashes that are there all the time; a scan may name one twice. What was in one that comes or goes
/// meanwhile was changed meanwhile. Nothing where several servers have answered.
async fn names(inner: &Inner) -> Result<Option<BTreeSet<String>>, Failure> {
    let (mut names, mut cursor) = (BTreeSet::new(), "0".to_owned());
    let asked = (inner.link.opened(), inner.link.elsewhere());
    loop {
        let mut command = redis::cmd("SSCAN");
        command.arg(&inner.keys.buckets).arg(&cursor).arg("COUNT").arg(NAMES);
        let [next, found] = tuple(inner.link.ask(&command, Repeat::Once).await?)?;
        for name in list(found)? {
            names.insert(text(name)?);
        }
        cursor = text(next)?;
        if (inner.link.opened(), inner.link.elsewhere()) != asked {
            return Ok(None);
        }
        if cursor == "0" {
            return Ok(Some(names));
        }
    }
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

/// The records of one kind.
trait Kept: Send {
    /// Those of another hash.
    fn keep(&mut self, name: &str, answer: Value) -> Result<(), Failure>;
    fn records(self: Box<Self>) -> Box<dyn Iterator<Item = Record> + Send>;
}

/// As what they are: a `Record` is as large as the largest kind.
struct Blocks<T> {
    blocks: Vec<Vec<T>>,
    record: fn(T) -> Record,
}

fn kept(kind: usize) -> Box<dyn Kept> {
    match kind {
        0 => blocks(Record::Fleet),
        1 => blocks(Record::Cluster),
        2 => blocks(Record::Host),
        3 => blocks(Record::Team),
        4 => blocks(Record::Quota),
        5 => blocks(Record::Cache),
        6 => blocks(Record::Instance),
        7 => blocks(Record::RetiredPort),
        8 => blocks(Record::Plan),
        _ => blocks(Record::Request),
    }
}

fn blocks<T: DeserializeOwned + Send + 'static>(record: fn(T) -> Record) -> Box<dyn Kept> {
    Box::new(Blocks { blocks: Vec::new(), record })
}

impl<T: DeserializeOwned + Send + 'static> Kept for Blocks<T> {
    fn keep(&mut self, name: &str, answer: Value) -> Result<(), Failure> {
        // The kind is known: that is three times as fast as reading it from the record.
        #[derive(Deserialize)]
        struct Stored<T> {
            record: T,
        }
        let mut fields = list(answer)?.into_iter();
        while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
            let stored = serde_json::from_slice::<Stored<T>>(&bytes(value)?).map_err(|error| {
                let field = text(field).unwrap_or_default();
                Failure::corrupt(format!("{name}, field {field}, cannot be read: {error}"))
            })?;
            match self.blocks.last_mut().filter(|block| block.len() < block.capacity()) {
                Some(block) => block.push(stored.record),
                None => {
                    let mut block = Vec::with_capacity(BLOCK / size_of::<T>());
                    block.push(stored.record);
                    self.blocks.push(block);
                }
            }
        }
        Ok(())
    }

    fn records(self: Box<Self>) -> Box<dyn Iterator<Item = Record> + Send> {
        Box::new(self.blocks.into_iter().flatten().map(self.record))
    }
}
