//! Instances that move: plans, their steps, and what may happen in between.

use std::collections::BTreeSet;

use memc_core::ledger::Command;
use memc_core::model::*;
use memc_core::pillar::document;

use crate::world::*;

/// Three hosts on racks of their own, and cache `a` of two instances on `m1` and `m2`.
fn two_of_three() -> World {
    let mut world = World::new(Policy::default(), 200);
    for host in ["m1", "m2"] {
        world.ok(add_host(host, 4096, Some(host)));
    }
    world.ok(allocate("a", 100, 2));
    world.ok(add_host("m3", 4096, Some("m3")));
    world.run_all("a");
    world
}

fn id_of(world: &World, host: &str) -> HostId {
    world.state.host_named(&name(host)).unwrap().host.id
}

fn step(world: &World, instance: &Instance, to: &str) -> PlanStep {
    let (instance, from, port, memory) = (instance.id, instance.host, instance.port, instance.memory);
    PlanStep { instance, from, port, memory, to: id_of(world, to) }
}

fn start(world: &World, from: &str, steps: Vec<PlanStep>) -> Command {
    let empties = BTreeSet::from([id_of(world, from)]);
    Command::StartPlan { cluster: name("web"), goal: PlanGoal::Drain, empties, steps }
}

fn drain_m1(world: &mut World) -> PlanId {
    let instance = world.instances("a")[0].clone();
    assert_eq!(world.host_of(&instance), "m1");
    let command = start(world, "m1", vec![step(world, &instance, "m3")]);
    let Key::Plan { id } = world.ok(command).receipt.subject else { panic!("no plan") };
    id
}

fn plan(world: &World, id: PlanId) -> &Plan {
    world.state.plan(id).unwrap()
}

#[test]
fn a_host_is_drained_without_a_moment_without_the_cache() {
    let mut world = two_of_three();
    let id = drain_m1(&mut world);
    let status = |world: &World| world.state.host_named(&name("m1")).unwrap().host.status;
    assert_eq!((status(&world), plan(&world, id).status), (HostStatus::Draining, PlanStatus::Running));
    assert_eq!(world.refused(start(&world, "m2", vec![])).code(), "plan_running");
    let used = |world: &World| {
        let cluster = world.state.cluster_named(&name("web")).unwrap().id;
        world.state.used(cluster, world.state.team_named(&name("shop")).unwrap().id)
    };

    world.ok(Command::BeginStep { plan: id, step: 0 });
    let pair = world.instances("a");
    assert_eq!(pair.iter().map(|it| it.index).collect::<Vec<_>>(), [0, 0, 1]);
    let (old, copy) = (pair[0].clone(), pair[1].clone());
    assert_eq!((old.moved_to, world.host_of(&copy).as_str()), (Some(copy.id), "m3"));
    // Both run; the quota of 200 is full, and counts one of them.
    assert_eq!(used(&world), mib(200));
    for host in ["m1", "m3"] {
        assert_eq!(document(&world.state, &name(host), false).unwrap().items.len(), 1, "{host}");
    }
    let endpoints = |world: &World| {
        let cache = world.state.cache_named(&name("shop"), &name("a")).unwrap().id;
        world.state.endpoints_of(cache).map(|it| world.host_of(it)).collect::<Vec<_>>()
    };
    assert_eq!(endpoints(&world), ["m1", "m2"]);
    let finish = Command::FinishMove { instance: old.id };
    assert_eq!(world.refused(finish.clone()).code(), "copy_not_running");
    assert_eq!(world.refused(Command::FinishMove { instance: copy.id }).code(), "not_moving");
    world.seen_running(&copy, 100, true).unwrap();
    assert_eq!(endpoints(&world), ["m3", "m2"]);
    world.ok(finish);
    assert_eq!(document(&world.state, &name("m1"), false).unwrap().absent, [old.port]);
    assert_eq!(endpoints(&world), ["m3", "m2"]);
    let old = world.instances("a")[0].clone();
    world.stopped(&old).unwrap();
    assert_eq!(plan(&world, id).status, PlanStatus::Done);
    assert_eq!((world.instances("a").len(), used(&world)), (2, mib(200)));
    assert_eq!(world.state.host_named(&name("m1")).unwrap().instances, 0);
    assert_eq!(world.state, world.reloaded());
    // A host that was emptied takes nothing until somebody opens it.
    world.ok(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(10_000) });
    assert_eq!(world.refused(allocate("b", 10, 3)).why().unwrap().uncordon, [name::<HostName>("m1")]);
    world.ok(Command::UncordonHost { name: name("m1") });
    world.ok(allocate("b", 10, 3));
}

#[test]
fn draining_hosts_do_not_let_grow() {
    let mut world = two_of_three();
    drain_m1(&mut world);
    world.ok(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(10_000) });
    let refusal = world.refused(resize("a", 110));
    assert_eq!(refusal.why().unwrap().uncordon, [name::<HostName>("m1")], "{refusal}");
    world.ok(resize("a", 90));
}

