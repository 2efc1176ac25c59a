//! Planning against second, simpler implementations, on small cases.
// A test fails by panicking, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::num::NonZeroU32;

use memc_core::model::{CacheId, HostId, InstanceId, Mib, Overhead, Rack, Timestamp};
use memc_core::placement::capacity::Demand;
use memc_core::placement::capacity::buy::{self, Argument, HostSize, Impossible, Purchase, Wish, buy};
use memc_core::placement::capacity::fit::{self, Fit, Obstacle, fit};
use memc_core::placement::capacity::fragmentation::fragmentation;
use memc_core::placement::capacity::growth::grow;
use memc_core::placement::capacity::loss::{self, Domain, Each, lose, survive};
use memc_core::placement::capacity::trend::{Trend, until_full};
use memc_core::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};
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

fn size((limit, ports, cost): (u64, u32, u32)) -> HostSize {
    HostSize { name: format!("{limit}"), limit: mib(limit), ports, cost: NonZeroU32::new(cost).unwrap() }
}

/// The layout with these new hosts.
fn with_new(wish: &Wish<'_>, hosts: &[u32]) -> Layout {
    let mut layout = wish.layout.clone();
    let mut number = 0;
    for (size, count) in wish.sizes.iter().zip(hosts) {
        for _ in 0..*count {
            let rack = Rack::new(&format!("new{}", number % wish.racks)).unwrap();
            layout.hosts.push(LayoutHost {
                id: HostId::new(1_000 + u64::from(number)),
                rack: Some(rack),
                memory: size.limit,
                limit: size.limit,
                booked: Mib::ZERO,
                ports: size.ports,
                open: true,
            });
            number += 1;
        }
    }
    layout
}

/// Whether a set of hosts that costs less than this holds everything, which `fits` decides.
fn cheaper_exists(
    wish: &Wish<'_>,
    hosts: &mut Vec<u32>,
    below: u64,
    fits: fn(&Layout, &[Demand]) -> bool,
) -> bool {
    let Some(size) = wish.sizes.get(hosts.len()) else {
        return fits(&with_new(wish, hosts), wish.demands);
    };
    let cost = u64::from(size.cost.get());
    (0..).take_while(|count| u64::from(*count) * cost < below).any(|count| {
        hosts.push(count);
        let found = cheaper_exists(wish, hosts, below - u64::from(count) * cost, fits);
        hosts.pop();
        found
    })
}

/// [`fit`], which has been compared with brute force: for cases where that would take too long.
fn fits(layout: &Layout, demands: &[Demand]) -> bool {
    match fit(layout, demands, ENOUGH) {
        Fit::Placed(_) => true,
        Fit::Infeasible(_) => false,
        Fit::Undecided { .. } => panic!("undecided"),
    }
}

