//! A cluster copied out of the state, for planning outside any turn.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{PortUse, State};
use crate::model::{CacheId, ClusterId, HostId, HostStatus, Instance, InstanceId, Phase, Timestamp};
use crate::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};

impl State {
    /// A cluster as planning sees it at `now`. O(n log n) in its hosts and instances; nothing else of the fleet is
    /// looked at.
    #[must_use]
    pub fn layout(&self, cluster: ClusterId, now: Timestamp) -> Layout {
        let Some(policy) = self.cluster(cluster).map(|cluster| &cluster.policy) else {
            return Layout::default();
        };
        let mut positions: HashMap<HostId, u32> = HashMap::new();
        let mut hosts = Vec::new();
        let present = |view: &&super::HostView| view.host.status != HostStatus::Lost;
        for view in self.hosts_of(cluster).filter(present) {
            positions.insert(view.host.id, hosts.len() as u32);
            hosts.push(LayoutHost {
                id: view.host.id,
                rack: view.host.rack.clone(),
                memory: view.host.memory,
                limit: policy.open_to_new(view.host.memory),
                booked: view.booked,
                ports: u32::try_from(view.free_ports(now)).unwrap_or(u32::MAX),
                open: view.host.status == HostStatus::Active && !self.waits(&view.host),
            });
        }
        let uses = self.hosts_of(cluster).flat_map(|view| view.ports.values());
        let ids: BTreeSet<CacheId> = uses
            .filter_map(|usage| match usage {
                PortUse::Instance(id) => self.instance(*id).map(|it| it.cache),
                PortUse::Retired(_) => None,
            })
            .collect();
        let (mut caches, mut instances) = (Vec::new(), Vec::new());
        for id in ids {
            let there: Vec<&Instance> = self.instances_of(id).collect();
            let Some(cache) = self.cache(id).filter(|_| !there.is_empty()) else {
                continue;
            };
            let copies: HashSet<InstanceId> = there.iter().filter_map(|it| it.moved_to).collect();
            let position = caches.len() as u32;
            caches.push(LayoutCache { id, max_per_rack: cache.max_per_rack });
            instances.extend(there.into_iter().filter_map(|it| {
                let stays = cache.releasing || it.phase == Phase::Releasing;
                Some(LayoutInstance {
                    id: it.id,
                    cache: position,
                    host: *positions.get(&it.host)?,
                    memory: it.memory,
                    booked: it.booked,
                    rebooked: policy.overhead.booking(it.memory),
                    movable: !stays && it.moved_to.is_none() && !copies.contains(&it.id),
                })
            }));
        }
        instances.sort_unstable_by_key(|it| it.id);
        Layout { hosts, caches, instances }
    }
}
