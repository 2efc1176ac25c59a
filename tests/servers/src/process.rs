//! Processes and signals, through `kill` and `/proc`.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::PATIENCE;

/// A process and all that it started, and so on.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let all = parents();
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    family
}

/// Stop a process where it is, then its family, and name them. It first: one that goes on starts others meanwhile, as a
/// database does for a connection, and those would be left.
pub(crate) fn stop(pid: u32) -> Vec<u32> {
    signal("STOP", &[pid]);
    wait(&[pid], |state| matches!(state, 'T' | 'Z'));
    let family = family(pid);
    signal("STOP", &family);
    family
}

/// Every process and its parent, see proc_pid_stat(5).
fn parents() -> Vec<(u32, u32)> {
    let processes = std::fs::read_dir("/proc").expect("/proc: servers for tests need Linux");
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter_map(|pid: u32| Some((pid, stat(pid)?.1))).collect()
}

/// A process's state and parent.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before may have blanks and parentheses.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

pub(crate) fn signal(name: &str, pids: &[u32]) {
    let mut kill = Command::new("kill");
    kill.arg(format!("-{name}")).args(pids.iter().map(u32::to_string));
    // Some may have ended by themselves.
    kill.stderr(Stdio::null()).status().expect("kill can be started");
}

pub(crate) fn wait_for_end(pids: &[u32]) {
    wait(pids, |state| state == 'Z');
}

/// Until all are in such a state, or gone.
fn wait(pids: &[u32], done: impl Fn(char) -> bool) {
    let since = Instant::now();
    while pids.iter().any(|pid| stat(*pid).is_some_and(|(state, _)| !done(state))) {
        assert!(since.elapsed() < PATIENCE, "a server's processes neither stop nor end");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
