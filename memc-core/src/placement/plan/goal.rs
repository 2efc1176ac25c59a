//! Where moves should lead: a host without movable instances, places for new ones, room to grow.

use super::board::Board;
use super::search::{Distance, Goal};

/// Up to this many hosts, every state is asked whether each instance still has a conceivable target.
const FEW_HOSTS: usize = 16;

/// Nothing movable on a host, which is closed.
pub(super) struct Empty {
    pub(super) host: u32,
}

impl Goal for Empty {
    fn distance(&self, board: &Board<'_>) -> Distance {
        let own: Vec<u32> = board.movable_on(self.host).collect();
        if own.is_empty() {
            return Distance::Done;
        }
        let few = board.rooms().len() <= FEW_HOSTS;
        let ports = || board.rooms().iter().map(|(_, host)| u64::from(board.ports(*host))).sum::<u64>();
        if board.rooms().len() < own.len() && ports() < own.len() as u64 {
            return Distance::Never;
        }
        let conceivable =
            |&instance: &u32| board.rooms().iter().any(|(_, host)| board.conceivable(instance, *host));
        if few && !own.iter().all(conceivable) {
            return Distance::Never;
        }
        Distance::AtLeast(own.iter().map(|instance| board.memory(*instance)).sum())
    }

    /// The one with the fewest targets: the order among them does not matter, since their targets only fill up.
    fn near(&self, board: &Board<'_>) -> Vec<u32> {
        let targets = |instance: &u32| board.targets(*instance).take(4).count();
        let first = board
            .movable_on(self.host)
            .min_by_key(|at| (targets(at), std::cmp::Reverse(board.need(*at)), *at));
        first.into_iter().collect()
    }
}

/// What leaving instances free, and what that makes go cold: (freed, memory).
type Leaving = (u64, u64);

/// The least that goes cold to free this much, if instances could leave in parts (the fractional knapsack of Dantzig
/// 1957, as a cover); `None` if all together are not enough.
fn cover(mut deficit: u64, mut leaving: Vec<Leaving>) -> Option<u64> {
    leaving.retain(|(freed, _)| *freed > 0);
    leaving.sort_by(|a, b| (u128::from(a.1) * u128::from(b.0)).cmp(&(u128::from(b.1) * u128::from(a.0))));
    let mut cold = 0u64;
    for (freed, memory) in leaving {
        if deficit == 0 {
            break;
        }
        if freed >= deficit {
            let part = (u128::from(memory) * u128::from(deficit)).div_ceil(u128::from(freed));
            return Some(cold.saturating_add(u64::try_from(part).unwrap_or(u64::MAX)));
        }
        deficit -= freed;
        cold = cold.saturating_add(memory);
    }
    (deficit == 0).then_some(cold)
}

/// Places for new instances of one cache, one a host.
pub(super) struct Places {
    need: u64,
    count: u64,
    max_per_rack: Option<u64>,
    /// Position of the cache, if it has instances.
    cache: Option<u32>,
    /// One of them that is about to leave and takes no place of its rack.
    leaving: Option<u32>,
    /// Moves on the board when hosts were judged.
    root: usize,
    judged: Vec<Judgement>,
    /// Places in each rack, and the hosts that could become one by what that costs.
    eligible: Vec<u64>,
    convertible: Vec<(u64, u32)>,
}

/// Whether a host could take a new instance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judgement {
    /// Now.
    Eligible,
    /// If at least this much goes cold.
    After(u64),
    /// Never.
    Never,
}

impl Places {
    /// Judge every host as it is now. O(hosts + instances).
    pub(super) fn new(
        board: &Board<'_>,
        need: u64,
        count: u64,
        max_per_rack: Option<u64>,
        cache: Option<u32>,
        leaving: Option<u32>,
    ) -> Self {
        let mut places = Places {
            need,
            count,
            max_per_rack,
            cache,
            leaving,
            root: board.steps().len(),
            judged: Vec::new(),
            eligible: vec![0; board.rack_count],
            convertible: Vec::new(),
        };
        for host in board.hosts() {
            let judgement = places.judge(board, host);
            match judgement {
                Judgement::Eligible => places.eligible[board.racks[host as usize] as usize] += 1,
                Judgement::After(cold) => places.convertible.push((cold, host)),
                Judgement::Never => {}
            }
            places.judged.push(judgement);
        }
        places.convertible.sort_unstable();
        places
    }

