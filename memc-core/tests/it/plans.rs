//! What planning finds, the ledger accepts, step by step.

use std::collections::BTreeSet;

use memc_core::ledger::Command;
use memc_core::model::*;
use memc_core::placement::plan::{Answer, Budget, Step, check, drain, rebalance};
use proptest::prelude::*;

use crate::world::*;

/// Start a plan and carry out every step of it as hosts and observers would.
pub(crate) fn carry_out(world: &mut World, goal: PlanGoal, empties: &[HostId], found: &[Step]) {
    let steps: Vec<PlanStep> = (found.iter())
        .map(|step| {
            let instance = world.state.instance(step.instance).unwrap();
            let (from, port, memory) = (instance.host, instance.port, instance.memory);
            PlanStep { instance: step.instance, from, port, memory, to: step.to }
        })
        .collect();
    let hosts: BTreeSet<HostId> = empties.iter().copied().collect();
    let command = Command::StartPlan { cluster: name("web"), goal, empties: hosts, steps };
    let Key::Plan { id: plan } = world.ok(command).receipt.subject else { panic!("no plan") };
    for (number, step) in found.iter().enumerate() {
        world.ok(Command::BeginStep { plan, step: number as u32 });
        let old = world.state.instance(step.instance).unwrap().clone();
        let copy = world.state.instance(old.moved_to.unwrap()).unwrap().clone();
        assert_eq!(copy.host, step.to);
        world.seen_running(&copy, copy.memory.get(), true).unwrap();
        world.ok(Command::FinishMove { instance: old.id });
        let old = world.state.instance(old.id).unwrap().clone();
        world.stopped(&old).unwrap();
    }
    assert_eq!(world.state.plan(plan).unwrap().status, PlanStatus::Done);
    for host in empties {
        assert_eq!(world.state.host(*host).unwrap().instances, 0);
    }
    assert_eq!(world.state, world.reloaded());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_plan_that_is_found_can_be_carried_out(
        hosts in prop::collection::vec((800..2000u64, 0..3u8), 2..6),
        caches in prop::collection::vec((8..400u64, 1..4u16, prop::option::of(1..3u16)), 1..10),
        shrunk in prop::collection::vec(any::<bool>(), 10),
        drained in prop::option::of(0..6usize),
    ) {
        let mut world = World::new(Policy::default(), 1_000_000);
        for (number, (memory, rack)) in hosts.iter().enumerate() {
            world.ok(add_host(&format!("m{number}"), *memory, Some(&format!("r{rack}"))));
        }
        for (number, (memory, instances, max_per_rack)) in caches.iter().enumerate() {
            let cache = format!("c{number}");
            let (memory, instances, max_per_rack) = (mib(*memory), *instances, *max_per_rack);
            let (team, cluster, name) = (name("shop"), name("web"), name(&cache));
            let command = Command::Allocate { team, name, cluster, memory, instances, max_per_rack };
            if world.attempt(command).is_ok() {
                world.run_all(&cache);
                if shrunk[number] && memory > mib(20) {
                    // Not yet seen to have given anything back: it books what it did.
                    world.ok(resize(&cache, 20));
                }
            }
        }
        let cluster = world.state.cluster_named(&name("web")).unwrap().id;
        let layout = world.state.layout(cluster, Timestamp::from_millis(world.now));
        let found = match drained.filter(|at| *at < hosts.len()) {
            Some(at) => {
                let host = world.state.host_named(&name(&format!("m{at}"))).unwrap().host.id;
                match drain(&layout, host, 100_000) {
                    Answer::Plan(found) => Some(found),
                    Answer::Infeasible(_) | Answer::Undecided => None,
                }
            }
            None => Some(rebalance(&layout, Budget::UNLIMITED, 10_000)),
        };
        if let Some(found) = found {
            check(&layout, &found, Budget::UNLIMITED).unwrap();
            carry_out(&mut world, PlanGoal::Drain, &found.emptied, &found.steps);
        }
    }
}
