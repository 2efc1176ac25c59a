//! Why not: a refusal says which rule, and what would be possible instead.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::model::{CacheName, ClusterName, HostName, Mib, TeamName};

/// A kind of thing that a command names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the field's words, see the crate's front page
pub enum Object {
    Cluster,
    Host,
    Team,
    Cache,
    Instance,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Object::Cluster => "cluster",
            Object::Host => "host",
            Object::Team => "team",
            Object::Cache => "cache",
            Object::Instance => "instance",
        })
    }
}

/// What keeps an allocation from finding room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocker {
    /// The hosts that take new instances have too little free memory.
    Memory,
    /// Hosts with enough memory have no free port.
    Ports,
    /// There are fewer hosts that take new instances than instances asked for.
    Hosts,
}

impl fmt::Display for Blocker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Blocker::Memory => "too little free memory",
            Blocker::Ports => "no free port on hosts with enough memory",
            Blocker::Hosts => "fewer usable hosts than instances, each of which needs one of its own",
        })
    }
}

/// Why a command was not carried out. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Nothing of that name.
    #[error("there is no {object} {name}")]
    NotFound {
        /// What it should have been.
        object: Object,
        /// The name that was given.
        name: String,
    },
    /// The name is in use.
    #[error("there is a {object} {name} already: take another name")]
    NameTaken {
        /// What has the name.
        object: Object,
        /// The name as it is in use.
        name: String,
        /// Whether it is being released, and its name free soon.
        releasing: bool,
    },
    /// Another host has the address.
    #[error(
        "host {host} has the address {address} already: two hosts at one would give two teams the same endpoint"
    )]
    AddressTaken {
        /// The address.
        address: IpAddr,
        /// The host that has it.
        host: HostName,
    },
    /// Something depends on it.
    #[error("{object} {name} is in use by {by}: {todo}")]
    InUse {
        /// What is in use.
        object: Object,
        /// Its name.
        name: String,
        /// By how many of what.
        by: String,
        /// What to do first.
        todo: &'static str,
    },
    /// No room that keeps every rule.
    #[error("cluster {cluster} has no room for {instances} × {memory}: {blocker}; {}", would_fit(*.largest))]
    NoRoom {
        /// Where.
        cluster: ClusterName,
        /// Asked for, each instance.
        memory: Mib,
        /// Asked for.
        instances: u16,
        /// What is in the way.
        blocker: Blocker,
        /// The largest memory of each instance that would be carried out now, quota included; zero for none.
        largest: Mib,
    },
    /// More than the team may have.
    #[error(
        "team {team} may have {limit} in cluster {cluster} and has {used}: {asked} more is too much; {}",
        would_fit(*.largest)
    )]
    QuotaExceeded {
        /// Whose.
        team: TeamName,
        /// Where.
        cluster: ClusterName,
        /// Its quota.
        limit: Mib,
        /// What counts against it already.
        used: Mib,
        /// What would be added.
        asked: Mib,
        /// The largest memory of each instance that would be carried out now; zero for none.
        largest: Mib,
    },
    /// A value outside its range.
    #[error("{field} is {value}: it must be {rule}")]
    OutOfRange {
        /// The field, as the command names it.
        field: &'static str,
        /// What was given.
        value: String,
        /// What would do.
        rule: String,
    },
    /// The cache is being given back.
    #[error("cache {team}/{name} is being released: ask for a new one once it is gone")]
    Releasing {
        /// Whose.
        team: TeamName,
        /// Which.
        name: CacheName,
    },
    /// The instance is not being released, so nobody may say that it has stopped.
    #[error("instance {name} is not being released: release its cache first")]
    NotReleasing {
        /// The instance.
        name: String,
    },
    /// The request id came with another command before.
    #[error("this request id was used for another request: take a new one")]
    RequestIdReused,
    /// What was observed is no longer what is there.
    #[error("the instance has changed since it was observed")]
    Outdated,
    /// There is a fleet already.
    #[error("this ledger has its fleet already")]
    Founded,
}

fn would_fit(largest: Mib) -> String {
    match largest {
        Mib::ZERO => "no size fits now".to_owned(),
        largest => format!("the largest that fits now is {largest} an instance"),
    }
}

impl Refusal {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotFound { .. } => "not_found",
            Refusal::NameTaken { .. } => "name_taken",
            Refusal::AddressTaken { .. } => "address_taken",
            Refusal::InUse { .. } => "in_use",
            Refusal::NoRoom { .. } => "no_room",
            Refusal::QuotaExceeded { .. } => "quota_exceeded",
            Refusal::OutOfRange { .. } => "out_of_range",
            Refusal::Releasing { .. } => "releasing",
            Refusal::NotReleasing { .. } => "not_releasing",
            Refusal::RequestIdReused => "request_id_reused",
            Refusal::Outdated => "outdated",
            Refusal::Founded => "founded",
        }
    }

    /// The largest memory of each instance that would be carried out now, for refusals that know one.
    #[must_use]
    pub fn largest_fit(&self) -> Option<Mib> {
        match self {
            Refusal::NoRoom { largest, .. } | Refusal::QuotaExceeded { largest, .. } => Some(*largest),
            _ => None,
        }
    }
}
