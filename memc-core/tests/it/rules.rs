//! Every rule of a fleet, one by one.

use memc_core::ledger::{ClusterPatch, Command, Facts, HostPatch, Order, Refusal, Rule, Seen};
use memc_core::model::*;
use memc_core::pillar::document;

use crate::world::*;

/// Bookings equal to the memory asked for, no headroom: sums that can be checked by eye.
fn plain() -> Policy {
    let overhead = Overhead { percent: 0, base_mib: 0, floor_mib: 0, connections: 0, connection_kib: 0 };
    Policy { grow_headroom_percent: 0, overhead, ..Policy::default() }
}

#[test]
fn instances_of_a_cache_are_on_different_hosts_and_racks() {
    let mut world = World::new(Policy::default(), 10_000);
    world.ok(add_host("a1", 4096, Some("a")));
    world.ok(add_host("a2", 4096, Some("a")));
    world.ok(add_host("b1", 8192, Some("b")));
    world.ok(allocate("sessions", 64, 2));
    let hosts: Vec<String> = world.instances("sessions").iter().map(|it| world.host_of(it)).collect();
    assert_eq!(hosts, ["a1", "b1"]);
    let refusal = world.refused(allocate("wide", 64, 4));
    let why = refusal.why().unwrap();
    assert_eq!((why.largest, &why.alone[..]), (None, &[Rule::Spread][..]), "{refusal}");
}

#[test]
fn the_lowest_port_first_then_the_longest_released() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    for cache in ["a", "b", "c"] {
        world.ok(allocate(cache, 10, 1));
    }
    let ports = |world: &World, cache| world.instances(cache)[0].port.get();
    assert_eq!([ports(&world, "a"), ports(&world, "b"), ports(&world, "c")], [11211, 11212, 11213]);
    for cache in ["b", "a"] {
        world.run_all(cache);
        world.ok(release(cache));
        world.now += 1;
        let instance = world.instances(cache)[0].clone();
        world.stopped(&instance).unwrap();
    }
    // Both cool down: only the port that was never used is left.
    world.ok(allocate("d", 10, 1));
    assert_eq!(ports(&world, "d"), 11214);
    let refusal = world.refused(allocate("e", 10, 1));
    let until = Timestamp::from_millis(world.now - 1 + 24 * 60 * 60 * 1000);
    assert_eq!(refusal.why().unwrap().alone, [Rule::Ports, Rule::CoolDown { until }], "{refusal}");
    world.now += 24 * 60 * 60 * 1000;
    world.ok(allocate("e", 10, 1));
    assert_eq!(ports(&world, "e"), 11212, "b was released before a");
}

#[test]
fn blocked_ports_are_not_given_out() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    let blocked_ports = Some([port(11211), port(11213)].into());
    world.ok(Command::ChangeHost {
        name: name("m1"),
        patch: HostPatch { blocked_ports, ..HostPatch::default() },
    });
    world.ok(allocate("a", 10, 1));
    world.ok(allocate("b", 10, 1));
    assert_eq!(world.instances("a")[0].port, port(11212));
    assert_eq!(world.instances("b")[0].port, port(11214));
    assert_eq!(world.refused(allocate("c", 10, 1)).code(), "no_room");
}

#[test]
fn booked_memory_stays_within_the_host_and_leaves_room_to_grow() {
    let mut world = World::new(Policy { grow_headroom_percent: 10, ..plain() }, 10_000);
    world.ok(add_host("m1", 1000, None));
    let refusal = world.refused(allocate("a", 901, 1));
    assert_eq!(refusal.why().unwrap().largest, Some(mib(900)), "{refusal}");
    world.ok(allocate("a", 900, 1));
    world.ok(resize("a", 1000));
    let refusal = world.refused(resize("a", 1001));
    assert_eq!((refusal.code(), refusal.why().unwrap().largest), ("no_room", Some(mib(1000))));
    // Less memory than is booked is allowed, and stops growth.
    let patch = HostPatch { memory: Some(mib(500)), ..HostPatch::default() };
    world.ok(Command::ChangeHost { name: name("m1"), patch });
    assert_eq!(world.refused(resize("a", 1001)).code(), "no_room");
    world.ok(resize("a", 400));
}

