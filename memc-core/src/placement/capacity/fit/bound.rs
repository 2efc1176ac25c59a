//! Bounds that show that demands cannot fit.

use std::collections::BTreeMap;

use super::super::Demand;
use super::super::bins::{Bins, Spread};
use super::Obstacle;
use crate::model::Mib;

/// The most sizes that are tried as a threshold, spread over all of them.
const THRESHOLDS: usize = 256;

/// A reason why these demands cannot fit, if one of the bounds gives it.
///
/// O(d r log n) for d demands of different shapes and r racks, and O(t (n log d + d)) for t thresholds.
pub(super) fn obstacle(bins: &Bins, demands: &[Demand], spreads: &[Spread]) -> Option<Obstacle> {
    alone(bins, demands, spreads).or_else(|| together(bins, demands))
}

fn alone(bins: &Bins, demands: &[Demand], spreads: &[Spread]) -> Option<Obstacle> {
    let mut by_rack = vec![Vec::new(); bins.racks];
    for host in 0..bins.room.len() {
        if bins.ports[host] > 0 {
            by_rack[bins.rack[host] as usize].push(bins.room[host]);
        }
    }
    by_rack.iter_mut().for_each(|rooms| rooms.sort_unstable());
    // Demands without other instances differ only in these; the one with the most instances stands for all.
    let mut shapes = BTreeMap::new();
    let mut chosen = Vec::new();
    for (at, demand) in demands.iter().enumerate() {
        if demand.beside.is_empty() {
            let most = shapes.entry((demand.booked, demand.max_per_rack)).or_insert(at);
            if demands[*most].instances < demand.instances {
                *most = at;
            }
        } else {
            chosen.push(at);
        }
    }
    chosen.extend(shapes.into_values());
    chosen.sort_unstable();
    chosen.into_iter().find_map(|at| {
        let (booked, spread) = (demands[at].booked.get(), &spreads[at]);
        let mut eligible: Vec<usize> =
            by_rack.iter().map(|rooms| rooms.len() - rooms.partition_point(|room| *room < booked)).collect();
        let mut beside: Vec<u32> = demands[at].beside.clone();
        beside.sort_unstable();
        beside.dedup();
        for host in beside.into_iter().map(|host| host as usize).filter(|host| *host < bins.room.len()) {
            if bins.ports[host] > 0 && bins.room[host] >= booked {
                eligible[bins.rack[host] as usize] -= 1;
            }
        }
        let in_rack =
            |(rack, hosts): (usize, &usize)| (*hosts as u64).min(spread.left_in(rack as u32).into());
        let places: u64 = eligible.iter().enumerate().map(in_rack).sum();
        let instances = demands[at].instances.into();
        (places < instances).then_some(Obstacle::Alone { demand: at, instances, places })
    })
}

fn together(bins: &Bins, demands: &[Demand]) -> Option<Obstacle> {
    let mut sizes: Vec<(u64, u64)> = demands
        .iter()
        .filter(|demand| demand.instances > 0)
        .map(|demand| (demand.booked.get(), demand.instances.into()))
        .collect();
    sizes.sort_unstable();
    let smallest = sizes.first()?.0;
    let mut hosts: Vec<(u64, u32)> = bins
        .room
        .iter()
        .zip(&bins.ports)
        .filter(|(room, ports)| **ports > 0 && **room >= smallest)
        .map(|(room, ports)| (*room, *ports))
        .collect();
    hosts.sort_unstable();
    let instances: u64 = sizes.iter().map(|size| size.1).sum();
    let ports: u64 = hosts.iter().map(|host| u64::from(host.1)).sum();
    if instances > ports {
        return Some(Obstacle::Ports { instances, ports });
    }
    let mut starts: Vec<usize> =
        (0..sizes.len()).filter(|at| *at == 0 || sizes[at - 1].0 < sizes[*at].0).collect();
    if starts.len() > THRESHOLDS {
        starts = (0..THRESHOLDS).map(|at| starts[at * starts.len() / THRESHOLDS]).collect();
    }
    // What the smallest of the demands book together, one instance of each.
    let mut sums = vec![0u64];
    for size in &sizes {
        sums.push(sums[sums.len() - 1].saturating_add(size.0));
    }
    let largest_room = hosts.last().map_or(0, |host| host.0);
    starts.iter().find_map(|start| {
        count(&sizes, &sums, &hosts, *start).or_else(|| room(&sizes, &hosts, *start, largest_room))
    })
}

fn count(sizes: &[(u64, u64)], sums: &[u64], hosts: &[(u64, u32)], start: usize) -> Option<Obstacle> {
    let instances: u64 = sizes[start..].iter().map(|size| size.1).sum();
    let mut places = 0;
    for (room, ports) in hosts {
        let end = sums[start..].partition_point(|sum| sum - sums[start] <= *room);
        places += (end as u64 - 1).min((*ports).into());
        if places >= instances {
            return None;
        }
    }
    Some(Obstacle::Count { at_least: Mib::capped(sizes[start].0), instances, places })
}

fn room(sizes: &[(u64, u64)], hosts: &[(u64, u32)], start: usize, largest_room: u64) -> Option<Obstacle> {
    let at_least = sizes[start].0;
    let large =
        start + sizes[start..].partition_point(|size| size.0 <= largest_room.saturating_sub(at_least));
    let (others, large) = (&sizes[start..large], &sizes[large..]);
    let largest_within =
        |room: u64| others[..others.partition_point(|size| size.0 <= room)].last().map_or(0, |size| size.0);
    let usable = |room: u64| {
        // No more than fit in number, each as large as the largest that fits.
        room.checked_div(at_least).map_or(room, |most| room.min(most.saturating_mul(largest_within(room))))
    };
    let needed = others.iter().fold(0u64, |sum, size| sum.saturating_add(size.0.saturating_mul(size.1)));
    let mut left: u64 = hosts.iter().fold(0u64, |sum, host| sum.saturating_add(usable(host.0)));
    // The largest first, each on the smallest host that holds it: by exchange no other choice leaves more room.
    let mut unlisted = hosts.len();
    let mut holding = Vec::new();
    let mut alone = 0;
    for (booked, instances) in large.iter().rev() {
        while unlisted > 0 && hosts[unlisted - 1].0 >= *booked {
            unlisted -= 1;
            holding.push(hosts[unlisted].0);
        }
        for _ in 0..*instances {
            // Too few hosts for the large ones is for the bound on their number to say.
            left -= usable(holding.pop()?);
        }
        alone += instances;
    }
    (needed > left).then_some(Obstacle::Room { at_least: Mib::capped(at_least), alone, needed, usable: left })
}
