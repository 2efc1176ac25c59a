//! Random commands against the second implementation of the rules, which the simulation uses too: plain lists, and every
//! sum made anew. And a state that was built anew from its records against one that saw every commit.

use memc_core::ledger::{ClusterPatch, Command, Decision, HostPatch, Refusal, Seen, State, decide};
use memc_core::model::*;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use crate::agree::{cache_name, fleet_flaw, host_name, spots_of};
use crate::ledger::Ledger;
use crate::second::{Host, Rules, Second, Wish};
use crate::world::*;

const FIRST_PORT: u16 = 11211;
const COOL_DOWN_SECONDS: u64 = 1;
const TEAMS: [&str; 2] = ["shop", "other"];

#[derive(Debug, Clone)]
enum Step {
    Allocate { cache: u64, memory: u64, instances: u16, most_per_rack: Option<u16> },
    Resize { cache: u64, memory: u64 },
    Release { cache: u64 },
    Replace { cache: u64 },
    Seen { cache: u64, index: usize, within: bool },
    Stopped { cache: u64, index: usize },
    Cordon { host: usize },
    Uncordon { host: usize },
    Lose { host: usize },
    Memory { host: usize, mib: u64 },
    Rack { host: usize, rack: usize },
    Blocked { host: usize, port: Option<u16> },
    Quota { team: usize, memory: u64 },
    Wait { millis: u64 },
    Floor { mib: u64 },
    Headroom { percent: u64 },
    FillLimit { percent: u64 },
    Order { balance: bool },
    LastPort { port: u16 },
    Restore,
    LookAround { host: usize, in_use: Vec<u16> },
    Forget { host: usize },
    Load,
}

/// Fleets in which about every second request is refused: what makes one hostile is mostly taken back soon.
fn step() -> impl Strategy<Value = Step> {
    let (cache, size, host) = (0..6u64, 8..300u64, 0..6usize);
    let most = || prop::option::of(1..4u16);
    let port = |range: std::ops::Range<u16>| range.prop_map(|port| FIRST_PORT + port);
    let instances = 1..6u16;
    let changes = prop_oneof![
        3 => host.clone().prop_map(|host| Step::Cordon { host }),
        8 => host.clone().prop_map(|host| Step::Lose { host }),
        2 => (host.clone(), 300..2500u64).prop_map(|(host, mib)| Step::Memory { host, mib }),
        2 => (host.clone(), 0..4usize).prop_map(|(host, rack)| Step::Rack { host, rack }),
        2 => (host.clone(), prop::option::of(port(0..5))).prop_map(|(host, port)| Step::Blocked { host, port }),
        2 => (0..2usize, 500..5000u64).prop_map(|(team, memory)| Step::Quota { team, memory }),
        1 => (0..200u64).prop_map(|mib| Step::Floor { mib }),
        2 => (0..=40u64).prop_map(|percent| Step::Headroom { percent }),
        2 => prop_oneof![Just(100), 10..100u64].prop_map(|percent| Step::FillLimit { percent }),
        1 => any::<bool>().prop_map(|balance| Step::Order { balance }),
        1 => prop_oneof![Just(FIRST_PORT + 4), port(1..5)].prop_map(|port| Step::LastPort { port }),
        1 => Just(Step::Restore),
        8 => (host.clone(), prop::collection::vec(port(0..5), 0..2))
            .prop_map(|(host, in_use)| Step::LookAround { host, in_use }),
        4 => host.clone().prop_map(|host| Step::Forget { host }),
    ];
    prop_oneof![
        12 => (cache.clone(), size.clone(), instances, most())
            .prop_map(|(cache, memory, instances, most_per_rack)| Step::Allocate { cache, memory, instances, most_per_rack }),
        8 => (cache.clone(), size).prop_map(|(cache, memory)| Step::Resize { cache, memory }),
        3 => cache.clone().prop_map(|cache| Step::Release { cache }),
        10 => cache.clone().prop_map(|cache| Step::Replace { cache }),
        8 => (cache.clone(), 0..5usize, prop::bool::weighted(0.8))
            .prop_map(|(cache, index, within)| Step::Seen { cache, index, within }),
        12 => (cache, 0..2usize).prop_map(|(cache, index)| Step::Stopped { cache, index }),
        7 => host.prop_map(|host| Step::Uncordon { host }),
        4 => (1..1500u64).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Load),
        7 => changes,
    ]
}

