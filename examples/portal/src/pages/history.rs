//! The ledger for people: who did what, when.
//!
//! Commits carry a detail in the core's English; what is shown is worked out from the records they changed instead,
//! so that it reads in every language. Only what people wrote themselves, a reason, is taken from the text.

use memc_core::ledger::{Change, Commit};
use memc_core::model::{Cluster, Host, Instance, Mib, Record};

use super::page::When;
use crate::locale::{Text, text};

/// One commit as a line.
pub(super) struct Entry {
    pub(super) when: When,
    pub(super) who: Text,
    pub(super) what: Text,
    pub(super) detail: Option<Text>,
    pub(super) target: Text,
    /// The page of what it was done to, where there is one.
    pub(super) link: Option<String>,
}

/// A commit as a line.
pub(super) fn entry(commit: &Commit) -> Entry {
    let (target, link) = target(&commit.action.target);
    Entry {
        when: When::new(commit.at),
        who: who(commit.actor.as_str()),
        what: what(&commit.action.name),
        detail: detail(commit),
        target,
        link,
    }
}

/// Who acted.
pub(super) fn who(actor: &str) -> Text {
    match actor.split_once(':') {
        Some(("user", name)) => text("as-it-is").arg("word", name),
        Some(("observer", name)) => text("actor-observer").arg("name", name),
        _ if actor == "system" => text("actor-system"),
        _ => text("as-it-is").arg("word", actor),
    }
}

fn what(action: &str) -> Text {
    match action {
        "fleet.found" => text("action-fleet-found"),
        "fleet.start-epoch" => text("action-fleet-start-epoch"),
        "cluster.create" => text("action-cluster-create"),
        "cluster.change" => text("action-cluster-change"),
        "cluster.remove" => text("action-cluster-remove"),
        "host.add" => text("action-host-add"),
        "host.change" => text("action-host-change"),
        "host.cordon" => text("action-host-cordon"),
        "host.uncordon" => text("action-host-uncordon"),
        "host.remove" => text("action-host-remove"),
        "host.lose" => text("action-host-lose"),
        "host.served" => text("action-host-served"),
        "team.create" => text("action-team-create"),
        "team.remove" => text("action-team-remove"),
        "quota.set" => text("action-quota-set"),
        "cache.allocate" => text("action-cache-allocate"),
        "cache.resize" => text("action-cache-resize"),
        "cache.release" => text("action-cache-release"),
        "cache.replace" => text("action-cache-replace"),
        "instance.running" => text("action-instance-running"),
        "instance.stopped" => text("action-instance-stopped"),
        "instance.stated-stopped" => text("action-instance-stated-stopped"),
        // A newer version's; its stable word says more than nothing.
        other => text("as-it-is").arg("word", other),
    }
}

fn target(target: &str) -> (Text, Option<String>) {
    let Some((kind, name)) = target.split_once(':') else {
        return (text("target-fleet"), None);
    };
    match kind {
        "cache" => (text("target-cache").arg("name", name), Some(format!("/caches/{name}"))),
        "host" => (text("target-host").arg("name", name), Some(format!("/admin/hosts/{name}"))),
        "cluster" => (text("target-cluster").arg("name", name), Some(format!("/admin/clusters/{name}"))),
        "team" => (text("target-team").arg("name", name), Some(format!("/admin/teams/{name}"))),
        "quota" => {
            let (cluster, team) = name.split_once('/').unwrap_or((name, ""));
            (
                text("target-quota").arg("team", team).arg("cluster", cluster),
                Some(format!("/admin/teams/{team}")),
            )
        }
        _ => (text("as-it-is").arg("word", target), None),
    }
}

fn detail(commit: &Commit) -> Option<Text> {
    let records = || {
        commit.changes.iter().filter_map(|change| match change {
            Change::Put(record) => Some(record),
            Change::Remove(_) => None,
        })
    };
    let instances = || {
        records().filter_map(|record| match record {
            Record::Instance(instance) => Some(instance),
            _ => None,
        })
    };
    let stated = |separator: &str| commit.action.detail.split_once(separator);
    match commit.action.name.as_ref() {
        "instance.stated-stopped" => {
            let (name, reason) = stated(": ")?;
            Some(text("detail-stated").arg("name", name).arg("reason", reason))
        }
        "host.lose" => {
            let (count, reason) = stated(" instances: ")?;
            let count: u64 = count.parse().unwrap_or_default();
            Some(text("detail-lost").arg("n", count).arg("reason", reason))
        }
        "instance.stopped" => Some(text("as-it-is").arg("word", &commit.action.detail)),
        "instance.running" => instances().next().and_then(|instance| seen(&commit.action.target, instance)),
        "cache.replace" => Some(text("detail-replaced").arg("n", instances().count())),
        _ => records().find_map(|record| match record {
            Record::Cache(cache) if commit.action.name == "cache.resize" => {
                Some(text("detail-resized").arg("memory", cache.memory))
            }
            Record::Cache(cache) => Some(super::caches::size(cache.memory, cache.instances)),
            Record::Cluster(cluster) => Some(ports(cluster)),
            Record::Host(host) if commit.action.name == "host.served" => {
                Some(text("detail-served").arg("revision", host.served.to_string()))
            }
            Record::Host(host) if matches!(commit.action.name.as_ref(), "host.add" | "host.change") => {
                Some(host_text(host))
            }
            Record::Quota(quota) => Some(size(quota.memory)),
            _ => None,
        }),
    }
}

fn seen(target: &str, instance: &Instance) -> Option<Text> {
    // The cache may be gone by now; the commit still names it.
    let (_, cache) = target.rsplit_once('/')?;
    let name = format!("{cache}.{}", instance.index);
    Some(text("detail-seen").arg("name", name).arg("memory", instance.observed?))
}

fn ports(cluster: &Cluster) -> Text {
    text("detail-ports")
        .arg("first", cluster.ports.first.to_string())
        .arg("last", cluster.ports.last.to_string())
}

fn host_text(host: &Host) -> Text {
    text("detail-host").arg("memory", host.memory).arg("address", host.address.to_string())
}

fn size(memory: Mib) -> Text {
    text("as-it-is").arg("word", memory)
}
