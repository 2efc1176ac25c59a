//! Room for requests: feasible or not as the oracle says, and the least that goes cold.

use memc_core::model::Mib;
use memc_core::placement::Layout;
use memc_core::placement::plan::{Answer, Budget, Proof, Request, check, make_room};

use crate::generate::{Random, mib, tight};
use crate::oracle::{State, least};

/// Tries every set of hosts.
fn places(
    layout: &Layout,
    state: &State,
    need: u64,
    count: u32,
    most: Option<u16>,
    cache: Option<u32>,
) -> bool {
    let hosts = 0..layout.hosts.len();
    let takes = |host: &usize| {
        let of = &layout.hosts[*host];
        of.open
            && state.ports[*host] > 0
            && state.booked(layout, *host) + need <= of.limit.get()
            && cache.is_none_or(|cache| !state.holds(layout, *host, cache))
    };
    let held = |host: usize| cache.map_or(0, |cache| state.in_rack(layout, host, cache, None));
    (0..1u32 << layout.hosts.len()).filter(|set| set.count_ones() == count).any(|set| {
        let chosen: Vec<usize> = hosts.clone().filter(|host| set >> host & 1 == 1).collect();
        let in_rack = |host: usize| {
            chosen.iter().filter(|other| layout.hosts[**other].rack == layout.hosts[host].rack).count()
        };
        chosen.iter().all(takes)
            && most.is_none_or(|most| chosen.iter().all(|host| held(*host) + in_rack(*host) <= most.into()))
    })
}

fn grown(layout: &Layout, state: &State, wanted: &[(usize, u64)]) -> bool {
    wanted.iter().all(|(instance, _)| {
        let host = state.host[*instance];
        let on_it = (0..state.host.len()).filter(|at| state.host[*at] == host);
        let booked = on_it.map(|at| {
            let grows = wanted.iter().find(|(other, _)| *other == at);
            grows.map_or_else(|| state.booking(layout, at), |(_, booked)| *booked)
        });
        booked.sum::<u64>() <= layout.hosts[host].memory.get()
    })
}

/// Plans, infeasible at once, infeasible after a search.
fn compare(layout: &Layout, request: &Request, budget: Budget, want: Option<u64>, case: &str) -> [u32; 3] {
    match (make_room(layout, request, budget, 1_000_000), want) {
        (Answer::Plan(plan), Some(cold)) => {
            assert_eq!(check(layout, &plan, budget), Ok(()), "{case}");
            assert_eq!(plan.cold.get(), cold, "{case}: {plan:?}");
            [u32::from(cold > 0), 0, 0]
        }
        (Answer::Infeasible(Proof::Searched { .. }), None) => [0, 0, 1],
        (Answer::Infeasible(_), None) => [0, 1, 0],
        (got, want) => panic!("{case}: {request:?}: {got:?}, and the oracle says {want:?}"),
    }
}

fn agree(seeds: std::ops::Range<u64>) {
    let mut sums = [[0; 3]; 2];
    let mut add = |of: usize, counts: [u32; 3]| {
        sums[of].iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    };
    for seed in seeds {
        let layout = tight(seed);
        let mut random = Random(seed);
        let some =
            |random: &mut Random| if random.percent(50) { Mib::MAX } else { mib(random.within(2, 20)) };
        let budget = Budget { total: some(&mut random), per_cache: some(&mut random) };

        let (need, count) = (random.within(1, 12), random.within(1, 3) as u16);
        let most = random.percent(50).then(|| random.within(1, 2) as u16);
        let cache = random.percent(50).then(|| random.within(0, layout.caches.len() as u64 - 1) as u32);
        let request = Request::New {
            booked: mib(need),
            instances: count,
            max_per_rack: most,
            cache: cache.map(|at| layout.caches[at as usize].id),
        };
        let done = |state: &State| places(&layout, state, need, count.into(), most, cache);
        let want = least(&layout, None, budget, done);
        add(0, compare(&layout, &request, budget, want, &format!("seed {seed}, new")));

        let mut wanted: Vec<(usize, u64)> = Vec::new();
        for _ in 0..random.within(1, 2) {
            let at = random.within(0, layout.instances.len() as u64 - 1) as usize;
            if wanted.iter().all(|(other, _)| *other != at) {
                wanted.push((at, layout.instances[at].booked.get() + random.within(1, 8)));
            }
        }
        let instances = wanted.iter().map(|(at, booked)| (layout.instances[*at].id, mib(*booked))).collect();
        let want = least(&layout, None, budget, |state| grown(&layout, state, &wanted));
        add(1, compare(&layout, &Request::Grow { instances }, budget, want, &format!("seed {seed}, grow")));
    }
    for (kind, [plans, reasons, searched]) in ["new", "grow"].iter().zip(sums) {
        println!("{kind}: {plans} plans with moves; {reasons} infeasible seen at once, {searched} searched");
    }
}

#[test]
fn agree_with_a_search_of_every_state() {
    agree(0..500);
}

#[test]
#[ignore = "minutes in a debug build: scripts/test long"]
fn agree_with_a_search_of_every_state_often() {
    agree(1_000..3_000);
}
