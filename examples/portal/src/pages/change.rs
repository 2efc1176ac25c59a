//! Changing a cache: another size, giving it back, replacing what a lost host took, stating what has stopped.

use askama::Template;
use axum::http::StatusCode;
use memc_core::ledger::Command;
use memc_core::model::{CacheName, Mib, Phase, Reason, TeamName};

use super::cache::{View, view};
use super::caches::path;
use super::create::{QuotaChange, quota_change};
use super::explanation::Explanation;
use super::failure::{Answer, Failure};
use super::form::{Form, carry_out};
use super::page::{Page, Section, go, html};
use super::visit::{Admin, At, Member, Sent};
use crate::locale::{mib, text};

type Name = At<(TeamName, CacheName)>;

/// The cache of a page, if this person may see it.
fn find(member: &Member, team: &TeamName, name: &CacheName) -> Result<View, Failure> {
    member.check_cache(team, name)?;
    let view = member.visit.app.fleet.read(|state| Some(view(state, team, state.cache_named(team, name)?)));
    view.ok_or(Failure::NotFound)
}

#[derive(Template)]
#[template(path = "resize.html")]
struct ResizePage {
    page: Page,
    cache: View,
    form: Form,
    most: String,
    explanation: Option<Explanation>,
    /// The largest size that it could have now, if it could grow.
    largest: Option<Mib>,
    quota: QuotaChange,
}

fn show_resize(member: &Member, status: StatusCode, team: &TeamName, name: &CacheName, form: Form) -> Answer {
    let cache = find(member, team, name)?;
    let (most, quota) = member.visit.app.fleet.read(|state| {
        let cluster = state.cache_named(team, name).and_then(|cache| state.cluster(cache.cluster));
        let most = cluster.map_or(Mib::ZERO, |cluster| cluster.policy.max_instance_mib);
        let quota = cluster.map(|cluster| quota_change(state, team, &cluster.name, Mib::ZERO, Mib::ZERO));
        (most, quota)
    });
    let largest = form.why.as_ref().and_then(|why| why.largest);
    let largest = largest.filter(|largest| largest.get() > cache.memory_mib);
    let explanation = form.why.as_ref().map(|why| {
        let mut explanation = Explanation::new(why);
        if largest.is_none() {
            explanation.reasons.push(text("resize-no-growth"));
        }
        explanation
    });
    let template = ResizePage {
        page: Page::new(&member.visit, Section::Caches),
        cache,
        explanation,
        largest,
        form,
        most: mib(most),
        quota: quota.ok_or(Failure::NotFound)?,
    };
    html(status, &template)
}

pub(super) async fn resize_page(member: Member, At((team, name)): Name) -> Answer {
    let cache = find(&member, &team, &name)?;
    let form = Form::of([("memory_mib", cache.memory_mib)]);
    show_resize(&member, StatusCode::OK, &team, &name, form)
}

pub(super) async fn resize(member: Member, At((team, name)): Name, Sent(fields): Sent) -> Answer {
    member.check_team(&team)?;
    let mut form = Form::sent(fields);
    let before = member.visit.app.fleet.read(|state| {
        let cache = state.cache_named(&team, &name)?;
        state.cluster(cache.cluster).map(|cluster| (cache.memory, cluster.policy.max_instance_mib))
    });
    // The button beside a refusal sends the size that it offers.
    if !form.value("largest_mib").is_empty() {
        form.copy("largest_mib", "memory_mib");
    }
    let Some(memory) =
        form.size("memory_mib", Mib::MIN_INSTANCE..=before.map_or(Mib::MAX_HOST, |(_, most)| most))
    else {
        return show_resize(&member, StatusCode::UNPROCESSABLE_ENTITY, &team, &name, form);
    };
    let command = Command::Resize { team: team.clone(), name: name.clone(), memory };
    match carry_out(&member, &mut form, command).await {
        Ok(()) => {
            let done = if before.is_some_and(|(size, _)| size == memory) { "unchanged" } else { "resized" };
            go(&format!("{}?done={done}", path(team.as_str(), name.as_str())))
        }
        Err(status) => show_resize(&member, status, &team, &name, form),
    }
}

#[derive(Template)]
#[template(path = "release.html")]
struct ReleasePage {
    page: Page,
    cache: View,
    form: Form,
}

fn show_release(
    member: &Member,
    status: StatusCode,
    team: &TeamName,
    name: &CacheName,
    form: Form,
) -> Answer {
    let cache = find(member, team, name)?;
    html(status, &ReleasePage { page: Page::new(&member.visit, Section::Caches), cache, form })
}

pub(super) async fn release_page(member: Member, At((team, name)): Name) -> Answer {
    show_release(&member, StatusCode::OK, &team, &name, Form::default())
}

