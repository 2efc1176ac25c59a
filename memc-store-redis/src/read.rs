//! Reading the ledger: its end, and its commits.

use memc_core::ledger::{Commit, Head};
use memc_core::model::{CommitId, Revision, Timestamp};
use redis::Value;
use uuid::Uuid;

use crate::Inner;
use crate::error::Failure;
use crate::link::Repeat;
use crate::reply::{bytes, list, number, optional_text, tuple};

/// The arrangement of keys that this version reads and writes; see [`crate::keys`].
pub(crate) const LAYOUT: &str = "1";
/// Commits asked for at once, so that the server is not kept busy for long.
const PAGE: usize = 250;

impl Inner {
    pub(crate) async fn head(&self) -> Result<Head, Failure> {
        let mut command = redis::cmd("HMGET");
        command.arg(&self.keys.head).arg(&["revision", "id", "at", "format", "layout"]);
        head_of(self.link.ask(&command, Repeat::Once).await?)
    }

    pub(crate) async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, Failure> {
        let (mut after, mut commits) = (after, Vec::new());
        loop {
            let count = PAGE.min(limit - commits.len());
            if count == 0 {
                return Ok(commits);
            }
            let mut command = redis::cmd("XRANGE");
            command.arg(&self.keys.commits).arg(first_after(after)).arg("+").arg("COUNT").arg(count);
            let page = commits_of(self.link.ask(&command, Repeat::Once).await?)?;
            let full = page.len() == count;
            after = page.last().map_or(after, |commit| commit.revision);
            commits.extend(page);
            if !full {
                return Ok(commits);
            }
        }
    }

    /// Newest first.
    pub(crate) async fn history(&self, before: Revision, limit: usize) -> Result<Vec<Commit>, Failure> {
        let (mut before, mut commits) = (before, Vec::new());
        loop {
            let count = PAGE.min(limit - commits.len());
            if count == 0 || before.get() == 0 {
                return Ok(commits);
            }
            let mut command = redis::cmd("XREVRANGE");
            let from = format!("{}-0", before.get() - 1);
            command.arg(&self.keys.commits).arg(from).arg("-").arg("COUNT").arg(count);
            let page = commits_of(self.link.ask(&command, Repeat::Once).await?)?;
            let full = page.len() == count;
            before = page.last().map_or(before, |commit| commit.revision);
            commits.extend(page);
            if !full {
                return Ok(commits);
            }
        }
    }

    /// Newest first, of one target: its revisions from its index, then each commit by its revision.
    pub(crate) async fn history_of(
        &self,
        target: &str,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, Failure> {
        let (mut before, mut commits) = (before, Vec::new());
        loop {
            let count = PAGE.min(limit - commits.len());
            if count == 0 || target.is_empty() {
                return Ok(commits);
            }
            let mut command = redis::cmd("ZREVRANGEBYSCORE");
            command.arg(self.keys.of_target(target)).arg(format!("({before}")).arg("-inf");
            command.arg("LIMIT").arg(0).arg(count);
            let revisions = list(self.link.ask(&command, Repeat::Once).await?)?;
            let full = revisions.len() == count;
            for revision in revisions {
                let revision = number(&crate::reply::text(revision)?)?;
                before = Revision::new(revision);
                let mut command = redis::cmd("XRANGE");
                command.arg(&self.keys.commits).arg(format!("{revision}-0")).arg(format!("{revision}-0"));
                // It may just have been forgotten.
                commits.extend(commits_of(self.link.ask(&command, Repeat::Once).await?)?);
            }
            if !full {
                return Ok(commits);
            }
        }
    }
}

/// The first entry of the stream that a commit after this one can have.
pub(crate) fn first_after(revision: Revision) -> String {
    format!("{revision}-1")
}

/// The head from its fields: revision, id, at, format, layout.
pub(crate) fn head_of(fields: Value) -> Result<Head, Failure> {
    let [revision, id, at, format, layout] = tuple(fields)?;
    let Some(revision) = optional_text(revision)? else {
        return Ok(Head::EMPTY);
    };
    let field = |value: Value, name: &str| {
        optional_text(value)?.ok_or_else(|| Failure::corrupt(format!("the head has no {name}")))
    };
    let layout = field(layout, "layout")?;
    if layout != LAYOUT {
        return Err(Failure::corrupt(format!(
            "the ledger's keys are arranged in layout {layout}, this program knows {LAYOUT}: install the version that \
             changed it"
        )));
    }
    let format = number(&field(format, "format")?)?;
    Ok(Head {
        revision: Revision::new(number(&revision)?),
        id: id_of(&field(id, "id")?)?,
        at: Timestamp::from_millis(number(&field(at, "time")?)?),
        format: u32::try_from(format).map_err(|_| Failure::corrupt("the head's format is too large"))?,
    })
}

fn id_of(text: &str) -> Result<CommitId, Failure> {
    let id = Uuid::parse_str(text).map_err(|_| Failure::corrupt(format!("{text:?} is no commit's id")))?;
    Ok(CommitId::from_bytes(*id.as_bytes()))
}

/// The commits from entries of the stream.
pub(crate) fn commits_of(entries: Value) -> Result<Vec<Commit>, Failure> {
    list(entries)?.into_iter().map(commit_of).collect()
}

fn commit_of(entry: Value) -> Result<Commit, Failure> {
    let [place, fields] = tuple(entry)?;
    let [_, _, _, commit] = tuple(fields)?;
    let place = crate::reply::text(place)?;
    let commit: Commit = serde_json::from_slice(&bytes(commit)?)
        .map_err(|error| Failure::corrupt(format!("commit {place} cannot be read: {error}")))?;
    if place != format!("{}-0", commit.revision) {
        return Err(Failure::corrupt(format!("commit {place} says it is {}", commit.revision)));
    }
    Ok(commit)
}
