//! Lower bounds on the cost of new hosts.

use std::collections::BTreeMap;

use super::super::super::Layout;
use super::super::Demand;
use super::column::{self, Kind, Knapsack};
use super::mix::{Cover, Mixes};
use super::{Argument, Bound, HostSize, Impossible, Wish};
use crate::model::Mib;

/// Up to this many kinds of instances, what fits on a host is worked out exactly, if the work allows.
const EXACT: usize = 64;
/// Up to this many kinds, L2 is tried.
const L2_KINDS: usize = 1_000;
/// Sets of hosts that are looked at one by one, at most.
const SETS: u64 = 200_000;
/// Thresholds tried for L2, for each size of host.
const THRESHOLDS: usize = 8;
/// Steps for the heaviest set of instances of one host.
const STEPS: u64 = 50_000;

/// The first demand that new hosts alone cannot hold, whatever their number.
pub(super) fn impossible(wish: &Wish<'_>) -> Option<Impossible> {
    wish.demands.iter().enumerate().find_map(|(at, demand)| {
        let in_racks =
            demand.max_per_rack.map_or(u64::MAX, |most| u64::from(most) * u64::from(wish.racks.get()));
        let places = if wish.sizes.iter().any(|size| holds(size, demand)) { in_racks } else { 0 };
        let instances = demand.instances.into();
        (places < instances).then_some(Impossible { demand: at, instances, places })
    })
}

pub(super) fn holds(size: &HostSize, demand: &Demand) -> bool {
    size.ports > 0 && size.limit >= demand.booked
}

/// The best bound, and what sets of hosts can be drawn up from.
pub(super) struct Bounds {
    pub(super) best: Bound,
    best_cover: Cover,
    sum_cover: Cover,
}

impl Bounds {
    /// Ways to draw up sets of hosts for a price: by memory, by what gave the best bound, and only of the size that
    /// holds every instance, of which enough hold everything.
    pub(super) fn mixes(&self, wish: &Wish<'_>) -> Vec<Mixes> {
        let largest = (0..wish.sizes.len())
            .filter(|at| wish.sizes[*at].ports > 0)
            .max_by_key(|at| (wish.sizes[*at].limit, std::cmp::Reverse(wish.sizes[*at].cost)));
        let values = (0..wish.sizes.len()).map(|at| u64::from(Some(at) == largest)).collect();
        let any = Cover { needed: 1, values, count: 0, counted: vec![true; wish.sizes.len()] };
        [&self.best_cover, &self.sum_cover, &any].map(|cover| Mixes::new(cover, wish.sizes)).into()
    }

    /// Every set of hosts that costs less than `below` and is not ruled out: the cheapest first, then those with the
    /// most memory. `None` where there would be too many to look at.
    pub(super) fn sets(&self, wish: &Wish<'_>, below: u64) -> Option<Vec<Vec<u32>>> {
        let costs: Vec<u64> = wish.sizes.iter().map(|size| size.cost.get().into()).collect();
        let spread = Spreading::new(wish);
        let number = costs.iter().fold(1u64, |all, cost| all.saturating_mul(below / cost + 1));
        if number > SETS || number.saturating_mul(spread.widest() as u64) > SETS * 64 {
            return None;
        }
        let mut sets: Vec<(u64, Vec<u32>)> = vec![(0, Vec::new())];
        for cost in &costs {
            let more = |(spent, hosts): &(u64, Vec<u32>)| {
                let (spent, hosts) = (*spent, hosts.clone());
                (0..)
                    .map(move |count| (spent + cost * u64::from(count), count))
                    .take_while(|(spent, _)| *spent < below)
                    .map(move |(spent, count)| (spent, [hosts.as_slice(), &[count]].concat()))
                    .collect::<Vec<_>>()
            };
            sets = sets.iter().flat_map(more).collect();
        }
        sets.retain(|(_, hosts)| self.best_cover.covered_by(hosts) && spread.allows(hosts));
        let memory = |hosts: &[u32]| -> u64 {
            wish.sizes.iter().zip(hosts).map(|(size, count)| size.limit.get() * u64::from(*count)).sum()
        };
        sets.sort_by_cached_key(|(spent, hosts)| (*spent, u64::MAX - memory(hosts), hosts.clone()));
        Some(sets.into_iter().map(|(_, hosts)| hosts).collect())
    }
}

/// What caches on many hosts bring to some of the hosts, wherever they go: all but as many of their instances as there
/// are other hosts. After Gale and Ryser's condition for matrices of zeros and ones (1957).
struct Spreading {
    /// Limits of the sizes with their positions, ascending.
    limits: Vec<(u64, usize)>,
    /// Hosts there that take instances.
    there: usize,
    /// What all demands bring at least to hosts beside which there are so many others, MiB; then nothing.
    brought: Vec<u128>,
}

