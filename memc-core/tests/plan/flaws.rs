//! The checker finds each way in which a plan can be wrong, and no input makes a planner panic.

use memc_core::model::{CacheId, HostId, InstanceId, Mib, Rack};
use memc_core::placement::plan::{
    Answer, Budget, Flaw, Plan, Request, Step, check, drain, make_room, rebalance,
};
use memc_core::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};
use proptest::prelude::*;

use crate::generate::mib;

fn host(id: u64, rack: &str, booked: u64) -> LayoutHost {
    LayoutHost {
        id: HostId::new(id),
        rack: Some(Rack::new(rack).unwrap()),
        memory: mib(110),
        limit: mib(100),
        booked: mib(booked),
        ports: 1,
        open: true,
    }
}

fn instance(id: u64, cache: u32, host: u32) -> LayoutInstance {
    LayoutInstance {
        id: InstanceId::new(id),
        cache,
        host,
        memory: mib(30),
        booked: mib(40),
        rebooked: mib(35),
        movable: true,
    }
}

/// Two instances of a cache in racks a and b, another instance in rack b, a host of rack b that is empty.
fn small() -> Layout {
    Layout {
        hosts: vec![host(1, "a", 40), host(2, "b", 80), host(3, "b", 0)],
        caches: vec![
            LayoutCache { id: CacheId::new(1), max_per_rack: Some(1) },
            LayoutCache { id: CacheId::new(2), max_per_rack: None },
        ],
        instances: vec![instance(1, 0, 0), instance(2, 0, 1), instance(3, 1, 1)],
    }
}

fn step(instance: u64, cache: u64, from: u64, to: u64) -> Step {
    Step {
        instance: InstanceId::new(instance),
        cache: CacheId::new(cache),
        from: HostId::new(from),
        to: HostId::new(to),
        memory: mib(30),
        booked: mib(35),
    }
}

fn plan(steps: &[Step], emptied: &[u64]) -> Plan {
    Plan {
        steps: steps.to_vec(),
        cold: mib(30 * steps.len() as u64),
        emptied: emptied.iter().copied().map(HostId::new).collect(),
    }
}

#[test]
fn each_flaw_is_found() {
    let layout = small();
    let (to, cache, number) = (HostId::new(3), CacheId::new(1), InstanceId::new(2));
    let ok = plan(&[step(2, 1, 2, 3)], &[]);
    let judge = |plan: &Plan| check(&layout, plan, Budget::UNLIMITED);
    assert_eq!(judge(&ok), Ok(()));
    assert_eq!(judge(&plan(&[step(9, 1, 2, 3)], &[])), Err(Flaw::Unknown { step: 0 }));
    assert_eq!(judge(&plan(&[step(2, 1, 2, 9)], &[])), Err(Flaw::Unknown { step: 0 }));
    for wrong in [step(2, 2, 2, 3), step(2, 1, 1, 3), Step { memory: mib(31), ..ok.steps[0] }] {
        assert_eq!(judge(&plan(&[wrong], &[])), Err(Flaw::Stale { step: 0, instance: number }));
    }
    assert_eq!(judge(&plan(&[step(1, 1, 1, 3)], &[])), Err(Flaw::RackFull { step: 0, host: to, cache }));
    let together = Err(Flaw::Together { step: 0, host: HostId::new(1), cache });
    assert_eq!(judge(&plan(&[step(2, 1, 2, 1)], &[])), together);
    let ports = plan(&[step(2, 1, 2, 3), step(3, 2, 2, 3)], &[]);
    assert_eq!(judge(&ports), Err(Flaw::NoPort { step: 1, host: to }));
    let emptied = plan(&[step(2, 1, 2, 3)], &[2]);
    assert_eq!(judge(&emptied), Err(Flaw::NotEmptied { host: HostId::new(2) }));
    assert_eq!(judge(&plan(&[step(2, 1, 2, 3)], &[3])), Err(Flaw::Closed { step: 0, host: to }));
    let sum = Plan { cold: mib(29), ..ok.clone() };
    assert_eq!(judge(&sum), Err(Flaw::WrongSum { said: mib(29), cold: mib(30) }));
    for budget in
        [Budget { total: mib(29), per_cache: mib(99) }, Budget { total: mib(99), per_cache: mib(29) }]
    {
        assert_eq!(check(&layout, &ok, budget), Err(Flaw::OverBudget { step: 0 }));
    }

    let with = |change: &dyn Fn(&mut Layout)| {
        let mut layout = small();
        change(&mut layout);
        check(&layout, &ok, Budget::UNLIMITED)
    };
    assert_eq!(with(&|layout| layout.hosts[2].open = false), Err(Flaw::Closed { step: 0, host: to }));
    assert_eq!(
        with(&|layout| layout.instances[1].movable = false),
        Err(Flaw::Fixed { step: 0, instance: number })
    );
    let full = Err(Flaw::NoMemory { step: 0, host: to, booked: mib(35) });
    assert_eq!(with(&|layout| layout.hosts[2].limit = mib(34)), full);
}

