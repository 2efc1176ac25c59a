//! Records by number, close together.

/// Something with a number of its own.
pub(super) trait Row {
    type Id: Copy + PartialEq;
    fn id(&self) -> Self::Id;
    fn number(id: Self::Id) -> u64;
}

/// Rows of a page: what is moved at most while a table grows.
const PAGE: usize = 1024;
const NONE: u32 = u32::MAX;

/// A hash table whose rows lie side by side in pages, under a list of their positions (open addressing with linear
/// probing): 5 to 11 bytes a row beside the row itself, where a `HashMap` takes a row's size again for empty buckets,
/// and once more of everything while it grows. In no order.
///
/// The numbers are the fleet's own, so nobody can choose them so that they collide; the hash is a multiplication
/// (Knuth's), which spreads numbers that follow each other evenly.
#[derive(Debug, Clone)]
pub(super) struct Table<T> {
    /// All but the last are full.
    pages: Vec<Vec<T>>,
    len: usize,
    /// A power of two of positions, at most three quarters in use; empty if there are no rows.
    positions: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { pages: Vec::new(), len: 0, positions: Vec::new() }
    }
}

impl<T: Row + PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.values().all(|row| other.get(&row.id()) == Some(row))
    }
}

impl<T: Row + Eq> Eq for Table<T> {}

impl<T: Row> Table<T> {
    pub(super) fn get(&self, id: &T::Id) -> Option<&T> {
        let row = self.positions[self.find(*id)?] as usize;
        self.pages.get(row / PAGE)?.get(row % PAGE)
    }

    pub(super) fn get_mut(&mut self, id: &T::Id) -> Option<&mut T> {
        let row = self.positions[self.find(*id)?] as usize;
        self.pages.get_mut(row / PAGE)?.get_mut(row % PAGE)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    /// Answers the row of this number that was there before.
    pub(super) fn insert(&mut self, row: T) -> Option<T> {
        if let Some(there) = self.get_mut(&row.id()) {
            return Some(std::mem::replace(there, row));
        }
        if (self.len + 1) * 4 > self.positions.len() * 3 {
            self.grow();
        }
        self.enter(row.id(), self.len as u32);
        if self.len.is_multiple_of(PAGE) {
            self.pages.push(Vec::new());
        }
        self.pages[self.len / PAGE].push(row);
        self.len += 1;
        None
    }

    pub(super) fn remove(&mut self, id: &T::Id) -> Option<T> {
        let hole = self.find(*id)?;
        let row = self.positions[hole] as usize;
        self.close(hole);
        // The last row takes the place of the one that goes.
        if let Some(moved) = self.row_id(self.len as u32 - 1).and_then(|last| self.find(last)) {
            self.positions[moved] = row as u32;
        }
        self.len -= 1;
        let last = self.pages.last_mut()?.pop()?;
        if self.len.is_multiple_of(PAGE) {
            self.pages.pop();
        }
        if row == self.len {
            return Some(last);
        }
        let there = self.pages.get_mut(row / PAGE)?.get_mut(row % PAGE)?;
        Some(std::mem::replace(there, last))
    }

    fn row_id(&self, row: u32) -> Option<T::Id> {
        let row = row as usize;
        Some(self.pages.get(row / PAGE)?.get(row % PAGE)?.id())
    }

    /// Where the list says which row has this number.
    fn find(&self, id: T::Id) -> Option<usize> {
        if self.positions.is_empty() {
            return None;
        }
        let mut at = self.home(id);
        while self.positions[at] != NONE {
            if self.row_id(self.positions[at]) == Some(id) {
                return Some(at);
            }
            at = (at + 1) % self.positions.len();
        }
        None
    }

    /// Where a search for it begins: the product's highest bits, as many as the list has places for.
    fn home(&self, id: T::Id) -> usize {
        let hash = T::number(id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> (64 - self.positions.len().trailing_zeros())) as usize
    }

    fn enter(&mut self, id: T::Id, row: u32) {
        let mut at = self.home(id);
        while self.positions[at] != NONE {
            at = (at + 1) % self.positions.len();
        }
        self.positions[at] = row;
    }

    /// Empty a place, and move up what would not be found any more across it.
    fn close(&mut self, mut hole: usize) {
        let mask = self.positions.len() - 1;
        let mut at = hole;
        loop {
            self.positions[hole] = NONE;
            let next = loop {
                at = (at + 1) & mask;
                let row = self.positions[at];
                let Some(id) = self.row_id(row).filter(|_| row != NONE) else {
                    return;
                };
                if at.wrapping_sub(self.home(id)) & mask >= at.wrapping_sub(hole) & mask {
                    break row;
                }
            };
            self.positions[hole] = next;
            hole = at;
        }
    }

    fn grow(&mut self) {
        self.positions = vec![NONE; (self.positions.len() * 2).max(4)];
        for row in 0..self.len as u32 {
            if let Some(id) = self.row_id(row) {
                self.enter(id, row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    impl Row for (u64, u32) {
        type Id = u64;
        fn id(&self) -> u64 {
            self.0
        }
        fn number(id: u64) -> u64 {
            id
        }
    }

    proptest! {
        /// Against the standard library's map; also with numbers that all begin their search at the same place.
        #[test]
        fn is_a_map(
            steps in prop::collection::vec((0..3u8, 0..400u64, any::<u32>()), 0..3000), collide in any::<bool>(),
        ) {
            let (mut table, mut map) = (Table::default(), BTreeMap::new());
            // The inverse of the hash's factor: small products, so that the highest bits are all zero.
            let inverse = (0..6).fold(1u64, |x, _| {
                x.wrapping_mul(2u64.wrapping_sub(x.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
            });
            for (kind, number, value) in steps {
                let id = if collide { number.wrapping_mul(inverse) } else { number };
                if kind == 0 {
                    prop_assert_eq!(table.remove(&id), map.remove(&id));
                } else {
                    prop_assert_eq!(table.insert((id, value)), map.insert(id, (id, value)));
                }
                prop_assert_eq!(table.get(&id), map.get(&id));
                prop_assert_eq!(table.len, map.len());
            }
            prop_assert!(map.values().all(|row| table.get(&row.0) == Some(row)));
            let mut rows: Vec<_> = table.values().copied().collect();
            rows.sort_unstable();
            prop_assert!(rows.iter().eq(map.values()));
            let mut rebuilt = Table::default();
            map.values().rev().for_each(|row| { rebuilt.insert(*row); });
            prop_assert!(table == rebuilt);
            prop_assert_eq!(table.pages.len(), table.len.div_ceil(PAGE));
        }
    }

    #[test]
    fn more_than_a_page() {
        let mut table = Table::default();
        (0..5000).for_each(|id| assert_eq!(table.insert((id * 7, 1)), None));
        (0..5000).step_by(2).for_each(|id| assert_eq!(table.remove(&(id * 7)), Some((id * 7, 1))));
        assert!((0..5000).all(|id| table.get(&(id * 7)).is_some() == (id % 2 == 1)));
        assert_eq!(table.values().count(), 2500);
    }
}
