//! Plans of moves: drain a host, make room for a request, empty hosts.
//!
//! A move starts a copy elsewhere and then stops the original; what was cached goes cold. Moves are carried out one
//! after another, and **every prefix of a plan fits**: while a move runs, both copies book memory and hold a port,
//!
//! - the target is open, holds no instance of the cache (one that is being stopped counts), has a free port, and has
//!   [`rebooked`](LayoutInstance::rebooked) MiB left below its [`limit`](LayoutHost::limit), so that no
//!   move uses what is kept for growing, not even as a last resort;
//! - the original books its memory until it is confirmed to have stopped, which is before the next move starts;
//! - its port cools down and is not issued again within the plan;
//! - a move never raises a rack above its cache's [`max_per_rack`](super::LayoutCache::max_per_rack); a move within one rack
//!   does not raise it, even one that is over-full already.
//!
//! [`check`] replays a plan by these rules and shares no code with the planners. A plan was made for one [`Layout`]:
//! whoever carries it out asks the ledger again before each step.
//!
//! Instances that cannot be moved (they are being stopped, or are half of a move already) leave by themselves: they
//! do not keep a host from being drained, but they do keep it from being chosen by [`rebalance`].
//!
//! Searches are exact if `work` lets them finish: best first (A*, Hart, Nilsson and Raphael 1968) over the states
//! that moves lead to, with the MiB still to go cold as the bound.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Layout, LayoutHost, LayoutInstance};
use crate::model::{CacheId, Counted, HostId, InstanceId, Mib};

mod board;
mod check;
mod drain;
mod goal;
mod pack;
mod rebalance;
mod room;
mod search;
mod settle;

pub use check::{Flaw, check};
pub use drain::drain;
pub use rebalance::rebalance;
pub use room::{Request, make_room};

/// How much may go cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// By the whole plan, MiB.
    pub total: Mib,
    /// Of any one cache, MiB.
    pub per_cache: Mib,
}

impl Budget {
    /// Anything.
    pub const UNLIMITED: Budget = Budget { total: Mib::MAX, per_cache: Mib::MAX };
}

/// One move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What moves.
    pub instance: InstanceId,
    /// Its cache.
    pub cache: CacheId,
    /// The host it leaves.
    pub from: HostId,
    /// The host it goes to.
    pub to: HostId,
    /// What goes cold, MiB.
    pub memory: Mib,
    /// What `to` books for it, MiB.
    pub booked: Mib,
}

/// Moves in an order in which every prefix fits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The moves, to be carried out one after another.
    pub steps: Vec<Step>,
    /// What goes cold in all, MiB.
    pub cold: Mib,
    /// Hosts that nothing movable is left on afterwards, in the order of ids.
    pub emptied: Vec<HostId>,
}

/// What became of a search for a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// This way.
    Plan(Plan),
    /// There is no way, for this reason.
    Infeasible(Proof),
    /// Neither was found before the work limit.
    Undecided,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Proof {
    /// The layout has no such host.
    UnknownHost(HostId),
    /// The layout has no such instance.
    UnknownInstance(InstanceId),
    /// An instance fits on no host, even if everything that can be moved were gone.
    Nowhere {
        /// Which.
        instance: InstanceId,
        /// What a host would book for it, MiB.
        needs: Mib,
    },
    /// New instances fit on too few hosts, even if everything that can be moved were gone.
    TooFewPlaces {
        /// Asked for, each on a host of its own.
        instances: u64,
        /// Hosts that could take one, as far as racks allow.
        places: u64,
    },
    /// A cache has more instances than hosts and racks can hold, one a host.
    TooFewHosts {
        /// Which.
        cache: CacheId,
        /// Instances to be held.
        instances: u64,
        /// What the hosts and racks can hold.
        places: u64,
    },
    /// Each move takes a free port.
    TooFewPorts {
        /// Moves needed.
        moves: u64,
        /// Ports free on all targets together.
        ports: u64,
    },
    /// More memory than there is on all targets together.
    TooLittleMemory {
        /// Needed, MiB.
        needs: Mib,
        /// There at most, MiB.
        room: Mib,
    },
    /// More goes cold than is allowed, whatever is moved.
    OverBudget {
        /// What goes cold at least, MiB.
        cold: Mib,
        /// What may, MiB.
        budget: Mib,
    },
    /// Every state that moves lead to was looked at.
    Searched {
        /// How many.
        states: u64,
        /// Whether states were left out because they are over the budget.
        over_budget: bool,
    },
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proof::UnknownHost(host) => write!(f, "host {host} is not part of this cluster"),
            Proof::UnknownInstance(instance) => write!(f, "instance {instance} is not part of this cluster"),
            Proof::Nowhere { instance, needs } => write!(
                f,
                "instance {instance} needs {needs}, and no host could take it even if all that can be moved were gone"
            ),
            Proof::TooFewPlaces { instances, places } => write!(
                f,
                "each of {} needs a host of its own, and {} could take one even if all that can be moved were gone",
                Counted(*instances, "instance"),
                Counted(*places, "host")
            ),
            Proof::TooFewHosts { cache, instances, places } => write!(
                f,
                "cache {cache} has {} to keep on different hosts, and hosts and racks have places for {places}",
                Counted(*instances, "instance")
            ),
            Proof::TooFewPorts { moves, ports } => {
                write!(
                    f,
                    "the other hosts have {} together for {} to move",
                    Counted(*ports, "free port"),
                    Counted(*moves, "instance")
                )
            }
            Proof::TooLittleMemory { needs, room } => {
                write!(f, "{needs} are needed, and the other hosts have {room} together")
            }
            Proof::OverBudget { cold, budget } => {
                write!(f, "at least {cold} would go cold, and the budget is {budget}")
            }
            Proof::Searched { states, over_budget: false } => {
                write!(f, "no order of moves leads there: all were looked at, {}", Counted(*states, "state"))
            }
            Proof::Searched { states, over_budget: true } => {
                write!(
                    f,
                    "no order of moves within the budget leads there: all were looked at, {}",
                    Counted(*states, "state")
                )
            }
        }
    }
}

/// Search nodes that may still be looked at.
#[derive(Debug)]
struct Work(u64);

impl Work {
    /// Whether this much was left; it is spent then.
    fn spend(&mut self, nodes: u64) -> bool {
        let enough = self.0 >= nodes;
        self.0 = self.0.saturating_sub(nodes);
        enough
    }

    /// Run on at most this much of it.
    fn at_most<T>(&mut self, limit: u64, run: impl FnOnce(&mut Work) -> T) -> T {
        let share = limit.min(self.0);
        let mut part = Work(share);
        let result = run(&mut part);
        self.0 -= share - part.0;
        result
    }
}

/// Positions by id.
fn position<K: Eq + std::hash::Hash>(ids: impl Iterator<Item = K>) -> HashMap<K, usize> {
    ids.enumerate().map(|(at, id)| (id, at)).collect()
}