#[test]
fn a_move_within_a_rack_that_is_over_full_is_none_too_many() {
    let mut layout = small();
    layout.hosts[0].rack = layout.hosts[1].rack.clone();
    let Answer::Plan(plan) = drain(&layout, HostId::new(2), 1_000) else { panic!("infeasible") };
    assert_eq!(plan.steps.len(), 2);
    assert_eq!(check(&layout, &plan, Budget::UNLIMITED), Ok(()));
}

fn any_mib() -> impl Strategy<Value = Mib> {
    prop_oneof![Just(0), 1..40u64, Just(Mib::MAX.get())].prop_map(mib)
}

/// Anything that the types allow, sums that are wrong and positions that do not exist included.
fn any_layout() -> impl Strategy<Value = Layout> {
    let host = (0..3u8, any_mib(), any_mib(), any_mib(), prop_oneof![0..3u32, Just(u32::MAX)], any::<bool>());
    let instance = (0..4u32, 0..5u32, any_mib(), any_mib(), any_mib(), any::<bool>());
    let many = (
        prop::collection::vec(host, 0..5),
        prop::collection::vec(prop::option::of(0..3u16), 0..4),
        prop::collection::vec(instance, 0..7),
    );
    many.prop_map(|(hosts, caches, instances)| Layout {
        hosts: (1..)
            .zip(hosts)
            .map(|(id, (rack, memory, limit, booked, ports, open))| LayoutHost {
                id: HostId::new(id),
                rack: (rack > 0).then(|| Rack::new(&format!("r{rack}")).unwrap()),
                memory,
                limit,
                booked,
                ports,
                open,
            })
            .collect(),
        caches: (1..)
            .zip(caches)
            .map(|(id, max_per_rack)| LayoutCache { id: CacheId::new(id), max_per_rack })
            .collect(),
        instances: (1..)
            .zip(instances)
            .map(|(id, (cache, host, memory, booked, rebooked, movable))| LayoutInstance {
                id: InstanceId::new(id),
                cache,
                host,
                memory,
                booked,
                rebooked,
                movable,
            })
            .collect(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever comes out passes the checker.
    #[test]
    fn nothing_panics(layout in any_layout(), total in any_mib(), per_cache in any_mib(), need in any_mib(),
                      count in 0..4u16, most in prop::option::of(0..3u16), id in 0..6u64,
                      work in prop_oneof![0..50u64, Just(5_000)]) {
        let budget = Budget { total, per_cache };
        prop_assert_eq!(check(&layout, &rebalance(&layout, budget, work), budget), Ok(()));
        if let Answer::Plan(plan) = drain(&layout, HostId::new(id), work) {
            prop_assert_eq!(check(&layout, &plan, Budget::UNLIMITED), Ok(()));
        }
        let cache = Some(CacheId::new(id));
        let new = Request::New { booked: need, instances: count, max_per_rack: most, cache };
        let grow = Request::Grow { instances: vec![(InstanceId::new(id), need), (InstanceId::new(1), need)] };
        for request in [new, grow] {
            if let Answer::Plan(plan) = make_room(&layout, &request, budget, work) {
                prop_assert_eq!(check(&layout, &plan, budget), Ok(()));
            }
        }
    }
}

/// An instance without any size is one all the same: its host is not empty while it is there.
#[test]
fn what_weighs_nothing_is_not_forgotten() {
    let host = |id| LayoutHost {
        id: HostId::new(id),
        rack: None,
        memory: Mib::ZERO,
        limit: Mib::ZERO,
        booked: Mib::ZERO,
        ports: 1,
        open: true,
    };
    let instance = |id, host, movable| LayoutInstance {
        id: InstanceId::new(id),
        cache: 0,
        host,
        memory: Mib::ZERO,
        booked: Mib::ZERO,
        rebooked: Mib::ZERO,
        movable,
    };
    // Nothing can move: each host has an instance of the one cache, and one of them stays.
    let layout = Layout {
        hosts: vec![host(1), host(2)],
        caches: vec![LayoutCache { id: CacheId::new(1), max_per_rack: None }],
        instances: vec![instance(1, 0, false), instance(2, 1, true)],
    };
    for work in [1, 50, 5_000] {
        assert!(rebalance(&layout, Budget::UNLIMITED, work).emptied.is_empty());
    }
}
