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

/// What a campaign of one kind of fault, and with something unsafe, lost, and how many writes power cuts took back.
fn lost(store: &str, what: &[&str], fault: &str) -> (u64, u64) {
    let few = ["--store", store, "--only", fault, "--operations", "1500", "--faults", "4"];
    let (right, figures) = campaign(&[&few, what].concat());
    assert_eq!(figures["faults"], 4);
    let lost = figures["lost"];
    assert_eq!(right, lost == 0 && figures["violations"] == 0);
    (lost, figures["writes_undone"])
}

/// A power cut takes something back that `kill -9` does not: so it shows whether what was acknowledged had been flushed.
fn only_a_power_cut_loses(store: &str, what: &[&str], killed: &str) {
    assert_eq!(lost(store, what, killed).0, 0);
    let (lost, undone) = lost(store, what, "power_cut");
    assert!(lost > 0 && undone > 0, "{lost} lost, {undone} undone");
}

#[test]
fn postgres_that_does_not_flush_is_found() {
    only_a_power_cut_loses("postgres", &["--accept", "fsync=off"], "server_killed");
}

#[test]
fn mariadb_that_flushes_late_is_found() {
    only_a_power_cut_loses("mariadb", &["--accept", "innodb_flush_log_at_trx_commit=2"], "server_killed");
}

#[test]
fn redis_that_flushes_late_is_found() {
    only_a_power_cut_loses("redis", &["--accept", "appendfsync=everysec"], "server_killed");
}

/// SQLite has no setting from outside. A disk that flushes its log with each checkpoint only is what `synchronous=NORMAL`
/// comes to.
#[test]
fn sqlite_whose_log_is_not_flushed_is_found() {
    only_a_power_cut_loses("sqlite", &["--ignore-flushes", "memc.db-wal"], "worker_killed");
}

/// Kept in memory for a second, it is lost without a power cut already.
#[test]
fn mariadb_that_writes_late_is_found() {
    let what = ["--accept", "innodb_flush_log_at_trx_commit=0"];
    assert!(lost("mariadb", &what, "server_killed").0 > 0);
}
