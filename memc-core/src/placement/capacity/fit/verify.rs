//! A check of [`fit`](super::fit())'s answers that shares no code with it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::{Layout, LayoutHost};
use super::super::racks::racks;
use super::super::{Demand, Flaw};
use super::{Fit, Obstacle};
use crate::model::{Mib, Rack};

/// Check an answer against the question alone: that places are allowed, or that the stated obstacle is one.
/// [`Fit::Undecided`] claims nothing and always passes.
///
/// O(n + k) for k placed instances on n hosts; O(n d) for a bound over d demands. An [`Obstacle::Exhausted`] is checked
/// by another exhaustive method, host by host; `work` limits the states it visits.
///
/// # Errors
/// The first [`Flaw`] found; [`Flaw::TooMuchWork`] at the limit.
pub fn verify(layout: &Layout, demands: &[Demand], fit: &Fit, work: u64) -> Result<(), Flaw> {
    match fit {
        Fit::Placed(places) => placed(&sites(layout), demands, places),
        Fit::Infeasible(obstacle) => obstructed(&layout.hosts, demands, obstacle, work),
        Fit::Undecided { .. } => Ok(()),
    }
}

/// A host as a place for new instances.
#[derive(Debug, Clone)]
pub(in super::super) struct Site {
    pub(in super::super) room: u64,
    pub(in super::super) ports: u32,
    /// Hosts with the same number fail together.
    pub(in super::super) rack: u32,
    pub(in super::super) open: bool,
}

/// The hosts of a layout.
pub(in super::super) fn sites(layout: &Layout) -> Vec<Site> {
    let numbers = racks(layout).0;
    let site = |(host, rack): (&LayoutHost, u32)| {
        let (room, ports, open) = (host.room().get(), host.ports, host.open);
        Site { room, ports, rack, open }
    };
    layout.hosts.iter().zip(numbers).map(site).collect()
}

/// Whether every instance has a place that it may have. Shared with the check of purchases.
pub(in super::super) fn placed(hosts: &[Site], demands: &[Demand], places: &[Vec<u32>]) -> Result<(), Flaw> {
    if places.len() != demands.len() {
        let (stated, found) = (places.len() as u64, demands.len() as u64);
        return Err(Flaw::Number { what: "the number of demands", stated, found });
    }
    let mut booked = vec![0u64; hosts.len()];
    let mut instances = vec![0u64; hosts.len()];
    for (demand, (asked, given)) in demands.iter().zip(places).enumerate() {
        if given.len() != usize::from(asked.instances) {
            let (wanted, found) = (asked.instances.into(), given.len() as u64);
            return Err(Flaw::Instances { demand, wanted, found });
        }
        let mut used: BTreeSet<u32> = asked.beside.iter().copied().collect();
        let mut in_rack: BTreeMap<u32, u64> = BTreeMap::new();
        for host in used.iter().filter_map(|host| hosts.get(*host as usize)) {
            *in_rack.entry(host.rack).or_default() += 1;
        }
        for &host in given {
            let site = hosts.get(host as usize).filter(|site| site.open);
            let site = site.filter(|_| used.insert(host)).ok_or(Flaw::Host { demand, host })?;
            let found = in_rack.entry(site.rack).or_default();
            *found += 1;
            if let Some(allowed) = asked.max_per_rack.filter(|allowed| *found > u64::from(*allowed)) {
                return Err(Flaw::Rack { demand, host, found: *found, allowed });
            }
            let at = host as usize;
            booked[at] = booked[at].saturating_add(asked.booked.get());
            instances[at] += 1;
        }
    }
    for (at, host) in hosts.iter().enumerate() {
        if instances[at] > host.ports.into() {
            return Err(Flaw::Ports { host: at as u32, ports: host.ports, instances: instances[at] });
        }
        if instances[at] > 0 && booked[at] > host.room {
            return Err(Flaw::Memory { host: at as u32, booked: booked[at] - host.room });
        }
    }
    Ok(())
}

