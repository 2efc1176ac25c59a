//! How fast placement is on this machine, beside a plain ordered set and a linear scan, and how much memory a large
//! fleet takes.
//!
//! ```text
//! cargo run --release -p memc-core --example placement_speed -- index  [hosts…]
//! cargo run --release -p memc-core --example placement_speed -- decide [hosts…]
//! cargo run --release -p memc-core --example placement_speed -- memory [hosts] [clusters]
//! ```
//!
//! `index` is one placement: hosts, ports and the update of the index, in a fleet that was filled to 85 % and whose
//! instances were all replaced once; beside an ordered set without racks, a scan of the host records as one would write
//! it without an index (free memory, port, rack, spread, instances), and one of a column of nothing but free memory and
//! instances, which knows no racks. Nanoseconds are the machine's; ours ÷ the ordered set can be compared between
//! machines. `decide` is a whole command and what applying it takes. `memory` is the state of
//! ten instances a host, as a process holds it that has loaded them.
//!
//! A mean is that of a batch of [`BATCH`], so that reading the clock does not count: the median of the batches of a
//! run, so that being interrupted does not either. A 99th percentile is of one clock reading each. Every figure is the
//! median of [`RUNS`] runs, which take turns with the other indexes.

#![allow(clippy::unwrap_used)] // a benchmark that cannot go on may panic

use std::collections::{BTreeSet, VecDeque};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use memc_core::ledger::{Change, Command, Order, State, decide};
use memc_core::model::*;
use memc_core::placement::{self, Index, Offer, Site};

/// Odd, for a median.
const RUNS: usize = 5;
const BATCH: usize = 64;
const BATCHES: usize = 200;
const HOSTS_A_RACK: usize = 40;
const PORTS_A_HOST: u16 = 64;
const FIRST_PORT: u16 = 11211;
const CLUSTER: ClusterId = ClusterId::new(1);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<usize> = arguments.iter().skip(1).map(|text| text.parse().unwrap()).collect();
    let sizes = |most: usize| {
        if numbers.is_empty() {
            [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|size| *size <= most).collect()
        } else {
            numbers.clone()
        }
    };
    match arguments.first().map(String::as_str) {
        Some("index") => index(&sizes(1_000_000)),
        Some("decide") => decisions(&sizes(100_000)),
        Some("memory") => {
            let (hosts, clusters) = (numbers.first().copied(), numbers.get(1).copied());
            memory(hosts.unwrap_or(100_000), clusters.unwrap_or(1));
        }
        _ => eprintln!("Usage: placement_speed index|decide [hosts…] | memory [hosts] [clusters]"),
    }
}

/// xorshift64*, by Marsaglia and Vigna.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) * bound as u64) >> 32) as usize
    }

    /// From the menu 64, 128, … 16384 MiB, with Zipf weights; the largest most often, so that about ten fill a host.
    fn size(&mut self) -> Mib {
        const WEIGHTS: [usize; 9] = [2520, 1260, 840, 630, 504, 420, 360, 315, 280];
        let mut left = self.below(WEIGHTS.iter().sum());
        let place = WEIGHTS.iter().position(|weight| left.checked_sub(*weight).map(|it| left = it).is_none());
        mib(16384 >> place.unwrap())
    }
}

fn mib(mib: u64) -> Mib {
    Mib::new(mib).unwrap()
}

fn host_memory(host: usize) -> Mib {
    mib([64, 128, 192][host % 3] << 10)
}

fn rack_of(host: usize) -> Rack {
    Rack::new(&format!("hall-1/rack-{:06}", host / HOSTS_A_RACK)).unwrap()
}

/// Mean and 99th percentile, ns.
#[derive(Clone, Copy)]
struct Figures {
    mean: f64,
    p99: f64,
}

impl Figures {
    fn median(mut runs: Vec<Figures>) -> Figures {
        let middle = runs.len() / 2;
        runs.sort_by(|one, other| one.mean.total_cmp(&other.mean));
        let mean = runs[middle].mean;
        runs.sort_by(|one, other| one.p99.total_cmp(&other.p99));
        Figures { mean, p99: runs[middle].p99 }
    }
}

