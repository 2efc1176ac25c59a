//! Identifiers that are numbers or UUIDs, one type each.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! number {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(from = "u64", into = "u64")]
        // One more than its number, so that an `Option` of it takes no more memory.
        pub struct $name(NonZeroU64);

        impl $name {
            /// From its number, at most `i64::MAX` (what every store can hold).
            #[must_use]
            pub const fn new(number: u64) -> Self {
                let number = if number > i64::MAX as u64 { i64::MAX as u64 } else { number };
                $name(NonZeroU64::MIN.saturating_add(number))
            }

            /// Its number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0.get() - 1
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $name::new(0)
            }
        }

        impl From<u64> for $name {
            fn from(number: u64) -> Self {
                $name::new(number)
            }
        }

        impl From<$name> for u64 {
            fn from(id: $name) -> u64 {
                id.get()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.get().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.get()).finish()
            }
        }
    )*};
}

number! {
    /// A cluster's number, never used again.
    ClusterId
    /// A host's number, never used again; it survives a rename.
    HostId
    /// A team's number, never used again.
    TeamId
    /// A cache's number, never used again, though its name may be.
    CacheId
    /// A plan's number, never used again.
    PlanId
    /// An instance's number, never used again: it tells a reissued port from the old one.
    InstanceId
    /// A commit's place in the ledger: 1 for the first, no gaps; 0 is the empty ledger.
    Revision
}

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Revision::new(self.get() + 1)
    }
}

/// A commit's own identity. A server that was restored from a backup can hand out a revision a second time with
/// other content; this tells the two apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommitId(uuid::Uuid);

impl CommitId {
    /// The id before the first commit.
    pub const NONE: CommitId = CommitId(uuid::Uuid::nil());

    /// A fresh one.
    #[must_use]
    pub fn fresh() -> Self {
        CommitId(uuid::Uuid::now_v7())
    }

    /// From its bytes, as a store kept them.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        CommitId(uuid::Uuid::from_bytes(bytes))
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where observations are made from: evidence of one place says nothing about what another can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObserverId(u32);

impl ObserverId {
    /// The observer of this name (a machine's name, say): the first 31 bits of the name's SHA-256, so that the same
    /// place is recognised after a restart.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let hash = Sha256::digest(name.as_bytes());
        ObserverId(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) >> 1)
    }

    /// Its number, as a store keeps it.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// From its number, as a store kept it.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        ObserverId(number)
    }
}
