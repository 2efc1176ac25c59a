//! A [`Store`] of one's own, to copy from: a ledger in an append-only file, for several processes on one machine.
//!
//! A directory holds `log`, `lock` and `queue`. Each line of `log` is one turn in JSON: the head it leads to and its
//! commits. The line is synced first and its newline after it, so that **a line with its newline is whole**,
//! and one without never happened: readers pass over it, the next turn cuts it off. Records are the fold
//! of the lines. Whoever reads or writes holds `lock`, for which they queue up at `queue`.
//!
//! To back up, copy `log`; to restore, put the copy in its place while holding the lock (`flock lock mv copy log`).
//! Handles that are open notice.
//!
//! What it does not do: the whole history is kept in memory and read when a store is opened, so it is for some ten
//! thousand commits; a turn costs two syncs, and who reads waits for it. The log is never compacted, and never migrated
//! to another format. There are no constraints as a second line behind the rules. It trusts the file system: locks over
//! NFS, and a disk that once failed to sync, are beyond it. A store to rely on is `memc-store-sql`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use memc_core::Store;
use memc_core::ledger::{Change, Commit, FORMAT, Head};
use memc_core::model::{Key, Record, Revision, Timestamp};
use memc_core::store::{Decide, Finding, Load, MOST_MISSED, Severity, StoreError, TurnError};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A log is better kept in a real database from here on, in bytes.
const LARGE: u64 = 64 << 20;

/// A ledger in a directory. A clone is the same handle.
#[derive(Debug, Clone)]
pub struct LogStore {
    directory: PathBuf,
    /// One call of this handle at a time waits for the file lock: waiting ones cannot take up every thread that the
    /// one at work needs to go on.
    ledger: Arc<Mutex<Ledger>>,
}

/// What the log says, as far as it was read.
#[derive(Debug)]
struct Ledger {
    head: Head,
    commits: Vec<Commit>,
    records: BTreeMap<Key, Record>,
    /// Where the last whole line ends.
    end: u64,
    /// That line. Ids are unique and chained: while it is where it was, so is everything before it.
    last: Vec<u8>,
}

/// The ledger as it is now. The locks are given back when this is dropped, in whichever thread that is.
struct Locked {
    ledger: OwnedMutexGuard<Ledger>,
    log: File,
    _lock: File,
}

impl LogStore {
    /// Open the ledger in this directory, which is made if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made or written, or the log in it is damaged.
    pub async fn open(directory: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = LogStore { directory: directory.into(), ledger: Arc::default() };
        let directory = store.directory.clone();
        blocking("open", move || {
            fs::create_dir_all(&directory).map_err(away("open"))?;
            made(&directory.join("log")).map_err(away("open"))?;
            // A file outlasts a power cut once its name does, and that is the directory's to keep.
            for parent in [Some(&*directory), directory.parent()].into_iter().flatten() {
                let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                File::open(parent).and_then(|it| it.sync_all()).map_err(away("open"))?;
            }
            Ok(())
        })
        .await?;
        store.locked("open").await?;
        Ok(store)
    }

    async fn locked(&self, operation: &'static str) -> Result<Locked, StoreError> {
        let (mut ledger, directory) = (self.ledger.clone().lock_owned().await, self.directory.clone());
        // Goes on to its end although the caller may go away: what it locked is unlocked with its answer.
        blocking(operation, move || {
            let lock = lock(&directory).map_err(away(operation))?;
            let mut log = File::options()
                .read(true)
                .write(true)
                .open(directory.join("log"))
                .map_err(away(operation))?;
            ledger.refresh(&mut log, operation)?;
            Ok(Locked { ledger, log, _lock: lock })
        })
        .await
    }

    /// The same, to read commits.
    async fn readable(&self, operation: &'static str) -> Result<Locked, StoreError> {
        let locked = self.locked(operation).await?;
        match locked.ledger.head.format {
            FORMAT => Ok(locked),
            other => Err(StoreError::corrupt(operation, TurnError::Format(other))),
        }
    }
}

#[async_trait]
impl Store for LogStore {
    async fn head(&self) -> Result<Head, StoreError> {
        Ok(self.locked("head").await?.ledger.head)
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        let Locked { ledger, .. } = self.locked("load").await?;
        let (head, records) = (ledger.head, ledger.records.values().cloned().collect());
        drop(ledger);
        // Records of another format are not ours to read; the head says so.
        if head.format == FORMAT {
            into.take(records).map_err(|what| StoreError::corrupt("load", what))?;
        }
        Ok(head)
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        let Locked { ledger, .. } = self.readable("commits").await?;
        Ok(ledger.commits.iter().skip(index(after)).take(limit).cloned().collect())
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        let Locked { ledger, .. } = self.readable("history").await?;
        let earlier = ledger.commits.iter().take(index(before).saturating_sub(1)).rev();
        let asked = earlier.filter(|it| target.is_none_or(|target| target == it.action.target));
        Ok(asked.take(limit).cloned().collect())
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        let locked = self.locked("turn").await?;
        let head = locked.ledger.head;
        let commits = by.decide(locked.ledger.missed(at)?, Timestamp::of_this_machine().max(head.at));
        let Some(last) = commits.last().map(Commit::head) else { return Ok(head) };
        // Goes on to its end, too, and keeps the lock until then.
        let append = tokio::task::spawn_blocking(move || locked.append(last, &commits)).await;
        append.unwrap_or_else(|gone| Err(TurnError::Unknown(StoreError::unavailable("append", gone))))
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        let large = self.locked("check").await?.ledger.end > LARGE;
        Ok(Vec::from_iter(large.then(|| Finding {
            severity: Severity::Note,
            code: "log.size".into(),
            message: format!("the log is larger than {} MiB: move to a store on a database", LARGE >> 20),
        })))
    }
}

