//! Why not, and what would do instead: worked out after a turn has refused something.
//!
//! [`Facts::of`] copies what matters while the state is read, which is all that a writer may wait for: some tens of
//! nanoseconds a host. The rest is worked out from the copy.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use super::{Command, Order, State, decide};
use crate::model::{
    Cluster, ClusterName, HostName, HostStatus, Instance, Mib, Phase, Policy, Rack, Revision, TeamId,
    Timestamp,
};

/// What is in the way of a request, and what would do instead. Everything in it is exact at its revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhyNot {
    /// The state it was worked out on.
    pub revision: Revision,
    /// The largest memory of each instance that would be carried out now, with this number of instances, every rule
    /// and the quota kept.
    pub largest: Option<Mib>,
    /// Rules each of which is alone in the way: without it, the request would be carried out.
    pub alone: Vec<Rule>,
    /// Hosts each of which, opened to new instances again, would be enough.
    pub uncordon: Vec<HostName>,
    /// How many more hosts would be enough.
    pub add: Option<HostsToAdd>,
    /// Other clusters that would carry it out, the team's quota there included.
    pub elsewhere: Vec<ClusterName>,
    /// The cheapest moves that would make room for growing, where some would.
    pub moves: Option<MoveOffer>,
}

/// A rule that keeps a request from being carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// Hosts have too little memory.
    Memory,
    /// What is left is kept for growing.
    Headroom,
    /// The cluster's fill limit.
    FillLimit,
    /// Hosts with enough memory have no port to issue, cooling down or not.
    Ports,
    /// Hosts with enough memory have ports, but they cool down.
    CoolDown {
        /// From when on enough of them have one, milliseconds since 1970.
        until: Timestamp,
    },
    /// Each instance needs a host of its own.
    Spread,
    /// How many may share a rack.
    Racks,
    /// The team's quota.
    Quota,
}

/// More hosts that would be enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HostsToAdd {
    /// How many, at least; each on a rack that has none of the cache.
    pub count: u32,
    /// With this much memory each, MiB.
    pub memory: Mib,
}

/// Moves that would make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct MoveOffer {
    /// How many instances.
    pub moves: u32,
    /// How much memory goes cold, MiB: what the moved instances hold.
    pub cold: Mib,
}

impl WhyNot {
    /// Without what only operators may know: hosts.
    #[must_use]
    pub fn for_member(mut self) -> Self {
        self.uncordon.clear();
        self.add = None;
        self
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rule::Memory => "the hosts have too little free memory",
            Rule::Headroom => "what is free is kept for instances to grow",
            Rule::FillLimit => "the cluster's fill limit is reached",
            Rule::Ports => "hosts with enough memory have no free port",
            Rule::CoolDown { .. } => "the ports of hosts with enough memory are cooling down",
            Rule::Spread => "each instance needs a host of its own",
            Rule::Racks => "too many would share a rack",
            Rule::Quota => "the quota is used up",
        })
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.alone {
            write!(f, "{rule}; ")?;
        }
        match self.largest {
            Some(largest) => write!(f, "the largest that fits now is {largest} an instance"),
            None => f.write_str("no size fits now"),
        }
    }
}

/// A host as an explanation sees it.
#[derive(Debug)]
struct Seat {
    /// Its rack's place among those of the cluster.
    rack: u32,
    /// Memory that new instances may book, MiB.
    room: Mib,
    /// All of its free memory, MiB.
    free: Mib,
    port_from: Timestamp,
    ports: u32,
    /// Holds an instance of the cache.
    taken: bool,
    /// Takes new instances.
    open: bool,
}

/// An instance that should grow.
#[derive(Debug)]
struct Growing {
    booked: Mib,
    free: Mib,
    /// The host, if it is being emptied and could be opened again.
    draining: Option<HostName>,
}

#[derive(Debug)]
enum Asked {
    /// New instances.
    New {
        count: usize,
        most: usize,
        held: HashMap<u32, usize>,
        seats: Vec<Seat>,
        closed: Vec<(usize, HostName)>,
    },
    /// More memory for these.
    Grow { current: Mib, counted: u64, growing: Vec<Growing> },
}

/// What an explanation rests on, copied from a state.
#[derive(Debug)]
pub struct Facts {
    revision: Revision,
    now: Timestamp,
    memory: Mib,
    policy: Policy,
    asked: Asked,
    /// How much the team may still ask for, counting what the growing instances have.
    quota_left: Mib,
    /// What the cluster's instances book, and its memory.
    booked: Mib,
    cluster_memory: Mib,
    /// The size that most of its hosts have.
    usual_host: Option<Mib>,
    elsewhere: Vec<ClusterName>,
}

