//! Every word of an explanation, checked by carrying out what it says in a copy of the state.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use memc_core::ledger::{
    Change, Command, Facts, HostPatch, HostSpec, HostView, PortUse, Rule, State, Survey, decide,
};
use memc_core::model::*;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::world::*;

/// Instances are at most this large, so that every size can be tried.
const LARGEST: u64 = 90;
const ENOUGH: u64 = 1 << 24;

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Allocate {
        cache: u8,
        memory: u64,
        instances: u16,
        max_per_rack: Option<u16>,
    },
    Resize {
        cache: u8,
        memory: u64,
    },
    Release {
        cache: u8,
    },
    Stopped {
        cache: u8,
        index: u16,
    },
    Replace {
        cache: u8,
    },
    Status {
        host: u8,
        status: HostStatus,
    },
    Lose {
        host: u8,
    },
    Back {
        host: u8,
    },
    Remove {
        host: u8,
    },
    Shrink {
        host: u8,
        memory: u64,
    },
    Block {
        host: u8,
        port: u16,
    },
    /// The fleet was set back, and these hosts were looked at since.
    Restore {
        looked_at: Vec<u8>,
    },
    Wait {
        millis: u64,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Setup {
    policy: Policy,
    ports: u16,
    quota: u64,
    /// Memory and rack; the last three are of other clusters.
    hosts: Vec<(u64, Option<u8>)>,
    quotas_elsewhere: [u64; 2],
    steps: Vec<Step>,
}

fn policy() -> impl Strategy<Value = Policy> {
    let percents = (prop_oneof![Just(0u32), 0..40u32], prop_oneof![Just(100u32), 40..100u32]);
    (percents, 0..20u32, 0..10u64, 20..=LARGEST, any::<bool>()).prop_map(
        |((headroom, fill), percent, base_mib, largest, pack)| Policy {
            max_instance_mib: mib(largest),
            grow_headroom_percent: headroom,
            fill_limit_percent: fill,
            cool_down_seconds: 1,
            order: if pack { FillOrder::Pack } else { FillOrder::Balance },
            overhead: Overhead { percent, base_mib, floor_mib: 0, connections: 0, connection_kib: 0 },
            ..Policy::default()
        },
    )
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let (cache, host, size) = (0..4u8, 0..7u8, 8..LARGEST);
    let status = prop_oneof![
        1 => Just(HostStatus::Active), 2 => Just(HostStatus::Cordoned), 2 => Just(HostStatus::Draining)
    ];
    prop_oneof![
        8 => (cache.clone(), size.clone(), 1..4u16, prop::option::of(1..3u16)).prop_map(
            |(cache, memory, instances, max_per_rack)| Step::Allocate { cache, memory, instances, max_per_rack }),
        2 => (cache.clone(), size).prop_map(|(cache, memory)| Step::Resize { cache, memory }),
        3 => cache.clone().prop_map(|cache| Step::Release { cache }),
        4 => (cache.clone(), 0..3u16).prop_map(|(cache, index)| Step::Stopped { cache, index }),
        1 => cache.prop_map(|cache| Step::Replace { cache }),
        4 => (host.clone(), status).prop_map(|(host, status)| Step::Status { host, status }),
        2 => host.clone().prop_map(|host| Step::Lose { host }),
        1 => host.clone().prop_map(|host| Step::Back { host }),
        1 => host.clone().prop_map(|host| Step::Remove { host }),
        2 => (host.clone(), 20..300u64).prop_map(|(host, memory)| Step::Shrink { host, memory }),
        1 => (host, 11211..11214u16).prop_map(|(host, port)| Step::Block { host, port }),
        2 => (1..1200u64).prop_map(|millis| Step::Wait { millis }),
        1 => prop::collection::vec(0..7u8, 3..12).prop_map(|looked_at| Step::Restore { looked_at }),
    ]
}

pub(crate) fn setup() -> impl Strategy<Value = Setup> {
    let host = || (20..260u64, prop::option::of(0..3u8));
    let quota = || prop_oneof![6 => Just(100_000u64), 1 => 0..400u64];
    (
        policy(),
        1..4u16,
        quota(),
        prop::collection::vec(host(), 5..10),
        [quota(), quota()],
        prop::collection::vec(step(), 0..24),
    )
        .prop_map(|(policy, ports, quota, hosts, quotas_elsewhere, steps)| Setup {
            policy,
            ports,
            quota,
            hosts,
            quotas_elsewhere,
            steps,
        })
}

/// A state and its clock, without the checks that [`World`] makes on every commit: they are not what is tested here.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) state: State,
    pub(crate) now: u64,
}

