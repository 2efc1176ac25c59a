//! Every state that moves lead to, breadth first: simple, slow, and nothing of the planner's in it.

use std::collections::{BTreeSet, VecDeque};

use memc_core::placement::Layout;
use memc_core::placement::plan::Budget;

/// Where each instance is, whether it was moved, what each host has of ports, and what went cold of each cache.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct State {
    pub(crate) host: Vec<usize>,
    pub(crate) moved: Vec<bool>,
    pub(crate) ports: Vec<u32>,
    pub(crate) cold: Vec<u64>,
}

impl State {
    pub(crate) fn start(layout: &Layout) -> Self {
        State {
            host: layout.instances.iter().map(|instance| instance.host as usize).collect(),
            moved: vec![false; layout.instances.len()],
            ports: layout.hosts.iter().map(|host| host.ports).collect(),
            cold: vec![0; layout.caches.len()],
        }
    }

    pub(crate) fn booking(&self, layout: &Layout, instance: usize) -> u64 {
        let of = &layout.instances[instance];
        if self.moved[instance] { of.rebooked.get() } else { of.booked.get() }
    }

    pub(crate) fn booked(&self, layout: &Layout, host: usize) -> u64 {
        let on_it = (0..self.host.len()).filter(|instance| self.host[*instance] == host);
        on_it.map(|instance| self.booking(layout, instance)).sum()
    }

    pub(crate) fn holds(&self, layout: &Layout, host: usize, cache: u32) -> bool {
        (0..self.host.len()).any(|other| self.host[other] == host && layout.instances[other].cache == cache)
    }

    /// Instances of a cache in the rack of `host`, but for one.
    pub(crate) fn in_rack(&self, layout: &Layout, host: usize, cache: u32, but: Option<usize>) -> usize {
        let rack = &layout.hosts[host].rack;
        (0..self.host.len())
            .filter(|other| Some(*other) != but && layout.instances[*other].cache == cache)
            .filter(|other| layout.hosts[self.host[*other]].rack == *rack)
            .count()
    }

    fn fits(&self, layout: &Layout, instance: usize, to: usize) -> bool {
        let of = &layout.instances[instance];
        let (source, target) = (&layout.hosts[self.host[instance]], &layout.hosts[to]);
        let most = layout.caches[of.cache as usize].max_per_rack;
        of.movable
            && target.open
            && self.ports[to] > 0
            && self.booked(layout, to) + of.rebooked.get() <= target.limit.get()
            && !self.holds(layout, to, of.cache)
            && (source.rack == target.rack
                || most.is_none_or(|most| self.in_rack(layout, to, of.cache, Some(instance)) < most.into()))
    }
}

/// The least that goes cold until `done`, never moving to `closed`; `None` if no moves lead there.
pub(crate) fn least(
    layout: &Layout,
    closed: Option<usize>,
    budget: Budget,
    done: impl Fn(&State) -> bool,
) -> Option<u64> {
    let start = State::start(layout);
    let mut seen = BTreeSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    let mut best: Option<u64> = None;
    while let Some(state) = queue.pop_front() {
        let cold: u64 = state.cold.iter().sum();
        if best.is_some_and(|best| best <= cold) {
            continue;
        }
        if done(&state) {
            best = Some(cold);
            continue;
        }
        for instance in 0..state.host.len() {
            for to in (0..layout.hosts.len()).filter(|to| Some(*to) != closed) {
                if !state.fits(layout, instance, to) {
                    continue;
                }
                let of = &layout.instances[instance];
                let mut next = state.clone();
                next.host[instance] = to;
                next.moved[instance] = true;
                next.ports[to] -= 1;
                next.cold[of.cache as usize] += of.memory.get();
                let total: u64 = next.cold.iter().sum();
                let within =
                    total <= budget.total.get() && next.cold[of.cache as usize] <= budget.per_cache.get();
                if within && seen.insert(next.clone()) {
                    queue.push_back(next);
                }
            }
        }
    }
    best
}
