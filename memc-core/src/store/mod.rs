//! What a backend does: append at an expected head, atomically and durably, and hand out what it has.
//!
//! Every rule of a fleet is kept by [`decide`](crate::ledger::decide()) on the exact state that a commit is appended
//! to. A store has one hard thing to do, and it is small: see [`Store::turn`].
//!
//! To write one, implement [`Store`] with `#[async_trait]`, read [`MemoryStore`] as the reference, and run the cases of
//! `memc_core::conformance` (feature `conformance`) on it: that module says how, in a few lines. A durable one to copy
//! from, on a plain file, is `examples/custom-store` in the repository.
//!
//! What a store keeps:
//! - **Every commit**, exactly as [`Decide::decide`] made it: revision, ids and time are in it already, and a store
//!   assigns nothing. [`Commit`], [`Record`] and [`Key`](crate::model::Key) come back from JSON as they went in, by
//!   serde, so a store needs no columns of its own.
//! - **The records they fold to**: [`Change::Put`](crate::ledger::Change::Put) replaces the record of the same
//!   [`Record::key`], [`Change::Remove`](crate::ledger::Change::Remove) takes it away. Rules are no part of folding.
//! - **The format**, beside them: a new ledger has [`FORMAT`](crate::ledger::FORMAT), and every [`Head`] says which it
//!   is, since a newer version may have changed it.

mod error;
#[cfg(feature = "conformance")]
mod faulty;
mod memory;

use std::fmt::Debug;

use async_trait::async_trait;
use serde::Serialize;

pub use error::{StoreError, TurnError};
#[cfg(feature = "conformance")]
pub use faulty::{Fault, FaultyStore};
pub use memory::MemoryStore;

use crate::ledger::{Commit, Head};
use crate::model::{Record, Revision, Timestamp};

/// Where [`Store::load`] puts what it reads.
pub trait Load: Send {
    /// Take some records. They come in the order of their [`Key`](crate::model::Key)'s kinds: the fleet, clusters,
    /// hosts, teams, quotas, caches, instances, retired ports, plans, requests; within a kind in any order, and each
    /// once. Pages are of any size and may hold several kinds; without records there need be none.
    ///
    /// # Errors
    /// A sentence about what cannot be; the load ends with [`StoreError::corrupt`], and what was taken is thrown away.
    fn take(&mut self, records: Vec<Record>) -> Result<(), String>;
}

/// Decides inside a turn. Called under the ledger's lock: synchronous, microseconds.
pub trait Decide: Send {
    /// Fold the commits that were missed, and answer with the commits to append after them; none to leave the ledger
    /// as it is. The missed ones are all of those after the turn's `at`, oldest first; the answer's are complete and
    /// continue the last of them.
    ///
    /// Commits that the caller has folded already do no harm.
    ///
    /// A store may call it again within the same turn, with the commits missed since the last call (a store that
    /// learns only from a failed append that it was behind); then only the last answer counts.
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit>;

    /// How far the caller has read on since it asked for a turn at `at`. A store may ask, the later the better, and
    /// takes the answer for the turn's `at`: where several processes take turns, what the others appended is then read
    /// while waiting and not within the turn.
    fn reached(&self, at: Head) -> Head {
        at
    }
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Acknowledged changes could be lost: the process must not write.
    Refuse,
    /// Worth knowing.
    Note,
}

/// Something about a store's server that operators should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// A stable word: `sqlite.synchronous`, …
    pub code: String,
    /// What is so, what is needed, and how to get there.
    pub message: String,
}

impl Finding {
    /// A note that a connection to a server is not encrypted, unless that server is on this machine: what goes over its
    /// loopback interface is nobody else's. `kind` is what the store's codes begin with, `address` is for people, and
    /// `how` says what to write for an encrypted one.
    #[must_use]
    pub fn plaintext(kind: &str, host: &str, address: &str, how: &str) -> Option<Self> {
        let here = host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|it| it.to_canonical().is_loopback());
        (!here).then(|| Finding {
            severity: Severity::Note,
            code: format!("{kind}.plaintext"),
            message: format!(
                "the connection to {address} is not encrypted: whoever can listen to the network in between reads \
                 the password, and whoever can change it changes the fleet. Set up TLS on the server and write \
                 {how}, or keep it on a network of its own"
            ),
        })
    }
}

