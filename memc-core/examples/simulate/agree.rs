//! Whether a state is what the second implementation says it should be.

use memc_core::ledger::{Change, Decision, HostView, PortUse, State};
use memc_core::model::{HostStatus, Phase, Port, Record, Timestamp};

use crate::ledger::name;
use crate::second::{Host, Process, Second, Spot, Status};

pub(crate) fn host_name(at: usize) -> String {
    format!("m{at}")
}

pub(crate) fn cache_name(number: u64) -> String {
    format!("c{number}")
}

/// The number in a name that one of the two above has made.
pub(crate) fn number(name: &str) -> Option<u64> {
    name.get(1..)?.parse().ok()
}

/// Where a decision starts instances, in the order of their indexes.
pub(crate) fn spots_of(state: &State, decision: &Decision) -> Vec<Spot> {
    let started = decision.changes.iter().filter_map(|change| match change {
        Change::Put(Record::Instance(instance)) => Some(instance),
        _ => None,
    });
    let host = |id| state.host(id).and_then(|view| number(view.host.name.as_str()));
    started.filter_map(|it| Some((host(it.host)? as usize, it.port.get()))).collect()
}

/// The first way in which one host breaks a rule, or is not as the second implementation has it.
/// O(instances and retired ports on it).
pub(crate) fn host_flaw(second: &Second, state: &State, at: usize) -> Option<&'static str> {
    match state.host_named(&name(&host_name(at))) {
        Some(view) => view_flaw(&second.hosts[at], state, view),
        None => Some("hosts"),
    }
}

fn view_flaw(host: &Host, state: &State, view: &HostView) -> Option<&'static str> {
    let mut caches: Vec<u64> = host.processes.iter().map(|it| it.cache).collect();
    caches.sort_unstable();
    if caches.windows(2).any(|pair| pair[0] == pair[1]) {
        return Some("one_per_host");
    }
    let status = match host.status {
        Status::Active => HostStatus::Active,
        Status::Cordoned => HostStatus::Cordoned,
        Status::Draining => HostStatus::Draining,
        Status::Lost => HostStatus::Lost,
    };
    if view.host.status != status || view.host.memory.get() != host.memory {
        return Some("hosts");
    }
    let booked = host.booked();
    if view.booked.get() != booked || view.instances as usize != host.processes.len() {
        return Some("sums");
    }
    if view.ports.len() != host.processes.len() + host.retired.len() {
        return Some("ports");
    }
    let retired = host.retired.iter().all(|(port, reusable_at)| is_retired(view, *port, *reusable_at));
    let there = host.processes.iter().all(|it| runs(state, view, it));
    if retired && there { None } else { Some("ports") }
}

fn is_retired(view: &HostView, port: u16, reusable_at: u64) -> bool {
    let Some(PortUse::Retired(retired)) = Port::new(port).ok().and_then(|port| view.ports.get(&port)) else {
        return false;
    };
    retired.reusable_at == Timestamp::from_millis(reusable_at)
}

/// Whether this process is at its port as it should be.
fn runs(state: &State, view: &HostView, it: &Process) -> bool {
    let Some(PortUse::Instance(_, id)) = Port::new(it.port).ok().and_then(|port| view.ports.get(&port))
    else {
        return false;
    };
    let Some(instance) = state.instance(*id) else {
        return false;
    };
    let phase = match (it.releasing, it.shrinking) {
        (true, _) => Phase::Releasing,
        (false, true) => Phase::Shrinking,
        (false, false) => Phase::Kept,
    };
    let cache = state.cache(instance.cache).and_then(|cache| number(cache.name.as_str()));
    cache == Some(it.cache)
        && (instance.index, instance.phase) == (it.index, phase)
        && instance.moved_to.is_some() == it.moving
        && (instance.memory.get(), instance.booked.get()) == (it.memory, it.booked)
}

/// The first way in which the whole fleet is not as the second implementation has it. `teams` are the names of its teams,
/// in order. O(instances + caches × teams).
pub(crate) fn fleet_flaw(second: &Second, state: &State, teams: &[String]) -> Option<&'static str> {
    for view in state.hosts() {
        let host = number(view.host.name.as_str()).and_then(|at| second.hosts.get(at as usize));
        let Some(host) = host else {
            return Some("hosts");
        };
        if let Some(flaw) = view_flaw(host, state, view) {
            return Some(flaw);
        }
    }
    let processes: usize = second.hosts.iter().map(|host| host.processes.len()).sum();
    if state.hosts().count() != second.hosts.len() || state.instances().count() != processes {
        return Some("instances");
    }
    if state.caches().count() != second.caches.len() {
        return Some("caches");
    }
    for cache in state.caches() {
        let Some(own) = number(cache.name.as_str()).and_then(|number| second.caches.get(&number)) else {
            return Some("caches");
        };
        let team = state.team(cache.team).map(|team| team.name.as_str());
        let same = team == Some(teams[own.team].as_str())
            && (cache.memory.get(), cache.instances) == (own.memory, own.count)
            && (cache.max_per_rack, cache.releasing) == (own.most_per_rack, own.releasing)
            && state.instances_of(cache.id).count() == own.on.len();
        if !same {
            return Some("caches");
        }
    }
    let Some(cluster) = state.clusters().next() else {
        return Some("clusters");
    };
    if state.booked(cluster.id).get() != second.booked() || state.memory(cluster.id).get() != second.memory()
    {
        return Some("sums");
    }
    for (at, team) in teams.iter().enumerate() {
        let Some(team) = state.team_named(&name(team)) else {
            return Some("teams");
        };
        let (used, quota) = (state.used(cluster.id, team.id).get(), state.quota(cluster.id, team.id).get());
        if used != second.used(at) || quota != second.quotas[at] {
            return Some("quota");
        }
    }
    None
}