#[test]
fn what_is_kept_for_growing_is_opened_as_a_last_resort() {
    let hosts = |hosts: &[(&str, u64, Option<&str>)]| {
        let mut world = World::new(Policy { grow_headroom_percent: 10, ..plain() }, 10_000);
        hosts.iter().for_each(|(host, memory, rack)| drop(world.ok(add_host(host, *memory, *rack))));
        world
    };
    let on = |world: &World, cache: &str| {
        let mut on: Vec<String> = world.instances(cache).iter().map(|it| world.host_of(it)).collect();
        on.sort_unstable();
        on
    };
    let two = [("m1", 1000, None), ("m2", 1000, None)];

    // 85 % of both together are 1,700 MiB. Another place comes first.
    let mut world = hosts(&two);
    world.ok(allocate("a", 750, 1));
    let refusal = world.refused(allocate("b", 951, 1));
    let why = refusal.why().unwrap();
    assert_eq!((why.largest, why.alone.contains(&Rule::Headroom)), (Some(mib(950)), true), "{refusal}");
    world.ok(allocate("b", 950, 1));
    assert_ne!(on(&world, "a"), on(&world, "b"));
    assert_eq!(world.refused(allocate("c", 151, 1)).why().unwrap().largest, Some(mib(150)));
    world.ok(allocate("c", 150, 1));
    assert_eq!(on(&world, "a"), on(&world, "c"));

    // A host that takes nothing new counts for what the cluster has.
    let mut world = hosts(&two);
    world.ok(Command::CordonHost { name: name("m1") });
    world.ok(allocate("a", 950, 1));
    assert_eq!(on(&world, "a"), ["m2"]);
    let refusal = world.refused(allocate("b", 750, 1));
    assert_eq!(refusal.why().unwrap().uncordon, [name("m1")], "{refusal}");
    let mut world = hosts(&two);
    for host in ["m1", "m2"] {
        world.ok(Command::CordonHost { name: name(host) });
    }
    let refusal = world.refused(allocate("a", 950, 1));
    assert_eq!(refusal.why().unwrap().uncordon, [name("m1"), name("m2")], "opened again, one would do");

    // The host that has the most left, on each rack that is needed.
    let mut world = hosts(&[("m1", 1000, Some("r1")), ("m2", 1010, Some("r1")), ("m3", 1000, Some("r2"))]);
    for host in ["m1", "m2"] {
        world.ok(Command::CordonHost { name: name(host) });
    }
    world.ok(allocate("a", 500, 1));
    for host in ["m1", "m2"] {
        world.ok(Command::UncordonHost { name: name(host) });
    }
    world.ok(crate::why::ask("b", "web", 450, 2, Some(1)));
    assert_eq!(on(&world, "b"), ["m2", "m3"]);

    // More hosts raise what the cluster as a whole may book, though none of them takes it.
    let mut world = hosts(&two);
    world.ok(allocate("a", 800, 1));
    world.refused(allocate("b", 950, 1));
    let refused = order(allocate("b", 950, 1));
    let facts = Facts::of(&world.state, &refused, Timestamp::from_millis(world.now)).unwrap();
    let add = |memory| facts.hosts_to_add(mib(memory)).map(|add| add.count);
    assert_eq!([100, 50].map(add), [Some(1), Some(2)]);
    world.ok(add_host("m3", 50, None));
    world.refused(allocate("b", 950, 1));
    world.ok(add_host("m4", 50, None));
    world.ok(allocate("b", 950, 1));
}

#[test]
fn a_growth_that_does_not_fit_is_told_the_cheapest_move() {
    let mut world = World::new(plain(), 10_000);
    for host in ["m1", "m2"] {
        world.ok(add_host(host, 1000, None));
    }
    world.ok(allocate("a", 600, 1));
    world.ok(allocate("b", 300, 1));
    assert_eq!(world.host_of(&world.instances("a")[0]), world.host_of(&world.instances("b")[0]));
    let refusal = world.refused(resize("a", 800));
    let offer = refusal.why().unwrap().moves.clone().unwrap();
    assert_eq!((offer.moves, offer.cold), (1, mib(300)), "b goes cold, a does not: {refusal}");
    assert_eq!(refusal.why().unwrap().clone().for_member().moves.unwrap().steps, []);
    // Carried out, they make the room that was missing.
    crate::plans::carry_out(&mut world, PlanGoal::MakeRoom, &[], &offer.steps);
    world.ok(resize("a", 800));
    // No move helps where no host is large enough.
    assert_eq!(world.refused(resize("a", 1001)).why().unwrap().moves, None);
}

#[test]
fn the_quota_counts_memory_asked_for_until_the_stop_is_confirmed() {
    let mut world = World::new(Policy::default(), 100);
    world.ok(add_host("m1", 4096, None));
    world.ok(add_host("m2", 4096, None));
    world.ok(allocate("a", 40, 2));
    let refusal = world.refused(allocate("b", 11, 2));
    assert_eq!((refusal.code(), refusal.why().unwrap().largest), ("quota_exceeded", Some(mib(10))));
    assert_eq!(world.refused(resize("a", 51)).why().unwrap().largest, Some(mib(50)));
    world.run_all("a");
    world.ok(release("a"));
    assert_eq!(world.refused(allocate("b", 11, 2)).code(), "quota_exceeded");
    for instance in world.instances("a") {
        world.stopped(&instance).unwrap();
    }
    world.ok(allocate("b", 11, 2));
    // Below its use: allowed, and growth stops.
    world.ok(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(1) });
    let refusal = world.refused(resize("b", 12));
    assert_eq!((refusal.code(), refusal.why().unwrap().largest), ("quota_exceeded", Some(mib(11))));
    world.ok(resize("b", 8));
}