    /// How many hosts could take a new instance if everything that can be moved were gone, as far as racks allow
    /// whatever is moved.
    pub(super) fn conceivable(&self, board: &Board<'_>) -> u64 {
        let mut by_rack = self.eligible.clone();
        for (_, host) in &self.convertible {
            by_rack[board.racks[*host as usize] as usize] += 1;
        }
        by_rack.iter().map(|hosts| self.max_per_rack.map_or(*hosts, |most| most.min(*hosts))).sum()
    }

    fn judge(&self, board: &Board<'_>, host: u32) -> Judgement {
        if !board.usable(host) {
            return Judgement::Never;
        }
        let (mut cold, mut freed, mut excluded) = (0, 0, None);
        if let Some(cache) = self.cache
            && let Some(&member) = board.members(cache).iter().find(|member| board.host_of(**member) == host)
        {
            if !board.can_move(member) {
                return Judgement::Never;
            }
            (cold, freed, excluded) = (board.memory(member), board.booking(member), Some(member));
        }
        let wanted = board.booked(host).saturating_sub(freed).saturating_add(self.need);
        let deficit = wanted.saturating_sub(board.host(host).limit.get());
        if deficit == 0 {
            return if excluded.is_none() { Judgement::Eligible } else { Judgement::After(cold) };
        }
        let others = board.movable_on(host).filter(|other| Some(*other) != excluded);
        let leaving = others.map(|other| (board.booking(other), board.memory(other))).collect();
        cover(deficit, leaving).map_or(Judgement::Never, |more| Judgement::After(cold.saturating_add(more)))
    }

    /// Instances of the cache in each rack.
    fn held(&self, board: &Board<'_>, cache: u32) -> Vec<u64> {
        let mut held = vec![0; board.rack_count];
        for member in board.members(cache).iter().filter(|member| Some(**member) != self.leaving) {
            held[board.racks[board.host_of(*member) as usize] as usize] += 1;
        }
        held
    }

    /// Hosts whose state may differ from what was judged, with the judgement now.
    fn touched(&self, board: &Board<'_>) -> Vec<(u32, Judgement)> {
        let mut touched: Vec<u32> =
            board.steps()[self.root..].iter().flat_map(|step| [step.from, step.to]).collect();
        touched.sort_unstable();
        touched.dedup();
        touched.into_iter().map(|host| (host, self.judge(board, host))).collect()
    }

    /// Places there are now, as far as racks allow: hosts of a rack are alike here, so that counting is exact.
    fn available(&self, board: &Board<'_>, touched: &[(u32, Judgement)]) -> u64 {
        let mut eligible = self.eligible.clone();
        for (host, now) in touched {
            let rack = &mut eligible[board.racks[*host as usize] as usize];
            *rack -= u64::from(self.judged[*host as usize] == Judgement::Eligible);
            *rack += u64::from(*now == Judgement::Eligible);
        }
        let Some(most) = self.max_per_rack else { return eligible.iter().sum() };
        match self.cache {
            None => eligible.iter().map(|hosts| most.min(*hosts)).sum(),
            Some(cache) => {
                let held = self.held(board, cache);
                eligible.iter().zip(held).map(|(hosts, held)| most.saturating_sub(held).min(*hosts)).sum()
            }
        }
    }

    /// The cheapest hosts that could become places, and what that costs at least, dearest last.
    fn cheapest(&self, touched: &[(u32, Judgement)], count: usize) -> Vec<(u64, u32)> {
        let untouched = self
            .convertible
            .iter()
            .copied()
            .filter(|(_, host)| touched.iter().all(|(other, _)| other != host));
        let mut all: Vec<(u64, u32)> = untouched.take(count).collect();
        all.extend(touched.iter().filter_map(|(host, now)| match now {
            Judgement::After(cold) => Some((*cold, *host)),
            _ => None,
        }));
        all.sort_unstable();
        all.truncate(count);
        all
    }
}