/// Memory and rack of each host; rack 0 is none.
fn hosts() -> impl Strategy<Value = Vec<(u64, usize)>> {
    prop::collection::vec((150..2500u64, 0..4usize), 1..7)
}

/// What carries commands out.
trait Driver {
    fn attempt(&mut self, command: Command) -> Result<Decision, Refusal>;
    fn state(&self) -> &State;
    /// Milliseconds since 1970.
    fn now(&mut self) -> &mut u64;
    /// A process loads the records.
    fn load(&mut self) {}
    /// What is checked after each command, beside the rules.
    fn check(&self) {}
}

impl Driver for Ledger {
    fn attempt(&mut self, command: Command) -> Result<Decision, Refusal> {
        Ledger::attempt(self, command).unwrap()
    }

    fn state(&self) -> &State {
        &self.state
    }

    fn now(&mut self) -> &mut u64 {
        &mut self.now
    }
}

/// One state that saw every commit, and one that was loaded in between and saw those since: they decide alike.
#[derive(Default)]
struct Twins {
    world: World,
    loaded: Option<State>,
}

impl Driver for Twins {
    fn attempt(&mut self, command: Command) -> Result<Decision, Refusal> {
        let now = Timestamp::from_millis(self.world.now);
        let other = self.loaded.as_ref().map(|loaded| decide(loaded, &order(command.clone()), now));
        let commits = self.world.commits.len();
        let decided = self.world.attempt(command);
        if let (Some(other), Some(loaded)) = (other, &mut self.loaded) {
            assert_eq!(other, decided, "a loaded state decides like one that saw every commit");
            self.world.commits[commits..].iter().for_each(|commit| loaded.fold(commit).unwrap());
        }
        decided
    }

    fn state(&self) -> &State {
        &self.world.state
    }

    fn now(&mut self) -> &mut u64 {
        &mut self.world.now
    }

    fn load(&mut self) {
        let mut loaded = self.world.reloaded();
        // It knows what time it is, which the other does not until the next commit: no answer depends on that.
        loaded.pass(Timestamp::from_millis(self.world.now));
        self.loaded = Some(loaded);
    }

    fn check(&self) {
        assert!(self.loaded.as_ref().is_none_or(|loaded| *loaded == self.world.state));
        assert_eq!(
            self.world.reloaded(),
            self.world.state,
            "loaded and folded are the same, indexes included"
        );
    }
}

/// A fleet as both see it.
struct Pair<D> {
    driver: D,
    second: Second,
    /// Whether a host's memory was changed: then it may hold more than it has.
    changed: Vec<bool>,
}