#[test]
fn the_largest_fit_of_a_refusal_fits() {
    let mut world = World::new(Policy::default(), 100_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(add_host("m2", 500, None));
    for instances in [1, 2] {
        let largest = world.refused(allocate("a", 5000, instances)).why().unwrap().largest.unwrap();
        assert_eq!(world.refused(allocate("a", largest.get() + 1, instances)).code(), "no_room");
        world.ok(allocate("a", largest.get(), instances));
        let largest = world.refused(resize("a", 5000)).why().unwrap().largest.unwrap();
        world.ok(resize("a", largest.get()));
        world.ok(release("a"));
        for instance in world.instances("a") {
            let (index, reason) = (instance.index, name("test"));
            world.ok(Command::StateStopped { team: name("shop"), name: name("a"), index, reason });
        }
    }
}

#[test]
fn changes_of_a_cluster_add_up() {
    let mut world = World::new(plain(), 10_000);
    let change = |json: serde_json::Value, last_port| Command::ChangeCluster {
        name: name("web"),
        patch: ClusterPatch { policy: json.as_object().unwrap().clone(), last_port, first_port: None },
    };
    world.ok(change(serde_json::json!({"max_instances": 3}), None));
    world.ok(change(serde_json::json!({"max_connections": 100}), Some(port(11300))));
    let cluster = world.state.clusters().next().unwrap();
    assert_eq!((cluster.policy.max_instances, cluster.policy.max_connections), (3, 100));
    assert_eq!((cluster.ports.first, cluster.ports.last), (port(11211), port(11300)));
    for bad in [serde_json::json!({"max_instances": 0}), serde_json::json!({"colour": 1})] {
        assert_eq!(world.refused(change(bad, None)).code(), "out_of_range");
    }
    assert_eq!(world.refused(change(serde_json::json!({}), Some(port(11210)))).code(), "out_of_range");
}

#[test]
fn sizes_are_from_8_mib_to_the_clusters_largest() {
    let mut world = World::new(Policy { max_instance_mib: mib(100), ..Policy::default() }, 10_000);
    world.ok(add_host("m1", 4096, None));
    for size in [0, 7, 101] {
        assert_eq!(world.refused(allocate("a", size, 1)).code(), "out_of_range");
    }
    assert_eq!(world.refused(allocate("a", 8, 0)).code(), "out_of_range");
    assert_eq!(world.refused(allocate("a", 8, 17)).code(), "out_of_range");
    world.ok(allocate("a", 8, 1));
    assert_eq!(world.refused(resize("a", 101)).code(), "out_of_range");
}

#[test]
fn growing_is_pending_until_seen_and_shrinking_until_the_memory_is_back() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 100, 1));
    let one = |world: &World| world.instances("a")[0].clone();
    assert_eq!(one(&world).state(), InstanceState::Pending);
    world.run_all("a");
    assert_eq!(one(&world).state(), InstanceState::Running);
    world.ok(resize("a", 200));
    assert_eq!((one(&world).state(), one(&world).booked), (InstanceState::Pending, mib(200)));
    let it = one(&world);
    world.seen_running(&it, 200, true).unwrap();
    world.ok(resize("a", 50));
    assert_eq!((one(&world).state(), one(&world).booked), (InstanceState::Shrinking, mib(200)));
    let it = one(&world);
    world.seen_running(&it, 50, false).unwrap();
    assert_eq!((one(&world).state(), one(&world).booked), (InstanceState::Shrinking, mib(200)));
    // Growing again meanwhile keeps the larger booking.
    world.ok(resize("a", 60));
    assert_eq!((one(&world).state(), one(&world).booked), (InstanceState::Shrinking, mib(200)));
    let it = one(&world);
    world.seen_running(&it, 60, true).unwrap();
    assert_eq!((one(&world).state(), one(&world).booked), (InstanceState::Running, mib(60)));
}

#[test]
fn a_confirmation_of_what_has_changed_since_is_void() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 100, 1));
    let before = world.instances("a")[0].clone();
    world.ok(resize("a", 120));
    assert_eq!(world.seen_running(&before, 100, true).unwrap_err(), Refusal::Outdated);
}

#[test]
fn released_stays_booked_until_the_tombstone_was_served_and_the_stop_seen() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 1000, 1));
    world.run_all("a");
    world.ok(release("a"));
    assert_eq!(world.refused(allocate("a", 10, 1)).code(), "name_taken");
    assert_eq!(world.refused(allocate("b", 10, 1)).code(), "no_room");
    let it = world.instances("a")[0].clone();
    let early = Command::Confirm { instance: it.id, revision: it.revision, seen: Seen::Stopped };
    assert_eq!(world.refused(early).code(), "not_releasing");
    world.stopped(&it).unwrap();
    world.ok(allocate("a", 1000, 1));
    assert_eq!(world.instances("a")[0].port, port(11212), "the port cools down");
    let document = document(&world.state, &name("m1"), false).unwrap();
    assert_eq!(document.absent, [port(11211)], "the tombstone stays");
    assert_eq!(document.meta.absent_ids[&port(11211)], it.id);
}

