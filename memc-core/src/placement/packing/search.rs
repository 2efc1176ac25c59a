//! The order in which packings and bounds are tried.

use super::kinds::{Bins, Kinds, Pattern, number};
use super::master::{End, Master, Pool, ZERO};
use super::pricing::Pricing;
use super::{Argument, Dual, bounds, fill, first_fit};

/// Column generation is tried for no more distinct sizes than this: a pivot costs their square.
const MOST_KINDS: usize = 1000;
/// Starts of the dive.
const STARTS: u32 = 1000;
/// Times that a dive turns back.
const TURNS: u32 = 60;
/// Patterns tried at each step of a dive.
const WIDTH: usize = 2;
/// The scale of dual weights.
const SCALE: u64 = 10_000_000_000;

/// The best packing and bound.
pub(super) struct Found {
    pub(super) bins: Bins,
    number: u64,
    pub(super) bound: u64,
    pub(super) argument: Argument,
}

impl Found {
    fn is_optimal(&self) -> bool {
        self.number <= self.bound
    }

    fn offer(&mut self, bins: Bins) {
        let number = number(&bins);
        if number < self.number {
            (self.bins, self.number) = (bins, number);
        }
    }
}

pub(super) fn search(kinds: &Kinds, stop: &mut dyn FnMut() -> bool) -> Found {
    let (bound, argument) = bounds::simple(kinds);
    let bins = first_fit::decreasing(kinds);
    let mut found = Found { number: number(&bins), bins, bound, argument };
    if found.is_optimal() || stop() {
        return found;
    }
    if let Some(bins) = fill::bins(kinds, kinds.counts.clone(), stop) {
        found.offer(bins);
    }
    if found.is_optimal() || kinds.len() > MOST_KINDS || stop() {
        return found;
    }
    let mut search = Search {
        kinds,
        pool: Pool::default(),
        pricing: Pricing::default(),
        random: Random(0x9e37_79b9_7f4a_7c15),
        found,
        stop,
    };
    let root = search.raise_bound();
    if !search.found.is_optimal() && !(search.stop)() {
        search.dive(root);
    }
    search.found
}

/// Marsaglia's xorshift: the same numbers every time.
struct Random(u64);

impl Random {
    /// In 0..1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

struct Search<'a> {
    kinds: &'a Kinds,
    pool: Pool,
    pricing: Pricing,
    random: Random,
    found: Found,
    stop: &'a mut dyn FnMut() -> bool,
}

/// A point of a dive to come back to.
struct Fork {
    master: Master,
    fixed: usize,
    /// Rows of the basis whose patterns are still to be tried, last first.
    choices: Vec<usize>,
}

