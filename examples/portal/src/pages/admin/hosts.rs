//! Hosts: what they have, what is on them, when they last asked.

use std::collections::BTreeSet;
use std::net::IpAddr;

use askama::Template;
use axum::http::StatusCode;
use memc_core::ledger::{Command, HostPatch, HostSpec, HostView, PortUse, State};
use memc_core::model::{ClusterName, HostName, HostStatus, Mib, Port, Rack};
use memc_core::observe::Hindrance;

use super::{INVALID, carry_out};
use crate::app::App;
use crate::locale::{Text, mib, text};
use crate::pages::caches::{Glance, path};
use crate::pages::failure::{Answer, Failure};
use crate::pages::form::Form;
use crate::pages::page::{Bar, Page, Section, When, go, html, ok};
use crate::pages::visit::{Admin, At, Member, Sent};
use crate::pages::why::{Condition, condition};

#[derive(Template)]
#[template(path = "admin/hosts.html")]
struct ListPage {
    page: Page,
    clusters: Vec<Cluster>,
}

struct Cluster {
    name: String,
    hosts: Vec<Row>,
    /// How many take nothing new until they were looked at.
    waiting: u32,
}

/// A host at a glance.
struct Row {
    name: String,
    address: String,
    rack: Option<String>,
    state: Glance,
    fullness: Text,
    free: String,
    bar: Bar,
    instances: u32,
    /// When its pillar was last asked for, as far as this process knows.
    fetched: Option<When>,
    /// What it waits for since the fleet was set back to a backup, if it does.
    waits: Option<Text>,
    found: String,
    lost: bool,
    cordoned: bool,
    draining: bool,
}

fn row(state: &State, app: &App, view: &HostView) -> Row {
    let host = &view.host;
    let waits = (state.waits(host) && host.status != HostStatus::Lost).then(|| hindrance(app, host));
    let glance = match host.status {
        HostStatus::Active if waits.is_some() => Glance { tone: "busy", word: text("host-waits") },
        HostStatus::Active => Glance { tone: "good", word: text("host-active") },
        HostStatus::Cordoned => Glance { tone: "busy", word: text("host-cordoned") },
        HostStatus::Draining => Glance { tone: "busy", word: text("host-draining") },
        // A removed host is in no list and has no page.
        HostStatus::Lost | HostStatus::Removed => Glance { tone: "bad", word: text("host-lost") },
    };
    // Another process may have answered the last fetch: the later of the two is known.
    let noted = app.pillar_log.last(&host.name).map(|fetch| fetch.at);
    Row {
        name: host.name.to_string(),
        address: host.address.to_string(),
        rack: host.rack.as_ref().map(ToString::to_string),
        state: glance,
        fullness: text("bar-booked").arg("booked", view.booked).arg("memory", host.memory),
        free: mib(view.free()),
        bar: Bar::new(view.booked.get(), 0, host.memory.get()),
        instances: view.instances,
        fetched: noted.max(host.served_at).map(When::new),
        waits,
        found: ports_of(&host.found_ports),
        lost: host.status == HostStatus::Lost,
        cordoned: host.status == HostStatus::Cordoned,
        draining: host.status == HostStatus::Draining,
    }
}

/// Why a host that waits was not looked at yet.
fn hindrance(app: &App, host: &memc_core::model::Host) -> Text {
    match app.observations.hindrance(host.id) {
        None => text("host-waits-look"),
        Some(Hindrance::NoAnswer(port)) => text("host-waits-answer").arg("port", port.to_string()),
        Some(Hindrance::NotRunning(port)) => text("host-waits-running").arg("port", port.to_string()),
    }
}

/// As they are written into a form.
fn ports_of(ports: &BTreeSet<Port>) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

pub(in crate::pages) async fn list(Admin(member): Admin) -> Answer {
    let app = &member.visit.app;
    let clusters = app.fleet.read(|state| {
        let cluster = |cluster: &memc_core::model::Cluster| {
            let mut hosts: Vec<Row> = state.hosts_of(cluster.id).map(|view| row(state, app, view)).collect();
            hosts.sort_by(|one, other| one.name.cmp(&other.name));
            let waiting = state.unobserved(cluster.id);
            Cluster { name: cluster.name.to_string(), hosts, waiting }
        };
        state.clusters().map(cluster).collect()
    });
    ok(&ListPage { page: Page::new(&member.visit, Section::Hosts), clusters })
}

#[derive(Template)]
#[template(path = "admin/host_new.html")]
struct NewPage {
    page: Page,
    form: Form,
    clusters: Vec<String>,
}

fn show_new(member: &Member, status: StatusCode, form: Form) -> Answer {
    let clusters = member
        .visit
        .app
        .fleet
        .read(|state| state.clusters().map(|cluster| cluster.name.to_string()).collect());
    html(status, &NewPage { page: Page::new(&member.visit, Section::Hosts), form, clusters })
}

pub(in crate::pages) async fn new_page(Admin(member): Admin) -> Answer {
    show_new(&member, StatusCode::OK, Form::default())
}

