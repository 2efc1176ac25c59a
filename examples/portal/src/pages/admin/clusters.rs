//! Clusters: ports and rules.

use askama::Template;
use axum::http::StatusCode;
use memc_core::ledger::{ClusterSpec, Command};
use memc_core::model::{Cluster, ClusterName, FillOrder, Mib, Overhead, Policy, Port, PortRange};

use super::{INVALID, carry_out};
use crate::locale::{Text, grouped, mib, text};
use crate::pages::failure::{Answer, Failure};
use crate::pages::form::Form;
use crate::pages::page::{Bar, Page, Section, go, html, ok};
use crate::pages::visit::{Admin, At, Member, Sent};

#[derive(Template)]
#[template(path = "admin/clusters.html")]
struct ListPage {
    page: Page,
    clusters: Vec<Row>,
}

struct Row {
    name: String,
    ports: String,
    hosts: usize,
    caches: usize,
    booked: String,
    memory: String,
    bar: Bar,
}

pub(in crate::pages) async fn list(Admin(member): Admin) -> Answer {
    let clusters = member.visit.app.fleet.read(|state| {
        let row = |cluster: &Cluster| {
            let (mut hosts, mut booked, mut memory) = (0, Mib::ZERO, Mib::ZERO);
            for view in state.hosts_of(cluster.id) {
                hosts += 1;
                booked = booked.plus(view.booked);
                memory = memory.plus(view.host.memory);
            }
            Row {
                name: cluster.name.to_string(),
                ports: format!("{}–{}", cluster.ports.first, cluster.ports.last),
                hosts,
                caches: state.caches_in(cluster.id),
                booked: mib(booked),
                memory: mib(memory),
                bar: Bar::new(booked.get(), 0, memory.get()),
            }
        };
        state.clusters().map(row).collect()
    });
    ok(&ListPage { page: Page::new(&member.visit, Section::Clusters), clusters })
}

#[derive(Template)]
#[template(path = "admin/cluster.html")]
struct ClusterPage {
    page: Page,
    /// `None` for a new one.
    name: Option<String>,
    form: Form,
    rules: Vec<Rule>,
}

/// A number among a cluster's rules.
struct Rule {
    field: &'static str,
    label: Text,
    hint: Text,
    least: u64,
    most: u64,
}

/// Every rule with its range, as [`Policy`] documents them.
fn rules() -> Vec<Rule> {
    let rule = |field, label, hint: Text, least, most: u64| {
        let hint = hint.arg("least", grouped(least)).arg("most", grouped(most));
        Rule { field, label, hint, least, most }
    };
    vec![
        rule("max_instance_mib", text("policy-max-instance"), text("policy-max-instance-hint"), 8, 16 << 20),
        rule("max_instances", text("policy-max-instances"), text("policy-max-instances-hint"), 1, 64),
        rule("grow_headroom_percent", text("policy-headroom"), text("policy-headroom-hint"), 0, 90),
        rule("fill_limit_percent", text("policy-fill-limit"), text("policy-fill-limit-hint"), 1, 100),
        rule("cool_down_hours", text("policy-cool-down"), text("policy-cool-down-hint"), 0, 90 * 24),
        rule("max_connections", text("policy-connections"), text("policy-connections-hint"), 1, 1_000_000),
        rule("overhead_percent", text("overhead-percent"), text("overhead-percent-hint"), 0, 400),
        rule("overhead_base_mib", text("overhead-base"), text("overhead-base-hint"), 0, 1 << 20),
        rule("overhead_floor_mib", text("overhead-floor"), text("overhead-floor-hint"), 0, 1 << 20),
        rule(
            "overhead_connections",
            text("overhead-connections"),
            text("overhead-connections-hint"),
            0,
            1_000_000,
        ),
        rule(
            "overhead_connection_kib",
            text("overhead-connection"),
            text("overhead-connection-hint"),
            0,
            1024,
        ),
    ]
}

fn values(policy: &Policy) -> Vec<(&'static str, u64)> {
    let overhead = &policy.overhead;
    vec![
        ("max_instance_mib", policy.max_instance_mib.get()),
        ("max_instances", policy.max_instances.into()),
        ("grow_headroom_percent", policy.grow_headroom_percent.into()),
        ("fill_limit_percent", policy.fill_limit_percent.into()),
        ("cool_down_hours", policy.cool_down_seconds.div_ceil(3600)),
        ("max_connections", policy.max_connections.into()),
        ("overhead_percent", overhead.percent.into()),
        ("overhead_base_mib", overhead.base_mib),
        ("overhead_floor_mib", overhead.floor_mib),
        ("overhead_connections", overhead.connections.into()),
        ("overhead_connection_kib", overhead.connection_kib.into()),
    ]
}

fn filled(policy: &Policy) -> Form {
    let mut form = Form::of(values(policy));
    let order = match policy.order {
        FillOrder::Pack => "pack",
        FillOrder::Balance => "balance",
    };
    form.fill("order", order);
    form
}

fn port(form: &mut Form, field: &'static str) -> Option<Port> {
    let number = form.number(field, Port::MIN.get().into()..=Port::MAX.get().into())?;
    Port::try_from(number).ok()
}

