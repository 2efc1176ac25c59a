//! What can be asked of a fleet.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{
    CacheName, ClusterName, HostId, HostName, InstanceId, Mib, ObserverId, PlanGoal, PlanId, PlanStep,
    Policy, Port, PortRange, Principal, Rack, Reason, RequestId, Revision, TeamName,
};

/// A command with who gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who acts. Whether they may is for the caller to know: the core has no roles.
    pub actor: Principal,
    /// The caller's id of this request. The same one from the same principal gets the same receipt for 7 days; with
    /// another command it is refused.
    pub request: Option<RequestId>,
    /// What to do.
    pub command: Command,
}

/// What can be asked of a fleet. Each is one atomic step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Command {
    /// Give an empty ledger its fleet record. [`Fleet::open`](crate::Fleet::open) does it.
    Found {
        /// The fleet's id.
        id: uuid::Uuid,
    },
    /// Start a new epoch, after the ledger was set back to an older backup: hosts follow its documents again though they
    /// had newer ones, numbers given out since the backup are not given out again, and no host takes anything new until
    /// it was looked at ([`NoteObserved`](Command::NoteObserved)).
    ///
    /// Its number is the time in seconds since 1970, and more than the one before. So the same backup may be put back again,
    /// unless the store's clock is earlier than it was the last time, or the same second.
    StartEpoch {
        /// Which backup, and why.
        reason: Reason,
    },
    /// Create a cluster.
    CreateCluster {
        /// Unique in the fleet.
        name: ClusterName,
        /// Ports and rules.
        spec: ClusterSpec,
    },
    /// Change a cluster's ports and rules. What is booked already stays booked as it is.
    ChangeCluster {
        /// Which.
        name: ClusterName,
        /// What is to be different.
        patch: ClusterPatch,
    },
    /// Remove a cluster that has no hosts and no caches; its quotas go with it.
    RemoveCluster {
        /// Which.
        name: ClusterName,
    },
    /// Add a host.
    AddHost {
        /// Its Salt minion id.
        name: HostName,
        /// What it is.
        spec: HostSpec,
    },
    /// Change a host. Name, cluster and address only while nothing is on it.
    ChangeHost {
        /// Which.
        name: HostName,
        /// What is to be different.
        patch: HostPatch,
    },
    /// Give a host no new instances.
    CordonHost {
        /// Which.
        name: HostName,
    },
    /// Give a cordoned host new instances again, or take a lost one back.
    UncordonHost {
        /// Which.
        name: HostName,
    },
    /// Remove a host that has no instances. Its ports that must not be issued yet are remembered, in case a host of its
    /// name or address is added again.
    RemoveHost {
        /// Which.
        name: HostName,
    },
    /// State that a host is gone. Its instances are no more; their ports stay blocked until it is back.
    LoseHost {
        /// Which.
        name: HostName,
        /// Why that is known.
        reason: Reason,
    },
    /// Create a team.
    CreateTeam {
        /// Unique in the fleet.
        name: TeamName,
    },
    /// Remove a team that has no caches; its quotas go with it.
    RemoveTeam {
        /// Which.
        name: TeamName,
    },
    /// Set how much memory a team may ask for in a cluster. Below its use is allowed: it stops growth.
    SetQuota {
        /// Where.
        cluster: ClusterName,
        /// Whose.
        team: TeamName,
        /// Memory × instances, MiB.
        memory: Mib,
    },
    /// Ask for a cache.
    Allocate {
        /// Whose.
        team: TeamName,
        /// Unique in the team until its last instance is confirmed to have stopped.
        name: CacheName,
        /// Where.
        cluster: ClusterName,
        /// Memory of each instance, MiB; at least 8.
        memory: Mib,
        /// Instances, each on a host of its own; at least 1.
        instances: u16,
        /// How many of them may share a rack, from 1; `None` for any number. They are spread over as many racks as
        /// possible in any case.
        #[serde(skip_serializing_if = "Option::is_none")]
        max_per_rack: Option<u16>,
    },
    /// Give each instance of a cache another size, all or none.
    Resize {
        /// Whose.
        team: TeamName,
        /// Which.
        name: CacheName,
        /// Memory of each instance, MiB; at least 8.
        memory: Mib,
    },
    /// Give a cache back.
    Release {
        /// Whose.
        team: TeamName,
        /// Which.
        name: CacheName,
    },
    /// Place the instances that a cache is missing since a host was lost.
    Replace {
        /// Whose.
        team: TeamName,
        /// Which.
        name: CacheName,
    },
    /// Start moving instances of a cluster, one after another. The hosts that this empties take no new instances from
    /// this commit on. [`placement::plan`](crate::placement::plan) finds steps.
    StartPlan {
        /// Where. One plan at a time runs in a cluster.
        cluster: ClusterName,
        /// What it is for.
        goal: PlanGoal,
        /// The hosts that are to be empty afterwards.
        empties: BTreeSet<HostId>,
        /// The moves, each of which fits once those before it are over; at most 4,096, each instance once.
        steps: Vec<PlanStep>,
    },
    /// Begin the next step of a plan: start the copy. If anything is not as the step expects, the plan stops instead:
    /// whoever carries it out plans again from what is there by then.
    BeginStep {
        /// Which.
        plan: PlanId,
        /// The step's place in the plan, from 0.
        step: u32,
    },
    /// Give back an instance whose copy has been seen to run.
    FinishMove {
        /// The one that was moved away from.
        instance: InstanceId,
    },
    /// Give a plan up. A move that was begun stays, and can be finished.
    StopPlan {
        /// Which.
        plan: PlanId,
        /// Why.
        reason: Reason,
    },
    /// Confirm what was observed of an instance. Nothing happens if it has changed since.
    Confirm {
        /// Which.
        instance: InstanceId,
        /// The revision of the record that was compared with what was seen.
        revision: Revision,
        /// What was seen.
        seen: Seen,
    },
    /// An operator's word that a released instance has stopped, where evidence cannot be had.
    StateStopped {
        /// Whose.
        team: TeamName,
        /// Which.
        name: CacheName,
        /// Which instance of it.
        index: u16,
        /// Why that is known.
        reason: Reason,
    },
    /// Note what listens on a host, after a restore: it may take new instances again, but not on ports that something the
    /// ledger does not know was found on.
    NoteObserved {
        /// Where.
        host: HostName,
        /// The revision of the host's record while it was looked at. Nothing happens if it has changed since.
        revision: Revision,
        /// The fleet's epoch while it was looked at. Nothing happens in another.
        epoch: u32,
        /// The ports that were looked at. Nothing happens if the cluster has others by now.
        ports: PortRange,
        /// Those of them that accepted a connection; all others refused one.
        in_use: BTreeSet<Port>,
    },
    /// An operator's word that a host may take new instances after a restore, where it cannot be looked at.
    StateObserved {
        /// Which.
        host: HostName,
        /// Why nothing unknown runs there, or why that does not matter.
        reason: Reason,
    },
    /// Note that a host's pillar document of this revision was handed out.
    NoteServed {
        /// Whose document.
        host: HostName,
        /// The document's revision.
        document: Revision,
    },
}

