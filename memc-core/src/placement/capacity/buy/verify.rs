//! A check of [`buy`](super::buy())'s answers that shares no code with it.

use std::collections::BTreeMap;

use super::super::fit::{Site, placed, sites};
use super::super::{Demand, Flaw};
use super::{Argument, Bound, HostSize, Impossible, Purchase, Wish};
use crate::model::Mib;

/// Entries of a table for the cheapest hosts, at most; the solver has no larger one.
const ENTRIES: u64 = 1 << 23;

/// Check an answer against the wish alone: every instance placed as it may be, the cost that of the hosts, and the
/// bound one that follows from its weights.
///
/// O(n + k) for k instances on n hosts; the bound takes O(n d) for d sizes of instances, and where an estimate of what
/// a host holds does not suffice, a table of memory by number of instances for each size. `work` limits the entries of
/// a table; with less a bound may be rejected that holds.
///
/// # Errors
/// The first [`Flaw`] found.
pub fn verify(wish: &Wish<'_>, answer: &Result<Purchase, Impossible>, work: u64) -> Result<(), Flaw> {
    match answer {
        Ok(purchase) => {
            holds(wish, purchase)?;
            bounded(wish, &purchase.bound, work)?;
            let (stated, found) = (purchase.bound.cost, purchase.cost);
            if stated > found {
                return Err(Flaw::Number { what: "the bound on a purchase that costs less", stated, found });
            }
            Ok(())
        }
        Err(Impossible { demand, instances, places }) => {
            let asked = wish.demands.get(*demand).ok_or(Flaw::NoProof)?;
            let eligible =
                wish.sizes.iter().filter(|size| size.ports >= 1 && asked.booked <= size.limit).count();
            let found = match asked.max_per_rack {
                _ if eligible == 0 => 0,
                Some(most) => u64::from(most) * u64::from(wish.racks.get()),
                None => u64::MAX,
            };
            if *places != found {
                return Err(Flaw::Number { what: "the demand's places", stated: *places, found });
            }
            if *instances != u64::from(asked.instances) || found >= *instances {
                return Err(Flaw::NoProof);
            }
            Ok(())
        }
    }
}

fn holds(wish: &Wish<'_>, purchase: &Purchase) -> Result<(), Flaw> {
    if purchase.hosts.len() != wish.sizes.len() {
        let (stated, found) = (purchase.hosts.len() as u64, wish.sizes.len() as u64);
        return Err(Flaw::Number { what: "the number of host sizes", stated, found });
    }
    let mut cost = 0u64;
    let mut hosts = sites(wish.layout);
    let first_rack = hosts.iter().map(|host| host.rack + 1).max().unwrap_or(0);
    // Hosts that hold nothing need not be listed here, and a false answer may state any number of them.
    let used = purchase.places.iter().flatten().map(|host| *host as usize + 1).max().unwrap_or(0);
    let mut number = 0u32;
    for (size, count) in wish.sizes.iter().zip(&purchase.hosts) {
        cost = cost.saturating_add(u64::from(*count) * u64::from(size.cost.get()));
        for _ in 0..*count {
            if hosts.len() >= used {
                break;
            }
            let rack = first_rack + number % wish.racks;
            hosts.push(Site { room: size.limit.get(), ports: size.ports, rack, open: true });
            number += 1;
        }
    }
    if purchase.cost != cost {
        return Err(Flaw::Number { what: "the cost", stated: purchase.cost, found: cost });
    }
    let there = |host: &u32| (*host as usize) < wish.layout.hosts.len();
    let of_layout = |demand: &Demand| {
        let beside = demand.beside.iter().copied().filter(there).collect();
        Demand { beside, ..demand.clone() }
    };
    let demands: Vec<Demand> = wish.demands.iter().map(of_layout).collect();
    placed(&hosts, &demands, &purchase.places)
}

