//! What can go wrong with a store, and whether to try again.

use std::error::Error;
use std::fmt;

use crate::ledger::{FORMAT, Head};

/// A store could not do what it was asked. Nothing was changed.
#[derive(Debug)]
pub struct StoreError {
    kind: Kind,
    operation: &'static str,
    source: Box<dyn Error + Send + Sync>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unavailable,
    Corrupt,
}

impl StoreError {
    /// The server is away, overloaded or locked: it may work later.
    pub fn unavailable(operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        StoreError { kind: Kind::Unavailable, operation, source: source.into() }
    }

    /// What is stored cannot be: trying again does not help.
    pub fn corrupt(operation: &'static str, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        StoreError { kind: Kind::Corrupt, operation, source: source.into() }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// Whether what is stored contradicts itself.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.kind == Kind::Corrupt
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Unavailable => "the store did not answer",
            Kind::Corrupt => "the store holds what cannot be",
        };
        write!(f, "{what} ({}): {}", self.operation, self.source)
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// A turn that appended nothing, or perhaps did.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// More commits were missed than a turn reads: catch up with [`Store::commits`](super::Store::commits) first.
    #[error("more commits were missed than a turn reads")]
    Behind,
    /// The ledger is not the one that the caller's state was folded from: it was set back or replaced. Load anew.
    #[error("the ledger's end is revision {revision} ({id}), which does not continue what was read before", revision = .0.revision, id = .0.id)]
    Diverged(Head),
    /// The ledger is kept in another format: a newer version migrated it.
    #[error("the ledger has format {0}, this program writes {FORMAT}: install the version that migrated it")]
    Format(u32),
    /// A constraint of the store fired although the rules held: stop, load anew, and tell operators.
    #[error("the store refused the commit: {0}")]
    Conflict(StoreError),
    /// The commits are more than the store takes at once, whatever is in it; fewer or smaller ones may do. Says how much,
    /// what the limit is, and how to raise it.
    #[error("the commit is too long for the store: {0}")]
    TooLong(String),
    /// The connection broke while the commit was being acknowledged.
    #[error("whether the commit was made is not known yet: {0}")]
    Unknown(StoreError),
    /// The store could not do it; nothing was appended.
    #[error(transparent)]
    Store(#[from] StoreError),
}
