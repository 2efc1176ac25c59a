//! The second implementation of the rules: plain lists, and every sum made anew. Too simple to be wrong, too slow to be
//! used. Hosts are known by their place in the list, caches by a number; [`agree`](crate::agree) says which names those are.

use std::collections::BTreeMap;

/// What a cluster's operators decided.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) headroom_percent: u64,
    pub(crate) balance: bool,
    pub(crate) fill_limit_percent: u64,
    pub(crate) ports: std::ops::RangeInclusive<u16>,
    pub(crate) cool_down_millis: u64,
    pub(crate) floor_mib: u64,
}

impl Rules {
    /// The default rule of booking with its numbers written out, but for the floor.
    pub(crate) fn booking(&self, memory: u64) -> u64 {
        memory + (memory.div_ceil(10) + 8).max(self.floor_mib) + 16
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Cordoned,
    Draining,
    Lost,
}

#[derive(Debug, Clone)]
pub(crate) struct Host {
    /// The fleet's number of it, by which equals are told apart.
    pub(crate) number: u64,
    pub(crate) memory: u64,
    pub(crate) rack: usize,
    pub(crate) status: Status,
    pub(crate) blocked: Vec<u16>,
    /// Nobody has looked at it since the fleet was set back.
    pub(crate) waits: bool,
    /// Ports that something unknown was found on then.
    pub(crate) found: Vec<u16>,
    pub(crate) processes: Vec<Process>,
    /// Ports whose last instance is gone, and from when on they may be issued again; `u64::MAX` for never.
    pub(crate) retired: BTreeMap<u16, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) cache: u64,
    pub(crate) index: u16,
    pub(crate) port: u16,
    pub(crate) memory: u64,
    pub(crate) booked: u64,
    pub(crate) releasing: bool,
    pub(crate) shrinking: bool,
    /// A copy takes its place: it counts against no quota.
    pub(crate) moving: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Cache {
    pub(crate) team: usize,
    pub(crate) memory: u64,
    pub(crate) count: u16,
    pub(crate) most_per_rack: Option<u16>,
    pub(crate) releasing: bool,
    /// The host of each instance it has, in no order.
    pub(crate) on: Vec<usize>,
}

/// What is to be placed for a cache that may have some instances already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) cache: u64,
    pub(crate) team: usize,
    pub(crate) memory: u64,
    pub(crate) count: usize,
    pub(crate) most_per_rack: Option<u16>,
}

/// A host and a port of it.
pub(crate) type Spot = (usize, u16);

/// The word of a refusal.
pub(crate) type Code = &'static str;

#[derive(Debug, Clone)]
pub(crate) struct Second {
    pub(crate) rules: Rules,
    pub(crate) hosts: Vec<Host>,
    pub(crate) caches: BTreeMap<u64, Cache>,
    /// What each team may ask for.
    pub(crate) quotas: Vec<u64>,
}

impl Host {
    pub(crate) fn new(number: u64, memory: u64, rack: usize, blocked: Vec<u16>) -> Self {
        Host {
            number,
            memory,
            rack,
            status: Status::Active,
            blocked,
            waits: false,
            found: Vec::new(),
            processes: Vec::new(),
            retired: BTreeMap::new(),
        }
    }

    pub(crate) fn booked(&self) -> u64 {
        self.processes.iter().map(|it| it.booked).sum()
    }

    /// The process of a cache; it has one at most.
    pub(crate) fn of(&mut self, cache: u64) -> Option<&mut Process> {
        self.processes.iter_mut().find(|it| it.cache == cache)
    }

    /// What new instances may fill it up to, as long as there is another place.
    pub(crate) fn open(&self, rules: &Rules) -> u64 {
        self.memory - (self.memory * rules.headroom_percent).div_ceil(100)
    }

