//! Random commands against a second implementation that is too simple to be wrong: lists, and every sum made anew.

use std::collections::BTreeMap;

use memc_core::ledger::{ClusterPatch, Command, Refusal};
use memc_core::model::*;
use proptest::prelude::*;

use crate::world::*;

const PORTS: std::ops::RangeInclusive<u16> = 11211..=11214;
const COOL_DOWN_SECONDS: u64 = 1;

#[derive(Debug, Clone)]
enum Step {
    Allocate { cache: u8, memory: u64, instances: u16 },
    Resize { cache: u8, memory: u64 },
    Release { cache: u8 },
    Replace { cache: u8 },
    Seen { cache: u8, index: usize },
    Stopped { cache: u8, index: usize },
    Cordon { host: usize },
    Uncordon { host: usize },
    Lose { host: usize },
    Quota { memory: u64 },
    Wait { millis: u64 },
    Floor { mib: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let (cache, size) = (0..6u8, 8..300u64);
    prop_oneof![
        6 => (cache.clone(), size.clone(), 1..4u16).prop_map(|(cache, memory, instances)| Step::Allocate { cache, memory, instances }),
        4 => (cache.clone(), size).prop_map(|(cache, memory)| Step::Resize { cache, memory }),
        4 => cache.clone().prop_map(|cache| Step::Release { cache }),
        2 => cache.clone().prop_map(|cache| Step::Replace { cache }),
        5 => (cache.clone(), 0..4usize).prop_map(|(cache, index)| Step::Seen { cache, index }),
        6 => (cache, 0..4usize).prop_map(|(cache, index)| Step::Stopped { cache, index }),
        1 => (0..5usize).prop_map(|host| Step::Cordon { host }),
        2 => (0..5usize).prop_map(|host| Step::Uncordon { host }),
        1 => (0..5usize).prop_map(|host| Step::Lose { host }),
        1 => (200..3000u64).prop_map(|memory| Step::Quota { memory }),
        1 => (0..200u64).prop_map(|mib| Step::Floor { mib }),
        2 => (1..1500u64).prop_map(|millis| Step::Wait { millis }),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Status {
    Active,
    Cordoned,
    Lost,
}

#[derive(Debug)]
struct Host {
    memory: u64,
    rack: usize,
    status: Status,
}

#[derive(Debug, Clone)]
struct Process {
    cache: u8,
    index: u16,
    host: usize,
    port: u16,
    memory: u64,
    booked: u64,
    releasing: bool,
    shrinking: bool,
}

#[derive(Debug, Default)]
struct Naive {
    hosts: Vec<Host>,
    processes: Vec<Process>,
    caches: BTreeMap<u8, (u64, u16, bool)>,
    retired: BTreeMap<(usize, u16), u64>,
    quota: u64,
    now: u64,
    floor: u64,
}

impl Naive {
    /// The default rule with its numbers written out, but for the floor.
    fn booking(&self, memory: u64) -> u64 {
        memory + (memory.div_ceil(10) + 8).max(self.floor) + 16
    }

    fn booked(&self, host: usize) -> u64 {
        self.processes.iter().filter(|it| it.host == host).map(|it| it.booked).sum()
    }

    fn count(&self, host: usize) -> usize {
        self.processes.iter().filter(|it| it.host == host).count()
    }

    fn used(&self) -> u64 {
        self.processes.iter().map(|it| it.memory).sum()
    }

    fn port(&self, host: usize) -> Option<u16> {
        let owned = |port: u16| self.processes.iter().any(|it| it.host == host && it.port == port);
        let fresh = PORTS.clone().find(|port| !owned(*port) && !self.retired.contains_key(&(host, *port)));
        let cooled = PORTS.clone().filter(|port| !owned(*port)).filter_map(|port| {
            let at = *self.retired.get(&(host, port))?;
            (at <= self.now).then_some((at, port))
        });
        fresh.or_else(|| cooled.min().map(|(_, port)| port))
    }

    fn place(&mut self, cache: u8, memory: u64, indexes: &[u16]) -> Result<(), &'static str> {
        if self.used() + memory * indexes.len() as u64 > self.quota {
            return Err("quota_exceeded");
        }
        let before = (self.processes.clone(), self.retired.clone());
        for &index in indexes {
            let rack_held = |rack: usize, of: &Self| {
                of.processes.iter().filter(|it| it.cache == cache && of.hosts[it.host].rack == rack).count()
            };
            // `before` decides ties by load: within one request each host is used at most once.
            let best = (0..self.hosts.len())
                .filter(|host| self.hosts[*host].status == Status::Active)
                .filter(|host| self.processes.iter().all(|it| it.cache != cache || it.host != *host))
                .filter(|host| {
                    let open = self.hosts[*host].memory - self.hosts[*host].memory.div_ceil(10);
                    self.booked(*host) + self.booking(memory) <= open
                })
                .filter(|host| self.port(*host).is_some())
                .min_by_key(|host| {
                    let open = self.hosts[*host].memory - self.hosts[*host].memory.div_ceil(10);
                    let free = open - self.booked(*host);
                    (rack_held(self.hosts[*host].rack, self), free, self.count(*host), *host)
                });
            let Some(host) = best else {
                (self.processes, self.retired) = before;
                return Err("no_room");
            };
            let port = self.port(host).unwrap();
            self.retired.remove(&(host, port));
            let booked = self.booking(memory);
            self.processes.push(Process {
                cache,
                index,
                host,
                port,
                memory,
                booked,
                releasing: false,
                shrinking: false,
            });
        }
        Ok(())
    }

    fn resize(&mut self, cache: u8, memory: u64) -> Result<(), &'static str> {
        let (before, instances, releasing) = *self.caches.get(&cache).ok_or("not_found")?;
        if releasing {
            return Err("releasing");
        }
        let own: Vec<usize> =
            (0..self.processes.len()).filter(|at| self.processes[*at].cache == cache).collect();
        if memory > before {
            if self.used() + (memory - before) * own.len() as u64 > self.quota {
                return Err("quota_exceeded");
            }
            for &at in &own {
                let it = &self.processes[at];
                let more = self.booking(memory).saturating_sub(it.booked);
                let free = self.hosts[it.host].memory.saturating_sub(self.booked(it.host));
                if more > 0 && more > free {
                    return Err("no_room");
                }
            }
        }
        let need = self.booking(memory);
        for at in own {
            let it = &mut self.processes[at];
            if memory > before {
                it.booked = it.booked.max(need);
            }
            if memory != before {
                it.shrinking = (memory < before || it.shrinking) && need < it.booked;
            }
            it.memory = memory;
        }
        self.caches.insert(cache, (memory, instances, false));
        Ok(())
    }

    fn end(&mut self, at: usize, reusable_at: u64) {
        let it = self.processes.remove(at);
        self.retired.insert((it.host, it.port), reusable_at);
        if it.releasing && self.processes.iter().all(|other| other.cache != it.cache) {
            self.caches.remove(&it.cache);
        }
    }
}

fn cache_name(cache: u8) -> String {
    format!("c{cache}")
}

fn compare(naive: &Naive, world: &World) {
    let mut want: Vec<_> = (naive.processes.iter())
        .map(|it| (cache_name(it.cache), it.index, it.host, it.port, it.memory, it.booked, it.releasing))
        .collect();
    let mut got: Vec<_> = (world.state.instances())
        .map(|it| {
            let cache = world.state.cache(it.cache).unwrap().name.to_string();
            let host: usize = world.host_of(it).trim_start_matches('m').parse().unwrap();
            let releasing = it.phase == Phase::Releasing;
            (cache, it.index, host, it.port.get(), it.memory.get(), it.booked.get(), releasing)
        })
        .collect();
    want.sort();
    got.sort();
    assert_eq!(got, want);
    let cluster = world.state.clusters().next().unwrap().id;
    let team = world.state.teams().next().unwrap().id;
    assert_eq!(world.state.used(cluster, team).get(), naive.used());
    for view in world.state.hosts() {
        let host: usize = view.host.name.as_str().trim_start_matches('m').parse().unwrap();
        assert_eq!(view.booked.get(), naive.booked(host));
        assert!(view.booked <= view.host.memory);
    }
    assert_eq!(world.reloaded(), world.state, "loaded and folded are the same, indexes included");
}

fn code(result: Result<memc_core::ledger::Decision, Refusal>) -> Result<(), &'static str> {
    result.map(|_| ()).map_err(|refusal| refusal.code())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_the_naive_model(
        hosts in prop::collection::vec((150..1500u64, 0..3usize), 1..5),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let policy = Policy { cool_down_seconds: COOL_DOWN_SECONDS, ..Policy::default() };
        let mut world = World::new(policy, 2000);
        let mut naive = Naive { quota: 2000, floor: 45, ..Naive::default() };
        for (number, (memory, rack)) in hosts.into_iter().enumerate() {
            world.ok(add_host(&format!("m{number}"), memory, Some(&format!("r{rack}"))));
            naive.hosts.push(Host { memory, rack, status: Status::Active });
        }
        for step in steps {
            naive.now = world.now;
            match step {
                Step::Allocate { cache, memory, instances } => {
                    let got = code(world.attempt(allocate(&cache_name(cache), memory, instances)));
                    let want = if naive.caches.contains_key(&cache) {
                        Err("name_taken")
                    } else {
                        let indexes: Vec<u16> = (0..instances).collect();
                        naive.place(cache, memory, &indexes)
                    };
                    if want.is_ok() {
                        naive.caches.insert(cache, (memory, instances, false));
                    }
                    prop_assert_eq!(got, want);
                }
                Step::Resize { cache, memory } => {
                    let got = code(world.attempt(resize(&cache_name(cache), memory)));
                    prop_assert_eq!(got, naive.resize(cache, memory));
                }
                Step::Release { cache } => {
                    let got = code(world.attempt(release(&cache_name(cache))));
                    let want = naive.caches.get_mut(&cache).map(|it| it.2 = true).ok_or("not_found");
                    naive.processes.iter_mut().filter(|it| it.cache == cache).for_each(|it| it.releasing = true);
                    if naive.processes.iter().all(|it| it.cache != cache) {
                        naive.caches.remove(&cache);
                    }
                    prop_assert_eq!(got, want);
                }
                Step::Replace { cache } => {
                    let command = Command::Replace { team: name("shop"), name: name(&cache_name(cache)) };
                    let got = code(world.attempt(command));
                    let want = match naive.caches.get(&cache).copied() {
                        None => Err("not_found"),
                        Some((_, _, true)) => Err("releasing"),
                        Some((memory, instances, false)) => {
                            let has = |index| naive.processes.iter().any(|it| it.cache == cache && it.index == index);
                            let missing: Vec<u16> = (0..instances).filter(|index| !has(*index)).collect();
                            if missing.is_empty() { Ok(()) } else { naive.place(cache, memory, &missing) }
                        }
                    };
                    prop_assert_eq!(got, want);
                }
                Step::Seen { cache, index } => {
                    if let Some(it) = world.instances(&cache_name(cache)).get(index).cloned() {
                        world.seen_running(&it, it.memory.get(), true).unwrap();
                        let need = naive.booking(it.memory.get());
                        let own = naive.processes.iter_mut().find(|own| own.cache == cache && own.index == it.index);
                        let own = own.unwrap();
                        if !own.releasing && own.shrinking {
                            own.booked = own.booked.min(need);
                            own.shrinking = false;
                        }
                    }
                }
                Step::Stopped { cache, index } => {
                    if let Some(it) = world.instances(&cache_name(cache)).get(index).cloned() {
                        let got = code(world.stopped(&it));
                        let at = naive.processes.iter().position(|own| own.cache == cache && own.index == it.index);
                        let at = at.unwrap();
                        if naive.processes[at].releasing {
                            prop_assert_eq!(got, Ok(()));
                            naive.end(at, naive.now + COOL_DOWN_SECONDS * 1000);
                        } else {
                            prop_assert_eq!(got, Err("not_releasing"));
                        }
                    }
                }
                Step::Cordon { host } if host < naive.hosts.len() => {
                    world.ok(Command::CordonHost { name: name(&format!("m{host}")) });
                    if naive.hosts[host].status == Status::Active {
                        naive.hosts[host].status = Status::Cordoned;
                    }
                }
                Step::Uncordon { host } if host < naive.hosts.len() => {
                    world.ok(Command::UncordonHost { name: name(&format!("m{host}")) });
                    if naive.hosts[host].status == Status::Lost {
                        let now = naive.now;
                        let own = naive.retired.iter_mut().filter(|((of, _), at)| *of == host && **at == u64::MAX);
                        own.for_each(|(_, at)| *at = now + COOL_DOWN_SECONDS * 1000);
                    }
                    naive.hosts[host].status = Status::Active;
                }
                Step::Lose { host } if host < naive.hosts.len() => {
                    world.ok(Command::LoseHost { name: name(&format!("m{host}")), reason: name("burnt") });
                    while let Some(at) = naive.processes.iter().position(|it| it.host == host) {
                        naive.end(at, u64::MAX);
                    }
                    let now = naive.now;
                    let cooling = naive.retired.iter_mut().filter(|((of, _), at)| *of == host && **at > now);
                    cooling.for_each(|(_, at)| *at = u64::MAX);
                    naive.hosts[host].status = Status::Lost;
                }
                Step::Cordon { .. } | Step::Uncordon { .. } | Step::Lose { .. } => {}
                Step::Quota { memory } => {
                    world.ok(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(memory) });
                    naive.quota = memory;
                }
                Step::Wait { millis } => world.now += millis,
                Step::Floor { mib } => {
                    let fields = serde_json::json!({ "overhead": { "floor_mib": mib } });
                    let policy = fields.as_object().unwrap().clone();
                    let patch = ClusterPatch { policy, ..ClusterPatch::default() };
                    world.ok(Command::ChangeCluster { name: name("web"), patch });
                    naive.floor = mib;
                }
            }
            compare(&naive, &world);
        }
    }
}