/// One run: `each` in batches that are timed whole, then with a clock around each. `before` each batch, untimed.
fn run<T>(
    world: &mut T,
    batches: usize,
    mut before: impl FnMut(&mut T, usize),
    mut each: impl FnMut(&mut T, usize),
) -> Figures {
    let mut wholes = Vec::with_capacity(batches);
    for _ in 0..batches {
        before(world, BATCH);
        let since = Instant::now();
        (0..BATCH).for_each(|at| each(world, at));
        wholes.push(since.elapsed().as_nanos() as u64);
    }
    wholes.sort_unstable();
    let mut times = Vec::with_capacity(batches * BATCH);
    for _ in 0..batches {
        before(world, BATCH);
        for at in 0..BATCH {
            let since = Instant::now();
            each(world, at);
            times.push(since.elapsed().as_nanos() as u64);
        }
    }
    times.sort_unstable();
    Figures { mean: wholes[batches / 2] as f64 / BATCH as f64, p99: times[times.len() * 99 / 100] as f64 }
}

// ---- one placement ----

#[derive(Clone)]
struct Machine {
    free: Mib,
    instances: u32,
    rack: u32,
    /// Ports never used start here.
    fresh: u16,
    retired: VecDeque<(Timestamp, u16)>,
}

impl Machine {
    fn port_from(&self) -> Timestamp {
        if self.fresh < PORTS_A_HOST {
            Timestamp::default()
        } else {
            self.retired.front().map_or(Timestamp::NEVER, |(at, _)| *at)
        }
    }
}

/// A way to find hosts.
trait Finder {
    fn find(&self, hosts: &[Machine], need: Mib, count: usize, now: Timestamp) -> Vec<usize>;
    fn change(&mut self, host: usize, before: &Machine, after: &Machine);
    fn pass(&mut self, _: Timestamp) {}
}

struct Ours {
    index: Index,
    racks: Vec<Rack>,
}

impl Ours {
    fn site(&self, host: usize, machine: &Machine) -> Site {
        Site {
            cluster: CLUSTER,
            order: FillOrder::Pack,
            rack: Some(self.racks[host / HOSTS_A_RACK].clone()),
            free: machine.free,
            instances: machine.instances,
            port_from: machine.port_from(),
        }
    }
}

impl Finder for Ours {
    fn find(&self, _: &[Machine], need: Mib, count: usize, now: Timestamp) -> Vec<usize> {
        let request = placement::Request { cluster: CLUSTER, need, count, taken: &[], max_per_rack: None };
        self.index.place(&request, now).hosts.into_iter().map(|host| host.get() as usize).collect()
    }

    fn change(&mut self, host: usize, _: &Machine, after: &Machine) {
        let Machine { free, instances, .. } = *after;
        self.index
            .set_offer(HostId::new(host as u64), Offer { free, instances, port_from: after.port_from() });
    }

    fn pass(&mut self, now: Timestamp) {
        self.index.pass(now);
    }
}

/// Free memory, instances, host scattered; no racks.
struct Tree(BTreeSet<(Mib, u32, usize)>);

/// By what the index tells equals apart.
fn scatter(host: usize) -> usize {
    host.wrapping_mul(0x3504_F333_F9DE_6485) & usize::MAX >> 1
}

fn gather(place: usize) -> usize {
    place.wrapping_mul(0x4E34_F852_DB29_F44D) & usize::MAX >> 1
}

impl Finder for Tree {
    fn find(&self, hosts: &[Machine], need: Mib, count: usize, now: Timestamp) -> Vec<usize> {
        let fits = self.0.range((need, 0, 0)..).map(|(_, _, place)| gather(*place));
        fits.filter(|host| hosts[*host].port_from() <= now).take(count).collect()
    }

    fn change(&mut self, host: usize, before: &Machine, after: &Machine) {
        self.0.remove(&(before.free, before.instances, scatter(host)));
        self.0.insert((after.free, after.instances, scatter(host)));
    }
}

/// Looks at every host's record, for each instance, by the same rule as our index.
struct Scan;