    /// The lowest port that was never used, or else the one whose cool-down ended first.
    pub(crate) fn port(&self, rules: &Rules, now: u64) -> Option<u16> {
        let owned = |port: u16| self.processes.iter().any(|it| it.port == port);
        let issuable =
            |port: &u16| !self.blocked.contains(port) && !self.found.contains(port) && !owned(*port);
        let fresh = rules.ports.clone().find(|port| !self.retired.contains_key(port) && issuable(port));
        let cooled = || {
            let over = self.retired.iter().filter(|(port, at)| **at <= now && rules.ports.contains(port));
            over.filter(|(port, _)| issuable(port)).map(|(port, at)| (*at, *port)).min()
        };
        fresh.or_else(|| cooled().map(|(_, port)| port))
    }

    fn has_port(&self, rules: &Rules, now: u64) -> bool {
        let spoken_for = self.processes.len() + self.retired.len() + self.blocked.len() + self.found.len();
        spoken_for < rules.ports.len() || self.port(rules, now).is_some()
    }
}

/// Where in 0..1 equal hosts stand, as 63 bits after the point: a number times √2, without what is before the point. The
/// factor's last bit is 1, so that no two numbers have one place.
fn place_among_equals(number: u64) -> u128 {
    let root_of_two = (1_u128 << 127).isqrt() | 1;
    u128::from(number) * root_of_two % (1 << 63)
}

impl Second {
    pub(crate) fn new(rules: Rules, quotas: Vec<u64>) -> Self {
        Second { rules, hosts: Vec::new(), caches: BTreeMap::new(), quotas }
    }

    pub(crate) fn used(&self, team: usize) -> u64 {
        let own = self.caches.iter().filter(|(_, cache)| cache.team == team);
        let moving = |number: u64, at: usize| {
            self.hosts[at].processes.iter().any(|it| it.cache == number && it.moving)
        };
        own.map(|(number, cache)| {
            let counted = cache.on.iter().filter(|at| !moving(*number, **at)).count();
            cache.memory * counted as u64
        })
        .sum()
    }

    pub(crate) fn booked(&self) -> u64 {
        self.hosts.iter().map(Host::booked).sum()
    }

    pub(crate) fn memory(&self) -> u64 {
        self.hosts.iter().filter(|host| host.status != Status::Lost).map(|host| host.memory).sum()
    }

    /// Whether the cluster would keep half as much again as it keeps for growing, if this wish came true.
    fn has_plenty_with(&self, wish: &Wish) -> bool {
        let with_it = self.booked() + self.rules.booking(wish.memory) * wish.count as u64;
        let keeps_of_200 = 3 * self.rules.headroom_percent;
        with_it * 200 <= self.memory() * 200_u64.saturating_sub(keeps_of_200)
    }

    /// Where a wish goes, or why nowhere: by the rule read aloud. O(instances + hosts × what is asked for).
    pub(crate) fn place(&self, wish: &Wish, now: u64) -> Result<Vec<Spot>, Code> {
        match self.place_within(wish, now, |host| host.open(&self.rules), self.rules.balance) {
            Err("no_room") if self.has_plenty_with(wish) => {
                self.place_within(wish, now, |host| host.memory, true)
            }
            other => other,
        }
    }

