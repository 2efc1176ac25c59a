//! A short campaign on each store, and one on a server that loses what it acknowledges. `scripts/soak` runs long ones.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests fail by panicking

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_memc-faults");
const WORKERS: [&str; 2] = ["worker_killed", "worker_stopped"];
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
    run(Command::new(PROGRAM).arg("campaign").args(arguments))
}

fn run(command: &mut Command) -> (bool, BTreeMap<String, u64>) {
    let output = command.output().expect("a campaign");
    let text = String::from_utf8(output.stdout).unwrap();
    eprintln!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    let figures = pairs.filter_map(|(key, value)| Some((key.to_owned(), value.parse().ok()?))).collect();
    (output.status.success(), figures)
}

fn nothing_is_lost(store: &str, faults: &[&str]) {
    let (right, figures) = campaign(&["--store", store, "--operations", "3000", "--faults", "12"]);
    assert!(right);
    for key in ["lost", "doubled", "violations"] {
        assert_eq!(figures[key], 0, "{key}");
    }
    for fault in faults {
        assert!(figures.get(*fault).is_some_and(|count| *count > 0), "{fault}");
    }
    assert_eq!(figures["faults"], 12);
    for key in ["acknowledged", "refused", "clients_cut_off"] {
        assert!(figures[key] > 0, "{key}");
    }
    assert!(figures["operations"] >= 3000);
}

#[test]
fn sqlite() {
    nothing_is_lost("sqlite", &WORKERS);
}

#[test]
fn postgres() {
    nothing_is_lost("postgres", &[&WORKERS[..], &SERVERS].concat());
}

#[test]
fn mariadb() {
    nothing_is_lost("mariadb", &[&WORKERS[..], &SERVERS].concat());
}

#[test]
fn redis() {
    nothing_is_lost("redis", &[&WORKERS[..], &SERVERS].concat());
}

/// The check finds what a server loses that flushes its log once a second.
#[test]
fn a_lossy_server_is_found() {
    let (right, figures) =
        campaign(&["--store", "mariadb", "--lossy", "--operations", "1500", "--faults", "4"]);
    assert!(!right);
    assert!(figures["lost"] > 0);
}

/// On a small file system of its own, in a namespace of its own, which takes root.
fn a_full_disk(store: &str) {
    let allowed = Command::new("unshare").args(["--mount", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("not tested: a small file system needs root");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=256m,mode=755 tmpfs \"$1\" && cd / && \
                  TMPDIR=\"$1\" exec \"$2\" campaign --disk \"$1\" --store \"$3\" --operations 1500 --faults 10";
    let (right, figures) = run(Command::new("unshare")
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(directory.path())
        .args([PROGRAM, store]));
    assert!(right);
    assert!(figures["disk_full"] > 0);
    assert_eq!((figures["lost"], figures["doubled"], figures["violations"]), (0, 0, 0));
}

#[test]
fn sqlite_on_a_full_disk() {
    a_full_disk("sqlite");
}

#[test]
fn postgres_on_a_full_disk() {
    a_full_disk("postgres");
}

#[test]
fn mariadb_on_a_full_disk() {
    a_full_disk("mariadb");
}

#[test]
fn redis_on_a_full_disk() {
    a_full_disk("redis");
}

/// With the library that takes back what was never flushed.
fn with_power_cuts(store: &str, arguments: &[&str]) -> (bool, BTreeMap<String, u64>) {
    let directory = tempfile::tempdir().unwrap();
    let (library, logs) = (directory.path().join("power-cut.so"), directory.path().join("logs"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/power-cut/power-cut.c");
    let built = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(built.expect("cc").success());
    std::fs::create_dir(&logs).unwrap();
    // Servers may run as another user.
    for (path, mode) in [(directory.path(), 0o755), (&logs, 0o777)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let files = if store == "sqlite" { "/memc.db" } else { "/data/" };
    run(Command::new(PROGRAM)
        .args(["campaign", "--store", store, "--power-cut"])
        .arg(&logs)
        .args(arguments)
        .env("LD_PRELOAD", &library)
        .env("POWER_CUT_LOG", &logs)
        .env("POWER_CUT_FILES", files))
}

fn power_cuts_lose_nothing(store: &str) {
    let (right, figures) = with_power_cuts(store, &["--operations", "2000", "--faults", "16"]);
    assert!(right);
    assert!(figures["power_cut"] > 0);
    assert_eq!((figures["lost"], figures["doubled"], figures["violations"]), (0, 0, 0));
}

/// The library takes something back: a server that does not flush loses what it acknowledged.
fn power_cuts_are_found(store: &str) {
    let (right, figures) = with_power_cuts(store, &["--lossy", "--operations", "1200", "--faults", "3"]);
    assert!(!right);
    assert!(figures["writes_undone"] > 0);
    assert!(figures["lost"] > 0);
}

#[test]
fn redis_that_does_not_flush() {
    power_cuts_are_found("redis");
}

#[test]
fn sqlite_after_power_cuts() {
    power_cuts_lose_nothing("sqlite");
}

#[test]
fn postgres_after_power_cuts() {
    power_cuts_lose_nothing("postgres");
}

#[test]
fn mariadb_after_power_cuts() {
    power_cuts_lose_nothing("mariadb");
}

#[test]
fn redis_after_power_cuts() {
    power_cuts_lose_nothing("redis");
}
