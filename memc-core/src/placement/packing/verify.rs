//! An answer checked from the input alone.

use super::{Argument, Packing, Problem, bounds, kinds::Kinds};

/// What is wrong with a packing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A bin without items.
    #[error("bin {0} is empty")]
    Empty(usize),
    /// An index that no item has.
    #[error("bin {bin} holds item {item}, which does not exist")]
    Unknown {
        /// The bin's index.
        bin: usize,
        /// The index it names.
        item: u32,
    },
    /// An item in two places.
    #[error("item {0} is packed more than once")]
    Twice(u32),
    /// An item in no bin.
    #[error("item {0} is not packed")]
    Missing(usize),
    /// A bin that holds more than its capacity.
    #[error("bin {0} holds more than its capacity")]
    Over(usize),
    /// A bound that is not what its argument proves.
    #[error("the bound is {bound}, and its argument proves {proved}")]
    Bound {
        /// The bound that is claimed.
        bound: u64,
        /// What follows from the argument.
        proved: u64,
    },
    /// Weights that are not by growing size, or more than the scale in one bin, or too hard to check.
    #[error("the weights are not shown to be at most their scale in every bin")]
    Weights,
}

/// Checks that every item is in exactly one bin, that no bin is over its capacity, and that the bound is what its
/// argument proves. O(n log n), and for dual weights an exact knapsack of limited work besides (about 50 ms).
pub fn verify(problem: &Problem, packing: &Packing) -> Result<(), Flaw> {
    let mut packed = vec![false; problem.sizes.len()];
    for (bin, items) in packing.bins.iter().enumerate() {
        if items.is_empty() {
            return Err(Flaw::Empty(bin));
        }
        let mut held = 0u128;
        for &item in items {
            let Some(packed) = packed.get_mut(item as usize) else {
                return Err(Flaw::Unknown { bin, item });
            };
            if std::mem::replace(packed, true) {
                return Err(Flaw::Twice(item));
            }
            held += u128::from(problem.sizes[item as usize]);
        }
        if held > u128::from(problem.capacity) {
            return Err(Flaw::Over(bin));
        }
    }
    if let Some(item) = packed.iter().position(|packed| !packed) {
        return Err(Flaw::Missing(item));
    }
    let kinds = Kinds::of(problem);
    let proved = match &packing.argument {
        Argument::Sum => bounds::sum(&kinds),
        Argument::L2 => bounds::l2(&kinds),
        Argument::Dual(dual) if dual.by_size.is_sorted_by(|a, b| a.0 < b.0) => {
            bounds::dual(&kinds, dual).ok_or(Flaw::Weights)?
        }
        Argument::Dual(_) => return Err(Flaw::Weights),
    };
    if packing.bound == proved { Ok(()) } else { Err(Flaw::Bound { bound: packing.bound, proved }) }
}