impl Search<'_> {
    fn master(&mut self, left: Vec<u32>) -> Master {
        Master::new(self.kinds, left, &mut self.pool, &mut || self.random.next())
    }

    fn solve(&mut self, master: &mut Master, goal: u64) -> End {
        master.solve(self.kinds, &mut self.pool, &mut self.pricing, goal as f64, self.stop)
    }

    /// Raises the bound to that of the linear relaxation.
    fn raise_bound(&mut self) -> Master {
        for (bin, _) in self.found.bins.iter().take(2 * self.kinds.len()) {
            let mut bin = bin.clone();
            bin.sort_unstable();
            self.pool.column(bin);
        }
        let mut master = self.master(self.kinds.counts.clone());
        master.exchange = true;
        for exchange in [true, false] {
            if !exchange {
                master.end_exchange(&mut self.pool);
            }
            while !self.found.is_optimal() && self.solve(&mut master, self.found.bound) == End::Above {
                match self.weigh(master.center()) {
                    Some((bound, dual)) if bound > self.found.bound => {
                        self.found.bound = bound;
                        self.found.argument = Argument::Dual(dual);
                    }
                    _ => break,
                }
            }
        }
        master
    }

    /// Dual values as integers, and the bound that they prove.
    fn weigh(&self, duals: &[f64]) -> Option<(u64, Dual)> {
        let weight = |kind: usize| (duals[kind] * SCALE as f64) as u64;
        let by_size =
            (0..self.kinds.len()).rev().map(|kind| (self.kinds.sizes[kind], weight(kind))).collect();
        let dual = Dual { scale: SCALE, by_size };
        Some((bounds::dual(self.kinds, &dual)?, dual))
    }

    /// Dives until the packing is optimal: fixes what the relaxation uses wholly, then the pattern that it uses most,
    /// and solves what is left again; turns back where the relaxation needs more bins than an improvement may have.
    fn dive(&mut self, mut root: Master) {
        let (pairs, left) = pairs(self.kinds);
        for start in 0..STARTS {
            if self.found.is_optimal() {
                return;
            }
            let goal = self.found.number - 1;
            let (mut master, fixed) = if start % 2 == 0 {
                (root.clone(), Bins::new())
            } else {
                (self.master(left.clone()), pairs.clone())
            };
            let Some(rest) = goal.checked_sub(number(&fixed)) else { return };
            match self.solve(&mut master, rest) {
                End::Reached => {
                    if start % 2 == 0 {
                        root.clone_from(&master);
                    }
                    if !self.descend(master, &fixed, goal) {
                        return;
                    }
                }
                End::Above => return,
                End::Stopped if (self.stop)() => return,
                End::Stopped => {}
            }
        }
    }

    /// One dive for at most `goal` bins; `false` when stopped.
    fn descend(&mut self, mut master: Master, fixed: &Bins, goal: u64) -> bool {
        let mut bins = fixed.clone();
        let mut forks: Vec<Fork> = Vec::new();
        let mut turns = 0;
        loop {
            // The relaxation of what is left reaches the goal here.
            let whole: Vec<(usize, u32)> = master
                .solution(&self.pool)
                .filter(|&(_, _, value)| value >= 1.0 - ZERO)
                .map(|(row, _, value)| (row, (value + ZERO) as u32))
                .collect();
            for (row, times) in whole {
                self.fix(&mut master, row, times, &mut bins);
            }
            let rest = self.rest(&master.left);
            if number(&bins) + rest.len() as u64 <= goal {
                bins.extend(rest.into_iter().map(|bin| (bin, 1)));
                self.found.offer(bins);
                return true;
            }
            if master.active() * 2 < master.rows() {
                master = self.master(master.left.clone());
                if self.solve(&mut master, goal.saturating_sub(number(&bins))) == End::Stopped {
                    return !(self.stop)();
                }
            }
            let mut choices: Vec<(f64, usize)> =
                master.solution(&self.pool).map(|(row, _, value)| (value, row)).collect();
            for choice in &mut choices {
                choice.0 *= 1.0 + 0.2 * self.random.next();
            }
            choices.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
            let choices = choices.split_off(choices.len().saturating_sub(WIDTH));
            forks.push(Fork {
                master,
                fixed: bins.len(),
                choices: choices.into_iter().map(|(_, row)| row).collect(),
            });
            // The next choice of the last fork that has one, and a solution behind it.
            master = loop {
                let Some(fork) = forks.last_mut() else { return true };
                bins.truncate(fork.fixed);
                let Some(row) = fork.choices.pop() else {
                    forks.pop();
                    continue;
                };
                let mut next = if fork.choices.is_empty() {
                    let Some(fork) = forks.pop() else { return true };
                    fork.master
                } else {
                    fork.master.clone()
                };
                self.fix(&mut next, row, 1, &mut bins);
                if let Some(rest) = goal.checked_sub(number(&bins)) {
                    match self.solve(&mut next, rest) {
                        End::Reached => break next,
                        End::Stopped if (self.stop)() => return false,
                        End::Stopped | End::Above => {}
                    }
                }
                turns += 1;
                if turns > TURNS {
                    return true;
                }
            };
        }
    }

    /// Fixes as many bins of a row's pattern as there are items for.
    fn fix(&mut self, master: &mut Master, row: usize, times: u32, bins: &mut Bins) {
        let Some(pattern) = master.solution(&self.pool).find(|at| at.0 == row).map(|at| at.1.to_vec()) else {
            return;
        };
        let most = pattern.iter().map(|&(kind, count)| master.left[kind as usize] / count).min().unwrap_or(0);
        let times = times.min(most);
        master.fix(row, times, &self.pool);
        bins.push((pattern, times));
    }

    /// First-fit decreasing of what is left.
    fn rest(&self, left: &[u32]) -> Vec<Pattern> {
        let kinds = self.kinds;
        let mut bins: Vec<(u64, Pattern)> = Vec::new();
        for (kind, &count) in left.iter().enumerate() {
            let size = kinds.sizes[kind];
            let mut count = count;
            for (room, bin) in &mut bins {
                let take = u64::from(count).min(*room / size) as u32;
                if take > 0 {
                    *room -= size * u64::from(take);
                    bin.push((kind as u32, take));
                    count -= take;
                }
            }
            while count > 0 {
                let take = count.min(kinds.fits(kind));
                bins.push((kinds.capacity - size * u64::from(take), vec![(kind as u32, take)]));
                count -= take;
            }
        }
        bins.into_iter().map(|bin| bin.1).collect()
    }
}

/// Two items that fill a bin exactly are together in some optimal packing (Martello and Toth): such pairs, and what
/// they leave of each kind.
fn pairs(kinds: &Kinds) -> (Bins, Vec<u32>) {
    let mut left = kinds.counts.clone();
    let mut pairs = Bins::new();
    for kind in 0..kinds.len() {
        let other = kinds.capacity - kinds.sizes[kind];
        let at = kinds.sizes.partition_point(|&size| size > other);
        if at < kind || kinds.sizes.get(at) != Some(&other) {
            continue;
        }
        let (times, pair) = if at == kind {
            (left[kind] / 2, vec![(kind as u32, 2)])
        } else {
            (left[kind].min(left[at]), vec![(kind as u32, 1), (at as u32, 1)])
        };
        left[kind] -= times * if at == kind { 2 } else { 1 };
        if at != kind {
            left[at] -= times;
        }
        pairs.push((pair, times));
    }
    (pairs, left)
}
