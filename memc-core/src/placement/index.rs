//! Hosts in the order of their free memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use crate::model::{ClusterId, HostId, Mib, Port, Rack};

/// A host as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its rack; hosts without one count as one rack together.
    pub rack: Option<Rack>,
    /// Memory that new instances may still book, MiB.
    pub free: Mib,
    /// Instances on it.
    pub instances: u32,
}

/// A place for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spot {
    /// The host.
    pub host: HostId,
    /// A port that is free there.
    pub port: Port,
}

/// A host that an instance of the cache is on already, with its rack.
pub type Taken = (HostId, Option<Rack>);

/// Tightest first; among equals the fewest instances, then the lowest number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    free: Mib,
    instances: u32,
    host: HostId,
}

/// The hosts that take new instances, by cluster, rack and free memory.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Index {
    sites: HashMap<HostId, Site>,
    clusters: HashMap<ClusterId, BTreeMap<Option<Rack>, BTreeSet<Slot>>>,
}

impl Index {
    /// Keep this host as it now is; `None` for one that takes no new instances. O(log n).
    pub fn set(&mut self, host: HostId, site: Option<Site>) {
        if self.sites.get(&host) == site.as_ref() {
            return;
        }
        if let Some(old) = self.sites.remove(&host)
            && let Some(racks) = self.clusters.get_mut(&old.cluster)
        {
            if let Some(slots) = racks.get_mut(&old.rack) {
                slots.remove(&Slot { free: old.free, instances: old.instances, host });
                if slots.is_empty() {
                    racks.remove(&old.rack);
                }
            }
            if racks.is_empty() {
                self.clusters.remove(&old.cluster);
            }
        }
        if let Some(new) = site {
            let slot = Slot { free: new.free, instances: new.instances, host };
            let racks = self.clusters.entry(new.cluster).or_default();
            racks.entry(new.rack.clone()).or_default().insert(slot);
            self.sites.insert(host, new);
        }
    }

    /// Places for `count` instances that book `need` each, on hosts other than `taken`: on racks that hold the fewest
    /// of the cache, then on the tightest host. `port` gives a free port of a host, if it has one.
    ///
    /// Fewer than `count` are returned only where no more exist.
    pub fn place(
        &self,
        cluster: ClusterId,
        need: Mib,
        count: usize,
        taken: &[Taken],
        port: impl Fn(HostId) -> Option<Port>,
    ) -> Vec<Spot> {
        let Some(racks) = self.clusters.get(&cluster) else {
            return Vec::new();
        };
        let lowest = Slot { free: need, instances: 0, host: HostId::new(0) };
        let mut candidates: Vec<_> = racks
            .iter()
            .map(|(rack, slots)| {
                let port = &port;
                let spots = slots
                    .range(lowest..)
                    .filter(|slot| taken.iter().all(|(host, _)| *host != slot.host))
                    .filter_map(move |slot| port(slot.host).map(|port| (*slot, port)));
                (taken.iter().filter(|(_, of)| of == rack).count(), spots)
            })
            .collect();
        // The next candidate of each rack, the one to take on top.
        let mut next = BinaryHeap::with_capacity(candidates.len());
        for (rack, (held, spots)) in candidates.iter_mut().enumerate() {
            next.extend(spots.next().map(|(slot, port)| Reverse((*held, slot, rack, port))));
        }
        let mut spots = Vec::with_capacity(count);
        while spots.len() < count
            && let Some(Reverse((held, slot, rack, port))) = next.pop()
        {
            spots.push(Spot { host: slot.host, port });
            next.extend(candidates[rack].1.next().map(|(slot, port)| Reverse((held + 1, slot, rack, port))));
        }
        spots
    }

    /// The most memory that each of `count` instances on different hosts could book; zero if there are too few hosts.
    pub fn largest(
        &self,
        cluster: ClusterId,
        count: usize,
        taken: &[Taken],
        port: impl Fn(HostId) -> Option<Port>,
    ) -> Mib {
        let Some(racks) = self.clusters.get(&cluster) else {
            return Mib::ZERO;
        };
        let mut descending: Vec<_> = racks.values().map(|slots| slots.iter().rev()).collect();
        let mut next: BinaryHeap<_> = descending
            .iter_mut()
            .enumerate()
            .filter_map(|(rack, slots)| Some((*slots.next()?, rack)))
            .collect();
        let mut found = 0;
        while let Some((slot, rack)) = next.pop() {
            if taken.iter().all(|(host, _)| *host != slot.host) && port(slot.host).is_some() {
                found += 1;
                if found == count {
                    return slot.free;
                }
            }
            next.extend(descending[rack].next().map(|slot| (*slot, rack)));
        }
        Mib::ZERO
    }