impl Fleet {
    pub(crate) fn new(setup: &Setup) -> Fleet {
        let mut fleet = Fleet { state: State::default(), now: 1_000_000 };
        fleet.ok(Command::Found { id: uuid::Uuid::from_u128(7) });
        fleet.ok(Command::CreateTeam { name: name("shop") });
        let [one, other] = setup.quotas_elsewhere;
        for (cluster, quota) in [("web", setup.quota), ("one", one), ("other", other)] {
            let spec = spec(11211, 11210 + setup.ports, setup.policy.clone());
            fleet.ok(Command::CreateCluster { name: name(cluster), spec });
            fleet.ok(Command::SetQuota { cluster: name(cluster), team: name("shop"), memory: mib(quota) });
        }
        let own = setup.hosts.len() - 3;
        for (number, (memory, rack)) in setup.hosts.iter().enumerate() {
            let cluster = ["web", "one", "other", "other"][(number + 1).saturating_sub(own)];
            let rack = rack.map(|rack| format!("r{rack}"));
            fleet.add(cluster, &format!("m{number}"), number, *memory, rack.as_deref());
        }
        for step in &setup.steps {
            fleet.step(step);
        }
        fleet
    }

    pub(crate) fn add(&mut self, cluster: &str, host: &str, number: usize, memory: u64, rack: Option<&str>) {
        let spec = HostSpec {
            cluster: name(cluster),
            address: std::net::IpAddr::from([127, 2, (number >> 8) as u8, number as u8]),
            memory: mib(memory),
            rack: rack.map(name),
            blocked_ports: Default::default(),
        };
        self.ok(Command::AddHost { name: name(host), spec });
        self.ok(Command::StateObserved { host: name(host), reason: name("it is new") });
    }

    /// One more host of the cluster, on a rack of its own.
    fn add_new(&mut self, number: u32, memory: u64) {
        let host = format!("new{number}");
        self.add("web", &host, 1000 + number as usize, memory, Some(&host));
    }

    /// Carried out, or refused.
    fn attempt(&mut self, command: Command) -> bool {
        let decision = decide(&self.state, &order(command), Timestamp::from_millis(self.now));
        let changes = decision.map(|decision| decision.changes);
        changes.is_ok_and(|changes| {
            changes.into_iter().for_each(|change| drop(self.state.apply(change).unwrap()));
            true
        })
    }

    pub(crate) fn ok(&mut self, command: Command) {
        assert!(self.attempt(command.clone()), "{command:?}");
    }

    fn put(&mut self, record: Record) {
        self.state.apply(Change::Put(record)).unwrap();
    }

    pub(crate) fn step(&mut self, step: &Step) {
        let cache_name = |cache: u8| name(&format!("c{cache}"));
        let host_name = |host: u8| name(&format!("m{host}"));
        let team = || name("shop");
        let command = match *step {
            Step::Allocate { cache, memory, instances, max_per_rack } => {
                ask(&format!("c{cache}"), "web", memory, instances, max_per_rack)
            }
            Step::Resize { cache, memory } => resize(&format!("c{cache}"), memory),
            Step::Release { cache } => release(&format!("c{cache}")),
            Step::Stopped { cache, index } => {
                Command::StateStopped { team: team(), name: cache_name(cache), index, reason: name("test") }
            }
            Step::Replace { cache } => Command::Replace { team: team(), name: cache_name(cache) },
            Step::Status { host, status } => {
                if let Some(view) = self.state.host_named(&host_name(host))
                    && view.host.status != HostStatus::Lost
                {
                    self.put(Record::Host(Host { status, ..view.host.clone() }));
                }
                return;
            }
            Step::Lose { host } => Command::LoseHost { name: host_name(host), reason: name("burnt") },
            Step::Back { host } => Command::UncordonHost { name: host_name(host) },
            Step::Remove { host } => Command::RemoveHost { name: host_name(host) },
            Step::Shrink { host, memory } => {
                let patch = HostPatch { memory: Some(mib(memory)), ..HostPatch::default() };
                Command::ChangeHost { name: host_name(host), patch }
            }
            Step::Block { host, port: number } => {
                let blocked_ports = Some([port(number)].into());
                let patch = HostPatch { blocked_ports, ..HostPatch::default() };
                Command::ChangeHost { name: host_name(host), patch }
            }
            Step::Restore { ref looked_at } => {
                self.attempt(Command::StartEpoch { reason: name("a backup") });
                for host in looked_at {
                    self.attempt(Command::StateObserved { host: host_name(*host), reason: name("seen") });
                }
                return;
            }
            Step::Wait { millis } => {
                self.now += millis;
                return;
            }
        };
        self.attempt(command);
    }