/// Whether no purchase can cost less than the bound says.
fn bounded(wish: &Wish<'_>, bound: &Bound, work: u64) -> Result<(), Flaw> {
    let weights: BTreeMap<Mib, u64> = bound.weights.iter().copied().collect();
    let one_each = weights.len() == bound.weights.len();
    let as_named = weights.iter().all(|(booked, weight)| match bound.argument {
        Argument::Count => false,
        Argument::Sum => *weight == booked.get(),
        Argument::Places => *weight == 1,
        Argument::L2 | Argument::Dual | Argument::Spread => true,
    });
    if !one_each || !as_named || (bound.argument == Argument::Count && bound.spread.is_none()) {
        return Err(Flaw::NoProof);
    }
    let (count, counted) = match bound.spread {
        Some(at) => {
            let demand = wish.demands.get(at).ok_or(Flaw::NoProof)?;
            let takes = |(at, host): &(usize, Site)| {
                let beside = demand.beside.contains(&(*at as u32));
                host.open && host.ports > 0 && host.room >= demand.booked.get() && !beside
            };
            let there = sites(wish.layout).into_iter().enumerate().filter(takes).count() as u64;
            let counted =
                wish.sizes.iter().map(|size| size.ports > 0 && size.limit >= demand.booked).collect();
            (u64::from(demand.instances).saturating_sub(there), counted)
        }
        None => (0, vec![false; wish.sizes.len()]),
    };
    let mut all = 0u128;
    let mut kinds: BTreeMap<(Mib, u64), u64> = BTreeMap::new();
    for demand in wish.demands.iter().filter(|demand| demand.instances > 0) {
        let weight = weights.get(&demand.booked).copied().unwrap_or(0);
        all += u128::from(weight) * u128::from(demand.instances);
        if weight > 0 {
            *kinds.entry((demand.booked, weight)).or_default() += 1;
        }
    }
    let groups = by_value(kinds.iter().map(|(&(booked, weight), &copies)| (weight, booked.get(), copies)));
    let open = sites(wish.layout).into_iter().filter(|host| host.open);
    let there: u128 = open.map(|host| estimate(&groups, host.room, host.ports)).sum();
    let needed = all.saturating_sub(there);

    // A host that is said to hold no more than 2^64 - 1 then holds all of it.
    let needed = needed.min(u64::MAX.into());
    let mut most: Vec<u128> =
        wish.sizes.iter().map(|size| estimate(&groups, size.limit.get(), size.ports)).collect();
    let stated = bound.cost;
    let least = |most: &[u128]| match bound.argument {
        Argument::Spread => cheapest_spread(wish, needed, most, count, &counted, stated, work),
        _ => Ok(least_cost(wish.sizes, needed, most, count, &counted, stated)),
    };
    let mut found = least(&most)?;
    // First as if all instances of a weight booked what the smallest of them does: that holds no less.
    for groups in [merged(&groups), groups] {
        if found >= stated {
            break;
        }
        for (most, size) in most.iter_mut().zip(wish.sizes) {
            let exact = heaviest(&groups, size.limit.get(), size.ports, work);
            *most = exact.map_or(*most, |exact| exact.min(*most));
        }
        found = least(&most)?;
    }
    if found < stated {
        return Err(Flaw::Number { what: "the bound", stated, found });
    }
    Ok(())
}

