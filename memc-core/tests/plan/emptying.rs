//! Rebalancing against the most hosts that can be emptied, as an integer program proved it.

use std::collections::BTreeMap;

use memc_core::model::{CacheId, HostId, InstanceId, Rack};
use memc_core::placement::plan::{Budget, check, rebalance};
use memc_core::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};
use serde_json::Value;

use crate::generate::mib;

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

#[test]
fn close_to_proved_optima() {
    let frozen: BTreeMap<String, Vec<Value>> =
        serde_json::from_str(include_str!("../data/plans.json")).unwrap();
    let (mut hosts, mut of_hosts, mut cold, mut of_cold) = (0, 0, 0, 0);
    for (family, cases) in &frozen {
        let (mut here, mut of_here, mut better) = (0, 0, 0);
        for (at, case) in cases.iter().map(case).enumerate() {
            let plan = rebalance(&case.layout, case.budget, std::env::var("WORK").map_or(10_000_000, |w| w.parse().unwrap()));
            assert_eq!(check(&case.layout, &plan, case.budget), Ok(()), "{family} {at}");
            println!(
                "{family} {at}: {} of {}, {} of {} MiB",
                plan.emptied.len(),
                case.hosts,
                plan.cold.get(),
                case.cold
            );
            here += plan.emptied.len();
            of_here += case.hosts;
            if plan.emptied.len() == case.hosts {
                cold += plan.cold.get();
                of_cold += case.cold;
            }
            better += usize::from(
                (plan.emptied.len(), std::cmp::Reverse(plan.cold.get()))
                    > (case.hosts, std::cmp::Reverse(case.cold)),
            );
        }
        println!("{family}: {here} of {of_here} hosts in {} cases", cases.len());
        assert_eq!(better, 0, "{family}: better than what was proved to be the best");
        (hosts, of_hosts) = (hosts + here, of_hosts + of_here);
    }
    println!("{hosts} of {of_hosts} hosts; where as many, {cold} MiB moved of {of_cold}");
    assert!(hosts * 100 >= of_hosts * 99, "{hosts} of {of_hosts} hosts");
    assert!(cold * 100 <= of_cold * 103, "{cold} MiB moved of {of_cold}");
}
