//! Hosts in the order in which they are filled.

mod rack;
mod slot;

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::iter::Peekable;
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::ops::{Bound, RangeBounds};

use rack::{Bounds, EVERY, InOrder, RackSlots};
use slot::{MOST_FREE, RANK_AT, Slot, rank};

use crate::model::{ClusterId, FillOrder, HostId, IdMap, Mib, Rack, Timestamp};

/// A host that takes new instances, as placement sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// Its cluster.
    pub cluster: ClusterId,
    /// In which order its cluster fills hosts; the same for all of a cluster.
    pub order: FillOrder,
    /// Its rack; hosts without one count as one rack together.
    pub rack: Option<Rack>,
    /// Memory that new instances may still book, MiB.
    pub free: Mib,
    /// Instances on it, at most 65,536 (one a port).
    pub instances: u32,
    /// From when on it has a port to issue; [`Timestamp::default`] if it has one that was never used,
    /// [`Timestamp::NEVER`] if it will have none by waiting.
    pub port_from: Timestamp,
}

/// A host that an instance of the cache is on already, with its rack.
pub type Taken = (HostId, Option<Rack>);

/// What is to be placed.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where.
    pub cluster: ClusterId,
    /// What each instance books, MiB.
    pub need: Mib,
    /// How many instances, each on a host of its own.
    pub count: usize,
    /// Hosts that hold one of the cache already. Instances of it that are being moved away or stopped count: a host
    /// never has two.
    pub taken: &'a [Taken],
    /// How many instances of the cache may share a rack; `None` for any number.
    pub max_per_rack: Option<u16>,
}

/// Where instances go, and what it took to find out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Different hosts, in the order in which they were chosen; fewer than asked for only where no more exist.
    pub hosts: Vec<HostId>,
    /// How many hosts were looked at.
    pub probes: usize,
}

/// What is kept of a [`Site`].
#[derive(Debug, Clone, Copy)]
struct Entry {
    cluster: ClusterId,
    /// Its rack's number in its cluster.
    rack: u32,
    /// Its own in its rack, if that is small.
    seat: u8,
    order: FillOrder,
    offer: Offer,
}

/// What of a [`Site`] changes with each instance on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// [`Site::free`], MiB.
    pub free: Mib,
    /// [`Site::instances`].
    pub instances: u32,
    /// [`Site::port_from`].
    pub port_from: Timestamp,
}

/// The hosts of one cluster.
#[derive(Debug, Default, Clone)]
struct Hosts {
    order: FillOrder,
    /// Those that have a port to issue.
    all: BTreeSet<Slot>,
    /// By number. Numbers, so that a change compares no names; one whose rack has no hosts any more is used again.
    racks: Vec<RackHosts>,
    numbers: HashMap<Option<Rack>, u32>,
    unused: Vec<u32>,
    /// How many racks have a host with a port to issue.
    awake: usize,
}

#[derive(Debug, Default, Clone)]
struct RackHosts {
    name: Option<Rack>,
    /// All its hosts, with or without a port to issue.
    hosts: u32,
    slots: RackSlots,
}

/// The hosts that take new instances, by cluster, rack and free memory.
///
/// Hosts whose ports all cool down are kept apart, in the order in which they will have one: no request looks at them.
#[derive(Debug, Default, Clone)]
pub struct Index {
    sites: IdMap<HostId, Entry>,
    clusters: IdMap<ClusterId, Hosts>,
    asleep: BTreeSet<(Timestamp, HostId)>,
    /// Hosts whose port came free up to this moment are awake.
    clock: Timestamp,
}

/// Two that answer alike are equal, also if one was told later than the other what time it is.
impl PartialEq for Index {
    fn eq(&self, other: &Self) -> bool {
        let told_alike =
            || (&self.clusters, &self.asleep, self.clock) == (&other.clusters, &other.asleep, other.clock);
        self.sites.len() == other.sites.len()
            && self.sites.keys().all(|host| self.site(*host) == other.site(*host))
            && (self.clock != other.clock || told_alike())
    }
}

impl Eq for Index {}

