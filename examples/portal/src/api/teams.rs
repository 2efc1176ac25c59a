//! `/teams`

use axum::extract::State;
use axum::http::StatusCode;
use memc_core::fleet::SubmitError;
use memc_core::ledger::{Command, Refusal};
use memc_core::model::{Key, Team, TeamName};
use serde::Deserialize;

use super::answer::{Answer, refresh};
use super::caller::Caller;
use super::input::{Body, Names, Params};
use super::paging::{Listing, Page, Wanted};
use super::view::{Now, TeamView};
use crate::accounts::UserName;
use crate::app::App;
use crate::auth::may_use_team;
use crate::problem::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTeam {
    name: TeamName,
}

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    body: Result<Body<NewTeam>, Problem>,
) -> Result<Answer<Now<TeamView>>, Problem> {
    caller.require_admin()?;
    let Body(NewTeam { name }) = body?;
    let receipt = caller.submit(&app, Command::CreateTeam { name }).await?;
    let team = match receipt.subject {
        Key::Team { id } => app.fleet.read(|state| state.team(id).cloned()),
        _ => None,
    };
    let team = match team {
        Some(team) => Some(view(&app, team).await?.made_by(receipt.revision)),
        None => None,
    };
    Ok(Answer::created(Now::new(team, receipt.revision)))
}

async fn view(app: &App, team: Team) -> Result<TeamView, Problem> {
    let members = app.accounts.members_of(&team.name).await?;
    Ok(TeamView::new(team, members))
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(page): Params<Page>,
) -> Result<Answer<Listing<TeamView>>, Problem> {
    let wanted: Wanted<TeamName> = page.wanted()?;
    let stale = refresh(&app).await;
    let mut listing = app.fleet.read(|state| {
        let seen = state.teams().filter(|team| may_use_team(&caller.user, &team.name));
        let rest = seen.filter(|team| wanted.after.as_ref().is_none_or(|after| team.name > *after));
        wanted.of(rest, |team| team.name.to_string(), |team| TeamView::new(team.clone(), Vec::new()))
    });
    for team in listing.items_mut() {
        team.members = app.accounts.members_of(&team.name).await?;
    }
    Ok(Answer::read(listing, stale))
}

pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<TeamName>,
) -> Result<Answer<TeamView>, Problem> {
    caller.require_team(&name, format_args!("team {name}"))?;
    let stale = refresh(&app).await;
    let team = known(&app, &name)?;
    Ok(Answer::read(view(&app, team).await?, stale))
}

fn known(app: &App, name: &TeamName) -> Result<Team, Problem> {
    let team = app.fleet.read(|state| state.team_named(name).cloned());
    team.ok_or_else(|| Problem::not_found(format_args!("team {name}")))
}

pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<TeamName>,
) -> Result<StatusCode, Problem> {
    caller.require_admin()?;
    match app.fleet.submit(caller.order(Command::RemoveTeam { name: name.clone() })).await {
        Ok(_) => {
            // A retry may find another team of that name.
            if known(&app, &name).is_err() {
                app.accounts.remove_members_of(&name).await?;
            }
            Ok(StatusCode::NO_CONTENT)
        }
        Err(SubmitError::Refused(refusal)) if matches!(*refusal, Refusal::NotFound { .. }) => {
            // Perhaps an earlier try got no further than the fleet: nobody may be a member of what is not there.
            app.accounts.remove_members_of(&name).await?;
            Err((*refusal).into())
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn add_member(
    State(app): State<App>,
    caller: Caller,
    Names((team, user)): Names<(TeamName, UserName)>,
) -> Result<Answer<TeamView>, Problem> {
    caller.require_admin()?;
    refresh(&app).await;
    let team = known(&app, &team)?;
    if caller.is_first(&app, format!("add {user} to {}", team.id)).await? {
        app.accounts.add_member(&team.name, &user).await?;
    }
    Ok(Answer::ok(view(&app, team).await?))
}

pub(super) async fn remove_member(
    State(app): State<App>,
    caller: Caller,
    Names((team, user)): Names<(TeamName, UserName)>,
) -> Result<StatusCode, Problem> {
    caller.require_admin()?;
    // Also of a team that the fleet does not have: that is how to clear up.
    if caller.is_first(&app, format!("remove {user} from {team}")).await? {
        app.accounts.remove_member(&team, &user).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
