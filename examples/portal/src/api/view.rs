//! The objects of the API as JSON.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use memc_core::ledger::{Commit, HostView, Rule, State, WhyNot};
use memc_core::model::{
    Cache, CacheName, Cluster, ClusterName, Host, HostName, HostStatus, Instance, InstanceState, Mib, Policy,
    Port, Principal, Quota, Rack, RequestId, Revision, Team, TeamName, Timestamp,
};
use memc_core::observe::{Observations, Probe};
use memc_pillar_http::Fetch;
use serde::Serialize;

use crate::accounts::UserName;

/// A point in time as RFC 3339.
pub(super) fn time(at: Timestamp) -> Option<String> {
    let millis = i64::try_from(at.as_millis()).ok()?;
    jiff::Timestamp::from_millisecond(millis).ok().map(|time| time.to_string())
}

#[derive(Serialize)]
pub(super) struct CacheView {
    pub(super) team: TeamName,
    pub(super) name: CacheName,
    cluster: Option<ClusterName>,
    memory_mib: Mib,
    instances: Vec<InstanceView>,
    instances_wanted: u16,
    max_per_rack: Option<u16>,
    releasing: bool,
    endpoints: Vec<SocketAddr>,
    created_at: Option<String>,
    created_by: Principal,
    revision: Revision,
}

#[derive(Serialize)]
pub(super) struct InstanceView {
    name: String,
    host: HostName,
    address: IpAddr,
    port: Port,
    memory_mib: Mib,
    pub(super) booked_mib: Mib,
    state: InstanceState,
    /// Whether its port answered when it was last asked; `None` if nobody here has asked yet.
    answers: Option<bool>,
}

impl InstanceView {
    pub(super) fn new(cache: &CacheName, instance: &Instance, host: &Host, seen: &Observations) -> Self {
        let seen = seen.of(instance.id);
        InstanceView {
            name: format!("{cache}.{}", instance.index),
            host: host.name.clone(),
            address: host.address,
            port: instance.port,
            memory_mib: instance.memory,
            booked_mib: instance.booked,
            state: instance.state(),
            answers: seen.map(|seen| matches!(seen.probe, Probe::Answered(_))),
        }
    }
}

impl CacheView {
    pub(super) fn new(state: &State, cache: &Cache, seen: &Observations) -> Option<Self> {
        let team = state.team(cache.team)?.name.clone();
        let instances = state.instances_of(cache.id);
        let instances: Vec<InstanceView> = instances
            .filter_map(|it| Some(InstanceView::new(&cache.name, it, &state.host(it.host)?.host, seen)))
            .collect();
        let endpoint =
            |it: &Instance| Some(SocketAddr::new(state.host(it.host)?.host.address, it.port.get()));
        Some(CacheView {
            team,
            name: cache.name.clone(),
            cluster: state.cluster(cache.cluster).map(|cluster| cluster.name.clone()),
            memory_mib: cache.memory,
            endpoints: state.endpoints_of(cache.id).filter_map(endpoint).collect(),
            instances,
            instances_wanted: cache.instances,
            max_per_rack: cache.max_per_rack,
            releasing: cache.releasing,
            created_at: time(cache.created_at),
            created_by: cache.created_by.clone(),
            revision: cache.revision,
        })
    }

    /// With the revision of the commit that made it, which a retry of the same request answers too.
    pub(super) fn made_by(self, revision: Revision) -> Self {
        CacheView { revision, ..self }
    }
}

#[derive(Serialize)]
pub(super) struct ClusterView {
    pub(super) name: ClusterName,
    first_port: Port,
    last_port: Port,
    revision: Revision,
    #[serde(flatten)]
    operators: Option<ClusterDetails>,
}

/// What is for operators to know.
#[derive(Serialize)]
struct ClusterDetails {
    policy: Policy,
    hosts: usize,
    instances: u64,
    memory_mib: Mib,
    booked_mib: Mib,
}

impl ClusterView {
    pub(super) fn new(state: &State, cluster: &Cluster, admin: bool) -> Self {
        let details = || ClusterDetails {
            policy: cluster.policy.clone(),
            hosts: state.hosts_of(cluster.id).count(),
            instances: state.hosts_of(cluster.id).map(|view| u64::from(view.instances)).sum(),
            memory_mib: state.hosts_of(cluster.id).map(|view| view.host.memory).sum(),
            booked_mib: state.hosts_of(cluster.id).map(|view| view.booked).sum(),
        };
        ClusterView {
            name: cluster.name.clone(),
            first_port: cluster.ports.first,
            last_port: cluster.ports.last,
            revision: cluster.revision,
            operators: admin.then(details),
        }
    }

    pub(super) fn made_by(self, revision: Revision) -> Self {
        ClusterView { revision, ..self }
    }
}

#[derive(Serialize)]
pub(super) struct FullHost {
    pub(super) name: HostName,
    cluster: Option<ClusterName>,
    address: IpAddr,
    memory_mib: Mib,
    booked_mib: Mib,
    free_mib: Mib,
    instances: u32,
    rack: Option<Rack>,
    status: HostStatus,
    blocked_ports: BTreeSet<Port>,
    /// In use by something unknown when the host was looked at after a restore; not given out.
    found_ports: BTreeSet<Port>,
    /// Takes nothing new until it was looked at, since the fleet was set back to a backup.
    unobserved: bool,
    /// By this process, since it started.
    last_pillar_fetch: Option<FetchView>,
    revision: Revision,
}

