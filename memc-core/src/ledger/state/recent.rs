//! What was touched lately, so that a state can be read a piece at a time while it goes on changing.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{ClusterId, HostId};

/// How many are remembered: more than are touched while a large cluster is read.
const MOST: usize = 1 << 15;

/// Something that is perhaps no longer what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ledger) enum Touched {
    /// A host, or what is on it.
    Host(HostId),
    /// Which hosts a cluster has, or a quota in it.
    Cluster(ClusterId),
}

/// A moment in the life of one state.
#[derive(Debug, Clone)]
pub(in crate::ledger) struct Mark {
    of: Arc<()>,
    /// How many had been touched by then.
    count: u64,
}

/// The last that were touched, drafts that were undone included. No part of what a state says, so any two are equal.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Tells this state from one that takes its place.
    of: Arc<()>,
    /// How many had been touched before the first of these.
    before: u64,
    touched: VecDeque<Touched>,
}

/// A copy goes its own way from here on.
impl Clone for Recent {
    fn clone(&self) -> Self {
        Recent::default()
    }
}

impl PartialEq for Recent {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Recent {}

impl Recent {
    pub(super) fn touch(&mut self, what: Touched) {
        if self.touched.len() == MOST {
            self.touched.pop_front();
            self.before += 1;
        }
        self.touched.push_back(what);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { of: Arc::clone(&self.of), count: self.before + self.touched.len() as u64 }
    }

    /// What was touched since, oldest first, up to `most`; with the moment up to which that is all, and whether that
    /// is now. `None` if that is not remembered.
    pub(super) fn since(
        &self,
        mark: &Mark,
        most: usize,
    ) -> Option<(impl Iterator<Item = Touched>, Mark, bool)> {
        let skipped = mark.count.checked_sub(self.before).filter(|_| Arc::ptr_eq(&self.of, &mark.of))?;
        let skipped = usize::try_from(skipped).ok()?;
        let left = self.touched.len().checked_sub(skipped)?;
        let there = left.min(most);
        let touched = self.touched.range(skipped..skipped + there).copied();
        Some((touched, Mark { count: mark.count + there as u64, ..mark.clone() }, there == left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_missed_or_it_says_so() {
        let mut recent = Recent::default();
        let start = recent.mark();
        let host = |number: usize| Touched::Host(HostId::new(number as u64));
        (0..3).for_each(|_| recent.touch(host(1)));
        let (touched, mark, all) = recent.since(&start, 2).unwrap();
        assert_eq!((touched.count(), all), (2, false));
        let (touched, mark, all) = recent.since(&mark, 2).unwrap();
        assert_eq!((touched.collect::<Vec<_>>(), all), (vec![host(1)], true));
        (0..MOST).for_each(|number| recent.touch(host(number)));
        assert_eq!(recent.since(&mark, usize::MAX).unwrap().0.count(), MOST);
        recent.touch(host(0));
        assert!(recent.since(&mark, usize::MAX).is_none());
        assert!(recent.clone().since(&recent.mark(), 1).is_none(), "another state");
    }
}