impl<D: Driver> Pair<D> {
    fn new(mut driver: D, hosts: &[(u64, usize)]) -> Self {
        *driver.now() = 1_000_000;
        let rules = Rules {
            headroom_percent: 10,
            balance: false,
            fill_limit_percent: 100,
            ports: FIRST_PORT..=FIRST_PORT + 4,
            cool_down_millis: COOL_DOWN_SECONDS * 1000,
            floor_mib: 45,
        };
        let policy = Policy { cool_down_seconds: COOL_DOWN_SECONDS, ..Policy::default() };
        let mut founding = vec![
            Command::Found { id: uuid::Uuid::from_u128(7) },
            Command::CreateCluster { name: name("web"), spec: spec(FIRST_PORT, FIRST_PORT + 4, policy) },
        ];
        for team in TEAMS {
            founding.push(Command::CreateTeam { name: name(team) });
            let (cluster, team) = (name("web"), name(team));
            founding.push(Command::SetQuota { cluster, team, memory: mib(2500) });
        }
        let second = Second::new(rules, vec![2500; TEAMS.len()]);
        let mut pair = Pair { driver, second, changed: vec![false; hosts.len()] };
        for (at, &(memory, rack)) in hosts.iter().enumerate() {
            founding.push(add_host(&host_name(at), memory, rack_name(rack).as_deref()));
        }
        founding.into_iter().for_each(|command| pair.ok(command));
        for (at, &(memory, rack)) in hosts.iter().enumerate() {
            let number = pair.driver.state().host_named(&name(&host_name(at))).unwrap().host.id.get();
            pair.second.hosts.push(Host::new(number, memory, rack, Vec::new()));
        }
        pair
    }

    fn ok(&mut self, command: Command) {
        let decided = self.driver.attempt(command.clone());
        decided.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
    }