#[derive(Serialize)]
struct FetchView {
    at: Option<String>,
    revision: Revision,
}

impl FullHost {
    pub(super) fn new(state: &State, view: &HostView, fetch: Option<Fetch>) -> Self {
        FullHost {
            name: view.host.name.clone(),
            cluster: state.cluster(view.host.cluster).map(|cluster| cluster.name.clone()),
            address: view.host.address,
            memory_mib: view.host.memory,
            booked_mib: view.booked,
            free_mib: view.free(),
            instances: view.instances,
            rack: view.host.rack.clone(),
            status: view.host.status,
            blocked_ports: view.host.blocked_ports.clone(),
            found_ports: view.host.found_ports.clone(),
            unobserved: state.waits(&view.host),
            last_pillar_fetch: fetch.map(|fetch| FetchView { at: time(fetch.at), revision: fetch.revision }),
            revision: view.host.revision,
        }
    }

    pub(super) fn made_by(self, revision: Revision) -> Self {
        FullHost { revision, ..self }
    }
}

#[derive(Serialize)]
pub(super) struct TeamView {
    pub(super) name: TeamName,
    pub(super) members: Vec<UserName>,
    revision: Revision,
}

impl TeamView {
    pub(super) fn new(team: Team, members: Vec<UserName>) -> Self {
        TeamView { name: team.name, members, revision: team.revision }
    }

    pub(super) fn made_by(self, revision: Revision) -> Self {
        TeamView { revision, ..self }
    }
}

#[derive(Serialize)]
pub(super) struct QuotaView {
    cluster: ClusterName,
    pub(super) team: TeamName,
    memory_mib: Mib,
    used_mib: Mib,
    revision: Revision,
}

impl QuotaView {
    pub(super) fn new(state: &State, quota: &Quota) -> Option<Self> {
        Some(QuotaView {
            cluster: state.cluster(quota.cluster)?.name.clone(),
            team: state.team(quota.team)?.name.clone(),
            memory_mib: quota.memory,
            used_mib: state.used(quota.cluster, quota.team),
            revision: quota.revision,
        })
    }
}

#[derive(Serialize)]
pub(super) struct AuditView {
    revision: Revision,
    at: Option<String>,
    actor: Principal,
    action: String,
    target: String,
    detail: String,
    request_id: Option<RequestId>,
}

impl From<Commit> for AuditView {
    fn from(commit: Commit) -> Self {
        AuditView {
            revision: commit.revision,
            at: time(commit.at),
            actor: commit.actor,
            action: commit.action.name.into_owned(),
            target: commit.action.target,
            detail: commit.action.detail,
            request_id: commit.request,
        }
    }
}

/// What is left of an object that is no more.
#[derive(Serialize)]
pub(super) struct Gone {
    gone: bool,
    revision: Revision,
}

impl Gone {
    pub(super) fn at(revision: Revision) -> Self {
        Gone { gone: true, revision }
    }
}

/// An object as it is now, if it still is.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Now<T> {
    There(T),
    Gone(Gone),
}

impl<T> Now<T> {
    pub(super) fn new(object: Option<T>, revision: Revision) -> Self {
        object.map_or_else(|| Now::Gone(Gone::at(revision)), Now::There)
    }
}

/// What is in the way of a request, and what would do instead.
#[derive(Serialize)]
pub(super) struct WhyView {
    revision: Revision,
    largest_mib: Option<Mib>,
    alone: Vec<RuleView>,
    /// Hosts that wait to be looked at after a restore.
    #[serde(skip_serializing_if = "is_zero")]
    unobserved: u32,
    elsewhere: Vec<ClusterName>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    uncordon: Vec<HostName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    add: Option<HostsView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moves: Option<MovesView>,
}

#[derive(Serialize)]
struct RuleView {
    rule: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

#[derive(Serialize)]
struct HostsView {
    count: u32,
    memory_mib: Mib,
}

#[derive(Serialize)]
struct MovesView {
    count: u32,
    cold_mib: Mib,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl From<WhyNot> for WhyView {
    fn from(why: WhyNot) -> Self {
        WhyView {
            revision: why.revision,
            largest_mib: why.largest,
            alone: why.alone.into_iter().map(RuleView::from).collect(),
            unobserved: why.unobserved,
            elsewhere: why.elsewhere,
            uncordon: why.uncordon,
            add: why.add.map(|add| HostsView { count: add.count, memory_mib: add.memory }),
            moves: why.moves.map(|offer| MovesView { count: offer.moves, cold_mib: offer.cold }),
        }
    }
}

impl From<Rule> for RuleView {
    fn from(rule: Rule) -> Self {
        let until = match rule {
            Rule::CoolDown { until } => time(until),
            _ => None,
        };
        let rule = match rule {
            Rule::Memory => "memory",
            Rule::Headroom => "headroom",
            Rule::FillLimit => "fill_limit",
            Rule::Ports => "ports",
            Rule::CoolDown { .. } => "cool_down",
            Rule::Spread => "spread",
            Rule::Racks => "racks",
            Rule::Quota => "quota",
            Rule::Unobserved => "unobserved",
        };
        RuleView { rule, until }
    }
}
