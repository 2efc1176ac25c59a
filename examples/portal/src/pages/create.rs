//! Asking for a cache: fill in, look at what it would come to, confirm.

use askama::Template;
use axum::http::StatusCode;
use memc_core::fleet::SubmitError;
use memc_core::ledger::{Change, Command, Decision, Order, State};
use memc_core::model::{CacheName, ClusterName, Mib, Record, TeamName};

use super::caches::path;
use super::explanation::Explanation;
use super::failure::{Answer, Failure, status_of};
use super::form::Form;
use super::page::{Bar, Page, Section, go, html};
use super::visit::{Asked, Member, Sent};
use crate::locale::{Text, mib, text};

/// What the form asks for.
const FIELDS: [&str; 6] = ["team", "cluster", "name", "memory_mib", "instances", "max_per_rack"];

#[derive(Template)]
#[template(path = "create.html")]
struct CreatePage {
    page: Page,
    form: Form,
    teams: Vec<String>,
    clusters: Vec<Choice>,
    explanation: Option<Explanation>,
}

struct Choice {
    name: String,
    /// What is left of the quotas there, and what its rules are.
    note: Text,
}

#[derive(Template)]
#[template(path = "preview.html")]
struct PreviewPage {
    page: Page,
    form: Form,
    asked: Wish,
    spots: Vec<Spot>,
    booked: String,
    total: String,
    quota: QuotaChange,
    back: String,
    fields: [&'static str; 6],
}

/// What is asked for, for people.
struct Wish {
    team: String,
    name: String,
    cluster: String,
    size: Text,
    max_per_rack: Option<u16>,
}

/// Where an instance would land.
struct Spot {
    name: String,
    host: String,
    rack: Option<String>,
    port: u16,
    memory: String,
    booked: String,
}

/// A quota before and after.
pub(super) struct QuotaChange {
    pub(super) before: String,
    pub(super) after: String,
    pub(super) limit: String,
    pub(super) bar: Bar,
}

/// The wish that a form stands for, or what is wrong with its fields.
fn command(member: &Member, form: &mut Form) -> Option<Command> {
    let team: Option<TeamName> = form.parse("team", "field-choose");
    let cluster: Option<ClusterName> = form.parse("cluster", "field-choose");
    let name: Option<CacheName> = form.parse("name", "field-slug");
    let policy = member.visit.app.fleet.read(|state| {
        let cluster = state.cluster_named(cluster.as_ref()?)?;
        Some((cluster.policy.max_instance_mib, cluster.policy.max_instances))
    });
    let (most_memory, most_instances) = policy.unwrap_or((Mib::MAX_HOST, 64));
    let memory = form.size("memory_mib", Mib::MIN_INSTANCE..=most_memory);
    let instances = form.number("instances", 1..=most_instances.into());
    let max_per_rack = form.optional_number("max_per_rack", 1..=64);
    let team = team?;
    if !member.may_use(&team) {
        form.reject("team", text("field-choose"));
        return None;
    }
    let instances = u16::try_from(instances?).ok()?;
    let max_per_rack = max_per_rack?.and_then(|most| u16::try_from(most).ok());
    Some(Command::Allocate { team, name: name?, cluster: cluster?, memory: memory?, instances, max_per_rack })
}

/// The form as the query of an address, one field of it changed.
fn query(form: &Form, changed: &str, to: &str) -> String {
    let pair = |field: &str| {
        let value = if field == changed { to } else { form.value(field) };
        format!("{field}={}", super::session::encoded(value))
    };
    FIELDS.map(pair).join("&")
}

/// Why not, with the same form filled in with what would fit.
fn explanation(form: &Form) -> Option<Explanation> {
    let why = form.why.as_ref()?;
    let mut explanation = Explanation::new(why);
    match why.largest {
        Some(largest) => {
            let path = format!("/caches/preview?{}", query(form, "memory_mib", &largest.get().to_string()));
            explanation = explanation.offer(text("offer-largest").arg("size", largest), path);
        }
        None => explanation.reasons.push(text("refusal-nothing-fits")),
    }
    Some(why.elsewhere.iter().fold(explanation, |explanation, cluster| {
        let path = format!("/caches/new?{}", query(form, "cluster", cluster.as_str()));
        explanation.offer(text("offer-cluster").arg("name", cluster.as_str()), path)
    }))
}

fn show(member: &Member, status: StatusCode, form: Form) -> Answer {
    let user = member.user();
    let (teams, clusters) = member.visit.app.fleet.read(|state| {
        let mine = |name: &TeamName| user.admin || user.teams.contains(name);
        let teams: Vec<_> = state.teams().filter(|team| mine(&team.name)).cloned().collect();
        let clusters: Vec<Choice> = state
            .clusters()
            .map(|cluster| {
                let left = |team: &memc_core::model::Team| {
                    state.quota(cluster.id, team.id).minus(state.used(cluster.id, team.id))
                };
                let left: Vec<Text> = teams
                    .iter()
                    .filter(|team| state.quota(cluster.id, team.id) > Mib::ZERO)
                    .map(|team| text("create-left").arg("team", team.name.as_str()).arg("left", left(team)))
                    .collect();
                Choice { name: cluster.name.to_string(), note: joined(left) }
            })
            .collect();
        (teams.into_iter().map(|team| team.name.to_string()).collect(), clusters)
    });
    let (page, explanation) = (Page::new(&member.visit, Section::Caches), explanation(&form));
    html(status, &CreatePage { page, form, teams, clusters, explanation })
}

/// Several texts as one, as each language lists things.
fn joined(texts: Vec<Text>) -> Text {
    let mut texts = texts.into_iter();
    let Some(first) = texts.next() else {
        return text("create-no-quota");
    };
    texts.fold(first, |all, next| text("list-and").arg("first", all).arg("next", next))
}

pub(super) async fn page(member: Member, Asked(mut asked): Asked) -> Answer {
    if asked.get("instances").is_empty() {
        asked.set("instances", "1");
    }
    show(&member, StatusCode::OK, Form::sent(asked))
}

/// A page, not a form's effect: it changes nothing, so it may be reloaded, kept and gone back to.
pub(super) async fn preview(member: Member, Asked(asked): Asked) -> Answer {
    let mut form = Form::sent(asked);
    let Some(command) = command(&member, &mut form) else {
        return show(&member, StatusCode::UNPROCESSABLE_ENTITY, form);
    };
    let order = Order { actor: member.principal(), request: None, command };
    match member.visit.app.fleet.preview(&order) {
        Ok(decision) => show_preview(&member, StatusCode::OK, form, &order.command, &decision),
        Err(refusal) => {
            let error = SubmitError::from(refusal);
            form.refuse(&member, &error);
            show(&member, status_of(&error), form)
        }
    }
}

fn show_preview(
    member: &Member,
    status: StatusCode,
    form: Form,
    command: &Command,
    decision: &Decision,
) -> Answer {
    let Command::Allocate { team, name, cluster, memory, instances, max_per_rack } = command else {
        return Err(Failure::internal(&"a preview of something else"));
    };
    let asked_for = memory.times((*instances).into());
    let (spots, booked, quota) = member.visit.app.fleet.read(|state| {
        let placed: Vec<_> = decision.changes.iter().filter_map(placed).collect();
        let spots = placed.iter().filter_map(|instance| {
            let host = &state.host(instance.host)?.host;
            Some(Spot {
                name: format!("{name}.{}", instance.index),
                host: host.name.to_string(),
                rack: host.rack.as_ref().map(ToString::to_string),
                port: instance.port.get(),
                memory: mib(instance.memory),
                booked: mib(instance.booked),
            })
        });
        let booked: Mib = placed.iter().map(|instance| instance.booked).sum();
        (spots.collect(), mib(booked), quota_change(state, team, cluster, asked_for, Mib::ZERO))
    });
    let template = PreviewPage {
        page: Page::new(&member.visit, Section::Caches),
        back: format!("/caches/new?{}", query(&form, "", "")),
        fields: FIELDS,
        asked: Wish {
            team: team.to_string(),
            name: name.to_string(),
            cluster: cluster.to_string(),
            size: super::caches::size(*memory, *instances),
            max_per_rack: *max_per_rack,
        },
        form,
        spots,
        booked,
        total: mib(asked_for),
        quota,
    };
    html(status, &template)
}

fn placed(change: &Change) -> Option<&memc_core::model::Instance> {
    match change {
        Change::Put(Record::Instance(instance)) => Some(instance),
        _ => None,
    }
}

/// A quota before and after something more is asked for and something given back.
pub(super) fn quota_change(
    state: &State,
    team: &TeamName,
    cluster: &ClusterName,
    more: Mib,
    less: Mib,
) -> QuotaChange {
    let ids =
        state.cluster_named(cluster).zip(state.team_named(team)).map(|(cluster, team)| (cluster.id, team.id));
    let (limit, used) = ids.map_or((Mib::ZERO, Mib::ZERO), |(cluster, team)| {
        (state.quota(cluster, team), state.used(cluster, team))
    });
    let after = used.plus(more).minus(less);
    QuotaChange {
        before: mib(used),
        after: mib(after),
        limit: mib(limit),
        bar: Bar::new(used.get().min(after.get()), after.minus(used).get(), limit.get()),
    }
}

pub(super) async fn create(member: Member, Sent(fields): Sent) -> Answer {
    let request = fields.request_id();
    let mut form = Form::sent(fields);
    let Some(command) = command(&member, &mut form) else {
        return show(&member, StatusCode::UNPROCESSABLE_ENTITY, form);
    };
    let order = Order { actor: member.principal(), request, command };
    let Command::Allocate { team, name, .. } = &order.command else {
        return Err(Failure::internal(&"something else than a cache was asked for"));
    };
    let there = format!("{}?done=created", path(team.as_str(), name.as_str()));
    match member.visit.app.fleet.submit(order.clone()).await {
        Ok(_) => go(&there),
        // Memory does not show yet whether it was carried out. The same wish with the same id finds out, and is
        // carried out at most once.
        Err(error @ SubmitError::OutcomeUnknown) => {
            form.refuse(&member, &error);
            match member.visit.app.fleet.preview(&Order { request: None, ..order.clone() }) {
                Ok(decision) => show_preview(&member, status_of(&error), form, &order.command, &decision),
                Err(_) => show(&member, status_of(&error), form),
            }
        }
        Err(error) => {
            form.refuse(&member, &error);
            show(&member, status_of(&error), form)
        }
    }
}
