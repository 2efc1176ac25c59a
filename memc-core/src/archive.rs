//! A ledger as a file: to move it from any store into any other, and to keep it.
//!
//! JSON lines, in UTF-8, each ended by `\n`:
//!
//! ```text
//! {"memc_archive": 2, "format": 3, "head": {…}, "base": {…}}   where the ledger ended, and where its history begins
//! {"record": {…}}   every record as of the base, what is referred to first
//! {"commit": {…}}   every commit after the base, oldest first
//! {"end": {"lines": 841, "sha256": "9f86…"}}   of all lines before this one
//! ```
//!
//! The records with the commits folded in are what the store kept at the head: `export` compares that record by record
//! before it ends the file, and `import` what the other store keeps afterwards.
//!
//! The base of a whole history is [`Head::EMPTY`], with no records. [`Since`] takes a later one, which leaves out what came
//! before. Commits carry records as they are afterwards, so what a record was before is known only from the commits
//! before: where a store has forgotten its beginning, the base is the head, and there is no history in the archive, unless
//! an earlier archive has what was forgotten. Users and tokens are not part of a ledger.
//!
//! Archives of version 1 are read as well. There `"base": false` stands for a whole history, `"base": true` for records
//! alone.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::ledger::{Action, Change, Commit, FORMAT, Head, Inconsistent, State};
use crate::model::{CommitId, Key, Principal, Record, Revision, Timestamp};
use crate::store::{Decide, Load, Store, StoreError, TurnError};

/// Of the file, not of the ledger in it.
const VERSION: u32 = 2;
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
    /// Commits that the archive is to begin with, or to go on with, are no longer kept.
    #[error(
        "the history begins with revision {0}, and what the records were before is not known: give an archive that reaches \
         as far"
    )]
    Forgotten(Revision),
    /// The archive was to begin after the ledger's end.
    #[error("the history ends with revision {0}, nothing came after a later one")]
    Ahead(Revision),
    /// The earlier archive does not lead to what the store keeps.
    #[error("the earlier archive is of another ledger, or of what a restore has undone")]
    Other,
    /// The commits do not come to what the source keeps in its tables.
    #[error("{0}; see what `doctor --deep` says of the store")]
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
    /// Where its history in the archive begins.
    pub base: Head,
    /// Records in the archive, as of the base.
    pub records: u64,
    /// Commits in the archive, those after the base.
    pub commits: u64,
}

/// Where the history in an archive begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Since {
    /// As early as is known.
    #[default]
    Beginning,
    /// With what happened at this time or later.
    Time(Timestamp),
    /// After this revision.
    Revision(Revision),
}

