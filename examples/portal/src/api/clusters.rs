//! `/clusters`

use axum::extract::State;
use axum::http::StatusCode;
use memc_core::ledger::{ClusterSpec, Command, Receipt};
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
    policy: Option<serde_json::Map<String, Value>>,
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<ClusterName>,
    body: Result<Body<ChangedCluster>, Problem>,
) -> Result<Answer<Now<ClusterView>>, Problem> {
    caller.require_admin()?;
    let Body(changed) = body?;
    // The change is laid over what is there now, so that has to be current.
    if let Err(error) = app.fleet.refresh().await {
        tracing::warn!(%error, "a change met a store that is away");
        return Err(Problem::unavailable("nothing was changed, the store is away: try again"));
    }
    let before = app.fleet.read(|state| state.cluster_named(&name).cloned()).ok_or_else(|| unknown(&name))?;
    let ports = PortRange {
        first: changed.first_port.unwrap_or(before.ports.first),
        last: changed.last_port.unwrap_or(before.ports.last),
    };
    let policy = match changed.policy {
        Some(fields) => laid_over(&before.policy, fields)?,
        None => before.policy,
    };
    let command = Command::ChangeCluster { name, spec: ClusterSpec { ports, policy } };
    let receipt = caller.submit(&app, command).await?;
    Ok(Answer::ok(Now::new(subject(&app, &receipt), receipt.revision)))
}

fn laid_over(policy: &Policy, fields: serde_json::Map<String, Value>) -> Result<Policy, Problem> {
    let invalid = |error: serde_json::Error| Problem::invalid(format!("policy: {error}"));
    let mut whole = serde_json::to_value(policy).map_err(invalid)?;
    for (field, value) in fields {
        match (whole.get_mut(&field), value) {
            (Some(Value::Object(inner)), Value::Object(values)) => inner.extend(values),
            (_, value) => whole[field] = value,
        }
    }
    serde_json::from_value(whole).map_err(invalid)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_changes_only_where_it_says() {
        let Value::Object(fields) = json!({"max_instances": 3, "overhead": {"percent": 20}}) else {
            panic!()
        };
        let after = laid_over(&Policy::default(), fields).unwrap();
        assert_eq!(after.max_instances, 3);
        assert_eq!(after.overhead.percent, 20);
        assert_eq!(after.overhead.floor_mib, Policy::default().overhead.floor_mib);
        assert_eq!(after.max_connections, Policy::default().max_connections);
        let Value::Object(unknown) = json!({"max": 3}) else { panic!() };
        assert_eq!(laid_over(&Policy::default(), unknown).unwrap_err().code, "invalid_value");
    }
}
