//! `/clusters`

use axum::extract::State;
use axum::http::StatusCode;
use memc_core::ledger::{ClusterPatch, ClusterSpec, Command, Receipt};
use memc_core::model::{Cluster, ClusterName, Key, Policy, Port, PortRange};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, refresh};
use super::caller::Caller;
use super::input::{Body, Names, Params};
use super::paging::{Listing, Page, Wanted};
use super::view::{ClusterView, Now};
use crate::accounts::User;
use crate::app::App;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewCluster {
    name: ClusterName,
    first_port: Port,
    last_port: Port,
    #[serde(default)]
    policy: Policy,
}

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    body: Result<Body<NewCluster>, Problem>,
) -> Result<Answer<Now<ClusterView>>, Problem> {
    caller.require_admin()?;
    let Body(NewCluster { name, first_port, last_port, policy }) = body?;
    let spec = ClusterSpec { ports: PortRange { first: first_port, last: last_port }, policy };
    let receipt = caller.submit(&app, Command::CreateCluster { name, spec }).await?;
    let cluster = subject(&app, &receipt).map(|cluster| cluster.made_by(receipt.revision));
    Ok(Answer::created(Now::new(cluster, receipt.revision)))
}

fn subject(app: &App, receipt: &Receipt) -> Option<ClusterView> {
    let Key::Cluster { id } = receipt.subject else {
        return None;
    };
    app.fleet.read(|state| state.cluster(id).map(|cluster| ClusterView::new(state, cluster, true)))
}

/// Members see the clusters where one of their teams may ask for memory, or has some.
pub(super) fn may_see(state: &memc_core::ledger::State, user: &User, cluster: &Cluster) -> bool {
    let mut teams = user.teams.iter().filter_map(|name| state.team_named(name));
    let concerned = |team: &memc_core::model::Team| {
        state.quota(cluster.id, team.id).get() > 0 || state.used(cluster.id, team.id).get() > 0
    };
    user.admin || teams.any(concerned)
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Answer<Listing<ClusterView>>, Problem> {
    let wanted: Wanted<ClusterName> = page.wanted()?;
    let stale = refresh(&app).await;
    let listing = app.fleet.read(|state| {
        let seen = state.clusters().filter(|cluster| may_see(state, &caller.user, cluster));
        let rest = seen.filter(|cluster| wanted.after.as_ref().is_none_or(|after| cluster.name > *after));
        wanted.of(
            rest,
            |cluster| cluster.name.to_string(),
            |cluster| ClusterView::new(state, cluster, caller.user.admin),
        )
    });
    Ok(Answer::read(listing, stale))
}

pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<ClusterName>,
) -> Result<Answer<ClusterView>, Problem> {
    let stale = refresh(&app).await;
    let cluster = app.fleet.read(|state| {
        let cluster = state.cluster_named(&name).filter(|cluster| may_see(state, &caller.user, cluster));
        cluster.map(|cluster| ClusterView::new(state, cluster, caller.user.admin))
    });
    cluster.map(|cluster| Answer::read(cluster, stale)).ok_or_else(|| unknown(&name))
}

fn unknown(name: &ClusterName) -> Problem {
    Problem::not_found(format_args!("cluster {name}"))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedCluster {
    first_port: Option<Port>,
    last_port: Option<Port>,
    /// Only the fields that are to be different.
    #[serde(default)]
    policy: serde_json::Map<String, Value>,
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<ClusterName>,
    body: Result<Body<ChangedCluster>, Problem>,
) -> Result<Answer<Now<ClusterView>>, Problem> {
    caller.require_admin()?;
    let Body(changed) = body?;
    let ChangedCluster { first_port, last_port, policy } = changed;
    let command = Command::ChangeCluster { name, patch: ClusterPatch { first_port, last_port, policy } };
    let receipt = caller.submit(&app, command).await?;
    Ok(Answer::ok(Now::new(subject(&app, &receipt), receipt.revision)))
}

pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<ClusterName>,
) -> Result<StatusCode, Problem> {
    caller.require_admin()?;
    caller.submit(&app, Command::RemoveCluster { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}
