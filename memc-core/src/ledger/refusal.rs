//! Why not: a refusal says which rule, and what would be possible instead.

use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use super::{Facts, WhyNot};
use crate::model::{CacheName, ClusterName, Counted, HostName, Mib, PlanId, TeamName};

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
    Plan,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Object::Cluster => "cluster",
            Object::Host => "host",
            Object::Team => "team",
            Object::Cache => "cache",
            Object::Instance => "instance",
            Object::Plan => "running plan",
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
    /// Ports at the address must not be issued yet, and are known by the host that has or had them.
    #[error(
        "{} at {address}, of host {host}, must not be given to anybody yet: clients of another team may still use them. Wait \
         until they have cooled down, or use another address",
        Counted(*.ports, "port")
    )]
    AddressCoolsDown {
        /// The address.
        address: IpAddr,
        /// The host that has or had it.
        host: HostName,
        /// How many ports.
        ports: usize,
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
    #[error("cluster {cluster} has no room for {instances} × {memory}{}", because(why))]
    NoRoom {
        /// Where.
        cluster: ClusterName,
        /// Asked for, each instance.
        memory: Mib,
        /// Asked for.
        instances: u16,
        /// What is in the way, and what would do instead. Worked out after the turn, by
        /// [`Facts::explain`](crate::ledger::Facts::explain).
        why: Option<Box<WhyNot>>,
    },
    /// More than the team may have.
    #[error(
        "team {team} may have {limit} in cluster {cluster} and has {used}: {asked} more is too much{}",
        because(why)
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
        /// What would do instead. Worked out after the turn, by [`Facts::explain`](crate::ledger::Facts::explain).
        why: Option<Box<WhyNot>>,
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
    /// A cluster's instances are being moved already.
    #[error("cluster {cluster} has a plan that is running: stop it first, or wait until it is done")]
    PlanRunning {
        /// Where.
        cluster: ClusterName,
    },
    /// A step of a plan cannot be made.
    #[error("step {step} of the plan cannot be made: {why}; plan again")]
    StepDoesNotFit {
        /// Its place in the plan, from 0.
        step: u32,
        /// What is in the way.
        why: String,
    },
    /// The step before is not over.
    #[error("a move of plan {plan} is under way: the next step waits until the old instance has stopped")]
    MoveUnderWay {
        /// Which plan.
        plan: PlanId,
    },
    /// The instance is not being moved.
    #[error("instance {name} is not being moved")]
    NotMoving {
        /// The instance.
        name: String,
    },
    /// The instance has to stay until its copy runs.
    #[error("the copy of instance {name} has not been seen running yet")]
    CopyNotRunning {
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

fn because(why: &Option<Box<WhyNot>>) -> String {
    why.as_ref().map(|why| format!(": {why}")).unwrap_or_default()
}

impl Refusal {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Refusal::NotFound { .. } => "not_found",
            Refusal::NameTaken { .. } => "name_taken",
            Refusal::AddressTaken { .. } => "address_taken",
            Refusal::AddressCoolsDown { .. } => "address_cools_down",
            Refusal::InUse { .. } => "in_use",
            Refusal::NoRoom { .. } => "no_room",
            Refusal::QuotaExceeded { .. } => "quota_exceeded",
            Refusal::OutOfRange { .. } => "out_of_range",
            Refusal::Releasing { .. } => "releasing",
            Refusal::NotReleasing { .. } => "not_releasing",
            Refusal::PlanRunning { .. } => "plan_running",
            Refusal::StepDoesNotFit { .. } => "step_does_not_fit",
            Refusal::MoveUnderWay { .. } => "move_under_way",
            Refusal::NotMoving { .. } => "not_moving",
            Refusal::CopyNotRunning { .. } => "copy_not_running",
            Refusal::RequestIdReused => "request_id_reused",
            Refusal::Outdated => "outdated",
            Refusal::Founded => "founded",
        }
    }

    /// Whether [`Refusal::with`] can add what would do instead.
    #[must_use]
    pub fn asks_for_room(&self) -> bool {
        matches!(self, Refusal::NoRoom { .. } | Refusal::QuotaExceeded { .. })
    }

    /// The refusal with what is in the way and what would do instead, as these facts tell; without if by them nothing
    /// is in the way any more.
    #[must_use]
    pub fn with(mut self, facts: Facts) -> Self {
        if let Refusal::NoRoom { why, .. } | Refusal::QuotaExceeded { why, .. } = &mut self {
            *why = (!facts.fits()).then(|| Box::new(facts.explain()));
        }
        self
    }

    /// What would do instead, for refusals that know.
    #[must_use]
    pub fn why(&self) -> Option<&WhyNot> {
        match self {
            Refusal::NoRoom { why, .. } | Refusal::QuotaExceeded { why, .. } => why.as_deref(),
            _ => None,
        }
    }
}