#[test]
fn only_what_is_released_can_be_stated_stopped() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    let stated = Command::StateStopped {
        team: name("shop"),
        name: name("a"),
        index: 0,
        reason: name("host was reinstalled"),
    };
    assert_eq!(world.refused(stated.clone()).code(), "not_releasing");
    world.ok(release("a"));
    world.ok(stated);
    assert!(world.state.cache_named(&name("shop"), &name("a")).is_none());
}

#[test]
fn a_host_in_use_is_not_removed_renamed_or_moved() {
    let mut world = World::new(plain(), 10_000);
    world.ok(Command::CreateCluster { name: name("other"), spec: spec(11300, 11400, plain()) });
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    assert_eq!(world.refused(Command::RemoveHost { name: name("m1") }).code(), "in_use");
    let patches = [
        HostPatch { name: Some(name("m2")), ..HostPatch::default() },
        HostPatch { cluster: Some(name("other")), ..HostPatch::default() },
        HostPatch { address: Some("127.0.0.2".parse().unwrap()), ..HostPatch::default() },
    ];
    for patch in patches.clone() {
        assert_eq!(world.refused(Command::ChangeHost { name: name("m1"), patch }).code(), "in_use");
    }
    assert_eq!(world.refused(Command::RemoveCluster { name: name("web") }).code(), "in_use");
    assert_eq!(world.refused(Command::RemoveTeam { name: name("shop") }).code(), "in_use");
    world.ok(release("a"));
    let it = world.instances("a")[0].clone();
    assert_eq!(world.refused(Command::RemoveHost { name: name("m1") }).code(), "in_use");
    world.stopped(&it).unwrap();
    let [renamed, ..] = patches;
    world.ok(Command::ChangeHost { name: name("m1"), patch: renamed });
    world.ok(Command::RemoveHost { name: name("m2") });
    world.ok(Command::RemoveTeam { name: name("shop") });
    world.ok(Command::RemoveCluster { name: name("web") });
    assert_eq!(world.state.quotas().count(), 0);
}

#[test]
fn host_names_that_differ_only_in_case_are_refused() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1.example.com", 1000, None));
    assert_eq!(world.refused(add_host("M1.example.com", 1000, None)).code(), "name_taken");
    assert!(document(&world.state, &name("M1.example.com"), false).is_none());
    // The host itself may change its case.
    let patch = HostPatch { name: Some(name("M1.example.com")), ..HostPatch::default() };
    world.ok(Command::ChangeHost { name: name("m1.example.com"), patch });
    assert!(document(&world.state, &name("M1.example.com"), false).is_some());
}

#[test]
fn addresses_are_of_one_host() {
    let mut world = World::new(plain(), 10_000);
    for address in
        ["0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "255.255.255.255", "::ffff:0.0.0.0", "fe80::1", "ff02::1"]
    {
        let Command::AddHost { name, mut spec } = add_host("m1", 10, None) else { unreachable!() };
        spec.address = address.parse().unwrap();
        assert_eq!(world.refused(Command::AddHost { name, spec }).code(), "out_of_range", "{address}");
    }
}

#[test]
fn cordoned_hosts_take_nothing_new_and_still_grow() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    world.ok(Command::CordonHost { name: name("m1") });
    let refusal = world.refused(allocate("b", 10, 1));
    assert_eq!(refusal.why().unwrap().uncordon, [name::<HostName>("m1")], "{refusal}");
    world.ok(resize("a", 1000));
    world.ok(Command::UncordonHost { name: name("m1") });
    world.ok(resize("a", 500));
}

#[test]
fn a_lost_host_frees_memory_elsewhere_and_comes_back_with_tombstones() {
    let mut world = World::new(plain(), 200);
    world.ok(add_host("m1", 1000, None));
    world.ok(add_host("m2", 1000, None));
    world.ok(allocate("a", 100, 1));
    let before = world.instances("a")[0].clone();
    let lost = world.host_of(&before);
    world.ok(allocate("gone", 100, 1));
    world.ok(release("gone"));
    world.ok(Command::LoseHost { name: name(&lost), reason: name("burnt") });
    assert!(world.instances("a").is_empty());
    assert!(
        world.state.cache_named(&name("shop"), &name("gone")).is_none(),
        "nothing of it is left to be released"
    );
    world.ok(Command::Replace { team: name("shop"), name: name("a") });
    let after = world.instances("a")[0].clone();
    assert_ne!(world.host_of(&after), lost);
    assert_eq!((after.index, after.memory), (before.index, before.memory));

    let told = document(&world.state, &name(&lost), false).unwrap();
    assert!(told.items.is_empty());
    assert_eq!(told.meta.absent_ids[&before.port], before.id);
    world.now += 1000 * 24 * 60 * 60 * 1000;
    assert_eq!(world.refused(allocate("b", 1000, 1)).code(), "quota_exceeded");
    world.ok(Command::UncordonHost { name: name(&lost) });
    world.ok(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(5000) });
    world.ok(allocate("b", 1000, 1));
    assert_ne!(world.instances("b")[0].port, before.port, "its ports cool down from its return on");
}

