//! Planning ahead on a copy of one cluster: nothing here is part of a turn, and nothing changes a fleet.
//!
//! - [`fit`]: do these caches fit on the hosts that are there? Places for all of them, or a proof that there are none.
//! - [`buy`](mod@buy): which new hosts hold these caches, with a lower bound on what any answer costs.
//! - [`loss`]: what if a host or a rack is lost; does the cluster survive the loss of any one?
//! - [`growth`]: what if everything grows by some percent?
//! - [`trend`]: when is the cluster full, from what was booked so far?
//! - [`fragmentation`]: where the free memory is, and why part of it cannot be used.
//!
//! What hosts keep for growing stays closed here, although a new instance that finds no place else may use it: so what fits
//! here fits in the ledger, and what does not may still.
//!
//! Answers are data; each can be read aloud with [`Display`](std::fmt::Display). Work limits are the caller's, and the
//! same input gives the same answer.

mod bins;
pub mod buy;
pub mod fit;
pub mod fragmentation;
pub mod growth;
pub mod loss;
mod racks;
pub mod trend;

use crate::model::{Counted, Mib};

/// Equal instances of one cache that are to be placed, each on a host of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Demand {
    /// What a host books for each of them, MiB.
    pub booked: Mib,
    /// How many.
    pub instances: u16,
    /// How many instances of the cache may share a rack; `None` for any number.
    pub max_per_rack: Option<u16>,
    /// Hosts that hold other instances of the cache, by their position in [`Layout::hosts`](super::Layout::hosts):
    /// they take none of these, and count in their racks. Empty for a new cache.
    pub beside: Vec<u32>,
}

/// Why an answer does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Another number of demands or instances than asked for.
    #[error("demand {demand}: {} for {}", Counted(*found, "place"), Counted(*wanted, "instance"))]
    Instances {
        /// The demand's position.
        demand: usize,
        /// Instances it asks for.
        wanted: u64,
        /// Places it was given.
        found: u64,
    },
    /// A host that does not exist, takes no instances, or holds the cache already.
    #[error("demand {demand}: host {host} cannot take an instance of it")]
    Host {
        /// The demand's position.
        demand: usize,
        /// The host's position.
        host: u32,
    },
    /// More instances of a cache in a rack than allowed.
    #[error("demand {demand}: {} in the rack of host {host}, where at most {allowed} may be", Counted(*found, "instance"))]
    Rack {
        /// The demand's position.
        demand: usize,
        /// A host in that rack.
        host: u32,
        /// Instances in the rack.
        found: u64,
        /// The limit.
        allowed: u16,
    },
    /// More memory booked than a host has.
    #[error("host {host} would book {booked} MiB more than it has room for")]
    Memory {
        /// The host's position.
        host: u32,
        /// Memory beyond its room, MiB.
        booked: u64,
    },
    /// More instances than a host has ports.
    #[error("host {host} has {} for {}", Counted(*ports, "port"), Counted(*instances, "instance"))]
    Ports {
        /// The host's position.
        host: u32,
        /// Its ports.
        ports: u32,
        /// Instances it was given.
        instances: u64,
    },
    /// A stated number that is not so.
    #[error("{what} is stated as {stated}, and is {found}")]
    Number {
        /// Which number.
        what: &'static str,
        /// As the answer has it.
        stated: u64,
        /// As computed again.
        found: u64,
    },
    /// A proof that proves nothing.
    #[error("the stated reason does not rule out a solution")]
    NoProof,
    /// The check took more work than the caller allows.
    #[error("not checked: more work than the limit")]
    TooMuchWork,
}
