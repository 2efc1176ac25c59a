//! A cluster copied out of the state, for planning outside any turn.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{HostView, PortUse, State};
use crate::model::{CacheId, ClusterId, HostStatus, InstanceId, Mib, Phase, Policy, Timestamp};
use crate::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};

/// A host and what is on it, copied by itself: [`assemble`] makes a [`Layout`] of all of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ledger) struct Inventory {
    host: LayoutHost,
    instances: Vec<Item>,
}

impl Inventory {
    /// How many records it is made of.
    pub(in crate::ledger) fn records(&self) -> usize {
        1 + self.instances.len()
    }
}

/// An instance of an [`Inventory`] and what matters of its cache.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    id: InstanceId,
    cache: CacheId,
    max_per_rack: Option<u16>,
    memory: Mib,
    booked: Mib,
    moved_to: Option<InstanceId>,
    /// Is being given back.
    leaves: bool,
}

impl State {
    /// A cluster as planning sees it at `now`. O(n log n) in its hosts and instances; nothing else of the fleet is
    /// looked at.
    #[must_use]
    pub fn layout(&self, cluster: ClusterId, now: Timestamp) -> Layout {
        let Some(policy) = self.cluster(cluster).map(|cluster| &cluster.policy) else {
            return Layout::default();
        };
        assemble(policy, self.hosts_of(cluster).filter_map(|view| self.inventory(view, now)))
    }

    /// A host for a layout; `None` for one that is lost or only remembered. O(its ports).
    pub(in crate::ledger) fn inventory(&self, view: &HostView, now: Timestamp) -> Option<Inventory> {
        if matches!(view.host.status, HostStatus::Lost | HostStatus::Removed) {
            return None;
        }
        let host = LayoutHost {
            id: view.host.id,
            rack: view.host.rack.clone(),
            memory: view.host.memory,
            limit: Mib::ZERO,
            booked: view.booked,
            ports: u32::try_from(view.free_ports(now)).unwrap_or(u32::MAX),
            open: view.host.status == HostStatus::Active && !self.waits(&view.host),
        };
        let mut instances = Vec::with_capacity(view.instances as usize);
        instances.extend(view.ports.iter().filter_map(|usage| {
            let PortUse::Instance(_, id) = usage else {
                return None;
            };
            let it = self.instance(*id)?;
            let cache = self.cache(it.cache)?;
            Some(Item {
                id: it.id,
                cache: it.cache,
                max_per_rack: cache.max_per_rack,
                memory: it.memory,
                booked: it.booked,
                moved_to: it.moved_to,
                leaves: cache.releasing || it.phase == Phase::Releasing,
            })
        }));
        Some(Inventory { host, instances })
    }
}

/// A layout of the hosts of a cluster that has this policy. O(n log n).
pub(in crate::ledger) fn assemble(policy: &Policy, hosts: impl Iterator<Item = Inventory>) -> Layout {
    let mut all: Vec<Inventory> = hosts.collect();
    all.sort_unstable_by_key(|it| it.host.id);
    let items = || {
        let hosts = all.iter().zip(0u32..);
        hosts.flat_map(|(it, host)| it.instances.iter().map(move |item| (host, item)))
    };
    let copies: HashSet<InstanceId> = items().filter_map(|(_, item)| item.moved_to).collect();
    let caches: BTreeMap<CacheId, Option<u16>> =
        items().map(|(_, item)| (item.cache, item.max_per_rack)).collect();
    let positions: HashMap<CacheId, u32> = caches.keys().copied().zip(0..).collect();
    let mut instances: Vec<LayoutInstance> = items()
        .map(|(host, item)| LayoutInstance {
            id: item.id,
            cache: positions[&item.cache],
            host,
            memory: item.memory,
            booked: item.booked,
            rebooked: policy.overhead.booking(item.memory),
            movable: !item.leaves && item.moved_to.is_none() && !copies.contains(&item.id),
        })
        .collect();
    instances.sort_unstable_by_key(|it| it.id);
    let caches = caches.into_iter().map(|(id, max_per_rack)| LayoutCache { id, max_per_rack }).collect();
    let hosts = all
        .into_iter()
        .map(|it| LayoutHost { limit: policy.open_to_new(it.host.memory), ..it.host })
        .collect();
    Layout { hosts, caches, instances }
}
