//! Exhaustive depth-first search for places.

use std::collections::HashSet;

use super::super::Demand;
use super::super::bins::{Bins, Spread};
use super::decreasing;

/// Numbers kept of states that lead nowhere, at most: 64 MB.
const REMEMBERED: usize = 1 << 23;

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Outcome {
    /// The hosts of each demand, ascending.
    Found(Vec<Vec<u32>>),
    /// There are no places.
    None {
        /// Hosts looked at.
        work: u64,
    },
    /// The limit came first.
    Undecided {
        /// Hosts looked at.
        work: u64,
    },
}

/// The choice of a host for one instance.
struct Choice {
    /// Hosts to choose from, the tightest first.
    hosts: Vec<u32>,
    /// How many of them were tried.
    tried: usize,
    /// The one that is being tried.
    on: Option<u32>,
}

struct Search<'a> {
    demands: &'a [Demand],
    /// The demand of each instance, in the order of the search.
    items: Vec<u32>,
    /// For each instance how many of its demand come before it.
    nth: Vec<u16>,
    room: Vec<u64>,
    ports: Vec<u32>,
    rack: &'a [u32],
    spreads: Vec<Spread>,
    /// Hosts that hold other instances of a cache that is asked for: no other host is like one of these.
    singular: Vec<bool>,
    /// Whether any cache limits its racks, so that hosts in different racks differ.
    racks_count: bool,
    /// What is booked by the instances from each on.
    needed: Vec<u64>,
    failed: HashSet<(u32, Vec<u64>)>,
    remembered: usize,
    work: u64,
}

/// Try every set of hosts for each demand, demands in decreasing order. Hosts that are alike are tried once; states
/// that were seen to lead nowhere are not entered again. `limit` counts hosts looked at.
pub(in super::super) fn search(bins: &Bins, demands: &[Demand], spreads: &[Spread], limit: u64) -> Outcome {
    let order = decreasing(demands);
    let items: Vec<u32> =
        order.iter().flat_map(|at| std::iter::repeat_n(*at as u32, demands[*at].instances.into())).collect();
    let nth = order.iter().flat_map(|at| 0..demands[*at].instances).collect();
    let mut needed = vec![0u64; items.len() + 1];
    for at in (0..items.len()).rev() {
        needed[at] = needed[at + 1].saturating_add(demands[items[at] as usize].booked.get());
    }
    let mut singular = vec![false; bins.room.len()];
    for host in demands.iter().flat_map(|demand| &demand.beside) {
        if let Some(singular) = singular.get_mut(*host as usize) {
            *singular = true;
        }
    }
    let racks_count = spreads.iter().any(Spread::limits_racks);
    Search {
        demands,
        items,
        nth,
        room: bins.room.clone(),
        ports: bins.ports.clone(),
        rack: &bins.rack,
        spreads: spreads.to_vec(),
        singular,
        racks_count,
        needed,
        failed: HashSet::new(),
        remembered: 0,
        work: 0,
    }
    .run(limit)
}