impl Command {
    /// SHA-256 of the command, in hexadecimal: tells a retry from another request under the same id.
    #[must_use]
    pub fn digest(&self) -> String {
        // Serialising to memory cannot fail: every key is a string.
        let text = serde_json::to_vec(self).unwrap_or_default();
        Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A cluster's ports and rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterSpec {
    /// The ports its instances may get.
    pub ports: PortRange,
    /// Its rules.
    pub policy: Policy,
}

/// What is to be different about a cluster; what it does not name stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClusterPatch {
    /// Another first port.
    pub first_port: Option<Port>,
    /// Another last port.
    pub last_port: Option<Port>,
    /// Fields of [`Policy`], in its JSON form, that are to have other values; of its `overhead` as well.
    pub policy: serde_json::Map<String, serde_json::Value>,
}

impl From<ClusterSpec> for ClusterPatch {
    /// The patch that makes any cluster this.
    fn from(spec: ClusterSpec) -> Self {
        let policy = match serde_json::to_value(spec.policy) {
            Ok(serde_json::Value::Object(fields)) => fields,
            // A policy is an object of numbers.
            _ => serde_json::Map::new(),
        };
        ClusterPatch { first_port: Some(spec.ports.first), last_port: Some(spec.ports.last), policy }
    }
}

/// What a new host is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostSpec {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Where its instances listen: one address, neither unspecified nor multicast.
    pub address: IpAddr,
    /// Memory for instances, MiB: at most 16 TiB.
    pub memory: Mib,
    /// What it fails together with.
    pub rack: Option<Rack>,
    /// Ports never to be given out on it.
    pub blocked_ports: BTreeSet<Port>,
}

/// What is to be different about a host; `None` leaves a field as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HostPatch {
    /// Another name; only while nothing is on it.
    pub name: Option<HostName>,
    /// Another cluster; only while nothing is on it.
    pub cluster: Option<ClusterName>,
    /// Another address; only while nothing is on it.
    pub address: Option<IpAddr>,
    /// Another amount of memory, MiB. Below what is booked is allowed: it stops growth.
    pub memory: Option<Mib>,
    /// Another rack, or none.
    pub rack: Option<Option<Rack>>,
    /// Other ports never to be given out; instances on one of them stay.
    pub blocked_ports: Option<BTreeSet<Port>>,
    /// Those of the ports found in use that are still not to be given out. One that was not found is out of range.
    pub found_ports: Option<BTreeSet<Port>>,
}

/// What an observer saw of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen {
    /// Its port answers as memcached.
    Running {
        /// The limit it runs with, MiB.
        memory: Mib,
        /// Whether it holds no more than that limit (`total_malloced`).
        within: bool,
        /// Who saw it.
        observer: ObserverId,
    },
    /// Its port, which had answered this observer before, refused it several times in a row.
    Stopped,
}
