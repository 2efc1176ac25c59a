//! Racks as numbers.

use std::collections::BTreeMap;

use super::super::Layout;

/// The rack of each host as a number from 0, and how many racks there are. Hosts without one share a rack.
pub(super) fn racks(layout: &Layout) -> (Vec<u32>, usize) {
    let mut numbers = BTreeMap::new();
    for host in &layout.hosts {
        numbers.entry(host.rack.as_ref()).or_insert(0);
    }
    for (at, number) in numbers.values_mut().enumerate() {
        *number = at as u32;
    }
    (layout.hosts.iter().map(|host| numbers[&host.rack.as_ref()]).collect(), numbers.len())
}
