//! What an instance is waiting for, and what to do about it.

use memc_core::ledger::{HostView, State};
use memc_core::model::{HostStatus, Instance, InstanceState};
use memc_core::observe::Probe;
use memc_pillar_http::Fetch;

use super::page::When;
use crate::app::App;
use crate::locale::{Text, text};

/// An instance's state as people see it.
pub(super) struct Condition {
    /// For the style sheet: `good` or `busy`.
    pub(super) tone: &'static str,
    pub(super) word: Text,
    /// What it waits for; nothing where it runs as it should.
    pub(super) why: Option<Text>,
    /// Whether only an operator's word moves it on.
    pub(super) needs_operator: bool,
}

/// The state of an instance and the reason for it.
pub(super) fn condition(state: &State, app: &App, instance: &Instance) -> Condition {
    let host = state.host(instance.host);
    let fetch = host.and_then(|view| app.pillar_log.last(&view.host.name));
    // A fetch that another process answered is not noted here, but the ledger knows those that matter for stopping.
    let told = fetch.is_some_and(|fetch| fetch.revision >= instance.revision)
        || host.is_some_and(|view| view.host.served >= instance.revision);
    let seen = app.observations.of(instance.id);
    let silent = instance.state() == InstanceState::Running
        && seen.as_ref().is_some_and(|seen| !matches!(seen.probe, Probe::Answered(_)));
    let unclear = seen.is_some_and(|seen| matches!(seen.probe, Probe::Unclear(_)));
    let (tone, word) = match instance.state() {
        InstanceState::Running if silent => ("busy", text("state-silent")),
        InstanceState::Running => ("good", text("state-running")),
        InstanceState::Pending if instance.observed.is_some() => ("busy", text("state-resizing")),
        InstanceState::Pending => ("busy", text("state-pending")),
        InstanceState::Shrinking => ("busy", text("state-shrinking")),
        InstanceState::Releasing => ("busy", text("state-releasing")),
    };
    let why = match instance.state() {
        InstanceState::Running if silent => Some(text("why-silent").arg("port", instance.port.to_string())),
        InstanceState::Running => None,
        _ if !told => Some(not_told(host, fetch)),
        InstanceState::Pending => Some(match instance.observed {
            Some(seen) => text("why-other-size").arg("seen", seen).arg("memory", instance.memory),
            None if unclear => text("why-unclear").arg("port", instance.port.to_string()),
            None => text("why-not-seen").arg("port", instance.port.to_string()),
        }),
        InstanceState::Shrinking => {
            Some(text("why-memory-not-back").arg("booked", instance.booked).arg("memory", instance.memory))
        }
        InstanceState::Releasing if instance.seen_by.is_none() => Some(text("why-never-seen")),
        InstanceState::Releasing if unclear => {
            Some(text("why-stop-unclear").arg("port", instance.port.to_string()))
        }
        InstanceState::Releasing => Some(text("why-port-answers").arg("port", instance.port.to_string())),
    };
    let needs_operator = instance.state() == InstanceState::Releasing && told && instance.seen_by.is_none();
    Condition { tone, word, why, needs_operator }
}

fn not_told(host: Option<&HostView>, fetch: Option<Fetch>) -> Text {
    if host.is_some_and(|view| view.host.status == HostStatus::Lost) {
        return text("why-host-lost");
    }
    let name = host.map(|view| view.host.name.to_string()).unwrap_or_default();
    match fetch {
        Some(fetch) => text("why-not-fetched").arg("host", name).arg("ago", When::new(fetch.at).ago),
        None => text("why-never-fetched").arg("host", name),
    }
}