    /// The same with hosts that new instances may fill up to this, the emptiest first or the tightest.
    fn place_within(
        &self,
        wish: &Wish,
        now: u64,
        may_fill: impl Fn(&Host) -> u64,
        emptiest_first: bool,
    ) -> Result<Vec<Spot>, Code> {
        if self.used(wish.team) + wish.memory * wish.count as u64 > self.quotas[wish.team] {
            return Err("quota_exceeded");
        }
        let need = self.rules.booking(wish.memory);
        let on: &[usize] = self.caches.get(&wish.cache).map_or(&[], |cache| &cache.on);
        let booked: Vec<u64> = self.hosts.iter().map(Host::booked).collect();
        let eligible: Vec<usize> = (0..self.hosts.len())
            .filter(|at| {
                self.hosts[*at].status == Status::Active && !self.hosts[*at].waits && !on.contains(at)
            })
            .filter(|at| booked[*at] + need <= may_fill(&self.hosts[*at]))
            .filter(|at| self.hosts[*at].has_port(&self.rules, now))
            .collect();
        let racks = self.hosts.iter().map(|host| host.rack + 1).max().unwrap_or(0);
        let count_by_rack = |hosts: &[usize]| {
            let mut counts = vec![0; racks];
            hosts.iter().for_each(|at| counts[self.hosts[*at].rack] += 1);
            counts
        };
        let mut held = count_by_rack(on);
        let most = wish.most_per_rack.map_or(usize::MAX, usize::from);
        let places = count_by_rack(&eligible).into_iter().zip(&held);
        let places: usize = places.map(|(there, held)| there.min(most.saturating_sub(*held))).sum();
        let limit = self.memory() * self.rules.fill_limit_percent / 100;
        if places < wish.count || booked.iter().sum::<u64>() + need * wish.count as u64 > limit {
            return Err("no_room");
        }
        let mut spots: Vec<Spot> = Vec::new();
        for _ in 0..wish.count {
            let best = (eligible.iter().copied())
                .filter(|at| held[self.hosts[*at].rack] < most && spots.iter().all(|(other, _)| other != at))
                .min_by_key(|at| {
                    let host = &self.hosts[*at];
                    let left = (may_fill(host) - booked[*at]) as i64;
                    let left = if emptiest_first { -left } else { left };
                    (held[host.rack], left, host.processes.len(), place_among_equals(host.number))
                });
            let Some(best) = best else { break };
            held[self.hosts[best].rack] += 1;
            spots.extend(self.hosts[best].port(&self.rules, now).map(|port| (best, port)));
        }
        Ok(spots)
    }

    /// Whether a wish is one that may use what hosts keep for growing.
    fn may_open_headroom(&self, wish: &Wish, now: u64) -> bool {
        self.has_plenty_with(wish)
            && self.place_within(wish, now, |host| host.open(&self.rules), false).is_err()
    }

