//! `/hosts`: for operators.

use std::collections::BTreeSet;
use std::net::IpAddr;

use axum::extract::State;
use axum::http::StatusCode;
use memc_core::ledger::{Command, HostPatch, HostSpec, Receipt};
use memc_core::model::{ClusterName, HostName, Key, Mib, Port, Rack, Reason};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, refresh};
use super::caller::Caller;
use super::input::{Body, Names, Params, nullable, parse};
use super::paging::{Listing, Wanted};
use super::view::{FullHost, Now};
use crate::app::App;
use crate::problem::Problem;
use crate::repair::{Repairs, replace_missing};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewHost {
    name: HostName,
    cluster: ClusterName,
    address: IpAddr,
    memory_mib: Mib,
    rack: Option<Rack>,
    #[serde(default)]
    blocked_ports: BTreeSet<Port>,
}

pub(super) async fn create(
    State(app): State<App>,
    caller: Caller,
    body: Result<Body<NewHost>, Problem>,
) -> Result<Answer<Now<FullHost>>, Problem> {
    caller.require_admin()?;
    let Body(NewHost { name, cluster, address, memory_mib: memory, rack, blocked_ports }) = body?;
    let spec = HostSpec { cluster, address, memory, rack, blocked_ports };
    let receipt = caller.submit(&app, Command::AddHost { name, spec }).await?;
    let host = subject(&app, &receipt).map(|host| host.made_by(receipt.revision));
    Ok(Answer::created(Now::new(host, receipt.revision)))
}

fn subject(app: &App, receipt: &Receipt) -> Option<FullHost> {
    let Key::Host { id } = receipt.subject else {
        return None;
    };
    app.fleet.read(|state| {
        let view = state.host(id)?;
        Some(FullHost::new(state, view, app.pillar_log.last(&view.host.name)))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    limit: Option<u16>,
    cursor: Option<String>,
    cluster: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Params(query): Params<Query>,
) -> Result<Answer<Listing<FullHost>>, Problem> {
    caller.require_admin()?;
    let wanted: Wanted<HostName> = Wanted::new(query.limit, query.cursor.as_deref())?;
    let cluster: Option<ClusterName> = parse("cluster", query.cluster.as_deref())?;
    // Hosts are listed by their names without case, as the fleet keeps them.
    let after = wanted.after.as_ref().map(|after| after.as_str().to_ascii_lowercase());
    let stale = refresh(&app).await;
    let listing = app.fleet.read(|state| {
        let cluster = cluster.map(|name| state.cluster_named(&name).map(|cluster| cluster.id));
        let rest = (state.hosts())
            .filter(|view| after.as_ref().is_none_or(|it| view.host.name.as_str().to_ascii_lowercase() > *it))
            .filter(|view| cluster.is_none_or(|cluster| cluster == Some(view.host.cluster)));
        wanted.of(
            rest,
            |view| view.host.name.to_string(),
            |view| FullHost::new(state, view, app.pillar_log.last(&view.host.name)),
        )
    });
    Ok(Answer::read(listing, stale))
}

pub(super) async fn one(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<HostName>,
) -> Result<Answer<FullHost>, Problem> {
    caller.require_admin()?;
    let stale = refresh(&app).await;
    let host = app.fleet.read(|state| {
        let view = state.host_named(&name)?;
        Some(FullHost::new(state, view, app.pillar_log.last(&name)))
    });
    let host = host.ok_or_else(|| Problem::not_found(format_args!("host {name}")))?;
    Ok(Answer::read(host, stale))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangedHost {
    name: Option<HostName>,
    cluster: Option<ClusterName>,
    address: Option<IpAddr>,
    memory_mib: Option<Mib>,
    #[serde(default, deserialize_with = "nullable")]
    rack: Option<Option<Rack>>,
    blocked_ports: Option<BTreeSet<Port>>,
    found_ports: Option<BTreeSet<Port>>,
}

pub(super) async fn change(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<HostName>,
    body: Result<Body<ChangedHost>, Problem>,
) -> Result<Answer<Now<FullHost>>, Problem> {
    caller.require_admin()?;
    let Body(changed) = body?;
    let patch = HostPatch {
        name: changed.name,
        cluster: changed.cluster,
        address: changed.address,
        memory: changed.memory_mib,
        rack: changed.rack,
        blocked_ports: changed.blocked_ports,
        found_ports: changed.found_ports,
    };
    carry_out(&app, &caller, Command::ChangeHost { name, patch }).await
}

async fn carry_out(app: &App, caller: &Caller, command: Command) -> Result<Answer<Now<FullHost>>, Problem> {
    let receipt = caller.submit(app, command).await?;
    Ok(Answer::ok(Now::new(subject(app, &receipt), receipt.revision)))
}

pub(super) async fn remove(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<HostName>,
) -> Result<StatusCode, Problem> {
    caller.require_admin()?;
    caller.submit(&app, Command::RemoveHost { name }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn cordon(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<HostName>,
) -> Result<Answer<Now<FullHost>>, Problem> {
    caller.require_admin()?;
    carry_out(&app, &caller, Command::CordonHost { name }).await
}

pub(super) async fn uncordon(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<HostName>,
) -> Result<Answer<Now<FullHost>>, Problem> {
    caller.require_admin()?;
    carry_out(&app, &caller, Command::UncordonHost { name }).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stated {
    reason: Reason,
}

pub(super) async fn observed(
    State(app): State<App>,
    caller: Caller,
    Names(host): Names<HostName>,
    body: Result<Body<Stated>, Problem>,
) -> Result<Answer<Now<FullHost>>, Problem> {
    caller.require_admin()?;
    let Body(Stated { reason }) = body?;
    carry_out(&app, &caller, Command::StateObserved { host, reason }).await
}

#[derive(Serialize)]
pub(super) struct LostHost {
    #[serde(flatten)]
    host: Now<FullHost>,
    #[serde(flatten)]
    repairs: Repairs,
}

pub(super) async fn lost(
    State(app): State<App>,
    caller: Caller,
    Names(name): Names<HostName>,
    body: Result<Body<Stated>, Problem>,
) -> Result<Answer<LostHost>, Problem> {
    caller.require_admin()?;
    let Body(Stated { reason }) = body?;
    let receipt = caller.submit(&app, Command::LoseHost { name, reason }).await?;
    let cluster = match receipt.subject {
        Key::Host { id } => app.fleet.read(|state| state.host(id).map(|view| view.host.cluster)),
        _ => None,
    };
    let repairs = match cluster {
        Some(cluster) => replace_missing(&app.fleet, &caller.user.name.principal(), cluster).await,
        None => Repairs::default(),
    };
    Ok(Answer::ok(LostHost { host: Now::new(subject(&app, &receipt), receipt.revision), repairs }))
}
