//! Lower bounds on the number of bins, in integers.

use super::kinds::Kinds;
use super::knapsack::{Item, none_outweighs};
use super::{Argument, Dual};

/// The sum of sizes over the capacity, rounded up. O(kinds).
pub(super) fn sum(kinds: &Kinds) -> u64 {
    kinds.volume().div_ceil(u128::from(kinds.capacity.max(1))) as u64
}

/// L2 of Martello and Toth: for a threshold t, items above C − t share their bin with none of at least t, items above
/// C/2 are alone among themselves, and the rest of at least t that does not fit beside these needs bins of its own.
/// The best over all thresholds. O(kinds).
pub(super) fn l2(kinds: &Kinds) -> u64 {
    let capacity = u128::from(kinds.capacity);
    let halves = kinds.sizes.partition_point(|&size| size > kinds.capacity - size);
    let big: u128 = kinds.counts[..halves].iter().map(|&count| u128::from(count)).sum();
    // Room beside the big items that are at most C - t: more of them as t falls.
    let (mut room, mut next) = (0, halves);
    let (mut small, mut best) = (0, big);
    for kind in halves..kinds.len() {
        let threshold = kinds.sizes[kind];
        small += u128::from(threshold) * u128::from(kinds.counts[kind]);
        while next > 0 && kinds.capacity - kinds.sizes[next - 1] >= threshold {
            next -= 1;
            room += u128::from(kinds.capacity - kinds.sizes[next]) * u128::from(kinds.counts[next]);
        }
        best = best.max(big + small.saturating_sub(room).div_ceil(capacity));
    }
    best as u64
}

/// The better of the sum bound and L2.
pub(super) fn simple(kinds: &Kinds) -> (u64, Argument) {
    let (sum, l2) = (sum(kinds), l2(kinds));
    if l2 > sum { (l2, Argument::L2) } else { (sum, Argument::Sum) }
}

/// What these weights prove; `None` if a bin can hold more than the scale, or if that took too long to find out.
pub(super) fn dual(kinds: &Kinds, dual: &Dual) -> Option<u64> {
    let mut items = Vec::with_capacity(dual.by_size.len());
    let mut total = 0u128;
    for kind in 0..kinds.len() {
        let Ok(at) = dual.by_size.binary_search_by_key(&kinds.sizes[kind], |&(size, _)| size) else {
            continue;
        };
        let weight = dual.by_size[at].1;
        let count = kinds.counts[kind];
        total += u128::from(weight) * u128::from(count);
        items.push(Item { size: kinds.sizes[kind], weight, count: count.min(kinds.fits(kind)) });
    }
    // Sums of weights end at the largest number.
    if [0, u64::MAX].contains(&dual.scale) || !none_outweighs(kinds.capacity, items, dual.scale)? {
        return None;
    }
    u64::try_from(total.div_ceil(u128::from(dual.scale))).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::placement::packing::Problem;

    /// L2 from its definition.
    fn naive_l2(capacity: u64, sizes: &[u64]) -> u64 {
        (0..=capacity / 2)
            .map(|threshold| {
                let alone = sizes.iter().filter(|&&size| size > capacity - threshold).count() as u64;
                let big: Vec<u64> = sizes
                    .iter()
                    .copied()
                    .filter(|&size| 2 * size > capacity && size <= capacity - threshold)
                    .collect();
                let small: u64 =
                    sizes.iter().filter(|&&size| size >= threshold && 2 * size <= capacity).sum();
                let room: u64 = big.iter().map(|size| capacity - size).sum();
                alone + big.len() as u64 + small.saturating_sub(room).div_ceil(capacity)
            })
            .max()
            .unwrap()
    }

    proptest! {
        #[test]
        fn l2_is_its_definition(capacity in 1..120u64, sizes in prop::collection::vec(1..120u64, 0..40)) {
            let sizes: Vec<u64> = sizes.into_iter().map(|size| size.min(capacity)).collect();
            let kinds = Kinds::of(&Problem::new(capacity, sizes.clone()).unwrap());
            prop_assert_eq!(l2(&kinds), naive_l2(capacity, &sizes));
        }
    }

    #[test]
    fn weights_too_heavy_for_a_bin_prove_nothing() {
        let kinds = Kinds::of(&Problem::new(10, vec![6, 5, 5, 4]).unwrap());
        let weights = |scale, by_size: &[(u64, u64)]| Dual { scale, by_size: by_size.to_vec() };
        assert_eq!(dual(&kinds, &weights(2, &[(4, 1), (5, 1), (6, 1)])), Some(2));
        assert_eq!(dual(&kinds, &weights(1, &[(4, 1), (5, 1), (6, 1)])), None);
        assert_eq!(dual(&kinds, &weights(0, &[])), None);
        assert_eq!(dual(&kinds, &weights(2, &[(5, u64::MAX)])), None);
    }
}