    fn would_do(&self, command: &Command) -> bool {
        self.would_do_at(command, self.now)
    }

    fn would_do_at(&self, command: &Command, at: u64) -> bool {
        decide(&self.state, &order(command.clone()), Timestamp::from_millis(at)).is_ok()
    }

    /// Whether it would be carried out once this has been done.
    fn would_do_after(&self, command: &Command, change: impl FnOnce(&mut Fleet)) -> bool {
        let mut other = self.clone();
        change(&mut other);
        other.would_do(command)
    }

    fn web(&self) -> &Cluster {
        self.state.cluster_named(&name("web")).unwrap()
    }

    fn hosts(&self) -> Vec<&HostView> {
        self.state.hosts_of(self.web().id).collect()
    }

    fn change_policy(&mut self, change: impl FnOnce(&mut Cluster)) {
        let mut cluster = self.web().clone();
        change(&mut cluster);
        self.put(Record::Cluster(cluster));
    }
}

pub(crate) fn ask(
    cache: &str,
    cluster: &str,
    memory: u64,
    instances: u16,
    max_per_rack: Option<u16>,
) -> Command {
    Command::Allocate {
        team: name("shop"),
        name: name(cache),
        cluster: name(cluster),
        memory: mib(memory),
        instances,
        max_per_rack,
    }
}

/// Whether the same would be carried out with another size.
fn would_do_of_size(fleet: &Fleet, command: &Command, size: u64) -> bool {
    let mut command = command.clone();
    match &mut command {
        Command::Allocate { memory, .. } | Command::Resize { memory, .. } => *memory = mib(size),
        // The order names no size: the cache has another one.
        Command::Replace { team, name } => {
            let cache = fleet.state.cache_named(team, name).unwrap().clone();
            let other = Record::Cache(Cache { memory: mib(size), ..cache });
            return fleet.would_do_after(&command, |fleet| fleet.put(other));
        }
        _ => unreachable!(),
    }
    fleet.would_do(&command)
}

/// Whether lifting one rule alone would do, by carrying it out.
fn lifted(fleet: &Fleet, command: &Command, rule: Rule) -> bool {
    match rule {
        Rule::Memory => fleet.would_do_after(command, |fleet| {
            let hosts: Vec<Host> = fleet.hosts().into_iter().map(|view| view.host.clone()).collect();
            for host in hosts {
                fleet.put(Record::Host(Host { memory: mib(ENOUGH), ..host }));
            }
        }),
        Rule::Headroom => fleet.would_do_after(command, |fleet| {
            fleet.change_policy(|cluster| cluster.policy.grow_headroom_percent = 0);
        }),
        Rule::FillLimit => fleet.would_do_after(command, |fleet| {
            fleet.change_policy(|cluster| cluster.policy.fill_limit_percent = 100);
        }),
        Rule::Ports => fleet.would_do_after(command, |fleet| {
            fleet.change_policy(|cluster| cluster.ports.last = port(20_000));
        }),
        Rule::Racks => fleet.would_do_after(&without_rack_limit(command), |fleet| {
            if let Command::Replace { team, name } = command {
                let cache = fleet.state.cache_named(team, name).unwrap().clone();
                fleet.put(Record::Cache(Cache { max_per_rack: None, ..cache }));
            }
        }),
        Rule::Quota => fleet.would_do_after(command, |fleet| {
            let (cluster, team) = (name("web"), name("shop"));
            fleet.ok(Command::SetQuota { cluster, team, memory: mib(ENOUGH) });
        }),
        Rule::Spread => spread_lifted(fleet, command),
        Rule::Unobserved => fleet.would_do_after(command, |fleet| {
            let hosts: Vec<Host> = fleet.hosts().into_iter().map(|view| view.host.clone()).collect();
            for host in hosts {
                fleet.put(Record::Host(Host { observed_epoch: u32::MAX, ..host }));
            }
        }),
        Rule::CoolDown { .. } => unreachable!("it has a moment, and is checked by that"),
    }
}

