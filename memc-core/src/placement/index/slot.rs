//! Where a host stands in its cluster's order.

use super::Entry;
use crate::model::{FillOrder, HostId, Mib};

/// A host in its cluster's order: by free memory (least first where hosts are packed, most first where load is
/// balanced), then the fewest instances, then the lowest number. One integer, so that comparing is one instruction:
/// 25 bits of memory, 17 of instances, 63 of the number; and 23 of its rack's number, which decide nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u128);

const RACK_BITS: u32 = 23;
const HOST_BITS: u32 = 63;
pub(super) const RANK_AT: u32 = RACK_BITS + HOST_BITS + 17;
/// Twice what a host may have.
pub(super) const MOST_FREE: u64 = (1 << (128 - RANK_AT)) - 1;
/// Of more racks than these eight million in one cluster, some would count as one.
const MOST_RACKS: u32 = 1 << RACK_BITS;

impl Slot {
    pub(super) fn new(entry: &Entry, host: HostId) -> Self {
        let instances = entry.offer.instances.min((1 << 17) - 1);
        let (rank, host) = (rank(entry.order, entry.offer.free), u128::from(host.get()));
        Slot(
            rank << RANK_AT
                | u128::from(instances) << (HOST_BITS + RACK_BITS)
                | host << RACK_BITS
                | u128::from(entry.rack & (MOST_RACKS - 1)),
        )
    }

    pub(super) fn host(self) -> HostId {
        HostId::new((self.0 >> RACK_BITS) as u64 & ((1 << HOST_BITS) - 1))
    }

    pub(super) fn rack(self) -> u32 {
        self.0 as u32 & (MOST_RACKS - 1)
    }

    /// Without its rack's number.
    pub(super) fn plain(self) -> u128 {
        self.0 >> RACK_BITS
    }
}

pub(super) fn rank(order: FillOrder, free: Mib) -> u128 {
    let free = free.get().min(MOST_FREE);
    u128::from(match order {
        FillOrder::Pack => free,
        FillOrder::Balance => MOST_FREE - free,
    })
}