/// Whatever numbers its racks got.
impl PartialEq for Hosts {
    fn eq(&self, other: &Self) -> bool {
        let rack = |hosts: &Self, name| {
            let number = *hosts.numbers.get(name)?;
            let slots = plain(hosts.on(number, EVERY));
            Some((hosts.racks[number as usize].hosts, slots))
        };
        plain(self.all.iter().copied()) == plain(other.all.iter().copied())
            && (self.awake, self.numbers.len()) == (other.awake, other.numbers.len())
            && self.numbers.keys().all(|name| rack(self, name) == rack(other, name))
    }
}

fn plain(slots: impl Iterator<Item = Slot>) -> Vec<u128> {
    slots.map(Slot::plain).collect()
}

impl Index {
    /// Keep this host as it now is; `None` for one that takes no new instances. O(log n); O(n) for a host that ends a
    /// rack's being small, or a large one's being its cluster's only rack, which happens once in a rack's life.
    pub fn set(&mut self, host: HostId, site: Option<Site>) {
        if let (Some(before), Some(site)) = (self.sites.get(&host), &site)
            && (before.cluster, before.order) == (site.cluster, site.order)
            && self.rack(before) == &site.rack
        {
            let Site { free, instances, port_from, .. } = *site;
            return self.set_offer(host, Offer { free, instances, port_from });
        }
        self.forget(host);
        if let Some(Site { cluster, order, rack, free, instances, port_from }) = site {
            let hosts = self.clusters.entry(cluster).or_default();
            hosts.order = order;
            let (rack, seat) = hosts.join(rack);
            let entry = Entry { cluster, rack, seat, order, offer: Offer { free, instances, port_from } };
            self.sites.insert(host, entry);
            if port_from > self.clock {
                self.asleep.insert((port_from, host));
            } else {
                self.wake(host, &entry);
            }
        }
    }

    /// The same for a host that is here and stays where it is. Nothing happens if it is not here. O(log n), and it
    /// compares no names.
    pub fn set_offer(&mut self, host: HostId, offer: Offer) {
        let Some(entry) = self.sites.get_mut(&host) else {
            return;
        };
        let (before, after) = (*entry, Entry { offer, ..*entry });
        entry.offer = offer;
        match (before.offer.port_from > self.clock, offer.port_from > self.clock) {
            (false, false) => {
                let (old, new) = (Slot::new(&before, host), Slot::new(&after, host));
                if old != new
                    && let Some(hosts) = self.clusters.get_mut(&after.cluster)
                {
                    hosts.all.remove(&old);
                    hosts.all.insert(new);
                    hosts.racks[after.rack as usize].slots.replace(after.seat, &old, new);
                }
            }
            (false, true) => {
                self.lay_down(host, &before);
                self.asleep.insert((offer.port_from, host));
            }
            (true, slept) => {
                self.asleep.remove(&(before.offer.port_from, host));
                if slept {
                    self.asleep.insert((offer.port_from, host));
                } else {
                    self.wake(host, &after);
                }
            }
        }
    }

    fn site(&self, host: HostId) -> Option<Site> {
        let entry @ Entry { cluster, order, offer, .. } = self.sites.get(&host).copied()?;
        let rack = self.rack(&entry).clone();
        let Offer { free, instances, port_from } = offer;
        Some(Site { cluster, order, rack, free, instances, port_from })
    }

    fn rack(&self, entry: &Entry) -> &Option<Rack> {
        let hosts = self.clusters.get(&entry.cluster);
        hosts.map_or(&None, |hosts| &hosts.racks[entry.rack as usize].name)
    }

    fn forget(&mut self, host: HostId) {
        let Some(entry) = self.sites.remove(&host) else {
            return;
        };
        if entry.offer.port_from > self.clock {
            self.asleep.remove(&(entry.offer.port_from, host));
        } else {
            self.lay_down(host, &entry);
        }
        if let Some(hosts) = self.clusters.get_mut(&entry.cluster) {
            hosts.leave(entry.rack, entry.seat);
            if hosts.numbers.is_empty() {
                self.clusters.remove(&entry.cluster);
            }
        }
    }

