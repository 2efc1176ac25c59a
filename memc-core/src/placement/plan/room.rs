//! Moves after which a request fits that does not fit now.

use super::board::Board;
use super::goal::{Growth, Places};
use super::search::{Distance, Goal, Order, Outcome, search};
use super::{Answer, Budget, Layout, Proof, Work};
use crate::model::{CacheId, InstanceId, Mib};

/// What there should be room for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// New instances, each on a host of its own that takes new ones, below its limit and with a port.
    New {
        /// What a host books for each, MiB.
        booked: Mib,
        /// How many.
        instances: u16,
        /// How many of the cache may share a rack.
        max_per_rack: Option<u16>,
        /// The cache, if it has instances already: their hosts and racks count.
        cache: Option<CacheId>,
    },
    /// Instances that book more where they are, or where the plan moves them: up to a host's whole memory, on hosts
    /// that take no new ones too.
    Grow {
        /// Each with what it is to book, MiB.
        instances: Vec<(InstanceId, Mib)>,
    },
}

/// The moves that make the least go cold after which a request fits; none if it fits now.
///
/// For instances that grow these may be the neighbours' or their own: one that is moved books
/// [`rebooked`](super::LayoutInstance::rebooked) on arrival and grows there. The least is certain if `work` was
/// enough for the search to finish; otherwise the plan is the cheapest found.
///
/// `work` is the number of search nodes; O(n log n) in hosts and instances to set up.
#[must_use]
pub fn make_room(layout: &Layout, request: &Request, budget: Budget, work: u64) -> Answer {
    let mut work = Work(work);
    let mut board = Board::new(layout, budget);
    match request {
        Request::New { booked, instances, max_per_rack, cache } => {
            let cache = cache.and_then(|cache| layout.caches.iter().position(|of| of.id == cache));
            let most = max_per_rack.map(u64::from);
            let count = u64::from(*instances);
            let goal = Places::new(&board, booked.get(), count, most, cache.map(|at| at as u32), None);
            let places = goal.conceivable(&board);
            if places < count {
                return Answer::Infeasible(Proof::TooFewPlaces { instances: count, places });
            }
            least(&mut board, &goal, &mut work)
        }
        Request::Grow { instances } => {
            let mut wanted = Vec::with_capacity(instances.len());
            for (id, booked) in instances {
                let Some(at) =
                    layout.instances.iter().position(|of| of.id == *id).filter(|at| board.knows(*at as u32))
                else {
                    return Answer::Infeasible(Proof::UnknownInstance(*id));
                };
                if let Some(proof) = too_large(&board, at as u32, booked.get()) {
                    return Answer::Infeasible(proof);
                }
                wanted.push((at as u32, booked.get()));
            }
            least(&mut board, &Growth { wanted }, &mut work)
        }
    }
}

/// Whether an instance could not book this much anywhere, even alone with what cannot be moved.
fn too_large(board: &Board<'_>, instance: u32, wanted: u64) -> Option<Proof> {
    if wanted <= board.booking(instance) {
        return None;
    }
    let fits = |host: u32| {
        let others = board.on(host).iter().filter(|other| !board.can_move(**other) && **other != instance);
        let fixed = others.map(|other| board.booking(*other)).fold(0, u64::saturating_add);
        fixed.saturating_add(wanted) <= board.host(host).memory.get()
    };
    let home = board.host_of(instance);
    let elsewhere = |host: u32| host != home && fits(host) && board.conceivable(instance, host);
    let anywhere = fits(home) || board.can_move(instance) && board.hosts().any(elsewhere);
    (!anywhere).then(|| Proof::Nowhere { instance: board.instance(instance).id, needs: Mib::capped(wanted) })
}

/// Something soon, then the least.
fn least(board: &mut Board<'_>, goal: &impl Goal, work: &mut Work) -> Answer {
    if let Distance::AtLeast(cold) = goal.distance(board)
        && cold > board.budget.total.get()
    {
        return Answer::Infeasible(Proof::OverBudget { cold: Mib::capped(cold), budget: board.budget.total });
    }
    let part = work.0 / 4;
    let soon = work.at_most(part, |work| search(board, goal, Order::Nearest, u64::MAX, work));
    let found = (soon == Outcome::Found).then(|| (board.cold(), board.plan(Vec::new())));
    board.undo_to(0);
    if let Outcome::Exhausted { states, over_budget } = soon {
        return Answer::Infeasible(Proof::Searched { states, over_budget });
    }
    let bound = found.as_ref().map_or(u64::MAX, |(cold, _)| *cold);
    match (search(board, goal, Order::Cheapest, bound, work), found) {
        (Outcome::Found, _) => Answer::Plan(board.plan(Vec::new())),
        (_, Some((_, plan))) => Answer::Plan(plan),
        (Outcome::Exhausted { states, over_budget }, None) => {
            Answer::Infeasible(Proof::Searched { states, over_budget })
        }
        (Outcome::Stopped, None) => Answer::Undecided,
    }
}
