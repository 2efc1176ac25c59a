//! Plain validated records: names and sizes that cannot hold a bad value, and what a fleet keeps.

mod counted;
mod id;
mod id_map;
mod name;
mod plan;
mod policy;
mod record;
mod size;
mod time;

pub use counted::Counted;
pub use id::{CacheId, ClusterId, CommitId, HostId, InstanceId, ObserverId, PlanId, Revision, TeamId};
pub(crate) use id_map::IdMap;
pub use name::{CacheName, ClusterName, HostName, InvalidName, Principal, Rack, Reason, RequestId, TeamName};
pub use plan::{Plan, PlanGoal, PlanStatus, PlanStep};
pub use policy::{FillOrder, Overhead, Policy, PortRange};
pub(crate) use record::FIRST_EPOCH;
pub use record::{
    Cache, Cluster, FleetRecord, Host, HostStatus, Instance, InstanceState, Key, Phase, Quota, Record,
    Request, RetiredPort, Team,
};
pub use size::{InvalidSize, Mib, Port};
pub use time::Timestamp;