fn without_rack_limit(command: &Command) -> Command {
    let mut command = command.clone();
    if let Command::Allocate { max_per_rack, .. } = &mut command {
        *max_per_rack = None;
    }
    command
}

/// No command may put two of a cache on a host: a count of every place there is, instance by instance.
fn spread_lifted(fleet: &Fleet, command: &Command) -> bool {
    let state = &fleet.state;
    let team = state.team_named(&name("shop")).unwrap().id;
    let (memory, count, most, there): (Mib, u64, Option<u16>, Vec<HostId>) = match command {
        Command::Allocate { memory, instances, max_per_rack, .. } => {
            (*memory, u64::from(*instances), *max_per_rack, Vec::new())
        }
        Command::Replace { team, name } => {
            let cache = state.cache_named(team, name).unwrap();
            let there: Vec<HostId> = state.instances_of(cache.id).map(|it| it.host).collect();
            (cache.memory, u64::from(cache.instances) - there.len() as u64, cache.max_per_rack, there)
        }
        _ => return false,
    };
    let web = fleet.web();
    let need = web.policy.overhead.booking(memory);
    let booked: u64 = fleet.hosts().iter().map(|view| view.booked.get()).sum();
    let all: u64 = (fleet.hosts().iter())
        .filter(|view| view.host.status != HostStatus::Lost)
        .map(|view| view.host.memory.get())
        .sum();
    if (booked + count * need.get()) * 100 > all * u64::from(web.policy.fill_limit_percent)
        || state.used(web.id, team).plus(memory.times(count)) > state.quota(web.id, team)
    {
        return false;
    }
    let mut on_racks = BTreeMap::new();
    for host in &there {
        *on_racks.entry(state.host(*host).unwrap().host.rack.clone()).or_insert(0u16) += 1;
    }
    let fits = |whole| count_places(fleet, &on_racks, (need, count, most), whole) >= count;
    let plenty = (booked + count * need.get()) * 200
        <= all * 200_u64.saturating_sub(3 * u64::from(web.policy.grow_headroom_percent));
    fits(false) || plenty && fits(true)
}

/// How many of these there is a place for, in whole hosts or beside what is kept for growing.
fn count_places(
    fleet: &Fleet,
    on_racks: &BTreeMap<Option<Rack>, u16>,
    (need, count, most): (Mib, u64, Option<u16>),
    whole: bool,
) -> u64 {
    let (web, state, mut on_racks) = (fleet.web(), &fleet.state, on_racks.clone());
    let mut placed = 0;
    for view in fleet.hosts() {
        let limit = if whole { view.host.memory } else { web.policy.open_to_new(view.host.memory) };
        let mut room = limit.minus(view.booked);
        let ports = web.ports.iter().filter(|port| match view.ports.get(port) {
            _ if view.host.blocked_ports.contains(port) => false,
            None => true,
            Some(PortUse::Retired(retired)) => retired.reusable_at.as_millis() <= fleet.now,
            Some(PortUse::Instance(..)) => false,
        });
        for _ in ports {
            let on_rack = on_racks.entry(view.host.rack.clone()).or_insert(0);
            let open = view.host.status == HostStatus::Active && !state.waits(&view.host);
            if open && need <= room && most.is_none_or(|most| *on_rack < most) {
                *on_rack += 1;
                room = room.minus(need);
                placed += 1;
            }
        }
    }
    placed.min(count)
}

/// Whether so much was placed only because the headroom was opened: without any other place, or on more than is open.
fn opened(fleet: &Fleet, changes: &[Change]) -> bool {
    let policy = &fleet.web().policy;
    changes.iter().any(|change| match change {
        Change::Put(Record::Instance(it)) if fleet.state.instance(it.id).is_none() => {
            let view = fleet.state.host(it.host).unwrap();
            view.booked.plus(it.booked) > policy.open_to_new(view.host.memory)
        }
        _ => false,
    })
}

