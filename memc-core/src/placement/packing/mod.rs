//! Batch bin packing that proves itself: the fewest hosts of one size for given instance sizes (one-dimensional bin
//! packing with item types, also known as cutting stock).
//!
//! [`pack`] answers with an assignment, a lower bound on the hosts that any assignment needs, and the argument for
//! that bound. [`verify`] checks all three from the input alone, in integers: floating-point arithmetic guides the
//! search and never enters a claim. An answer whose hosts equal its bound is optimal.
//!
//! Ways to a packing: first-fit decreasing; filling host after host by subset sums (minimum bin slack, Gupta and Ho);
//! column generation (Gilmore and Gomory) with diving and limited backtracking. Ways to a bound: the sum of sizes, L2
//! (Martello and Toth), and the dual weights of the column generation.
//!
//! The linear program behind column generation is solved by the primal simplex method with devex pricing (Forrest and
//! Goldfarb) on an explicit inverse, with smoothed dual values (Wentges), with larger items in the place of smaller ones
//! until the bound is near (Valério de Carvalho), and ends early by Farley's bound. Where its value, rounded up, is a
//! bin below the optimum (about one in a thousand random instances of the hardest kind), the answer stays open: that
//! would take a proof by cases.
//!
//! Where items come one by one and stay, [`Stream`] decides for each at once.
//!
//! ```
//! use memc_core::placement::packing::{Problem, pack, verify};
//!
//! let problem = Problem::new(65536, vec![40000, 30000, 25536, 20000, 15000])?;
//! let packing = pack(&problem, &mut || false);
//! assert_eq!(packing.bins.len(), 2);
//! assert!(packing.is_optimal());
//! assert_eq!(verify(&problem, &packing), Ok(()));
//! # Ok::<(), memc_core::placement::packing::ProblemError>(())
//! ```

mod bounds;
mod fill;
mod first_fit;
mod kinds;
mod knapsack;
mod master;
mod pricing;
mod search;
mod stream;
mod verify;

use kinds::Kinds;

pub use stream::Stream;
pub use verify::{Flaw, verify};

/// Items and the capacity of every bin, in one unit (MiB for instances and hosts).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    capacity: u64,
    sizes: Vec<u64>,
}

/// Why a [`Problem`] cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProblemError {
    /// Sizes must be at least 1 and at most the capacity.
    #[error("item {item} has size {size}, and sizes must be in 1..={capacity}")]
    Size {
        /// Its index.
        item: usize,
        /// Its size.
        size: u64,
        /// The capacity.
        capacity: u64,
    },
    /// Items are numbered with 32 bits.
    #[error("{0} items are more than {max}", max = u32::MAX)]
    TooMany(usize),
}

impl Problem {
    /// Items of `sizes`, each in `1..=capacity`, at most 2^32 − 1 of them.
    pub fn new(capacity: u64, sizes: Vec<u64>) -> Result<Self, ProblemError> {
        if u32::try_from(sizes.len()).is_err() {
            return Err(ProblemError::TooMany(sizes.len()));
        }
        match sizes.iter().position(|&size| size == 0 || size > capacity) {
            Some(item) => Err(ProblemError::Size { item, size: sizes[item], capacity }),
            None => Ok(Self { capacity, sizes }),
        }
    }

    /// What a bin holds.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// The size of each item.
    pub fn sizes(&self) -> &[u64] {
        &self.sizes
    }
}

/// An assignment of all items, and a bound on how few bins there could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    /// The indices of the items in each bin.
    pub bins: Vec<Vec<u32>>,
    /// No assignment has fewer bins than this.
    pub bound: u64,
    /// Why.
    pub argument: Argument,
}

impl Packing {
    /// Whether there are no more bins than the bound. Means something only for a packing that [`verify`] accepts.
    pub fn is_optimal(&self) -> bool {
        self.bins.len() as u64 == self.bound
    }
}

/// Why a bound holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// The sum of sizes over the capacity, rounded up.
    Sum,
    /// L2 of Martello and Toth (Knapsack Problems, 1990, section 8.3).
    L2,
    /// The sum of weights over their scale, rounded up.
    Dual(Dual),
}

/// Weights of which a bin holds no more than a scale: every set of items of the problem that fits one bin weighs at
/// most `scale`, so all items together need at least their weight over `scale` bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dual {
    /// What the items of one bin weigh at most.
    pub scale: u64,
    /// Size and weight, by growing size; items of other sizes weigh nothing.
    pub by_size: Vec<(u64, u64)>,
}

/// Packs until the packing is optimal, the search is at its end, or `stop` says so.
///
/// `stop` is asked every fraction of a millisecond once first-fit decreasing is done, which takes O(n log n) for n
/// items; the best packing so far is the answer. The same problem and the same answers of `stop` give the same
/// packing. Column generation works on distinct sizes, and is left out for more than about a thousand.
pub fn pack(problem: &Problem, stop: &mut dyn FnMut() -> bool) -> Packing {
    let kinds = Kinds::of(problem);
    let found = search::search(&kinds, stop);
    Packing { bins: kinds.assign(&found.bins), bound: found.bound, argument: found.argument }
}

/// Items by falling size, each into the first bin with room; with the better of the sum bound and L2. O(n log n).
pub fn first_fit_decreasing(problem: &Problem) -> Packing {
    let kinds = Kinds::of(problem);
    let (bound, argument) = bounds::simple(&kinds);
    Packing { bins: kinds.assign(&first_fit::decreasing(&kinds)), bound, argument }
}