#[test]
fn the_same_request_id_gets_the_same_receipt() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    let asked = |actor: &str, command| Order { actor: name(actor), request: Some(name("r-1")), command };
    let first = world.try_order(asked("user:ann", allocate("a", 10, 1))).unwrap();
    world.now += 1000;
    let again = world.try_order(asked("user:ann", allocate("a", 10, 1))).unwrap();
    assert_eq!(first.receipt, again.receipt);
    assert!(again.changes.is_empty());
    let other = world.try_order(asked("user:ann", allocate("b", 10, 1)));
    assert_eq!(other.unwrap_err(), Refusal::RequestIdReused);
    assert_eq!(world.try_order(asked("user:bob", allocate("a", 10, 1))).unwrap_err().code(), "name_taken");
    // A request that has nothing to change is remembered as well.
    let same = Order { actor: name("user:ann"), request: Some(name("r-2")), command: resize("a", 10) };
    let first = world.try_order(same.clone()).unwrap();
    world.ok(resize("a", 20));
    assert_eq!(world.try_order(same).unwrap().receipt, first.receipt);
    assert_eq!(world.instances("a")[0].memory, mib(20));
    // After 7 days it is forgotten.
    world.now += 7 * 24 * 60 * 60 * 1000 + 1;
    assert_eq!(world.try_order(asked("user:ann", allocate("a", 10, 1))).unwrap_err().code(), "name_taken");
    world.try_order(asked("user:ann", allocate("b", 10, 1))).unwrap();
    assert!(world.state.request(&name("user:ann"), &name("r-2")).is_none());
}

#[test]
fn the_seeds_own_case() {
    let mut world = World::new(Policy::default(), 10_000);
    let spec = spec(11210, 11999, Policy::default());
    world.ok(Command::ChangeCluster { name: name("web"), patch: spec.into() });
    world.ok(add_host("m1.example.com", 4096, None));
    for (cache, size) in [("a", 12), ("b", 22), ("c", 33)] {
        world.ok(allocate(cache, size, 1));
    }
    let document = document(&world.state, &name("m1.example.com"), false).unwrap();
    let items = serde_json::to_value(&document).unwrap();
    assert_eq!(items["memc_items"], serde_json::json!({"11210": 12, "11211": 22, "11212": 33}));
    assert_eq!(items["memc_meta"]["count"], 3);
    assert_eq!(items["memc_meta"]["revision"], world.state.head().revision.get());
    assert_eq!(items["memc_config"]["max_connections"], 30240);
}

#[test]
fn a_documents_revision_is_the_last_commit_that_touched_it() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(add_host("m2", 10, None));
    let revision = |world: &World, host| document(&world.state, &name(host), false).unwrap().meta.revision;
    let (m1, m2) = (revision(&world, "m1"), revision(&world, "m2"));
    world.ok(allocate("a", 100, 1));
    assert_eq!(revision(&world, "m1"), world.state.head().revision);
    assert_eq!(revision(&world, "m2"), m2);
    assert!(revision(&world, "m1") > m1);
    world.ok(Command::NoteServed { host: name("m1"), document: world.state.head().revision });
    assert!(
        revision(&world, "m1") < world.state.head().revision,
        "noting a fetch does not make a new document"
    );
}

#[test]
fn a_host_that_is_added_again_still_has_its_tombstones() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    world.run_all("a");
    world.ok(release("a"));
    let it = world.instances("a")[0].clone();
    world.stopped(&it).unwrap();
    world.ok(Command::RemoveHost { name: name("m1") });
    assert_eq!(world.state.hosts().count(), 0);
    assert!(document(&world.state, &name("m1"), false).is_none());
    // Under its name, and under another at the same address.
    for again in ["M1", "renamed"] {
        let Command::AddHost { spec, .. } = add_host("m1", 500, None) else { unreachable!() };
        world.ok(Command::AddHost { name: name(again), spec });
        let told = document(&world.state, &name(again), false).unwrap();
        assert_eq!(told.meta.absent_ids[&port(11211)], it.id);
        world.ok(Command::RemoveHost { name: name(again) });
    }
    world.ok(add_host("m1", 500, None));
    world.ok(allocate("b", 10, 1));
    assert_eq!(world.instances("b")[0].port, port(11212), "the port still cools down");
    world.ok(release("b"));
    let it = world.instances("b")[0].clone();
    world.stopped(&it).unwrap();
    // Once nothing cools down, nothing is remembered.
    world.now += 24 * 60 * 60 * 1000;
    world.ok(Command::RemoveHost { name: name("m1") });
    world.ok(add_host("m1", 500, None));
    assert!(document(&world.state, &name("m1"), false).unwrap().absent.is_empty());
}