    fn lay_down(&mut self, host: HostId, entry: &Entry) {
        if let Some(hosts) = self.clusters.get_mut(&entry.cluster) {
            let slot = Slot::new(entry, host);
            hosts.all.remove(&slot);
            hosts.racks[entry.rack as usize].slots.remove(entry.seat, &slot);
            hosts.awake -= usize::from(!hosts.is_awake(entry.rack));
        }
    }

    fn wake(&mut self, host: HostId, entry: &Entry) {
        if let Some(hosts) = self.clusters.get_mut(&entry.cluster) {
            let slot = Slot::new(entry, host);
            hosts.awake += usize::from(!hosts.is_awake(entry.rack));
            hosts.all.insert(slot);
            hosts.racks[entry.rack as usize].slots.insert(entry.seat, slot);
        }
    }

    /// The latest moment that it was told of, since it last went back.
    #[must_use]
    pub fn clock(&self) -> Timestamp {
        self.clock
    }

    /// A clock was set back, and nothing was committed by the time that it had shown: hosts whose next port has not cooled
    /// down by `to` are kept apart again. O(n); nothing happens if it was told of no later moment.
    pub fn go_back(&mut self, to: Timestamp) {
        if to >= self.clock {
            return;
        }
        let up = |entry: &Entry| to < entry.offer.port_from && entry.offer.port_from <= self.clock;
        let up: Vec<(HostId, Entry)> =
            self.sites.iter().filter(|(_, entry)| up(entry)).map(|(host, entry)| (*host, *entry)).collect();
        self.clock = to;
        for (host, entry) in up {
            self.lay_down(host, &entry);
            self.asleep.insert((entry.offer.port_from, host));
        }
    }

    /// Time has passed: hosts whose next port has cooled down by now are found again. O(log n) for each of them.
    /// Answers at this time or later do not depend on it, only their cost does: [`Index::place`] looks for such hosts
    /// itself.
    pub fn pass(&mut self, now: Timestamp) {
        if now <= self.clock {
            return;
        }
        self.clock = now;
        while let Some((from, host)) = self.asleep.first().copied()
            && from <= now
        {
            self.asleep.pop_first();
            if let Some(entry) = self.sites.get(&host).copied() {
                self.wake(host, &entry);
            }
        }
    }

    /// Hosts for what is asked: on racks that hold the fewest of the cache, at most
    /// [`max_per_rack`](Request::max_per_rack) on each, then by the cluster's order.
    ///
    /// That finds hosts for all whenever there are: equal sizes with at most one a host and r a rack form a partition
    /// matroid, in which choosing greedily by any order ends with as many as any choice does.
    ///
    /// Looks at no more than 2 × (instances the cache has + instances asked for) + 1 hosts; where hosts of racks that
    /// hold one come first in the order, at no more than 2 × racks of the cluster more. O(log n) for each. (Counted is
    /// each host that a set or a rack hands out. A small rack goes through its at most 64 to find one, which lie side by
    /// side as those of a tree's node do.)
    ///
    /// That it cannot be (instances it has + asked for) with two ordered sets: let a cache have one instance on each of
    /// m racks and two on one more rack, whose hosts come first in the order. The next goes to one of the m racks, and
    /// which of them has the host that fits best is not known without looking at a host of each, beside the m that are
    /// taken.
    #[must_use]
    pub fn place(&self, request: &Request<'_>, now: Timestamp) -> Placement {
        let Some(Roomy { hosts, woken, range }) = self.roomy(request.cluster, request.need, now) else {
            return Placement::default();
        };
        Search { hosts, woken, range, request }.run()
    }

