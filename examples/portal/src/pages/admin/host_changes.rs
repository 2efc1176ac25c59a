//! What becomes of a host: no new instances, new ones again, lost, removed.

use askama::Template;
use axum::http::StatusCode;
use memc_core::ledger::Command;
use memc_core::model::{HostName, Reason};

use super::clusters::RemovePage;
use super::hosts::show;
use super::{INVALID, carry_out};
use crate::locale::text;
use crate::pages::failure::{Answer, Failure};
use crate::pages::form::Form;
use crate::pages::page::{Page, Section, go, html};
use crate::pages::visit::{Admin, At, Member, Sent};

async fn simple(member: &Member, mut form: Form, name: &HostName, command: Command) -> Answer {
    match carry_out(member, &mut form, command).await {
        Ok(()) => go(&format!("/admin/hosts/{name}?done=saved")),
        Err(status) => show(member, status, name, Some(form)),
    }
}

pub(in crate::pages) async fn cordon(
    Admin(member): Admin,
    At(name): At<HostName>,
    Sent(fields): Sent,
) -> Answer {
    simple(&member, Form::sent(fields), &name, Command::CordonHost { name: name.clone() }).await
}

pub(in crate::pages) async fn uncordon(
    Admin(member): Admin,
    At(name): At<HostName>,
    Sent(fields): Sent,
) -> Answer {
    simple(&member, Form::sent(fields), &name, Command::UncordonHost { name: name.clone() }).await
}

#[derive(Template)]
#[template(path = "admin/host_lost.html")]
struct LostPage {
    page: Page,
    name: String,
    instances: u32,
    form: Form,
}

fn show_lost(member: &Member, status: StatusCode, name: &HostName, form: Form) -> Answer {
    let instances = member.visit.app.fleet.read(|state| state.host_named(name).map(|view| view.instances));
    let instances = instances.ok_or(Failure::NotFound)?;
    let page = Page::new(&member.visit, Section::Hosts);
    html(status, &LostPage { page, name: name.to_string(), instances, form })
}

pub(in crate::pages) async fn lost_page(Admin(member): Admin, At(name): At<HostName>) -> Answer {
    show_lost(&member, StatusCode::OK, &name, Form::default())
}

pub(in crate::pages) async fn lost(
    Admin(member): Admin,
    At(name): At<HostName>,
    Sent(fields): Sent,
) -> Answer {
    let mut form = Form::sent(fields);
    let Some(reason) = form.parse::<Reason>("reason", "field-reason") else {
        return show_lost(&member, INVALID, &name, form);
    };
    match carry_out(&member, &mut form, Command::LoseHost { name: name.clone(), reason }).await {
        Ok(()) => go(&format!("/admin/hosts/{name}?done=saved")),
        Err(status) => show_lost(&member, status, &name, form),
    }
}

#[derive(Template)]
#[template(path = "admin/host_observed.html")]
struct ObservedPage {
    page: Page,
    name: String,
    form: Form,
}

fn show_observed(member: &Member, status: StatusCode, name: &HostName, form: Form) -> Answer {
    if !member.visit.app.fleet.read(|state| state.host_named(name).is_some()) {
        return Err(Failure::NotFound);
    }
    let page = Page::new(&member.visit, Section::Hosts);
    html(status, &ObservedPage { page, name: name.to_string(), form })
}

pub(in crate::pages) async fn observed_page(Admin(member): Admin, At(name): At<HostName>) -> Answer {
    show_observed(&member, StatusCode::OK, &name, Form::default())
}

pub(in crate::pages) async fn observed(
    Admin(member): Admin,
    At(name): At<HostName>,
    Sent(fields): Sent,
) -> Answer {
    let mut form = Form::sent(fields);
    let Some(reason) = form.parse::<Reason>("reason", "field-reason") else {
        return show_observed(&member, INVALID, &name, form);
    };
    match carry_out(&member, &mut form, Command::StateObserved { host: name.clone(), reason }).await {
        Ok(()) => go(&format!("/admin/hosts/{name}?done=saved")),
        Err(status) => show_observed(&member, status, &name, form),
    }
}

fn show_remove(member: &Member, status: StatusCode, name: &HostName, form: Form) -> Answer {
    if !member.visit.app.fleet.read(|state| state.host_named(name).is_some()) {
        return Err(Failure::NotFound);
    }
    let template = RemovePage {
        page: Page::new(&member.visit, Section::Hosts),
        title: text("host-remove-title").arg("name", name.as_str()),
        explanation: text("host-remove-explained"),
        action: format!("/admin/hosts/{name}/remove"),
        back: format!("/admin/hosts/{name}"),
        form,
    };
    html(status, &template)
}

pub(in crate::pages) async fn remove_page(Admin(member): Admin, At(name): At<HostName>) -> Answer {
    show_remove(&member, StatusCode::OK, &name, Form::default())
}

pub(in crate::pages) async fn remove(
    Admin(member): Admin,
    At(name): At<HostName>,
    Sent(fields): Sent,
) -> Answer {
    let mut form = Form::sent(fields);
    match carry_out(&member, &mut form, Command::RemoveHost { name: name.clone() }).await {
        Ok(()) => go("/admin/hosts?done=removed"),
        Err(status) => show_remove(&member, status, &name, form),
    }
}
