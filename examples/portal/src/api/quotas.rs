//! `/clusters/{cluster}/quotas`

use axum::extract::State;
use memc_core::ledger::Command;
use memc_core::model::{ClusterName, Key, Mib, TeamName};
use serde::Deserialize;

use super::answer::{Answer, refresh};
use super::caller::Caller;
use super::clusters::may_see;
use super::input::{Body, Names, Params};
use super::paging::{Listing, Page, Wanted};
use super::view::{Now, QuotaView};
use crate::app::App;
use crate::auth::may_use_team;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewQuota {
    memory_mib: Mib,
}

pub(super) async fn set(
    State(app): State<App>,
    caller: Caller,
    Names((cluster, team)): Names<(ClusterName, TeamName)>,
    body: Result<Body<NewQuota>, Problem>,
) -> Result<Answer<Now<QuotaView>>, Problem> {
    caller.require_admin()?;
    let Body(NewQuota { memory_mib: memory }) = body?;
    let receipt = caller.submit(&app, Command::SetQuota { cluster, team, memory }).await?;
    let quota = app.fleet.read(|state| {
        let quota =
            state.quotas().find(|it| receipt.subject == Key::Quota { cluster: it.cluster, team: it.team })?;
        QuotaView::new(state, quota)
    });
    Ok(Answer::ok(Now::new(quota, receipt.revision)))
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Names(cluster): Names<ClusterName>,
    Params(page): Params<Page>,
) -> Result<Answer<Listing<QuotaView>>, Problem> {
    let wanted: Wanted<TeamName> = page.wanted()?;
    let stale = refresh(&app).await;
    let unknown = || Problem::not_found(format_args!("cluster {cluster}"));
    let listing: Result<_, Problem> = app.fleet.read(|state| {
        let cluster = state.cluster_named(&cluster).filter(|it| may_see(state, &caller.user, it));
        let cluster = cluster.ok_or_else(unknown)?.id;
        let of_cluster = state.quotas().filter(|quota| quota.cluster == cluster);
        let mut quotas: Vec<QuotaView> = of_cluster
            .filter_map(|quota| QuotaView::new(state, quota))
            .filter(|quota| may_use_team(&caller.user, &quota.team))
            .filter(|quota| wanted.after.as_ref().is_none_or(|after| quota.team > *after))
            .collect();
        quotas.sort_by(|one, other| one.team.cmp(&other.team));
        Ok(wanted.of(quotas.into_iter(), |quota| quota.team.to_string(), |quota| quota))
    });
    Ok(Answer::read(listing?, stale))
}

pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Names((cluster, team)): Names<(ClusterName, TeamName)>,
) -> Result<Answer<QuotaView>, Problem> {
    let unknown = || Problem::not_found(format_args!("quota of team {team} in cluster {cluster}"));
    if !may_use_team(&caller.user, &team) {
        return Err(unknown());
    }
    let stale = refresh(&app).await;
    let quota = app.fleet.read(|state| {
        let (cluster, team) = (state.cluster_named(&cluster)?.id, state.team_named(&team)?.id);
        let quota = state.quotas().find(|quota| quota.cluster == cluster && quota.team == team)?;
        QuotaView::new(state, quota)
    });
    quota.map(|quota| Answer::read(quota, stale)).ok_or_else(unknown)
}
