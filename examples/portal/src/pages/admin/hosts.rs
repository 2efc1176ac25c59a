//! Hosts: what they have, what is on them, when they last asked.

use std::collections::BTreeSet;
use std::net::IpAddr;

use askama::Template;
use axum::http::StatusCode;
use memc_core::ledger::{Command, HostPatch, HostSpec, HostView, PortUse, State};
use memc_core::model::{ClusterName, HostName, HostStatus, Mib, Port, Rack};
use memc_pillar_http::Fetches;

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
    lost: bool,
    cordoned: bool,
    draining: bool,
}

fn row(fetches: &Fetches, view: &HostView) -> Row {
    let host = &view.host;
    let state = match host.status {
        HostStatus::Active => Glance { tone: "good", word: text("host-active") },
        HostStatus::Cordoned => Glance { tone: "busy", word: text("host-cordoned") },
        HostStatus::Draining => Glance { tone: "busy", word: text("host-draining") },
        // A removed host is in no list and has no page.
        HostStatus::Lost | HostStatus::Removed => Glance { tone: "bad", word: text("host-lost") },
    };
    // Another process may have answered the last fetch: the later of the two is known.
    let noted = fetches.last(&host.name).map(|fetch| fetch.at);
    Row {
        name: host.name.to_string(),
        address: host.address.to_string(),
        rack: host.rack.as_ref().map(ToString::to_string),
        state,
        fullness: text("bar-booked").arg("booked", view.booked).arg("memory", host.memory),
        free: mib(view.free()),
        bar: Bar::new(view.booked.get(), 0, host.memory.get()),
        instances: view.instances,
        fetched: noted.max(host.served_at).map(When::new),
        lost: host.status == HostStatus::Lost,
        cordoned: host.status == HostStatus::Cordoned,
        draining: host.status == HostStatus::Draining,
    }
}

pub(in crate::pages) async fn list(Admin(member): Admin) -> Answer {
    let app = &member.visit.app;
    let clusters = app.fleet.read(|state| {
        let cluster = |cluster: &memc_core::model::Cluster| {
            let mut hosts: Vec<Row> =
                state.hosts_of(cluster.id).map(|view| row(&app.pillar_log, view)).collect();
            hosts.sort_by(|one, other| one.name.cmp(&other.name));
            Cluster { name: cluster.name.to_string(), hosts }
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
fn blocked_ports(form: &mut Form) -> Option<BTreeSet<Port>> {
    let words = form.value("blocked_ports").split([' ', ',', '，', '、']).filter(|word| !word.is_empty());
    let ports: Option<_> = words.map(|word| Port::try_from(word.parse::<u64>().ok()?).ok()).collect();
    if ports.is_none() {
        form.reject("blocked_ports", text("field-ports"));
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
    let blocked_ports = blocked_ports(&mut form);
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
    let found = view.ports.values().filter_map(|usage| match usage {
        PortUse::Instance(id) => state.instance(*id),
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
            let ports: Vec<String> = host.blocked_ports.iter().map(ToString::to_string).collect();
            Form::of([
                ("address", host.address.to_string()),
                ("memory_mib", host.memory.get().to_string()),
                ("rack", host.rack.as_ref().map(ToString::to_string).unwrap_or_default()),
                ("blocked_ports", ports.join(" ")),
            ])
        };
        Some(HostPage {
            page,
            host: row(&app.pillar_log, view),
            cluster: state.cluster(host.cluster).map(|cluster| cluster.name.to_string()).unwrap_or_default(),
            instances: instances(state, app, view),
            retired: view.ports.values().filter(|usage| matches!(usage, PortUse::Retired(_))).count(),
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
    let blocked_ports = blocked_ports(&mut form);
    if !form.is_fine() {
        return show(&member, INVALID, &name, Some(form));
    }
    let patch = HostPatch { address, memory, rack: Some(rack), blocked_ports, ..HostPatch::default() };
    match carry_out(&member, &mut form, Command::ChangeHost { name: name.clone(), patch }).await {
        Ok(()) => go(&format!("/admin/hosts/{name}?done=saved")),
        Err(status) => show(&member, status, &name, Some(form)),
    }
}