prop_compose! {
    fn small_wish()(
        layout in hosts(2),
        demands in prop::collection::vec(demand(14), 0..5),
        sizes in prop::collection::vec((1..30u64, 0..5u32, 2..9u32), 1..4),
        racks in 1..4u32,
    ) -> (Layout, Vec<Demand>, Vec<HostSize>, NonZeroU32) {
        let largest = layout.hosts.len() as u32;
        let mut demands = demands;
        // What is beside a demand is in the layout.
        demands.iter_mut().for_each(|demand| demand.beside.retain(|host| *host < largest));
        (layout, demands, sizes.into_iter().map(size).collect(), NonZeroU32::new(racks).unwrap())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_purchase_and_its_bound_enclose_the_optimum((layout, demands, sizes, racks) in small_wish()) {
        let wish = Wish { demands: &demands, sizes: &sizes, racks, layout: &layout };
        let answer = buy(&wish, 1_000_000);
        prop_assert_eq!(buy::verify(&wish, &answer, ENOUGH), Ok(()));
        match answer {
            Ok(purchase) => {
                prop_assert!(purchase.bound.cost <= purchase.cost);
                prop_assert!(fits_by_brute_force(&with_new(&wish, &purchase.hosts), &demands));
                prop_assert!(!cheaper_exists(&wish, &mut Vec::new(), purchase.bound.cost, fits_by_brute_force), "bound too high");
                prop_assert!(purchase.to_string().contains("new host"));
            }
            // New hosts alone do not do, however many: so not on twelve of each size.
            Err(Impossible { demand, .. }) => {
                let new = Layout::default();
                let wish = Wish { layout: &new, ..wish };
                let alone = Demand { beside: Vec::new(), ..demands[demand].clone() };
                prop_assert!(!fits_by_brute_force(&with_new(&wish, &vec![12; sizes.len()]), &[alone]));
            }
        }
    }

    /// Few different numbers, so that hosts are often filled to the last MiB.
    #[test]
    fn tight_purchases_enclose_the_optimum(
        demands in prop::collection::vec((1..4u64, 1..5u16), 1..6),
        sizes in prop::collection::vec((2..8u64, 2..9u32), 1..3),
    ) {
        let demands: Vec<Demand> = demands.into_iter()
            .map(|(booked, instances)| Demand { booked: mib(booked), instances, ..Demand::default() }).collect();
        let sizes: Vec<HostSize> = sizes.into_iter().map(|(limit, cost)| size((limit, 99, cost))).collect();
        let (layout, racks) = (Layout::default(), NonZeroU32::new(3).unwrap());
        let wish = Wish { demands: &demands, sizes: &sizes, racks, layout: &layout };
        let answer = buy(&wish, 1_000_000);
        prop_assert_eq!(buy::verify(&wish, &answer, ENOUGH), Ok(()));
        if let Ok(purchase) = answer {
            prop_assert!(fits(&with_new(&wish, &purchase.hosts), &demands), "held");
            prop_assert!(!cheaper_exists(&wish, &mut Vec::new(), purchase.bound.cost, fits), "bound too high");
        }
    }

    #[test]
    fn a_wrong_purchase_is_rejected((layout, demands, sizes, racks) in small_wish(),
                                    at in any::<prop::sample::Index>(), to in 0..9u32) {
        let wish = Wish { demands: &demands, sizes: &sizes, racks, layout: &layout };
        let rejected = |answer: Result<Purchase, Impossible>| buy::verify(&wish, &answer, ENOUGH).is_err();
        match buy(&wish, 1_000_000) {
            Ok(right) => {
                let with = |change: &dyn Fn(&mut Purchase)| {
                    let mut wrong = right.clone();
                    change(&mut wrong);
                    rejected(Ok(wrong))
                };
                prop_assert!(with(&|purchase| purchase.cost += 1), "cost");
                prop_assert!(with(&|purchase| purchase.cost = purchase.cost.wrapping_sub(1)), "cost");
                prop_assert!(with(&|purchase| purchase.bound.cost = purchase.cost + 1), "bound");
                prop_assert!(with(&|purchase| { purchase.hosts[0] += 1 }), "hosts");
                prop_assert!(with(&|purchase| { purchase.hosts.pop(); }), "sizes");
                prop_assert!(with(&|purchase| purchase.places.push(Vec::new())), "demands");
                if !demands.is_empty() {
                    let demand = at.index(demands.len());
                    let moved = |purchase: &mut Purchase| purchase.places[demand].iter_mut().take(1).for_each(|on| *on = to);
                    let mut wrong = right.clone();
                    moved(&mut wrong);
                    let fine = allowed(&with_new(&wish, &right.hosts), &demands, &wrong.places);
                    prop_assert_eq!(with(&moved), !fine);
                    if right.places[demand].len() > 1 {
                        prop_assert!(with(&|purchase| purchase.places[demand][0] = purchase.places[demand][1]), "twice");
                    }
                    if !right.places[demand].is_empty() {
                        prop_assert!(with(&|purchase| { purchase.places[demand].pop(); }), "missing");
                    }
                }
                // With a host too many the cost leaves room for a bound that is above a purchase that there is.
                let last = sizes.len() - 1;
                let arguments =
                    [Argument::Count, Argument::Sum, Argument::Places, Argument::L2, Argument::Dual, Argument::Spread];
                for (argument, factor) in arguments.into_iter().flat_map(|argument| [0, 1, 3].map(|by| (argument, by))) {
                    for spread in [right.bound.spread, None, (!demands.is_empty()).then(|| at.index(demands.len()))] {
                        let inflated = |purchase: &mut Purchase| {
                            purchase.bound.argument = argument;
                            purchase.bound.spread = spread;
                            purchase.bound.cost = right.cost + 1;
                            purchase.hosts[last] += 1;
                            purchase.cost += u64::from(sizes[last].cost.get());
                            purchase.bound.weights.iter_mut().for_each(|entry| entry.1 *= factor);
                        };
                        prop_assert!(with(&inflated), "{argument:?}");
                    }
                }
                let dearer = |purchase: &mut Purchase| {
                    purchase.hosts[last] += 1;
                    purchase.cost += u64::from(sizes[last].cost.get());
                };
                prop_assert!(!with(&dearer), "a host too many is only dear");
                if let Some((first, _)) = right.bound.weights.first().copied() {
                    prop_assert!(with(&|purchase| purchase.bound.weights.push((first, 1))), "weights twice");
                }
                // Fewer hosts: those that are used are missing, or the optimum was not one.
                for (size, offer) in sizes.iter().enumerate() {
                    let fewer = |purchase: &mut Purchase| {
                        if purchase.hosts[size] > 0 {
                            purchase.hosts[size] -= 1;
                            purchase.cost -= u64::from(offer.cost.get());
                        }
                    };
                    prop_assert!(right.hosts[size] == 0 || !right.proved() || with(&fewer), "fewer");
                }
            }
            Err(Impossible { demand, instances, places }) => {
                prop_assert!(rejected(Err(Impossible { demand: demand + 100, instances, places })), "demand");
                prop_assert!(rejected(Err(Impossible { demand, instances: instances + 1, places })), "instances");
                prop_assert!(rejected(Err(Impossible { demand, instances, places: places + 1 })), "places");
            }
        }
    }
}

#[test]
fn each_argument_proves_something() {
    let (layout, racks) = (Layout::default(), NonZeroU32::new(4).unwrap());
    let prove = |demands: &[(u64, u16)], sizes: &[(u64, u32, u32)]| -> Purchase {
        let demands: Vec<Demand> = demands
            .iter()
            .map(|(booked, instances)| Demand {
                booked: mib(*booked),
                instances: *instances,
                ..Demand::default()
            })
            .collect();
        let sizes: Vec<HostSize> = sizes.iter().copied().map(size).collect();
        let wish = Wish { demands: &demands, sizes: &sizes, racks, layout: &layout };
        let answer = buy(&wish, 1_000_000);
        assert_eq!(buy::verify(&wish, &answer, ENOUGH), Ok(()));
        let purchase = answer.unwrap();
        assert!(purchase.proved(), "{purchase:?}");
        purchase
    };
    assert_eq!(prove(&[(10, 5)], &[(100, 9, 3)]).bound.argument, Argument::Count);
    assert_eq!(prove(&[(50, 1); 8], &[(100, 9, 3)]).bound.argument, Argument::Sum);
    let nine: Vec<(u64, u16)> = (1..10).map(|booked| (booked, 1)).collect();
    assert_eq!(prove(&nine, &[(100, 3, 3)]).bound.argument, Argument::Places);
    // None of 40 fits beside 61 of 100.
    let large = prove(&[&[(61, 1); 7][..], &[(40, 1), (38, 1)]].concat(), &[(100, 9, 3)]);
    assert_eq!((large.cost, large.bound.argument), (24, Argument::L2));
    // Small hosts get their part of the wide ones, 19 and 29, which they do not hold.
    let wide = prove(&[(19, 4), (9, 1), (10, 2), (29, 3)], &[(48, 9, 4), (30, 9, 3)]);
    assert_eq!((wide.cost, wide.bound.argument), (18, Argument::Spread));
    // Only one host can be filled.
    let mixed = prove(&[&[(40, 1); 10][..], &[(30, 1); 2]].concat(), &[(100, 9, 3)]);
    assert_eq!((mixed.cost, mixed.bound.argument), (18, Argument::Dual));
}

prop_compose! {
    /// A cluster with instances; bookings may be above the limit and above the memory.
    fn cluster(most: usize)(
        hosts in prop::collection::vec((0..40u64, 0..12u64, 0..4u32, 0..3u8, prop::bool::weighted(0.8)), 1..=most),
        caches in prop::collection::vec((1..12u64, prop::option::weighted(0.4, 1..3u16)), 1..6),
        instances in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(),
                                            0..4u64, prop::bool::weighted(0.9)), 0..10),
    ) -> Layout {
        let mut layout = Layout::default();
        for (at, (memory, kept, ports, in_rack, open)) in hosts.into_iter().enumerate() {
            let limit = mib(memory.saturating_sub(kept));
            let id = HostId::new(at as u64);
            let rack = rack(in_rack);
            layout.hosts.push(LayoutHost { id, rack, memory: mib(memory), limit, booked: Mib::ZERO, ports, open });
        }
        layout.caches = caches.iter().enumerate()
            .map(|(at, (_, max_per_rack))| LayoutCache { id: CacheId::new(at as u64), max_per_rack: *max_per_rack })
            .collect();
        for (at, (host, cache, shrinking, movable)) in instances.into_iter().enumerate() {
            let (host, cache) = (host.index(layout.hosts.len()) as u32, cache.index(caches.len()) as u32);
            if layout.instances.iter().any(|other| other.host == host && other.cache == cache) {
                continue;
            }
            let rebooked = mib(caches[cache as usize].0);
            let booked = rebooked.plus(mib(shrinking));
            layout.hosts[host as usize].booked = layout.hosts[host as usize].booked.plus(booked);
            let id = InstanceId::new(at as u64);
            layout.instances.push(LayoutInstance { id, cache, host, memory: rebooked, booked, rebooked, movable });
        }
        layout
    }
}

