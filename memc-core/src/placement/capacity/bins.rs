//! Hosts as bins, and best fit under spread rules.

use std::collections::BTreeSet;

use super::super::Layout;
use super::Demand;
use super::racks::racks;

/// Hosts passed over before the search for the tightest one turns to racks one by one.
const PASSED_OVER: usize = 64;

/// One instance to place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    /// What a host books for it, MiB.
    pub(super) booked: u64,
    /// The position of its cache's [`Spread`].
    pub(super) spread: u32,
}

/// Where the instances of a cache are, and where others may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spread {
    per_rack: u32,
    /// Ascending.
    hosts: Vec<u32>,
    /// Racks and how many of the instances are there; ascending.
    racks: Vec<(u32, u32)>,
}

impl Spread {
    pub(super) fn new(max_per_rack: Option<u16>) -> Self {
        let per_rack = max_per_rack.map_or(u32::MAX, u32::from);
        Spread { per_rack, hosts: Vec::new(), racks: Vec::new() }
    }

    pub(super) fn limits_racks(&self) -> bool {
        self.per_rack != u32::MAX
    }

    /// How many more may be put into this rack.
    pub(super) fn left_in(&self, rack: u32) -> u32 {
        let held = self.racks.binary_search_by_key(&rack, |entry| entry.0).map_or(0, |at| self.racks[at].1);
        self.per_rack.saturating_sub(held)
    }

    pub(super) fn allows(&self, host: u32, rack: u32) -> bool {
        self.hosts.binary_search(&host).is_err() && (!self.limits_racks() || self.left_in(rack) > 0)
    }

    /// An instance on this host. Nothing happens if there is one already.
    pub(super) fn add(&mut self, host: u32, rack: u32) {
        let Err(at) = self.hosts.binary_search(&host) else {
            return;
        };
        self.hosts.insert(at, host);
        if self.limits_racks() {
            match self.racks.binary_search_by_key(&rack, |entry| entry.0) {
                Ok(at) => self.racks[at].1 += 1,
                Err(at) => self.racks.insert(at, (rack, 1)),
            }
        }
    }

    /// The reverse of [`Spread::add`].
    pub(super) fn remove(&mut self, host: u32, rack: u32) {
        let Ok(at) = self.hosts.binary_search(&host) else {
            return;
        };
        self.hosts.remove(at);
        if let Ok(at) = self.racks.binary_search_by_key(&rack, |entry| entry.0) {
            self.racks[at].1 -= 1;
        }
    }
}

/// Hosts with their room (MiB), ports and racks. A host without a port takes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bins {
    pub(super) room: Vec<u64>,
    pub(super) ports: Vec<u32>,
    pub(super) rack: Vec<u32>,
    pub(super) racks: usize,
    /// Hosts with a port, by room.
    free: BTreeSet<(u64, u32)>,
    /// The same by rack; empty where no cache limits its racks.
    by_rack: Vec<BTreeSet<(u64, u32)>>,
}

impl Bins {
    /// `by_rack`: whether caches limit their racks.
    pub(super) fn new(room: Vec<u64>, ports: Vec<u32>, rack: Vec<u32>, racks: usize, by_rack: bool) -> Self {
        let by_rack = vec![BTreeSet::new(); if by_rack { racks } else { 0 }];
        let mut bins = Bins { room, ports, rack, racks, free: BTreeSet::new(), by_rack };
        for host in 0..bins.room.len() as u32 {
            bins.list(host);
        }
        bins
    }

    /// The hosts of a layout: those that are closed have no port here.
    pub(super) fn of(layout: &Layout, by_rack: bool) -> Self {
        let (rack, racks) = racks(layout);
        let room = layout.hosts.iter().map(|host| host.room().get()).collect();
        let ports = layout.hosts.iter().map(|host| if host.open { host.ports } else { 0 }).collect();
        Bins::new(room, ports, rack, racks, by_rack)
    }