#[test]
fn a_lost_host_that_was_removed_comes_back_with_tombstones() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    world.ok(Command::LoseHost { name: name("m1"), reason: name("burnt") });
    world.ok(Command::RemoveHost { name: name("m1") });
    world.now += 100 * 24 * 60 * 60 * 1000;
    world.ok(add_host("m1", 1000, None));
    assert_eq!(document(&world.state, &name("m1"), false).unwrap().absent, [port(11211)]);
    world.ok(allocate("b", 10, 1));
    assert_eq!(world.instances("b")[0].port, port(11212));
    // A cluster takes what it remembers with it.
    world.ok(release("a"));
    world.ok(release("b"));
    let it = world.instances("b")[0].clone();
    world.stopped(&it).unwrap();
    world.ok(Command::RemoveHost { name: name("m1") });
    world.ok(Command::RemoveCluster { name: name("web") });
}

#[test]
fn two_hosts_have_two_addresses() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    let Command::AddHost { mut spec, .. } = add_host("m1", 1000, None) else { unreachable!() };
    assert_eq!(
        world.refused(Command::AddHost { name: name("m2"), spec: spec.clone() }).code(),
        "address_taken"
    );
    let std::net::IpAddr::V4(plain) = spec.address else { unreachable!() };
    spec.address = plain.to_ipv6_mapped().into();
    assert_eq!(world.refused(Command::AddHost { name: name("m2"), spec }).code(), "address_taken");
    world.ok(add_host("m2", 1000, None));
    let address = Some(plain.into());
    let patch = HostPatch { address, ..HostPatch::default() };
    assert_eq!(
        world.refused(Command::ChangeHost { name: name("m2"), patch: patch.clone() }).code(),
        "address_taken"
    );
    world.ok(Command::ChangeHost { name: name("m1"), patch });
}

#[test]
fn a_rule_of_booking_that_grew_books_nothing_for_a_smaller_instance() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 500, 1));
    world.ok(allocate("b", 500, 1));
    let fields = serde_json::json!({"overhead": {"floor_mib": 2000}});
    let policy = fields.as_object().unwrap().clone();
    world.ok(Command::ChangeCluster {
        name: name("web"),
        patch: ClusterPatch { policy, ..ClusterPatch::default() },
    });
    world.ok(resize("a", 499));
    assert_eq!(world.instances("a")[0].booked, mib(500));
    assert_eq!(world.refused(resize("a", 510)).why().unwrap().largest, Some(mib(499)));
    world.run_all("a");
    assert_eq!(world.instances("a")[0].booked, mib(500), "as much as it had, no more");
}

#[test]
fn a_new_epoch_is_followed_and_its_numbers_are_new() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(Command::StartEpoch { reason: name("restored last night's backup") });
    world.ok(Command::StateObserved { host: name("m1"), reason: name("nothing runs there") });
    world.ok(allocate("a", 10, 1));
    let document = document(&world.state, &name("m1"), false).unwrap();
    let seconds = u32::try_from(world.now / 1000).unwrap();
    assert_eq!(document.meta.epoch, seconds);
    assert!(document.meta.ids[&port(11211)].get() > 1 << 32);
    // Another one in the same second is another one all the same.
    world.ok(Command::StartEpoch { reason: name("an older one") });
    assert_eq!(world.state.fleet().unwrap().epoch, seconds + 1);
}

/// Hosts have seen the epoch and the numbers of the first time, which the second time knows nothing of.
#[test]
fn the_same_backup_may_be_put_back_twice() {
    let restored_at = |seconds: u64| {
        let mut world = World::new(plain(), 10_000);
        world.ok(add_host("m1", 1000, None));
        world.now = world.now.max(1_800_000_000_000) + seconds * 1000;
        world.ok(Command::StartEpoch { reason: name("last night's backup") });
        world.ok(Command::StateObserved { host: name("m1"), reason: name("nothing runs there") });
        let given_out = ["a", "b", "c"].map(|cache| {
            world.ok(allocate(cache, 10, 1));
            world.instances(cache)[0].id
        });
        (world.state.fleet().unwrap().epoch, given_out)
    };
    let ((first, before), (second, since)) = (restored_at(0), restored_at(1));
    assert!(first < second, "{first}, {second}");
    assert!(before.iter().max() < since.iter().min(), "{before:?}, {since:?}");
}