impl Finder for Scan {
    fn find(&self, hosts: &[Machine], need: Mib, count: usize, now: Timestamp) -> Vec<usize> {
        let mut found: Vec<usize> = Vec::with_capacity(count);
        for _ in 0..count {
            let held = |rack: u32| found.iter().filter(|other| hosts[**other].rack == rack).count();
            let best = (hosts.iter().enumerate())
                .filter(|(at, host)| host.free >= need && host.port_from() <= now && !found.contains(at))
                .min_by_key(|(at, host)| (held(host.rack), host.free, host.instances, scatter(*at)));
            found.extend(best.map(|(at, _)| at));
        }
        found
    }

    fn change(&mut self, _: usize, _: &Machine, _: &Machine) {}
}

/// Looks at every host, for each instance: free memory and instances in a list of their own, one host after the other.
/// Knows no racks.
struct Column(Vec<(Mib, u32)>);

impl Finder for Column {
    fn find(&self, hosts: &[Machine], need: Mib, count: usize, now: Timestamp) -> Vec<usize> {
        let mut found = Vec::with_capacity(count);
        for _ in 0..count {
            let mut best: Option<((Mib, u32), usize)> = None;
            for (at, &offer) in self.0.iter().enumerate() {
                if offer.0 >= need
                    && best.is_none_or(|(other, _)| offer < other)
                    && !found.contains(&at)
                    && hosts[at].port_from() <= now
                {
                    best = Some((offer, at));
                }
            }
            found.extend(best.map(|(_, at)| at));
        }
        found
    }

    fn change(&mut self, host: usize, _: &Machine, after: &Machine) {
        self.0[host] = (after.free, after.instances);
    }
}

#[derive(Clone)]
struct Fleet<F> {
    hosts: Vec<Machine>,
    /// Host, port, size.
    instances: Vec<(u32, u16, Mib)>,
    random: Random,
    now: u64,
    sizes: Vec<Mib>,
    finder: F,
}

impl<F: Finder> Fleet<F> {
    fn with<G>(&self, finder: G) -> Fleet<G> {
        let (hosts, instances, random) = (self.hosts.clone(), self.instances.clone(), self.random.clone());
        Fleet { hosts, instances, random, now: self.now, sizes: Vec::new(), finder }
    }

    fn place(&mut self, size: Mib, count: usize) -> usize {
        let need = Overhead::default().booking(size);
        self.now += count as u64;
        let now = Timestamp::from_millis(self.now);
        self.finder.pass(now);
        let found = self.finder.find(&self.hosts, need, count, now);
        for host in &found {
            let before = self.hosts[*host].clone_without_ports();
            let machine = &mut self.hosts[*host];
            machine.free = machine.free.minus(need);
            machine.instances += 1;
            let port = if machine.fresh < PORTS_A_HOST {
                machine.fresh += 1;
                machine.fresh - 1
            } else {
                machine.retired.pop_front().unwrap().1
            };
            self.finder.change(*host, &before, &self.hosts[*host]);
            self.instances.push((*host as u32, port, need));
        }
        found.len()
    }

    fn release(&mut self) {
        let at = self.random.below(self.instances.len());
        let (host, port, booked) = self.instances.swap_remove(at);
        let host = host as usize;
        let before = self.hosts[host].clone_without_ports();
        let machine = &mut self.hosts[host];
        machine.free = machine.free.plus(booked);
        machine.instances -= 1;
        // Each host sees one release in as many steps as there are hosts: several ports cool down at any time.
        let cooled = self.now + 4 * self.hosts.len() as u64;
        let machine = &mut self.hosts[host];
        machine.retired.push_back((Timestamp::from_millis(cooled), port));
        self.finder.change(host, &before, &self.hosts[host]);
    }

    fn measure(&mut self, count: usize, batches: usize) -> Figures {
        let target = self.instances.len();
        let figures = run(
            self,
            batches,
            |fleet, sizes| {
                fleet.sizes.clear();
                (0..sizes).for_each(|_| fleet.sizes.push(fleet.random.size()));
                (0..sizes * count).for_each(|_| fleet.release());
            },
            |fleet, at| {
                black_box(fleet.place(fleet.sizes[at], count));
            },
        );
        assert!(self.instances.len() * 100 > target * 98, "placements were refused");
        let count = count as f64;
        Figures { mean: figures.mean / count, p99: figures.p99 / count }
    }
}