fn equal(what: &'static str, stated: u64, found: u64) -> Result<(), Flaw> {
    if stated == found { Ok(()) } else { Err(Flaw::Number { what, stated, found }) }
}

fn proves(so: bool) -> Result<(), Flaw> {
    if so { Ok(()) } else { Err(Flaw::NoProof) }
}

fn obstructed(hosts: &[LayoutHost], demands: &[Demand], why: &Obstacle, work: u64) -> Result<(), Flaw> {
    let usable = |host: &&LayoutHost, at_least: Mib| host.open && host.ports > 0 && host.room() >= at_least;
    let asked = || demands.iter().filter(|demand| demand.instances > 0);
    let total = |at_least: Mib| -> u64 {
        asked().filter(|demand| demand.booked >= at_least).map(|demand| u64::from(demand.instances)).sum()
    };
    match *why {
        Obstacle::Alone { demand, instances, places } => {
            let asked = demands.get(demand).ok_or(Flaw::NoProof)?;
            equal("the demand's instances", instances, asked.instances.into())?;
            equal("the demand's places", places, places_of(hosts, asked))?;
            proves(places < instances)
        }
        Obstacle::Ports { instances, ports } => {
            let smallest = asked().map(|demand| demand.booked).min().unwrap_or_default();
            let found =
                hosts.iter().filter(|host| usable(host, smallest)).map(|host| u64::from(host.ports)).sum();
            equal("the number of instances", instances, total(Mib::ZERO))?;
            equal("the number of ports", ports, found)?;
            proves(ports < instances)
        }
        Obstacle::Count { at_least, instances, places } => {
            let mut sizes: Vec<Mib> =
                asked().map(|demand| demand.booked).filter(|booked| *booked >= at_least).collect();
            sizes.sort_unstable();
            let on_host = |host: &LayoutHost| {
                let mut left = host.room().get();
                let fits = |size: &&Mib| left.checked_sub(size.get()).inspect(|rest| left = *rest).is_some();
                sizes.iter().take(host.ports as usize).take_while(fits).count() as u64
            };
            let found = hosts.iter().filter(|host| usable(host, at_least)).map(on_host).sum();
            equal("the number of instances", instances, total(at_least))?;
            equal("the number of places", places, found)?;
            proves(places < instances)
        }
        Obstacle::Room { at_least, alone, needed, usable: left } => {
            let rooms: Vec<u64> =
                hosts.iter().filter(|host| usable(host, at_least)).map(|host| host.room().get()).collect();
            let (found_alone, found_needed, found_left) = rest(rooms, demands, at_least)?;
            equal("the number that need their own host", alone, found_alone)?;
            equal("the memory needed", needed, found_needed)?;
            equal("the usable memory", left, found_left)?;
            proves(needed > left)
        }
        Obstacle::Exhausted { .. } => proves(!placeable(hosts, demands, work)?),
    }
}

fn places_of(hosts: &[LayoutHost], demand: &Demand) -> u64 {
    let mut racks: BTreeMap<Option<&Rack>, (u64, u64)> = BTreeMap::new();
    for (at, host) in hosts.iter().enumerate() {
        let (held, eligible) = racks.entry(host.rack.as_ref()).or_default();
        if demand.beside.contains(&(at as u32)) {
            *held += 1;
        } else if host.open && host.ports > 0 && host.room() >= demand.booked {
            *eligible += 1;
        }
    }
    let allowed = demand.max_per_rack.map_or(u64::MAX, u64::from);
    racks.values().map(|(held, eligible)| allowed.saturating_sub(*held).min(*eligible)).sum()
}

