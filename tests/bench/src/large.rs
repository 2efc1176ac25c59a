//! Opening a large fleet.

use std::time::Instant;

use crate::process::{self, Process};
use crate::world::{Kind, World, all, cache, found};

/// Instances of a cache, and caches for each host.
const INSTANCES: u16 = 4;

pub(crate) fn measure(stores: &[Kind], hosts: usize) {
    println!("{hosts} hosts, {} instances", hosts * 10);
    println!(
        "| store | hosts added a second | instances a second | opened in | memory | most while opening |"
    );
    println!("|---|---|---|---|---|---|");
    for store in stores {
        let world = World::new(*store);
        let mut filling = Process::start(&["fill-role", &world.url, &hosts.to_string()]);
        filling.go();
        let [added, allocated]: [u64; 2] = filling.finish().try_into().unwrap();
        let mut opening = Process::start(&["open-role", &world.url]);
        opening.go();
        let [instances, ms, resident, most]: [u64; 4] = opening.finish().try_into().unwrap();
        assert_eq!(instances, hosts as u64 * 10);
        println!(
            "| {} | {added} | {allocated} | {:.2} s | {:.0} MiB | {:.0} MiB |",
            store.name(),
            ms as f64 / 1000.0,
            resident as f64 / 1024.0,
            most as f64 / 1024.0
        );
    }
}

/// A process that makes the fleet.
pub(crate) async fn fill(url: &str, hosts: usize) {
    process::ready();
    let fleet = crate::world::open(url).await;
    let since = Instant::now();
    found(&fleet, hosts).await;
    let added = hosts as f64 / since.elapsed().as_secs_f64();
    let since = Instant::now();
    let caches = hosts * 10 / usize::from(INSTANCES);
    // Names of 20 bytes.
    all(&fleet, (0..caches).map(|number| cache(&format!("cache-of-team-{number:06}"), INSTANCES))).await;
    let allocated = (hosts * 10) as f64 / since.elapsed().as_secs_f64();
    process::answer(&[added as u64, allocated as u64]);
}

/// A process that opens it.
pub(crate) async fn open(url: &str) {
    process::ready();
    let since = Instant::now();
    let fleet = crate::world::open(url).await;
    let took = since.elapsed();
    let instances = fleet.read(|state| state.instances().count());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    process::answer(&[instances as u64, took.as_millis() as u64, kib("VmRSS"), kib("VmHWM")]);
}
