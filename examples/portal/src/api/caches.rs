//! `/caches`

use axum::extract::State;
use memc_core::ledger::{Change, Command, Receipt};
use memc_core::model::{CacheName, ClusterName, Key, Mib, Reason, Record, TeamName};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, refresh};
use super::caller::Caller;
use super::input::{Body, Names, Params, parse};
use super::paging::{Listing, Wanted};
use super::view::{CacheView, InstanceView, Now};
use crate::app::App;
use crate::auth::may_use_team;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCache {
    team: TeamName,
    name: CacheName,
    cluster: ClusterName,
    memory_mib: Mib,
    #[serde(default = "one_instance")]
    instances: u16,
    #[serde(default)]
    max_per_rack: Option<u16>,
}

fn one_instance() -> u16 {
    1
}

impl NewCache {
    fn command(self) -> Command {
        let NewCache { team, name, cluster, memory_mib: memory, instances, max_per_rack } = self;
        Command::Allocate { team, name, cluster, memory, instances, max_per_rack }
    }
}

type Answered = Result<Answer<Now<CacheView>>, Problem>;

pub(super) async fn create(State(app): State<App>, caller: Caller, Body(body): Body<NewCache>) -> Answered {
    caller.require_team(&body.team, format_args!("team {}", body.team))?;
    let receipt = caller.submit(&app, body.command()).await?;
    let cache = subject(&app, &receipt).map(|cache| cache.made_by(receipt.revision));
    Ok(Answer::created(Now::new(cache, receipt.revision)))
}

fn subject(app: &App, receipt: &Receipt) -> Option<CacheView> {
    let Key::Cache { id } = receipt.subject else {
        return None;
    };
    app.fleet.read(|state| state.cache(id).and_then(|cache| CacheView::new(state, cache, &app.observations)))
}

#[derive(Serialize)]
pub(super) struct Preview {
    team: TeamName,
    name: CacheName,
    cluster: ClusterName,
    memory_mib: Mib,
    instances: Vec<InstanceView>,
    booked_mib: Mib,
    quota_before: Account,
    quota_after: Account,
}

/// A team's quota in a cluster, and what of it is used.
#[derive(Serialize)]
struct Account {
    memory_mib: Mib,
    used_mib: Mib,
    free_mib: Mib,
}

impl Account {
    fn new(memory: Mib, used: Mib) -> Self {
        Account { memory_mib: memory, used_mib: used, free_mib: memory.minus(used) }
    }
}

pub(super) async fn preview(
    State(app): State<App>,
    caller: Caller,
    Body(body): Body<NewCache>,
) -> Result<Answer<Preview>, Problem> {
    caller.require_team(&body.team, format_args!("team {}", body.team))?;
    let (team, name, cluster, memory) =
        (body.team.clone(), body.name.clone(), body.cluster.clone(), body.memory_mib);
    let stale = refresh(&app).await;
    let decision = caller.preview(&app, body.command())?;
    let preview = app.fleet.read(|state| {
        let placed = decision.changes.iter().filter_map(|change| match change {
            Change::Put(Record::Instance(it)) => {
                Some(InstanceView::new(&name, it, &state.host(it.host)?.host, &app.observations))
            }
            _ => None,
        });
        let instances: Vec<InstanceView> = placed.collect();
        let (of_cluster, of_team) = (state.cluster_named(&cluster)?.id, state.team_named(&team)?.id);
        let (limit, used) = (state.quota(of_cluster, of_team), state.used(of_cluster, of_team));
        Some(Preview {
            booked_mib: instances.iter().map(|it| it.booked_mib).sum(),
            quota_before: Account::new(limit, used),
            quota_after: Account::new(limit, used.plus(memory.times(instances.len() as u64))),
            instances,
            team,
            name,
            cluster,
            memory_mib: memory,
        })
    });
    // Both were there when it was decided: somebody has just removed one.
    let preview = preview.ok_or_else(|| Problem::not_found("such cluster or team any more"))?;
    Ok(Answer::read(preview, stale))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    limit: Option<u16>,
    cursor: Option<String>,
    team: Option<String>,
    cluster: Option<String>,
}

/// Where a list goes on: after the cache of this team and name.
struct Place(TeamName, CacheName);