    /// The word of a refusal, or where instances were started.
    fn attempt(&mut self, command: Command) -> Result<Vec<(usize, u16)>, &'static str> {
        let decision = self.driver.attempt(command).map_err(|refusal| refusal.code())?;
        Ok(spots_of(self.driver.state(), &decision))
    }

    fn instance(&self, cache: u64, index: usize) -> Option<Instance> {
        let (team, cache) = named(cache);
        let cache = self.driver.state().cache_named(&team, &cache)?;
        self.driver.state().instances_of(cache.id).nth(index).cloned()
    }

    fn patch(&mut self, policy: serde_json::Value) {
        let policy = policy.as_object().unwrap().clone();
        let patch = ClusterPatch { policy, ..ClusterPatch::default() };
        self.ok(Command::ChangeCluster { name: name("web"), patch });
    }

    fn change_host(&mut self, at: usize, patch: HostPatch) {
        self.ok(Command::ChangeHost { name: name(&host_name(at)), patch });
    }

    fn carry_out(&mut self, step: &Step) {
        let now = *self.driver.now();
        match *step {
            Step::Allocate { cache, memory, instances, most_per_rack } => {
                let (team, own) = named(cache);
                let got = self.attempt(Command::Allocate {
                    team,
                    name: own,
                    cluster: name("web"),
                    memory: mib(memory),
                    instances,
                    max_per_rack: most_per_rack,
                });
                if self.second.caches.contains_key(&cache) {
                    assert_eq!(got, Err("name_taken"));
                    return;
                }
                let (team, count) = (cache as usize % TEAMS.len(), usize::from(instances));
                let wish = Wish { cache, team, memory, count, most_per_rack };
                assert_eq!(got, self.second.place(&wish, now));
                if let Ok(spots) = got {
                    assert_eq!(self.second.broken_by(&wish, &spots, now), None);
                    self.second.allocate(&wish, &spots);
                }
            }
            Step::Replace { cache } => {
                let (team, own) = named(cache);
                let got = self.attempt(Command::Replace { team, name: own });
                let missing = self.second.missing(cache);
                let want = match self.second.caches.get(&cache) {
                    None => Err("not_found"),
                    Some(own) if own.releasing => Err("releasing"),
                    Some(_) if missing.is_empty() => Ok(Vec::new()),
                    Some(own) => {
                        let (team, memory, most_per_rack) = (own.team, own.memory, own.most_per_rack);
                        let count = missing.len();
                        self.second.place(&Wish { cache, team, memory, count, most_per_rack }, now)
                    }
                };
                assert_eq!(got, want);
                if let Ok(spots) = got {
                    self.second.start(cache, &missing, &spots);
                }
            }
            Step::Resize { cache, memory } => {
                let (team, own) = named(cache);
                let command = Command::Resize { team, name: own, memory: mib(memory) };
                let got = self.driver.attempt(command).map(|_| ()).map_err(|refusal| refusal.code());
                assert_eq!(got, self.second.may_resize(cache, memory));
                if got.is_ok() {
                    self.second.resize(cache, memory);
                }
            }
            Step::Release { cache } => {
                let (team, own) = named(cache);
                let got = self.attempt(Command::Release { team, name: own }).map(|_| ());
                // What is put again is no instance that starts.
                assert_eq!(got, self.second.release(cache));
            }
            Step::Seen { cache, index, within } => {
                let Some(it) = self.instance(cache, index) else { return };
                let seen = Seen::Running { memory: it.memory, within, observer: ObserverId::from_number(1) };
                self.ok(Command::Confirm { instance: it.id, revision: it.revision, seen });
                if within {
                    self.second.seen_within(cache, it.index);
                }
            }
            Step::Stopped { cache, index } => {
                let Some(it) = self.instance(cache, index) else { return };
                let view = self.driver.state().host(it.host).unwrap();
                let (host, document) = (view.host.name.clone(), self.driver.state().document_revision(view));
                self.ok(Command::NoteServed { host, document });
                let (instance, revision) = (it.id, it.revision);
                let got = self.attempt(Command::Confirm { instance, revision, seen: Seen::Stopped });
                assert_eq!(got.map(|_| ()), self.second.stopped(cache, it.index, now));
            }
            Step::Cordon { host } => {
                self.ok(Command::CordonHost { name: name(&host_name(host)) });
                self.second.cordon(host);
            }
            Step::Uncordon { host } => {
                self.ok(Command::UncordonHost { name: name(&host_name(host)) });
                self.second.uncordon(host, now);
            }
            Step::Lose { host } => {
                self.ok(Command::LoseHost { name: name(&host_name(host)), reason: name("burnt") });
                self.second.lose(host, now);
            }
            Step::Memory { host, mib: memory } => {
                self.change_host(host, HostPatch { memory: Some(mib(memory)), ..HostPatch::default() });
                self.second.hosts[host].memory = memory;
                self.changed[host] = true;
            }
            Step::Rack { host, rack } => {
                let name = rack_name(rack).map(|rack| name(&rack));
                self.change_host(host, HostPatch { rack: Some(name), ..HostPatch::default() });
                self.second.hosts[host].rack = rack;
            }
            Step::Blocked { host, port: blocked } => {
                let ports = blocked.into_iter().map(port).collect();
                self.change_host(host, HostPatch { blocked_ports: Some(ports), ..HostPatch::default() });
                self.second.hosts[host].blocked = blocked.into_iter().collect();
            }
            Step::Quota { team, memory } => {
                let (cluster, owner) = (name("web"), name(TEAMS[team]));
                self.ok(Command::SetQuota { cluster, team: owner, memory: mib(memory) });
                self.second.quotas[team] = memory;
            }
            Step::Wait { millis } => *self.driver.now() += millis,
            Step::Floor { mib } => {
                self.patch(serde_json::json!({ "overhead": { "floor_mib": mib } }));
                self.second.rules.floor_mib = mib;
            }
            Step::Headroom { percent } => {
                self.patch(serde_json::json!({ "grow_headroom_percent": percent }));
                self.second.rules.headroom_percent = percent;
            }
            Step::FillLimit { percent } => {
                self.patch(serde_json::json!({ "fill_limit_percent": percent }));
                self.second.rules.fill_limit_percent = percent;
            }
            Step::Order { balance } => {
                self.patch(serde_json::json!({ "order": if balance { "balance" } else { "pack" } }));
                self.second.rules.balance = balance;
            }
            Step::LastPort { port: last } => {
                let patch = ClusterPatch { last_port: Some(port(last)), ..ClusterPatch::default() };
                self.ok(Command::ChangeCluster { name: name("web"), patch });
                self.second.rules.ports = FIRST_PORT..=last;
            }
            Step::Restore => {
                self.ok(Command::StartEpoch { reason: name("a backup") });
                self.second.restore();
            }
            Step::LookAround { host, ref in_use } => {
                let state = self.driver.state();
                let at = state.host_named(&name(&host_name(host))).unwrap();
                let ports = state.cluster(at.host.cluster).unwrap().ports;
                let (revision, epoch) = (at.host.revision, state.fleet().unwrap().epoch);
                let blocked = &self.second.hosts[host].blocked;
                let in_use: Vec<u16> =
                    in_use.iter().copied().filter(|port| !blocked.contains(port)).collect();
                self.ok(Command::NoteObserved {
                    host: name(&host_name(host)),
                    revision,
                    epoch,
                    ports,
                    in_use: in_use.iter().map(|number| port(*number)).collect(),
                });
                self.second.look_around(host, &in_use);
            }
            Step::Forget { host } => {
                let found_ports = Some([].into());
                self.change_host(host, HostPatch { found_ports, ..HostPatch::default() });
                self.second.hosts[host].found.clear();
            }
            Step::Load => self.driver.load(),
        }
    }

    fn check(&self, teams: &[String]) {
        assert_eq!(fleet_flaw(&self.second, self.driver.state(), teams), None);
        for (host, changed) in self.second.hosts.iter().zip(&self.changed) {
            assert!(*changed || host.booked() <= host.memory);
        }
        self.driver.check();
    }
}

