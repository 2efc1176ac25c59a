//! Teams: members and quotas.

use askama::Template;
use axum::http::StatusCode;
use memc_core::ledger::Command;
use memc_core::model::{ClusterName, Mib, TeamName};

use super::clusters::RemovePage;
use super::{INVALID, carry_out};
use crate::accounts::{AccountsError, UserName};
use crate::locale::text;
use crate::pages::caches::{Team, team};
use crate::pages::failure::{Answer, Failure};
use crate::pages::form::Form;
use crate::pages::page::{Page, Section, go, html};
use crate::pages::visit::{Admin, At, Member, Sent};

#[derive(Template)]
#[template(path = "admin/teams.html")]
struct ListPage {
    page: Page,
    teams: Vec<Row>,
    form: Form,
}

struct Row {
    team: Team,
    members: usize,
}

async fn show_list(member: &Member, status: StatusCode, form: Form) -> Answer {
    let app = &member.visit.app;
    let users = app.accounts.users().await.map_err(Failure::accounts)?;
    let teams = app.fleet.read(|state| {
        let rows = state.teams().filter_map(|record| {
            let members = users.iter().filter(|user| user.teams.contains(&record.name)).count();
            Some(Row { team: team(state, &record.name)?, members })
        });
        rows.collect()
    });
    html(status, &ListPage { page: Page::new(&member.visit, Section::Teams), teams, form })
}

pub(in crate::pages) async fn list(Admin(member): Admin) -> Answer {
    show_list(&member, StatusCode::OK, Form::default()).await
}

pub(in crate::pages) async fn create(Admin(member): Admin, Sent(fields): Sent) -> Answer {
    let mut form = Form::sent(fields);
    let Some(name) = form.parse::<TeamName>("name", "field-slug") else {
        return show_list(&member, INVALID, form).await;
    };
    match carry_out(&member, &mut form, Command::CreateTeam { name: name.clone() }).await {
        Ok(()) => go(&format!("/admin/teams/{name}?done=added")),
        Err(status) => show_list(&member, status, form).await,
    }
}

#[derive(Template)]
#[template(path = "admin/team.html")]
struct TeamPage {
    page: Page,
    team: Team,
    members: Vec<String>,
    /// Users who are not members yet.
    others: Vec<String>,
    clusters: Vec<String>,
    quota: Form,
    member: Form,
}

#[derive(Default)]
struct Forms {
    quota: Form,
    member: Form,
}

async fn show(member: &Member, status: StatusCode, name: &TeamName, forms: Forms) -> Answer {
    let app = &member.visit.app;
    let users = app.accounts.users().await.map_err(Failure::accounts)?;
    let (members, others): (Vec<_>, Vec<_>) = users.into_iter().partition(|user| user.teams.contains(name));
    let found = app.fleet.read(|state| {
        let clusters = state.clusters().map(|cluster| cluster.name.to_string()).collect();
        Some((team(state, name)?, clusters))
    });
    let (team, clusters) = found.ok_or(Failure::NotFound)?;
    let template = TeamPage {
        page: Page::new(&member.visit, Section::Teams),
        team,
        members: members.into_iter().map(|user| user.name.to_string()).collect(),
        others: others.into_iter().map(|user| user.name.to_string()).collect(),
        clusters,
        quota: forms.quota,
        member: forms.member,
    };
    html(status, &template)
}

/// The team is there.
fn check(member: &Member, name: &TeamName) -> Result<(), Failure> {
    let there = member.visit.app.fleet.read(|state| state.team_named(name).is_some());
    if there { Ok(()) } else { Err(Failure::NotFound) }
}

pub(in crate::pages) async fn page(Admin(member): Admin, At(name): At<TeamName>) -> Answer {
    show(&member, StatusCode::OK, &name, Forms::default()).await
}

pub(in crate::pages) async fn add_member(
    Admin(member): Admin,
    At(name): At<TeamName>,
    Sent(fields): Sent,
) -> Answer {
    check(&member, &name)?;
    let mut form = Form::sent(fields);
    if let Some(user) = form.parse::<UserName>("user", "field-choose") {
        match member.visit.app.accounts.add_member(&name, &user).await {
            Ok(()) => return go(&format!("/admin/teams/{name}?done=saved")),
            Err(AccountsError::NoSuchUser(_)) => form.reject("user", text("field-choose")),
            Err(error) => return Err(Failure::accounts(error)),
        }
    }
    show(&member, INVALID, &name, Forms { member: form, ..Forms::default() }).await
}

pub(in crate::pages) async fn remove_member(
    Admin(member): Admin,
    At((name, user)): At<(TeamName, UserName)>,
    _: Sent,
) -> Answer {
    check(&member, &name)?;
    member.visit.app.accounts.remove_member(&name, &user).await.map_err(Failure::accounts)?;
    go(&format!("/admin/teams/{name}?done=saved"))
}

pub(in crate::pages) async fn set_quota(
    Admin(member): Admin,
    At(name): At<TeamName>,
    Sent(fields): Sent,
) -> Answer {
    check(&member, &name)?;
    let mut form = Form::sent(fields);
    let cluster: Option<ClusterName> = form.parse("cluster", "field-choose");
    let memory = form.size("memory_mib", Mib::ZERO..=Mib::MAX);
    let status = match (cluster, memory) {
        (Some(cluster), Some(memory)) => {
            let command = Command::SetQuota { cluster, team: name.clone(), memory };
            match carry_out(&member, &mut form, command).await {
                Ok(()) => return go(&format!("/admin/teams/{name}?done=saved")),
                Err(status) => status,
            }
        }
        _ => INVALID,
    };
    show(&member, status, &name, Forms { quota: form, ..Forms::default() }).await
}

fn show_remove(member: &Member, status: StatusCode, name: &TeamName, form: Form) -> Answer {
    check(member, name)?;
    let template = RemovePage {
        page: Page::new(&member.visit, Section::Teams),
        title: text("team-remove-title").arg("name", name.as_str()),
        explanation: text("team-remove-explained"),
        action: format!("/admin/teams/{name}/remove"),
        back: format!("/admin/teams/{name}"),
        form,
    };
    html(status, &template)
}

pub(in crate::pages) async fn remove_page(Admin(member): Admin, At(name): At<TeamName>) -> Answer {
    show_remove(&member, StatusCode::OK, &name, Form::default())
}

pub(in crate::pages) async fn remove(
    Admin(member): Admin,
    At(name): At<TeamName>,
    Sent(fields): Sent,
) -> Answer {
    let mut form = Form::sent(fields);
    match carry_out(&member, &mut form, Command::RemoveTeam { name: name.clone() }).await {
        Ok(()) => {
            // A later team of this name is another one: nobody is in it by having been in this. A form that was sent
            // again may find that one.
            if check(&member, &name).is_err() {
                let removed = member.visit.app.accounts.remove_members_of(&name).await;
                removed.map_err(Failure::accounts)?;
            }
            go("/admin/teams?done=removed")
        }
        Err(status) => show_remove(&member, status, &name, form),
    }
}