impl std::str::FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let place = text
            .split_once('/')
            .and_then(|(team, name)| Some(Place(TeamName::new(team).ok()?, CacheName::new(name).ok()?)));
        place.ok_or("give the next_cursor of the page before")
    }
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<Query>,
) -> Result<Answer<Listing<CacheView>>, Problem> {
    let wanted: Wanted<Place> = Wanted::new(query.limit, query.cursor.as_deref())?;
    let team: Option<TeamName> = parse("team", query.team.as_deref())?;
    let cluster: Option<ClusterName> = parse("cluster", query.cluster.as_deref())?;
    let stale = refresh(&app).await;
    let listing = app.fleet.read(|state| {
        let cluster = cluster.map(|name| state.cluster_named(&name).map(|cluster| cluster.id));
        let after = wanted.after.as_ref();
        let teams = (state.teams())
            .filter(|it| may_use_team(&caller.user, &it.name))
            .filter(|it| team.as_ref().is_none_or(|team| it.name == *team))
            .filter(|it| after.is_none_or(|after| it.name >= after.0));
        let caches = teams
            .flat_map(|team| state.caches_of(team.id).map(move |cache| (team, cache)))
            .filter(|(team, cache)| {
                after.is_none_or(|after| (&team.name, &cache.name) > (&after.0, &after.1))
            })
            .filter(|(_, cache)| cluster.is_none_or(|cluster| cluster == Some(cache.cluster)))
            .filter_map(|(_, cache)| CacheView::new(state, cache, &app.observations));
        wanted.of(caches, |cache| format!("{}/{}", cache.team, cache.name), |cache| cache)
    });
    Ok(Answer::read(listing, stale))
}

pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Names((team, name)): Names<(TeamName, CacheName)>,
) -> Result<Answer<CacheView>, Problem> {
    require_cache(&caller, &team, &name)?;
    let stale = refresh(&app).await;
    let cache =
        app.fleet.read(|state| CacheView::new(state, state.cache_named(&team, &name)?, &app.observations));
    cache
        .map(|cache| Answer::read(cache, stale))
        .ok_or_else(|| Problem::not_found(format_args!("cache {team}/{name}")))
}

fn require_cache(caller: &Caller, team: &TeamName, name: &CacheName) -> Result<(), Problem> {
    caller.require_team(team, format_args!("cache {team}/{name}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Resized {
    memory_mib: Mib,
}

pub(super) async fn resize(
    State(app): State<App>,
    caller: Caller,
    Names((team, name)): Names<(TeamName, CacheName)>,
    body: Result<Body<Resized>, Problem>,
) -> Answered {
    require_cache(&caller, &team, &name)?;
    let Body(Resized { memory_mib: memory }) = body?;
    let receipt = caller.submit(&app, Command::Resize { team, name, memory }).await?;
    Ok(Answer::ok(Now::new(subject(&app, &receipt), receipt.revision)))
}

pub(super) async fn release(
    State(app): State<App>,
    caller: Caller,
    Names((team, name)): Names<(TeamName, CacheName)>,
) -> Answered {
    require_cache(&caller, &team, &name)?;
    let receipt = caller.submit(&app, Command::Release { team, name }).await?;
    Ok(Answer::accepted(Now::new(subject(&app, &receipt), receipt.revision)))
}

pub(super) async fn replace(
    State(app): State<App>,
    caller: Caller,
    Names((team, name)): Names<(TeamName, CacheName)>,
) -> Answered {
    require_cache(&caller, &team, &name)?;
    let receipt = caller.submit(&app, Command::Replace { team, name }).await?;
    Ok(Answer::ok(Now::new(subject(&app, &receipt), receipt.revision)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stated {
    reason: Reason,
}

pub(super) async fn confirm_stopped(
    State(app): State<App>,
    caller: Caller,
    Names((team, name, instance)): Names<(TeamName, CacheName, String)>,
    body: Result<Body<Stated>, Problem>,
) -> Answered {
    // Who may not see the cache is not told that it is there.
    require_cache(&caller, &team, &name)?;
    caller.require_admin()?;
    let Body(Stated { reason }) = body?;
    let index = index_in(&name, &instance).ok_or_else(|| {
        Problem::not_found(format_args!(
            "instance {instance} of cache {team}/{name}: they are called {name}.0, …"
        ))
    })?;
    let cache = app.fleet.read(|state| state.cache_named(&team, &name).map(|cache| cache.id));
    let receipt = caller.submit(&app, Command::StateStopped { team, name, index, reason }).await?;
    let cache = cache.and_then(|id| {
        app.fleet
            .read(|state| state.cache(id).and_then(|cache| CacheView::new(state, cache, &app.observations)))
    });
    Ok(Answer::ok(Now::new(cache, receipt.revision)))
}

/// The index in an instance's name, written the one way that the name is.
fn index_in(cache: &CacheName, instance: &str) -> Option<u16> {
    let index = instance.strip_prefix(cache.as_str())?.strip_prefix('.')?.parse().ok()?;
    (instance == format!("{cache}.{index}")).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_one_name() {
        let cache = CacheName::new("web-1").unwrap();
        assert_eq!(index_in(&cache, "web-1.0"), Some(0));
        assert_eq!(index_in(&cache, "web-1.12"), Some(12));
        for bad in ["web-1", "web-1.", "web-1.00", "web-1.+1", "web.0", "0", "web-1.70000", "web-1.0.0"] {
            assert_eq!(index_in(&cache, bad), None, "{bad}");
        }
    }
}