/// What has to be placed again and where, read off the definition.
fn orphans(layout: &Layout, lost: &dyn Fn(&LayoutHost) -> bool) -> (Layout, Vec<Demand>) {
    let is_lost = |instance: &&LayoutInstance| lost(&layout.hosts[instance.host as usize]);
    let of_cache =
        |cache: usize| layout.instances.iter().filter(move |instance| instance.cache as usize == cache);
    let demands = layout.caches.iter().enumerate().map(|(at, cache)| {
        let gone: Vec<_> = of_cache(at).filter(is_lost).filter(|instance| instance.movable).collect();
        Demand {
            booked: gone.iter().map(|instance| instance.rebooked).max().unwrap_or_default(),
            instances: gone.len() as u16,
            max_per_rack: cache.max_per_rack,
            beside: of_cache(at)
                .filter(|instance| !is_lost(instance))
                .map(|instance| instance.host)
                .collect(),
        }
    });
    let demands = demands.filter(|demand| demand.instances > 0).collect();
    let mut rest = layout.clone();
    rest.hosts.iter_mut().for_each(|host| host.open &= !lost(host));
    (rest, demands)
}

fn needed(demands: &[Demand]) -> Mib {
    demands.iter().map(|demand| demand.booked.times(demand.instances.into())).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn losses_agree_with_brute_force(layout in cluster(6)) {
        let hosts: Vec<Domain> = layout.hosts.iter().map(|host| Domain::Host(host.id)).collect();
        let mut racks: Vec<Domain> = layout.hosts.iter().map(|host| Domain::Rack(host.rack.clone())).collect();
        racks.sort();
        racks.dedup();
        for (each, domains) in [(Each::Host, hosts), (Each::Rack, racks)] {
            let survival = survive(&layout, each, ENOUGH);
            prop_assert_eq!(survival.checked, domains.len());
            prop_assert!(!survival.to_string().is_empty());
            let mut tightest = None;
            let mut short = 0;
            for domain in domains {
                let lost = |host: &LayoutHost| match &domain {
                    Domain::Host(id) => host.id == *id,
                    Domain::Rack(rack) => host.rack == *rack,
                };
                let (rest, demands) = orphans(&layout, &lost);
                let fits = fits_by_brute_force(&rest, &demands);
                let loss = lose(&layout, &domain, ENOUGH);
                prop_assert_eq!(&loss::without(&layout, &domain), &rest);
                let asked: Vec<Demand> = loss.caches.iter().map(|(_, demand)| demand.clone()).collect();
                prop_assert_eq!(&asked, &demands);
                prop_assert_eq!(matches!(loss.fit, Fit::Placed(_)), fits);
                prop_assert_eq!(fit::verify(&rest, &demands, &loss.fit, ENOUGH), Ok(()));
                prop_assert_eq!(loss.needed, needed(&demands));
                prop_assert_eq!(loss.left_over.is_empty(), fits);
                let shortfall = survival.shortfalls.iter().find(|shortfall| shortfall.domain == domain);
                prop_assert_eq!(shortfall.is_none(), fits);
                if let Some(shortfall) = shortfall {
                    short += 1;
                    let left: u32 = loss.left_over.iter().map(|(_, instances)| instances).sum();
                    prop_assert!(shortfall.proved);
                    prop_assert_eq!((shortfall.instances, shortfall.missing), (left, loss.missing));
                    // What is left over is missing: without it the rest fits.
                    let fitting: Vec<Demand> = loss.caches.iter().map(|(cache, demand)| {
                        let over = loss.left_over.iter().find(|(over, _)| over == cache).map_or(0, |(_, over)| *over);
                        Demand { instances: demand.instances - over as u16, ..demand.clone() }
                    }).collect();
                    prop_assert!(fits_by_brute_force(&rest, &fitting));
                    prop_assert_eq!(loss.missing, Mib::new(needed(&demands).get() - needed(&fitting).get()).unwrap());
                } else {
                    let room: Mib = rest.hosts.iter().filter(|host| host.ports > 0).map(LayoutHost::room).sum();
                    let left = room.minus(needed(&demands));
                    tightest = Some(tightest.map_or(left, |least: Mib| least.min(left)));
                }
            }
            prop_assert_eq!(survival.shortfalls.len(), short);
            prop_assert_eq!(survival.survives(), short == 0);
            prop_assert_eq!(survival.tightest.map(|margin| margin.left), tightest);
            prop_assert!(survival.shortfalls.is_sorted_by_key(|shortfall| std::cmp::Reverse(shortfall.missing)));
        }
    }

    #[test]
    fn growth_agrees_with_a_sum_by_host(layout in cluster(6), percent in 0..200u32) {
        let overhead = Overhead { percent: 20, base_mib: 1, floor_mib: 0, connections: 0, connection_kib: 0 };
        let growth = grow(&layout, percent, |memory| overhead.booking(memory));
        let mut missing = 0;
        for (at, host) in layout.hosts.iter().enumerate() {
            let after: u64 = layout.instances.iter().filter(|instance| instance.host as usize == at).map(|instance| {
                let memory = (instance.memory.get() * u64::from(100 + percent)).div_ceil(100);
                (memory + (memory * 20).div_ceil(100) + 1).max(instance.booked.get())
            }).sum();
            let short = after.saturating_sub(host.memory.get());
            let stated = growth.short.iter().find(|(id, _)| *id == host.id).map_or(0, |(_, short)| short.get());
            prop_assert_eq!(stated, short);
            missing += short;
        }
        prop_assert_eq!(growth.missing, mib(missing));
        for (at, cache) in layout.caches.iter().enumerate() {
            let concerned = layout.instances.iter().any(|instance| instance.cache as usize == at
                && growth.short.iter().any(|(host, _)| *host == layout.hosts[instance.host as usize].id));
            prop_assert_eq!(growth.caches.contains(&cache.id), concerned);
        }
        prop_assert!(!growth.to_string().is_empty());
    }

    #[test]
    fn fragmentation_agrees_with_trying_every_size(layout in cluster(8), smallest in 1..6u64) {
        let found = fragmentation(&layout, mib(smallest));
        prop_assert_eq!(found.free, found.usable.plus(found.stranded.total()));
        prop_assert_eq!(found.free, layout.hosts.iter().map(|host| host.memory.minus(host.booked)).sum());
        let hosts_for = |booked: u64| layout.hosts.iter()
            .filter(|host| host.open && host.ports > 0 && host.booked.plus(mib(booked)) <= host.limit).count();
        for (instances, largest) in found.largest {
            // By trying every size: the largest that enough hosts can take, if the smallest one can be had.
            let tried = (smallest..=40).rev().find(|booked| hosts_for(*booked) >= instances).unwrap_or(0);
            prop_assert_eq!(largest, mib(tried));
        }
        // One more of the smallest on every host, one MiB at a time where it can be had.
        let usable: u64 = layout.hosts.iter().map(|host| {
            let can = |booked: &u64| host.open && host.ports > 0 && host.booked.plus(mib(*booked)) <= host.limit;
            (smallest..=40).filter(can).max().unwrap_or(0)
        }).sum();
        prop_assert_eq!(found.usable, mib(usable));
        let closed = layout.hosts.iter().filter(|host| !host.open).map(|host| host.memory.minus(host.booked)).sum();
        prop_assert_eq!(found.stranded.closed, closed);
        let portless: Mib = layout.hosts.iter().filter(|host| host.ports == 0).map(LayoutHost::room).sum();
        prop_assert_eq!(found.stranded.no_port, portless);
        // As many of the typical size as can be put there one after the other.
        let more: u64 = layout.hosts.iter().map(|host| {
            let mut booked = host.booked;
            let mut more = 0;
            while host.open && more < host.ports && booked.plus(found.typical) <= host.limit
                && host.room() >= mib(smallest) {
                booked = booked.plus(found.typical);
                more += 1;
            }
            u64::from(more)
        }).sum();
        prop_assert_eq!(found.more_typical, more);
        prop_assert!(!found.to_string().is_empty());
    }

    /// A straight line gives its own date, also when a quarter of its points are far off.
    #[test]
    fn a_trend_stays_on_its_line(daily in 1..500u64, start in 0..5_000u64, days in 12..90u64,
                                 odd in prop::collection::vec((0..90u64, 0..1_000_000u64), 0..20)) {
        const DAY: u64 = 86_400_000;
        let mut booked: Vec<u64> = (0..=days).map(|day| start + daily * day).collect();
        for (day, wrong) in odd.into_iter().filter(|(day, _)| *day <= days).take(days as usize / 5) {
            booked[day as usize] = wrong;
        }
        let history: Vec<_> = booked.iter().enumerate()
            .map(|(day, booked)| (Timestamp::from_millis(1_700_000_000_000 + day as u64 * DAY), mib(*booked))).collect();
        let full = start + daily * (days + 100);
        let Trend::Full { months, monthly } = until_full(&history, mib(full)) else {
            return Err(TestCaseError::fail("no date"));
        };
        // A hundred days from the last point, but for the points that are off.
        prop_assert!((months * 365.25 / 12.0 - 100.0).abs() < 45.0, "{months}");
        prop_assert!((monthly / (daily as f64 * 365.25 / 12.0) - 1.0).abs() < 0.35, "{monthly}");
        let mut backwards = history.clone();
        backwards.reverse();
        prop_assert_eq!(until_full(&backwards, mib(full)), until_full(&history, mib(full)));
    }
}

