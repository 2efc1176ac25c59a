//! The fleet at one revision, with the indexes that decisions need.

mod fold;
mod layout;
mod ports;
mod read;
mod recent;
mod shared;
mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

pub(in crate::ledger) use self::layout::{Inventory, assemble};
use self::ports::OpenPorts;
pub use self::ports::Ports;
use self::recent::Recent;
pub(in crate::ledger) use self::recent::{Mark, Touched};
use self::shared::Shared;
use self::table::{Row, Table};
use super::Head;
use crate::model::{
    Cache, CacheId, CacheName, Cluster, ClusterId, ClusterName, FleetRecord, Host, HostId, HostName, IdMap,
    Instance, InstanceId, Mib, Plan, PlanId, Port, Principal, Quota, Rack, Request, RequestId, RetiredPort,
    Team, TeamId, TeamName, Timestamp,
};
use crate::placement::Index;

/// A change that cannot be: the ledger and this state do not belong together, or a store has lost something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ledger contradicts itself: {0}")]
pub struct Inconsistent(pub String);

/// A port of a host and what it is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortUse {
    /// An instance has it.
    Instance(Port, InstanceId),
    /// Its last instance is gone.
    Retired(Box<RetiredPort>),
}

impl PortUse {
    /// Which port.
    #[must_use]
    pub fn port(&self) -> Port {
        match self {
            PortUse::Instance(port, _) => *port,
            PortUse::Retired(retired) => retired.port,
        }
    }
}

/// A host and what is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    /// The host.
    pub host: Host,
    /// Its ports that are or were in use, lowest first.
    pub ports: Ports,
    /// The sum of its instances' bookings, MiB.
    pub booked: Mib,
    /// How many instances it has.
    pub instances: u32,
    open: OpenPorts,
}

impl HostView {
    /// Memory beyond all bookings, MiB, headroom included.
    #[must_use]
    pub fn free(&self) -> Mib {
        self.host.memory.minus(self.booked)
    }
}

/// What a cluster's hosts have and hold together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Totals {
    /// Of hosts that are neither lost nor removed.
    memory: Mib,
    /// How many of these hosts there are of each size.
    sizes: BTreeMap<Mib, u32>,
    booked: Mib,
    caches: usize,
    /// How many of these hosts wait to be looked at.
    unobserved: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct CacheEntry {
    cache: Cache,
    /// By index, then number. Two of one index while it is being moved.
    instances: Vec<InstanceId>,
}

impl Row for HostView {
    type Id = HostId;
    fn id(&self) -> HostId {
        self.host.id
    }
    fn number(id: HostId) -> u64 {
        id.get()
    }
}

impl Row for CacheEntry {
    type Id = CacheId;
    fn id(&self) -> CacheId {
        self.cache.id
    }
    fn number(id: CacheId) -> u64 {
        id.get()
    }
}

impl Row for Instance {
    type Id = InstanceId;
    fn id(&self) -> InstanceId {
        self.id
    }
    fn number(id: InstanceId) -> u64 {
        id.get()
    }
}

/// The fleet at one revision: the fold of its commits. Only [`State::apply`] changes it, and the indexes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    head: Head,
    fleet: Option<FleetRecord>,
    clusters: BTreeMap<ClusterId, Cluster>,
    cluster_names: BTreeMap<ClusterName, ClusterId>,
    hosts: Table<HostView>,
    /// By name without case, since names that differ only there are refused.
    host_names: BTreeMap<HostName, HostId>,
    cluster_hosts: BTreeSet<(ClusterId, HostId)>,
    host_addresses: HashMap<IpAddr, HostId>,
    /// Hosts of status `Removed`, which are in none of the three above.
    removed_hosts: BTreeSet<(ClusterId, HostId)>,
    teams: BTreeMap<TeamId, Team>,
    team_names: BTreeMap<TeamName, TeamId>,
    quotas: BTreeMap<(ClusterId, TeamId), Quota>,
    used: IdMap<(ClusterId, TeamId), Mib>,
    totals: IdMap<ClusterId, Totals>,
    caches: Table<CacheEntry>,
    cache_names: BTreeMap<TeamId, BTreeMap<CacheName, CacheId>>,
    instances: Table<Instance>,
    plans: BTreeMap<PlanId, Plan>,
    requests: HashMap<(Principal, RequestId), Request>,
    requests_by_age: BTreeSet<(Timestamp, Principal, RequestId)>,
    index: Index,
    /// A whole ledger is being taken in: `index` is made when that is done.
    loading: bool,
    racks: Shared<Rack>,
    people: Shared<Principal>,
    recent: Recent,
}

impl Default for State {
    fn default() -> Self {
        State {
            head: Head::EMPTY,
            fleet: None,
            clusters: BTreeMap::new(),
            cluster_names: BTreeMap::new(),
            hosts: Table::default(),
            host_names: BTreeMap::new(),
            cluster_hosts: BTreeSet::new(),
            host_addresses: HashMap::new(),
            removed_hosts: BTreeSet::new(),
            teams: BTreeMap::new(),
            team_names: BTreeMap::new(),
            quotas: BTreeMap::new(),
            used: IdMap::default(),
            totals: IdMap::default(),
            caches: Table::default(),
            cache_names: BTreeMap::new(),
            instances: Table::default(),
            plans: BTreeMap::new(),
            requests: HashMap::new(),
            requests_by_age: BTreeSet::new(),
            index: Index::default(),
            loading: false,
            racks: Shared::default(),
            people: Shared::default(),
            recent: Recent::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem::size_of;

    use super::*;

    /// Of these there are millions.
    #[test]
    fn rows_are_small() {
        assert_eq!(size_of::<Instance>(), 80);
        assert_eq!(size_of::<PortUse>(), 16);
        assert_eq!((size_of::<CacheEntry>(), size_of::<HostView>()), (112, 232));
    }
}
