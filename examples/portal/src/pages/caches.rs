//! My caches: what my teams have, and how much more they may ask for.

use askama::Template;
use memc_core::ledger::State;
use memc_core::model::{Cache, InstanceState, Mib, TeamName};

use super::failure::Answer;
use super::page::{Bar, Page, Section, ok};
use super::visit::Member;
use crate::locale::{Text, mib, text};

#[derive(Template)]
#[template(path = "caches.html")]
struct CachesPage {
    page: Page,
    teams: Vec<Team>,
    /// Whether anything can be asked for: a cluster in which a team of mine has a quota.
    can_create: bool,
}

/// A team with what it has.
pub(super) struct Team {
    pub(super) name: String,
    pub(super) quotas: Vec<Quota>,
    pub(super) caches: Vec<Row>,
}

/// A quota and what counts against it.
pub(super) struct Quota {
    pub(super) cluster: String,
    pub(super) used: String,
    pub(super) limit: String,
    pub(super) bar: Bar,
}

/// A cache at a glance.
pub(super) struct Row {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) cluster: String,
    pub(super) size: Text,
    pub(super) state: Glance,
}

/// How a cache is, in a word.
pub(super) struct Glance {
    /// For the style sheet: `good`, `busy`, `bad`.
    pub(super) tone: &'static str,
    pub(super) word: Text,
}

/// How a cache is.
pub(super) fn glance(state: &State, cache: &Cache) -> Glance {
    let states: Vec<InstanceState> = state.instances_of(cache.id).map(|instance| instance.state()).collect();
    let missing = state.missing_of(cache).len();
    let up = state.instances_of(cache.id).filter(|instance| instance.observed.is_some()).count();
    let running = states.iter().filter(|state| **state == InstanceState::Running).count();
    let shrinking = states.contains(&InstanceState::Shrinking);
    if cache.releasing {
        Glance { tone: "busy", word: text("glance-releasing") }
    } else if missing > 0 {
        Glance { tone: "bad", word: text("glance-missing").arg("n", missing) }
    } else if running == states.len() {
        Glance { tone: "good", word: text("glance-running") }
    } else if up == states.len() && !shrinking {
        Glance { tone: "busy", word: text("glance-resizing") }
    } else if shrinking {
        Glance { tone: "busy", word: text("glance-shrinking") }
    } else {
        Glance { tone: "busy", word: text("glance-pending").arg("running", up).arg("all", states.len()) }
    }
}

/// A cache's memory for people: `2 × 64 MiB`.
pub(super) fn size(memory: Mib, instances: u16) -> Text {
    text("size-each").arg("n", instances).arg("memory", memory)
}

/// The address of a cache's page.
pub(super) fn path(team: &str, name: &str) -> String {
    format!("/caches/{team}/{name}")
}

/// A team as the fleet knows it; `None` if it does not.
pub(super) fn team(state: &State, name: &TeamName) -> Option<Team> {
    let id = state.team_named(name)?.id;
    let quota = |cluster: &memc_core::model::Cluster| {
        let (limit, used) = (state.quota(cluster.id, id), state.used(cluster.id, id));
        (limit > Mib::ZERO || used > Mib::ZERO).then(|| Quota {
            cluster: cluster.name.to_string(),
            used: mib(used),
            limit: mib(limit),
            bar: Bar::new(used.get(), 0, limit.get()),
        })
    };
    let row = |cache: &Cache| Row {
        path: path(name.as_str(), cache.name.as_str()),
        name: cache.name.to_string(),
        cluster: state.cluster(cache.cluster).map(|cluster| cluster.name.to_string()).unwrap_or_default(),
        size: size(cache.memory, cache.instances),
        state: glance(state, cache),
    };
    Some(Team {
        name: name.to_string(),
        quotas: state.clusters().filter_map(quota).collect(),
        caches: state.caches_of(id).map(row).collect(),
    })
}

pub(super) async fn page(member: Member) -> Answer {
    let mut page = Page::new(&member.visit, Section::Caches);
    let teams: Vec<Team> = member
        .visit
        .app
        .fleet
        .read(|state| member.user().teams.iter().filter_map(|name| team(state, name)).collect());
    page.live = teams.iter().flat_map(|team| &team.caches).any(|cache| cache.state.tone == "busy");
    let can_create = teams.iter().any(|team| !team.quotas.is_empty());
    ok(&CachesPage { page, teams, can_create })
}
