//! Where a host stands in its cluster's order.

use super::Entry;
use crate::model::{FillOrder, HostId, Mib};

/// A host in its cluster's order: by free memory (least first where hosts are packed, most first where load is
/// balanced), then the fewest instances, then by its number, [scattered](scatter). One integer, so that comparing is one
/// instruction: 25 bits of memory, 17 of instances, 63 of the number; and 23 of its rack's number, which decide nothing
/// any more.
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
        let (rank, host) = (rank(entry.order, entry.offer.free), u128::from(scatter(host.get())));
        Slot(
            rank << RANK_AT
                | u128::from(instances) << (HOST_BITS + RACK_BITS)
                | host << RACK_BITS
                | u128::from(entry.rack & (MOST_RACKS - 1)),
        )
    }

    pub(super) fn host(self) -> HostId {
        HostId::new(gather((self.0 >> RACK_BITS) as u64))
    }

    pub(super) fn rack(self) -> u32 {
        self.0 as u32 & (MOST_RACKS - 1)
    }

    /// Without its rack's number.
    pub(super) fn plain(self) -> u128 {
        self.0 >> RACK_BITS
    }
}

/// √2 − 1 in units of 2^-63, made odd so that multiplying by it loses nothing.
const STRIDE: u64 = 0x3504_F333_F9DE_6485;
const BACK: u64 = inverse(STRIDE);
const HOST_MASK: u64 = (1 << HOST_BITS) - 1;

/// A host's place among equals: the fraction of its number × (√2 − 1). One to one.
///
/// Hosts of a rack mostly have numbers that follow each other, or that are as far apart as there are racks. By growing
/// numbers, the first kind of rack would be filled one after another, and the last empty hosts would all be on a few of
/// them, where a cache that has to be on more finds no room in a fleet that has plenty; by the bits from the lowest on,
/// the same would happen to the second kind. Multiples of an irrational number lie evenly whatever the step, unless the
/// step is a denominator of its convergents (here 2, 5, 12, 29, 70, ...; those of the golden ratio are more).
fn scatter(host: u64) -> u64 {
    host.wrapping_mul(STRIDE) & HOST_MASK
}

/// The host of a place.
fn gather(place: u64) -> u64 {
    place.wrapping_mul(BACK) & HOST_MASK
}

/// The inverse of an odd number modulo 2^64, by Newton's iteration: each step doubles the bits that are right, 3 at first.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut bits = 3;
    while bits < u64::BITS {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(odd.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
}

pub(super) fn rank(order: FillOrder, free: Mib) -> u128 {
    let free = free.get().min(MOST_FREE);
    u128::from(match order {
        FillOrder::Pack => free,
        FillOrder::Balance => MOST_FREE - free,
    })
}