fn rack_name(rack: usize) -> Option<String> {
    (rack > 0).then(|| format!("r{rack}"))
}

fn named(cache: u64) -> (TeamName, CacheName) {
    (name(TEAMS[cache as usize % TEAMS.len()]), name(&cache_name(cache)))
}

/// Do all of it on both, and compare after each step.
fn agree<D: Driver>(driver: D, hosts: &[(u64, usize)], steps: &[Step]) {
    let teams = TEAMS.map(str::to_owned);
    let mut pair = Pair::new(driver, hosts);
    for step in steps {
        let known = |host: usize| host < hosts.len();
        match *step {
            Step::Cordon { host } | Step::Uncordon { host } | Step::Lose { host } if !known(host) => {}
            Step::Memory { host, .. } | Step::Rack { host, .. } | Step::Blocked { host, .. }
                if !known(host) => {}
            Step::LookAround { host, .. } | Step::Forget { host } if !known(host) => {}
            _ => pair.carry_out(step),
        }
        pair.check(&teams);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// With every commit undone and done again, and every state built anew from its records as well.
    #[test]
    fn agrees_and_decides_alike_when_loaded(hosts in hosts(), steps in prop::collection::vec(step(), 1..60)) {
        agree(Twins::default(), &hosts, &steps);
    }
}

const STEPS: usize = 500;

/// So many steps, in fleets of 500 each.
fn agrees_for(steps: usize) {
    let cases = u32::try_from(steps / STEPS).unwrap();
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let came_to = runner.run(&(hosts(), prop::collection::vec(step(), STEPS)), |(hosts, steps)| {
        agree(Ledger::default(), &hosts, &steps);
        Ok::<(), TestCaseError>(())
    });
    came_to.unwrap_or_else(|failure| panic!("{failure}"));
}

// 100,000 steps in four parts, which run beside each other.
#[test]
fn agrees_for_many_steps_1() {
    agrees_for(25_000);
}

#[test]
fn agrees_for_many_steps_2() {
    agrees_for(25_000);
}

#[test]
fn agrees_for_many_steps_3() {
    agrees_for(25_000);
}

#[test]
fn agrees_for_many_steps_4() {
    agrees_for(25_000);
}

#[test]
#[ignore = "six minutes: scripts/test long"]
fn agrees_for_long() {
    let steps = std::env::var("STEPS").map_or(100_000_000, |steps| steps.parse().expect("STEPS is a number"));
    agrees_for(steps);
}
