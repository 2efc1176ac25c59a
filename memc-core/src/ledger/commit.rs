//! Commits: what one atomic step left behind.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::model::{CommitId, Key, Principal, Record, RequestId, Revision, Timestamp};

/// The format of commits and records that this version reads and writes. A process stops appending to a ledger of
/// another one.
pub const FORMAT: u32 = 3;

/// The ledger's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last commit's revision; 0 for an empty ledger.
    pub revision: Revision,
    /// Its id: a head of the same revision and another id is another history.
    pub id: CommitId,
    /// When it was made; the next one is not made earlier.
    pub at: Timestamp,
    /// The format it is kept in; see [`FORMAT`].
    pub format: u32,
}

impl Head {
    /// The end of a ledger without commits.
    pub const EMPTY: Head = Head {
        revision: Revision::new(0),
        id: CommitId::NONE,
        at: Timestamp::from_millis(0),
        format: FORMAT,
    };
}

/// A record as it is afterwards, or its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The record is new, or replaces the one of the same key.
    Put(Record),
    /// The record of this key is gone.
    Remove(Key),
}

/// What was done, for people who read the history. Folding ignores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// A stable word: `cache.allocate`, `host.lost`, …
    pub name: Cow<'static, str>,
    /// What it was done to: `cache:shop/sessions`, `host:m1.example.com`, …
    pub target: String,
    /// Sizes, names, a stated reason; may be empty.
    pub detail: String,
}

/// One atomic step of the ledger.
///
/// It carries whole records as they are afterwards, never the command: folding needs no rules, survives versions, and
/// no other process decides again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// One more than that of the commit before.
    pub revision: Revision,
    /// Its own id.
    pub id: CommitId,
    /// The id of the commit before.
    pub previous: CommitId,
    /// When, by the store's clock; never before the commit before.
    pub at: Timestamp,
    /// Who.
    pub actor: Principal,
    /// What, for people.
    pub action: Action,
    /// The caller's id of the request, where one was given.
    pub request: Option<RequestId>,
    /// What is different afterwards, in an order in which each step is consistent.
    pub changes: Vec<Change>,
}

impl Commit {
    /// The ledger's end once this is the last commit.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { revision: self.revision, id: self.id, at: self.at, format: FORMAT }
    }
}

/// The answer to a command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The commit that did it; for a command that had nothing to change, the ledger's end at that moment.
    pub revision: Revision,
    /// When.
    pub at: Timestamp,
    /// The record it was about.
    pub subject: Key,
}