/// How many instances of at least this size fit beside no other of them, what the others need, and what the hosts of
/// these rooms can hold of those at most.
fn rest(mut rooms: Vec<u64>, demands: &[Demand], at_least: Mib) -> Result<(u64, u64, u64), Flaw> {
    let most = rooms.iter().max().copied().unwrap_or_default();
    let of_size = demands.iter().filter(|demand| demand.instances > 0 && demand.booked >= at_least);
    let (others, mut large): (Vec<&Demand>, Vec<&Demand>) =
        of_size.partition(|demand| demand.booked.get().saturating_add(at_least.get()) <= most);
    rooms.sort_unstable();
    large.sort_by_key(|demand| demand.booked);
    let mut alone = 0;
    for demand in large.iter().rev() {
        for _ in 0..demand.instances {
            let at = rooms.partition_point(|room| *room < demand.booked.get());
            if at == rooms.len() {
                return Err(Flaw::NoProof);
            }
            rooms.remove(at);
            alone += 1;
        }
    }
    let needed = others
        .iter()
        .map(|demand| u128::from(demand.booked.get()) * u128::from(demand.instances))
        .sum::<u128>()
        .min(u64::MAX.into()) as u64;
    let hold = |room: u64| {
        let largest = others.iter().map(|demand| demand.booked.get()).filter(|booked| *booked <= room).max();
        match (largest, at_least.get()) {
            (None, _) => 0,
            (Some(_), 0) => room.into(),
            (Some(largest), smallest) => (u128::from(room / smallest) * u128::from(largest)).min(room.into()),
        }
    };
    let left = rooms.into_iter().map(hold).sum::<u128>().min(u64::MAX.into()) as u64;
    Ok((alone, needed, left))
}

/// Whether all demands can be placed, by visiting hosts rack by rack and keeping every reachable state: what is left
/// of each demand, and how much of it is in the rack.
pub(super) fn placeable(hosts: &[LayoutHost], demands: &[Demand], work: u64) -> Result<bool, Flaw> {
    let mut in_order: Vec<usize> = (0..hosts.len()).collect();
    in_order.sort_by_key(|at| (&hosts[*at].rack, *at));
    let already_in = |rack: &Option<Rack>| -> Vec<u64> {
        let held = |demand: &Demand| {
            let beside: BTreeSet<u32> = demand.beside.iter().copied().collect();
            beside.iter().filter_map(|at| hosts.get(*at as usize)).filter(|host| host.rack == *rack).count()
                as u64
        };
        demands.iter().map(held).collect()
    };
    let mut states: BTreeSet<(Vec<u16>, Vec<u64>)> = BTreeSet::new();
    states.insert((demands.iter().map(|demand| demand.instances).collect(), vec![0; demands.len()]));
    let mut visited = 0u64;
    for (place, &at) in in_order.iter().enumerate() {
        let host = &hosts[at];
        if place == 0 || hosts[in_order[place - 1]].rack != host.rack {
            let held = already_in(&host.rack);
            states = states.into_iter().map(|(left, _)| (left, held.clone())).collect();
        }
        let hosts_left = hosts.len() - place - 1;
        let mut on_host: BTreeSet<_> = states
            .into_iter()
            .map(|(left, held)| (left, held, host.room().get(), if host.open { host.ports } else { 0 }))
            .collect();
        for (which, demand) in demands.iter().enumerate() {
            if demand.beside.contains(&(at as u32)) {
                continue;
            }
            let mut taken = Vec::new();
            for (left, held, room, ports) in &on_host {
                let allowed = demand.max_per_rack.is_none_or(|allowed| held[which] < allowed.into());
                if left[which] > 0 && allowed && *ports > 0 && demand.booked.get() <= *room {
                    let (mut left, mut held) = (left.clone(), held.clone());
                    left[which] -= 1;
                    held[which] += 1;
                    taken.push((left, held, room - demand.booked.get(), ports - 1));
                }
            }
            visited = visited.saturating_add(taken.len() as u64);
            if visited > work {
                return Err(Flaw::TooMuchWork);
            }
            on_host.extend(taken);
        }
        states = on_host
            .into_iter()
            .map(|(left, held, _, _)| (left, held))
            .filter(|(left, _)| left.iter().all(|left| usize::from(*left) <= hosts_left))
            .collect();
    }
    Ok(states.iter().any(|(left, _)| left.iter().all(|left| *left == 0)))
}