    /// The hosts of a cluster that have so much free memory (MiB) and a port to issue, in the cluster's order. O(log n),
    /// then O(1) for each.
    pub fn with_room(
        &self,
        cluster: ClusterId,
        need: Mib,
        now: Timestamp,
    ) -> impl Iterator<Item = HostId> + use<'_> {
        let roomy = self.roomy(cluster, need, now).into_iter();
        roomy
            .flat_map(|Roomy { hosts, woken, range }| {
                merge(hosts.all.range(range).copied(), woken.into_iter())
            })
            .map(Slot::host)
    }

    /// Where those are; `None` where there are none.
    fn roomy(&self, cluster: ClusterId, need: Mib, now: Timestamp) -> Option<Roomy<'_>> {
        let hosts = self.clusters.get(&cluster)?;
        // Empty, but for the first request since a port cooled down.
        let mut woken: Vec<Slot> = (self.asleep.iter())
            .take_while(|(from, _)| *from <= now)
            .filter_map(|(_, host)| Some((*host, self.sites.get(host)?)))
            .filter(|(_, entry)| entry.cluster == cluster)
            .map(|(host, entry)| Slot::new(entry, host))
            .collect();
        woken.sort_unstable();
        let first = |order| Slot(rank(order, need) << RANK_AT);
        let range = match hosts.order {
            _ if need.get() > MOST_FREE => return None,
            FillOrder::Pack => (Included(first(FillOrder::Pack)), Unbounded),
            FillOrder::Balance => {
                (Unbounded, Excluded(Slot(first(FillOrder::Balance).0.saturating_add(1 << RANK_AT))))
            }
        };
        woken.retain(|slot| range.contains(slot));
        Some(Roomy { hosts, woken, range })
    }
}

impl Hosts {
    /// One more host is on this rack. Answers the rack's number, and the host's seat.
    fn join(&mut self, name: Option<Rack>) -> (u32, u8) {
        let number = match self.numbers.get(&name) {
            Some(number) => *number,
            None => self.number(name),
        };
        let only = self.numbers.len() == 1;
        let rack = &mut self.racks[number as usize];
        rack.hosts += 1;
        let seat = rack.slots.join().unwrap_or_else(|| {
            let slots = || rack.slots.range(&self.all, EVERY).collect();
            rack.slots = if only { RackSlots::Whole } else { RackSlots::Many(slots()) };
            0
        });
        (number, seat)
    }

    /// A number for a rack that had no hosts.
    fn number(&mut self, name: Option<Rack>) -> u32 {
        // The only one so far is not any more.
        if let Some(other) = self.numbers.values().next()
            && let slots @ RackSlots::Whole = &mut self.racks[*other as usize].slots
        {
            *slots = RackSlots::Many(self.all.clone());
        }
        let number = self.unused.pop().unwrap_or_else(|| {
            self.racks.push(RackHosts::default());
            self.racks.len() as u32 - 1
        });
        self.racks[number as usize].name = name.clone();
        self.numbers.insert(name, number);
        number
    }

    /// One host less is on this rack; it had no port to issue any more.
    fn leave(&mut self, number: u32, seat: u8) {
        let rack = &mut self.racks[number as usize];
        rack.slots.leave(seat);
        rack.hosts -= 1;
        if rack.hosts == 0 {
            self.numbers.remove(&std::mem::take(rack).name);
            self.unused.push(number);
        }
    }

    /// Whether a rack has a host with a port to issue.
    fn is_awake(&self, rack: u32) -> bool {
        !self.racks[rack as usize].slots.is_empty(&self.all)
    }

    /// The hosts of one rack within a range, in order.
    fn on(&self, rack: u32, range: Bounds) -> InOrder<'_> {
        // Whatever an only rack keeps itself, this is faster.
        let slots =
            if self.numbers.len() == 1 { &RackSlots::Whole } else { &self.racks[rack as usize].slots };
        slots.range(&self.all, range)
    }
}

/// The hosts of a cluster that have room.
struct Roomy<'a> {
    hosts: &'a Hosts,
    /// Those that are not in `hosts` only because nobody told the index what time it is.
    woken: Vec<Slot>,
    range: Bounds,
}

/// One request being answered.
struct Search<'a> {
    hosts: &'a Hosts,
    woken: Vec<Slot>,
    range: Bounds,
    request: &'a Request<'a>,
}

/// A rack that holds some of the cache. Few: at most the instances of one cache.
struct Held {
    rack: u32,
    count: usize,
    /// The host found for this request, if that is its only one: the first of the rack that has room.
    found: Option<Slot>,
}

