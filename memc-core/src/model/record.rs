//! What a fleet keeps: one struct a kind, whole as it is after a commit.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{
    CacheId, CacheName, ClusterId, ClusterName, HostId, HostName, InstanceId, Mib, ObserverId, Plan, PlanId,
    Policy, Port, PortRange, Principal, Rack, RequestId, Revision, TeamId, TeamName, Timestamp,
};
use crate::ledger::Receipt;

/// The fleet itself; there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetRecord {
    /// Tells this fleet from any other, for ever.
    pub id: uuid::Uuid,
    /// Grows when the ledger was set back to an older backup: hosts refuse documents of an older epoch.
    pub epoch: u32,
    /// The highest number given to a cluster, host, team, cache or instance.
    pub last_id: u64,
}

/// A named set of hosts that users choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its number.
    pub id: ClusterId,
    /// Its name, unique in the fleet.
    pub name: ClusterName,
    /// The ports its instances may get.
    pub ports: PortRange,
    /// Its rules.
    pub policy: Policy,
    /// The last commit that changed this record.
    pub revision: Revision,
}

/// A machine that runs instances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its number.
    pub id: HostId,
    /// Its name, which is its Salt minion id; unique in the fleet, also when case is ignored.
    pub name: HostName,
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Where its instances listen.
    pub address: IpAddr,
    /// Memory for instances, MiB: at most 16 TiB.
    pub memory: Mib,
    /// What it fails together with.
    pub rack: Option<Rack>,
    /// Whether it takes new instances.
    pub status: HostStatus,
    /// Ports that are never given out on it.
    pub blocked_ports: BTreeSet<Port>,
    /// Ports that something was found listening on after a restore, though the ledger has no instance there: never
    /// given out, until an operator takes them off the list.
    #[serde(default)]
    pub found_ports: BTreeSet<Port>,
    /// The epoch in which its ports were looked at; 1 without a look, since nothing precedes the first epoch. In a later
    /// epoch of the fleet it takes nothing new until it was looked at again.
    #[serde(default = "first_epoch")]
    pub observed_epoch: u32,
    /// The newest pillar document that was served for it while something on it waited to be stopped: evidence that
    /// the host could know. The zeroth revision: none yet.
    pub served: Revision,
    /// When that was.
    pub served_at: Option<Timestamp>,
    /// The last commit that changed this record, `served` and `served_at` apart.
    pub revision: Revision,
}

impl Host {
    /// Whether a port is never given out on it.
    #[must_use]
    pub fn blocks(&self, port: Port) -> bool {
        self.blocked_ports.contains(&port) || self.found_ports.contains(&port)
    }
}

/// What hosts have that were never looked at.
pub(crate) const FIRST_EPOCH: u32 = 1;

fn first_epoch() -> u32 {
    FIRST_EPOCH
}

/// Whether a host takes new instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostStatus {
    /// It does.
    Active,
    /// It does not; the ones there stay and may grow.
    Cordoned,
    /// It does not, and is being emptied; the ones there do not grow.
    Draining,
    /// An operator said that it is gone: nothing is on it, and its ports stay blocked until it is back.
    Lost,
    /// It is no host of the fleet any more; only its ports that must not be issued yet are remembered, in case a host of
    /// this name or address is added again.
    Removed,
}

/// The owner of caches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Team {
    /// Its number.
    pub id: TeamId,
    /// Its name, unique in the fleet.
    pub name: TeamName,
    /// The last commit that changed this record.
    pub revision: Revision,
}

/// How much memory a team may ask for in a cluster. Without one it may ask for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Where.
    pub cluster: ClusterId,
    /// Whose.
    pub team: TeamId,
    /// The sum of memory × instances, MiB.
    pub memory: Mib,
    /// The last commit that changed this record.
    pub revision: Revision,
}

/// What a user asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Its number.
    pub id: CacheId,
    /// Its owner.
    pub team: TeamId,
    /// Its name, unique in its team.
    pub name: CacheName,
    /// Where it runs.
    pub cluster: ClusterId,
    /// Memory of each instance, MiB.
    pub memory: Mib,
    /// How many instances it should have. It has fewer after a host was lost, until they are replaced.
    pub instances: u16,
    /// How many of its instances may share a rack, from 1; `None` for any number.
    #[serde(default)]
    pub max_per_rack: Option<u16>,
    /// Whether it is being given back.
    pub releasing: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Principal,
    /// The last commit that changed this record.
    pub revision: Revision,
}

