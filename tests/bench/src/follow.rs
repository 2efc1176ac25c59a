//! What following costs.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::process::{self, Process};
use crate::world::{Kind, World, cache, found, open};

const HOSTS: usize = 10_000;
/// Commits a second.
const COMMITS: u64 = 1000;
/// As many at once, so often a second.
const AT_ONCE: u64 = 10;

pub(crate) async fn measure(stores: &[Kind], seconds: u64) {
    println!("A process that only follows, {HOSTS} hosts, another one writes {COMMITS} commits a second");
    println!("| store | commits followed a second | of a core |\n|---|---|---|");
    for store in stores {
        let world = World::new(*store);
        {
            let fleet = open(&world.url).await;
            found(&fleet, HOSTS).await;
        }
        let mut writing = Process::start(&["write-role", &world.url, &seconds.to_string()]);
        let mut following = Process::start(&["follow-role", &world.url]);
        following.go();
        writing.go();
        writing.finish();
        // Tells it to stop.
        following.go();
        let [commits, cpu_ms]: [u64; 2] = following.finish().try_into().unwrap();
        let rate = commits as f64 / seconds as f64;
        println!("| {} | {rate:.0} | {:.1} % |", store.name(), cpu_ms as f64 / seconds as f64 / 10.0);
    }
}

/// A process that follows until it is told to stop.
pub(crate) async fn follow(url: &str) {
    let fleet = open(url).await;
    process::ready();
    let (before, begin) = (cpu_ms(), fleet.status().revision.get());
    tokio::task::spawn_blocking(process::wait).await.unwrap();
    fleet.refresh().await.unwrap();
    process::answer(&[fleet.status().revision.get() - begin, cpu_ms() - before]);
}

/// Milliseconds of a core that this process has had.
fn cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // Fields 14 and 15, in hundredths of a second; the first here is the third.
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap() * 10).sum()
}

/// A process that writes at an even pace.
pub(crate) async fn write(url: &str, seconds: u64) {
    let fleet = open(url).await;
    process::ready();
    let mut pace = interval(Duration::from_secs(1) / (COMMITS / AT_ONCE) as u32);
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut asked = JoinSet::new();
    for number in 0..COMMITS * seconds {
        if number % AT_ONCE == 0 {
            pace.tick().await;
        }
        let fleet = fleet.clone();
        asked.spawn(async move { fleet.submit(cache(&format!("cache-{number}"), 1)).await.map(|_| ()) });
    }
    for written in asked.join_all().await {
        written.unwrap();
    }
    process::answer(&[COMMITS * seconds]);
}
