//! `/audit`: the ledger, newest first.

use axum::extract::State;
use memc_core::ledger::Commit;
use memc_core::model::{CacheName, Revision, TeamName};
use serde::Deserialize;

use super::answer::{Answer, refresh};
use super::caller::Caller;
use super::input::Params;
use super::paging::{Listing, Wanted};
use super::view::AuditView;
use crate::app::App;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    limit: Option<u16>,
    cursor: Option<String>,
    /// `team/name`: the history of one cache, which its team may read too.
    cache: Option<String>,
    /// `host:m1.example.com`, `cluster:web`, …: the history of one object.
    target: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<Query>,
) -> Result<Answer<Listing<AuditView>>, Problem> {
    // What was before the team is another team's business, though it had the same name.
    let mut since = Revision::default();
    let target = match (query.cache, query.target) {
        (Some(_), Some(_)) => return Err(Problem::invalid("ask for a cache or a target, not both")),
        (Some(cache), None) => {
            let unknown = || Problem::not_found(format_args!("cache {cache}"));
            let (team, name) = cache.split_once('/').ok_or_else(unknown)?;
            let team = TeamName::new(team).map_err(|_| unknown())?;
            let name = CacheName::new(name).map_err(|_| unknown())?;
            caller.require_team(&team, format_args!("cache {cache}"))?;
            if !caller.user.admin {
                refresh(&app).await;
                since = app
                    .fleet
                    .read(|state| state.team_named(&team).map(|team| team.revision))
                    .ok_or_else(unknown)?;
            }
            Some(format!("cache:{team}/{name}"))
        }
        (None, target) => {
            caller.require_admin()?;
            target
        }
    };
    let wanted: Wanted<u64> = Wanted::new(query.limit, query.cursor.as_deref())?;
    let before = Revision::new(wanted.after.unwrap_or(u64::MAX));
    let commits = app.fleet.history(target.as_deref(), before, wanted.limit + 1).await.map_err(|error| {
        tracing::warn!(%error, "the audit was asked for while the store is away");
        Problem::unavailable("the store is away, and the audit is not kept in memory: try again")
    })?;
    let own = caller.user.name.principal();
    let commits = commits.into_iter().take_while(|commit| commit.revision >= since).map(|commit| {
        let request = commit.request.clone().filter(|_| caller.user.admin || commit.actor == own);
        Commit { request, ..commit }
    });
    Ok(Answer::ok(wanted.of(commits, |commit| commit.revision.to_string(), AuditView::from)))
}