impl Locked {
    fn append(mut self, head: Head, commits: &[Commit]) -> Result<Head, TurnError> {
        self.ledger
            .check(commits)
            .map_err(|what| TurnError::Conflict(StoreError::corrupt("append", what)))?;
        let line =
            serde_json::to_vec(&(head, commits)).map_err(|what| StoreError::corrupt("append", what))?;
        let mut write = || {
            self.log.set_len(self.ledger.end)?; // what a turn that died left behind
            self.log.seek(SeekFrom::Start(self.ledger.end))?;
            self.log.write_all(&line)?;
            self.log.sync_data()
        };
        write().map_err(away("append"))?;
        let ended = self.log.write_all(b"\n").and_then(|()| self.log.sync_data());
        ended.map_err(away("append")).map_err(TurnError::Unknown)?;
        Ok(head)
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger { head: Head::EMPTY, commits: vec![], records: BTreeMap::new(), end: 0, last: vec![] }
    }
}

impl Ledger {
    /// Fold the lines that were added, or all of them if the log is another one than before.
    fn refresh(&mut self, log: &mut File, operation: &'static str) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let mut read = |from| log.seek(SeekFrom::Start(from)).and_then(|_| log.read_to_end(&mut bytes));
        read(self.end - self.last.len() as u64).map_err(away(operation))?;
        if !bytes.starts_with(&self.last) {
            *self = Ledger::default();
            bytes.clear();
            log.seek(SeekFrom::Start(0))
                .and_then(|_| log.read_to_end(&mut bytes))
                .map_err(away(operation))?;
        }
        let added = bytes.split_off(self.last.len());
        if added.contains(&b'\n') {
            log.sync_data().map_err(away(operation))?; // whoever wrote it may have died before it was durable
        }
        for line in added.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let damaged = |what: String| StoreError::corrupt(operation, format!("byte {}: {what}", self.end));
            let (head, commits): (Head, serde_json::Value) =
                serde_json::from_slice(line).map_err(|it| damaged(it.to_string()))?;
            if head.format == FORMAT {
                let commits: Vec<Commit> =
                    serde_json::from_value(commits).map_err(|it| damaged(it.to_string()))?;
                self.check(&commits).map_err(damaged)?;
                if commits.last().map(Commit::head) != Some(head) {
                    return Err(damaged("the line does not lead to its head".into()));
                }
                self.fold(commits);
            }
            self.head = head;
            self.end += line.len() as u64;
            self.last = line.to_vec();
        }
        Ok(())
    }

    /// Whether these commits continue the ledger and remove only what is there.
    fn check(&self, commits: &[Commit]) -> Result<(), String> {
        let (mut head, mut changed) = (self.head, BTreeMap::new());
        for commit in commits {
            if commit.revision != head.revision.next() || commit.previous != head.id || commit.at < head.at {
                return Err(format!(
                    "commit {} does not continue revision {}",
                    commit.revision, head.revision
                ));
            }
            for change in &commit.changes {
                let (key, stays) = match change {
                    Change::Put(record) => (record.key(), true),
                    Change::Remove(key) => (key.clone(), false),
                };
                let was =
                    changed.insert(key.clone(), stays).unwrap_or_else(|| self.records.contains_key(&key));
                if !stays && !was {
                    return Err(format!("commit {} removes {key:?}, which is not there", commit.revision));
                }
            }
            head = commit.head();
        }
        Ok(())
    }

    fn fold(&mut self, commits: Vec<Commit>) {
        for change in commits.iter().flat_map(|it| &it.changes) {
            match change {
                Change::Put(record) => drop(self.records.insert(record.key(), record.clone())),
                Change::Remove(key) => drop(self.records.remove(key)),
            }
        }
        self.commits.extend(commits);
    }

    /// The commits after a head that a turn has read.
    fn missed(&self, at: Head) -> Result<Vec<Commit>, TurnError> {
        if self.head.format != FORMAT {
            return Err(TurnError::Format(self.head.format));
        }
        let at_index = index(at.revision);
        let known = match at_index.checked_sub(1) {
            None => at.id == Head::EMPTY.id,
            Some(last) => self.commits.get(last).is_some_and(|it| it.id == at.id),
        };
        match self.commits.get(at_index..) {
            Some(missed) if known && missed.len() > MOST_MISSED => Err(TurnError::Behind),
            Some(missed) if known => Ok(missed.to_vec()),
            _ => Err(TurnError::Diverged(self.head)),
        }
    }
}

/// How many commits there are up to a revision: they begin with 1 and have no gaps.
fn index(revision: Revision) -> usize {
    usize::try_from(revision.get()).unwrap_or(usize::MAX)
}

/// Wait for the ledger's lock. The system promises no order among those who wait: whoever asks at the right moment
/// gets ahead. With the queue only one at a time waits for the lock, and who had it begins at the queue's end.
fn lock(directory: &Path) -> io::Result<File> {
    let queue = made(&directory.join("queue"))?;
    queue.lock()?;
    let lock = made(&directory.join("lock"))?;
    lock.lock()?;
    Ok(lock)
}

fn made(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(false).open(path)
}

fn away(operation: &'static str) -> impl Fn(io::Error) -> StoreError {
    move |error| StoreError::unavailable(operation, error)
}

async fn blocking<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|gone| Err(StoreError::unavailable(operation, gone)))
}
