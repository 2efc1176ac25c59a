//! The exact bounded knapsack, in integers, as a question: can a bin hold more weight than a limit?

use super::pricing::COARSE;

/// Items of one size.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item {
    pub(super) size: u64,
    pub(super) weight: u64,
    /// At most this many.
    pub(super) count: u32,
}

/// Cells of a table that are cheaper than starting a tree search.
const FEW_CELLS: u128 = 1 << 21;
/// Cells of a table after which there is no answer.
const MOST_CELLS: u128 = 1 << 25;
/// Items that are searched at most; what is packed here has no more than a thousand sizes.
const DEEPEST: usize = 4096;
/// Nodes of a tree search after which the table is tried.
const MOST_NODES: u32 = 1 << 18;

/// Whether no choice of items that fits `capacity` weighs more than `limit`; `None` if neither a table over capacities
/// nor a tree search can tell within a fixed amount of work (about 50 ms).
pub(super) fn none_outweighs(capacity: u64, mut items: Vec<Item>, limit: u64) -> Option<bool> {
    items.retain(|item| item.weight > 0 && item.count > 0 && item.size <= capacity);
    let steps: u128 = items.iter().map(|item| u128::from(32 - item.count.leading_zeros())).sum();
    let cells = (steps + 1) * (u128::from(capacity) + 1);
    if cells <= FEW_CELLS {
        return Some(table(capacity as usize, &items)[capacity as usize] <= limit);
    }
    // In a coarser unit, with sizes rounded down, more fits: what fits a room weighs no more than that.
    let unit = capacity / COARSE + 1;
    let coarse: Vec<Item> = items.iter().map(|item| Item { size: item.size / unit, ..*item }).collect();
    let ceilings = table((capacity / unit) as usize, &coarse);
    // Exactly by falling weight per size.
    items.sort_by(|a, b| {
        (u128::from(b.weight) * u128::from(a.size)).cmp(&(u128::from(a.weight) * u128::from(b.size)))
    });
    let mut tree = Tree { ceilings, unit, nodes: MOST_NODES };
    // As deep as there are items.
    let searched = if items.len() <= DEEPEST { tree.search(&items, capacity, limit) } else { None };
    match searched {
        Some(answer) => Some(answer),
        None if cells <= MOST_CELLS => Some(table(capacity as usize, &items)[capacity as usize] <= limit),
        None => None,
    }
}

/// Bellman's table of the best weight by capacity, with counts split in powers of two; `u64::MAX` is that or more.
fn table(capacity: usize, items: &[Item]) -> Vec<u64> {
    let mut best = vec![0u64; capacity + 1];
    for item in items {
        let (mut left, mut part) = (item.count, 1);
        while left > 0 {
            let take = part.min(left);
            let size = (item.size as usize).saturating_mul(take as usize);
            if size > capacity {
                break;
            }
            let weight = item.weight.saturating_mul(u64::from(take));
            for at in (size..=capacity).rev() {
                best[at] = best[at].max(best[at - size].saturating_add(weight));
            }
            left -= take;
            part *= 2;
        }
    }
    best
}

/// Depth-first search with Dantzig's bound and that of the coarser unit.
struct Tree {
    /// What fits a room weighs no more than this, by room in the coarser unit.
    ceilings: Vec<u64>,
    unit: u64,
    nodes: u32,
}

impl Tree {
    /// Whether no choice of these items that fits weighs more than what is allowed; `None` when out of nodes.
    fn search(&mut self, items: &[Item], room: u64, allowed: u64) -> Option<bool> {
        self.nodes = self.nodes.checked_sub(1)?;
        if self.ceilings[(room / self.unit) as usize] <= allowed {
            return Some(true);
        }
        for (at, item) in items.iter().enumerate() {
            let most = u128::from(item.weight) * u128::from(room);
            if most < (u128::from(allowed) + 1) * u128::from(item.size) {
                return Some(true);
            }
            let most = u64::from(item.count).min(room / item.size);
            for take in (1..=most).rev() {
                let rest = item.weight.checked_mul(take).and_then(|weight| allowed.checked_sub(weight));
                let Some(rest) = rest else { return Some(false) };
                if !self.search(&items[at + 1..], room - item.size * take, rest)? {
                    return Some(false);
                }
            }
        }
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The heaviest choice, by trying all.
    fn heaviest(capacity: u64, items: &[Item]) -> u64 {
        let Some((item, rest)) = items.split_first() else { return 0 };
        (0..=u64::from(item.count))
            .take_while(|take| take * item.size <= capacity)
            .map(|take| take * item.weight + heaviest(capacity - take * item.size, rest))
            .max()
            .unwrap()
    }

    proptest! {
        /// By the table (unit 1), and by the coarse table and the tree (a unit too large for a table).
        #[test]
        fn is_the_brute_force(
            capacity in 1..80u64,
            items in prop::collection::vec((1..60u64, 0..50u64, 0..4u32), 0..6),
            unit in prop::sample::select(vec![1, 1 << 30, (1 << 33) + 7]),
        ) {
            let items: Vec<Item> =
                items.iter().map(|&(size, weight, count)| Item { size: size * unit, weight, count }).collect();
            let best = heaviest(capacity * unit, &items);
            prop_assert_eq!(none_outweighs(capacity * unit, items.clone(), best), Some(true));
            if best > 0 {
                prop_assert_eq!(none_outweighs(capacity * unit, items, best - 1), Some(false));
            }
        }
    }

    #[test]
    fn gives_up_rather_than_running_on() {
        let items: Vec<Item> = (0..200u64)
            .map(|at| (1 << 34) + 2 * (at * 7919 % 100_003) * 1_000)
            .map(|size| Item { size, weight: size, count: 1 })
            .collect();
        assert_eq!(none_outweighs((1 << 40) + 1, items, (1 << 40) - 1), None);
    }

    #[test]
    fn takes_the_largest_numbers() {
        let item = Item { size: u64::MAX, weight: u64::MAX, count: 1 };
        assert_eq!(none_outweighs(u64::MAX, vec![item; 3], u64::MAX), Some(true));
        assert_eq!(none_outweighs(u64::MAX, vec![item], u64::MAX - 1), Some(false));
    }
}
