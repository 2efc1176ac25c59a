//! Pricing for column generation: patterns of the highest value, by the bounded knapsack.

use super::kinds::Pattern;

/// A kind on offer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) kind: u32,
    pub(super) size: u64,
    pub(super) value: f64,
    /// At most this many, which fit a bin together.
    pub(super) most: u32,
}

/// Cell updates of a table that are cheaper than a tree search with bad luck.
const FEW_CELLS: u128 = 1 << 21;
/// Cells that a table may have.
const MOST_CELLS: u128 = 1 << 23;
/// Nodes of a tree search after which what it found is enough.
const ENOUGH_NODES: u32 = 50_000;
/// Nodes of a tree search that found nothing, after which the table is tried.
const MOST_NODES: u32 = 500_000;
/// Columns of the table in a coarser unit.
pub(super) const COARSE: u64 = 4096;

/// Values that differ by less are equal.
const EQUAL: f64 = 1e-9;

/// A solver with buffers that it keeps.
#[derive(Default)]
pub(super) struct Pricing {
    table: Vec<f64>,
    offers: Vec<Offer>,
}

impl Pricing {
    /// Adds up to about `want` different patterns worth more than `above` to `found`, a best one among them, and
    /// returns what no pattern is worth more than: the best value, or `above`, or an estimate if the search for better
    /// patterns was too long. `None` if stopped, or too hard.
    pub(super) fn patterns(
        &mut self,
        capacity: u64,
        offers: impl Iterator<Item = Offer>,
        above: f64,
        want: usize,
        found: &mut Vec<Pattern>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<f64> {
        self.offers.clear();
        self.offers.extend(offers.filter(|offer| offer.value > EQUAL && offer.most > 0));
        let rows = self.offers.len() as u128 + 1;
        let passes: u128 = self.offers.iter().map(|offer| u128::from(offer.most)).sum::<u128>() + rows;
        let columns = u128::from(capacity) + 1;
        let table = rows * columns <= MOST_CELLS && passes * columns <= 8 * MOST_CELLS;
        if table && passes * columns <= FEW_CELLS {
            return Some(self.by_table(capacity as usize, above, want, found));
        }
        match self.by_tree(capacity, above, want, found, stop) {
            Some(best) => Some(best),
            None if table && !stop() => Some(self.by_table(capacity as usize, above, want, found)),
            None => None,
        }
    }

    /// Fills the table so that no pattern in a room is worth more than what stands at the room in a coarser unit: items
    /// count as rounded down. Returns the unit.
    fn ceilings(&mut self, capacity: u64) -> u64 {
        let unit = capacity / COARSE + 1;
        let columns = (capacity / unit) as usize + 1;
        self.table.clear();
        self.table.resize(columns, 0.0);
        let mut free = 0.0;
        for offer in &self.offers {
            let size = (offer.size / unit) as usize;
            if size == 0 {
                free += f64::from(offer.most) * offer.value;
                continue;
            }
            // Counts split in powers of two.
            let (mut left, mut part) = (offer.most, 1);
            while left > 0 {
                let take = left.min(part);
                let (size, value) = (take as usize * size, f64::from(take) * offer.value);
                for at in (size..columns).rev() {
                    self.table[at] = self.table[at].max(self.table[at - size] + value);
                }
                left -= take;
                part *= 2;
            }
        }
        for ceiling in &mut self.table {
            *ceiling += free;
        }
        unit
    }

    /// A table of the best value by kinds and capacity, and patterns read back from it.
    fn by_table(&mut self, capacity: usize, above: f64, want: usize, found: &mut Vec<Pattern>) -> f64 {
        // Large kinds last: patterns are read back from there.
        self.offers.sort_by_key(|offer| offer.size);
        let columns = capacity + 1;
        self.table.clear();
        self.table.resize(columns * (self.offers.len() + 1), 0.0);
        for (row, offer) in self.offers.iter().enumerate() {
            let (before, after) = self.table.split_at_mut((row + 1) * columns);
            let (before, after) = (&before[row * columns..], &mut after[..columns]);
            after.copy_from_slice(before);
            for take in 1..=offer.most {
                let (size, value) = (take as usize * offer.size as usize, f64::from(take) * offer.value);
                for (to, from) in after[size..].iter_mut().zip(before) {
                    *to = to.max(from + value);
                }
            }
        }
        let best = self.table[self.table.len() - 1];
        if best <= above {
            return above;
        }
        let read = Read {
            offers: &self.offers,
            table: &self.table,
            columns,
            enough: (above + (best - above) * 0.2).min(best - EQUAL),
        };
        read.back(self.offers.len(), capacity, 0.0, want, &mut Pattern::new(), found);
        best
    }

    /// Depth-first search with Dantzig's bound and that of a table in a coarser unit; the last of the ever better patterns are what is found.
    fn by_tree(
        &mut self,
        capacity: u64,
        above: f64,
        want: usize,
        found: &mut Vec<Pattern>,
        stop: &mut dyn FnMut() -> bool,
    ) -> Option<f64> {
        self.offers.sort_by(|a, b| (b.value / b.size as f64).total_cmp(&(a.value / a.size as f64)));
        let smallest = self.offers.iter().map(|offer| offer.size).min().unwrap_or(u64::MAX);
        let unit = self.ceilings(capacity);
        let ceiling = self.table[(capacity / unit) as usize];
        let mut tree = Tree {
            offers: &self.offers,
            ceilings: &self.table,
            unit,
            smallest,
            best: above,
            nodes: 0,
            stop,
            pattern: Pattern::new(),
            found: Vec::new(),
        };
        let done = tree.search(0, capacity, 0.0).is_some();
        let (best, patterns) = (tree.best, tree.found);
        if !done && patterns.is_empty() {
            return None;
        }
        let skip = patterns.len().saturating_sub(want);
        found.extend(patterns.into_iter().skip(skip));
        Some(if done { best } else { ceiling.max(best) })
    }
}

struct Read<'a> {
    offers: &'a [Offer],
    table: &'a [f64],
    columns: usize,
    enough: f64,
}

