//! How fast the stores are on this machine: a large fleet, one process.
//!
//! ```text
//! cargo run --release -p memc-faults --example store_speed [STORE...]
//! ```
//!
//! A store is `sqlite` (the default; in a temporary directory), `postgres`, `mariadb` or `redis` (a private server of its
//! own), or the URL of an empty one.

#![allow(clippy::unwrap_used)] // a benchmark that cannot go on may panic

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{
    CacheName, ClusterName, HostName, Mib, Policy, Port, PortRange, Principal, RequestId, TeamName,
};
use memc_test_servers::{MariaDb, Postgres, Redis};

const HOSTS: usize = 10_000;
const CLIENTS: usize = 64;

fn order(command: Command) -> Order {
    Order { actor: Principal::new("user:speed").unwrap(), request: None, command }
}

fn web() -> ClusterName {
    ClusterName::new("web").unwrap()
}

fn shop() -> TeamName {
    TeamName::new("shop").unwrap()
}

async fn open(url: &str) -> Fleet {
    let store = match url.starts_with("redis") {
        true => memc_store_redis::connect(url).await.unwrap(),
        false => memc_store_sql::connect(url).await.unwrap(),
    };
    Fleet::open(store, Options::default()).await.unwrap()
}

/// Give commands from as many clients as there are, and say how long it took.
async fn all(fleet: &Fleet, commands: impl Iterator<Item = Order>) -> Duration {
    let mut shares: Vec<Vec<Order>> = vec![Vec::new(); CLIENTS];
    commands.enumerate().for_each(|(number, order)| shares[number % CLIENTS].push(order));
    let since = Instant::now();
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
    since.elapsed()
}

#[tokio::main]
async fn main() {
    let mut stores: Vec<String> = std::env::args().skip(1).collect();
    if stores.is_empty() {
        stores.push("sqlite".into());
    }
    for store in stores {
        println!("{}", store.split_once(':').map_or(&*store, |(scheme, _)| scheme));
        let directory = tempfile::tempdir().unwrap();
        let server = match &*store {
            "postgres" => Some(Postgres::start(&[])),
            "mariadb" => Some(MariaDb::start(&[])),
            "redis" => Some(Redis::start(&[])),
            _ => None,
        };
        let url = match (server.as_ref(), &*store) {
            (Some(server), _) => server.url(),
            (None, "sqlite") => format!("sqlite://{}/memc.db", directory.path().display()),
            (None, url) => url.to_owned(),
        };
        measure(&url).await;
    }
}

async fn measure(url: &str) {
    let fleet = open(url).await;
    let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(11999).unwrap() };
    let policy = Policy { max_instances: 64, ..Policy::default() };
    for command in [
        Command::CreateCluster { name: web(), spec: ClusterSpec { ports, policy } },
        Command::CreateTeam { name: shop() },
        Command::SetQuota { cluster: web(), team: shop(), memory: Mib::MAX },
    ] {
        fleet.submit(order(command)).await.unwrap();
    }
    let hosts = (0..HOSTS).map(|number| {
        let spec = HostSpec {
            cluster: web(),
            address: IpAddr::from([127, 1, (number / 256) as u8, (number % 256) as u8]),
            memory: Mib::new(64 << 10).unwrap(),
            rack: None,
            blocked_ports: BTreeSet::new(),
        };
        order(Command::AddHost { name: HostName::new(&format!("m{number}.example.com")).unwrap(), spec })
    });
    let took = all(&fleet, hosts).await;
    println!("  {HOSTS} hosts added: {:.0}/s", HOSTS as f64 / took.as_secs_f64());
    let allocate = |name: String, instances: u16| {
        let command = Command::Allocate {
            team: shop(),
            name: CacheName::new(&name).unwrap(),
            cluster: web(),
            memory: Mib::new(64).unwrap(),
            instances,
            max_per_rack: None,
        };
        Order { request: Some(RequestId::new(&name).unwrap()), ..order(command) }
    };
    let took = all(&fleet, (0..20_000).map(|number| allocate(format!("one-{number}"), 1))).await;
    println!("  20000 caches of 1 instance, {CLIENTS} clients: {:.0}/s", 20_000.0 / took.as_secs_f64());
    let took = all(&fleet, (0..1250).map(|number| allocate(format!("many-{number}"), 64))).await;
    println!(
        "  1250 caches of 64 instances, {CLIENTS} clients: {:.0} instances/s",
        80_000.0 / took.as_secs_f64()
    );
    drop(fleet);
    let since = Instant::now();
    let fleet = open(url).await;
    println!("  opening {} instances: {:?}", fleet.read(|state| state.instances().count()), since.elapsed());
}
