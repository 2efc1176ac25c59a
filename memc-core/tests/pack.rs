//! Packings from outside: against brute force, on the kinds of the literature, and with certificates tampered with.
#![allow(clippy::unwrap_used)]

use memc_core::placement::packing::{
    Argument, Dual, Flaw, Packing, Problem, first_fit_decreasing, pack, verify,
};
use proptest::prelude::*;

#[path = "../examples/pack/instances.rs"]
mod instances;

/// The fewest bins, by putting each item everywhere.
fn optimum(capacity: u64, sizes: &[u64]) -> usize {
    fn place(capacity: u64, sizes: &[u64], rooms: &mut Vec<u64>, best: &mut usize) {
        let Some((&size, rest)) = sizes.split_first() else {
            *best = (*best).min(rooms.len());
            return;
        };
        for at in 0..rooms.len() {
            if rooms[at] >= size {
                rooms[at] -= size;
                place(capacity, rest, rooms, best);
                rooms[at] += size;
            }
        }
        if rooms.len() + 1 < *best {
            rooms.push(capacity - size);
            place(capacity, rest, rooms, best);
            rooms.pop();
        }
    }
    let mut best = sizes.len();
    place(capacity, sizes, &mut Vec::new(), &mut best);
    best
}

/// Numbers that are the same every time (Knuth's MMIX).
fn numbers(mut seed: u64) -> impl FnMut(u64, u64) -> u64 {
    move |low, high| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (seed >> 33) % (high - low + 1)
    }
}

fn problem(capacity: u64, count: usize, mut size: impl FnMut() -> u64) -> Problem {
    Problem::new(capacity, (0..count).map(|_| size()).collect()).unwrap()
}

fn solve(problem: &Problem) -> Packing {
    let packing = pack(problem, &mut || false);
    assert_eq!(verify(problem, &packing), Ok(()));
    packing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bounds_are_at_most_and_hosts_at_least_the_optimum(
        capacity in 1..60u64,
        sizes in prop::collection::vec(1..60u64, 0..9),
        unit in prop::sample::select(vec![1, 1_000_003, 1 << 40]),
        patience in 0..50,
    ) {
        let sizes: Vec<u64> = sizes.into_iter().map(|size| size.min(capacity)).collect();
        let best = optimum(capacity, &sizes);
        let problem = Problem::new(capacity * unit, sizes.iter().map(|size| size * unit).collect()).unwrap();
        let mut asked = 0;
        let impatient = pack(&problem, &mut || {
            asked += 1;
            asked > patience
        });
        for packing in [pack(&problem, &mut || false), impatient, first_fit_decreasing(&problem)] {
            prop_assert_eq!(verify(&problem, &packing), Ok(()));
            prop_assert!(packing.bound <= best as u64);
            prop_assert!(packing.bins.len() >= best);
        }
    }

    #[test]
    fn larger_packings_verify(
        capacity in 20..300u64,
        sizes in prop::collection::vec(1..300u64, 0..80),
        patience in 0..200,
    ) {
        let sizes = sizes.into_iter().map(|size| size.min(capacity)).collect();
        let problem = Problem::new(capacity, sizes).unwrap();
        let mut asked = 0;
        let packing = pack(&problem, &mut || {
            asked += 1;
            asked > patience
        });
        prop_assert_eq!(verify(&problem, &packing), Ok(()));
    }
}

#[test]
fn uniform_items_are_packed_and_proved() {
    for seed in 0..6 {
        let mut next = numbers(seed);
        assert!(solve(&problem(150, 120, || next(20, 100))).is_optimal(), "seed {seed}");
    }
}

#[test]
fn triplets_are_packed_without_waste() {
    let mut next = numbers(7);
    let mut sizes = Vec::new();
    for _ in 0..20 {
        let a = next(380, 490);
        let b = next(250, (1000 - a) / 2);
        sizes.extend([a, b, 1000 - a - b]);
    }
    assert_eq!(solve(&Problem::new(1000, sizes).unwrap()).bins.len(), 20);
}

#[test]
#[ignore = "takes a minute in a debug build: cargo test --release -p memc-core --test pack -- --ignored"]
fn all_uniform_items_and_triplets() {
    for (at, n) in [120, 250, 500, 1000].into_iter().enumerate() {
        for seed in 0..20 {
            let mut next = numbers(100 * at as u64 + seed);
            assert!(solve(&problem(150, n, || next(20, 100))).is_optimal(), "u{n} seed {seed}");
        }
    }
    for n in [60, 120, 249, 501] {
        for seed in 0..5 {
            let mut next = numbers(seed);
            let mut sizes = Vec::new();
            for _ in 0..n / 3 {
                let a = next(380, 490);
                let b = next(250, (1000 - a) / 2);
                sizes.extend([a, b, 1000 - a - b]);
            }
            assert_eq!(solve(&Problem::new(1000, sizes).unwrap()).bins.len(), n / 3, "t{n} seed {seed}");
        }
    }
}

#[test]
fn many_small_instances_meet_the_sum_bound() {
    let mut next = numbers(3);
    let problem = problem(65_536, 100_000, || 64 << next(0, 8));
    let packing = first_fit_decreasing(&problem);
    assert_eq!(verify(&problem, &packing), Ok(()));
    assert!(packing.bins.len() as u64 <= packing.bound + 1);
}