impl Read<'_> {
    /// Patterns of the first `rows` kinds that fit `room` and reach what is enough with `value`, shared out evenly
    /// among the choices for each kind, so that they differ.
    fn back(
        &self,
        mut rows: usize,
        room: usize,
        value: f64,
        want: usize,
        pattern: &mut Pattern,
        found: &mut Vec<Pattern>,
    ) {
        while rows > 0 {
            let offer = self.offers[rows - 1];
            let size = offer.size as usize;
            let before = &self.table[(rows - 1) * self.columns..][..self.columns];
            let reaches = |take: u32| {
                let used = take as usize * size;
                used <= room && before[room - used] + value + f64::from(take) * offer.value >= self.enough
            };
            let choices = (0..=offer.most).filter(|&take| reaches(take)).count();
            if choices == 1 && reaches(0) {
                rows -= 1;
                continue;
            }
            let mut left = want;
            let mut others = choices;
            let worth = |take: u32| before[room - take as usize * size] + f64::from(take) * offer.value;
            let mut takes: Vec<u32> = (0..=offer.most).filter(|&take| reaches(take)).collect();
            takes.sort_by(|&a, &b| worth(b).total_cmp(&worth(a)));
            for take in takes {
                if left == 0 {
                    return;
                }
                let share = left.div_ceil(others);
                left -= share;
                others -= 1;
                if take > 0 {
                    pattern.push((offer.kind, take));
                }
                let value = value + f64::from(take) * offer.value;
                self.back(rows - 1, room - take as usize * size, value, share, pattern, found);
                if take > 0 {
                    pattern.pop();
                }
            }
            return;
        }
        found.push(pattern.clone());
    }
}

struct Tree<'a> {
    /// By falling value per size.
    offers: &'a [Offer],
    /// What no pattern is worth more than, by room in this unit.
    ceilings: &'a [f64],
    unit: u64,
    smallest: u64,
    best: f64,
    nodes: u32,
    stop: &'a mut dyn FnMut() -> bool,
    pattern: Pattern,
    found: Vec<Pattern>,
}

impl Tree<'_> {
    fn search(&mut self, from: usize, room: u64, value: f64) -> Option<()> {
        self.nodes += 1;
        let most = if self.found.is_empty() { MOST_NODES } else { ENOUGH_NODES };
        if self.nodes > most || (self.nodes.is_multiple_of(1024) && (self.stop)()) {
            return None;
        }
        if value > self.best + EQUAL {
            self.best = value;
            self.found.push(self.pattern.clone());
        }
        if room < self.smallest {
            return Some(());
        }
        if value + self.ceilings[(room / self.unit) as usize] <= self.best + EQUAL {
            return Some(());
        }
        for at in from..self.offers.len() {
            let offer = self.offers[at];
            if value + offer.value * (room as f64 / offer.size as f64) <= self.best + EQUAL {
                return Some(());
            }
            for take in (1..=u64::from(offer.most).min(room / offer.size)).rev() {
                self.pattern.push((offer.kind, take as u32));
                let done = self.search(at + 1, room - offer.size * take, value + offer.value * take as f64);
                self.pattern.pop();
                done?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_tree_and_the_table_find_the_same_best(
            capacity in 1..300u64,
            offers in prop::collection::vec((1..300u64, 0.0..1.0f64, 0..4u32), 0..9),
        ) {
            let offers: Vec<Offer> = (0..)
                .zip(&offers)
                .map(|(kind, &(size, value, most))| {
                    let size = size.min(capacity);
                    Offer { kind, size, value, most: most.min((capacity / size) as u32) }
                })
                .collect();
            let worth = |pattern: &Pattern| {
                pattern.iter().map(|&(kind, take)| offers[kind as usize].value * f64::from(take)).sum::<f64>()
            };
            let mut pricing = Pricing::default();
            let (mut by_table, mut by_tree) = (Vec::new(), Vec::new());
            pricing.offers = offers.clone();
            let table = pricing.by_table(capacity as usize, 0.0, 5, &mut by_table);
            pricing.offers = offers.clone();
            let tree = pricing.by_tree(capacity, 0.0, 5, &mut by_tree, &mut || false).unwrap();
            prop_assert!((table - tree).abs() < 1e-6, "{} {}", table, tree);
            let unit = pricing.ceilings(capacity);
            prop_assert!(pricing.table[(capacity / unit) as usize] >= table - 1e-6);
            for found in [&by_table, &by_tree] {
                prop_assert!(table < 1e-6 || found.iter().any(|pattern| worth(pattern) > table - 1e-6));
                for pattern in found {
                    let size: u64 =
                        pattern.iter().map(|&(kind, take)| offers[kind as usize].size * u64::from(take)).sum();
                    prop_assert!(size <= capacity);
                    prop_assert!(pattern.iter().all(|&(kind, take)| take <= offers[kind as usize].most));
                }
            }
        }
    }
}
