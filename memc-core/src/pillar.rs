//! The pillar: what a Salt master is told about one minion.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use crate::ledger::{PortUse, State};
use crate::model::{HostName, InstanceId, Mib, Phase, Port, Revision};

/// The pillar document of one host.
///
/// ```json
/// {"memc_items": {"11211": 22, "11212": 33},
///  "memc_absent": [11210],
///  "memc_config": {"listen": "10.0.0.11", "max_connections": 30240},
///  "memc_meta": {"fleet": "0192…", "epoch": 1, "minion": "m1.example.com", "revision": 841, "count": 2,
///                "ids": {"11211": 8123, "11212": 8124}, "absent_ids": {"11210": 8100},
///                "complete": true, "stale": false}}
/// ```
///
/// Only integers, addresses and validated names: no free text ever reaches a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Document {
    /// What should run: port → MiB, as `-p` and `-m` of memcached.
    #[serde(rename = "memc_items")]
    pub items: BTreeMap<Port, Mib>,
    /// Tombstones: ports whose instance should be stopped. A port that is in neither list is nobody's business.
    #[serde(rename = "memc_absent")]
    pub absent: Vec<Port>,
    /// How everything on the host is run.
    #[serde(rename = "memc_config")]
    pub config: Config,
    /// What the document may be trusted for.
    #[serde(rename = "memc_meta")]
    pub meta: Meta,
}

/// How everything on a host is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Config {
    /// memcached's `-l`, beside loopback.
    pub listen: IpAddr,
    /// memcached's `-c`.
    pub max_connections: u32,
}

/// What a document may be trusted for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Meta {
    /// The fleet's id: a host follows one fleet.
    pub fleet: uuid::Uuid,
    /// The fleet's epoch: a host refuses documents of an older one.
    pub epoch: u32,
    /// The host this is for.
    pub minion: HostName,
    /// The last commit that touched this document: a host refuses older ones.
    pub revision: Revision,
    /// How many items there are, so that a truncated map is found out.
    pub count: usize,
    /// Port → the instance that should run there: tells a reissued port from the old one.
    pub ids: BTreeMap<Port, InstanceId>,
    /// Port → the instance that should be stopped there.
    pub absent_ids: BTreeMap<Port, InstanceId>,
    /// Always true: a document that was cut short does not say so.
    pub complete: bool,
    /// Whether the store could not be asked for anything newer. Nothing is changed on a stale document.
    pub stale: bool,
}

/// The document of a host; `None` if the fleet has no host of exactly this name.
#[must_use]
pub fn document(state: &State, minion: &HostName, stale: bool) -> Option<Document> {
    let view = state.host_named(minion)?;
    let fleet = state.fleet()?;
    let cluster = state.cluster(view.host.cluster)?;
    let (mut items, mut ids, mut absent_ids) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for usage in &view.ports {
        match usage {
            PortUse::Retired(retired) => {
                absent_ids.insert(retired.port, retired.instance);
            }
            PortUse::Instance(port, id) => {
                let instance = state.instance(*id)?;
                if instance.phase == Phase::Releasing {
                    absent_ids.insert(*port, *id);
                } else {
                    items.insert(*port, instance.memory);
                    ids.insert(*port, *id);
                }
            }
        }
    }
    Some(Document {
        absent: absent_ids.keys().copied().collect(),
        config: Config { listen: view.host.address, max_connections: cluster.policy.max_connections },
        meta: Meta {
            fleet: fleet.id,
            epoch: fleet.epoch,
            minion: view.host.name.clone(),
            revision: state.document_revision(view),
            count: items.len(),
            ids,
            absent_ids,
            complete: true,
            stale,
        },
        items,
    })
}
