//! How fast the Redis store is on this machine: a large fleet, one process, every answer durable.
//!
//! ```text
//! cargo run --release -p memc-store-redis --example redis_speed [URL]
//! ```
//!
//! Without a URL it starts a redis-server of its own, in a temporary directory. The ledger that a URL names has to be
//! empty: try `redis://127.0.0.1/0?prefix=speed`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a benchmark that cannot go on may panic

use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{
    CacheName, ClusterName, HostName, Mib, Policy, Port, PortRange, Principal, RequestId, TeamName,
};
use tempfile::TempDir;

const HOSTS: usize = 10_000;
const CLIENTS: usize = 64;

/// A server that ends with this.
struct Server {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Server {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Process::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""])
            .args(["--appendonly", "yes", "--appendfsync", "always"])
            .arg("--dir")
            .arg(directory.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is needed: apt-get install redis-server");
        Server { process, port, _directory: directory }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

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
    let since = Instant::now();
    let store = loop {
        match memc_store_redis::connect(url).await {
            Ok(store) => break store,
            Err(_) if since.elapsed() < Duration::from_secs(5) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
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
    let url = std::env::args().nth(1);
    let own = if url.is_none() { Some(Server::start()) } else { None };
    let url = url.or(own.as_ref().map(|own| format!("redis://127.0.0.1:{}/0", own.port))).unwrap();
    let fleet = open(&url).await;
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
    println!("{HOSTS} hosts added: {:.0}/s", HOSTS as f64 / took.as_secs_f64());
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
    println!("20000 caches of 1 instance, {CLIENTS} clients: {:.0}/s", 20_000.0 / took.as_secs_f64());
    let took = all(&fleet, (0..1250).map(|number| allocate(format!("many-{number}"), 64))).await;
    println!(
        "1250 caches of 64 instances, {CLIENTS} clients: {:.0} instances/s",
        80_000.0 / took.as_secs_f64()
    );
    drop(fleet);
    let since = Instant::now();
    let fleet = open(&url).await;
    println!("opening {} instances: {:?}", fleet.read(|state| state.instances().count()), since.elapsed());
}