impl Search<'_> {
    fn run(mut self, limit: u64) -> Outcome {
        let mut choices: Vec<Choice> = Vec::new();
        loop {
            if self.work > limit {
                return Outcome::Undecided { work: self.work };
            }
            let Some(item) = choices.len().checked_sub(1) else {
                if self.items.is_empty() {
                    return Outcome::Found(vec![Vec::new(); self.demands.len()]);
                }
                choices.push(self.choice(0, None));
                continue;
            };
            self.take_back(item, &mut choices[item]);
            if !self.try_next(item, &mut choices[item]) {
                if self.nth[item] == 0 && !choices[item].hosts.is_empty() {
                    self.remember(item);
                }
                choices.pop();
                if choices.is_empty() {
                    return Outcome::None { work: self.work };
                }
            } else if choices.len() == self.items.len() {
                return Outcome::Found(self.places(&choices));
            } else {
                choices.push(self.choice(item + 1, choices.last()));
            }
        }
    }

    fn places(&self, choices: &[Choice]) -> Vec<Vec<u32>> {
        let mut places = vec![Vec::new(); self.demands.len()];
        for (demand, choice) in self.items.iter().zip(choices) {
            places[*demand as usize].extend(choice.on);
        }
        places.iter_mut().for_each(|hosts| hosts.sort_unstable());
        places
    }

    fn take_back(&mut self, item: usize, choice: &mut Choice) {
        if let Some(host) = choice.on.take() {
            let demand = self.items[item] as usize;
            self.room[host as usize] += self.demands[demand].booked.get();
            self.ports[host as usize] += 1;
            self.spreads[demand].remove(host, self.rack[host as usize]);
        }
    }

    /// Put the item on the next of its hosts that is not like one that failed.
    fn try_next(&mut self, item: usize, choice: &mut Choice) -> bool {
        let demand = self.items[item] as usize;
        while let Some(&host) = choice.hosts.get(choice.tried) {
            self.work += 1;
            let before = choice.tried.checked_sub(1).map(|at| choice.hosts[at]);
            choice.tried += 1;
            // Candidates that are alike stand next to each other.
            if before.is_some_and(|before| self.alike(before, host)) {
                continue;
            }
            self.room[host as usize] -= self.demands[demand].booked.get();
            self.ports[host as usize] -= 1;
            self.spreads[demand].add(host, self.rack[host as usize]);
            choice.on = Some(host);
            return true;
        }
        false
    }

    fn alike(&self, one: u32, other: u32) -> bool {
        let (one, other) = (one as usize, other as usize);
        self.room[one] == self.room[other]
            && self.ports[one] == self.ports[other]
            && (!self.racks_count || self.rack[one] == self.rack[other])
            && !self.singular[one]
            && !self.singular[other]
    }

    /// The hosts that an item may go to; none where it is clear that this leads nowhere.
    fn choice(&mut self, item: usize, before: Option<&Choice>) -> Choice {
        let demand = self.items[item] as usize;
        let nth = self.nth[item];
        let left = usize::from(self.demands[demand].instances - nth);
        let hosts = match before {
            // Sets of hosts, not sequences: the next instance of a demand goes on after the last one's host.
            Some(before) if nth > 0 => self.allowed(demand, before.hosts[before.tried..].iter().copied()),
            _ if self.hopeless(item) => Vec::new(),
            _ => {
                self.work += self.room.len() as u64;
                let mut hosts = self.allowed(demand, 0..self.room.len() as u32);
                hosts.sort_unstable_by_key(|host| {
                    let at = *host as usize;
                    (self.room[at], self.ports[at], self.rack[at], self.singular[at], at)
                });
                hosts
            }
        };
        self.work += hosts.len() as u64;
        let enough = hosts.len() >= left;
        Choice { hosts: if enough { hosts } else { Vec::new() }, tried: 0, on: None }
    }

    fn allowed(&self, demand: usize, hosts: impl Iterator<Item = u32>) -> Vec<u32> {
        let booked = self.demands[demand].booked.get();
        let spread = &self.spreads[demand];
        hosts
            .filter(|host| {
                let at = *host as usize;
                self.room[at] >= booked && self.ports[at] > 0 && spread.allows(*host, self.rack[at])
            })
            .collect()
    }

    /// At the first instance of a demand: too little usable memory or ports for what is left, or known to fail.
    fn hopeless(&mut self, item: usize) -> bool {
        self.work += self.room.len() as u64;
        let smallest = self.items.last().map_or(0, |demand| self.demands[*demand as usize].booked.get());
        let usable = |host: &usize| self.ports[*host] > 0 && self.room[*host] >= smallest;
        let (room, ports) = (0..self.room.len()).filter(usable).fold((0u64, 0u64), |(room, ports), host| {
            (room.saturating_add(self.room[host]), ports + u64::from(self.ports[host]))
        });
        let left = (self.items.len() - item) as u64;
        self.needed[item] > room || left > ports || self.failed.contains(&self.state(item))
    }

    fn remember(&mut self, item: usize) {
        if self.remembered < REMEMBERED {
            let state = self.state(item);
            self.remembered += state.1.len() + 8;
            self.failed.insert(state);
        }
    }

    /// What the outcome from this item on depends on: rooms and ports as far as they can be used, in an order that
    /// does not tell hosts apart that are alike.
    fn state(&self, item: usize) -> (u32, Vec<u64>) {
        let smallest = self.items.last().map_or(0, |demand| self.demands[*demand as usize].booked.get());
        let (all, left) = (self.needed[item], (self.items.len() - item) as u64);
        let mut hosts: Vec<[u64; 4]> = (0..self.room.len())
            .filter(|host| self.ports[*host] > 0 && self.room[*host] >= smallest)
            .map(|host| {
                let which = if self.singular[host] { host as u64 + 1 } else { 0 };
                let rack = if self.racks_count { u64::from(self.rack[host]) } else { 0 };
                [rack, which, self.room[host].min(all), u64::from(self.ports[host]).min(left)]
            })
            .collect();
        hosts.sort_unstable();
        (item as u32, hosts.into_iter().flatten().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::super::{Layout, LayoutHost};
    use super::super::verify::{placeable, placed, sites};
    use super::*;
    use crate::model::{HostId, Mib, Rack};

    type Host = (u64, u32, u8);
    type Asked = (u64, u16, Option<u16>, Vec<u32>);

    fn layout(hosts: &[Host]) -> Layout {
        let host = |(at, (room, ports, rack)): (usize, &Host)| LayoutHost {
            id: HostId::new(at as u64),
            rack: Rack::new(&format!("r{rack}")).ok(),
            memory: Mib::capped(*room),
            limit: Mib::capped(*room),
            booked: Mib::ZERO,
            ports: *ports,
            open: true,
        };
        Layout { hosts: hosts.iter().enumerate().map(host).collect(), ..Layout::default() }
    }

    fn demand((booked, instances, max_per_rack, beside): Asked) -> Demand {
        Demand { booked: Mib::capped(booked), instances, max_per_rack, beside }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        /// Nothing goes before it here. Few different rooms, so that hosts are alike and states come again.
        #[test]
        fn the_search_alone_agrees_with_every_reachable_state(
            hosts in prop::collection::vec((prop::sample::select(vec![6u64, 9, 10]), 1..4u32, 0..3u8), 1..6),
            demands in prop::collection::vec(
                (1..7u64, 0..4u16, prop::option::weighted(0.3, 1..3u16), prop::collection::vec(0..5u32, 0..2)), 1..6),
        ) {
            let layout = layout(&hosts);
            let demands: Vec<Demand> = demands.into_iter().map(demand).collect();
            let limited = demands.iter().any(|demand| demand.max_per_rack.is_some());
            let bins = Bins::of(&layout, limited);
            let spreads = bins.spreads(&demands);
            match search(&bins, &demands, &spreads, 10_000_000) {
                Outcome::Found(places) => prop_assert_eq!(placed(&sites(&layout), &demands, &places), Ok(())),
                outcome => {
                    prop_assert!(matches!(outcome, Outcome::None { .. }), "undecided");
                    prop_assert_eq!(placeable(&layout.hosts, &demands, 10_000_000), Ok(false));
                }
            }
        }
    }
}
