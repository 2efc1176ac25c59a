//! Why not, and what would do instead: worked out after a turn has refused something.
//!
//! A [`Survey`] copies what matters, a little at a time; a writer waits at most for one such read, whatever the size
//! of the fleet. The rest is worked out from the copy.

mod survey;

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

pub use self::survey::Survey;
use super::{Order, State};
use crate::model::{ClusterName, Counted, HostName, InstanceId, Mib, Policy, Revision, Timestamp};
use crate::placement::Layout;
use crate::placement::plan::{self, Answer, Budget};

/// Nodes of the search for moves that would make room: what a person waits for without noticing.
const WORK: u64 = 20_000;

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
    /// How many of the cluster's hosts take nothing new because they wait to be looked at since the fleet was set back to
    /// a backup.
    pub unobserved: u32,
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
    /// What is left is kept for growing, and with this the cluster as a whole would have too little left to open it as
    /// a last resort.
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
    /// Hosts wait to be looked at since the fleet was set back to a backup.
    Unobserved,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoveOffer {
    /// How many instances.
    pub moves: u32,
    /// How much memory goes cold, MiB: what the moved instances hold.
    pub cold: Mib,
    /// The moves, in an order in which each fits. For operators, who may start them with
    /// [`StartPlan`](crate::ledger::Command::StartPlan); empty for others.
    pub steps: Vec<plan::Step>,
}

impl WhyNot {
    /// Without what only operators may know: hosts, and other teams' instances.
    #[must_use]
    pub fn for_member(mut self) -> Self {
        self.uncordon.clear();
        self.add = None;
        if let Some(offer) = &mut self.moves {
            offer.steps.clear();
        }
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
            Rule::Unobserved => "hosts have to be looked at first, since the fleet was set back to a backup",
        })
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.alone {
            write!(f, "{rule}; ")?;
        }
        if self.unobserved > 0 {
            write!(f, "{} still to be looked at; ", Counted(self.unobserved, "host"))?;
        }
        match self.largest {
            Some(largest) => write!(f, "the largest that fits now is {largest} an instance"),
            None => f.write_str("no size fits now"),
        }
    }
}

/// A host as an explanation sees it, in few bytes: there is one for each host of the cluster.
#[derive(Debug)]
struct Seat {
    memory: Mib,
    booked: Mib,
    port_from: Timestamp,
    /// Its rack's place among those of the cluster.
    rack: u32,
    /// Ports that could be issued now, counted up to the number of instances that are asked for.
    ports: u16,
    /// Holds an instance of the cache.
    taken: bool,
    /// Waits to be looked at.
    waits: bool,
}

/// New instances and the hosts for them.
#[derive(Debug)]
struct Places {
    /// How many of the cache may share a rack.
    most: usize,
    /// How many of the cache are on each rack.
    held: Vec<usize>,
    /// Hosts that take new instances.
    open: Vec<Seat>,
    /// Hosts that would, if they were opened again.
    closed: Vec<(Seat, HostName)>,
}

/// What of a host is open to new instances.
#[derive(Debug, Clone, Copy)]
enum Room<'a> {
    /// What is left beside the share kept for growing.
    Open(&'a Policy),
    Whole,
}

/// An instance that should grow.
#[derive(Debug)]
struct Growing {
    instance: InstanceId,
    booked: Mib,
    free: Mib,
    /// The host, if it is being emptied and could be opened again.
    draining: Option<HostName>,
    /// Whether the host waits to be looked at.
    waits: bool,
}

#[derive(Debug)]
enum Asked {
    New(Places),
    /// More memory than `current`.
    Grow {
        current: Mib,
        growing: Vec<Growing>,
    },
}

/// What an explanation rests on, copied from a state.
#[derive(Debug)]
pub struct Facts {
    revision: Revision,
    now: Timestamp,
    memory: Mib,
    asked: Asked,
    /// The cluster and what should grow in it, where that does not fit.
    moving: Option<(Layout, plan::Request)>,
    /// How many instances of that memory count against the quota.
    count: u16,
    /// How much the team may still ask for, counting what growing instances have.
    quota_left: Mib,
    policy: Policy,
    /// What the cluster's instances book, and its memory.
    booked: Mib,
    cluster_memory: Mib,
    elsewhere: Vec<ClusterName>,
    unobserved: u32,
}

impl Facts {
    /// Copy what matters for an order that was refused; `None` if it is none that asks for memory, or names what is
    /// not there. O(hosts of the cluster); who must not keep writers waiting for that reads a [`Survey`].
    #[must_use]
    pub fn of(state: &State, order: &Order, now: Timestamp) -> Option<Facts> {
        let mut survey = Survey::new(order, now);
        while !survey.read(state) {}
        survey.facts()
    }

    /// Whether it would be carried out by now.
    #[must_use]
    pub fn fits(&self) -> bool {
        self.fits_with(self.memory, None, self.now)
    }

