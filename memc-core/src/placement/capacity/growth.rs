//! What if every cache grows in place by the same share?

use std::fmt;

use super::super::Layout;
use crate::model::{CacheId, Counted, HostId, Mib};

/// What growth comes to. Growing uses all of a host's memory, the share kept for it included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// By how much, %.
    pub percent: u32,
    /// Hosts in the layout.
    pub hosts: usize,
    /// What all instances book now, MiB.
    pub booked: Mib,
    /// What they would book, MiB.
    pub grown: Mib,
    /// Hosts whose instances would book more than their memory, in the layout's order, with what is missing, MiB.
    pub short: Vec<(HostId, Mib)>,
    /// What is missing on those together, MiB: this much has to move or cannot grow.
    pub missing: Mib,
    /// Caches with an instance on one of those, in the layout's order.
    pub caches: Vec<CacheId>,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "If every cache grows by {} %, {} become {}. ", self.percent, self.booked, self.grown)?;
        match self.short.iter().max_by_key(|(host, missing)| (*missing, std::cmp::Reverse(*host))) {
            None => write!(f, "The memory for it is there, on {}.", Counted(self.hosts, "host")),
            Some((host, missing)) => write!(
                f,
                "The memory for it is not there on {} of {}: {} are missing, for {}. The worst is host {host}, where \
                 {missing} are missing.",
                self.short.len(),
                Counted(self.hosts, "host"),
                self.missing,
                Counted(self.caches.len(), "cache")
            ),
        }
    }
}

/// What happens if every instance grows by `percent` % of its memory (rounded up) where it is. `booking` is what a
/// host books for an instance of some memory, as [`Overhead::booking`](crate::model::Overhead::booking) does; no
/// instance books less than now. Instances that are being stopped count as if they stayed. O(n + k) for k instances
/// on n hosts.
#[must_use]
pub fn grow(layout: &Layout, percent: u32, booking: impl Fn(Mib) -> Mib) -> Growth {
    let mut after: Vec<Mib> = vec![Mib::ZERO; layout.hosts.len()];
    for instance in &layout.instances {
        if let Some(after) = after.get_mut(instance.host as usize) {
            let memory = instance.memory.plus(instance.memory.percent(percent));
            *after = after.plus(booking(memory).max(instance.booked));
        }
    }
    let short: Vec<(u32, Mib)> = layout
        .hosts
        .iter()
        .zip(&after)
        .zip(0..)
        .map(|((host, after), at)| (at, after.minus(host.memory)))
        .filter(|(_, missing)| *missing > Mib::ZERO)
        .collect();
    let is_short = |host: u32| short.binary_search_by_key(&host, |entry| entry.0).is_ok();
    let mut concerned = vec![false; layout.caches.len()];
    for instance in layout.instances.iter().filter(|instance| is_short(instance.host)) {
        if let Some(concerned) = concerned.get_mut(instance.cache as usize) {
            *concerned = true;
        }
    }
    Growth {
        percent,
        hosts: layout.hosts.len(),
        booked: layout.hosts.iter().map(|host| host.booked).sum(),
        grown: after.iter().copied().sum(),
        missing: short.iter().map(|(_, missing)| *missing).sum(),
        short: short.into_iter().map(|(at, missing)| (layout.hosts[at as usize].id, missing)).collect(),
        caches: layout
            .caches
            .iter()
            .zip(concerned)
            .filter(|(_, concerned)| *concerned)
            .map(|(cache, _)| cache.id)
            .collect(),
    }
}
