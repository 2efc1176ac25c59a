//! A small fleet, by commands.

#![allow(dead_code)] // each test uses some of it

use std::collections::BTreeSet;
use std::net::IpAddr;

use memc_core::Fleet;
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{
    CacheName, ClusterName, HostName, Mib, Policy, Port, PortRange, Principal, RequestId, TeamName,
};

pub(crate) fn order(command: Command) -> Order {
    Order { actor: Principal::new("user:test").unwrap(), request: None, command }
}

/// Cluster `web` with nine hosts, and team `shop`.
pub(crate) async fn found(fleet: &Fleet) {
    let (cluster, team) = (ClusterName::new("web").unwrap(), TeamName::new("shop").unwrap());
    let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(11299).unwrap() };
    let spec = ClusterSpec { ports, policy: Policy::default() };
    let mut commands = vec![
        Command::CreateCluster { name: cluster.clone(), spec },
        Command::CreateTeam { name: team.clone() },
        Command::SetQuota { cluster: cluster.clone(), team, memory: Mib::MAX },
    ];
    for host in 1..=9 {
        let spec = HostSpec {
            cluster: cluster.clone(),
            address: IpAddr::from([127, 0, 0, host]),
            memory: Mib::MAX_HOST,
            rack: None,
            blocked_ports: BTreeSet::new(),
        };
        let name = HostName::new(&format!("m{host}.example.com")).unwrap();
        commands.push(Command::AddHost { name, spec });
    }
    for command in commands {
        fleet.submit(order(command)).await.expect("found");
    }
}

/// Caches of five instances and with request ids. Each is a turn of its own, as each waits for the one before.
pub(crate) async fn allocate(fleet: &Fleet, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let name = format!("cache-{number}");
        let command = Command::Allocate {
            team: TeamName::new("shop").unwrap(),
            name: CacheName::new(&name).unwrap(),
            cluster: ClusterName::new("web").unwrap(),
            memory: Mib::MIN_INSTANCE,
            instances: 5,
            max_per_rack: None,
        };
        let request = Some(RequestId::new(&name).unwrap());
        fleet.submit(Order { request, ..order(command) }).await.expect("allocate");
    }
}