    /// The spread rules of these demands, with what is there already.
    pub(super) fn spreads(&self, demands: &[Demand]) -> Vec<Spread> {
        let spread = |demand: &Demand| {
            let mut spread = Spread::new(demand.max_per_rack);
            for &host in demand.beside.iter().filter(|host| (**host as usize) < self.rack.len()) {
                spread.add(host, self.rack[host as usize]);
            }
            spread
        };
        demands.iter().map(spread).collect()
    }

    fn list(&mut self, host: u32) {
        let at = host as usize;
        if self.ports[at] > 0 {
            self.free.insert((self.room[at], host));
            if let Some(rack) = self.by_rack.get_mut(self.rack[at] as usize) {
                rack.insert((self.room[at], host));
            }
        }
    }

    /// Take a host out of the candidates until [`Bins::put_back`].
    pub(super) fn take_out(&mut self, host: u32) {
        let at = host as usize;
        self.free.remove(&(self.room[at], host));
        if let Some(rack) = self.by_rack.get_mut(self.rack[at] as usize) {
            rack.remove(&(self.room[at], host));
        }
    }

    /// The reverse of [`Bins::take_out`].
    pub(super) fn put_back(&mut self, host: u32) {
        self.list(host);
    }

    /// The tightest host that may take an instance, the lowest number among equals. O(log n) beside those that are
    /// passed over, and O(r log n) for r racks where more than a few are.
    pub(super) fn tightest(&self, booked: u64, spread: &Spread) -> Option<u32> {
        let allowed = |entry: &&(u64, u32)| spread.allows(entry.1, self.rack[entry.1 as usize]);
        let mut fitting = self.free.range((booked, 0)..);
        if !spread.limits_racks() || self.by_rack.is_empty() {
            return fitting.find(allowed).map(|entry| entry.1);
        }
        for _ in 0..PASSED_OVER {
            let entry = fitting.next()?;
            if allowed(&entry) {
                return Some(entry.1);
            }
        }
        let in_rack = |(rack, hosts): (usize, &BTreeSet<(u64, u32)>)| {
            if spread.left_in(rack as u32) == 0 {
                return None;
            }
            hosts.range((booked, 0)..).find(allowed).copied()
        };
        self.by_rack.iter().enumerate().filter_map(in_rack).min().map(|entry| entry.1)
    }

    /// Book on a host.
    pub(super) fn book(&mut self, host: u32, booked: u64) {
        self.take_out(host);
        self.room[host as usize] -= booked;
        self.ports[host as usize] -= 1;
        self.list(host);
    }

    /// The reverse of [`Bins::book`].
    pub(super) fn unbook(&mut self, host: u32, booked: u64) {
        self.take_out(host);
        self.room[host as usize] += booked;
        self.ports[host as usize] += 1;
        self.list(host);
    }

    /// Place these items in their order, each on the tightest host. For equal items of one cache this is exact: where
    /// it fails no places exist. `None` for an item without a place; after the first of those nothing is placed where
    /// `all_or_nothing` is set.
    pub(super) fn best_fit(
        &mut self,
        items: impl IntoIterator<Item = Item>,
        spreads: &mut [Spread],
        all_or_nothing: bool,
    ) -> Vec<Option<u32>> {
        let mut failed = false;
        let place = |item: Item| {
            let spread = &mut spreads[item.spread as usize];
            let host = if failed && all_or_nothing { None } else { self.tightest(item.booked, spread) };
            match host {
                Some(host) => {
                    self.book(host, item.booked);
                    spread.add(host, self.rack[host as usize]);
                }
                None => failed = true,
            }
            host
        };
        items.into_iter().map(place).collect()
    }

    /// The reverse of [`Bins::best_fit`].
    pub(super) fn undo(
        &mut self,
        items: impl IntoIterator<Item = Item>,
        places: &[Option<u32>],
        spreads: &mut [Spread],
    ) {
        for (item, place) in items.into_iter().zip(places) {
            if let Some(host) = *place {
                self.unbook(host, item.booked);
                spreads[item.spread as usize].remove(host, self.rack[host as usize]);
            }
        }
    }
}
