//! Items that come one by one, each to be placed for good before the next is known, where opening another host is a
//! choice.
//!
//! Best fit takes every host that an item fits, and so leaves rests that nothing fills. The rule here, after the shape
//! of what Romera-Paredes et al. (FunSearch, 2024) found: the tightest host if that leaves at most `a`, else the
//! tightest that leaves at least `b`, else a new one. Which `a` and `b` are right depends on the sizes to come. So the
//! stream looks ahead as rollouts do (Bertsekas, Tsitsiklis and Wu 1997): from the hosts as they are it tries
//! each of a few rules on as many items as it has seen, the very ones it has seen, forwards and backwards, and goes on
//! with the rule that opens the fewest hosts. Best fit is among them, and another rule must be clearly better. There
//! is nothing to set, and no randomness.

use std::collections::BTreeMap;

use super::ProblemError;

/// Items before the first look ahead. The next looks come each time that a quarter more items were seen.
const FIRST: usize = 16;
/// A look ahead goes no further than this many items.
const FARTHEST: usize = 4096;
/// What a rule has to save against best fit in both directions together: less is chance.
const SAVES: u64 = 3;

/// A host to put an item into.
#[derive(Debug, Clone, Copy)]
struct Rule {
    /// The tightest host is taken if it leaves at most this.
    exact: u64,
    /// Else the tightest that leaves at least this.
    rest: u64,
}

impl Rule {
    /// The room of the host to take; `None` for a new one. O(log n).
    fn choose<T>(self, rooms: &BTreeMap<u64, T>, size: u64) -> Option<u64> {
        let (&tightest, _) = rooms.range(size..).next()?;
        if tightest - size <= self.exact {
            return Some(tightest);
        }
        rooms.range(size.checked_add(self.rest)?..).next().map(|(&room, _)| room)
    }
}

/// Hosts of one capacity that a stream of items is packed into.
#[derive(Debug, Clone)]
pub struct Stream {
    capacity: u64,
    /// Hosts that are not full, by what is free.
    open: BTreeMap<u64, Vec<usize>>,
    hosts: usize,
    rule: Rule,
    /// The last sizes.
    seen: Vec<u64>,
    /// Items seen, and how many there must be for the next look ahead.
    items: usize,
    look: usize,
}

impl Stream {
    /// No hosts yet; `capacity` in the unit of the sizes.
    pub fn new(capacity: u64) -> Self {
        let rule = Rule { exact: capacity, rest: 0 };
        Self { capacity, open: BTreeMap::new(), hosts: 0, rule, seen: Vec::new(), items: 0, look: FIRST }
    }

    /// Best fit, which never looks ahead: to compare with.
    pub fn best_fit(capacity: u64) -> Self {
        Self { look: usize::MAX, ..Self::new(capacity) }
    }

    /// How many hosts are in use.
    pub fn hosts(&self) -> usize {
        self.hosts
    }

    /// The host (counted from 0) that an item of this size goes to, for good. An error if the size is not in
    /// `1..=capacity`. O(log n); the looks ahead cost some 300 placements an item more up to 4,096 items, ever less after.
    pub fn place(&mut self, size: u64) -> Result<usize, ProblemError> {
        if size == 0 || size > self.capacity {
            return Err(ProblemError::Size { item: self.items, size, capacity: self.capacity });
        }
        let taken = self.rule.choose(&self.open, size);
        let host = taken.and_then(|room| {
            let hosts = self.open.get_mut(&room)?;
            let host = hosts.pop();
            if hosts.is_empty() {
                self.open.remove(&room);
            }
            host
        });
        let host = host.unwrap_or_else(|| {
            self.hosts += 1;
            self.hosts - 1
        });
        let room = taken.unwrap_or(self.capacity) - size;
        if room > 0 {
            self.open.entry(room).or_default().push(host);
        }
        self.items += 1;
        if self.look < usize::MAX {
            if self.seen.len() >= 2 * FARTHEST {
                self.seen.drain(..FARTHEST);
            }
            self.seen.push(size);
            if self.items >= self.look {
                self.look = self.items + self.items / 4 + 1;
                self.rule = self.best_rule();
            }
        }
        Ok(host)
    }

