//! A layout on which moves are made and taken back.

use std::collections::{BTreeMap, BTreeSet};

use super::{Budget, Layout, LayoutHost, LayoutInstance, Plan, Step};
use crate::model::{HostId, Mib};

/// A move that was made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Move {
    pub(super) instance: u32,
    pub(super) from: u32,
    pub(super) to: u32,
    /// What both hosts booked before.
    booked: (u64, u64),
}

/// The state after some moves. Instances whose cache or host is not in the layout are left out.
pub(super) struct Board<'a> {
    pub(super) layout: &'a Layout,
    pub(super) budget: Budget,
    /// Each host's rack, as a number below `rack_count`.
    pub(super) racks: Vec<u32>,
    pub(super) rack_count: usize,
    booked: Vec<u64>,
    ports: Vec<u32>,
    closed: Vec<bool>,
    on: Vec<Vec<u32>>,
    host_of: Vec<u32>,
    times_moved: Vec<u32>,
    members: Vec<Vec<u32>>,
    cold: u64,
    cold_of: Vec<u64>,
    /// (room, host) of the hosts that can be moved to.
    rooms: BTreeSet<(u64, u32)>,
    steps: Vec<Move>,
}

impl<'a> Board<'a> {
    /// Before any move. O(n log n) in hosts and instances.
    pub(super) fn new(layout: &'a Layout, budget: Budget) -> Self {
        let mut numbers = BTreeMap::new();
        let racks = layout
            .hosts
            .iter()
            .map(|host| {
                let next = numbers.len() as u32;
                *numbers.entry(&host.rack).or_insert(next)
            })
            .collect();
        let mut board = Board {
            layout,
            budget,
            racks,
            rack_count: numbers.len(),
            booked: layout.hosts.iter().map(|host| host.booked.get()).collect(),
            ports: layout.hosts.iter().map(|host| host.ports).collect(),
            closed: vec![false; layout.hosts.len()],
            on: vec![Vec::new(); layout.hosts.len()],
            host_of: layout.instances.iter().map(|instance| instance.host).collect(),
            times_moved: vec![0; layout.instances.len()],
            members: vec![Vec::new(); layout.caches.len()],
            cold: 0,
            cold_of: vec![0; layout.caches.len()],
            rooms: BTreeSet::new(),
            steps: Vec::new(),
        };
        for (at, instance) in layout.instances.iter().enumerate() {
            if (instance.host as usize) < layout.hosts.len()
                && (instance.cache as usize) < layout.caches.len()
            {
                board.on[instance.host as usize].push(at as u32);
                board.members[instance.cache as usize].push(at as u32);
            }
        }
        board.rooms = (0..layout.hosts.len() as u32).filter_map(|host| board.slot(host)).collect();
        board
    }

    pub(super) fn hosts(&self) -> std::ops::Range<u32> {
        0..self.layout.hosts.len() as u32
    }

