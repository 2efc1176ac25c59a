//! A short campaign on each store, and some on servers that lose what they acknowledge. `scripts/test faults` runs longer
//! ones, `scripts/soak` long ones.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests fail by panicking

use std::collections::BTreeMap;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memc-faults");
const EVERYWHERE: [&str; 5] =
    ["worker_killed", "worker_stopped", "power_cut", "clock_moved", "backup_restored"];
const SERVERS: [&str; 7] = [
    "server_killed",
    "server_stopped",
    "both_killed",
    "connections_cut",
    "replies_lost",
    "stalled",
    "unsafe_setting",
];

/// Whether the campaign found nothing, and its figures.
fn campaign(arguments: &[&str]) -> (bool, BTreeMap<String, u64>) {
    let output = Command::new(PROGRAM).arg("campaign").args(arguments).output().expect("a campaign");
    let text = String::from_utf8(output.stdout).unwrap();
    eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let figures = pairs.filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?))).collect();
    (output.status.success(), figures)
}

fn nothing_is_lost(store: &str, faults: &[&str]) {
    let (right, figures) = campaign(&["--store", store, "--operations", "3000", "--faults", "13"]);
    assert!(right);
    for key in ["lost", "doubled", "violations"] {
        assert_eq!(figures[key], 0, "{key}");
    }
    for fault in faults {
        assert!(figures.get(*fault).is_some_and(|count| *count > 0), "{fault}");
    }
    assert_eq!(figures["faults"], 13);
    for key in ["acknowledged", "refused", "rewound", "instances_compared", "reads_compared"] {
        assert!(figures[key] > 0, "{key}");
    }
    // All of them, but what was answered while a backup was put back.
    for (judged, of) in [("refusals_judged", "refused"), ("receipts_judged", "acknowledged")] {
        assert!(figures[judged] * 10 >= figures[of] * 8, "{judged}");
    }
    assert!(figures["clients_cut_off"] * 5 >= figures["operations"], "clients that are cut off");
    assert!(figures["operations"] >= 3000);
}

#[test]
fn sqlite() {
    nothing_is_lost("sqlite", &EVERYWHERE);
}

#[test]
fn postgres() {
    nothing_is_lost("postgres", &[&EVERYWHERE[..], &SERVERS].concat());
}

#[test]
fn mariadb() {
    nothing_is_lost("mariadb", &[&EVERYWHERE[..], &SERVERS].concat());
}

#[test]
fn redis() {
    nothing_is_lost("redis", &[&EVERYWHERE[..], &SERVERS].concat());
}

/// The check finds what a server loses that keeps its log of changes to itself for a second, and is killed.
#[test]
fn a_server_that_writes_late_is_found() {
    let (right, figures) =
        campaign(&["--store", "mariadb", "--lossy", "--operations", "1500", "--faults", "4"]);
    assert!(!right);
    assert!(figures["lost"] > 0);
}

/// The library takes something back: a server that does not flush loses what it acknowledged.
#[test]
fn a_server_that_flushes_late_is_found() {
    let (right, figures) =
        campaign(&["--store", "redis", "--lossy", "--operations", "1200", "--faults", "3"]);
    assert!(!right);
    assert!(figures["writes_undone"] > 0);
    assert!(figures["lost"] > 0);
}
