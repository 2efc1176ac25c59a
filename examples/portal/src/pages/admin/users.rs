//! Users: who may sign in.

use askama::Template;
use axum::http::StatusCode;

use super::INVALID;
use crate::accounts::{AccountsError, User, UserName};
use crate::locale::text;
use crate::pages::account::is_password;
use crate::pages::failure::{Answer, Failure};
use crate::pages::form::Form;
use crate::pages::page::{Page, Section, go, html};
use crate::pages::visit::{Admin, At, Member, Sent};

#[derive(Template)]
#[template(path = "admin/users.html")]
struct ListPage {
    page: Page,
    users: Vec<Row>,
    form: Form,
}

struct Row {
    name: String,
    admin: bool,
    teams: Vec<String>,
}

impl From<User> for Row {
    fn from(user: User) -> Self {
        let teams = user.teams.iter().map(ToString::to_string).collect();
        Row { name: user.name.to_string(), admin: user.admin, teams }
    }
}

async fn show_list(member: &Member, status: StatusCode, form: Form) -> Answer {
    let users = member.visit.app.accounts.users().await.map_err(Failure::accounts)?;
    let users = users.into_iter().map(Row::from).collect();
    html(status, &ListPage { page: Page::new(&member.visit, Section::Users), users, form })
}

pub(in crate::pages) async fn list(Admin(member): Admin) -> Answer {
    show_list(&member, StatusCode::OK, Form::default()).await
}

pub(in crate::pages) async fn create(Admin(member): Admin, Sent(fields): Sent) -> Answer {
    let password = fields.get("password").to_owned();
    let admin = fields.get("admin") == "yes";
    let mut form = Form::sent(fields);
    let name = form.parse::<UserName>("name", "field-user-name");
    if !is_password(&password) {
        form.reject("password", text("account-password-rule"));
    }
    let (Some(name), true) = (name, form.is_fine()) else {
        return show_list(&member, INVALID, form).await;
    };
    match member.visit.app.accounts.create_user(&name, &password, admin).await {
        Ok(()) => {
            // People are not in the fleet's ledger; the log keeps who let whom in.
            tracing::info!(by = %member.user().name, user = %name, admin, "user created");
            go("/admin/users?done=added")
        }
        Err(AccountsError::UserExists(_)) => {
            form.reject("name", text("refusal-name-taken").arg("name", name.as_str()));
            show_list(&member, StatusCode::CONFLICT, form).await
        }
        Err(error) => Err(Failure::accounts(error)),
    }
}

#[derive(Template)]
#[template(path = "admin/user.html")]
struct UserPage {
    page: Page,
    user: Row,
    form: Form,
}

async fn show(member: &Member, status: StatusCode, name: &UserName, form: Form) -> Answer {
    let user = member.visit.app.accounts.user(name).await.map_err(Failure::accounts)?;
    let user = user.map(Row::from).ok_or(Failure::NotFound)?;
    html(status, &UserPage { page: Page::new(&member.visit, Section::Users), user, form })
}

pub(in crate::pages) async fn page(Admin(member): Admin, At(name): At<UserName>) -> Answer {
    show(&member, StatusCode::OK, &name, Form::default()).await
}

pub(in crate::pages) async fn reset_password(
    Admin(member): Admin,
    At(name): At<UserName>,
    Sent(fields): Sent,
) -> Answer {
    let password = fields.get("password").to_owned();
    if !is_password(&password) {
        let mut form = Form::default();
        form.reject("password", text("account-password-rule"));
        return show(&member, INVALID, &name, form).await;
    }
    match member.visit.app.accounts.set_password(&name, &password).await {
        Ok(()) => {
            tracing::info!(by = %member.user().name, user = %name, "password set");
            go(&format!("/admin/users/{name}?done=password"))
        }
        Err(AccountsError::NoSuchUser(_)) => Err(Failure::NotFound),
        Err(error) => Err(Failure::accounts(error)),
    }
}
