//! Private servers, and fleets on them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use clap::ValueEnum;
use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{CacheName, ClusterName, HostName, Mib, Policy, Port, PortRange, Principal, TeamName};
use memc_test_servers::{MariaDb, Postgres, Redis, Server};
use tempfile::TempDir;

/// What a host has, and an instance gets.
pub(crate) const HOST_MIB: u32 = 64 << 10;
pub(crate) const INSTANCE_MIB: u32 = 64;
pub(crate) const PORTS: std::ops::RangeInclusive<u16> = 11210..=11999;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
    Redis,
}

impl Kind {
    pub(crate) fn or_all(stores: Vec<Kind>) -> Vec<Kind> {
        if stores.is_empty() { Kind::value_variants().to_vec() } else { stores }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Sqlite => "SQLite",
            Kind::Postgres => "PostgreSQL",
            Kind::Mariadb => "MariaDB",
            Kind::Redis => "Redis",
        }
    }
}

/// An empty store on a server of its own; both go when it is dropped.
pub(crate) struct World {
    pub(crate) url: String,
    _server: Option<Server>,
    _directory: TempDir,
}

impl World {
    pub(crate) fn new(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(Postgres::start(&[("shared_buffers", "256MB"), ("max_wal_size", "4GB")])),
            Kind::Mariadb => Some(MariaDb::start(&[("innodb-buffer-pool-size", "256M")])),
            Kind::Redis => Some(Redis::start(&[])),
        };
        let url = server
            .as_ref()
            .map_or_else(|| format!("sqlite://{}/memc.db", directory.path().display()), Server::url);
        World { url, _server: server, _directory: directory }
    }
}

pub(crate) async fn open(url: &str) -> Fleet {
    let store = match url.starts_with("redis") {
        true => memc_store_redis::connect(url).await.unwrap(),
        false => memc_store_sql::connect(url).await.unwrap(),
    };
    Fleet::open(store, Options::default()).await.unwrap()
}

pub(crate) fn order(command: Command) -> Order {
    Order { actor: Principal::new("user:speed").unwrap(), request: None, command }
}

fn web() -> ClusterName {
    ClusterName::new("web").unwrap()
}

fn shop() -> TeamName {
    TeamName::new("shop").unwrap()
}

pub(crate) fn cache(name: &str, instances: u16) -> Order {
    order(Command::Allocate {
        team: shop(),
        name: CacheName::new(name).unwrap(),
        cluster: web(),
        memory: Mib::new(INSTANCE_MIB.into()).unwrap(),
        instances,
        max_per_rack: None,
    })
}

/// One cluster, one team without a limit, and hosts.
pub(crate) async fn found(fleet: &Fleet, hosts: usize) {
    let (first, last) = (Port::new(*PORTS.start()).unwrap(), Port::new(*PORTS.end()).unwrap());
    let spec = ClusterSpec { ports: PortRange { first, last }, policy: Policy::default() };
    for command in [
        Command::CreateCluster { name: web(), spec },
        Command::CreateTeam { name: shop() },
        Command::SetQuota { cluster: web(), team: shop(), memory: Mib::MAX },
    ] {
        fleet.submit(order(command)).await.unwrap();
    }
    all(fleet, (0..hosts).map(host)).await;
}

fn host(number: usize) -> Order {
    let [_, high, middle, low] = u32::try_from(number).unwrap().to_be_bytes();
    let spec = HostSpec {
        cluster: web(),
        address: IpAddr::from([127, 1 + high, middle, low]),
        memory: Mib::new(HOST_MIB.into()).unwrap(),
        rack: None,
        blocked_ports: BTreeSet::new(),
    };
    order(Command::AddHost { name: HostName::new(&format!("m{number}.example.com")).unwrap(), spec })
}

/// Carry out all of these, 64 at once.
pub(crate) async fn all(fleet: &Fleet, orders: impl Iterator<Item = Order>) {
    let mut shares: Vec<Vec<Order>> = vec![Vec::new(); 64];
    orders.enumerate().for_each(|(number, order)| shares[number % 64].push(order));
    let clients: Vec<_> = shares
        .into_iter()
        .map(|share| {
            let fleet = fleet.clone();
            tokio::spawn(async move {
                for order in share {
                    fleet.submit(order).await.unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}