#[test]
fn a_trend_needs_history_and_growth() {
    let points = |booked: &[u64], step: u64| -> Vec<(Timestamp, Mib)> {
        booked
            .iter()
            .enumerate()
            .map(|(at, booked)| (Timestamp::from_millis(at as u64 * step), mib(*booked)))
            .collect()
    };
    const WEEK: u64 = 7 * 86_400_000;
    assert_eq!(until_full(&[], mib(10)), Trend::TooLittleHistory);
    assert_eq!(until_full(&points(&[1, 2], WEEK), mib(10)), Trend::TooLittleHistory);
    assert_eq!(until_full(&points(&[1, 2, 3], WEEK / 3), mib(10)), Trend::TooLittleHistory);
    assert!(matches!(until_full(&points(&[5, 5, 5], WEEK), mib(10)), Trend::NotGrowing { .. }));
    assert!(matches!(until_full(&points(&[7, 6, 5], WEEK), mib(10)), Trend::NotGrowing { .. }));
    assert!(matches!(until_full(&points(&[8, 9, 10], WEEK), mib(10)), Trend::Full { months: 0.0, .. }));
    // 1 MiB a week, 3 to go.
    let Trend::Full { months, .. } = until_full(&points(&[5, 6, 7], WEEK), mib(10)) else {
        panic!("no date")
    };
    assert!((months - 21.0 * 12.0 / 365.25).abs() < 1e-9);
    // One cache that came and went: least squares would see growth, and then a fall.
    let spike = points(&[10, 11, 12, 900, 14, 15, 16, 17], WEEK);
    let Trend::Full { months, .. } = until_full(&spike, mib(27)) else { panic!("no date") };
    assert!((months - 70.0 * 12.0 / 365.25).abs() < 0.2, "{months}");
    assert!(until_full(&spike, mib(27)).to_string().contains("full in 2.3 months"));
}
