//! Items by distinct size.

use super::Problem;

/// A bin's content: kinds, by falling size, and how many of each.
pub(super) type Pattern = Vec<(u32, u32)>;

/// Bins of one content each, and how many of them.
pub(super) type Bins = Vec<(Pattern, u32)>;

/// How many bins these are.
pub(super) fn number(bins: &Bins) -> u64 {
    bins.iter().map(|&(_, times)| u64::from(times)).sum()
}

/// The distinct sizes of a problem, falling, with their items.
pub(super) struct Kinds {
    pub(super) capacity: u64,
    pub(super) sizes: Vec<u64>,
    pub(super) counts: Vec<u32>,
    /// Item indices, by kind.
    items: Vec<u32>,
}

impl Kinds {
    /// O(n log n).
    pub(super) fn of(problem: &Problem) -> Self {
        let mut order: Vec<(u64, u32)> = problem.sizes.iter().copied().zip(0..).collect();
        order.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let (mut sizes, mut counts) = (Vec::new(), Vec::new());
        for group in order.chunk_by(|a, b| a.0 == b.0) {
            sizes.push(group[0].0);
            counts.push(group.len() as u32);
        }
        let items = order.into_iter().map(|(_, item)| item).collect();
        Self { capacity: problem.capacity, sizes, counts, items }
    }

    pub(super) fn len(&self) -> usize {
        self.sizes.len()
    }

    /// How many of a kind fit one bin.
    pub(super) fn fits(&self, kind: usize) -> u32 {
        u32::try_from(self.capacity / self.sizes[kind]).unwrap_or(u32::MAX)
    }

    /// The sum of all sizes.
    pub(super) fn volume(&self) -> u128 {
        self.sizes.iter().zip(&self.counts).map(|(&size, &count)| u128::from(size) * u128::from(count)).sum()
    }

    /// Items for patterns. What patterns hold beyond a kind's items is left out, and bins that this leaves empty.
    pub(super) fn assign(&self, bins: &Bins) -> Vec<Vec<u32>> {
        let mut rest: Vec<std::slice::Iter<'_, u32>> = Vec::with_capacity(self.len());
        let mut start = 0;
        for &count in &self.counts {
            rest.push(self.items[start..start + count as usize].iter());
            start += count as usize;
        }
        let mut assigned = Vec::with_capacity(number(bins) as usize);
        for (bin, times) in bins {
            let held = bin.iter().map(|&(_, count)| count as usize).sum();
            for _ in 0..*times {
                let mut items = Vec::with_capacity(held);
                for &(kind, count) in bin {
                    items.extend(rest[kind as usize].by_ref().take(count as usize));
                }
                if !items.is_empty() {
                    assigned.push(items);
                }
            }
        }
        assigned
    }
}