#[test]
fn a_step_that_finds_something_else_stops_the_plan() {
    type Change = fn(&mut World);
    let changes: [(&str, Change); 5] = [
        ("the instance has 90 MiB", |world| drop(world.ok(resize("a", 90)))),
        ("being released", |world| drop(world.ok(release("a")))),
        ("takes no new instances", |world| drop(world.ok(Command::CordonHost { name: name("m3") }))),
        ("no room", |world| {
            let patch = memc_core::ledger::HostPatch { memory: Some(mib(50)), ..Default::default() };
            world.ok(Command::ChangeHost { name: name("m3"), patch });
        }),
        ("is gone", |world| {
            world.ok(Command::LoseHost { name: name("m1"), reason: name("a test") });
        }),
    ];
    for (why, change) in changes {
        let mut world = two_of_three();
        let id = drain_m1(&mut world);
        change(&mut world);
        let before = world.instances("a").len();
        world.ok(Command::BeginStep { plan: id, step: 0 });
        let plan = plan(&world, id);
        assert_eq!(plan.status, PlanStatus::Stopped, "{why}");
        assert!(plan.stopped_because.as_ref().unwrap().contains(why), "{why}: {plan:?}");
        assert_eq!(world.instances("a").len(), before, "{why}");
    }
}

#[test]
fn plans_whose_steps_do_not_fit_do_not_start() {
    let mut world = two_of_three();
    let [first, second] = &world.instances("a")[..] else { panic!("two instances") };
    let (to_m3, to_m2) = (step(&world, first, "m3"), step(&world, first, "m2"));
    let wrong_port = PlanStep { port: port(11214), ..to_m3 };
    let second_to_m3 = step(&world, second, "m3");
    let cases = [
        (vec![to_m2], "has an instance of the cache"),
        (vec![wrong_port], "is on port"),
        (vec![PlanStep { memory: mib(7), ..to_m3 }], "has 100 MiB"),
        (vec![to_m3, to_m3], "moved already"),
        (vec![to_m3, second_to_m3], "has an instance of the cache"),
        (vec![PlanStep { to: HostId::new(999), ..to_m3 }], "gone"),
        (vec![PlanStep { instance: InstanceId::new(999), ..to_m3 }], "gone"),
    ];
    for (steps, why) in cases {
        let refusal = world.refused(start(&world, "m1", steps));
        assert_eq!(refusal.code(), "step_does_not_fit");
        assert!(refusal.to_string().contains(why), "{why}: {refusal}");
    }
    // A host that the plan empties is no target.
    let command = start(&world, "m3", vec![to_m3]);
    assert!(world.refused(command).to_string().contains("takes no new instances"));
    assert_eq!(world.refused(Command::BeginStep { plan: PlanId::new(9), step: 0 }).code(), "not_found");
}

#[test]
fn every_prefix_of_a_plan_is_judged_with_what_the_steps_before_leave() {
    let mut world = World::new(Policy { grow_headroom_percent: 0, ..Policy::default() }, 10_000);
    for (host, cache) in [("m1", "a"), ("m2", "b"), ("m3", "c")] {
        world.ok(add_host(host, 600, None));
        world.ok(allocate(cache, 400, 1));
    }
    let [a, b] = ["a", "b"].map(|cache| world.instances(cache)[0].clone());
    let [on_m1, on_m2] = [&a, &b].map(|it| world.host_of(it));
    // m3 is full until its instance has left; there is nowhere for it to go.
    let full = start(&world, &on_m1, vec![step(&world, &a, "m3")]);
    assert!(world.refused(full).to_string().contains("no room"));
    world.ok(release("c"));
    let c = world.instances("c")[0].clone();
    world.stopped(&c).unwrap();
    // a goes to m3, then b to where a was; the other way round there is no room.
    let steps = vec![step(&world, &a, "m3"), step(&world, &b, &on_m1)];
    let reversed: Vec<PlanStep> = steps.iter().rev().copied().collect();
    assert!(world.refused(start(&world, &on_m2, reversed)).to_string().contains("no room"));
    let Key::Plan { id } = world.ok(start(&world, &on_m2, steps)).receipt.subject else { panic!("no plan") };
    assert_eq!(world.refused(Command::BeginStep { plan: id, step: 1 }).code(), "out_of_range");
    world.ok(Command::BeginStep { plan: id, step: 0 });
    assert_eq!(world.refused(Command::BeginStep { plan: id, step: 1 }).code(), "move_under_way");
    world.ok(Command::StopPlan { plan: id, reason: name("enough") });
    assert_eq!(plan(&world, id).stopped_because.as_deref(), Some("enough"));
    // The move that was begun can be finished all the same.
    let copy = world.instances("a")[1].clone();
    world.seen_running(&copy, 400, true).unwrap();
    world.ok(Command::FinishMove { instance: a.id });
    let old = world.instances("a")[0].clone();
    world.stopped(&old).unwrap();
    assert_eq!(world.instances("a").len(), 1);
}