    /// Work out what is in the way. O(hosts × log of the largest size).
    #[must_use]
    pub fn explain(self) -> WhyNot {
        WhyNot {
            revision: self.revision,
            largest: self.largest(),
            alone: self.alone(),
            uncordon: self.uncordon(),
            add: self.usual_host().and_then(|memory| self.hosts_to_add(memory)),
            moves: self.moves(),
            unobserved: self.unobserved,
            elsewhere: self.elsewhere,
        }
    }

    /// The cheapest moves after which it could grow; `None` if none were found, or something else is in the way.
    fn moves(&self) -> Option<MoveOffer> {
        let (layout, request) = self.moving.as_ref()?;
        if !self.fits_with(self.memory, Some(Rule::Memory), self.now) {
            return None;
        }
        match plan::make_room(layout, request, Budget::UNLIMITED, WORK) {
            Answer::Plan(plan::Plan { steps, cold, .. }) => {
                Some(MoveOffer { moves: u32::try_from(steps.len()).ok()?, cold, steps })
            }
            Answer::Infeasible(_) | Answer::Undecided => None,
        }
    }

    /// Bisection, since what fits also fits when it is smaller.
    fn largest(&self) -> Option<Mib> {
        let (mut fits, mut too_large) = (Mib::MIN_INSTANCE.get() - 1, self.policy.max_instance_mib.get() + 1);
        while too_large - fits > 1 {
            let middle = fits + (too_large - fits) / 2;
            if self.fits_with(Mib::capped(middle), None, self.now) {
                fits = middle
            } else {
                too_large = middle
            }
        }
        (fits >= Mib::MIN_INSTANCE.get()).then(|| Mib::capped(fits))
    }

    fn alone(&self) -> Vec<Rule> {
        use Rule::*;
        let mut alone = vec![Memory, Headroom, FillLimit, Ports, Spread, Racks, Quota, Unobserved];
        alone.retain(|rule| self.fits_with(self.memory, Some(*rule), self.now));
        alone.extend(self.cooled_down().map(|until| CoolDown { until }));
        alone
    }

    /// From when on waiting alone is enough.
    fn cooled_down(&self) -> Option<Timestamp> {
        let Asked::New(places) = &self.asked else {
            return None;
        };
        let later = |from: &Timestamp| *from > self.now && *from < Timestamp::NEVER;
        let mut moments: Vec<Timestamp> =
            places.open.iter().map(|seat| seat.port_from).filter(later).collect();
        moments.sort_unstable();
        let at = moments.partition_point(|at| !self.fits_with(self.memory, None, *at));
        moments.get(at).copied()
    }

    /// Whether so much memory for each would be carried out at this time without this rule.
    fn fits_with(&self, memory: Mib, without: Option<Rule>, at: Timestamp) -> bool {
        let need = self.policy.overhead.booking(memory);
        let quota = without == Some(Rule::Quota) || self.within_quota(memory);
        match &self.asked {
            Asked::New(places) => {
                let limit = match without {
                    // Such hosts would also raise what the cluster may book.
                    Some(Rule::Memory) => Mib::MAX,
                    Some(Rule::FillLimit) => self.cluster_memory,
                    _ => self.policy.fill_limit(self.cluster_memory),
                };
                let most = |room| places.on_racks(room, need, without, at).iter().sum::<usize>();
                quota
                    && self.would_book(need) <= limit
                    && self.rooms(need, without).any(|room| most(room) >= self.count.into())
            }
            // Keeping a size, or going below it, is never refused.
            Asked::Grow { current, .. } if memory <= *current => true,
            Asked::Grow { growing, .. } => {
                let room = |it: &Growing| without == Some(Rule::Memory) || it.has_room(need);
                let looked_at = |it: &Growing| without == Some(Rule::Unobserved) || !it.waits;
                let grows = |it: &Growing| it.draining.is_none() && looked_at(it) && room(it);
                quota && growing.iter().all(|it| need <= it.booked || grows(it))
            }
        }
    }

    fn within_quota(&self, memory: Mib) -> bool {
        memory.times(self.count.into()) <= self.quota_left
    }

    /// What the cluster's instances would book with the new ones, MiB.
    fn would_book(&self, need: Mib) -> Mib {
        self.booked.plus(need.times(self.count.into()))
    }

