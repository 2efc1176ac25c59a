//! Refusals in people's words: by what they are, never by the core's own English sentence.

use memc_core::fleet::SubmitError;
use memc_core::ledger::{Object, Refusal};
use memc_core::model::Mib;

use crate::locale::{Text, text};

/// Why a command was not carried out.
pub(super) fn submit_error(error: &SubmitError) -> Text {
    match error {
        SubmitError::Refused(refusal) => self::refusal(refusal),
        SubmitError::Unavailable(_) => text("submit-unavailable"),
        SubmitError::Unsafe(_) => text("submit-unsafe"),
        SubmitError::OutcomeUnknown => text("submit-outcome-unknown"),
        SubmitError::Busy => text("submit-busy"),
        SubmitError::TooLong(_) => text("submit-too-long"),
        SubmitError::Closed => text("submit-unavailable"),
        _ => text("submit-internal"),
    }
}

/// Why not.
pub(super) fn refusal(refusal: &Refusal) -> Text {
    match refusal {
        Refusal::NotFound { object, name } => match object {
            Object::Cluster => text("refusal-no-cluster").arg("name", name),
            Object::Host => text("refusal-no-host").arg("name", name),
            Object::Team => text("refusal-no-team").arg("name", name),
            Object::Cache => text("refusal-no-cache").arg("name", name),
            Object::Instance | Object::Plan => text("refusal-no-instance").arg("name", name),
        },
        Refusal::NameTaken { releasing: true, name, .. } => text("refusal-name-releasing").arg("name", name),
        Refusal::NameTaken { name, .. } => text("refusal-name-taken").arg("name", name),
        Refusal::AddressTaken { address, host } => {
            text("refusal-address-taken").arg("address", address.to_string()).arg("host", host.as_str())
        }
        Refusal::AddressCoolsDown { address, host, ports } => text("refusal-address-cools-down")
            .arg("address", address.to_string())
            .arg("host", host.as_str())
            .arg("n", *ports as u64),
        Refusal::InUse { object, name, .. } => match object {
            Object::Cluster => text("refusal-cluster-in-use").arg("name", name),
            Object::Team => text("refusal-team-in-use").arg("name", name),
            _ => text("refusal-host-in-use").arg("name", name),
        },
        Refusal::NoRoom { cluster, memory, instances, .. } => text("refusal-no-room")
            .arg("cluster", cluster.as_str())
            .arg("instances", instances)
            .arg("memory", memory),
        Refusal::QuotaExceeded { team, cluster, limit: Mib::ZERO, .. } => {
            text("refusal-no-quota").arg("team", team.as_str()).arg("cluster", cluster.as_str())
        }
        Refusal::QuotaExceeded { team, cluster, limit, used, asked, .. } => text("refusal-quota")
            .arg("team", team.as_str())
            .arg("cluster", cluster.as_str())
            .arg("limit", limit)
            .arg("used", used)
            .arg("asked", asked),
        Refusal::OutOfRange { value, .. } => text("refusal-out-of-range").arg("value", value),
        Refusal::Releasing { name, .. } => text("refusal-releasing").arg("name", name.as_str()),
        Refusal::NotReleasing { name } => text("refusal-not-releasing").arg("name", name),
        Refusal::RequestIdReused => text("refusal-request-id-reused"),
        Refusal::Outdated => text("refusal-outdated"),
        _ => text("refusal-other"),
    }
}

/// The field that a refusal is about, if it is one: where its message is shown.
pub(super) fn field_of(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::NameTaken { .. } => Some("name"),
        Refusal::AddressTaken { .. } | Refusal::AddressCoolsDown { .. } => Some("address"),
        Refusal::OutOfRange { field: "address", .. } => Some("address"),
        Refusal::OutOfRange { field: "memory_mib", .. } => Some("memory_mib"),
        Refusal::OutOfRange { field: "instances", .. } => Some("instances"),
        Refusal::OutOfRange { field: "max_per_rack", .. } => Some("max_per_rack"),
        Refusal::OutOfRange { field: "last_port", .. } => Some("last_port"),
        Refusal::OutOfRange { field: "found_ports", .. } => Some("found_ports"),
        _ => None,
    }
}