/// What is not asked for while the rest is judged.
#[derive(Debug, Clone, Copy, Default)]
struct Without {
    memory: bool,
    headroom: bool,
    fill_limit: bool,
    ports: bool,
    spread: bool,
    racks: bool,
    quota: bool,
}

impl Facts {
    /// Copy what matters for an order that was refused; `None` if it is none that asks for memory, or names what is
    /// not there. O(hosts of the cluster).
    #[must_use]
    pub fn of(state: &State, order: &Order, now: Timestamp) -> Option<Facts> {
        let (cluster, team, memory, asked, kept) = match &order.command {
            Command::Allocate { team, cluster, memory, instances, max_per_rack, .. } => {
                let cluster = state.cluster_named(cluster)?;
                let asked = Asked::new(state, cluster, usize::from(*instances), *max_per_rack, &[], now);
                (cluster, state.team_named(team)?.id, *memory, asked, Mib::ZERO)
            }
            Command::Replace { team, name } => {
                let cache = state.cache_named(team, name)?;
                let cluster = state.cluster(cache.cluster)?;
                let there: Vec<&Instance> = state.instances_of(cache.id).collect();
                let missing =
                    (0..cache.instances).filter(|index| there.iter().all(|it| it.index != *index)).count();
                let asked = Asked::new(state, cluster, missing, cache.max_per_rack, &there, now);
                (cluster, cache.team, cache.memory, asked, Mib::ZERO)
            }
            Command::Resize { team, name, memory } => {
                let cache = state.cache_named(team, name)?;
                let cluster = state.cluster(cache.cluster)?;
                let kept: Vec<&Instance> =
                    state.instances_of(cache.id).filter(|it| it.phase != Phase::Releasing).collect();
                let counted: Vec<Mib> =
                    kept.iter().filter(|it| it.moved_to.is_none()).map(|it| it.memory).collect();
                let growing = kept.into_iter().map(|it| Growing::of(state, it)).collect();
                let asked = Asked::Grow { current: cache.memory, counted: counted.len() as u64, growing };
                (cluster, cache.team, *memory, asked, counted.into_iter().sum())
            }
            _ => return None,
        };
        let mut sizes: BTreeMap<Mib, usize> = BTreeMap::new();
        for view in state.hosts_of(cluster.id) {
            *sizes.entry(view.host.memory).or_default() += 1;
        }
        Some(Facts {
            revision: state.head().revision,
            now,
            memory,
            policy: cluster.policy.clone(),
            asked,
            quota_left: state.quota(cluster.id, team).minus(state.used(cluster.id, team).minus(kept)),
            booked: state.booked(cluster.id),
            cluster_memory: state.memory(cluster.id),
            usual_host: sizes.into_iter().max_by_key(|(_, hosts)| *hosts).map(|(memory, _)| memory),
            elsewhere: elsewhere(state, order, cluster, team, now),
        })
    }

