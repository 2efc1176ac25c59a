//! Months until full, from the ledger.

use memc_core::ledger::{State, booked_over_time};
use memc_core::model::*;
use memc_core::placement::capacity::trend::{Trend, until_full};

use crate::world::*;

const DAY: u64 = 24 * 60 * 60 * 1000;

#[test]
fn a_ledger_says_when_its_cluster_is_full() {
    let overhead = Overhead { percent: 0, base_mib: 0, floor_mib: 0, connections: 0, connection_kib: 0 };
    let mut world = World::new(Policy { overhead, ..Policy::default() }, 1_000_000);
    for host in ["m1", "m2", "m3", "m4", "m5"] {
        world.ok(add_host(host, 1000, None));
    }
    // 100 MiB a day; on the fourth a large one comes and is gone before the fifth.
    for day in 0..10 {
        world.now += DAY;
        world.ok(allocate(&format!("c{day}"), 50, 1));
        world.ok(allocate(&format!("d{day}"), 50, 1));
        if day == 3 {
            world.ok(allocate("guest", 900, 1));
            let guest = world.instances("guest").remove(0);
            world.seen_running(&guest, 900, true).unwrap();
            world.ok(release("guest"));
            let guest = world.instances("guest").remove(0);
            world.now += DAY / 2;
            world.stopped(&guest).unwrap();
            world.now -= DAY / 2;
        }
    }
    let points = booked_over_time(State::default(), &world.commits, &name("web")).unwrap();
    // The day on which the cluster was made, and ten more.
    let booked: Vec<u64> = points.iter().map(|(_, booked)| booked.get()).collect();
    assert_eq!(booked, [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
    let Trend::Full { months, monthly } = until_full(&points, mib(5000)) else { panic!("it grows") };
    assert!((months - 40.0 / 30.4375).abs() < 1e-6, "{months}");
    assert!((monthly - 100.0 * 30.4375).abs() < 1e-6, "{monthly}");

    // The same from a state and the commits since, and nothing of a cluster that is not there.
    let (old, since) = world.commits.split_at(20);
    let mut before = State::default();
    old.iter().for_each(|commit| before.fold(commit).unwrap());
    let later = booked_over_time(before, since, &name("web")).unwrap();
    assert_eq!(later, points[points.len() - later.len()..]);
    assert_eq!(booked_over_time(State::default(), &world.commits, &name("db")).unwrap(), []);
    // Commits that do not follow are refused.
    booked_over_time(State::default(), since, &name("web")).unwrap_err();
}