/// One memcached process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its number.
    pub id: InstanceId,
    /// The cache it is part of.
    pub cache: CacheId,
    /// Its place in the cache, from 0. Stable: a replacement keeps it.
    pub index: u16,
    /// Where it runs.
    pub host: HostId,
    /// The port it has there.
    pub port: Port,
    /// What memcached is told (`-m`), MiB.
    pub memory: Mib,
    /// What the host holds for it, MiB.
    pub booked: Mib,
    /// What is being done with it.
    pub phase: Phase,
    /// The copy that takes its place, while it is being moved. It goes on running until the copy does, and counts
    /// against no quota any more.
    #[serde(default)]
    pub moved_to: Option<InstanceId>,
    /// The size it was last seen running with.
    pub observed: Option<Mib>,
    /// The observer that saw it first: one whose later "connection refused" means something.
    pub seen_by: Option<ObserverId>,
    /// The last commit that changed this record. A confirmation that names another is void.
    pub revision: Revision,
}

impl Instance {
    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> InstanceState {
        match self.phase {
            Phase::Releasing => InstanceState::Releasing,
            Phase::Shrinking => InstanceState::Shrinking,
            Phase::Kept if self.observed == Some(self.memory) => InstanceState::Running,
            Phase::Kept => InstanceState::Pending,
        }
    }
}

/// What is being done with an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It should run with its memory.
    Kept,
    /// It should run with less memory than is still booked for it.
    Shrinking,
    /// It should stop; memory and port stay booked until it was seen to.
    Releasing,
}

/// How far an instance has come: its phase and what was observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceState {
    /// Not yet seen on its port with its size.
    Pending,
    /// Seen on its port with its size.
    Running,
    /// Made smaller; not yet seen to have given the memory back.
    Shrinking,
    /// Given back; not yet seen to have stopped.
    Releasing,
}

/// A port whose last instance is gone. It is the tombstone in the host's pillar until the port is issued again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredPort {
    /// On which host.
    pub host: HostId,
    /// Which port.
    pub port: Port,
    /// The instance that had it.
    pub instance: InstanceId,
    /// From when it may be issued again; [`Timestamp::NEVER`] while the host is lost.
    pub reusable_at: Timestamp,
    /// The last commit that changed this record.
    pub revision: Revision,
}

/// A request that was carried out, so that a retry gets the same receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Whose request ids these are.
    pub principal: Principal,
    /// The id.
    pub id: RequestId,
    /// SHA-256 of the command it came with, in hexadecimal.
    pub digest: String,
    /// What was answered.
    pub receipt: Receipt,
}

/// Any record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)] // each variant holds the record of its name
pub enum Record {
    Fleet(FleetRecord),
    Cluster(Cluster),
    Host(Host),
    Team(Team),
    Quota(Quota),
    Cache(Cache),
    Instance(Instance),
    RetiredPort(RetiredPort),
    Plan(Plan),
    Request(Request),
}

/// What names a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[allow(missing_docs)] // each variant names the record of the same name by its key
pub enum Key {
    Fleet,
    Cluster { id: ClusterId },
    Host { id: HostId },
    Team { id: TeamId },
    Quota { cluster: ClusterId, team: TeamId },
    Cache { id: CacheId },
    Instance { id: InstanceId },
    RetiredPort { host: HostId, port: Port },
    Plan { id: PlanId },
    Request { principal: Principal, id: RequestId },
}

impl Record {
    /// What names it.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Record::Fleet(_) => Key::Fleet,
            Record::Cluster(it) => Key::Cluster { id: it.id },
            Record::Host(it) => Key::Host { id: it.id },
            Record::Team(it) => Key::Team { id: it.id },
            Record::Quota(it) => Key::Quota { cluster: it.cluster, team: it.team },
            Record::Cache(it) => Key::Cache { id: it.id },
            Record::Instance(it) => Key::Instance { id: it.id },
            Record::RetiredPort(it) => Key::RetiredPort { host: it.host, port: it.port },
            Record::Plan(it) => Key::Plan { id: it.id },
            Record::Request(it) => Key::Request { principal: it.principal.clone(), id: it.id.clone() },
        }
    }
}