    /// The first rule that these places for a wish would break. O(instances on these hosts); where they use what hosts keep
    /// for growing, what [`Second::place`] takes.
    pub(crate) fn broken_by(&self, wish: &Wish, spots: &[Spot], now: u64) -> Option<&'static str> {
        let need = self.rules.booking(wish.memory);
        let mut on = self.caches.get(&wish.cache).map_or_else(Vec::new, |cache| cache.on.clone());
        if spots.len() != wish.count {
            return Some("count");
        }
        for &(at, port) in spots {
            let host = &self.hosts[at];
            if host.status != Status::Active {
                return Some("closed_host");
            }
            if on.contains(&at) {
                return Some("one_per_host");
            }
            on.push(at);
            let in_rack = on.iter().filter(|other| self.hosts[**other].rack == host.rack).count();
            if in_rack > wish.most_per_rack.map_or(usize::MAX, usize::from) {
                return Some("max_per_rack");
            }
            if host.booked() + need > host.memory {
                return Some("memory");
            }
            if host.booked() + need > host.open(&self.rules) && !self.may_open_headroom(wish, now) {
                return Some("headroom");
            }
            if host.processes.iter().any(|it| it.port == port) {
                return Some("port_owned");
            }
            if host.waits || host.found.contains(&port) {
                return Some("unobserved");
            }
            if host.blocked.contains(&port) || !self.rules.ports.contains(&port) {
                return Some("port_blocked");
            }
            if host.retired.get(&port).is_some_and(|reusable_at| *reusable_at > now) {
                return Some("port_cooling_down");
            }
        }
        None
    }

    /// The indexes that a cache is missing since a host was lost.
    pub(crate) fn missing(&self, number: u64) -> Vec<u16> {
        let Some(cache) = self.caches.get(&number) else {
            return Vec::new();
        };
        let own = cache.on.iter().flat_map(|at| &self.hosts[*at].processes).filter(|it| it.cache == number);
        let there: Vec<u16> = own.map(|it| it.index).collect();
        (0..cache.count).filter(|index| !there.contains(index)).collect()
    }

    pub(crate) fn allocate(&mut self, wish: &Wish, spots: &[Spot]) {
        let &Wish { cache, team, memory, count, most_per_rack } = wish;
        let (count, on) = (count as u16, Vec::new());
        self.caches.insert(cache, Cache { team, memory, count, most_per_rack, releasing: false, on });
        self.start(cache, &(0..count).collect::<Vec<_>>(), spots);
    }

    /// Instances of these indexes begin at these places.
    pub(crate) fn start(&mut self, number: u64, indexes: &[u16], spots: &[Spot]) {
        let Some(cache) = self.caches.get_mut(&number) else {
            return;
        };
        let (memory, booked) = (cache.memory, self.rules.booking(cache.memory));
        for (&index, &(at, port)) in indexes.iter().zip(spots) {
            cache.on.push(at);
            self.hosts[at].retired.remove(&port);
            let (releasing, shrinking) = (false, false);
            let process =
                Process { cache: number, index, port, memory, booked, releasing, shrinking, moving: false };
            self.hosts[at].processes.push(process);
        }
    }

    /// Whether a cache may have another size.
    pub(crate) fn may_resize(&self, number: u64, memory: u64) -> Result<(), Code> {
        let cache = self.caches.get(&number).ok_or("not_found")?;
        if cache.releasing {
            return Err("releasing");
        }
        if memory <= cache.memory {
            return Ok(());
        }
        let more = (memory - cache.memory) * cache.on.len() as u64;
        if self.used(cache.team) + more > self.quotas[cache.team] {
            return Err("quota_exceeded");
        }
        let need = self.rules.booking(memory);
        let grows = |at: &usize| {
            let host = &self.hosts[*at];
            let own = host.processes.iter().filter(|it| it.cache == number);
            own.into_iter()
                .all(|it| need <= it.booked || !host.waits && host.booked() - it.booked + need <= host.memory)
        };
        if cache.on.iter().all(grows) { Ok(()) } else { Err("no_room") }
    }

    pub(crate) fn resize(&mut self, number: u64, memory: u64) {
        let need = self.rules.booking(memory);
        let before = self.caches.get(&number).map_or(memory, |cache| cache.memory);
        self.for_each_of(number, |it| {
            if memory > before {
                it.booked = it.booked.max(need);
            }
            if memory != before {
                it.shrinking = (memory < before || it.shrinking) && need < it.booked;
            }
            it.memory = memory;
        });
        self.caches.entry(number).and_modify(|cache| cache.memory = memory);
    }

    pub(crate) fn release(&mut self, number: u64) -> Result<(), Code> {
        let cache = self.caches.get_mut(&number).ok_or("not_found")?;
        cache.releasing = true;
        if cache.on.is_empty() {
            self.caches.remove(&number);
        }
        self.for_each_of(number, |it| it.releasing = true);
        Ok(())
    }

    /// The instance was seen to hold no more than its size.
    pub(crate) fn seen_within(&mut self, number: u64, index: u16) {
        let rules = self.rules.clone();
        self.for_each_of(number, |it| {
            if it.index == index && it.shrinking && !it.releasing {
                it.booked = it.booked.min(rules.booking(it.memory));
                it.shrinking = false;
            }
        });
    }

    /// The instance was seen to have stopped.
    pub(crate) fn stopped(&mut self, number: u64, index: u16, now: u64) -> Result<(), Code> {
        let reusable_at = now + self.rules.cool_down_millis;
        let hosts = self.caches.get(&number).map_or_else(Vec::new, |cache| cache.on.clone());
        for at in hosts {
            let own = self.hosts[at].processes.iter().position(|it| it.cache == number && it.index == index);
            if let Some(place) = own {
                if !self.hosts[at].processes[place].releasing {
                    return Err("not_releasing");
                }
                self.end(at, place, reusable_at);
                return Ok(());
            }
        }
        Err("not_found")
    }

    /// A copy of what a cache has on one host begins on another. The rule that this breaks, if it does.
    pub(crate) fn copy(&mut self, number: u64, from: usize, to: usize, now: u64) -> Option<&'static str> {
        let rack = self.hosts[to].rack;
        let cache = self.caches.get(&number)?;
        let (memory, booked) = (cache.memory, self.rules.booking(cache.memory));
        let there = cache.on.iter().filter(|at| **at != from && self.hosts[**at].rack == rack).count();
        let crowded = self.hosts[from].rack != rack
            && cache.most_per_rack.is_some_and(|most| there >= usize::from(most));
        let host = &self.hosts[to];
        let Some(port) = host.port(&self.rules, now) else {
            return Some("ports");
        };
        let flaw = if host.status != Status::Active {
            Some("closed_host")
        } else if host.booked() + booked > host.open(&self.rules) {
            Some("headroom")
        } else if host.processes.iter().any(|it| it.cache == number) {
            Some("one_per_host")
        } else if crowded {
            Some("racks")
        } else {
            None
        };
        let old = self.hosts[from].of(number)?;
        old.moving = true;
        let (index, releasing, shrinking, moving) = (old.index, false, false, false);
        self.hosts[to].retired.remove(&port);
        let process = Process { cache: number, index, port, memory, booked, releasing, shrinking, moving };
        self.hosts[to].processes.push(process);
        self.caches.get_mut(&number)?.on.push(to);
        flaw
    }

    /// What a cache has on a host was seen to have stopped.
    pub(crate) fn moved_away(&mut self, number: u64, from: usize, now: u64) {
        if let Some(place) = self.hosts[from].processes.iter().position(|it| it.cache == number) {
            self.end(from, place, now + self.rules.cool_down_millis);
        }
    }

    /// The fleet was set back to a backup.
    #[allow(dead_code, reason = "not a part of the life that is simulated")]
    pub(crate) fn restore(&mut self) {
        self.hosts.iter_mut().for_each(|host| host.waits = true);
    }

    /// Every port of a host was looked at.
    #[allow(dead_code, reason = "not a part of the life that is simulated")]
    pub(crate) fn look_around(&mut self, at: usize, in_use: &[u16]) {
        let host = &mut self.hosts[at];
        host.waits = false;
        for port in in_use {
            if !host.processes.iter().any(|it| it.port == *port) && !host.found.contains(port) {
                host.found.push(*port);
            }
        }
    }

    pub(crate) fn drain(&mut self, at: usize) {
        if self.hosts[at].status != Status::Lost {
            self.hosts[at].status = Status::Draining;
        }
    }

    pub(crate) fn cordon(&mut self, at: usize) {
        if self.hosts[at].status == Status::Active {
            self.hosts[at].status = Status::Cordoned;
        }
    }

    pub(crate) fn uncordon(&mut self, at: usize, now: u64) {
        if self.hosts[at].status == Status::Lost {
            let reusable_at = now + self.rules.cool_down_millis;
            let blocked = self.hosts[at].retired.values_mut().filter(|at| **at == u64::MAX);
            blocked.for_each(|at| *at = reusable_at);
        }
        self.hosts[at].status = Status::Active;
    }

    pub(crate) fn lose(&mut self, at: usize, now: u64) {
        while !self.hosts[at].processes.is_empty() {
            self.end(at, 0, u64::MAX);
        }
        let cooling = self.hosts[at].retired.values_mut().filter(|at| **at > now);
        cooling.for_each(|at| *at = u64::MAX);
        self.hosts[at].status = Status::Lost;
    }

    /// A process is no more.
    fn end(&mut self, at: usize, place: usize, reusable_at: u64) {
        let it = self.hosts[at].processes.remove(place);
        self.hosts[at].retired.insert(it.port, reusable_at);
        if let Some(cache) = self.caches.get_mut(&it.cache) {
            cache.on.retain(|other| *other != at);
            if it.releasing && cache.on.is_empty() {
                self.caches.remove(&it.cache);
            }
        }
    }

    fn for_each_of(&mut self, number: u64, mut change: impl FnMut(&mut Process)) {
        let on = self.caches.get(&number).map_or_else(Vec::new, |cache| cache.on.clone());
        for at in on {
            self.hosts[at].processes.iter_mut().filter(|it| it.cache == number).for_each(&mut change);
        }
    }
}