impl Search<'_> {
    fn run(self) -> Placement {
        let mut found = Placement { hosts: Vec::with_capacity(self.request.count), probes: 0 };
        // The last that is found is not noted, so for one instance of a new cache nothing is allocated.
        let expected = self.request.taken.len() + self.request.count.saturating_sub(1);
        let mut held: Vec<Held> = Vec::with_capacity(expected);
        // A rack without a number has no host to offer.
        for number in self.request.taken.iter().filter_map(|(_, rack)| self.hosts.numbers.get(rack)) {
            match held.iter_mut().find(|other| other.rack == *number) {
                Some(other) => other.count += 1,
                None => held.push(Held { rack: *number, count: 1, found: None }),
            }
        }
        self.on_fresh_racks(&mut held, &mut found);
        self.on_held_racks(&held, &mut found);
        found
    }

    /// The first host of each rack that has none of the cache yet, as long as there are such racks.
    fn on_fresh_racks(&self, held: &mut Vec<Held>, found: &mut Placement) {
        // What is looked at in vain on the way: hosts of racks that hold one. Beyond this, going through the racks one
        // by one is cheaper.
        let mut patience = self.hosts.awake;
        let mut fresh = self.hosts.awake - held.iter().filter(|held| self.hosts.is_awake(held.rack)).count();
        let all = self.hosts.all.range(self.range).copied();
        let mut slots = merge(all, self.woken.iter().copied());
        while found.hosts.len() < self.request.count && (fresh > 0 || !self.woken.is_empty()) {
            let Some(slot) = slots.next() else {
                return;
            };
            found.probes += 1;
            let rack = slot.rack();
            if held.iter().all(|other| other.rack != rack) {
                found.hosts.push(slot.host());
                if found.hosts.len() == self.request.count {
                    return;
                }
                held.push(Held { rack, count: 1, found: Some(slot) });
                fresh -= usize::from(self.hosts.is_awake(rack));
            } else if patience == 0 {
                return self.rack_by_rack(held, found);
            } else {
                patience -= 1;
            }
        }
    }

    /// The same for what is left, by going through the racks.
    fn rack_by_rack(&self, held: &mut Vec<Held>, found: &mut Placement) {
        let mut racks: Vec<u32> =
            (0..self.hosts.racks.len() as u32).filter(|rack| self.hosts.is_awake(*rack)).collect();
        racks.extend(self.woken.iter().map(|slot| slot.rack()));
        racks.sort_unstable();
        racks.dedup();
        racks.retain(|rack| held.iter().all(|other| other.rack != *rack));
        let mut firsts: Vec<Slot> =
            racks.into_iter().filter_map(|rack| self.on(rack, self.range.0).next()).collect();
        found.probes += firsts.len();
        firsts.sort_unstable();
        for slot in firsts.into_iter().take(self.request.count - found.hosts.len()) {
            held.push(Held { rack: slot.rack(), count: 1, found: Some(slot) });
            found.hosts.push(slot.host());
        }
    }

    /// Further hosts on racks that hold some already, the fewest first. No other rack has a host that fits.
    fn on_held_racks(&self, held: &[Held], found: &mut Placement) {
        if found.hosts.len() == self.request.count {
            return;
        }
        let most = self.request.max_per_rack.map_or(usize::MAX, usize::from);
        let probes = Cell::new(found.probes);
        let free = |slot: &Slot| {
            probes.set(probes.get() + 1);
            self.request.taken.iter().all(|(other, _)| *other != slot.host())
        };
        let mut racks: Vec<_> = (held.iter())
            .map(|held| {
                let from = held.found.map_or(self.range.0, Excluded);
                (held.count, self.on(held.rack, from).filter(free))
            })
            .collect();
        // The next host of each rack, the one to take on top.
        let mut next = BinaryHeap::with_capacity(racks.len());
        for (number, (count, slots)) in racks.iter_mut().enumerate() {
            if *count < most {
                next.extend(slots.next().map(|slot| Reverse((*count, slot, number))));
            }
        }
        while found.hosts.len() < self.request.count
            && let Some(Reverse((count, slot, number))) = next.pop()
        {
            found.hosts.push(slot.host());
            if count + 1 < most && found.hosts.len() < self.request.count {
                next.extend(racks[number].1.next().map(|slot| Reverse((count + 1, slot, number))));
            }
        }
        drop(racks);
        found.probes = probes.get();
    }

    /// The hosts of one rack that have room, from this one on.
    fn on(&self, rack: u32, from: Bound<Slot>) -> impl Iterator<Item = Slot> + '_ {
        let range = (from, self.range.1);
        let slots = self.hosts.on(rack, range);
        let woken =
            self.woken.iter().copied().filter(move |slot| slot.rack() == rack && range.contains(slot));
        merge(slots, woken)
    }
}

