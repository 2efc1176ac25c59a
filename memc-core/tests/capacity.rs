//! Planning against second, simpler implementations, on small cases.
// A test fails by panicking, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use memc_core::model::{HostId, Mib, Rack};
use memc_core::placement::capacity::Demand;
use memc_core::placement::capacity::fit::{self, Fit, Obstacle, fit};
use memc_core::placement::{Layout, LayoutHost};
use proptest::prelude::*;

/// More work than any case here takes.
const ENOUGH: u64 = 50_000_000;

fn mib(mib: u64) -> Mib {
    Mib::new(mib).unwrap()
}

fn rack(number: u8) -> Option<Rack> {
    (number > 0).then(|| Rack::new(&format!("r{number}")).unwrap())
}

fn host(number: usize, room: u64, ports: u32, in_rack: u8, open: bool) -> LayoutHost {
    let (limit, booked) = (mib(room + 5), mib(5));
    LayoutHost {
        id: HostId::new(number as u64),
        rack: rack(in_rack),
        memory: mib(room + 9),
        limit,
        booked,
        ports,
        open,
    }
}

prop_compose! {
    fn hosts(most: usize)(
        shapes in prop::collection::vec((0..24u64, 0..4u32, 0..3u8, prop::bool::weighted(0.9)), 0..=most),
    ) -> Layout {
        let hosts = shapes.into_iter().enumerate()
            .map(|(at, (room, ports, in_rack, open))| host(at, room, ports, in_rack, open)).collect();
        Layout { hosts, ..Layout::default() }
    }
}

prop_compose! {
    fn demand(largest: u64)(
        booked in 0..=largest,
        instances in 0..4u16,
        max_per_rack in prop::option::weighted(0.4, 0..3u16),
        beside in prop::collection::vec(0..7u32, 0..2),
    ) -> Demand {
        Demand { booked: mib(booked), instances, max_per_rack, beside }
    }
}

/// Whether everything from this instance on can be placed: every host is tried for every instance.
fn by_brute_force(
    layout: &Layout,
    demands: &[Demand],
    left: &mut [(u64, u32)],
    at: usize,
    used: &mut Vec<u32>,
) -> bool {
    let Some(demand) = demands.get(at) else {
        return true;
    };
    if used.len() == usize::from(demand.instances) {
        return by_brute_force(layout, demands, left, at + 1, &mut Vec::new());
    }
    (used.last().map_or(0, |last| last + 1)..layout.hosts.len() as u32).any(|host| {
        let (room, ports) = left[host as usize];
        let same_rack = |other: &&u32| {
            layout
                .hosts
                .get(**other as usize)
                .is_some_and(|other| other.rack == layout.hosts[host as usize].rack)
        };
        let mut beside = demand.beside.clone();
        beside.sort();
        beside.dedup();
        let in_rack = beside.iter().chain(used.iter()).filter(same_rack).count();
        if room < demand.booked.get()
            || ports == 0
            || beside.contains(&host)
            || demand.max_per_rack.is_some_and(|most| in_rack >= most.into())
        {
            return false;
        }
        left[host as usize] = (room - demand.booked.get(), ports - 1);
        used.push(host);
        let found = by_brute_force(layout, demands, left, at, used);
        used.pop();
        left[host as usize] = (room, ports);
        found
    })
}