#[test]
fn the_extremes() {
    let empty = solve(&Problem::new(0, Vec::new()).unwrap());
    assert_eq!((empty.bins.len(), empty.bound), (0, 0));
    let largest = solve(&Problem::new(u64::MAX, vec![u64::MAX, u64::MAX - 1, 1, 1]).unwrap());
    assert_eq!((largest.bins.len(), largest.bound), (3, 3));
    assert_eq!(solve(&Problem::new(1, vec![1; 1000]).unwrap()).bins.len(), 1000);
    assert!(Problem::new(10, vec![1, 0]).is_err());
    assert!(Problem::new(10, vec![1, 11]).is_err());
}

/// A problem whose bound takes dual weights: neither the sum nor L2 is enough.
fn proved_by_weights() -> (Problem, Packing) {
    (0..200)
        .find_map(|seed| {
            let mut next = numbers(seed);
            let problem = problem(1000, 30, || next(200, 700));
            let packing = solve(&problem);
            matches!(packing.argument, Argument::Dual(_)).then_some((problem, packing))
        })
        .unwrap()
}

#[test]
fn no_tampered_answer_passes() {
    let (problem, packing) = proved_by_weights();
    let flaw = |tamper: &dyn Fn(&mut Packing)| {
        let mut packing = packing.clone();
        tamper(&mut packing);
        verify(&problem, &packing).unwrap_err()
    };
    let first = packing.bins[0][0];
    assert!(matches!(flaw(&|p| p.bins[0][0] = 30), Flaw::Unknown { bin: 0, item: 30 }));
    assert_eq!(flaw(&|p| p.bins[1].push(first)), Flaw::Twice(first));
    assert_eq!(flaw(&|p| _ = p.bins[0].remove(0)), Flaw::Missing(first as usize));
    assert_eq!(flaw(&|p| p.bins.push(Vec::new())), Flaw::Empty(packing.bins.len()));
    let merged = |p: &mut Packing| {
        let last = p.bins.pop().unwrap();
        p.bins[0].extend(last);
    };
    assert_eq!(flaw(&merged), Flaw::Over(0));
    assert!(matches!(flaw(&|p| p.bound += 1), Flaw::Bound { .. }));
    assert!(matches!(flaw(&|p| p.bound -= 1), Flaw::Bound { .. }));
    assert!(matches!(flaw(&|p| p.argument = Argument::Sum), Flaw::Bound { .. }));
    assert!(matches!(flaw(&|p| p.argument = Argument::L2), Flaw::Bound { .. }));
    let weights = |change: &dyn Fn(&mut Dual)| {
        flaw(&|p| {
            let Argument::Dual(dual) = &mut p.argument else { unreachable!() };
            change(dual);
        })
    };
    assert_eq!(weights(&|dual| dual.scale /= 2), Flaw::Weights);
    assert_eq!(weights(&|dual| dual.scale = 0), Flaw::Weights);
    assert_eq!(weights(&|dual| dual.by_size[0].1 = dual.scale + 1), Flaw::Weights);
    assert_eq!(weights(&|dual| dual.by_size.reverse()), Flaw::Weights);
    assert_eq!(weights(&|dual| dual.by_size.push(dual.by_size[0])), Flaw::Weights);
    assert!(matches!(weights(&|dual| dual.by_size.clear()), Flaw::Bound { proved: 0, .. }));
}

#[test]
fn files_are_read_as_they_come() {
    let one = instances::parse("a 10 3 2 0\n5 4 9\n").unwrap();
    assert_eq!(
        (one[0].name.as_str(), one[0].problem.capacity(), one[0].problem.sizes()),
        ("a", 10, &[5, 4, 9][..])
    );
    for same in [
        "a 10 3 2 0\n5 4 9",
        "a 10 3 2 0\r\n5 4 9\r\n",
        "a 10 3 2 0\n5 4 9\n\n \n",
        " a\t10 3  2 0 \n 5 4 9 ",
    ] {
        assert_eq!(instances::parse(same).unwrap(), one, "{same:?}");
    }
    assert_eq!(instances::parse("").unwrap(), []);
    assert_eq!(instances::parse("a 10 1 1 0\n5\nb 20 2 1 0\n7 8\n").unwrap().len(), 2);
    for none in
        ["a 10 0 0 0\n\nb 10 1 1 0\n1\n", "b 10 1 1 0\n1\na 10 0 0 0", "b 10 1 1 0\n1\na 10 0 0 0\n\n"]
    {
        assert_eq!(instances::parse(none).unwrap().len(), 2, "{none:?}");
    }
}

#[test]
fn what_is_wrong_with_a_file_has_a_line() {
    for (text, line) in [
        ("a 10 3 2\n5 4 9\n", 1),
        ("a 10 3 2 0 7\n5 4 9\n", 1),
        ("a ten 3 2 0\n5 4 9\n", 1),
        ("a 10 3 x 0\n5 4 9\n", 1),
        ("a 10 3 2 -1\n5 4 9\n", 1),
        ("a 99999999999999999999 3 2 0\n5 4 9\n", 1),
        ("a 10 3 2 0\n5 4\n", 2),
        ("a 10 3 2 0\n5 4 9 1\n", 2),
        ("a 10 3 2 0\n5 4 11\n", 2),
        ("a 10 3 2 0\n5 0 9\n", 2),
        ("a 10 3 2 0\n5 -4 9\n", 2),
        ("a 10 3 2 0\n5 4.5 9\n", 2),
        ("a 10 3 2 0\n", 2),
        ("a 10 1 1 0\n5\n\nb 10 1 1 0\n5\n", 3),
        ("a 10 1 1 0\n5\nb 10 2 1 0\n5\n", 4),
    ] {
        assert_eq!(instances::parse(text).unwrap_err().0, line, "{text:?}");
    }
}
