//! What dumps, and a long snapshot as a long dump holds one, do to the rate of allocations on a private PostgreSQL server.
//!
//! ```text
//! cargo run --release -p memc-store-sql --example old_snapshot [SECONDS]
//! ```
//!
//! Four periods of so many seconds (20 unless said otherwise): without, with a snapshot that is held open, beside
//! `pg_dump`, one after the other without a pause, and without again.

#![allow(clippy::unwrap_used)] // a benchmark that cannot go on may panic

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{self, ClusterSpec, HostSpec, Order};
use memc_core::model::{
    CacheName, ClusterName, HostName, Mib, Policy, Port, PortRange, Principal, RequestId, TeamName,
};
use memc_test_servers::Postgres;
use sqlx::{Connection, PgConnection, raw_sql};

const HOSTS: usize = 1000;
const CLIENTS: usize = 64;

fn order(command: ledger::Command) -> Order {
    Order { actor: Principal::new("user:speed").unwrap(), request: None, command }
}

async fn found(fleet: &Fleet) {
    let (cluster, team) = (ClusterName::new("web").unwrap(), TeamName::new("shop").unwrap());
    let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(65535).unwrap() };
    let spec = ClusterSpec { ports, policy: Policy::default() };
    let quota = ledger::Command::SetQuota { cluster: cluster.clone(), team: team.clone(), memory: Mib::MAX };
    let create = ledger::Command::CreateCluster { name: cluster.clone(), spec };
    for command in [create, ledger::Command::CreateTeam { name: team }, quota] {
        fleet.submit(order(command)).await.unwrap();
    }
    for host in 0..HOSTS {
        let spec = HostSpec {
            cluster: cluster.clone(),
            address: IpAddr::from([127, 1, (host / 256) as u8, (host % 256) as u8]),
            memory: Mib::MAX_HOST,
            rack: None,
            blocked_ports: BTreeSet::new(),
        };
        let name = HostName::new(&format!("m{host}.example.com")).unwrap();
        fleet.submit(order(ledger::Command::AddHost { name, spec })).await.unwrap();
    }
}

/// One client: single allocations with request ids, one after another.
async fn allocate(fleet: Fleet, client: usize, done: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("c{client}-{number}");
        let command = ledger::Command::Allocate {
            team: TeamName::new("shop").unwrap(),
            name: CacheName::new(&name).unwrap(),
            cluster: ClusterName::new("web").unwrap(),
            memory: Mib::MIN_INSTANCE,
            instances: 1,
            max_per_rack: None,
        };
        let request = Some(RequestId::new(&name).unwrap());
        fleet.submit(Order { request, ..order(command) }).await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

async fn rate(what: &str, seconds: u64, done: &AtomicU64) -> f64 {
    let (since, before) = (Instant::now(), done.load(Ordering::Relaxed));
    let mut by_second = Vec::new();
    for _ in 0..seconds {
        let before = done.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        by_second.push(done.load(Ordering::Relaxed) - before);
    }
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / since.elapsed().as_secs_f64();
    let worst = by_second.iter().min().copied().unwrap_or_default();
    println!("{what}: {rate:.0}/s, last second {:?}, worst {worst}", by_second.last());
    rate
}

/// How many dumps there were.
fn dump_again_and_again(url: &str, stop: &AtomicBool) -> u32 {
    let mut dumps = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut dump = Command::new("pg_dump");
        assert!(dump.args(["--file=/dev/null", "--dbname"]).arg(url).status().unwrap().success());
        dumps += 1;
    }
    dumps
}

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).map_or(20, |it| it.parse().unwrap());
    let server = Postgres::start(&[]);
    let fleet = Fleet::open(memc_store_sql::connect(&server.url()).await.unwrap(), Options::default());
    let fleet = fleet.await.unwrap();
    found(&fleet).await;
    let (done, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(allocate(fleet.clone(), client, Arc::clone(&done), Arc::clone(&stop))))
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;

    let without = rate("without", seconds, &done).await;
    let mut dump = PgConnection::connect(&server.url()).await.unwrap();
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM ledger";
    raw_sql(begin).execute(&mut dump).await.unwrap();
    let with = rate("with a snapshot held open", seconds, &done).await;
    raw_sql("COMMIT").execute(&mut dump).await.unwrap();
    let stop_dumping = Arc::new(AtomicBool::new(false));
    let (url, stop_it) = (server.url(), Arc::clone(&stop_dumping));
    let dumping = tokio::task::spawn_blocking(move || dump_again_and_again(&url, &stop_it));
    let beside = rate("beside pg_dump", seconds, &done).await;
    stop_dumping.store(true, Ordering::Relaxed);
    let dumps = dumping.await.unwrap();
    let again = rate("without again", seconds, &done).await;
    let without = f64::midpoint(without, again);
    println!("with a snapshot / without: {:.2}", with / without);
    println!("beside {dumps} dumps / without: {:.2}", beside / without);

    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
}