impl Goal for Places {
    fn distance(&self, board: &Board<'_>) -> Distance {
        let touched = self.touched(board);
        let short = self.count.saturating_sub(self.available(board, &touched));
        if short == 0 {
            return Distance::Done;
        }
        let short = usize::try_from(short).unwrap_or(usize::MAX);
        // A move makes at most one more place: it frees a host, or takes one of the cache out of a full rack.
        let mut costs: Vec<u64> = self.cheapest(&touched, short).iter().map(|(cold, _)| *cold).collect();
        if let Some(cache) = self.cache.filter(|_| self.max_per_rack.is_some()) {
            let movable = board.members(cache).iter().filter(|member| board.can_move(**member));
            costs.extend(movable.map(|member| board.memory(*member)));
            costs.sort_unstable();
        }
        if costs.len() < short {
            return Distance::Never;
        }
        Distance::AtLeast(costs[..short].iter().fold(0, |sum, cold| sum.saturating_add(*cold)))
    }

    fn near(&self, board: &Board<'_>) -> Vec<u32> {
        let touched = self.touched(board);
        let short = self.count.saturating_sub(self.available(board, &touched)).min(64) as usize;
        let hosts = self.cheapest(&touched, short + 4);
        let mut near: Vec<u32> = hosts.iter().flat_map(|(_, host)| board.movable_on(*host)).collect();
        if let Some(cache) = self.cache.filter(|_| self.max_per_rack.is_some()) {
            near.extend(board.members(cache).iter().filter(|member| board.can_move(**member)));
        }
        near.sort_unstable();
        near.dedup();
        near
    }
}

/// Instances book more, wherever they are.
pub(super) struct Growth {
    /// Each instance with what it is to book.
    pub(super) wanted: Vec<(u32, u64)>,
}

impl Growth {
    fn wanted(&self, instance: u32) -> Option<u64> {
        self.wanted.iter().find(|(other, _)| *other == instance).map(|(_, booked)| *booked)
    }

    /// The hosts of the growing instances, with what each is short of.
    fn short(&self, board: &Board<'_>) -> Vec<(u32, u64)> {
        // One that books as much already grows whatever else is on its host.
        let grows = |(instance, wanted): &&(u32, u64)| *wanted > board.booking(*instance);
        let mut hosts: Vec<u32> =
            self.wanted.iter().filter(grows).map(|(instance, _)| board.host_of(*instance)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let short = |host: u32| {
            let mut booked = board.booked(host);
            for (instance, wanted) in
                self.wanted.iter().filter(grows).filter(|(instance, _)| board.host_of(*instance) == host)
            {
                booked = booked.saturating_sub(board.booking(*instance)).saturating_add(*wanted);
            }
            booked.saturating_sub(board.host(host).memory.get())
        };
        hosts.into_iter().map(|host| (host, short(host))).filter(|(_, short)| *short > 0).collect()
    }
}

impl Goal for Growth {
    fn distance(&self, board: &Board<'_>) -> Distance {
        let mut left = 0u64;
        let short = self.short(board);
        if short.is_empty() {
            return Distance::Done;
        }
        for (host, deficit) in short {
            let leaving = board.movable_on(host).map(|instance| {
                (self.wanted(instance).unwrap_or(0).max(board.booking(instance)), board.memory(instance))
            });
            match cover(deficit, leaving.collect()) {
                Some(cold) => left = left.saturating_add(cold),
                None => return Distance::Never,
            }
        }
        Distance::AtLeast(left)
    }

    fn near(&self, board: &Board<'_>) -> Vec<u32> {
        self.short(board).into_iter().flat_map(|(host, _)| board.movable_on(host)).collect()
    }
}
