//! A ledger as a file: to move it from any store into any other, and to keep it.
//!
//! JSON lines, in UTF-8, each ended by `\n`:
//!
//! ```text
//! {"memc_archive": 1, "format": 3, "head": {…}, "base": false}   what follows, and where the ledger ended
//! {"record": {…}}   with "base": true, every record as of the head, what is referred to first
//! {"commit": {…}}   with "base": false, every commit, oldest first
//! {"end": {"lines": 841, "sha256": "9f86…"}}   of all lines before this one
//! ```
//!
//! An archive has the whole history where the store still has it; otherwise the records alone. Users and tokens are not
//! part of a ledger.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ledger::{Action, Change, Commit, FORMAT, Head, Inconsistent, State};
use crate::model::{CommitId, Principal, Record, Revision, Timestamp};
use crate::store::{Decide, Load, Store, StoreError, TurnError};

/// Of the file, not of the ledger in it.
const VERSION: u32 = 1;
/// Commits read, and appended, at once.
const PAGE: usize = 256;

/// An archive could not be written or read in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The file cannot be read or written.
    #[error("the archive: {0}")]
    File(#[from] io::Error),
    /// The file is no archive, was cut short, or was changed since it was written.
    #[error("line {line} of the archive: {why}")]
    Line {
        /// From 1.
        line: u64,
        /// What is wrong.
        why: String,
    },
    /// The store failed. What was read in so far stays: begin again with an empty store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The same, while appending.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The target keeps a ledger already.
    #[error("the store is not empty, it is at revision {0}: give an empty one")]
    NotEmpty(Revision),
    /// The commits do not come to what the source keeps in its tables.
    #[error("the ledger contradicts itself: {0}; see what `doctor` says of the store")]
    Inconsistent(#[from] Inconsistent),
    /// What arrived is not what was sent.
    #[error("what the store now keeps is not what the archive says: do not use it")]
    Differs,
}

/// What was moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moved {
    /// Where the ledger ends.
    pub head: Head,
    /// Commits in the archive; none if the store no longer has the whole history.
    pub commits: u64,
    /// Records in the archive; none if it has the whole history.
    pub records: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
enum Line<'a> {
    First { memc_archive: u32, format: u32, head: Head, base: bool },
    Record { record: Cow<'a, Record> },
    Commit { commit: Cow<'a, Commit> },
    End { end: End },
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    lines: u64,
    sha256: String,
}

struct Writer<W> {
    to: W,
    lines: u64,
    digest: Sha256,
}

impl<W: Write> Writer<W> {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.lines += 1;
        self.digest.update(&text);
        self.to.write_all(&text)
    }
}

fn hexadecimal(digest: Sha256) -> String {
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Write what a store keeps, as of one moment. Others may go on writing.
///
/// # Errors
/// See [`ArchiveError`]. A file that has no last line is no archive.
pub async fn export(store: &dyn Store, to: impl Write) -> Result<Moved, ArchiveError> {
    let (records, head) = load(store).await?;
    let first = store.commits(Revision::default(), 1).await?;
    let whole = head == Head::EMPTY || first.first().is_some_and(|it| it.revision == Revision::new(1));
    let mut writer = Writer { to, lines: 0, digest: Sha256::new() };
    writer.line(&Line::First { memc_archive: VERSION, format: head.format, head, base: !whole })?;
    let mut moved = Moved { head, commits: 0, records: 0 };
    if whole {
        let (mut at, mut folded) = (Revision::default(), State::default());
        while at < head.revision {
            let page = store.commits(at, PAGE).await?;
            let Some(last) = page.last() else {
                return Err(StoreError::corrupt("export", format!("commits after {at} are missing")).into());
            };
            at = last.revision;
            for commit in page.iter().filter(|commit| commit.revision <= head.revision) {
                folded.fold(commit)?;
                writer.line(&Line::Commit { commit: Cow::Borrowed(commit) })?;
                moved.commits += 1;
            }
        }
        if folded != state(&records, head)? {
            return Err(Inconsistent("the tables are not what the history comes to".into()).into());
        }
    } else {
        for record in &records {
            writer.line(&Line::Record { record: Cow::Borrowed(record) })?;
            moved.records += 1;
        }
    }
    let end = End { lines: writer.lines, sha256: hexadecimal(writer.digest.clone()) };
    writer.line(&Line::End { end })?;
    writer.to.flush()?;
    Ok(moved)
}

/// Read an archive through, without a store: that it is whole, and that what it says makes a ledger.
///
/// # Errors
/// See [`ArchiveError`].
pub fn verify(from: impl BufRead) -> Result<Moved, ArchiveError> {
    read(from, |_| Ok(())).map(|(moved, _)| moved)
}

/// Put an archive into an empty store, and compare what it keeps then. Verify it first: a broken one is found out only
/// when half of it was taken in.
///
/// A base without its history is entered as commits that say so, so that revisions go on where they were.
///
/// # Errors
/// See [`ArchiveError`].
pub async fn import(store: &dyn Store, from: impl BufRead) -> Result<Moved, ArchiveError> {
    let head = store.head().await?;
    if head.revision > Revision::default() {
        return Err(ArchiveError::NotEmpty(head.revision));
    }
    let (mut commits, mut records) = (Vec::new(), Vec::new());
    let (moved, expected) = read(from, |line| {
        match line {
            Line::Commit { commit } => commits.push(commit.into_owned()),
            Line::Record { record } => records.push(record.into_owned()),
            Line::First { .. } | Line::End { .. } => {}
        }
        Ok(())
    })?;
    if moved.commits == 0 {
        commits = base(records, moved.head);
    }
    let mut at = Head::EMPTY;
    let mut commits = commits.into_iter().peekable();
    while commits.peek().is_some() {
        let mut give = Give(commits.by_ref().take(PAGE).collect());
        at = store.turn(at, &mut give).await?;
    }
    let (records, head) = load(store).await?;
    if state(&records, head)? != expected {
        return Err(ArchiveError::Differs);
    }
    Ok(moved)
}

struct Give(Vec<Commit>);

impl Decide for Give {
    fn decide(&mut self, missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        // Somebody else has begun to use the store: nothing of ours follows on that.
        if missed.is_empty() { self.0.clone() } else { Vec::new() }
    }
}

/// Commits of every revision up to the head, with the records spread over them.
fn base(records: Vec<Record>, head: Head) -> Vec<Commit> {
    let revisions = head.revision.get();
    let each = (records.len() as u64).div_ceil(revisions.max(1)).max(1) as usize;
    let mut records = records.into_iter();
    let (mut previous, mut commits) = (CommitId::NONE, Vec::new());
    for revision in 1..=revisions {
        let id = if revision == revisions { head.id } else { CommitId::fresh() };
        commits.push(Commit {
            revision: Revision::new(revision),
            id,
            previous,
            at: head.at,
            // A constant that keeps the rule.
            actor: Principal::new("system").unwrap_or_else(|_| unreachable!()),
            action: Action {
                name: Cow::Borrowed("fleet.imported"),
                target: "fleet".into(),
                detail: "its history was no longer kept".into(),
            },
            request: None,
            changes: records.by_ref().take(each).map(Change::Put).collect(),
        });
        previous = id;
    }
    commits
}

/// Go through an archive, line by line, and fold it.
fn read(
    from: impl BufRead,
    mut each: impl FnMut(Line<'static>) -> Result<(), ArchiveError>,
) -> Result<(Moved, State), ArchiveError> {
    let (mut lines, mut digest, mut folded) = (0, Sha256::new(), State::default());
    let mut moved: Option<Moved> = None;
    let mut from = from;
    loop {
        let mut text = Vec::new();
        let bad = |why: &str| ArchiveError::Line { line: lines + 1, why: why.to_owned() };
        if from.read_until(b'\n', &mut text)? == 0 {
            return Err(bad("the archive was cut short: its last line is missing"));
        }
        let line: Line<'static> = serde_json::from_slice(&text).map_err(|error| bad(&error.to_string()))?;
        match (&line, &mut moved) {
            (Line::First { memc_archive, format, head, .. }, None) => {
                if *memc_archive != VERSION || *format > FORMAT {
                    return Err(bad("a later version wrote it: use that"));
                }
                let format = FORMAT;
                moved = Some(Moved { head: Head { format, ..*head }, commits: 0, records: 0 });
            }
            (Line::Commit { commit }, Some(moved)) if moved.records == 0 => {
                folded.fold(commit).map_err(|error| bad(&error.to_string()))?;
                moved.commits += 1;
            }
            (Line::Record { record }, Some(moved)) if moved.commits == 0 => {
                let change = Change::Put(record.clone().into_owned());
                folded.apply(change).map_err(|error| bad(&error.to_string()))?;
                moved.records += 1;
            }
            (Line::End { end }, Some(moved)) => {
                if *end != (End { lines, sha256: hexadecimal(digest) }) {
                    return Err(bad("the archive was changed since it was written: its checksum differs"));
                }
                if moved.commits == 0 {
                    folded.loaded(moved.head);
                }
                if folded.head() != moved.head {
                    return Err(bad("it does not end where its first line says"));
                }
                return Ok((*moved, folded));
            }
            _ => return Err(bad("a line of this kind does not belong here")),
        }
        each(line)?;
        lines += 1;
        digest.update(&text);
    }
}

async fn load(store: &dyn Store) -> Result<(Vec<Record>, Head), StoreError> {
    #[derive(Default)]
    struct Collect(Vec<Record>);
    impl Load for Collect {
        fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
            self.0.extend(records);
            Ok(())
        }
    }
    let mut into = Collect::default();
    let head = store.load(&mut into).await?;
    Ok((into.0, head))
}

fn state(records: &[Record], head: Head) -> Result<State, Inconsistent> {
    let mut state = State::loading();
    for record in records {
        state.apply(Change::Put(record.clone()))?;
    }
    state.loaded(head);
    Ok(state)
}
