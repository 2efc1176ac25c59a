//! Rebalancing against the most hosts that can be emptied, as an integer program proved it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use memc_core::model::{CacheId, HostId, InstanceId, Rack};
use memc_core::placement::plan::{Budget, check, rebalance};
use memc_core::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};
use serde_json::Value;

use crate::generate::mib;

/// A tenth of a second a case.
const WORK: u64 = 1_000_000;

/// A case as `scripts/lib/plan-optima.py` writes it.
struct Case {
    layout: Layout,
    budget: Budget,
    hosts: usize,
    cold: u64,
}

fn numbers(row: &Value) -> Vec<u64> {
    row.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

fn rows(case: &Value, name: &str) -> Vec<Vec<u64>> {
    case[name].as_array().unwrap().iter().map(numbers).collect()
}

fn case(frozen: &Value) -> Case {
    let hosts = rows(frozen, "hosts").into_iter().enumerate().map(|(at, row)| LayoutHost {
        id: HostId::new(at as u64 + 1),
        rack: Some(Rack::new(&format!("r{}", row[0])).unwrap()),
        memory: mib(row[1] + row[1] / 9),
        limit: mib(row[1]),
        booked: mib(row[2]),
        ports: row[3] as u32,
        open: row[4] == 1,
    });
    let caches = numbers(&frozen["caches"]).into_iter().enumerate().map(|(at, most)| LayoutCache {
        id: CacheId::new(at as u64 + 1),
        max_per_rack: (most > 0).then_some(most as u16),
    });
    let instances = rows(frozen, "instances").into_iter().enumerate().map(|(at, row)| LayoutInstance {
        id: InstanceId::new(at as u64 + 1),
        cache: row[0] as u32,
        host: row[1] as u32,
        memory: mib(row[2]),
        booked: mib(row[3]),
        rebooked: mib(row[4]),
        movable: row[5] == 1,
    });
    let (budget, optimum) = (numbers(&frozen["budget"]), numbers(&frozen["optimum"]));
    Case {
        layout: Layout { hosts: hosts.collect(), caches: caches.collect(), instances: instances.collect() },
        budget: Budget { total: mib(budget[0]), per_cache: mib(budget[1]) },
        hosts: optimum[0] as usize,
        cold: optimum[1],
    }
}

/// Hosts emptied and proved to be possible; MiB moved and proved to be the least, where as many hosts are emptied.
#[derive(Debug, Default)]
struct Sums {
    hosts: usize,
    of_hosts: usize,
    cold: u64,
    of_cold: u64,
}

/// The first `most` cases of each family.
fn measure(most: usize, work: u64) -> Sums {
    let frozen: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(include_str!("../data/plans.json")).unwrap();
    let mut sums = Sums::default();
    for (family, cases) in &frozen {
        let (mut here, mut of_here) = (0, 0);
        for (at, case) in cases.iter().take(most).map(case).enumerate() {
            let plan = rebalance(&case.layout, case.budget, work);
            assert_eq!(check(&case.layout, &plan, case.budget), Ok(()), "{family} {at}");
            let (hosts, cold) = (plan.emptied.len(), plan.cold.get());
            assert!(
                (hosts, Reverse(cold)) <= (case.hosts, Reverse(case.cold)),
                "{family} {at} beats its proof"
            );
            here += hosts;
            of_here += case.hosts;
            if hosts == case.hosts {
                sums.cold += cold;
                sums.of_cold += case.cold;
            }
        }
        println!("{family}: {here} of {of_here} hosts in {} cases", cases.len().min(most));
        sums.hosts += here;
        sums.of_hosts += of_here;
    }
    println!("{sums:?}");
    sums
}

#[test]
fn never_better_than_proved_and_close_with_little_work() {
    let sums = measure(4, 20_000);
    assert!(sums.hosts * 100 >= sums.of_hosts * 85, "{sums:?}");
}

#[test]
#[ignore = "minutes in a debug build: scripts/test long"]
fn close_to_proved_optima() {
    let sums = measure(usize::MAX, WORK);
    assert!(sums.hosts * 100 >= sums.of_hosts * 99, "{sums:?}");
    assert!(sums.cold * 100 <= sums.of_cold * 103, "{sums:?}");
}
