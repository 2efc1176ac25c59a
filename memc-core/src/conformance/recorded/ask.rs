//! What clients ask for, in a form that a journal can hold, and the fleet that they ask it of.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::super::random::Random;
use crate::Fleet;
use crate::ledger::{ClusterSpec, Command, HostSpec, Order};
use crate::model::{
    CacheName, ClusterName, HostName, Mib, Policy, Port, PortRange, Principal, Reason, RequestId, TeamName,
};

const TEAMS: [&str; 2] = ["shop", "search"];
/// Names of caches that a team uses, again and again.
const NAMES: u64 = 12;

/// A command, by names alone: what it comes to is for the state to say that it is decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ask {
    Allocate { team: String, name: String, memory: u64, instances: u16 },
    Resize { team: String, name: String, memory: u64 },
    Release { team: String, name: String },
    Stopped { team: String, name: String, index: u16 },
}

impl Ask {
    pub(super) fn random(random: &mut Random) -> Self {
        let team = TEAMS[random.below(2) as usize].to_owned();
        let name = format!("c{}", random.below(NAMES));
        let memory = 8 + random.below(60);
        match random.below(10) {
            0..4 => Ask::Allocate { team, name, memory, instances: 1 + random.below(2) as u16 },
            4..6 => Ask::Resize { team, name, memory },
            6..8 => Ask::Release { team, name },
            _ => Ask::Stopped { team, name, index: random.below(2) as u16 },
        }
    }

    pub(super) fn order(&self, actor: &str, request: &str) -> Order {
        Order {
            actor: Principal::new(actor).unwrap(),
            request: Some(RequestId::new(request).unwrap()),
            command: self.command(),
        }
    }

    fn command(&self) -> Command {
        let team = |team: &str| TeamName::new(team).unwrap();
        let cache = |name: &str| CacheName::new(name).unwrap();
        let mib = |memory: u64| Mib::new(memory).unwrap();
        match self {
            Ask::Allocate { team: of, name, memory, instances } => Command::Allocate {
                team: team(of),
                name: cache(name),
                cluster: cluster(),
                memory: mib(*memory),
                instances: *instances,
                max_per_rack: None,
            },
            Ask::Resize { team: of, name, memory } => {
                Command::Resize { team: team(of), name: cache(name), memory: mib(*memory) }
            }
            Ask::Release { team: of, name } => Command::Release { team: team(of), name: cache(name) },
            Ask::Stopped { team: of, name, index } => Command::StateStopped {
                team: team(of),
                name: cache(name),
                index: *index,
                reason: Reason::new("seen with own eyes").unwrap(),
            },
        }
    }
}

fn cluster() -> ClusterName {
    ClusterName::new("web").unwrap()
}

/// A fleet that is soon full. Ports do not cool down: no answer depends on the time, so that each can be decided again.
pub(super) async fn prepare(fleet: &Fleet) {
    let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(11249).unwrap() };
    let policy = Policy { grow_headroom_percent: 0, cool_down_seconds: 0, ..Policy::default() };
    let mut commands = vec![Command::CreateCluster { name: cluster(), spec: ClusterSpec { ports, policy } }];
    commands.extend((1..=4).map(|host| Command::AddHost {
        name: HostName::new(&format!("m{host}")).unwrap(),
        spec: HostSpec {
            cluster: cluster(),
            address: IpAddr::from([127, 0, 0, host]),
            memory: Mib::new(450).unwrap(),
            rack: None,
            blocked_ports: BTreeSet::new(),
        },
    }));
    for team in TEAMS {
        let team = TeamName::new(team).unwrap();
        let memory = Mib::new(280).unwrap();
        commands.push(Command::CreateTeam { name: team.clone() });
        commands.push(Command::SetQuota { cluster: cluster(), team, memory });
    }
    for command in commands {
        let order = Order { actor: Principal::new("user:operator").unwrap(), request: None, command };
        fleet.submit(order).await.expect("the fleet can be set up");
    }
}
