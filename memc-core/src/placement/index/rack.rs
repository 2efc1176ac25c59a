//! The hosts of one rack in their cluster's order.

use std::collections::{BTreeSet, btree_set};
use std::ops::Bound::{self, Excluded, Unbounded};
use std::ops::RangeBounds;

use super::slot::Slot;

/// How many hosts a rack may have that keeps a seat for each: one bit of a word a seat.
const SEATS: u32 = u64::BITS;

/// Where a range of slots begins and ends.
pub(super) type Bounds = (Bound<Slot>, Bound<Slot>);

pub(super) const EVERY: Bounds = (Unbounded, Unbounded);

/// Those of a rack's hosts that have a port to issue.
///
/// Each change of a host is noted here and few requests ask, so the usual rack, of some dozens of hosts, is kept in no
/// order: a change writes one slot and searches for nothing. A rack that once had more hosts keeps a set until its last
/// one leaves. Answers do not depend on which it is.
#[derive(Debug, Clone)]
pub(super) enum RackSlots {
    /// Of at most [`SEATS`] hosts.
    Few {
        /// By seat; no bit of `awake`, nothing that counts.
        seats: Vec<Slot>,
        /// Which seats have a host.
        given: u64,
        /// Which of those hosts have a port to issue.
        awake: u64,
    },
    Many(BTreeSet<Slot>),
    /// Of the only rack of a cluster, whose own order is the same.
    Whole,
}

impl Default for RackSlots {
    fn default() -> Self {
        RackSlots::Few { seats: Vec::new(), given: 0, awake: 0 }
    }
}

impl RackSlots {
    /// A seat for one more host, where hosts have seats; `None` if all are given.
    pub(super) fn join(&mut self) -> Option<u8> {
        match self {
            RackSlots::Few { seats, given, .. } => {
                let seat = given.trailing_ones();
                if seat == SEATS {
                    return None;
                }
                *given |= 1 << seat;
                if seat as usize == seats.len() {
                    if seats.len() == seats.capacity() {
                        // Racks are many: not twice as much as they have hosts.
                        seats.reserve_exact(4);
                    }
                    seats.push(Slot(0));
                }
                Some(seat as u8)
            }
            RackSlots::Many(_) | RackSlots::Whole => Some(0),
        }
    }

    /// A host without a port to issue gives its seat back.
    pub(super) fn leave(&mut self, seat: u8) {
        if let RackSlots::Few { given, .. } = self {
            *given &= !(1 << seat);
        }
    }

    pub(super) fn insert(&mut self, seat: u8, slot: Slot) {
        match self {
            RackSlots::Few { seats, awake, .. } => {
                seats[usize::from(seat)] = slot;
                *awake |= 1 << seat;
            }
            RackSlots::Many(slots) => {
                slots.insert(slot);
            }
            RackSlots::Whole => {}
        }
    }

    pub(super) fn remove(&mut self, seat: u8, slot: &Slot) {
        match self {
            RackSlots::Few { awake, .. } => *awake &= !(1 << seat),
            RackSlots::Many(slots) => {
                slots.remove(slot);
            }
            RackSlots::Whole => {}
        }
    }

    /// The slot of a host that has a port to issue is another one now.
    pub(super) fn replace(&mut self, seat: u8, old: &Slot, new: Slot) {
        match self {
            RackSlots::Few { seats, .. } => seats[usize::from(seat)] = new,
            RackSlots::Many(slots) => {
                slots.remove(old);
                slots.insert(new);
            }
            RackSlots::Whole => {}
        }
    }

    /// Whether none has a port to issue; `all` are those of the cluster.
    pub(super) fn is_empty(&self, all: &BTreeSet<Slot>) -> bool {
        match self {
            RackSlots::Few { awake, .. } => *awake == 0,
            RackSlots::Many(slots) => slots.is_empty(),
            RackSlots::Whole => all.is_empty(),
        }
    }

    /// Those within a range, in order. A set takes O(log n), then O(1) for each; [`SEATS`] are gone through for each.
    pub(super) fn range<'a>(&'a self, all: &'a BTreeSet<Slot>, range: Bounds) -> InOrder<'a> {
        match self {
            RackSlots::Few { seats, awake, .. } => InOrder::Seats { seats, awake: *awake, range },
            RackSlots::Many(slots) => InOrder::Set(slots.range(range)),
            RackSlots::Whole => InOrder::Set(all.range(range)),
        }
    }
}

/// Slots in order.
pub(super) enum InOrder<'a> {
    Set(btree_set::Range<'a, Slot>),
    Seats { seats: &'a [Slot], awake: u64, range: Bounds },
}

impl Iterator for InOrder<'_> {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        match self {
            InOrder::Set(slots) => slots.next().copied(),
            // The least that is left: mostly one or two are asked for, which sorting all would not pay for.
            InOrder::Seats { seats, awake, range } => {
                let slots = seats.iter().enumerate().filter(|(seat, _)| *awake >> seat & 1 == 1);
                let next = slots.map(|(_, slot)| *slot).filter(|slot| range.contains(slot)).min()?;
                range.0 = Excluded(next);
                Some(next)
            }
        }
    }
}