/// Ports, separated by spaces or commas; nothing for none.
fn ports(form: &mut Form, field: &'static str) -> Option<BTreeSet<Port>> {
    let words = form.value(field).split([' ', ',', '，', '、']).filter(|word| !word.is_empty());
    let ports: Option<_> = words.map(|word| Port::try_from(word.parse::<u64>().ok()?).ok()).collect();
    if ports.is_none() {
        form.reject(field, text("field-ports"));
    }
    ports
}

pub(in crate::pages) async fn add(Admin(member): Admin, Sent(fields): Sent) -> Answer {
    let mut form = Form::sent(fields);
    let name: Option<HostName> = form.parse("name", "field-host-name");
    let cluster: Option<ClusterName> = form.parse("cluster", "field-choose");
    let address: Option<IpAddr> = form.parse("address", "field-address");
    let memory = form.size("memory_mib", Mib::ZERO..=Mib::MAX_HOST);
    let rack: Option<Rack> = form.parse_optional("rack", "field-rack");
    let blocked_ports = ports(&mut form, "blocked_ports");
    let (Some(name), Some(cluster), Some(address), Some(memory), Some(blocked_ports), true) =
        (name, cluster, address, memory, blocked_ports, form.is_fine())
    else {
        return show_new(&member, INVALID, form);
    };
    let spec = HostSpec { cluster, address, memory, rack, blocked_ports };
    match carry_out(&member, &mut form, Command::AddHost { name, spec }).await {
        Ok(()) => go("/admin/hosts?done=added"),
        Err(status) => show_new(&member, status, form),
    }
}

#[derive(Template)]
#[template(path = "admin/host.html")]
struct HostPage {
    page: Page,
    host: Row,
    cluster: String,
    instances: Vec<Instance>,
    /// Ports that are cooling down or blocked since the host was lost.
    retired: usize,
    form: Form,
}

struct Instance {
    name: String,
    path: String,
    port: u16,
    memory: String,
    booked: String,
    condition: Condition,
}

fn instances(state: &State, app: &App, view: &HostView) -> Vec<Instance> {
    let found = view.ports.iter().filter_map(|usage| match usage {
        PortUse::Instance(_, id) => state.instance(*id),
        PortUse::Retired(_) => None,
    });
    let row = |instance: &memc_core::model::Instance| {
        let cache = state.cache(instance.cache)?;
        let team = state.team(cache.team)?;
        Some(Instance {
            name: format!("{}/{}.{}", team.name, cache.name, instance.index),
            path: path(team.name.as_str(), cache.name.as_str()),
            port: instance.port.get(),
            memory: mib(instance.memory),
            booked: mib(instance.booked),
            condition: condition(state, app, instance),
        })
    };
    found.filter_map(row).collect()
}

/// The page of a host. `form` is its form as it was sent, or `None` to fill it with what is.
pub(super) fn show(member: &Member, status: StatusCode, name: &HostName, form: Option<Form>) -> Answer {
    let app = &member.visit.app;
    let page = Page::new(&member.visit, Section::Hosts);
    let template = app.fleet.read(|state| {
        let view = state.host_named(name)?;
        let host = &view.host;
        let filled = || {
            Form::of([
                ("address", host.address.to_string()),
                ("memory_mib", host.memory.get().to_string()),
                ("rack", host.rack.as_ref().map(ToString::to_string).unwrap_or_default()),
                ("blocked_ports", ports_of(&host.blocked_ports)),
                ("found_ports", ports_of(&host.found_ports)),
            ])
        };
        Some(HostPage {
            page,
            host: row(state, app, view),
            cluster: state.cluster(host.cluster).map(|cluster| cluster.name.to_string()).unwrap_or_default(),
            instances: instances(state, app, view),
            retired: view.ports.iter().filter(|usage| matches!(usage, PortUse::Retired(_))).count(),
            form: form.unwrap_or_else(filled),
        })
    });
    html(status, &template.ok_or(Failure::NotFound)?)
}

pub(in crate::pages) async fn page(Admin(member): Admin, At(name): At<HostName>) -> Answer {
    show(&member, StatusCode::OK, &name, None)
}

pub(in crate::pages) async fn change(
    Admin(member): Admin,
    At(name): At<HostName>,
    Sent(fields): Sent,
) -> Answer {
    let mut form = Form::sent(fields);
    let address: Option<IpAddr> = form.parse("address", "field-address");
    let memory = form.size("memory_mib", Mib::ZERO..=Mib::MAX_HOST);
    let rack: Option<Rack> = form.parse_optional("rack", "field-rack");
    let blocked_ports = ports(&mut form, "blocked_ports");
    // Not on the page that was sent, if they were found since.
    let found_ports = form.has("found_ports").then(|| ports(&mut form, "found_ports")).flatten();
    if !form.is_fine() {
        return show(&member, INVALID, &name, Some(form));
    }
    let rack = Some(rack);
    let patch = HostPatch { address, memory, rack, blocked_ports, found_ports, ..HostPatch::default() };
    match carry_out(&member, &mut form, Command::ChangeHost { name: name.clone(), patch }).await {
        Ok(()) => go(&format!("/admin/hosts/{name}?done=saved")),
        Err(status) => show(&member, status, &name, Some(form)),
    }
}
