//! Host after host filled by subset sums: minimum bin slack (Gupta and Ho 1999), each bin started with the largest
//! item left (Fleszar and Hindi 2002).

use super::kinds::{Bins, Kinds, Pattern};

/// Nodes of the search for a bin's best filling.
const NODES: u32 = 3_000;

/// Packs `left` (by kind); `None` when stopped.
pub(super) fn bins(kinds: &Kinds, mut left: Vec<u32>, stop: &mut dyn FnMut() -> bool) -> Option<Bins> {
    let mut bins = Bins::new();
    let mut first = 0;
    loop {
        while first < left.len() && left[first] == 0 {
            first += 1;
        }
        if first == left.len() {
            return Some(bins);
        }
        if stop() {
            return None;
        }
        let mut filling = Filling {
            sizes: &kinds.sizes,
            left: &left,
            nodes: NODES,
            waste: u64::MAX,
            pattern: vec![(first as u32, 1)],
            best: Pattern::new(),
        };
        filling.search(first, kinds.capacity - kinds.sizes[first]);
        let mut bin = filling.best;
        // The first kind may stand there twice: once as the start.
        if bin.len() > 1 && bin[1].0 == bin[0].0 {
            bin[0].1 += bin.remove(1).1;
        }
        let times = bin.iter().map(|&(kind, count)| left[kind as usize] / count).min().unwrap_or(1);
        for &(kind, count) in &bin {
            left[kind as usize] -= count * times;
        }
        bins.push((bin, times));
    }
}

struct Filling<'a> {
    sizes: &'a [u64],
    left: &'a [u32],
    nodes: u32,
    waste: u64,
    pattern: Pattern,
    best: Pattern,
}

impl Filling<'_> {
    /// Large items first; ends with the first filling that leaves nothing free.
    fn search(&mut self, from: usize, room: u64) {
        if room < self.waste {
            self.waste = room;
            self.best.clone_from(&self.pattern);
        }
        let mut at = from + self.sizes[from..].partition_point(|&size| size > room);
        while at < self.sizes.len() {
            if self.waste == 0 || self.nodes == 0 {
                return;
            }
            self.nodes -= 1;
            let started = u32::from(self.pattern[0].0 as usize == at);
            let most = u64::from(self.left[at] - started).min(room / self.sizes[at]);
            for take in (1..=most).rev() {
                self.pattern.push((at as u32, take as u32));
                if at + 1 < self.sizes.len() {
                    self.search(at + 1, room - take * self.sizes[at]);
                } else if room - take * self.sizes[at] < self.waste {
                    self.waste = room - take * self.sizes[at];
                    self.best.clone_from(&self.pattern);
                }
                self.pattern.pop();
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::placement::packing::{Argument, Packing, Problem, bounds, verify};

    proptest! {
        #[test]
        fn packs_everything(capacity in 1..200u64, sizes in prop::collection::vec(1..200u64, 0..60)) {
            let sizes = sizes.into_iter().map(|size| size.min(capacity)).collect();
            let problem = Problem::new(capacity, sizes).unwrap();
            let kinds = Kinds::of(&problem);
            let found = bins(&kinds, kinds.counts.clone(), &mut || false).unwrap();
            let packing =
                Packing { bins: kinds.assign(&found), bound: bounds::sum(&kinds), argument: Argument::Sum };
            prop_assert_eq!(verify(&problem, &packing), Ok(()));
        }
    }

    #[test]
    fn finds_what_fills_a_bin() {
        let kinds = Kinds::of(&Problem::new(100, vec![60, 30, 25, 21, 19, 45]).unwrap());
        let found = bins(&kinds, kinds.counts.clone(), &mut || false).unwrap();
        let sizes: Vec<u64> = found[0].0.iter().map(|&(kind, _)| kinds.sizes[kind as usize]).collect();
        assert_eq!(sizes, [60, 21, 19]);
    }
}