impl Machine {
    fn clone_without_ports(&self) -> Machine {
        Machine { retired: VecDeque::new(), ..*self }
    }
}

fn steady(hosts: usize) -> Fleet<Ours> {
    let machines: Vec<Machine> = (0..hosts)
        .map(|host| Machine {
            free: Policy::default().open_to_new(host_memory(host)),
            instances: 0,
            rack: (host / HOSTS_A_RACK) as u32,
            fresh: 0,
            retired: VecDeque::new(),
        })
        .collect();
    let racks = (0..hosts.div_ceil(HOSTS_A_RACK)).map(|rack| rack_of(rack * HOSTS_A_RACK)).collect();
    let mut finder = Ours { index: Index::default(), racks };
    for (host, machine) in machines.iter().enumerate() {
        finder.index.set(HostId::new(host as u64), Some(finder.site(host, machine)));
    }
    let room: Mib = machines.iter().map(|machine| machine.free).sum();
    let random = Random(0x9E37_79B9_7F4A_7C15);
    let mut fleet =
        Fleet { hosts: machines, instances: Vec::new(), random, now: 0, sizes: Vec::new(), finder };
    let mut booked = 0;
    while booked * 100 < room.get() * 85 {
        let size = fleet.random.size();
        assert_eq!(fleet.place(size, 1), 1);
        booked += Overhead::default().booking(size).get();
    }
    for _ in 0..fleet.instances.len() {
        fleet.release();
        let size = fleet.random.size();
        fleet.place(size, 1);
    }
    fleet
}

fn index(sizes: &[usize]) {
    println!(
        "| hosts | instances | k | ours: mean, ns | p99 | tree: mean | p99 | ours ÷ tree: mean | p99 | scan of records: mean | ÷ ours | scan of a column: mean | ÷ ours |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut means = Vec::new();
    for &size in sizes {
        let mut ours = steady(size);
        let ordered =
            ours.hosts.iter().enumerate().map(|(at, host)| (host.free, host.instances, scatter(at)));
        let mut tree = ours.with(Tree(ordered.collect()));
        for count in [1, 4] {
            let (mut one, mut two) = (Vec::new(), Vec::new());
            for _ in 0..RUNS {
                one.push(ours.measure(count, BATCHES));
                two.push(tree.measure(count, BATCHES));
            }
            if count == 1 {
                let same = ours.hosts.iter().zip(&tree.hosts).all(|(one, other)| one.free == other.free);
                assert!(same, "for one instance, racks make no difference");
            }
            let (one, two) = (Figures::median(one), Figures::median(two));
            means.push(one.mean);
            print!(
                "| {size} | {} | {count} | {:.0} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} |",
                ours.instances.len(),
                one.mean,
                one.p99,
                two.mean,
                two.p99,
                one.mean / two.mean,
                one.p99 / two.p99,
            );
            if size <= 100_000 {
                let column = Column(ours.hosts.iter().map(|host| (host.free, host.instances)).collect());
                let (mut records, mut column) = (ours.with(Scan), ours.with(column));
                let records = Figures::median((0..RUNS).map(|_| records.measure(count, 2)).collect()).mean;
                let column = Figures::median((0..RUNS).map(|_| column.measure(count, 2)).collect()).mean;
                println!(
                    " {records:.0} | {:.0} | {column:.0} | {:.0} |",
                    records / one.mean,
                    column / one.mean
                );
            } else {
                println!(" – | – | – | – |");
            }
        }
    }
    if let [first, .., last, _] = means[..] {
        println!(
            "\nmean of one instance, {} hosts ÷ {} hosts: {:.1}",
            sizes[sizes.len() - 1],
            sizes[0],
            last / first
        );
    }
}

// ---- a whole command ----

fn put(state: &mut State, record: Record) {
    state.apply(Change::Put(record)).unwrap();
}

fn address(host: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0A00_0000 + host as u32))
}

