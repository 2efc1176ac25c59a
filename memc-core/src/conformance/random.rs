//! Random commands, against the reference.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::Fixture;
use super::process::{Process, Records, assert_sound, load};
use crate::ledger::{ClusterSpec, Command, HostPatch, HostSpec, Order, Seen};
use crate::model::{
    CacheName, ClusterName, HostName, Instance, Mib, ObserverId, Phase, Policy, Port, PortRange, Principal,
    Rack, Reason, RequestId, Revision, TeamName, Timestamp,
};
use crate::store::MemoryStore;

const TURNS: usize = 150;
const SEEDS: u64 = 3;

/// Random commands of every kind, decided on two handles in turns of random length, get the same receipts and
/// refusals as on a [`MemoryStore`] and leave the same records.
pub async fn random_commands_match_the_reference(fixture: &dyn Fixture) {
    let handles = [fixture.open().await, fixture.open().await];
    let mut processes = handles.map(Process::new);
    let memory = MemoryStore::new();
    let mut reference = Process::new(Arc::new(memory.clone()));
    // Not the store's clock, so that both decide at the same time; it only has to keep going forward.
    let mut clock = Timestamp::from_millis(1_700_000_000_000);
    let (mut carried_out, mut refused) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = Random(seed);
        for _ in 0..TURNS {
            clock = clock.after(Duration::from_secs(random.below(3600)));
            let orders: Vec<Order> = (0..=random.below(5)).map(|_| random.order(&reference)).collect();
            let process = &mut processes[random.below(2) as usize];
            let verdicts = process.turn(&orders, clock).await;
            let expected = reference.turn(&orders, clock).await;
            assert_eq!(verdicts, expected, "{orders:?}");
            carried_out += verdicts.iter().filter(|verdict| verdict.is_ok()).count();
            refused += verdicts.iter().filter(|verdict| verdict.is_err()).count();
        }
        let expected: Records = load(&memory).await.0;
        let store = fixture.open().await;
        assert_eq!(assert_sound(&*store).await.0, expected, "seed {seed}");
    }
    eprintln!("{carried_out} commands carried out, {refused} refused");
    assert!(
        carried_out > 300 && refused > 100,
        "{carried_out} carried out, {refused} refused: too few to tell"
    );
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>. The same commands on every run.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn cluster(&mut self) -> ClusterName {
        ClusterName::new(["web", "batch"][self.below(2) as usize]).unwrap()
    }

    fn team(&mut self) -> TeamName {
        TeamName::new(["shop", "search", "ads"][self.below(3) as usize]).unwrap()
    }

    fn cache(&mut self) -> CacheName {
        CacheName::new(&format!("c{}", self.below(5))).unwrap()
    }

    fn host(&mut self) -> HostName {
        let name = format!("m{}", self.below(8));
        HostName::new(&if self.below(20) == 0 { name.to_uppercase() } else { name }).unwrap()
    }

    fn mib(&mut self, bound: u64) -> Mib {
        Mib::new(self.below(bound)).unwrap()
    }

    fn reason(&mut self) -> Reason {
        Reason::new("seen with own eyes").unwrap()
    }

    fn instance(&mut self, process: &Process) -> Option<Instance> {
        let mut instances: Vec<&Instance> = process.state.instances().collect();
        instances.sort_by_key(|instance| instance.id);
        let chosen = self.below(instances.len().max(1) as u64) as usize;
        instances.get(chosen).map(|instance| (*instance).clone())
    }

    fn cluster_spec(&mut self) -> ClusterSpec {
        let first = 11210 + self.below(3) as u16;
        let ports = PortRange {
            first: Port::new(first).unwrap(),
            last: Port::new(first + self.below(5) as u16).unwrap(),
        };
        let mut policy =
            Policy { cool_down_seconds: self.below(20_000), max_instances: 4, ..Policy::default() };
        policy.overhead.floor_mib = self.below(40);
        ClusterSpec { ports, policy }
    }

    fn blocked(&mut self) -> BTreeSet<Port> {
        (0..self.below(3)).map(|_| Port::new(11210 + self.below(6) as u16).unwrap()).collect()
    }

    fn order(&mut self, process: &Process) -> Order {
        let command = self.command(process);
        let actor = Principal::new(["user:a", "user:b"][self.below(2) as usize]).unwrap();
        // Few enough that some are used again, with the same command or another.
        let request = (self.below(2) == 0).then(|| RequestId::new(&format!("r{}", self.below(400))).unwrap());
        Order { actor, request, command }
    }

    fn command(&mut self, process: &Process) -> Command {
        match self.below(40) {
            0 => Command::Found { id: uuid::Uuid::from_u128(7) },
            1 | 2 => Command::CreateCluster { name: self.cluster(), spec: self.cluster_spec() },
            3 => Command::ChangeCluster { name: self.cluster(), patch: self.cluster_spec().into() },
            4 => Command::RemoveCluster { name: self.cluster() },
            5..=8 => {
                let spec = HostSpec {
                    cluster: self.cluster(),
                    address: IpAddr::from([127, 0, 0, self.below(256) as u8]),
                    memory: self.mib(2000),
                    rack: (self.below(2) == 0).then(|| Rack::new("r1").unwrap()),
                    blocked_ports: self.blocked(),
                };
                Command::AddHost { name: self.host(), spec }
            }
            9 | 10 => {
                let patch = HostPatch {
                    name: (self.below(4) == 0).then(|| self.host()),
                    memory: (self.below(2) == 0).then(|| self.mib(2000)),
                    rack: (self.below(2) == 0).then_some(None),
                    blocked_ports: (self.below(2) == 0).then(|| self.blocked()),
                    ..HostPatch::default()
                };
                Command::ChangeHost { name: self.host(), patch }
            }
            11 => Command::CordonHost { name: self.host() },
            12 | 13 => Command::UncordonHost { name: self.host() },
            14 => Command::RemoveHost { name: self.host() },
            15 => Command::LoseHost { name: self.host(), reason: self.reason() },
            16 | 17 => Command::CreateTeam { name: self.team() },
            18 => Command::RemoveTeam { name: self.team() },
            19 | 20 => {
                Command::SetQuota { cluster: self.cluster(), team: self.team(), memory: self.mib(3000) }
            }
            21..=26 => Command::Allocate {
                team: self.team(),
                name: self.cache(),
                cluster: self.cluster(),
                memory: self.mib(200),
                instances: 1 + self.below(3) as u16,
                max_per_rack: None,
            },
            27 | 28 => Command::Resize { team: self.team(), name: self.cache(), memory: self.mib(300) },
            29 | 30 => Command::Release { team: self.team(), name: self.cache() },
            31 => Command::Replace { team: self.team(), name: self.cache() },
            32 => {
                let revision = Revision::new(process.state.head().revision.get() + self.below(3));
                Command::NoteServed { host: self.host(), document: revision }
            }
            33 => {
                let (team, name) = (self.team(), self.cache());
                Command::StateStopped { team, name, index: self.below(3) as u16, reason: self.reason() }
            }
            _ => match self.instance(process) {
                Some(it) => {
                    let memory = if self.below(3) == 0 { self.mib(300) } else { it.memory };
                    let running = Seen::Running { memory, within: true, observer: ObserverId::of("here") };
                    let seen = if it.phase == Phase::Releasing { Seen::Stopped } else { running };
                    Command::Confirm { instance: it.id, revision: it.revision, seen }
                }
                None => Command::CreateTeam { name: self.team() },
            },
        }
    }
}