/// The first moment from which on waiting alone would do.
fn by_waiting(fleet: &Fleet, command: &Command) -> Option<Rule> {
    let ports = fleet.hosts().into_iter().flat_map(|view| view.ports.iter());
    let mut moments: Vec<u64> = ports
        .filter_map(|usage| match usage {
            PortUse::Retired(retired) => Some(retired.reusable_at.as_millis()),
            PortUse::Instance(..) => None,
        })
        .filter(|at| *at > fleet.now && *at < Timestamp::NEVER.as_millis())
        .collect();
    moments.sort_unstable();
    let until = moments.into_iter().find(|at| fleet.would_do_at(command, *at))?;
    assert!(!fleet.would_do_at(command, until - 1), "a millisecond before it is still refused");
    Some(Rule::CoolDown { until: Timestamp::from_millis(until) })
}

/// The fewest hosts of a size that would do, up to `most`.
fn by_adding(fleet: &Fleet, command: &Command, memory: u64, most: u32) -> Option<u32> {
    let mut other = fleet.clone();
    (1..=most).find(|count| {
        other.add_new(*count, memory);
        other.would_do(command)
    })
}

fn check_hosts_to_add(fleet: &Fleet, command: &Command, memory: u64, told: Option<u32>) {
    const MOST: u32 = 12;
    let done = by_adding(fleet, command, memory, MOST);
    assert_eq!(told.filter(|count| *count <= MOST), done, "{command:?}: hosts of {memory} MiB");
    if let Some(count) = told.filter(|count| (MOST..100).contains(count)) {
        assert_eq!(by_adding(fleet, command, memory, count), Some(count), "{command:?}");
    }
}

/// The size that the most hosts have which could take one instance, as a last resort only if no other can; the larger
/// where two have as many.
fn usual_host(fleet: &Fleet, need: Mib) -> Option<Mib> {
    let policy = &fleet.web().policy;
    let hosts = fleet.hosts();
    let there = hosts.iter().filter(|view| view.host.status != HostStatus::Lost);
    let memory: Vec<Mib> = there.map(|view| view.host.memory).collect();
    let open = |size: &&Mib| need <= policy.open_to_new(**size);
    let enough = |size: &&Mib| need <= **size;
    let mut sizes: Vec<Mib> = memory.iter().filter(open).copied().collect();
    if sizes.is_empty() {
        sizes = memory.iter().filter(enough).copied().collect();
    }
    let like = |size: &Mib| sizes.iter().filter(|other| *other == size).count();
    sizes.iter().copied().max_by_key(|size| (like(size), *size))
}

/// How often the last resort was met.
#[derive(Debug, Default, Clone, Copy)]
struct Met {
    /// Carried out with it.
    opened: u32,
    /// Refused, and some smaller size would be carried out with it.
    largest: u32,
    /// Refused, and opening a host would do with it.
    uncordon: u32,
    /// Refused, and more hosts would do with it.
    add: u32,
}