    pub(super) fn host(&self, host: u32) -> &'a LayoutHost {
        &self.layout.hosts[host as usize]
    }

    pub(super) fn instance(&self, instance: u32) -> &'a LayoutInstance {
        &self.layout.instances[instance as usize]
    }

    pub(super) fn memory(&self, instance: u32) -> u64 {
        self.instance(instance).memory.get()
    }

    pub(super) fn need(&self, instance: u32) -> u64 {
        self.instance(instance).rebooked.get()
    }

    /// What an instance books where it is now.
    pub(super) fn booking(&self, instance: u32) -> u64 {
        let of = self.instance(instance);
        if self.times_moved[instance as usize] == 0 { of.booked.get() } else { of.rebooked.get() }
    }

    pub(super) fn host_of(&self, instance: u32) -> u32 {
        self.host_of[instance as usize]
    }

    /// Whether an instance's host and cache are part of the layout.
    pub(super) fn knows(&self, instance: u32) -> bool {
        let of = self.instance(instance);
        (of.host as usize) < self.booked.len() && (of.cache as usize) < self.members.len()
    }

    /// Whether an instance may be moved.
    pub(super) fn can_move(&self, instance: u32) -> bool {
        self.instance(instance).movable && self.knows(instance)
    }

    pub(super) fn booked(&self, host: u32) -> u64 {
        self.booked[host as usize]
    }

    pub(super) fn ports(&self, host: u32) -> u32 {
        self.ports[host as usize]
    }

    pub(super) fn on(&self, host: u32) -> &[u32] {
        &self.on[host as usize]
    }

    pub(super) fn movable_on(&self, host: u32) -> impl Iterator<Item = u32> {
        self.on(host).iter().copied().filter(|instance| self.instance(*instance).movable)
    }

    pub(super) fn members(&self, cache: u32) -> &[u32] {
        &self.members[cache as usize]
    }

    pub(super) fn cold(&self) -> u64 {
        self.cold
    }

    pub(super) fn steps(&self) -> &[Move] {
        &self.steps
    }

    /// Whether a host can be moved to at all.
    pub(super) fn usable(&self, host: u32) -> bool {
        self.host(host).open && !self.closed[host as usize] && self.ports[host as usize] > 0
    }

    /// Memory that arriving instances may still book on a host that takes some.
    pub(super) fn room(&self, host: u32) -> u64 {
        self.host(host).limit.get().saturating_sub(self.booked[host as usize])
    }

    pub(super) fn rooms(&self) -> &BTreeSet<(u64, u32)> {
        &self.rooms
    }

    fn slot(&self, host: u32) -> Option<(u64, u32)> {
        self.usable(host).then(|| (self.room(host), host))
    }

    fn change(&mut self, host: u32, change: impl FnOnce(&mut Self)) {
        let before = self.slot(host);
        change(self);
        let after = self.slot(host);
        if before != after {
            before.map(|slot| self.rooms.remove(&slot));
            self.rooms.extend(after);
        }
    }

    /// Whether a host is kept from being moved to.
    pub(super) fn is_closed(&self, host: u32) -> bool {
        self.closed[host as usize]
    }

    /// Keep a host from being moved to, or no longer.
    pub(super) fn set_closed(&mut self, host: u32, closed: bool) {
        self.change(host, |board| board.closed[host as usize] = closed);
    }

    /// Whether racks and the cache's other instances allow a move. O(instances of the cache).
    pub(super) fn admits(&self, instance: u32, to: u32) -> bool {
        let cache = self.instance(instance).cache;
        let from = self.host_of(instance);
        let rack = self.racks[to as usize];
        let mut in_rack = 0;
        for &member in &self.members[cache as usize] {
            let at = self.host_of(member);
            if at == to {
                return false;
            }
            in_rack += u64::from(member != instance && self.racks[at as usize] == rack);
        }
        let most = self.layout.caches[cache as usize].max_per_rack;
        rack == self.racks[from as usize] || most.is_none_or(|most| in_rack < u64::from(most))
    }

    /// Whether one more move of this instance stays within the budget.
    pub(super) fn affords(&self, instance: u32) -> bool {
        let memory = self.memory(instance);
        let of_cache = self.cold_of[self.instance(instance).cache as usize];
        self.cold.saturating_add(memory) <= self.budget.total.get()
            && of_cache.saturating_add(memory) <= self.budget.per_cache.get()
    }

    /// Whether an instance could be on a host if everything else that can be moved were gone. O(instances of both).
    pub(super) fn conceivable(&self, instance: u32, host: u32) -> bool {
        let fixed = |at: &&u32| !self.instance(**at).movable && **at != instance;
        let cache = self.instance(instance).cache;
        let free = self.movable_on(host).map(|at| self.booking(at)).fold(0, u64::saturating_add);
        let booked = self.booked(host).saturating_sub(free);
        let most = self.layout.caches[cache as usize].max_per_rack;
        let mut staying = self.members(cache).iter().filter(fixed);
        let rack = self.racks[host as usize];
        self.usable(host)
            && booked.saturating_add(self.need(instance)) <= self.host(host).limit.get()
            && staying.clone().all(|at| self.host_of(*at) != host)
            && (rack == self.racks[self.host_of(instance) as usize]
                || most.is_none_or(|most| {
                    let there = staying.by_ref().filter(|at| self.racks[self.host_of(**at) as usize] == rack);
                    there.count() < usize::from(most)
                }))
    }

    /// Hosts that an instance could move to now, tightest first.
    pub(super) fn targets(&self, instance: u32) -> impl Iterator<Item = u32> {
        self.rooms.range((self.need(instance), 0)..).map(|(_, host)| *host).filter(move |host| {
            self.booked(*host) <= self.host(*host).limit.get() && self.admits(instance, *host)
        })
    }

    /// Move an instance to one of its [`Board::targets`].
    pub(super) fn apply(&mut self, instance: u32, to: u32) {
        let from = self.host_of(instance);
        let (leaves, arrives) = (self.booking(instance), self.need(instance));
        let booked = (self.booked(from), self.booked(to));
        self.change(from, |board| {
            board.booked[from as usize] = board.booked[from as usize].saturating_sub(leaves)
        });
        self.change(to, |board| {
            board.booked[to as usize] = board.booked[to as usize].saturating_add(arrives);
            board.ports[to as usize] = board.ports[to as usize].saturating_sub(1);
        });
        self.relocate(instance, from, to);
        self.times_moved[instance as usize] += 1;
        let memory = self.memory(instance);
        self.cold += memory;
        self.cold_of[self.layout.instances[instance as usize].cache as usize] += memory;
        self.steps.push(Move { instance, from, to, booked });
    }

    /// Take the last move back.
    pub(super) fn undo(&mut self) {
        let Some(Move { instance, from, to, booked }) = self.steps.pop() else { return };
        let memory = self.memory(instance);
        self.cold -= memory;
        self.cold_of[self.layout.instances[instance as usize].cache as usize] -= memory;
        self.times_moved[instance as usize] -= 1;
        self.relocate(instance, to, from);
        self.change(to, |board| {
            board.booked[to as usize] = booked.1;
            board.ports[to as usize] += 1;
        });
        self.change(from, |board| board.booked[from as usize] = booked.0);
    }

    /// Take moves back until this many are left.
    pub(super) fn undo_to(&mut self, steps: usize) {
        while self.steps.len() > steps {
            self.undo();
        }
    }

    fn relocate(&mut self, instance: u32, from: u32, to: u32) {
        if let Some(at) = self.on[from as usize].iter().position(|other| *other == instance) {
            self.on[from as usize].swap_remove(at);
        }
        self.on[to as usize].push(instance);
        self.host_of[instance as usize] = to;
    }

    /// The moves made, as a plan.
    pub(super) fn plan(&self, mut emptied: Vec<HostId>) -> Plan {
        let step = |&Move { instance, from, to, .. }: &Move| {
            let of = self.instance(instance);
            Step {
                instance: of.id,
                cache: self.layout.caches[of.cache as usize].id,
                from: self.host(from).id,
                to: self.host(to).id,
                memory: of.memory,
                booked: of.rebooked,
            }
        };
        emptied.sort_unstable();
        Plan { steps: self.steps.iter().map(step).collect(), cold: Mib::capped(self.cold), emptied }
    }
}
