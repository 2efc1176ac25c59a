//! What the clients asked and were told, in one file that every process appends to.
//!
//! The order of its lines needs no clock: a line about an answer is written after the answer came, a line about a
//! question before it is asked. So if A's answer stands before B's question, A was acknowledged before B was asked,
//! whichever processes they are of.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use memc_core::ledger::Receipt;
use memc_core::model::{HostId, Mib, Port};
use serde::{Deserialize, Serialize};

use crate::ask::Ask;

/// An instance as a read shows it: index, host, port, memory.
pub(crate) type Place = (u16, HostId, Port, Mib);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// About to be asked. Memory was at this revision, read after this actor's line before.
    Asked { actor: String, request: String, ask: Ask, seen: u64 },
    /// What came of the last question of this actor; where memory was afterwards, and which instances it showed then of
    /// a cache that was acknowledged.
    Got { actor: String, request: String, outcome: Outcome, seen: u64, shown: Vec<Place> },
    /// About to bring memory up to the ledger's end.
    Looks { actor: String },
    /// The revision that the look came to; `None` if the store was away.
    Saw { actor: String, revision: Option<u64> },
    /// The server runs with a setting that could lose what it acknowledges. Every store looks at that with each new
    /// connection that writes: so no process writes anything.
    Unsafe,
    /// It does no longer.
    Safe,
    /// A process has opened its fleet, started again so many times.
    Opened { process: String, run: u32 },
    /// The ledger is about to be set back to an older backup.
    Restoring,
    /// It was: the backup's last commit has this revision.
    Restored { to: u64 },
    /// A process has come to a new epoch; whether it has said that its ledger is not the one it was.
    Followed { process: String, epoch: u32, reloaded: bool },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Acknowledged(Receipt),
    /// The refusal's code.
    Refused(String),
    /// Nothing has changed, says the fleet: the store is away.
    Unavailable,
    /// Nothing has changed, says the fleet: the store's settings are not safe.
    Stopped,
    /// Whether it was carried out is not known, says the fleet.
    Unknown,
    /// The client gave up waiting.
    CutOff,
    /// What a fleet that works never answers.
    Broken(String),
}

/// Appends lines. A line begins with its line break, so that one cut short by `kill -9` spoils no other.
#[derive(Debug)]
pub(crate) struct Journal(File);

impl Journal {
    pub(crate) fn open(path: &Path) -> Self {
        Journal(OpenOptions::new().append(true).create(true).open(path).expect("a journal"))
    }

    /// In one `write`, which Linux appends whole.
    pub(crate) fn write(&self, line: &Line) {
        let text = format!("\n{}", serde_json::to_string(line).expect("a line"));
        (&self.0).write_all(text.as_bytes()).expect("the journal can be written");
    }
}

/// Every whole line, in order.
pub(crate) fn lines(path: &Path) -> impl Iterator<Item = Line> {
    let file = BufReader::new(File::open(path).expect("a journal"));
    file.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok())
}

/// What an actor asked last and got no answer to, by a look at the journal's end.
pub(crate) fn unanswered(path: &Path, actor: &str) -> Option<(String, Ask)> {
    const ENOUGH: u64 = 256 * 1024;
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(ENOUGH))).ok()?;
    let mut end = Vec::new();
    file.take(ENOUGH).read_to_end(&mut end).ok()?;
    let mut open = None;
    for line in String::from_utf8_lossy(&end).lines() {
        match serde_json::from_str(line) {
            Ok(Line::Asked { actor: of, request, ask, .. }) if of == actor => open = Some((request, ask)),
            Ok(Line::Got { actor: of, .. }) if of == actor => open = None,
            _ => {}
        }
    }
    open
}

/// Counts answers while the journal grows, and keeps the last words of each process.
#[derive(Debug)]
pub(crate) struct Counter {
    file: File,
    rest: Vec<u8>,
    pub(crate) answers: u64,
    /// How often each was started, of those that have opened their fleet.
    pub(crate) opened: BTreeMap<String, u32>,
    /// The last revision that was acknowledged to each since.
    pub(crate) acknowledged: BTreeMap<String, u64>,
    /// The last epoch each came to, and whether it had said that it loaded anew.
    pub(crate) followed: BTreeMap<String, (u32, bool)>,
}

impl Counter {
    pub(crate) fn open(path: &Path) -> Self {
        Counter {
            file: File::open(path).expect("a journal"),
            rest: Vec::new(),
            answers: 0,
            opened: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            followed: BTreeMap::new(),
        }
    }

    pub(crate) fn read(&mut self) {
        self.file.read_to_end(&mut self.rest).expect("the journal can be read");
        // The last line may still be on its way.
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return;
        };
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        for line in whole.split(|byte| *byte == b'\n').filter(|line| !line.starts_with(b"{\"asked\"")) {
            match serde_json::from_slice(line) {
                Ok(Line::Got { actor, outcome, .. }) => self.count(process_of(&actor), &outcome),
                Ok(Line::Opened { process, run }) => {
                    self.acknowledged.remove(&process);
                    self.opened.insert(process, run);
                }
                Ok(Line::Followed { process, epoch, reloaded }) => {
                    self.followed.insert(process, (epoch, reloaded));
                }
                _ => {}
            }
        }
    }

    fn count(&mut self, process: &str, outcome: &Outcome) {
        self.answers += 1;
        if let Outcome::Acknowledged(receipt) = outcome {
            self.acknowledged.insert(process.to_owned(), receipt.revision.get());
        }
    }
}

/// The process of this number, as actors name it.
pub(crate) fn process(number: u32) -> String {
    format!("user:w{number}")
}

/// `user:w1` of `user:w1c3`.
pub(crate) fn process_of(actor: &str) -> &str {
    actor.split_once('c').map_or(actor, |(process, _)| process)
}