#[test]
fn what_happens_while_an_instance_moves() {
    let moving = || {
        let mut world = two_of_three();
        let id = drain_m1(&mut world);
        world.ok(Command::BeginStep { plan: id, step: 0 });
        world
    };

    // Resized: both of the pair.
    let mut world = moving();
    world.ok(resize("a", 90));
    assert!(world.instances("a").iter().all(|it| it.memory == mib(90)));
    assert_eq!(world.state, world.reloaded());

    // Released: both stop, and the cache is gone with the last.
    let mut world = moving();
    world.ok(release("a"));
    for instance in world.instances("a") {
        world.stopped(&instance).unwrap();
    }
    assert!(world.state.cache_named(&name("shop"), &name("a")).is_none());

    // Resized after the copy was seen to run, and not yet seen with the new size: clients stay with the copy.
    let mut world = moving();
    let copy = world.instances("a")[1].clone();
    world.seen_running(&copy, 100, true).unwrap();
    world.ok(resize("a", 90));
    let cache = world.state.cache_named(&name("shop"), &name("a")).unwrap();
    let endpoints: Vec<InstanceId> = world.state.endpoints_of(cache.id).map(|it| it.id).collect();
    assert_eq!(endpoints, [copy.id, world.instances("a")[2].id]);
    assert!(world.state.missing_of(cache).is_empty());
    // Given back: nothing to connect to.
    let id = cache.id;
    world.ok(release("a"));
    assert_eq!(world.state.endpoints_of(id).count(), 0);

    // The copy's host is lost: what it was to replace stays.
    let mut world = moving();
    world.ok(Command::LoseHost { name: name("m3"), reason: name("a test") });
    assert_eq!(world.instances("a").iter().map(|it| it.moved_to).collect::<Vec<_>>(), [None, None]);
    assert_eq!(world.state, world.reloaded());

    // The old one's host is lost: the copy has taken its place, nothing is missing.
    let mut world = moving();
    world.ok(Command::LoseHost { name: name("m1"), reason: name("a test") });
    assert_eq!(world.instances("a").len(), 2);
    assert!(world.ok(Command::Replace { team: name("shop"), name: name("a") }).changes.is_empty());

    // Opened again: the plan has lost its point, the move goes on.
    let mut world = two_of_three();
    let id = drain_m1(&mut world);
    world.ok(Command::UncordonHost { name: name("m1") });
    assert_eq!(plan(&world, id).status, PlanStatus::Stopped);
}

#[test]
fn a_layout_is_what_the_cluster_has() {
    let mut world = two_of_three();
    let id = drain_m1(&mut world);
    world.ok(Command::BeginStep { plan: id, step: 0 });
    let cluster = world.state.cluster_named(&name("web")).unwrap().id;
    let layout = world.state.layout(cluster, Timestamp::from_millis(world.now));
    let open: Vec<(bool, u32)> = layout.hosts.iter().map(|host| (host.open, host.ports)).collect();
    assert_eq!(open, [(false, 3), (true, 3), (true, 3)]);
    let movable: Vec<(u32, bool)> = layout.instances.iter().map(|it| (it.host, it.movable)).collect();
    assert_eq!(movable, [(0, false), (1, true), (2, false)]);
    assert_eq!(layout.hosts[0].booked, layout.instances[0].booked);
    assert_eq!(layout.hosts[0].limit, mib(4096 - 410));
}

/// The old half of a move that was stopped counts where it is: it stays if its copy's host is lost.
#[test]
fn a_half_made_move_counts_on_its_old_rack() {
    let mut world = World::new(Policy::default(), 2000);
    world.ok(add_host("m1", 4096, Some("ra")));
    world.ok(add_host("m2", 4096, Some("rb")));
    world.ok(Command::Allocate {
        team: name("shop"),
        name: name("a"),
        cluster: name("web"),
        memory: mib(100),
        instances: 2,
        max_per_rack: Some(1),
    });
    world.run_all("a");
    world.ok(add_host("m3", 4096, Some("rc")));
    world.ok(add_host("m4", 4096, Some("ra")));
    let start = |world: &World, from: &str, to: &str| {
        let it = world.instances("a").into_iter().find(|it| world.host_of(it) == from).unwrap();
        let (goal, steps) = (PlanGoal::MakeRoom, vec![step(world, &it, to)]);
        Command::StartPlan { cluster: name("web"), goal, empties: BTreeSet::new(), steps }
    };
    let command = start(&world, "m1", "m3");
    let Key::Plan { id: plan } = world.ok(command).receipt.subject else { panic!("no plan") };
    world.ok(Command::BeginStep { plan, step: 0 });
    world.ok(Command::StopPlan { plan, reason: name("later") });
    let refused = world.refused(start(&world, "m2", "m4"));
    assert!(refused.to_string().contains("as many of the cache as it may"), "{refused}");
}