/// A number that is the same length for all, so that names have 24 bytes.
fn host_record(host: usize, clusters: usize) -> Host {
    Host {
        id: HostId::new(1_000 + host as u64),
        name: HostName::new(&format!("m{host:07}.dc1.example.org")).unwrap(),
        cluster: ClusterId::new(1 + (host % clusters) as u64),
        address: address(host),
        memory: host_memory(host),
        rack: Some(rack_of(host)),
        status: HostStatus::Active,
        blocked_ports: BTreeSet::new(),
        found_ports: BTreeSet::new(),
        observed_epoch: 1,
        served: Revision::new(0),
        served_at: None,
        revision: Revision::new(1),
    }
}

fn empty_fleet(hosts: usize, clusters: usize, teams: usize, ports: u16) -> State {
    let mut state = State::default();
    put(&mut state, Record::Fleet(FleetRecord { id: uuid::Uuid::from_u128(1), epoch: 1, last_id: 1 << 32 }));
    let revision = Revision::new(1);
    let range =
        PortRange { first: Port::new(FIRST_PORT).unwrap(), last: Port::new(FIRST_PORT + ports - 1).unwrap() };
    for number in 1..=clusters {
        let id = ClusterId::new(number as u64);
        let name = ClusterName::new(&format!("cluster-{number}")).unwrap();
        put(
            &mut state,
            Record::Cluster(Cluster { id, name, ports: range, policy: Policy::default(), revision }),
        );
    }
    for host in 0..hosts {
        put(&mut state, Record::Host(host_record(host, clusters)));
    }
    for number in 1..=teams {
        let id = TeamId::new(number as u64);
        put(&mut state, Record::Team(Team { id, name: team_name(number), revision }));
        for cluster in 1..=clusters.min(10) {
            let cluster = ClusterId::new(cluster as u64);
            put(&mut state, Record::Quota(Quota { cluster, team: id, memory: Mib::MAX, revision }));
        }
    }
    state
}

fn team_name(number: usize) -> TeamName {
    TeamName::new(&format!("team-{number}")).unwrap()
}

struct World {
    state: State,
    random: Random,
    now: u64,
    created: usize,
    teams: usize,
    caches: Vec<CacheId>,
    orders: Vec<Option<Order>>,
}

impl World {
    fn order(&mut self, count: u16) -> Order {
        self.created += 1;
        let command = Command::Allocate {
            team: team_name(1 + self.random.below(self.teams)),
            name: CacheName::new(&format!("cache-{:018}", self.created)).unwrap(),
            cluster: ClusterName::new("cluster-1").unwrap(),
            memory: self.random.size(),
            instances: count,
            max_per_rack: None,
        };
        Order { actor: Principal::new("user:benchmark").unwrap(), request: None, command }
    }

    fn carry_out(&mut self, order: &Order) {
        self.now += 1;
        let now = Timestamp::from_millis(self.now);
        self.state.pass(now);
        let decision = decide(&self.state, order, now).unwrap();
        for change in decision.changes {
            black_box(self.state.apply(change).unwrap());
        }
        if let Key::Cache { id } = decision.receipt.subject {
            self.caches.push(id);
        }
    }

    /// As when its instances were seen to have stopped.
    fn release(&mut self) {
        let at = self.random.below(self.caches.len());
        let id = self.caches.swap_remove(at);
        let instances: Vec<Instance> = self.state.instances_of(id).cloned().collect();
        let reusable_at = Timestamp::from_millis(self.now + 10_000);
        for Instance { id, host, port, revision, .. } in instances {
            self.state.apply(Change::Remove(Key::Instance { id })).unwrap();
            let retired = RetiredPort { host, port, instance: id, reusable_at, revision };
            put(&mut self.state, Record::RetiredPort(retired));
        }
        self.state.apply(Change::Remove(Key::Cache { id })).unwrap();
    }
}