/// The cost of a set of hosts cheaper than `enough` that neither weight, nor number, nor the spread of caches rules
/// out; `enough` if there is none. Looks at every set.
fn cheapest_spread(
    wish: &Wish<'_>,
    needed: u128,
    values: &[u128],
    count: u64,
    counted: &[bool],
    enough: u64,
    work: u64,
) -> Result<u64, Flaw> {
    // Memory that one instance of each demand books, by the number of instances.
    let mut by_number: BTreeMap<u64, u128> = BTreeMap::new();
    for demand in wish.demands {
        *by_number.entry(demand.instances.into()).or_default() += u128::from(demand.booked.get());
    }
    let there = sites(wish.layout).iter().filter(|host| host.open && host.ports > 0).count() as u64;
    let mut small_first: Vec<usize> = (0..wish.sizes.len()).collect();
    small_first.sort_by_key(|at| wish.sizes[*at].limit);
    let overfull = |hosts: &[u64]| {
        let all = there + hosts.iter().sum::<u64>();
        let (mut taken, mut room) = (0, 0u128);
        for at in &small_first {
            for _ in 0..hosts[*at] {
                taken += 1;
                room += u128::from(wish.sizes[*at].limit.get());
                let others = all - taken;
                let wide = by_number.range(others + 1..);
                let brought: u128 = wide.map(|(number, booked)| u128::from(number - others) * booked).sum();
                if brought > room {
                    return true;
                }
            }
        }
        false
    };
    // Count up through all sets like an odometer, from no hosts at all.
    let (mut hosts, mut cost, mut visited) = (vec![0u64; wish.sizes.len()], 0u64, 0u64);
    loop {
        visited += 1 + hosts.iter().sum::<u64>();
        if visited > work {
            return Err(Flaw::TooMuchWork);
        }
        let weight: u128 = hosts.iter().zip(values).map(|(count, value)| u128::from(*count) * value).sum();
        let many: u64 =
            hosts.iter().zip(counted).filter(|(_, counted)| **counted).map(|(count, _)| count).sum();
        if cost < enough && weight >= needed && many >= count && !overfull(&hosts) {
            return Ok(cost);
        }
        let mut at = 0;
        loop {
            let Some(size) = wish.sizes.get(at) else {
                return Ok(enough);
            };
            cost += u64::from(size.cost.get());
            hosts[at] += 1;
            if cost < enough {
                break;
            }
            cost -= u64::from(size.cost.get()) * hosts[at];
            hosts[at] = 0;
            at += 1;
        }
    }
}

/// Instances of the same weight and size, and how many of them may share a host.
struct Group {
    weight: u64,
    booked: u64,
    copies: u64,
}

/// By weight for memory, the most first; those that book nothing before all.
fn by_value(kinds: impl Iterator<Item = (u64, u64, u64)>) -> Vec<Group> {
    let mut groups: Vec<Group> =
        kinds.map(|(weight, booked, copies)| Group { weight, booked, copies }).collect();
    groups.sort_by(|one, other| {
        (u128::from(other.weight) * u128::from(one.booked))
            .cmp(&(u128::from(one.weight) * u128::from(other.booked)))
    });
    groups
}

fn merged(groups: &[Group]) -> Vec<Group> {
    let mut of_weight: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for group in groups {
        let (booked, copies) = of_weight.entry(group.weight).or_insert((u64::MAX, 0));
        *booked = group.booked.min(*booked);
        *copies += group.copies;
    }
    by_value(of_weight.into_iter().map(|(weight, (booked, copies))| (weight, booked, copies)))
}

/// At least what the heaviest set of instances weighs that fits on a host.
fn estimate(groups: &[Group], room: u64, ports: u32) -> u128 {
    let fitting = || groups.iter().filter(|group| group.booked <= room);
    let by_ports = u128::from(ports) * u128::from(fitting().map(|group| group.weight).max().unwrap_or(0));
    let (mut left, mut weight) = (room, 0u128);
    for group in fitting() {
        let whole = left.checked_div(group.booked).unwrap_or(u64::MAX);
        if whole >= group.copies {
            weight += u128::from(group.weight) * u128::from(group.copies);
            left -= group.booked * group.copies;
        } else {
            weight += u128::from(left) * u128::from(group.weight) / u128::from(group.booked.max(1));
            break;
        }
    }
    weight.min(by_ports)
}