/// Two ordered sequences as one.
fn merge<A: Iterator<Item = Slot>, B: Iterator<Item = Slot>>(
    one: A,
    other: B,
) -> impl Iterator<Item = Slot> + use<A, B> {
    let (mut one, mut other): (Peekable<A>, Peekable<B>) = (one.peekable(), other.peekable());
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(first), Some(second)) if second < first => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLUSTER: ClusterId = ClusterId::new(1);
    const NOW: Timestamp = Timestamp::from_millis(100);

    fn rack(number: u8) -> Option<Rack> {
        Some(Rack::new(&format!("r{number}")).unwrap())
    }

    /// Free memory, rack, instances, and when a port is free.
    type Host = (u64, u8, u32, u64);

    fn site(order: FillOrder, &(free, number, instances, at): &Host) -> Site {
        let port_from = Timestamp::from_millis(at);
        Site { cluster: CLUSTER, order, rack: rack(number), free: Mib::capped(free), instances, port_from }
    }

    fn index(order: FillOrder, hosts: &[Host]) -> Index {
        let mut index = Index::default();
        extend(&mut index, order, 0, hosts);
        index
    }

    fn extend(index: &mut Index, order: FillOrder, from: usize, hosts: &[Host]) {
        for (number, host) in (from..).zip(hosts) {
            index.set(HostId::new(number as u64), Some(site(order, host)));
        }
    }

    /// √2 times a number in units of 2^-63, without what is before the point.
    fn scattered(host: usize) -> u128 {
        host as u128 * ((1_u128 << 127).isqrt() | 1) % (1 << 63)
    }

    /// So many more hosts on rack 0, or as many fewer again. No request finds one: their ports never come free.
    fn crowd(index: &mut Index, order: FillOrder, number: u64, there: bool) {
        for host in 1000..1000 + number {
            index.set(HostId::new(host), there.then(|| site(order, &(40, 0, 0, 1000))));
        }
    }

    fn place(
        index: &Index,
        need: u64,
        count: usize,
        taken: &[Taken],
        max_per_rack: Option<u16>,
    ) -> Placement {
        index.place(&Request { cluster: CLUSTER, need: Mib::capped(need), count, taken, max_per_rack }, NOW)
    }

    #[test]
    fn racks_first_then_the_cluster_s_order() {
        let hosts = [(100, 1, 0, 0), (50, 1, 0, 0), (60, 1, 0, 0), (500, 2, 0, 0)];
        let chosen = |order, count| {
            let placement = place(&index(order, &hosts), 40, count, &[], None);
            placement.hosts.iter().map(|host| host.get()).collect::<Vec<_>>()
        };
        assert_eq!(chosen(FillOrder::Pack, 3), [1, 3, 2]);
        assert_eq!(chosen(FillOrder::Balance, 3), [3, 0, 2]);
        assert_eq!(chosen(FillOrder::Pack, 9), [1, 3, 2, 0]);
    }

    /// A cluster of many racks, most of whose hosts that fit best are on a rack that holds one already.
    #[test]
    fn a_crowded_rack_does_not_cost_a_look_at_each_of_its_hosts() {
        let mut hosts: Vec<Host> = (0..1000).map(|free| (1000 + free, 0, 0, 0)).collect();
        hosts.extend((1..50).map(|number| (5000, number, 0, 0)));
        let placement = place(&index(FillOrder::Pack, &hosts), 64, 8, &[], None);
        assert_eq!(placement.hosts.len(), 8);
        assert!(placement.probes <= 2 * 8 + 1 + 2 * 50, "{}", placement.probes);
        // All on one rack: nothing is looked at in vain.
        let placement = place(&index(FillOrder::Pack, &hosts[..1000]), 64, 8, &[], Some(8));
        assert_eq!((placement.hosts.len(), placement.probes), (8, 8));
    }

    /// Why instances it has + instances asked for is not enough: see [`Index::place`].
    #[test]
    fn every_rack_with_one_is_looked_at_for_the_best_of_them() {
        let mut hosts: Vec<Host> = (0..100).map(|free| (100 + free, 9, 0, 0)).collect();
        hosts
            .extend((0..5).flat_map(|number| [(300, number, 0, 0), (400 - u64::from(number), number, 0, 0)]));
        let on_racks = (0..5).map(|number| (HostId::new(100 + 2 * number), rack(number as u8)));
        let taken: Vec<Taken> =
            [0, 1].map(|host| (HostId::new(host), rack(9))).into_iter().chain(on_racks).collect();
        let placement = place(&index(FillOrder::Pack, &hosts), 64, 1, &taken, None);
        assert_eq!(placement.hosts, [HostId::new(109)]);
        // The 7 it has, and a host of each of the 6 racks.
        assert_eq!(placement.probes, 7 + 6);
    }

    fn host() -> impl Strategy<Value = Host> {
        (0..40u64, 0..4u8, 0..3u32, prop_oneof![3 => Just(0), 1 => 50..150u64])
    }

    fn hosts() -> impl Strategy<Value = Vec<Host>> {
        prop::collection::vec(host(), 0..12)
    }

    fn order() -> impl Strategy<Value = FillOrder> {
        prop_oneof![Just(FillOrder::Pack), Just(FillOrder::Balance)]
    }

    fn limit() -> impl Strategy<Value = Option<u16>> {
        prop::option::of(1..4u16)
    }

    fn taken() -> impl Strategy<Value = std::collections::BTreeSet<usize>> {
        prop::collection::btree_set(0..12usize, 0..4)
    }

    /// None, or so many that a few more make a rack a large one.
    fn crowds() -> impl Strategy<Value = u64> {
        prop_oneof![1 => Just(0), 2 => 54..66u64]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12_000))]

        /// Against the rule read aloud, and against every choice there is.
        #[test]
        fn agrees_with_a_naive_model_and_with_brute_force(
            hosts in hosts(), order in order(), need in 0..44u64, count in 0..6usize, limit in limit(),
            taken in taken(), told in 0..150u64, crowd_of in crowds(), crowded_from in 0..12usize, stays: bool,
        ) {
            let taken: Vec<Taken> = taken.into_iter().filter(|at| *at < hosts.len())
                .map(|at| (HostId::new(at as u64), rack(hosts[at].1))).collect();
            let crowded_from = crowded_from.min(hosts.len());
            let mut index = index(order, &hosts[..crowded_from]);
            crowd(&mut index, order, crowd_of, true);
            extend(&mut index, order, crowded_from, &hosts[crowded_from..]);
            if !stays {
                crowd(&mut index, order, crowd_of, false);
            }
            index.pass(Timestamp::from_millis(told).min(NOW));
            let got = place(&index, need, count, &taken, limit);

            let most = limit.map_or(usize::MAX, usize::from);
            let mut held = [0usize; 4];
            let mut used: Vec<usize> = taken.iter().map(|(host, _)| host.get() as usize).collect();
            for &host in &used { held[hosts[host].1 as usize] += 1; }
            let eligible = |host: &usize| hosts[*host].0 >= need && hosts[*host].3 <= NOW.as_millis();
            let start = held;
            let mut want = Vec::new();
            for _ in 0..count {
                let best = (0..hosts.len())
                    .filter(|host| !used.contains(host) && held[hosts[*host].1 as usize] < most)
                    .filter(eligible)
                    .min_by_key(|host| {
                        let (free, number, instances, _) = hosts[*host];
                        let free = if order == FillOrder::Pack { free } else { 1000 - free };
                        (held[number as usize], free, instances, scattered(*host))
                    });
                let Some(best) = best else { break };
                held[hosts[best].1 as usize] += 1;
                used.push(best);
                want.push(best as u64);
            }
            prop_assert_eq!(got.hosts.iter().map(|host| host.get()).collect::<Vec<_>>(), want);

            // No choice of hosts places more: every subset is tried.
            let most_possible = (0..1u32 << hosts.len())
                .filter(|set| {
                    let chosen = |host: &usize| set >> host & 1 == 1;
                    let mut held = start;
                    (0..hosts.len()).filter(chosen).all(|host| {
                        let rack = &mut held[hosts[host].1 as usize];
                        *rack += 1;
                        *rack <= most.max(start[hosts[host].1 as usize])
                            && eligible(&host)
                            && taken.iter().all(|(other, _)| other.get() as usize != host)
                            && *rack <= most
                    })
                })
                .map(u32::count_ones)
                .max();
            prop_assert_eq!(got.hosts.len(), (most_possible.unwrap_or_default() as usize).min(count));
            let racks = 4;
            prop_assert!(got.probes <= 2 * (taken.len() + count) + 1 + 2 * racks, "{} probes", got.probes);
        }

        /// What was set and taken back leaves nothing behind, whatever the time.
        #[test]
        fn setting_back_is_the_identity(
            hosts in hosts(), order in order(), at in 0..12usize, told in 0..150u64, other_rack in 0..6u8,
            crowd_of in crowds(),
        ) {
            let mut before = index(order, &hosts);
            crowd(&mut before, order, crowd_of, true);
            before.pass(Timestamp::from_millis(told));
            let mut after = before.clone();
            let host = HostId::new(at as u64);
            let other = (7, other_rack, 1, 120);
            after.set(host, Some(site(order, &other)));
            after.set(host, None);
            after.set(host, before.site(host));
            prop_assert!(before == after);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Whatever happened on the way, racks that grew large, shrank and changed and a clock that was set back included:
        /// one that was told only how hosts are now answers alike, and looks at as many hosts.
        #[test]
        fn history_does_not_matter(
            crowd_of in crowds(), order in order(), told in 0..150u64, ahead in 0..100u64,
            steps in prop::collection::vec((0..12u64, prop::option::weighted(0.7, host())), 0..60),
            need in 0..44u64, count in 0..6usize, limit in limit(), taken in taken(),
        ) {
            let mut index = Index::default();
            crowd(&mut index, order, crowd_of, true);
            let mut now = std::collections::BTreeMap::new();
            for (at, (host, change)) in steps.iter().enumerate() {
                index.set(HostId::new(*host), change.as_ref().map(|change| site(order, change)));
                match change {
                    Some(change) => now.insert(*host, *change),
                    None => now.remove(host),
                };
                index.pass(Timestamp::from_millis(told * at as u64 / steps.len() as u64));
                let clock = index.clock();
                index.pass(clock.after(std::time::Duration::from_millis(ahead)));
                index.go_back(clock);
            }
            let mut anew = Index::default();
            now.iter().rev().for_each(|(host, is)| anew.set(HostId::new(*host), Some(site(order, is))));
            anew.pass(index.clock);
            crowd(&mut anew, order, crowd_of, true);
            prop_assert!(index == anew);
            let taken: Vec<Taken> = (taken.into_iter())
                .filter_map(|at| Some((HostId::new(at as u64), rack(now.get(&(at as u64))?.1)))).collect();
            let ask = |index: &Index| place(index, need, count, &taken, limit);
            prop_assert_eq!(ask(&index), ask(&anew));
            crowd(&mut index, order, crowd_of, false);
            crowd(&mut anew, order, crowd_of, false);
            prop_assert!(index == anew);
            prop_assert_eq!(ask(&index), ask(&anew));
        }
    }
}
