//! The fleet of a campaign: so small that it is nearly full all the time.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use memc_core::fleet::{Fleet, Options};
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{
    ClusterName, HostName, Mib, Policy, Port, PortRange, Principal, Rack, Reason, TeamName,
};
use memc_core::store::Store;

pub(crate) const CLUSTER: &str = "web";
pub(crate) const TEAMS: [&str; 3] = ["shop", "search", "ads"];
/// Names of caches that a team uses, again and again.
pub(crate) const NAMES: u64 = 40;
pub(crate) const MOST_INSTANCES: u16 = 3;
const HOSTS: u8 = 12;
const PORTS: u16 = 14;
const HOST_MEMORY: u64 = 1400;
const QUOTA: u64 = 2200;

fn host(number: u8) -> HostName {
    HostName::new(&format!("m{number}")).expect("a name")
}

/// A store by its URL.
pub(crate) async fn connect(url: &str) -> Result<Arc<dyn Store>, String> {
    if url.starts_with("redis") {
        memc_store_redis::connect(url).await.map_err(|error| error.to_string())
    } else {
        memc_store_sql::connect(url).await.map_err(|error| error.to_string())
    }
}

/// Found the fleet, with its cluster, hosts, teams and quotas.
pub(crate) async fn found(url: &str, accept_risks: bool) {
    found_on(connect(url).await.expect("connect"), accept_risks).await;
}

pub(crate) async fn found_on(store: Arc<dyn Store>, accept_risks: bool) {
    let options = Options { accept_risks, ..Options::default() };
    let fleet = Fleet::open(store, options).await.expect("open");
    let name = ClusterName::new(CLUSTER).expect("a name");
    let ports = PortRange {
        first: Port::new(11211).expect("a port"),
        last: Port::new(11210 + PORTS).expect("a port"),
    };
    let policy = Policy { cool_down_seconds: 1, max_instances: MOST_INSTANCES, ..Policy::default() };
    let mut commands =
        vec![Command::CreateCluster { name: name.clone(), spec: ClusterSpec { ports, policy } }];
    commands.extend((0..HOSTS).map(|number| Command::AddHost {
        name: host(number),
        spec: HostSpec {
            cluster: name.clone(),
            address: IpAddr::from([127, 2, 0, 1 + number]),
            memory: Mib::new(HOST_MEMORY).expect("a size"),
            rack: Some(Rack::new(&format!("r{}", number % 3)).expect("a rack")),
            blocked_ports: BTreeSet::new(),
        },
    }));
    for team in TEAMS {
        let team = TeamName::new(team).expect("a name");
        let memory = Mib::new(QUOTA).expect("a size");
        commands.push(Command::CreateTeam { name: team.clone() });
        commands.push(Command::SetQuota { cluster: name.clone(), team, memory });
    }
    for command in commands {
        let actor = Principal::new("user:founder").expect("a name");
        fleet.submit(Order { actor, request: None, command }).await.expect("the fleet can be set up");
    }
}

/// Say that the ledger was set back, and that its hosts may be used. The epoch that begins with it.
pub(crate) async fn start_epoch(url: &str) -> u32 {
    let store = connect(url).await.expect("connect");
    let fleet = Fleet::open(store, Options::default()).await.expect("open");
    let reason = Reason::new("an older backup was put back").expect("a reason");
    let actor = Principal::new("user:founder").expect("a name");
    let hosts = (0..HOSTS).map(|number| Command::StateObserved {
        host: host(number),
        reason: Reason::new("no process runs on any").expect("a reason"),
    });
    for command in [Command::StartEpoch { reason }].into_iter().chain(hosts) {
        let order = Order { actor: actor.clone(), request: None, command };
        fleet.submit(order).await.expect("an epoch begins");
    }
    fleet.read(|state| state.fleet().expect("a fleet").epoch)
}

/// Allocate caches, each under a request id of its own, `n0`, `n1`, ….
#[cfg(test)]
pub(crate) async fn fill(store: Arc<dyn Store>, count: u64) {
    use crate::ask::Ask;
    use memc_core::model::RequestId;

    let fleet = Fleet::open(store, Options::default()).await.unwrap();
    for number in 0..count {
        let team = TEAMS[0].to_owned();
        let ask = Ask::Allocate { team, name: format!("c{number}"), memory: 8, instances: 2 };
        let order = Order {
            actor: Principal::new("user:w0c0").unwrap(),
            request: Some(RequestId::new(&format!("n{number}")).unwrap()),
            command: ask.command(),
        };
        fleet.submit(order).await.unwrap();
    }
}