fn decisions(sizes: &[usize]) {
    println!("| hosts | instances | k | decide and apply: mean, ns | p99 | a second |");
    println!("|---|---|---|---|---|---|");
    for &size in sizes {
        for count in [1, 4] {
            let state = empty_fleet(size, 1, 1000, 500);
            let random = Random(0x9E37_79B9_7F4A_7C15);
            let (caches, orders) = (Vec::new(), Vec::new());
            let mut world = World { state, random, now: 0, created: 0, teams: 1000, caches, orders };
            let room = Policy::default().open_to_new(world.state.memory(CLUSTER));
            while world.state.booked(CLUSTER) < room.percent(85) {
                let order = world.order(count);
                world.carry_out(&order);
            }
            for _ in 0..world.caches.len() {
                world.release();
                let order = world.order(count);
                world.carry_out(&order);
            }
            let runs = (0..RUNS).map(|_| {
                run(
                    &mut world,
                    BATCHES,
                    |world, batch| {
                        world.orders = (0..batch).map(|_| Some(world.order(count))).collect();
                        (0..batch).for_each(|_| world.release());
                    },
                    |world, at| {
                        let order = world.orders[at].take().unwrap();
                        world.carry_out(&order);
                    },
                )
            });
            let figures = Figures::median(runs.collect());
            println!(
                "| {size} | {} | {count} | {:.0} | {:.0} | {:.0} |",
                world.caches.len() * usize::from(count),
                figures.mean,
                figures.p99,
                1e9 / figures.mean
            );
        }
    }
}

// ---- memory ----

/// Resident memory now and at its highest, MiB.
fn resident() -> (f64, f64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Ten instances a host, four a cache, in the order in which a store hands records over, a page at a time.
fn memory(hosts: usize, clusters: usize) {
    let (empty, _) = resident();
    let since = Instant::now();
    let mut state = empty_fleet(hosts, clusters, 1000, 500);
    let with_hosts = resident().0;
    let caches = hosts * 10 / 4;
    let revision = Revision::new(1);
    let of = |cache: usize| cache * 4 % hosts % clusters;
    for cache in 0..caches {
        put(
            &mut state,
            Record::Cache(Cache {
                id: CacheId::new(10_000_000 + 5 * cache as u64),
                team: TeamId::new(1 + (cache % 1000) as u64),
                name: CacheName::new(&format!("cache-{cache:018}")).unwrap(),
                cluster: ClusterId::new(1 + of(cache) as u64),
                memory: mib(4096),
                instances: 4,
                max_per_rack: None,
                releasing: false,
                created_at: Timestamp::from_millis(cache as u64),
                created_by: Principal::new(&format!("user:person-{:04}", cache % 1000)).unwrap(),
                revision,
            }),
        );
    }
    let with_caches = resident().0;
    // Spread so that each host has ten, each of another cache.
    for number in 0..caches * 4 {
        let (cache, host) = (number / 4, number % hosts);
        put(
            &mut state,
            Record::Instance(Instance {
                id: InstanceId::new(10_000_001 + number as u64 + cache as u64),
                cache: CacheId::new(10_000_000 + 5 * cache as u64),
                index: (number % 4) as u16,
                host: HostId::new(1_000 + host as u64),
                port: Port::new(FIRST_PORT + (number / hosts) as u16).unwrap(),
                memory: mib(4096),
                booked: Overhead::default().booking(mib(4096)),
                phase: Phase::Kept,
                moved_to: None,
                observed: Some(mib(4096)),
                seen_by: Some(ObserverId::from_number(7)),
                revision,
            }),
        );
    }
    state.pass(Timestamp::from_millis(1));
    let seconds = since.elapsed().as_secs_f64();
    let (now, highest) = resident();
    println!("{hosts} hosts, {clusters} clusters, {caches} caches, {} instances:", state.instances().count());
    println!("  empty process {empty:.1} MiB");
    println!("  clusters, hosts, teams {:.1} MiB", with_hosts - empty);
    println!("  caches {:.1} MiB", with_caches - with_hosts);
    println!("  instances {:.1} MiB", now - with_caches);
    println!("  all of it {:.1} MiB, at its highest {:.1} MiB", now - empty, highest - empty);
    println!("  loaded in {seconds:.2} s");
    black_box(&state);
}