fn spec(form: &mut Form, before: Option<&Policy>) -> Option<ClusterSpec> {
    let (first, last) = (port(form, "first_port"), port(form, "last_port"));
    if let (Some(first), Some(last)) = (first, last)
        && last < first
    {
        form.reject("last_port", text("cluster-ports-reversed"));
    }
    let order = match form.value("order") {
        "pack" => Some(FillOrder::Pack),
        "balance" => Some(FillOrder::Balance),
        _ => {
            form.reject("order", text("policy-order-missing"));
            None
        }
    };
    let numbers: Vec<Option<u64>> =
        rules().into_iter().map(|rule| form.number(rule.field, rule.least..=rule.most)).collect();
    let numbers: Vec<u64> = numbers.into_iter().collect::<Option<_>>()?;
    let ports = PortRange { first: first?, last: last? };
    if !form.is_fine() {
        return None;
    }
    let &[
        memory,
        instances,
        headroom,
        fill_limit,
        hours,
        connections,
        percent,
        base_mib,
        floor_mib,
        active,
        kib,
    ] = &numbers[..]
    else {
        return None;
    };
    // The ranges above are within these types.
    let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    // A time that was set through the API and is no whole hour stays as it is, unless the field was changed.
    let seconds =
        before.map(|before| before.cool_down_seconds).filter(|seconds| seconds.div_ceil(3600) == hours);
    let policy = Policy {
        max_instance_mib: Mib::new(memory).ok()?,
        max_instances: u16::try_from(instances).ok()?,
        grow_headroom_percent: small(headroom),
        order: order?,
        fill_limit_percent: small(fill_limit),
        cool_down_seconds: seconds.unwrap_or(hours * 3600),
        max_connections: small(connections),
        overhead: Overhead {
            percent: small(percent),
            base_mib,
            floor_mib,
            connections: small(active),
            connection_kib: small(kib),
        },
    };
    Some(ClusterSpec { ports, policy })
}

fn show(member: &Member, status: StatusCode, name: Option<&ClusterName>, form: Form) -> Answer {
    let page = Page::new(&member.visit, Section::Clusters);
    html(status, &ClusterPage { page, name: name.map(ToString::to_string), form, rules: rules() })
}

pub(in crate::pages) async fn new_page(Admin(member): Admin) -> Answer {
    let mut form = filled(&Policy::default());
    form.fill("first_port", "11210");
    form.fill("last_port", "11999");
    show(&member, StatusCode::OK, None, form)
}

pub(in crate::pages) async fn create(Admin(member): Admin, Sent(fields): Sent) -> Answer {
    let mut form = Form::sent(fields);
    let name: Option<ClusterName> = form.parse("name", "field-slug");
    let (Some(spec), Some(name)) = (spec(&mut form, None), name) else {
        return show(&member, INVALID, None, form);
    };
    match carry_out(&member, &mut form, Command::CreateCluster { name, spec }).await {
        Ok(()) => go("/admin/clusters?done=added"),
        Err(status) => show(&member, status, None, form),
    }
}

fn find(member: &Member, name: &ClusterName) -> Result<Cluster, Failure> {
    let cluster = member.visit.app.fleet.read(|state| state.cluster_named(name).cloned());
    cluster.ok_or(Failure::NotFound)
}

pub(in crate::pages) async fn page(Admin(member): Admin, At(name): At<ClusterName>) -> Answer {
    let cluster = find(&member, &name)?;
    let mut form = filled(&cluster.policy);
    form.fill("first_port", &cluster.ports.first.to_string());
    form.fill("last_port", &cluster.ports.last.to_string());
    show(&member, StatusCode::OK, Some(&name), form)
}

pub(in crate::pages) async fn change(
    Admin(member): Admin,
    At(name): At<ClusterName>,
    Sent(fields): Sent,
) -> Answer {
    let cluster = find(&member, &name)?;
    let mut form = Form::sent(fields);
    let Some(spec) = spec(&mut form, Some(&cluster.policy)) else {
        return show(&member, INVALID, Some(&name), form);
    };
    match carry_out(&member, &mut form, Command::ChangeCluster { name: name.clone(), patch: spec.into() })
        .await
    {
        Ok(()) => go(&format!("/admin/clusters/{name}?done=saved")),
        Err(status) => show(&member, status, Some(&name), form),
    }
}

#[derive(Template)]
#[template(path = "admin/remove.html")]
pub(super) struct RemovePage {
    pub(super) page: Page,
    pub(super) title: Text,
    pub(super) explanation: Text,
    pub(super) action: String,
    pub(super) back: String,
    pub(super) form: Form,
}

fn show_remove(member: &Member, status: StatusCode, name: &ClusterName, form: Form) -> Answer {
    find(member, name)?;
    let template = RemovePage {
        page: Page::new(&member.visit, Section::Clusters),
        title: text("cluster-remove-title").arg("name", name.as_str()),
        explanation: text("cluster-remove-explained"),
        action: format!("/admin/clusters/{name}/remove"),
        back: format!("/admin/clusters/{name}"),
        form,
    };
    html(status, &template)
}

pub(in crate::pages) async fn remove_page(Admin(member): Admin, At(name): At<ClusterName>) -> Answer {
    show_remove(&member, StatusCode::OK, &name, Form::default())
}

pub(in crate::pages) async fn remove(
    Admin(member): Admin,
    At(name): At<ClusterName>,
    Sent(fields): Sent,
) -> Answer {
    let mut form = Form::sent(fields);
    match carry_out(&member, &mut form, Command::RemoveCluster { name: name.clone() }).await {
        Ok(()) => go("/admin/clusters?done=removed"),
        Err(status) => show_remove(&member, status, &name, form),
    }
}
