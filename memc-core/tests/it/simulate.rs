//! The simulation: its arguments, its lines, and that its checks can fail.

use proptest::prelude::*;

use crate::arguments::{Arguments, Asked, USAGE, parse};
use crate::life::life;
use crate::second::{Host, Rules, Second, Status, Wish};

fn asked(line: &str) -> Result<Asked, String> {
    parse(line.split_whitespace().map(str::to_owned))
}

#[test]
fn arguments_are_judged() {
    let Ok(Asked::Life(life)) = asked("--seed 7 --hosts 5 --instances 9 --headroom 90 --order balance")
    else {
        panic!("these are right");
    };
    assert_eq!((life.hosts, life.instances, life.seed), (5, 9, 7));
    assert_eq!((life.headroom, life.fill, life.balance), (90, 85, true));
    assert!(matches!(asked("--hosts 0 --help"), Err(wrong) if wrong.contains("from 1 to 1000000")));
    assert!(matches!(asked("--hosts 5 --help"), Ok(Asked::Help)));
    for option in
        ["--hosts N", "--instances M", "--seed S", "--headroom P", "--fill P", "--order ORDER", "--help"]
    {
        assert!(USAGE.contains(option), "{option}");
    }
    for (line, says) in [
        ("", "--hosts is missing"),
        ("--hosts 5 --instances 9", "--seed is missing"),
        ("--hosts", "--hosts needs a value"),
        ("--hosts five", "whole number"),
        ("--hosts 1 --instances 1 --seed -1", "whole number"),
        ("--hosts 1 --instances 1 --seed 1 --headroom 91", "from 0 to 90"),
        ("--hosts 1 --instances 1 --seed 1 --order tight", "pack or balance"),
        ("--host 1", "no option"),
    ] {
        let wrong = asked(line).expect_err(line);
        assert!(wrong.contains(says), "{line}: {wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// Any fleet lives without a violation, and the same one twice.
    #[test]
    fn a_life_is_sound_and_repeats_itself(
        hosts in 1..14u64, instances in 0..200u64, seed in any::<u64>(), headroom in 0..=90u32, fill in 1..=100u64,
        balance in any::<bool>(),
    ) {
        let arguments = Arguments { hosts, instances, seed, headroom, fill, balance };
        let report = life(&arguments);
        prop_assert!(report.sound, "{}", report.text);
        prop_assert_eq!(&report.text, &life(&arguments).text);
        let keys: Vec<&str> = report.text.lines().filter_map(|line| line.split(' ').next()).collect();
        let expected = "hosts instances operations refused wrongly_refused violations fill_percent \
                        grow_in_place_percent largest_fit_mib moved_mib drains_undecided";
        prop_assert_eq!(keys, expected.split(' ').collect::<Vec<_>>());
    }
}

/// The promise of room to grow, with the default policy, after every instance was replaced once.
fn keeps_room_to_grow(hosts: u64, fills: &[u64]) {
    for &fill in fills {
        let arguments =
            Arguments { hosts, instances: 1_000_000, seed: 1, headroom: 10, fill, balance: false };
        let report = life(&arguments);
        assert!(report.sound, "{}", report.text);
        let value = |key: &str| -> f64 {
            let mut lines = report.text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(other, _)| *other == key).unwrap().1.parse().unwrap()
        };
        assert!((value("fill_percent") - fill as f64).abs() < 1.0, "{}", report.text);
        assert!(value("grow_in_place_percent") >= 97.0, "{}", report.text);
        // So none that a tighter policy would have avoided.
        assert_eq!(report.refused, 0, "{}", report.text);
    }
}

#[test]
#[ignore = "minutes in a debug build: scripts/test long"]
fn a_fleet_keeps_room_to_grow() {
    keeps_room_to_grow(1000, &[60, 75, 85]);
}

/// A checker that never fails checks nothing: places that break each rule are found.
#[test]
fn broken_rules_are_found() {
    let rules = Rules {
        headroom_percent: 10,
        balance: false,
        fill_limit_percent: 100,
        ports: 11211..=11214,
        cool_down_millis: 1000,
        floor_mib: 45,
    };
    let mut second = Second::new(rules, vec![10_000]);
    // 161 MiB are booked for one of 100.
    for (memory, rack) in [(1000, 0), (1000, 0), (1000, 1), (170, 2), (160, 2)] {
        second.hosts.push(Host::new(0, memory, rack, vec![11214]));
    }
    second.hosts[2].status = Status::Cordoned;
    second.hosts[1].retired.insert(11213, 2000);
    let wish = |cache, count| Wish { cache, team: 0, memory: 100, count, most_per_rack: Some(1) };
    second.allocate(&wish(7, 1), &[(0, 11211)]);
    let broken = |wish: Wish, spots: &[(usize, u16)]| second.broken_by(&wish, spots, 1999);
    assert_eq!(broken(wish(8, 1), &[(0, 11212)]), None);
    assert_eq!(broken(wish(8, 2), &[(0, 11212)]), Some("count"));
    assert_eq!(broken(wish(8, 1), &[(2, 11211)]), Some("closed_host"));
    assert_eq!(broken(wish(7, 1), &[(0, 11212)]), Some("one_per_host"));
    assert_eq!(broken(wish(7, 1), &[(1, 11211)]), Some("max_per_rack"));
    assert_eq!(broken(wish(8, 1), &[(3, 11211)]), Some("headroom"));
    assert_eq!(broken(wish(8, 1), &[(4, 11211)]), Some("memory"));
    assert_eq!(broken(wish(8, 1), &[(0, 11211)]), Some("port_owned"));
    assert_eq!(broken(wish(8, 1), &[(0, 11214)]), Some("port_blocked"));
    assert_eq!(broken(wish(8, 1), &[(0, 11215)]), Some("port_blocked"));
    assert_eq!(broken(wish(8, 1), &[(1, 11213)]), Some("port_cooling_down"));
    assert_eq!(second.broken_by(&wish(8, 1), &[(1, 11213)], 2000), None);
}
