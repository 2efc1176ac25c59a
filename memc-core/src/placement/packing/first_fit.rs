//! First-fit decreasing in O(n log n), by a tournament tree (Johnson).

use super::kinds::{Bins, Kinds, Pattern};

/// Kinds by falling size, each item into the first bin with room.
pub(super) fn decreasing(kinds: &Kinds) -> Bins {
    // All bins but one end more than half full.
    let most = kinds.volume() * 2 / u128::from(kinds.capacity.max(1)) + 2;
    let items: u128 = kinds.counts.iter().map(|&count| u128::from(count)).sum();
    let leaves = (most.min(items.max(1)) as usize).next_power_of_two();
    // The most room in each subtree; a bin that is not in use yet has all of it.
    let mut room = vec![kinds.capacity; 2 * leaves];
    let mut bins: Vec<Pattern> = Vec::new();
    for (kind, (&size, &count)) in kinds.sizes.iter().zip(&kinds.counts).enumerate() {
        let mut left = u64::from(count);
        while left > 0 {
            let mut node = 1;
            while node < leaves {
                node *= 2;
                node += usize::from(room[node] < size);
            }
            let take = left.min(room[node] / size);
            left -= take;
            let bin = node - leaves;
            if bin == bins.len() {
                bins.push(Pattern::new());
            }
            bins[bin].push((kind as u32, take as u32));
            room[node] -= size * take;
            while node > 1 {
                node /= 2;
                let most = room[2 * node].max(room[2 * node + 1]);
                if room[node] == most {
                    break;
                }
                room[node] = most;
            }
        }
    }
    let mut grouped = Bins::new();
    for bin in bins {
        match grouped.last_mut() {
            Some((last, times)) if *last == bin => *times += 1,
            _ => grouped.push((bin, 1)),
        }
    }
    grouped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::placement::packing::Problem;

    proptest! {
        #[test]
        fn is_first_fit_item_by_item(capacity in 1..200u64, sizes in prop::collection::vec(1..200u64, 0..60)) {
            let sizes: Vec<u64> = sizes.into_iter().map(|size| size.min(capacity)).collect();
            let kinds = Kinds::of(&Problem::new(capacity, sizes.clone()).unwrap());
            let assigned = kinds.assign(&decreasing(&kinds));

            let mut order: Vec<usize> = (0..sizes.len()).collect();
            order.sort_by_key(|&item| (std::cmp::Reverse(sizes[item]), item));
            let mut bins: Vec<(u64, Vec<u32>)> = Vec::new();
            for item in order {
                match bins.iter_mut().find(|bin| bin.0 + sizes[item] <= capacity) {
                    Some(bin) => {
                        bin.0 += sizes[item];
                        bin.1.push(item as u32);
                    }
                    None => bins.push((sizes[item], vec![item as u32])),
                }
            }
            // Items of one size may change places.
            let of_sizes = |bin: &Vec<u32>| bin.iter().map(|&item| sizes[item as usize]).collect::<Vec<_>>();
            prop_assert_eq!(
                assigned.iter().map(of_sizes).collect::<Vec<_>>(),
                bins.iter().map(|bin| of_sizes(&bin.1)).collect::<Vec<_>>()
            );
        }
    }
}