/// What an observer says of a host as it is now.
fn looked_at(world: &World, host: &str, in_use: &[u16]) -> Command {
    let host = &world.state.host_named(&name(host)).unwrap().host;
    Command::NoteObserved {
        host: host.name.clone(),
        revision: host.revision,
        epoch: world.state.fleet().unwrap().epoch,
        ports: world.state.cluster(host.cluster).unwrap().ports,
        in_use: in_use.iter().map(|number| port(*number)).collect(),
    }
}

#[test]
fn after_a_restore_a_host_takes_nothing_new_until_it_was_looked_at() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    world.ok(Command::StartEpoch { reason: name("last night's backup") });
    for refused in [allocate("b", 10, 1), resize("a", 11)] {
        let refusal = world.refused(refused);
        let why = refusal.why().unwrap();
        assert_eq!((&why.alone[..], why.unobserved), (&[Rule::Unobserved][..], 1), "{refusal}");
        assert!(refusal.to_string().contains("1 host still to be looked at"), "{refusal}");
    }
    world.ok(resize("a", 9));
    // Port 11211 is what the ledger knows; on 11212 something runs that it does not.
    world.ok(looked_at(&world, "m1", &[11211, 11212]));
    let host = world.state.host_named(&name("m1")).unwrap().host.clone();
    assert_eq!(
        (host.found_ports, host.observed_epoch),
        ([port(11212)].into(), world.state.fleet().unwrap().epoch)
    );
    world.ok(resize("a", 11));
    world.ok(allocate("b", 10, 1));
    assert_eq!(world.instances("b")[0].port, port(11213));
    // Until an operator says that it is over.
    let forget = |ports: &[u16]| {
        let found_ports = Some(ports.iter().map(|number| port(*number)).collect());
        Command::ChangeHost { name: name("m1"), patch: HostPatch { found_ports, ..HostPatch::default() } }
    };
    assert!(matches!(
        world.refused(forget(&[11212, 11214])),
        Refusal::OutOfRange { field: "found_ports", .. }
    ));
    world.ok(forget(&[]));
    world.ok(allocate("c", 10, 1));
    assert_eq!(world.instances("c")[0].port, port(11212));
    // The next restore asks for another look.
    world.ok(Command::StartEpoch { reason: name("the one before") });
    world.refused(allocate("d", 10, 1));
}

#[test]
fn a_look_at_what_has_changed_since_says_nothing() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(Command::StartEpoch { reason: name("last night's backup") });
    let before = looked_at(&world, "m1", &[]);
    world.ok(Command::CordonHost { name: name("m1") });
    assert_eq!(world.refused(before), Refusal::Outdated, "another record");
    let before = looked_at(&world, "m1", &[]);
    let patch = ClusterPatch { last_port: Some(port(11215)), ..ClusterPatch::default() };
    world.ok(Command::ChangeCluster { name: name("web"), patch });
    assert_eq!(world.refused(before), Refusal::Outdated, "port 11215 was not looked at");
    let before = looked_at(&world, "m1", &[]);
    world.ok(Command::StartEpoch { reason: name("an older one") });
    assert_eq!(world.refused(before), Refusal::Outdated, "another epoch");
    world.ok(looked_at(&world, "m1", &[]));
}

#[test]
fn a_port_that_cools_down_and_is_in_use_is_not_issued_when_it_has_cooled_down() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    world.run_all("a");
    world.ok(release("a"));
    let instance = world.instances("a")[0].clone();
    world.stopped(&instance).unwrap();
    world.ok(Command::StartEpoch { reason: name("last night's backup") });
    world.ok(looked_at(&world, "m1", &[11211]));
    world.now += 7 * 24 * 60 * 60 * 1000;
    for (cache, at) in [("b", 11212), ("c", 11213), ("d", 11214)] {
        world.ok(allocate(cache, 10, 1));
        assert_eq!(world.instances(cache)[0].port, port(at));
    }
    assert_eq!(world.refused(allocate("e", 10, 1)).why().unwrap().alone, [Rule::Ports]);
}

/// It may have been a host between the backup and the restore.
#[test]
fn a_host_that_is_added_after_a_restore_waits_as_well() {
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(Command::StartEpoch { reason: name("last night's backup") });
    world.ok(looked_at(&world, "m1", &[]));
    world.ok(add_host("m2", 1000, None));
    world.refused(allocate("a", 10, 2));
    world.ok(looked_at(&world, "m2", &[]));
    world.ok(allocate("a", 10, 2));
    // So does one that gets another address.
    world.ok(add_host("m3", 1000, None));
    world.ok(looked_at(&world, "m3", &[11211]));
    let address = Some("127.9.9.9".parse().unwrap());
    world.ok(Command::ChangeHost { name: name("m3"), patch: HostPatch { address, ..HostPatch::default() } });
    let host = world.state.host_named(&name("m3")).unwrap().host.clone();
    assert!(world.state.waits(&host) && host.found_ports.is_empty());
}

