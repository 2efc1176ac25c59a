//! The facts of an explanation are copied a little at a time, while the state goes on changing.

use memc_core::ledger::{Command, Facts, Order, Survey};
use memc_core::model::*;
use proptest::prelude::*;

use crate::why::*;
use crate::world::*;

/// The copy, with a step of its fleet's life after each read but the last.
fn copied(fleet: &mut Fleet, order: &Order, at_once: usize, steps: &[Step]) -> Option<Facts> {
    let mut survey = Survey::new(order, Timestamp::from_millis(fleet.now)).at_once(at_once);
    let mut steps = steps.iter();
    while !survey.read(&fleet.state) {
        if let Some(step) = steps.next() {
            fleet.step(step);
        }
    }
    survey.facts()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_500))]

    /// However it was read and whatever happened meanwhile, it is what the state is in the end.
    #[test]
    fn a_copy_read_piece_by_piece_is_of_one_moment(
        setup in setup(), meanwhile in prop::collection::vec(step(), 0..24), at_once in 1..4usize,
        memory in 8..=90u64, instances in 1..5u16, max_per_rack in prop::option::of(1..3u16),
    ) {
        let fleet = Fleet::new(&setup);
        for command in orders(&fleet, memory, instances, max_per_rack) {
            let (mut fleet, now) = (fleet.clone(), Timestamp::from_millis(fleet.now));
            let order = order(command);
            let copied = copied(&mut fleet, &order, at_once, &meanwhile);
            let whole = Facts::of(&fleet.state, &order, now);
            prop_assert_eq!(format!("{copied:?}"), format!("{whole:?}"));
        }
    }
}

fn large(hosts: usize, clusters: usize) -> Fleet {
    let mut fleet = Fleet { state: Default::default(), now: 1_000_000 };
    fleet.ok(Command::Found { id: uuid::Uuid::from_u128(7) });
    fleet.ok(Command::CreateTeam { name: name("shop") });
    for cluster in std::iter::once("web".into()).chain((1..clusters).map(|number| format!("c{number}"))) {
        fleet
            .ok(Command::CreateCluster { name: name(&cluster), spec: spec(11211, 12000, Policy::default()) });
        fleet.ok(Command::SetQuota { cluster: name(&cluster), team: name("shop"), memory: mib(1 << 24) });
    }
    for number in 0..hosts {
        fleet.add("web", &format!("m{number}"), number, 1000, Some(&format!("r{}", number / 40)));
    }
    fleet
}

/// What a writer may wait for, counted: it does not depend on how many hosts, instances or clusters there are.
#[test]
fn no_writer_waits_for_more_than_a_few_records() {
    let count = |hosts, clusters, command: fn() -> Command| {
        let mut fleet = large(hosts, clusters);
        // Two of them to a host, so that a layout has many instances.
        for number in 0..hosts / 4 {
            fleet.ok(ask(&format!("c{number}"), "web", 300, 8, None));
        }
        let mut survey = Survey::new(&order(command()), Timestamp::from_millis(fleet.now));
        let mut reads = 1;
        while !survey.read(&fleet.state) {
            reads += 1;
        }
        (reads, survey.most_at_once(), survey.facts().unwrap().fits())
    };
    let new = || ask("new", "web", 900, 4, None);
    assert_eq!(count(200, 1, new), (2, 128, false));
    assert_eq!(count(2000, 1, new), (16, 128, false));
    // A cluster to ask counts as 16; the second read begins with the last 72 hosts.
    assert_eq!(count(200, 100, new), (14, 136, false));
    let grow = || resize("c1", 900);
    let (reads, most, fits) = count(2000, 1, grow);
    assert!(!fits && reads > 2000 / 128 && most <= 128 + 3, "{reads} {most}");
}

/// More has changed than is remembered, or it is another state: it begins anew, and gives up in the end.
#[test]
fn what_cannot_be_followed_is_read_anew() {
    let fleet = large(300, 1);
    let refused = order(ask("new", "web", 2000, 1, None));
    let mut survey = Survey::new(&refused, Timestamp::from_millis(fleet.now));
    assert!(!survey.read(&fleet.state));
    let mut other = large(290, 1);
    other.ok(Command::CordonHost { name: name("m3") });
    while !survey.read(&other.state) {}
    let facts = survey.facts().unwrap();
    let whole = Facts::of(&other.state, &refused, Timestamp::from_millis(other.now)).unwrap();
    assert_eq!(format!("{facts:?}"), format!("{whole:?}"));

    let mut survey = Survey::new(&refused, Timestamp::from_millis(fleet.now));
    let mut reads = 0;
    while !survey.read(&fleet.state.clone()) {
        reads += 1;
    }
    assert!(reads < 100 && survey.facts().is_none());
}