    /// Whether it would be carried out by now.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.fits_with(self.memory, Without::default(), self.now)
    }

    /// Work out what is in the way. O(hosts × (log of the largest size)).
    #[must_use]
    pub fn explain(self) -> WhyNot {
        WhyNot {
            revision: self.revision,
            largest: self.largest(),
            alone: self.alone(),
            uncordon: self.uncordon(),
            add: self.usual_host.and_then(|memory| self.hosts_to_add(memory)),
            moves: None,
            elsewhere: self.elsewhere,
        }
    }

    /// The largest memory of each instance that fits: bisection, since what fits also fits when it is smaller.
    fn largest(&self) -> Option<Mib> {
        let (mut fits, mut too_large) = (Mib::MIN_INSTANCE.get() - 1, self.policy.max_instance_mib.get() + 1);
        while too_large - fits > 1 {
            let middle = fits + (too_large - fits) / 2;
            let fine = self.fits_with(Mib::capped(middle), Without::default(), self.now);
            if fine { fits = middle } else { too_large = middle }
        }
        (fits >= Mib::MIN_INSTANCE.get()).then(|| Mib::capped(fits))
    }

    fn alone(&self) -> Vec<Rule> {
        let none = Without::default();
        let rules = [
            (Rule::Memory, Without { memory: true, ..none }),
            (Rule::Headroom, Without { headroom: true, ..none }),
            (Rule::FillLimit, Without { fill_limit: true, ..none }),
            (Rule::Ports, Without { ports: true, ..none }),
            (Rule::Spread, Without { spread: true, ..none }),
            (Rule::Racks, Without { racks: true, ..none }),
            (Rule::Quota, Without { quota: true, ..none }),
        ];
        let mut alone: Vec<Rule> = (rules.into_iter())
            .filter(|(_, without)| self.fits_with(self.memory, *without, self.now))
            .map(|(rule, _)| rule)
            .collect();
        if let Some(until) = self.cool_down() {
            alone.push(Rule::CoolDown { until });
        }
        alone
    }

    /// From when on waiting alone is enough.
    fn cool_down(&self) -> Option<Timestamp> {
        let Asked::New { seats, .. } = &self.asked else {
            return None;
        };
        let later = |from: &Timestamp| *from > self.now && *from < Timestamp::NEVER;
        let mut moments: Vec<Timestamp> = seats.iter().map(|seat| seat.port_from).filter(later).collect();
        moments.sort_unstable();
        let at = moments.partition_point(|at| !self.fits_with(self.memory, Without::default(), *at));
        moments.get(at).copied()
    }

    fn fits_with(&self, memory: Mib, without: Without, now: Timestamp) -> bool {
        let need = self.policy.overhead.booking(memory);
        match &self.asked {
            Asked::New { count, .. } => {
                let booked = self.booked.plus(need.times(*count as u64));
                let filled = !without.fill_limit
                    && !without.memory
                    && booked > self.policy.fill_limit(self.cluster_memory);
                let quota = without.quota || memory.times(*count as u64) <= self.quota_left;
                quota && !filled && self.places(need, without, now).values().sum::<usize>() >= *count
            }
            // Keeping a size, or going below it, is never refused.
            Asked::Grow { current, .. } if memory <= *current => true,
            Asked::Grow { counted, growing, .. } => {
                let quota = without.quota || memory.times(*counted) <= self.quota_left;
                let grows = |it: &Growing| {
                    need <= it.booked
                        || (it.draining.is_none() && (without.memory || need <= it.booked.plus(it.free)))
                };
                quota && growing.iter().all(grows)
            }
        }
    }

    /// How many of what is asked for each rack takes.
    fn places(&self, need: Mib, without: Without, now: Timestamp) -> HashMap<u32, usize> {
        let Asked::New { most, held, seats, .. } = &self.asked else {
            return HashMap::new();
        };
        let mut places: HashMap<u32, usize> = HashMap::new();
        for seat in seats.iter().filter(|seat| seat.open) {
            *places.entry(seat.rack).or_default() += seat.places(need, without, now);
        }
        if !without.racks {
            for (rack, places) in &mut places {
                *places = (*places).min(most.saturating_sub(held.get(rack).copied().unwrap_or_default()));
            }
        }
        places
    }

    /// A host that is opened again adds one place, if it has one and its rack may take another.
    fn uncordon(&self) -> Vec<HostName> {
        let need = self.policy.overhead.booking(self.memory);
        let none = Without::default();
        match &self.asked {
            Asked::New { count, most, held, seats, closed } => {
                let places = self.places(need, none, self.now);
                let booked = self.booked.plus(need.times(*count as u64));
                if places.values().sum::<usize>() + 1 != *count
                    || booked > self.policy.fill_limit(self.cluster_memory)
                    || self.memory.times(*count as u64) > self.quota_left
                {
                    return Vec::new();
                }
                let would_do = |seat: &Seat| {
                    let there = places.get(&seat.rack).copied().unwrap_or_default()
                        + held.get(&seat.rack).copied().unwrap_or_default();
                    seat.places(need, none, self.now) > 0 && there < *most
                };
                let hosts = closed.iter().filter(|(seat, _)| seats.get(*seat).is_some_and(would_do));
                hosts.map(|(_, name)| name.clone()).collect()
            }
            Asked::Grow { counted, growing, .. } => {
                let mut draining: Vec<&HostName> = growing
                    .iter()
                    .filter(|it| need > it.booked)
                    .filter_map(|it| it.draining.as_ref())
                    .collect();
                draining.sort_unstable();
                draining.dedup();
                let grows = |it: &Growing| need <= it.booked.plus(it.free);
                let quota = self.memory.times(*counted) <= self.quota_left;
                match draining[..] {
                    [host] if quota && growing.iter().all(grows) => vec![host.clone()],
                    _ => Vec::new(),
                }
            }
        }
    }

    /// The fewest hosts of this memory (MiB) that would be enough, each on a rack that has none of the cache; `None`
    /// if none would.
    #[must_use]
    pub fn hosts_to_add(&self, memory: Mib) -> Option<HostsToAdd> {
        let Asked::New { count, .. } = &self.asked else {
            return None;
        };
        let need = self.policy.overhead.booking(self.memory);
        if need > self.policy.open_to_new(memory) || self.memory.times(*count as u64) > self.quota_left {
            return None;
        }
        let places: usize = self.places(need, Without::default(), self.now).values().sum();
        let booked = self.booked.plus(need.times(*count as u64));
        let enough = |hosts: u64| {
            let all = self.cluster_memory.plus(memory.times(hosts));
            hosts + places as u64 >= *count as u64 && booked <= self.policy.fill_limit(all)
        };
        let (mut too_few, mut do_it) = (0, 1 << 20);
        if enough(too_few) || !enough(do_it) {
            return None;
        }
        while do_it - too_few > 1 {
            let middle = too_few + (do_it - too_few) / 2;
            if enough(middle) { do_it = middle } else { too_few = middle }
        }
        Some(HostsToAdd { count: u32::try_from(do_it).ok()?, memory })
    }
}