fn check(fleet: &Fleet, command: &Command, met: &mut Met) {
    let now = Timestamp::from_millis(fleet.now);
    let refusal = match decide(&fleet.state, &order(command.clone()), now) {
        Ok(decision) => {
            let facts = Facts::of(&fleet.state, &order(command.clone()), now).unwrap();
            assert!(facts.fits(), "{command:?}");
            met.opened += u32::from(opened(fleet, &decision.changes));
            return;
        }
        Err(refusal) if !refusal.asks_for_room() => return,
        Err(refusal) => refusal,
    };
    let opens = |fleet: &Fleet, command: &Command| {
        let decision = decide(&fleet.state, &order(command.clone()), Timestamp::from_millis(fleet.now));
        decision.is_ok_and(|decision| opened(fleet, &decision.changes))
    };
    let facts = || Facts::of(&fleet.state, &order(command.clone()), now).unwrap();
    let explained = refusal.with(facts());
    let why = explained.why().unwrap_or_else(|| panic!("{command:?} is not explained"));

    for size in 8..=fleet.web().policy.max_instance_mib.get() {
        let told = why.largest.is_some_and(|largest| size <= largest.get());
        assert_eq!(would_do_of_size(fleet, command, size), told, "{command:?}: {size}, {:?}", why.largest);
    }

    if let (Some(largest), Command::Allocate { .. }) = (why.largest, command) {
        let mut smaller = command.clone();
        if let Command::Allocate { memory, .. } = &mut smaller {
            *memory = largest;
        }
        met.largest += u32::from(opens(fleet, &smaller));
    }

    let rules = [
        Rule::Memory,
        Rule::Headroom,
        Rule::FillLimit,
        Rule::Ports,
        Rule::Spread,
        Rule::Racks,
        Rule::Quota,
        Rule::Unobserved,
    ];
    let mut alone: Vec<Rule> = rules.into_iter().filter(|rule| lifted(fleet, command, *rule)).collect();
    alone.extend(by_waiting(fleet, command));
    assert_eq!(why.alone, alone, "{command:?}");

    let closed = fleet
        .hosts()
        .into_iter()
        .map(|view| &view.host)
        .filter(|host| matches!(host.status, HostStatus::Cordoned | HostStatus::Draining));
    let uncordon: Vec<HostName> = closed
        .map(|host| host.name.clone())
        .filter(|host| {
            let mut other = fleet.clone();
            other.ok(Command::UncordonHost { name: host.clone() });
            met.uncordon += u32::from(opens(&other, command));
            other.would_do(command)
        })
        .collect();
    assert_eq!(why.uncordon, uncordon, "{command:?}");

    let others = ["one", "other"].map(name::<ClusterName>).into_iter();
    let elsewhere: Vec<ClusterName> = others
        .filter(|other| match command.clone() {
            Command::Allocate { team, name, memory, instances, max_per_rack, .. } => {
                let cluster = other.clone();
                fleet.would_do(&Command::Allocate { team, name, cluster, memory, instances, max_per_rack })
            }
            _ => false,
        })
        .collect();
    assert_eq!(why.elsewhere, elsewhere, "{command:?}");

    let need = match command {
        Command::Allocate { memory, .. } => Some(*memory),
        Command::Replace { team, name } => fleet.state.cache_named(team, name).map(|cache| cache.memory),
        _ => None,
    };
    let usual = need.and_then(|memory| usual_host(fleet, fleet.web().policy.overhead.booking(memory)));
    match (why.add, usual) {
        (None, None) => {}
        (Some(add), Some(usual)) => {
            assert_eq!(add.memory, usual, "{command:?}");
            check_hosts_to_add(fleet, command, usual.get(), Some(add.count));
        }
        (None, Some(usual)) => check_hosts_to_add(fleet, command, usual.get(), None),
        (Some(_), None) => panic!("{command:?}: {:?}", why.add),
    }
    // Small ones as well, which only add to what the cluster as a whole has.
    for memory in [300, 60, 20] {
        let told = facts().hosts_to_add(mib(memory)).map(|add| add.count);
        check_hosts_to_add(fleet, command, memory, told);
        if let Some(count) = told.filter(|count| *count < 100) {
            let mut other = fleet.clone();
            (1..=count).for_each(|number| other.add_new(number, memory));
            met.add += u32::from(opens(&other, command));
        }
    }

    assert_eq!(why.revision, fleet.state.head().revision);
    let waits = |view: &&&HostView| view.host.status != HostStatus::Lost && fleet.state.waits(&view.host);
    assert_eq!(why.unobserved as usize, fleet.hosts().iter().filter(waits).count(), "{command:?}");
    // Whether the moves do make room is for the tests of plans.
    if let Some(offer) = &why.moves {
        assert!(matches!(command, Command::Resize { .. }) && offer.moves > 0 && offer.cold > Mib::ZERO);
    }
    let member = why.clone().for_member();
    assert_eq!((&member.uncordon[..], member.add), (&[][..], None));
    assert_eq!((member.largest, &member.elsewhere), (why.largest, &why.elsewhere));
}

pub(crate) fn orders(fleet: &Fleet, memory: u64, instances: u16, max_per_rack: Option<u16>) -> Vec<Command> {
    let mut orders = vec![ask("new", "web", memory, instances, max_per_rack)];
    for cache in fleet.state.caches().filter(|cache| !cache.releasing) {
        let (team, name): (TeamName, CacheName) = (name("shop"), cache.name.clone());
        if fleet.state.instances_of(cache.id).count() < usize::from(cache.instances) {
            orders.push(Command::Replace { team: team.clone(), name: name.clone() });
        }
        orders.push(Command::Resize { team, name, memory: mib(memory) });
    }
    orders
}