/// How many commits a turn reads at most before it says [`TurnError::Behind`]: what is read under the lock is kept
/// small, the rest is caught up outside.
pub const MOST_MISSED: usize = 256;

/// Keeps a ledger and the records it folds to.
///
/// Object-safe, so that programs choose a backend when they start. Handles are cheap to share (`Arc<dyn Store>`);
/// several processes may open the same store at once. There is no defaulted method: whatever a backend forgets, the
/// compiler asks for.
#[async_trait]
pub trait Store: Debug + Send + Sync + 'static {
    /// The ledger's end, as of some moment after this was called; [`Head::EMPTY`] for a new ledger. Also of another
    /// format: that is how programs find out.
    async fn head(&self) -> Result<Head, StoreError>;

    /// Hand over every record as of one moment between call and return, in pages, and say which moment.
    ///
    /// Of a ledger of another format, hand over nothing and answer with its head: an error would hide from the program
    /// that opens it what is to be done.
    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError>;

    /// The commits after a revision, oldest first, at most `limit` of them; none after the last. A store with bounded
    /// history may begin later than asked: the reader sees that [`Commit::previous`] does not fit and loads anew.
    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError>;

    /// The commits before a revision, that one not among them, newest first, at most `limit` of them; of exactly one
    /// [`target`](crate::ledger::Action::target) where one is given. Any revision may be asked for: the largest is how
    /// one begins at the end. For people who read the history.
    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError>;

    /// Take a turn at the ledger's end.
    ///
    /// Wait for the ledger's lock, fairly among all processes; if the ledger has grown past `at`, read what was
    /// missed; let `by` decide; append what it answers, all or nothing, and return the new end once it is **durable**:
    /// on return a power cut no longer takes it back. Without commits to append the turn is a confirmed read of the
    /// head: nobody has appended between `by`'s last answer's beginning and a moment after it. (A lock that runs out
    /// while its holder is held up has to be looked at again, since refusals rest on it.)
    ///
    /// Missed commits are handed over only once they are durable: they may be folded for good whatever becomes of the
    /// turn. Whoever appended them may have died between writing and syncing: a store that syncs files itself does it
    /// again before it hands them over. `now` is the store's clock, and not before the last commit's time.
    ///
    /// The future may be dropped at any await. The turn is then all there or not at all, its lock is given back, and
    /// the handle goes on. `by` does not outlive the call, so it cannot be moved to another thread: a store whose
    /// waiting and writing block does each of them in a `spawn_blocking` that owns the lock, and decides in between.
    ///
    /// # Errors
    /// Nothing was appended, except for [`TurnError::Unknown`], after which it may or may not have been. The first that
    /// applies, before anything is decided:
    /// 1. [`TurnError::Format`]: commits of another format are not read.
    /// 2. [`TurnError::Diverged`]: `at` is past the ledger's end, or the ledger has another commit of its revision (at
    ///    revision 0: `at` has an id). With the end as it was found.
    /// 3. [`TurnError::Behind`]: more than [`MOST_MISSED`] commits come after `at`; exactly so many are handed over.
    ///    A store that no longer has the commit of so old an `at` need not look for it: the caller compares what it
    ///    reads next.
    ///
    /// After it, commits that do not continue the ledger's end, go back in time, or remove what is not there are a
    /// [`TurnError::Conflict`]; that includes what an earlier commit of the same answer removed. Broader constraints
    /// (one name twice, a reference to nothing) are a store's own choice. What is more than the store can take at once,
    /// whatever is in it, is [`TurnError::TooLong`].
    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError>;

    /// What stands against trusting this store's server with what it acknowledges; empty if nothing does. Asked when a
    /// fleet is opened, which a [`Severity::Refuse`] prevents unless its options accept risks, and from time to time
    /// afterwards.
    async fn check(&self) -> Result<Vec<Finding>, StoreError>;
}