impl Spreading {
    fn new(wish: &Wish<'_>) -> Self {
        let mut limits: Vec<(u64, usize)> =
            wish.sizes.iter().enumerate().map(|(at, size)| (size.limit.get(), at)).collect();
        limits.sort_unstable();
        let there = wish.layout.hosts.iter().filter(|host| host.open && host.ports > 0).count();
        let widest = wish.demands.iter().map(|demand| usize::from(demand.instances)).max().unwrap_or(0);
        // What one instance of each demand with more than so many books; from the most on, added up twice.
        let mut brought = vec![0u128; widest + 1];
        for demand in wish.demands.iter().filter(|demand| demand.instances > 0) {
            brought[usize::from(demand.instances) - 1] += u128::from(demand.booked.get());
        }
        for _ in 0..2 {
            for at in (0..widest).rev() {
                brought[at] += brought[at + 1];
            }
        }
        Spreading { limits, there, brought }
    }

    fn widest(&self) -> usize {
        self.brought.len()
    }

    /// Whether the smallest of the hosts, any number of them, hold what comes to them.
    fn allows(&self, hosts: &[u32]) -> bool {
        let mut others = self.there + hosts.iter().map(|count| *count as usize).sum::<usize>();
        let mut room = 0u128;
        self.limits.iter().all(|(limit, size)| {
            (0..hosts[*size]).all(|_| {
                others -= 1;
                room += u128::from(*limit);
                self.brought.get(others).is_none_or(|brought| *brought <= room)
            })
        })
    }
}

/// The best of the bounds by memory, number of instances, L2 and dual prices, each together with the number of hosts
/// that one demand needs.
pub(super) fn bounds(wish: &Wish<'_>, work: u64) -> Bounds {
    let kinds = kinds(wish.demands);
    let spreads = spreads(wish);
    // The simplest first: another argument has to prove more.
    let mut candidates = vec![(Argument::Count, vec![0; kinds.len()])];
    candidates.push((Argument::Sum, kinds.iter().map(|kind| kind.booked).collect()));
    candidates.push((Argument::Places, vec![1; kinds.len()]));
    if kinds.len() <= L2_KINDS {
        candidates.extend(l2(&kinds, wish.sizes).into_iter().map(|weights| (Argument::L2, weights)));
    }
    candidates.extend(column::prices(&kinds, wish.sizes, work).map(|weights| (Argument::Dual, weights)));

    let nothing = Cover { needed: 0, values: vec![0; wish.sizes.len()], count: 0, counted: Vec::new() };
    let none = Bound { cost: 0, argument: Argument::Sum, weights: Vec::new(), spread: None };
    let mut bounds = Bounds { best: none, best_cover: nothing.clone(), sum_cover: nothing };
    let mut by_sum = 0;
    for (argument, weights) in candidates {
        let Some((needed, values)) = weigh(wish, &kinds, &weights) else {
            continue;
        };
        for (spread, count, counted) in &spreads {
            let cover = Cover { needed, values: values.clone(), count: *count, counted: counted.clone() };
            let cost = cover.least_cost(wish.sizes);
            if argument == Argument::Sum && cost > by_sum {
                (by_sum, bounds.sum_cover) = (cost, cover.clone());
            }
            if cost > bounds.best.cost {
                bounds.best = Bound { cost, argument, weights: listed(&kinds, &weights), spread: *spread };
                bounds.best_cover = cover;
            }
        }
    }
    bounds
}

fn listed(kinds: &[Kind], weights: &[u64]) -> Vec<(Mib, u64)> {
    let all = kinds.iter().zip(weights).filter(|(_, weight)| **weight > 0);
    all.map(|(kind, weight)| (Mib::capped(kind.booked), *weight)).collect()
}

/// Instances by what they book, ascending.
fn kinds(demands: &[Demand]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    let mut order: Vec<&Demand> = demands.iter().filter(|demand| demand.instances > 0).collect();
    order.sort_by_key(|demand| demand.booked);
    for demand in order {
        let (booked, instances) = (demand.booked.get(), demand.instances.into());
        match kinds.last_mut().filter(|kind| kind.booked == booked) {
            Some(kind) => {
                kind.per_host += 1;
                kind.instances += instances;
            }
            None => kinds.push(Kind { booked, per_host: 1, instances }),
        }
    }
    kinds
}