#[test]
fn what_an_explanation_says_would_happen() {
    let config = ProptestConfig { cases: 2_500, source_file: Some(file!()), ..ProptestConfig::default() };
    let asked = (setup(), 8..=LARGEST, 1..5u16, prop::option::of(1..3u16));
    let met = Cell::new(Met::default());
    let came_to = TestRunner::new(config).run(&asked, |(setup, memory, instances, max_per_rack)| {
        let fleet = Fleet::new(&setup);
        let memory = memory.min(setup.policy.max_instance_mib.get());
        let mut count = met.get();
        for command in orders(&fleet, memory, instances, max_per_rack) {
            check(&fleet, &command, &mut count);
        }
        met.set(count);
        Ok(())
    });
    came_to.unwrap_or_else(|failure| panic!("{failure}"));
    let Met { opened, largest, uncordon, add } = met.get();
    assert!(opened > 0 && largest > 0 && uncordon > 0 && add > 0, "{:?}", met.get());
}

/// A fill limit of 100 % is still one, on hosts whose memory was lowered below what is booked.
#[test]
fn an_overbooked_cluster_has_no_room_under_any_fill_limit() {
    let overhead = Overhead { percent: 0, base_mib: 0, floor_mib: 0, connections: 0, connection_kib: 0 };
    let policy = Policy { grow_headroom_percent: 0, fill_limit_percent: 80, overhead, ..Policy::default() };
    let mut world = World::new(policy, 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 700, 1));
    let patch = HostPatch { memory: Some(mib(100)), ..HostPatch::default() };
    world.ok(Command::ChangeHost { name: name("m1"), patch });
    world.ok(add_host("m2", 500, None));
    let refusal = world.refused(allocate("b", 50, 1));
    let why = refusal.why().unwrap();
    assert_eq!((why.largest, &why.alone[..]), (None, &[Rule::Memory][..]));
    // 80 % of 600 MiB and hosts of 500 MiB have to hold 750 MiB.
    assert_eq!(why.add.map(|add| (add.count, add.memory.get())), Some((1, 500)));
}

/// How long a writer may wait for an explanation, and how long its reader waits for it.
#[test]
#[ignore = "a measurement: cargo test --release -p memc-core --test it why::a_large -- --ignored --nocapture"]
fn a_large_cluster_is_copied_in_little_time() {
    let mut fleet = Fleet { state: State::default(), now: 1_000_000 };
    fleet.ok(Command::Found { id: uuid::Uuid::from_u128(7) });
    fleet.ok(Command::CreateTeam { name: name("shop") });
    let spec = spec(11211, 12000, Policy { max_instance_mib: mib(1 << 20), ..Policy::default() });
    fleet.ok(Command::CreateCluster { name: name("web"), spec });
    fleet.ok(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(ENOUGH) });
    for number in 0..100_000usize {
        let spec = HostSpec {
            cluster: name("web"),
            address: std::net::IpAddr::from([127, (number >> 16) as u8, (number >> 8) as u8, number as u8]),
            memory: mib(65_536 << (number % 3)),
            rack: Some(name(&format!("rack-{}", number / 40))),
            blocked_ports: Default::default(),
        };
        fleet.ok(Command::AddHost { name: name(&format!("host-{number}.example.com")), spec });
        if number % 100 == 0 {
            fleet.ok(Command::CordonHost { name: name(&format!("host-{number}.example.com")) });
        }
    }
    let refused = order(ask("big", "web", 300_000, 4, Some(1)));
    // The least of each, since other programs only ever add to it.
    let (mut copied, mut explained, mut longest) = (Duration::MAX, Duration::MAX, Vec::new());
    for _ in 0..50 {
        let (start, mut reads) = (Instant::now(), 0);
        let mut survey = Survey::new(&refused, Timestamp::from_millis(fleet.now));
        loop {
            let start = Instant::now();
            let ended = survey.read(&fleet.state);
            if longest.len() == reads {
                longest.push(Duration::MAX);
            }
            longest[reads] = longest[reads].min(start.elapsed());
            reads += 1;
            if ended {
                break;
            }
        }
        let facts = survey.facts().unwrap();
        copied = copied.min(start.elapsed());
        let start = Instant::now();
        let why = facts.explain();
        explained = explained.min(start.elapsed());
        assert_eq!(why.alone, [Rule::Memory]);
    }
    let reads = longest.len();
    let longest = longest.into_iter().max().unwrap();
    println!(
        "100,000 hosts: copied in {copied:?} by {reads} reads, the longest {longest:?}; explained in {explained:?}"
    );
}