/// A cache whose port cools down on `m1` at an address.
fn cooling(world: &mut World) -> std::net::IpAddr {
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    world.run_all("a");
    world.ok(release("a"));
    let it = world.instances("a")[0].clone();
    world.stopped(&it).unwrap();
    world.state.host_named(&name("m1")).unwrap().host.address
}

/// What cools down does so at an address: clients with an old list would read another team's data.
#[test]
fn ports_that_cool_down_do_so_at_their_address() {
    let moved = |host: &str, address: std::net::IpAddr| {
        let patch = HostPatch { address: Some(address), ..HostPatch::default() };
        Command::ChangeHost { name: name(host), patch }
    };
    let added = |host: &str, at: std::net::IpAddr| {
        let Command::AddHost { mut spec, .. } = add_host(host, 1000, None) else { panic!("no host") };
        spec.address = at;
        Command::AddHost { name: name(host), spec }
    };
    // Away from the address, or another to that of a host that was removed, or lost and removed.
    let mut world = World::new(plain(), 10_000);
    let at = cooling(&mut world);
    let elsewhere = "127.9.9.9".parse().unwrap();
    assert_eq!(world.refused(moved("m1", elsewhere)).code(), "address_cools_down");
    world.ok(Command::RemoveHost { name: name("m1") });
    world.ok(add_host("m2", 1000, None));
    let refused = world.refused(moved("m2", at));
    assert_eq!(refused.code(), "address_cools_down");
    assert!(refused.to_string().contains("1 port at "), "{refused}");
    world.now += 24 * 60 * 60 * 1000;
    world.ok(moved("m2", at));
    let mut world = World::new(plain(), 10_000);
    world.ok(add_host("m1", 1000, None));
    world.ok(allocate("a", 10, 1));
    let at = world.state.host_named(&name("m1")).unwrap().host.address;
    world.ok(Command::LoseHost { name: name("m1"), reason: name("burnt") });
    world.ok(Command::RemoveHost { name: name("m1") });
    world.ok(add_host("m2", 1000, None));
    assert_eq!(world.refused(moved("m2", at)).code(), "address_cools_down");
    // By the name of one that was removed and the address of another.
    let mut world = World::new(plain(), 10_000);
    let at = cooling(&mut world);
    world.ok(Command::CordonHost { name: name("m1") });
    world.ok(add_host("m2", 1000, None));
    world.ok(allocate("b", 10, 1));
    world.run_all("b");
    world.ok(release("b"));
    let it = world.instances("b")[0].clone();
    world.stopped(&it).unwrap();
    for host in ["m1", "m2"] {
        world.ok(Command::RemoveHost { name: name(host) });
    }
    assert_eq!(world.refused(added("m2", at)).code(), "address_cools_down");
    world.ok(added("m1", at));
}

/// What is on a host already may stay as large as it is booked: moves are offered for what is short, and no more.
#[test]
fn moves_are_offered_for_what_is_short_only() {
    for room in [1000, 400] {
        let mut world = World::new(plain(), 100_000);
        for host in ["m1", "m2"] {
            world.ok(add_host(host, 1000, None));
        }
        world.ok(allocate("a", 500, 2));
        world.run_all("a");
        world.ok(resize("a", 100));
        let on_m1 = world.instances("a").into_iter().find(|it| world.host_of(it) == "m1").unwrap();
        world.seen_running(&on_m1, 100, true).unwrap();
        world.ok(allocate("b", 900, 1));
        world.ok(allocate("d", 450, 1));
        let patch = HostPatch { memory: Some(mib(600)), ..HostPatch::default() };
        world.ok(Command::ChangeHost { name: name("m2"), patch });
        world.ok(add_host("m3", room, None));
        let refusal = world.refused(resize("a", 300));
        let offer = refusal.why().unwrap().moves.clone().expect("moves make room");
        assert_eq!((offer.moves, offer.cold), (1, mib(100)), "m3 has {room}");
    }
}

/// A turn's clock may be ahead of the one that a refusal is explained by.
#[test]
fn a_refusal_is_explained_by_the_clock_of_its_turn() {
    let mut world = World::new(plain(), 100_000);
    world.ok(add_host("m1", 1000, None));
    let blocked_ports = Some([11212, 11213, 11214].map(port).into());
    let patch = HostPatch { blocked_ports, ..HostPatch::default() };
    world.ok(Command::ChangeHost { name: name("m1"), patch });
    world.ok(allocate("a", 10, 1));
    world.run_all("a");
    world.ok(release("a"));
    let it = world.instances("a")[0].clone();
    world.stopped(&it).unwrap();
    let turn = world.now + 24 * 60 * 60 * 1000;
    world.state.pass(Timestamp::from_millis(turn));
    world.now = turn - 1000;
    let refusal = world.refused(allocate("b", 2000, 1));
    assert_eq!(refusal.why().unwrap().alone, [Rule::Memory]);
    assert_eq!(refusal.why().unwrap().largest, Some(mib(1000)));
}