pub(super) async fn release(member: Member, At((team, name)): Name, Sent(fields): Sent) -> Answer {
    member.check_team(&team)?;
    let mut form = Form::sent(fields);
    if form.value("confirm").trim() != name.as_str() {
        form.reject("confirm", text("release-confirm-wrong").arg("name", name.as_str()));
        return show_release(&member, StatusCode::UNPROCESSABLE_ENTITY, &team, &name, form);
    }
    let command = Command::Release { team: team.clone(), name: name.clone() };
    match carry_out(&member, &mut form, command).await {
        // A cache without instances is gone at once, and its page with it.
        Ok(()) if member.check_cache(&team, &name).is_err() => go("/caches?done=released"),
        Ok(()) => go(&format!("{}?done=released", path(team.as_str(), name.as_str()))),
        Err(status) => show_release(&member, status, &team, &name, form),
    }
}

#[derive(Template)]
#[template(path = "replace.html")]
struct ReplacePage {
    page: Page,
    cache: View,
    form: Form,
    explanation: Option<Explanation>,
}

fn show_replace(
    member: &Member,
    status: StatusCode,
    team: &TeamName,
    name: &CacheName,
    form: Form,
) -> Answer {
    let cache = find(member, team, name)?;
    let explanation = form.why.as_ref().map(|why| {
        let mut explanation = Explanation::new(why);
        match why.largest {
            // A cache can be made smaller at any time.
            Some(largest) if largest.get() < cache.memory_mib => {
                let (offer, path) =
                    (text("offer-smaller").arg("size", largest), format!("{}/resize", cache.path));
                explanation = explanation.offer(offer, path);
            }
            Some(_) => {}
            None => explanation.reasons.push(text("refusal-nothing-fits")),
        }
        explanation
    });
    html(status, &ReplacePage { page: Page::new(&member.visit, Section::Caches), cache, form, explanation })
}

pub(super) async fn replace_page(member: Member, At((team, name)): Name) -> Answer {
    show_replace(&member, StatusCode::OK, &team, &name, Form::default())
}

pub(super) async fn replace(member: Member, At((team, name)): Name, Sent(fields): Sent) -> Answer {
    member.check_team(&team)?;
    let mut form = Form::sent(fields);
    let command = Command::Replace { team: team.clone(), name: name.clone() };
    match carry_out(&member, &mut form, command).await {
        Ok(()) => go(&format!("{}?done=replaced", path(team.as_str(), name.as_str()))),
        Err(status) => show_replace(&member, status, &team, &name, form),
    }
}

#[derive(Template)]
#[template(path = "stopped.html")]
struct StoppedPage {
    page: Page,
    cache: View,
    form: Form,
    index: u16,
    host: String,
    address: String,
    port: u16,
}

type InstanceName = At<(TeamName, CacheName, u16)>;

fn show_stopped(
    member: &Member,
    status: StatusCode,
    (team, name, index): (&TeamName, &CacheName, u16),
    form: Form,
) -> Answer {
    let cache = find(member, team, name)?;
    let found = member.visit.app.fleet.read(|state| {
        let id = state.cache_named(team, name)?.id;
        let releasing =
            |index| state.instances_of(id).find(|it| it.index == index && it.phase == Phase::Releasing);
        let instance = releasing(index)?;
        let host = &state.host(instance.host)?.host;
        Some((host.name.to_string(), host.address.to_string(), instance.port.get()))
    });
    let (host, address, port) = found.ok_or(Failure::NotFound)?;
    let page = Page::new(&member.visit, Section::Caches);
    html(status, &StoppedPage { page, cache, form, index, host, address, port })
}

pub(super) async fn stopped_page(Admin(member): Admin, At((team, name, index)): InstanceName) -> Answer {
    show_stopped(&member, StatusCode::OK, (&team, &name, index), Form::default())
}

pub(super) async fn stopped(
    Admin(member): Admin,
    At((team, name, index)): InstanceName,
    Sent(fields): Sent,
) -> Answer {
    member.check_team(&team)?;
    let mut form = Form::sent(fields);
    let Some(reason) = form.parse::<Reason>("reason", "field-reason") else {
        return show_stopped(&member, StatusCode::UNPROCESSABLE_ENTITY, (&team, &name, index), form);
    };
    let command = Command::StateStopped { team: team.clone(), name: name.clone(), index, reason };
    match carry_out(&member, &mut form, command).await {
        Ok(()) if member.check_cache(&team, &name).is_err() => go("/caches?done=stopped"),
        Ok(()) => go(&format!("{}?done=stopped", path(team.as_str(), name.as_str()))),
        Err(status) => show_stopped(&member, status, (&team, &name, index), form),
    }
}