    /// Hosts of a cluster that take new instances.
    #[must_use]
    pub fn hosts(&self, cluster: ClusterId) -> usize {
        self.clusters.get(&cluster).map_or(0, |racks| racks.values().map(BTreeSet::len).sum())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLUSTER: ClusterId = ClusterId::new(1);

    fn port() -> Port {
        Port::new(11211).unwrap()
    }

    fn index(hosts: &[(u64, u8)]) -> Index {
        let mut index = Index::default();
        for (number, (free, rack)) in hosts.iter().enumerate() {
            let rack = Some(Rack::new(&format!("r{rack}")).unwrap());
            let site = Site { cluster: CLUSTER, rack, free: Mib::new(*free).unwrap(), instances: 0 };
            index.set(HostId::new(number as u64), Some(site));
        }
        index
    }

    #[test]
    fn racks_first_then_the_tightest_host() {
        let index = index(&[(100, 1), (50, 1), (60, 1), (500, 2)]);
        let spots = index.place(CLUSTER, Mib::new(40).unwrap(), 3, &[], |_| Some(port()));
        assert_eq!(spots.iter().map(|spot| spot.host.get()).collect::<Vec<_>>(), [1, 3, 2]);
    }

    #[test]
    fn a_host_without_a_port_is_passed_over() {
        let index = index(&[(50, 1), (60, 1)]);
        let spots = index.place(CLUSTER, Mib::new(40).unwrap(), 2, &[], |host| (host.get() == 1).then(port));
        assert_eq!(spots, [Spot { host: HostId::new(1), port: port() }]);
    }

    proptest! {
        /// Against the rule read aloud: sort every candidate again for each pick.
        #[test]
        fn agrees_with_a_naive_model(hosts in prop::collection::vec((0..200u64, 0..4u8), 0..12),
                                     need in 0..220u64, count in 0..6usize, taken in prop::option::of(0..12usize)) {
            let index = index(&hosts);
            let taken: Vec<Taken> = taken.filter(|at| *at < hosts.len()).into_iter()
                .map(|at| (HostId::new(at as u64), Some(Rack::new(&format!("r{}", hosts[at].1)).unwrap()))).collect();
            let got = index.place(CLUSTER, Mib::new(need).unwrap(), count, &taken, |_| Some(port()));

            let mut held = [0usize; 4];
            let mut used: Vec<usize> = taken.iter().map(|(host, _)| host.get() as usize).collect();
            for &host in &used { held[hosts[host].1 as usize] += 1; }
            let mut want = Vec::new();
            for _ in 0..count {
                let best = (0..hosts.len())
                    .filter(|host| !used.contains(host) && hosts[*host].0 >= need)
                    .min_by_key(|host| (held[hosts[*host].1 as usize], hosts[*host].0, *host));
                let Some(best) = best else { break };
                held[hosts[best].1 as usize] += 1;
                used.push(best);
                want.push(best as u64);
            }
            prop_assert_eq!(got.iter().map(|spot| spot.host.get()).collect::<Vec<_>>(), want);

            // `largest` is the edge between enough and too few.
            if count > 0 {
                let largest = index.largest(CLUSTER, count, &taken, |_| Some(port()));
                let fits = |need| index.place(CLUSTER, need, count, &taken, |_| Some(port())).len() == count;
                prop_assert!(largest == Mib::ZERO || fits(largest));
                prop_assert!(!fits(largest.plus(Mib::new(1).unwrap())));
            }
        }

        /// What was set and taken back leaves nothing behind.
        #[test]
        fn setting_back_is_the_identity(hosts in prop::collection::vec((0..200u64, 0..4u8), 1..12), at in 0..12usize) {
            let before = index(&hosts);
            let mut after = before.clone();
            let host = HostId::new((at % hosts.len()) as u64);
            let site = before.sites.get(&host).cloned();
            after.set(host, None);
            after.set(host, site);
            prop_assert_eq!(before, after);
        }
    }
}