/// Demands that may need more hosts than their memory does: of those that the same sizes hold, the one with the most
/// instances. With the number of new hosts it needs and the sizes that count; first, no demand.
fn spreads(wish: &Wish<'_>) -> Vec<(Option<usize>, u64, Vec<bool>)> {
    let mut widest: Vec<(Vec<bool>, usize)> = Vec::new();
    for (at, demand) in wish.demands.iter().enumerate().filter(|(_, demand)| demand.instances > 0) {
        let counted: Vec<bool> = wish.sizes.iter().map(|size| holds(size, demand)).collect();
        let rank = |at: usize| (wish.demands[at].instances, wish.demands[at].booked);
        match widest.iter_mut().find(|(same, _)| *same == counted) {
            Some((_, most)) if rank(at) > rank(*most) => *most = at,
            Some(_) => {}
            None => widest.push((counted, at)),
        }
    }
    let mut spreads = vec![(None, 0, vec![false; wish.sizes.len()])];
    spreads.extend(widest.into_iter().map(|(counted, at)| {
        let there = there(wish.layout, &wish.demands[at]);
        (Some(at), u64::from(wish.demands[at].instances).saturating_sub(there), counted)
    }));
    spreads
}

/// Hosts there that could take an instance of a demand, more than there may be with its rack limit.
fn there(layout: &Layout, demand: &Demand) -> u64 {
    let takes = |(at, host): &(usize, &super::super::super::LayoutHost)| {
        host.open && host.ports > 0 && host.room() >= demand.booked && !demand.beside.contains(&(*at as u32))
    };
    layout.hosts.iter().enumerate().filter(takes).count() as u64
}

/// The weight that new hosts have to hold, and the most that one of each size can.
fn weigh(wish: &Wish<'_>, kinds: &[Kind], weights: &[u64]) -> Option<(u64, Vec<u64>)> {
    let knapsack = Knapsack::new(kinds, weights);
    let all: u128 = kinds
        .iter()
        .zip(weights)
        .map(|(kind, weight)| u128::from(kind.instances) * u128::from(*weight))
        .sum();
    let there: u128 = wish
        .layout
        .hosts
        .iter()
        .filter(|host| host.open && host.ports > 0)
        .map(|host| u128::from(knapsack.at_most(host.room().get(), host.ports)))
        .sum();
    let needed = u64::try_from(all.saturating_sub(there)).unwrap_or(u64::MAX);
    let merged = (kinds.len() > EXACT).then(|| merged(kinds, weights));
    let merged = merged.as_ref().map(|(kinds, weights)| Knapsack::new(kinds, weights));
    let exact = merged.as_ref().unwrap_or(&knapsack);
    let most = |size: &HostSize| {
        let at_most = knapsack.at_most(size.limit.get(), size.ports);
        if exact.kinds() > EXACT {
            return at_most;
        }
        let mut steps = STEPS;
        let (heaviest, _) = exact.heaviest(size.limit.get(), size.ports, &mut steps);
        if steps > 0 { heaviest.min(at_most) } else { at_most }
    };
    let values: Vec<u64> = wish.sizes.iter().map(most).collect();
    (needed == 0 || values.iter().any(|value| *value > 0)).then_some((needed, values))
}

/// Instances of a weight as if all of them booked what the smallest does: a host holds no less of those.
fn merged(kinds: &[Kind], weights: &[u64]) -> (Vec<Kind>, Vec<u64>) {
    let mut of_weight: BTreeMap<u64, Kind> = BTreeMap::new();
    for (kind, weight) in kinds.iter().zip(weights).filter(|(_, weight)| **weight > 0) {
        let all = of_weight.entry(*weight).or_insert(Kind { booked: u64::MAX, per_host: 0, instances: 0 });
        all.booked = all.booked.min(kind.booked);
        all.per_host += kind.per_host;
        all.instances += kind.instances;
    }
    of_weight.into_iter().map(|(weight, kind)| (kind, weight)).unzip()
}

/// Weights of L2 for each size of host and some thresholds: what leaves less than the threshold beside it weighs a
/// whole host, what is below the threshold nothing, the rest its memory.
fn l2(kinds: &[Kind], sizes: &[HostSize]) -> Vec<Vec<u64>> {
    let mut all = Vec::new();
    for size in sizes {
        let limit = size.limit.get();
        let half: Vec<u64> =
            kinds.iter().map(|kind| kind.booked).filter(|booked| *booked <= limit / 2).collect();
        let tried = half.len().min(THRESHOLDS);
        for threshold in (0..tried).map(|at| half[at * half.len() / tried]) {
            let weight = |kind: &Kind| match kind.booked {
                booked if booked < threshold => 0,
                booked if booked > limit - threshold => limit.max(booked),
                booked => booked,
            };
            all.push(kinds.iter().map(weight).collect());
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}
