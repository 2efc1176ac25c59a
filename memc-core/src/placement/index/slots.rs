//! An ordered set in blocks.

use std::ops::Range;

use super::Slot;

/// The most in one block: 2 KiB, which is little to move and few cache lines to search.
const MOST: usize = 128;

/// An ordered set in sorted blocks, under a sorted list of where each begins: a B+ tree of two levels, whose root has
/// no bound.
///
/// A change costs O(log n) comparisons and moves at most a block; once in about 64 changes it splits or joins blocks,
/// which moves the list of n / 64 or so. For the hosts of one cluster that is cheaper than a tree of small nodes, since
/// it waits for memory twice instead of once a level.
#[derive(Debug, Default, Clone)]
pub(super) struct Slots {
    /// No block holds less than its own, nor as much as the next one's. The first is 0.
    starts: Vec<Slot>,
    /// None is empty.
    blocks: Vec<Vec<Slot>>,
}

impl PartialEq for Slots {
    fn eq(&self, other: &Self) -> bool {
        self.blocks.iter().flatten().eq(other.blocks.iter().flatten())
    }
}

impl Eq for Slots {}

impl Slots {
    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    pub(super) fn first(&self) -> Option<Slot> {
        self.blocks.first().and_then(|block| block.first()).copied()
    }

    /// In order.
    pub(super) fn range(&self, range: Range<Slot>) -> impl Iterator<Item = Slot> + '_ {
        let at = self.block_of(range.start);
        let (block, rest) = match self.blocks.get(at..) {
            Some([block, rest @ ..]) => (&block[..], rest),
            _ => (&[][..], &[][..]),
        };
        let within = block.partition_point(|slot| *slot < range.start);
        block[within..].iter().chain(rest.iter().flatten()).copied().take_while(move |slot| *slot < range.end)
    }

    pub(super) fn insert(&mut self, slot: Slot) {
        let at = self.block_of(slot);
        let Some(block) = self.blocks.get_mut(at) else {
            (self.starts, self.blocks) = (vec![Slot(0)], vec![vec![slot]]);
            return;
        };
        if let Err(within) = block.binary_search(&slot) {
            block.insert(within, slot);
            if block.len() > MOST {
                let upper = block.split_off(MOST / 2);
                self.starts.insert(at + 1, upper[0]);
                self.blocks.insert(at + 1, upper);
            }
        }
    }

    pub(super) fn remove(&mut self, slot: Slot) {
        let at = self.block_of(slot);
        let Some(block) = self.blocks.get_mut(at) else {
            return;
        };
        if let Ok(within) = block.binary_search(&slot) {
            block.remove(within);
            if block.len() < MOST / 4 {
                self.join(at);
            }
        }
    }

    /// `old` is here, `new` is not.
    pub(super) fn replace(&mut self, old: Slot, new: Slot) {
        let at = self.block_of(old);
        if self.block_of(new) == at
            && let Some(block) = self.blocks.get_mut(at)
            && let (Ok(from), Err(to)) = (block.binary_search(&old), block.binary_search(&new))
        {
            // What lies between moves by one.
            if from < to {
                block.copy_within(from + 1..to, from);
                block[to - 1] = new;
            } else {
                block.copy_within(to..from, to + 1);
                block[to] = new;
            }
        } else {
            self.remove(old);
            self.insert(new);
        }
    }

    /// Where a slot is, or would be.
    fn block_of(&self, slot: Slot) -> usize {
        self.starts.partition_point(|start| *start <= slot).saturating_sub(1)
    }

    /// A block has become small: make one of it and a neighbour, if that is at most half full then.
    fn join(&mut self, at: usize) {
        let len = |at: usize| self.blocks.get(at).map_or(MOST, Vec::len);
        let small = |lower: usize| (len(lower) + len(lower + 1) <= MOST / 2).then_some(lower);
        if let Some(lower) = small(at).or_else(|| small(at.checked_sub(1)?)) {
            let upper = self.blocks.remove(lower + 1);
            self.starts.remove(lower + 1);
            self.blocks[lower].extend(upper);
        } else if len(at) == 0 {
            self.blocks.remove(at);
            self.starts.remove(at);
            self.starts.first_mut().into_iter().for_each(|start| *start = Slot(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against the standard library's set. Removals often outnumber insertions, so that blocks join.
        #[test]
        fn is_a_set(steps in prop::collection::vec((0..4u8, 0..3000u128, 0..3000u128), 0..4000), grow in 1..4u8) {
            let (mut slots, mut set) = (Slots::default(), BTreeSet::new());
            let half = steps.len() / 2;
            for (number, (kind, one, other)) in steps.into_iter().enumerate() {
                let inserts = if number < half { 3 } else { grow - 1 };
                let (one, other) = (Slot(one), Slot(other));
                if kind < inserts {
                    slots.insert(one);
                    set.insert(one);
                } else if set.contains(&one) && !set.contains(&other) && number % 2 == 0 {
                    slots.replace(one, other);
                    set.remove(&one);
                    set.insert(other);
                } else {
                    slots.remove(one);
                    set.remove(&one);
                }
                prop_assert_eq!((slots.is_empty(), slots.first()), (set.is_empty(), set.first().copied()));
                prop_assert!(slots.blocks.iter().all(|block| (1..=MOST).contains(&block.len())));
                prop_assert_eq!(slots.starts.len(), slots.blocks.len());
                if number % 64 == 0 {
                    let (low, high) = (one.min(other), one.max(other));
                    prop_assert!(slots.range(low..high).eq(set.range(low..high).copied()));
                }
            }
            prop_assert!(slots.range(Slot(0)..Slot(u128::MAX)).eq(set.iter().copied()));
            let rebuilt = set.iter().fold(Slots::default(), |mut slots, slot| { slots.insert(*slot); slots });
            prop_assert!(slots == rebuilt);
            // Few blocks, whatever went before: neighbours that fit in half a block together were joined.
            prop_assert!(slots.blocks.len() <= 1 + set.len() * 4 / (MOST / 4) + 1, "{} for {}", slots.blocks.len(), set.len());
        }
    }
}