fn fits_by_brute_force(layout: &Layout, demands: &[Demand]) -> bool {
    let mut left: Vec<(u64, u32)> =
        layout.hosts.iter().map(|host| (host.room().get(), if host.open { host.ports } else { 0 })).collect();
    by_brute_force(layout, demands, &mut left, 0, &mut Vec::new())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn fit_agrees_with_brute_force(layout in hosts(5), demands in prop::collection::vec(demand(14), 0..6)) {
        let answer = fit(&layout, &demands, ENOUGH);
        match &answer {
            Fit::Placed(_) => prop_assert!(fits_by_brute_force(&layout, &demands)),
            Fit::Infeasible(_) => prop_assert!(!fits_by_brute_force(&layout, &demands)),
            Fit::Undecided { .. } => prop_assert!(false, "undecided"),
        }
        prop_assert_eq!(fit::verify(&layout, &demands, &answer, ENOUGH), Ok(()));
        prop_assert!(answer.to_string().len() > 10);
    }

    /// The same without rack limits and ports, so that packing is what decides.
    #[test]
    fn tight_packings_agree_with_brute_force(
        rooms in prop::collection::vec(5..30u64, 1..5),
        demands in prop::collection::vec((2..16u64, 1..3u16), 1..8),
    ) {
        let hosts = rooms.iter().enumerate().map(|(at, room)| host(at, *room, 100, 0, true)).collect();
        let layout = Layout { hosts, ..Layout::default() };
        let demands: Vec<Demand> = demands.into_iter()
            .map(|(booked, instances)| Demand { booked: mib(booked), instances, ..Demand::default() }).collect();
        let answer = fit(&layout, &demands, ENOUGH);
        prop_assert_eq!(matches!(answer, Fit::Placed(_)), fits_by_brute_force(&layout, &demands));
        prop_assert!(!matches!(answer, Fit::Undecided { .. }), "undecided");
        prop_assert_eq!(fit::verify(&layout, &demands, &answer, ENOUGH), Ok(()));
    }

    /// Whatever claims to be an answer and is not one.
    #[test]
    fn a_wrong_fit_is_rejected(layout in hosts(5), demands in prop::collection::vec(demand(14), 1..6),
                               at in any::<prop::sample::Index>(), to in 0..6u32) {
        let answer = fit(&layout, &demands, ENOUGH);
        let rejected = |answer: Fit| fit::verify(&layout, &demands, &answer, ENOUGH).is_err();
        match answer {
            Fit::Placed(places) => {
                // Nothing that does not fit can be shown not to fit.
                let instances: u64 = demands.iter().map(|demand| u64::from(demand.instances)).sum();
                prop_assert!(rejected(Fit::Infeasible(Obstacle::Exhausted { work: 1 })), "exhausted");
                for ports in 0..=instances {
                    prop_assert!(rejected(Fit::Infeasible(Obstacle::Ports { instances, ports })), "ports");
                }
                let demand = at.index(demands.len());
                let mut fewer = places.clone();
                if fewer[demand].pop().is_some() {
                    prop_assert!(rejected(Fit::Placed(fewer)));
                }
                let mut twice = places.clone();
                if twice[demand].len() > 1 {
                    twice[demand][0] = twice[demand][1];
                    prop_assert!(rejected(Fit::Placed(twice)));
                }
                // Another host for one instance: as good as a direct check says.
                let mut moved = places.clone();
                if let Some(first) = moved[demand].first_mut() {
                    *first = to;
                    prop_assert_eq!(rejected(Fit::Placed(moved.clone())), !allowed(&layout, &demands, &moved));
                }
                prop_assert!(rejected(Fit::Placed(places[1..].to_vec())));
            }
            Fit::Infeasible(obstacle) => {
                for wrong in distortions(&obstacle) {
                    prop_assert!(rejected(Fit::Infeasible(wrong.clone())), "{wrong:?}");
                }
            }
            Fit::Undecided { .. } => {}
        }
    }
}

fn allowed(layout: &Layout, demands: &[Demand], places: &[Vec<u32>]) -> bool {
    let on = |host: usize| {
        demands
            .iter()
            .zip(places)
            .filter(move |(_, places)| places.contains(&(host as u32)))
            .map(|(demand, _)| demand)
    };
    let known =
        places.iter().flatten().all(|host| layout.hosts.get(*host as usize).is_some_and(|host| host.open));
    known
        && layout.hosts.iter().enumerate().all(|(at, host)| {
            on(at).count() <= host.ports as usize
                && on(at).map(|demand| demand.booked).sum::<Mib>() <= host.room()
                && on(at).all(|demand| !demand.beside.contains(&(at as u32)))
        })
        && demands.iter().zip(places).all(|(demand, places)| {
            let mut all: Vec<u32> = demand.beside.clone();
            all.retain(|host| (*host as usize) < layout.hosts.len());
            all.sort();
            all.dedup();
            all.extend(places);
            let rack = |host: &u32| layout.hosts[*host as usize].rack.clone();
            let unique = places.iter().all(|host| places.iter().filter(|other| *other == host).count() == 1);
            unique
                && places.iter().all(|host| {
                    let there = all.iter().filter(|other| rack(other) == rack(host)).count();
                    demand.max_per_rack.is_none_or(|most| there <= most.into())
                })
        })
}

/// The same obstacle with numbers that are not so.
fn distortions(obstacle: &Obstacle) -> Vec<Obstacle> {
    match *obstacle {
        Obstacle::Alone { demand, instances, places } => vec![
            Obstacle::Alone { demand: demand + 100, instances, places },
            Obstacle::Alone { demand, instances: instances + 1, places },
            Obstacle::Alone { demand, instances, places: places + 1 },
        ],
        Obstacle::Ports { instances, ports } => vec![
            Obstacle::Ports { instances: instances + 1, ports },
            Obstacle::Ports { instances, ports: ports + 1 },
        ],
        Obstacle::Count { at_least, instances, places } => vec![
            Obstacle::Count { at_least, instances: instances + 1, places },
            Obstacle::Count { at_least, instances, places: places + 1 },
            Obstacle::Count { at_least: mib(1000), instances, places },
        ],
        Obstacle::Room { at_least, alone, needed, usable } => vec![
            Obstacle::Room { at_least, alone: alone + 1, needed, usable },
            Obstacle::Room { at_least, alone, needed: needed + 1, usable },
            Obstacle::Room { at_least, alone, needed, usable: usable + 1 },
            Obstacle::Room { at_least: mib(1000), alone, needed, usable },
        ],
        Obstacle::Exhausted { .. } => Vec::new(),
    }
}
