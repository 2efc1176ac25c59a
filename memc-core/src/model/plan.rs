//! Moves that were decided to be made, one after another.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{ClusterId, HostId, InstanceId, Mib, PlanId, Port, Revision};

/// Moves of one cluster's instances, in an order in which every prefix fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its number.
    pub id: PlanId,
    /// Where.
    pub cluster: ClusterId,
    /// What it is for.
    pub goal: PlanGoal,
    /// The hosts that it empties. They were closed to new instances in the commit that started it.
    pub empties: BTreeSet<HostId>,
    /// The moves, in their order.
    pub steps: Vec<PlanStep>,
    /// How many of them were begun.
    pub begun: u32,
    /// How far it has come.
    pub status: PlanStatus,
    /// Why it was stopped, if it was.
    pub stopped_because: Option<String>,
    /// The last commit that changed this record.
    pub revision: Revision,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanGoal {
    /// Empty a host, to take it out of service.
    Drain,
    /// Make room for a request that does not fit.
    MakeRoom,
    /// Empty hosts that are hardly used.
    Rebalance,
}

/// How far a plan has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanStatus {
    /// Steps are left.
    Running,
    /// Every step was begun, and none of the instances it moved is at its old place any more.
    Done,
    /// It was given up: something was not as a step expects, or somebody said so.
    Stopped,
}

/// One move, and what it expects to find. Where that is not so, the plan stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanStep {
    /// What moves.
    pub instance: InstanceId,
    /// The host it is expected on.
    pub from: HostId,
    /// The port it is expected to have there.
    pub port: Port,
    /// The memory it is expected to have, MiB.
    pub memory: Mib,
    /// Where it goes.
    pub to: HostId,
}