impl Since {
    /// Whether a ledger that ends here has nothing yet of what is wanted.
    fn leaves_out(self, head: Head) -> bool {
        match self {
            Since::Beginning => false,
            Since::Time(time) => head.at < time,
            Since::Revision(revision) => head.revision <= revision,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", untagged)]
enum Line<'a> {
    First { memc_archive: u32, format: u32, head: Head, base: Base },
    Record { record: Cow<'a, Record> },
    Commit { commit: Cow<'a, Commit> },
    End { end: End },
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Base {
    /// Of version 1: whether it has records, which are as of the head, or commits.
    AtHead(bool),
    At(Head),
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

/// Writes an archive, once it is known where its history begins.
struct Export<W> {
    writer: Writer<W>,
    since: Since,
    moved: Moved,
    /// As of the base.
    records: BTreeMap<Key, Record>,
    begun: bool,
    folded: State,
}

impl<W: Write> Export<W> {
    /// A record as of the base.
    fn record(&mut self, record: Record) -> Result<(), ArchiveError> {
        self.folded.apply(Change::Put(record.clone()))?;
        self.records.insert(record.key(), record);
        Ok(())
    }

    /// Every record was taken, and they are as of this moment.
    fn base(&mut self, base: Head) {
        self.folded.loaded(base);
        self.moved.base = base;
    }

    fn commit(&mut self, commit: &Commit) -> Result<(), ArchiveError> {
        self.folded.fold(commit)?;
        if !self.begun && self.since.leaves_out(commit.head()) {
            for change in &commit.changes {
                match change {
                    Change::Put(record) => self.records.insert(record.key(), record.clone()),
                    Change::Remove(key) => self.records.remove(key),
                };
            }
            self.moved.base = commit.head();
            return Ok(());
        }
        self.begin()?;
        self.moved.commits += 1;
        Ok(self.writer.line(&Line::Commit { commit: Cow::Borrowed(commit) })?)
    }

    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let Moved { head, base, .. } = self.moved;
        let (format, base) = (head.format, Base::At(base));
        self.writer.line(&Line::First { memc_archive: VERSION, format, head, base })?;
        // Keys are in the order in which records refer to each other.
        for record in std::mem::take(&mut self.records).into_values() {
            self.writer.line(&Line::Record { record: Cow::Owned(record) })?;
            self.moved.records += 1;
        }
        Ok(())
    }

    fn end(mut self, kept: &State) -> Result<Moved, ArchiveError> {
        if self.folded != *kept {
            return Err(Inconsistent("the tables are not what the history comes to".into()).into());
        }
        self.begin()?;
        let end = End { lines: self.writer.lines, sha256: hexadecimal(self.writer.digest.clone()) };
        self.writer.line(&Line::End { end })?;
        self.writer.to.flush()?;
        Ok(self.moved)
    }
}

/// Write what a store keeps, as of one moment, with all the history that it has. Others may go on writing.
///
/// # Errors
/// See [`ArchiveError`]. A file that has no last line is no archive.
pub async fn export(store: &dyn Store, to: impl Write) -> Result<Moved, ArchiveError> {
    export_since(store, Since::Beginning, None::<io::Empty>, to).await
}

/// As [`export`], with the history since some moment. What the store has forgotten may be taken from an earlier archive of
/// the same ledger. A store that has all of its history needs none: the earlier one is only compared with it.
///
/// Holds the records as of the base in memory.
///
/// # Errors
/// See [`ArchiveError`]. A file that has no last line is no archive.
pub async fn export_since(
    store: &dyn Store,
    since: Since,
    earlier: Option<impl BufRead>,
    to: impl Write,
) -> Result<Moved, ArchiveError> {
    let (records, head) = load(store).await?;
    let kept = state(&records, head)?;
    if let Since::Revision(revision) = since
        && revision > head.revision
    {
        return Err(ArchiveError::Ahead(head.revision));
    }
    let mut export = Export {
        writer: Writer { to, lines: 0, digest: Sha256::new() },
        since,
        moved: Moved { head, base: Head::EMPTY, commits: 0, records: 0 },
        records: BTreeMap::new(),
        begun: false,
        folded: State::default(),
    };
    let mut at = Head::EMPTY;
    let with_earlier = earlier.is_some();
    let first = store.commits(at.revision, 1).await?.into_iter().next();
    let whole = first.is_some_and(|it| it.revision == at.revision.next());
    if let Some(earlier) = earlier {
        let mut based = false;
        let (moved, _) = read(earlier, |line, moved| {
            match line {
                // The earlier one may begin later than the store, and is not to take anything away.
                _ if whole => {}
                Line::Record { record } => export.record(record.into_owned())?,
                Line::Commit { commit } => {
                    if !std::mem::replace(&mut based, true) {
                        export.base(moved.base);
                    }
                    export.commit(&commit)?;
                }
                Line::End { .. } if !based => export.base(moved.base),
                Line::First { .. } | Line::End { .. } => {}
            }
            Ok(())
        })?;
        let known = moved.base == Head::EMPTY || since == Since::Beginning || since.leaves_out(moved.base);
        if !whole && !known {
            return Err(ArchiveError::Forgotten(moved.base.revision.next()));
        }
        at = moved.head;
    }
    let next = store.commits(at.revision, 1).await?.into_iter().next();
    let follows = next.as_ref().map_or(at.revision >= head.revision, |it| it.revision == at.revision.next());
    if follows {
        let id = next.as_ref().map_or(head.id, |it| it.previous);
        if at.revision > head.revision || at.id != id {
            return Err(ArchiveError::Other);
        }
    } else if with_earlier || since != Since::Beginning {
        return Err(ArchiveError::Forgotten(next.map_or(head.revision, |it| it.revision)));
    } else {
        records.into_iter().try_for_each(|record| export.record(record))?;
        export.base(head);
        at = head;
    }
    let mut at = if whole { Revision::default() } else { at.revision };
    while at < head.revision {
        let page = store.commits(at, PAGE).await?;
        let Some(last) = page.last() else {
            return Err(StoreError::corrupt("export", format!("commits after {at} are missing")).into());
        };
        at = last.revision;
        for commit in page.iter().filter(|commit| commit.revision <= head.revision) {
            export.commit(commit)?;
        }
    }
    export.end(&kept)
}

/// Read an archive through, without a store: that it is whole, and that what it says makes a ledger.
///
/// # Errors
/// See [`ArchiveError`].
pub fn verify(from: impl BufRead) -> Result<Moved, ArchiveError> {
    read(from, |_, _| Ok(())).map(|(moved, _)| moved)
}

/// Put an archive into an empty store, and compare what it keeps then. Verify it first: a broken one is found out only
/// when half of it was taken in.
///
/// What came before the base is entered as commits that say so, so that revisions go on where they were.
///
/// # Errors
/// See [`ArchiveError`].
pub async fn import(store: &dyn Store, from: impl BufRead) -> Result<Moved, ArchiveError> {
    let head = store.head().await?;
    if head.revision > Revision::default() {
        return Err(ArchiveError::NotEmpty(head.revision));
    }
    let (mut since, mut records) = (Vec::new(), Vec::new());
    let (moved, expected) = read(from, |line, _| {
        match line {
            Line::Commit { commit } => since.push(commit.into_owned()),
            Line::Record { record } => records.push(record.into_owned()),
            Line::First { .. } | Line::End { .. } => {}
        }
        Ok(())
    })?;
    let mut at = Head::EMPTY;
    let mut commits = base(records, moved.base).chain(since).peekable();
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

/// Commits of every revision up to the base, with its records spread over them; made one at a time, since there may be
/// many more of them than records.
fn base(records: Vec<Record>, base: Head) -> impl Iterator<Item = Commit> {
    let revisions = base.revision.get();
    let each = (records.len() as u64).div_ceil(revisions.max(1)).max(1) as usize;
    let mut records = records.into_iter();
    let mut previous = CommitId::NONE;
    (1..=revisions).map(move |revision| {
        let id = if revision == revisions { base.id } else { CommitId::fresh() };
        Commit {
            revision: Revision::new(revision),
            id,
            previous: std::mem::replace(&mut previous, id),
            at: base.at,
            // A constant that keeps the rule.
            actor: Principal::new("system").unwrap_or_else(|_| unreachable!()),
            action: Action {
                name: Cow::Borrowed("fleet.imported"),
                target: "fleet".into(),
                detail: "its history was no longer kept".into(),
            },
            request: None,
            changes: records.by_ref().take(each).map(Change::Put).collect(),
        }
    })
}

/// Go through an archive, line by line, and fold it.
fn read(
    from: impl BufRead,
    mut each: impl FnMut(Line<'static>, &Moved) -> Result<(), ArchiveError>,
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
        // What the parser says is of its own types, and nobody else's.
        let line: Line<'static> = serde_json::from_slice(&text).map_err(|_| match moved {
            None => bad("this is no archive of a fleet, or one of a later version"),
            Some(_) => bad("the archive was cut short or changed: this is none of its lines"),
        })?;
        match (&line, &mut moved) {
            (Line::First { memc_archive, format, head, base }, None) => {
                if *memc_archive > VERSION || *format > FORMAT {
                    return Err(bad("a later version wrote it: use that"));
                }
                let base = match (memc_archive, base) {
                    (1, Base::AtHead(false)) => Head::EMPTY,
                    (1, Base::AtHead(true)) => *head,
                    (2, Base::At(base)) => *base,
                    _ => return Err(bad("its version does not say so where the history begins")),
                };
                let now = |head: Head| Head { format: FORMAT, ..head };
                let (head, base) = (now(*head), now(base));
                if base.revision == Revision::default() && base != Head::EMPTY {
                    return Err(bad(
                        "its history begins at revision 0, where there is nothing yet, and not with nothing",
                    ));
                }
                moved = Some(Moved { head, base, commits: 0, records: 0 });
            }
            (Line::Commit { commit }, Some(moved)) => {
                if moved.commits == 0 {
                    folded.loaded(moved.base);
                }
                // One that is part of it already would be passed over.
                if commit.revision <= folded.head().revision {
                    return Err(bad("it does not follow the one before"));
                }
                folded.fold(commit).map_err(|error| bad(&error.to_string()))?;
                moved.commits += 1;
            }
            (Line::Record { record }, Some(moved)) if moved.commits == 0 && moved.base != Head::EMPTY => {
                let change = Change::Put(record.clone().into_owned());
                folded.apply(change).map_err(|error| bad(&error.to_string()))?;
                moved.records += 1;
            }
            (Line::End { end }, Some(moved)) => {
                if *end != (End { lines, sha256: hexadecimal(digest) }) {
                    return Err(bad("the archive was changed since it was written: its checksum differs"));
                }
                if moved.commits == 0 {
                    folded.loaded(moved.base);
                }
                if folded.head() != moved.head {
                    return Err(bad("it does not end where its first line says"));
                }
                lines += 1;
                if !from.fill_buf()?.is_empty() {
                    let why =
                        "something follows its last line: is this one archive, as it was written?".to_owned();
                    return Err(ArchiveError::Line { line: lines + 1, why });
                }
                let moved = *moved;
                each(line, &moved)?;
                return Ok((moved, folded));
            }
            _ => return Err(bad("a line of this kind does not belong here")),
        }
        if let Some(moved) = &moved {
            each(line, moved)?;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As many commits as an archive says that there were need no memory.
    #[test]
    fn commits_up_to_the_base_are_made_one_at_a_time() {
        let head = Head { revision: Revision::new(1 << 60), id: CommitId::fresh(), ..Head::EMPTY };
        let first: Vec<Commit> = base(Vec::new(), head).take(3).collect();
        assert!(first.windows(2).all(|pair| pair[1].previous == pair[0].id));
        assert_eq!(first[2].revision, Revision::new(3));
    }
}
