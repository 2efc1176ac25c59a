//! Do these caches fit on the hosts that are there, with no instance moved?

mod bound;
mod search;
mod verify;

use std::fmt;

use super::super::Layout;
use super::Demand;
use super::bins::{Bins, Item, Spread};
use crate::model::{Counted, Mib};

pub(super) use search::{Outcome, search};
pub use verify::verify;
pub(super) use verify::{Site, placed, sites};

/// Rounds of best fit, each with the demand that failed in the round before moved to the front.
const ROUNDS: usize = 16;

/// Whether demands fit, with what shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    /// They do: for each demand the positions of its hosts, ascending.
    Placed(Vec<Vec<u32>>),
    /// They do not, and this is why.
    Infeasible(Obstacle),
    /// No places were found, nor a proof that there are none.
    Undecided {
        /// Hosts looked at, as the limit counts them.
        work: u64,
    },
}

/// Why demands cannot fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// One demand alone has too few hosts: for each rack as many count as have room and a port and as the rack limit
    /// allows. Exact for one demand, whose places form a partition matroid.
    Alone {
        /// Its position.
        demand: usize,
        /// Its instances.
        instances: u64,
        /// How many of them could be placed.
        places: u64,
    },
    /// More instances than free ports on hosts that have room for the smallest of them.
    Ports {
        /// All instances.
        instances: u64,
        /// Those ports.
        ports: u64,
    },
    /// Too few places for instances of at least some size: each host counted with as many as fit if it takes the
    /// smallest of them, one of each demand.
    Count {
        /// Only instances that book this or more, MiB.
        at_least: Mib,
        /// How many those are.
        instances: u64,
        /// Places for such instances.
        places: u64,
    },
    /// Too little room for instances of at least some size (after the bound L2 of Martello and Toth, 1990, for hosts
    /// of different rooms): some are so large that none of the others fits beside them on any host; those take hosts
    /// of their own, the smallest that hold them, and the others need more than the rest of the hosts can hold.
    Room {
        /// Only instances that book this or more, MiB.
        at_least: Mib,
        /// How many of them need a host of their own.
        alone: u64,
        /// What the others need, MiB.
        needed: u64,
        /// What can be used for them on the other hosts, MiB.
        usable: u64,
    },
    /// Every way to place them was tried.
    Exhausted {
        /// Hosts looked at.
        work: u64,
    },
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fit::Placed(places) => {
                let instances: usize = places.iter().map(Vec::len).sum();
                write!(f, "All of it fits: there is a place for {}.", Counted(instances, "instance"))
            }
            Fit::Infeasible(obstacle) => write!(f, "It does not fit. {obstacle}"),
            Fit::Undecided { work } => write!(
                f,
                "Not decided: no arrangement was found, nor a proof that there is none, by a search of {}.",
                Counted(*work, "step")
            ),
        }
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Alone { demand, instances, places } => write!(
                f,
                "Demand {} alone asks for {}, and only {places} could be placed with its size and its rack limit.",
                demand + 1,
                Counted(*instances, "instance")
            ),
            Obstacle::Ports { instances, ports } => write!(
                f,
                "The hosts that have room for the smallest have {} for {} to place.",
                Counted(*ports, "free port"),
                Counted(*instances, "instance")
            ),
            Obstacle::Count { at_least, instances, places } => write!(
                f,
                "The hosts have at most {} of the size for {} that must have {at_least} or more.",
                Counted(*places, "place"),
                Counted(*instances, "instance")
            ),
            Obstacle::Room { at_least, alone: 0, needed, usable } => write!(
                f,
                "The instances that book {at_least} or more need {needed} MiB together, and at most {usable} MiB can \
                 be used for them."
            ),
            Obstacle::Room { at_least, alone, needed, usable } => write!(
                f,
                "The instances that book {at_least} or more need {} of their own for {alone} of them, and {needed} MiB \
                 together for the others; at most {usable} MiB can be used for those on the remaining hosts.",
                Counted(*alone, "host")
            ),
            Obstacle::Exhausted { work } => {
                write!(
                    f,
                    "Every way to place the instances was tried ({}), and none works.",
                    Counted(*work, "step")
                )
            }
        }
    }
}

/// Whether these demands fit on the open hosts, up to each host's `limit` and a port for each instance. No instance
/// that is there moves.
///
/// Best fit decreasing decides most cases in O(k log n) for k instances on n hosts. Where it fails, bounds are tried;
/// then the widest caches first, and rounds with the demand that had no place moved to the front (squeaky wheel,
/// Joslin and Clements, 1999); then an exhaustive depth-first search. `work` limits the search: it counts hosts looked at.
#[must_use]
pub fn fit(layout: &Layout, demands: &[Demand], work: u64) -> Fit {
    let limited = demands.iter().any(|demand| demand.max_per_rack.is_some());
    let mut bins = Bins::of(layout, limited);
    let mut spreads = bins.spreads(demands);
    if let Ok(places) = in_order(&mut bins, demands, &mut spreads, &decreasing(demands)) {
        return Fit::Placed(places);
    }
    // Not before: most demands fit, and this takes longer than to place them.
    if let Some(obstacle) = bound::obstacle(&bins, demands, &spreads) {
        return Fit::Infeasible(obstacle);
    }
    for mut order in [widest(demands), decreasing(demands)] {
        for _ in 0..ROUNDS {
            match in_order(&mut bins, demands, &mut spreads, &order) {
                Ok(places) => return Fit::Placed(places),
                Err(failed) => order[..=failed].rotate_right(1),
            }
        }
    }
    match search(&bins, demands, &spreads, work) {
        Outcome::Found(places) => Fit::Placed(places),
        Outcome::None { work } => Fit::Infeasible(Obstacle::Exhausted { work }),
        Outcome::Undecided { work } => Fit::Undecided { work },
    }
}

/// Positions of demands, those that book most first, of equal ones those with the most instances.
pub(super) fn decreasing(demands: &[Demand]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..demands.len()).filter(|at| demands[*at].instances > 0).collect();
    order.sort_by_key(|at| {
        let demand = &demands[*at];
        (std::cmp::Reverse((demand.booked, demand.instances)), demand.max_per_rack.unwrap_or(u16::MAX), *at)
    });
    order
}

/// Positions of demands, those with the most instances first, of equal ones those that book most: caches on many hosts
/// are placed while many hosts have room, and those on few fill the holes.
pub(super) fn widest(demands: &[Demand]) -> Vec<usize> {
    let mut order = decreasing(demands);
    order.sort_by_key(|at| std::cmp::Reverse(demands[*at].instances));
    order
}

/// Best fit of whole demands in this order: the hosts of each, or the place in the order of the first that has none.
/// Leaves `bins` and `spreads` as they were.
pub(super) fn in_order(
    bins: &mut Bins,
    demands: &[Demand],
    spreads: &mut [Spread],
    order: &[usize],
) -> Result<Vec<Vec<u32>>, usize> {
    let items = || {
        order.iter().flat_map(|at| {
            let item = Item { booked: demands[*at].booked.get(), spread: *at as u32 };
            std::iter::repeat_n(item, demands[*at].instances.into())
        })
    };
    let found = bins.best_fit(items(), spreads, true);
    bins.undo(items(), &found, spreads);
    let mut places = vec![Vec::new(); demands.len()];
    let mut found = found.into_iter();
    for (place, at) in order.iter().enumerate() {
        let hosts: Option<Vec<u32>> = found.by_ref().take(demands[*at].instances.into()).collect();
        let mut hosts = hosts.ok_or(place)?;
        hosts.sort_unstable();
        places[*at] = hosts;
    }
    Ok(places)
}