    fn best_rule(&self) -> Rule {
        let items = &self.seen[self.seen.len().saturating_sub(FARTHEST)..];
        let rooms: BTreeMap<u64, usize> =
            self.open.iter().map(|(&room, hosts)| (room, hosts.len())).collect();
        let opens = |rule: Rule| {
            let forwards = self.opened(rule, rooms.clone(), items.iter());
            forwards + self.opened(rule, rooms.clone(), items.iter().rev())
        };
        let mut best = Rule { exact: self.capacity, rest: 0 };
        let mut fewest = opens(best).saturating_sub(SAVES - 1);
        let mut sorted = items.to_vec();
        sorted.sort_unstable();
        // Rests that hold a twelfth of the items, two twelfths, and so on.
        let mut rests: Vec<u64> = (0..12).map(|part| sorted[(sorted.len() - 1) * part / 12]).collect();
        rests.dedup();
        for part in (0..4).rev() {
            let exact = (u128::from(self.capacity) * part / 64) as u64;
            for &rest in rests.iter().rev().filter(|&&rest| rest > exact) {
                let rule = Rule { exact, rest };
                let opens = opens(rule);
                if opens < fewest {
                    (best, fewest) = (rule, opens);
                }
            }
        }
        best
    }

    /// How many hosts a rule opens for these items.
    fn opened<'a>(
        &self,
        rule: Rule,
        mut rooms: BTreeMap<u64, usize>,
        items: impl Iterator<Item = &'a u64>,
    ) -> u64 {
        let mut opened = 0;
        for &size in items {
            let taken = rule.choose(&rooms, size);
            match taken.and_then(|room| rooms.get_mut(&room).map(|hosts| (room, hosts))) {
                Some((room, 1)) => _ = rooms.remove(&room),
                Some((_, hosts)) => *hosts -= 1,
                None => opened += 1,
            }
            let room = taken.unwrap_or(self.capacity) - size;
            if room > 0 {
                *rooms.entry(room).or_default() += 1;
            }
        }
        opened
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(50))]

        #[test]
        fn no_host_is_over_its_capacity(
            capacity in 1..200u64,
            sizes in prop::collection::vec(1..200u64, 0..120),
            unit in prop::sample::select(vec![1, u64::MAX / 200]),
        ) {
            let mut stream = Stream::new(capacity * unit);
            let mut held: Vec<u64> = Vec::new();
            for size in sizes {
                let size = size.min(capacity) * unit;
                let host = stream.place(size).unwrap();
                prop_assert!(host <= held.len());
                if host == held.len() {
                    held.push(0);
                }
                held[host] += size;
                prop_assert!(held[host] <= capacity * unit);
            }
            prop_assert_eq!(stream.hosts(), held.len());
        }

        #[test]
        fn best_fit_takes_the_tightest(capacity in 1..60u64, sizes in prop::collection::vec(1..60u64, 0..60)) {
            let mut stream = Stream::best_fit(capacity);
            let mut rooms: Vec<u64> = Vec::new();
            for size in sizes {
                let size = size.min(capacity);
                stream.place(size).unwrap();
                match rooms.iter_mut().filter(|room| **room >= size).min() {
                    Some(room) => *room -= size,
                    None => rooms.push(capacity - size),
                }
            }
            prop_assert_eq!(stream.hosts(), rooms.len());
        }
    }

    #[test]
    fn sizes_that_no_host_holds_are_refused() {
        let mut stream = Stream::new(10);
        assert!(stream.place(0).is_err());
        assert!(stream.place(11).is_err());
        assert_eq!((stream.place(10), stream.place(1)), (Ok(0), Ok(1)));
    }
}
