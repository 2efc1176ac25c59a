//! One cache: where it answers, how its instances are and what they wait for, what happened to it.

use std::net::SocketAddr;

use askama::Template;
use memc_core::ledger::State;
use memc_core::model::{Cache, CacheName, Instance, Revision, TeamName};

use super::caches::{Glance, glance, path, size};
use super::failure::{Answer, Failure};
use super::history::{Entry, entry};
use super::page::{Page, Section, ok};
use super::visit::{At, Member};
use super::why::{Condition, condition};
use crate::locale::{Text, mib};

/// Lines of history on the page.
const LINES: usize = 20;

#[derive(Template)]
#[template(path = "cache.html")]
struct CachePage {
    page: Page,
    cache: View,
    instances: Vec<Row>,
    /// `host:port` of each instance.
    endpoints: Vec<String>,
    /// A line to try it with.
    telnet: String,
    /// `None` if the store did not answer.
    history: Option<Vec<Entry>>,
}

/// A cache, for its own page and the ones that change it.
pub(super) struct View {
    pub(super) path: String,
    pub(super) team: String,
    pub(super) name: String,
    pub(super) cluster: String,
    pub(super) memory_mib: u64,
    pub(super) size: Text,
    /// How many of its instances may share a rack.
    pub(super) max_per_rack: Option<u16>,
    pub(super) state: Glance,
    pub(super) releasing: bool,
    /// Instances that are missing since a host was lost.
    pub(super) missing: usize,
}

struct Row {
    index: u16,
    name: String,
    host: String,
    address: String,
    port: u16,
    memory: String,
    booked: String,
    condition: Condition,
}

/// A cache for a page.
pub(super) fn view(state: &State, team: &TeamName, cache: &Cache) -> View {
    View {
        path: path(team.as_str(), cache.name.as_str()),
        team: team.to_string(),
        name: cache.name.to_string(),
        cluster: state.cluster(cache.cluster).map(|cluster| cluster.name.to_string()).unwrap_or_default(),
        memory_mib: cache.memory.get(),
        size: size(cache.memory, cache.instances),
        max_per_rack: cache.max_per_rack,
        state: glance(state, cache),
        releasing: cache.releasing,
        missing: if cache.releasing { 0 } else { state.missing_of(cache).len() },
    }
}

pub(super) async fn page(member: Member, At((team, name)): At<(TeamName, CacheName)>) -> Answer {
    member.check_cache(&team, &name)?;
    let app = &member.visit.app;
    let fleet = &app.fleet;
    let commits = fleet.history(Some(&format!("cache:{team}/{name}")), Revision::new(u64::MAX), LINES).await;
    let commits = commits.inspect_err(|error| tracing::warn!(%error, "no history for a page")).ok();
    let mut page = Page::new(&member.visit, Section::Caches);
    let found = fleet.read(|state| {
        let cache = state.cache_named(&team, &name)?;
        let at = |it: &Instance| state.host(it.host).map(|host| (host.host.address, it.port));
        let places: Vec<_> = state.endpoints_of(cache.id).filter_map(at).collect();
        let telnet =
            places.first().map(|(address, port)| format!("telnet {address} {port}")).unwrap_or_default();
        let endpoints: Vec<String> =
            places.iter().map(|(address, port)| SocketAddr::new(*address, port.get()).to_string()).collect();
        let mut rows = Vec::new();
        for instance in state.instances_of(cache.id) {
            let Some(host) = state.host(instance.host) else {
                continue;
            };
            rows.push(Row {
                index: instance.index,
                name: format!("{}.{}", cache.name, instance.index),
                host: host.host.name.to_string(),
                address: host.host.address.to_string(),
                port: instance.port.get(),
                memory: mib(instance.memory),
                booked: mib(instance.booked),
                condition: condition(state, app, instance),
            });
        }
        // A cache that had this name before is another one: its history ends where this one's begins.
        let own = |commit: &&memc_core::ledger::Commit| commit.at >= cache.created_at;
        let history = commits.as_ref().map(|all| all.iter().filter(own).map(entry).collect());
        Some((view(state, &team, cache), rows, endpoints, telnet, history))
    });
    let (cache, instances, endpoints, telnet, history) = found.ok_or(Failure::NotFound)?;
    page.live = cache.state.tone == "busy";
    ok(&CachePage { page, cache, instances, endpoints, telnet, history })
}
