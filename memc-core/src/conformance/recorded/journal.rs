//! What was asked and what was answered, in one file that every process appends to.
//!
//! The order of its lines needs no clock: a question is written down before it is asked, an answer after it came. So if
//! A's answer stands before B's question, A had its answer before B was asked, whichever processes they are of.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ask::Ask;
use crate::ledger::{Receipt, State};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// A process has opened its fleet.
    Opened { process: usize },
    /// About to be asked.
    Asked { process: usize, actor: String, request: String, ask: Ask },
    /// What came of the last question of this actor.
    Got { process: usize, actor: String, answer: Answer },
    /// About to read.
    Reads { process: usize, actor: String },
    /// What the last read of this actor showed.
    Read { process: usize, actor: String, fresh: bool, seen: Seen },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Acknowledged(Receipt),
    /// The refusal's code.
    Refused(String),
    /// Nothing has changed: the store is away.
    Unavailable,
    /// Nobody knows, or nobody waited for the answer.
    Unknown,
}

/// What a reader saw of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    pub(super) revision: u64,
    pub(super) caches: usize,
    pub(super) instances: usize,
}

impl Seen {
    pub(super) fn of(state: &State) -> Self {
        Seen {
            revision: state.head().revision.get(),
            caches: state.caches().count(),
            instances: state.instances().count(),
        }
    }
}

/// Appends lines. A line begins with its line break, so that one cut short by `kill -9` spoils no other.
#[derive(Debug)]
pub(super) struct Journal(File);

impl Journal {
    pub(super) fn open(directory: &Path) -> Self {
        let file = OpenOptions::new().append(true).create(true).open(directory.join(NAME));
        Journal(file.expect("a journal"))
    }

    /// In one `write`, which appends it whole.
    pub(super) fn write(&self, line: &Line) {
        let text = format!("\n{}", serde_json::to_string(line).unwrap());
        (&self.0).write_all(text.as_bytes()).expect("the journal can be written");
    }
}

const NAME: &str = "journal";

/// Every whole line so far, in order.
pub(super) fn lines(directory: &Path) -> Vec<Line> {
    let bytes = std::fs::read(directory.join(NAME)).expect("a journal");
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

/// A directory for one case, removed with it.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        let name = format!("memc-conformance-{}", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a temporary directory");
        Directory(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is the temporary directory's to clear.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