/// What the heaviest set weighs, from a table of memory by number of instances; `None` if that is too large.
fn heaviest(groups: &[Group], room: u64, ports: u32, work: u64) -> Option<u128> {
    let mut booked: Vec<(u64, u64)> = groups.iter().map(|group| (group.booked, group.copies)).collect();
    booked.sort_unstable();
    // The most instances that fit at all: where the ports suffice for those, their number does not matter.
    let (mut left, mut most) = (room, 0u64);
    for (booked, copies) in booked {
        let fit = left.checked_div(booked).unwrap_or(u64::MAX).min(copies);
        most += fit;
        left -= fit * booked;
    }
    let limited = u64::from(ports) < most;
    let width = if limited { u64::from(ports) + 1 } else { 1 };
    let entries = (room + 1).saturating_mul(width);
    // Copies in powers of two make any number of them.
    let mut parts: Vec<(u64, u64, u64)> = Vec::new();
    for group in groups {
        let mut left = group.copies.min(room.checked_div(group.booked).unwrap_or(u64::MAX)).min(ports.into());
        let mut part = 1;
        while left > 0 {
            let copies = part.min(left);
            parts.push((group.booked * copies, group.weight.saturating_mul(copies), copies));
            left -= copies;
            part *= 2;
        }
    }
    if entries.saturating_mul(parts.len() as u64 + 1) > work || entries > 1 << 27 {
        return None;
    }
    // The entry for memory m and n instances is the most weight within both.
    let mut table = vec![0u64; entries as usize];
    for (booked, weight, copies) in parts {
        let step = if limited { copies } else { 0 };
        for memory in (booked..=room).rev() {
            for number in (step..width).rev() {
                let before = ((memory - booked) * width + number - step) as usize;
                let at = (memory * width + number) as usize;
                table[at] = table[at].max(table[before].saturating_add(weight));
            }
        }
    }
    Some(table.last().copied().unwrap_or(0).into())
}

/// The least cost of hosts that hold a weight and are as many as counted, or `enough` if it is at least that.
fn least_cost(
    sizes: &[HostSize],
    needed: u128,
    values: &[u128],
    count: u64,
    counted: &[bool],
    enough: u64,
) -> u64 {
    let cost = |at: usize| u64::from(sizes[at].cost.get());
    let useful = (0..sizes.len()).filter(|at| values[*at] > 0);
    // Parts of hosts, and the number of hosts alone.
    let parts = useful.map(|at| (needed * u128::from(cost(at))).div_ceil(values[at])).min().unwrap_or(0);
    let alone = (0..sizes.len()).filter(|at| counted[*at]).map(cost).min().unwrap_or(0).saturating_mul(count);
    let simple = u64::try_from(parts).unwrap_or(u64::MAX).max(alone);
    if simple >= enough {
        return enough;
    }
    // Whole hosts: the most weight for each cost below `enough` and number of counted hosts, size by size.
    let mut unit = 0;
    for size in sizes {
        let mut other = u64::from(size.cost.get());
        while other > 0 {
            (unit, other) = (other, unit % other);
        }
    }
    let unit = unit.max(1);
    let levels = (enough - 1) / unit + 1;
    let width = count + 1;
    if levels.saturating_mul(width) > ENTRIES {
        return simple;
    }
    let mut most: Vec<Option<u128>> = vec![None; (levels * width) as usize];
    for level in 0..levels {
        most[(level * width) as usize] = Some(0);
    }
    for at in 0..sizes.len() {
        let cost = cost(at) / unit;
        for level in cost..levels {
            for number in (0..width).rev() {
                let from = if counted[at] { number.saturating_sub(1) } else { number };
                let with = most[((level - cost) * width + from) as usize].map(|weight| weight + values[at]);
                let entry = &mut most[(level * width + number) as usize];
                *entry = (*entry).max(with);
            }
        }
    }
    let reached = |level: &u64| most[(level * width + count) as usize].is_some_and(|weight| weight >= needed);
    (0..levels).find(reached).map_or(enough, |level| level * unit)
}