    /// What of the hosts is open to new instances: first what always is, then what is as a last resort.
    fn rooms(&self, need: Mib, without: Option<Rule>) -> impl Iterator<Item = Room<'_>> {
        let opened = without == Some(Rule::Headroom)
            || self.would_book(need) <= self.policy.opens_headroom_below(self.cluster_memory);
        [Room::Open(&self.policy)].into_iter().chain(opened.then_some(Room::Whole))
    }

    fn uncordon(&self) -> Vec<HostName> {
        let need = self.policy.overhead.booking(self.memory);
        if !self.within_quota(self.memory) {
            return Vec::new();
        }
        match &self.asked {
            Asked::New(places) => {
                if self.would_book(need) > self.policy.fill_limit(self.cluster_memory) {
                    return Vec::new();
                }
                let on_racks = |room| (room, places.on_racks(room, need, None, self.now));
                let one_is_missing = |(_, on_racks): &(Room<'_>, Vec<usize>)| {
                    on_racks.iter().sum::<usize>() + 1 == usize::from(self.count)
                };
                let rooms: Vec<_> = self.rooms(need, None).map(on_racks).filter(one_is_missing).collect();
                let takes_one = |seat: &Seat| {
                    let rack = seat.rack as usize;
                    rooms.iter().any(|(room, on_racks)| {
                        on_racks[rack] + places.held[rack] < places.most
                            && seat.takes(*room, need, None, self.now) > 0
                    })
                };
                let hosts = places.closed.iter().filter(|(seat, _)| takes_one(seat));
                hosts.map(|(_, name)| name.clone()).collect()
            }
            Asked::Grow { growing, .. } => {
                let growing = || growing.iter().filter(|it| need > it.booked);
                let mut draining: Vec<&HostName> = growing().filter_map(|it| it.draining.as_ref()).collect();
                draining.sort_unstable();
                draining.dedup();
                match draining[..] {
                    [host] if growing().all(|it| it.has_room(need) && !it.waits) => vec![host.clone()],
                    _ => Vec::new(),
                }
            }
        }
    }

    /// The memory that most of the cluster's hosts have, of those with enough for one of the instances if they were
    /// empty; of those that have it beside what they keep for growing, if there are any.
    fn usual_host(&self) -> Option<Mib> {
        let Asked::New(places) = &self.asked else {
            return None;
        };
        let need = self.policy.overhead.booking(self.memory);
        let seats = places.open.iter().chain(places.closed.iter().map(|(seat, _)| seat));
        let mut sizes: BTreeMap<Mib, usize> = BTreeMap::new();
        for seat in seats.filter(|seat| need <= seat.memory) {
            *sizes.entry(seat.memory).or_default() += 1;
        }
        let open = |memory| need <= self.policy.open_to_new(memory);
        let usual = sizes.into_iter().max_by_key(|(memory, hosts)| (open(*memory), *hosts));
        usual.map(|(memory, _)| memory)
    }

    /// The fewest hosts of this memory (MiB) that would be enough, each on a rack that has none of the cache; `None`
    /// if none would.
    #[must_use]
    pub fn hosts_to_add(&self, memory: Mib) -> Option<HostsToAdd> {
        let Asked::New(places) = &self.asked else {
            return None;
        };
        let need = self.policy.overhead.booking(self.memory);
        if !self.within_quota(self.memory) {
            return None;
        }
        let [open, whole] = [Room::Open(&self.policy), Room::Whole].map(|room| {
            let there = places.on_racks(room, need, None, self.now).iter().sum::<usize>() as u64;
            let takes = u64::from(need <= room.of(memory));
            move |hosts: u64| there + hosts * takes >= self.count.into()
        });
        let enough = |hosts: u64| {
            let cluster_memory = self.cluster_memory.plus(memory.times(hosts));
            let within = |limit| self.would_book(need) <= limit;
            within(self.policy.fill_limit(cluster_memory))
                && (open(hosts) || whole(hosts) && within(self.policy.opens_headroom_below(cluster_memory)))
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

impl Places {
    /// How many new instances each rack takes, at least up to the number that is asked for.
    fn on_racks(&self, room: Room<'_>, need: Mib, without: Option<Rule>, at: Timestamp) -> Vec<usize> {
        let mut places = vec![0; self.held.len()];
        for seat in &self.open {
            places[seat.rack as usize] += seat.takes(room, need, without, at);
        }
        if without != Some(Rule::Racks) {
            for (places, held) in places.iter_mut().zip(&self.held) {
                *places = (*places).min(self.most.saturating_sub(*held));
            }
        }
        places
    }
}

impl Seat {
    /// How many instances it takes: one, or none; several only where they need no host of their own.
    fn takes(&self, room: Room<'_>, need: Mib, without: Option<Rule>, at: Timestamp) -> usize {
        let lifted = |rule| without == Some(rule);
        if self.waits && !lifted(Rule::Unobserved) {
            return 0;
        }
        let room = room.of(self.memory).minus(self.booked);
        if lifted(Rule::Spread) {
            return room.get().checked_div(need.get()).unwrap_or(u64::MAX).min(self.ports.into()) as usize;
        }
        let enough = lifted(Rule::Memory) || need <= room;
        usize::from(!self.taken && enough && (lifted(Rule::Ports) || self.port_from <= at))
    }
}

impl Room<'_> {
    /// How much that is, MiB, of this memory.
    fn of(self, memory: Mib) -> Mib {
        match self {
            Room::Open(policy) => policy.open_to_new(memory),
            Room::Whole => memory,
        }
    }
}

impl Growing {
    /// Whether its host has room for it to book this much, MiB.
    fn has_room(&self, need: Mib) -> bool {
        need <= self.booked.plus(self.free)
    }
}