impl Asked {
    fn new(
        state: &State,
        cluster: &Cluster,
        count: usize,
        max_per_rack: Option<u16>,
        there: &[&Instance],
        now: Timestamp,
    ) -> Asked {
        let mut racks: HashMap<Option<&Rack>, u32> = HashMap::new();
        let (mut held, mut seats, mut closed) = (HashMap::new(), Vec::new(), Vec::new());
        for view in state.hosts_of(cluster.id) {
            let next = racks.len() as u32;
            let rack = *racks.entry(view.host.rack.as_ref()).or_insert(next);
            let of_the_cache = there.iter().filter(|it| it.host == view.host.id).count();
            *held.entry(rack).or_default() += of_the_cache;
            if view.host.status == HostStatus::Lost {
                continue;
            }
            let open = view.host.status == HostStatus::Active;
            if !open {
                closed.push((seats.len(), view.host.name.clone()));
            }
            seats.push(Seat {
                rack,
                room: cluster.policy.open_to_new(view.host.memory).minus(view.booked),
                free: view.free(),
                port_from: view.port_from(),
                ports: view.free_ports(now) as u32,
                taken: of_the_cache > 0,
                open,
            });
        }
        let most = max_per_rack.map_or(usize::MAX, usize::from);
        Asked::New { count, most, held, seats, closed }
    }
}

impl Seat {
    /// How many instances it takes: one, or none; several only where they need no host of their own.
    fn places(&self, need: Mib, without: Without, now: Timestamp) -> usize {
        let room = if without.headroom { self.free } else { self.room };
        let by_memory = if without.memory { u64::MAX } else { room.get() / need.get().max(1) };
        let by_ports = if without.ports {
            u64::MAX
        } else {
            u64::from(self.ports.max(u32::from(self.port_from <= now)))
        };
        let by_spread = if without.spread { u64::from(u16::MAX) } else { u64::from(!self.taken) };
        by_memory.min(by_ports).min(by_spread) as usize
    }
}

impl Growing {
    fn of(state: &State, instance: &Instance) -> Growing {
        let view = state.host(instance.host);
        let draining = view.filter(|view| view.host.status == HostStatus::Draining);
        Growing {
            booked: instance.booked,
            free: view.map_or(Mib::ZERO, |view| view.free()),
            draining: draining.map(|view| view.host.name.clone()),
        }
    }
}

/// Other clusters where the team has a quota and an allocation would be carried out.
fn elsewhere(
    state: &State,
    order: &Order,
    cluster: &Cluster,
    team: TeamId,
    now: Timestamp,
) -> Vec<ClusterName> {
    let Command::Allocate { team: team_name, name, memory, instances, max_per_rack, .. } = &order.command
    else {
        return Vec::new();
    };
    let others = state.clusters().filter(|other| other.id != cluster.id);
    let others = others.filter(|other| state.quota(other.id, team) > Mib::ZERO);
    let fits = |other: &&Cluster| {
        let (memory, instances, max_per_rack) = (*memory, *instances, *max_per_rack);
        let (team, name, cluster) = (team_name.clone(), name.clone(), other.name.clone());
        let command = Command::Allocate { team, name, cluster, memory, instances, max_per_rack };
        decide(state, &Order { actor: order.actor.clone(), request: None, command }, now).is_ok()
    };
    others.filter(fits).map(|other| other.name.clone()).collect()
}
