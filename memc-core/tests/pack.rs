//! Packings from outside: against brute force, on the kinds of the literature, and with certificates tampered with.
#![allow(clippy::unwrap_used)]

use memc_core::placement::packing::{
    Argument, Dual, Flaw, Packing, Problem, Stream, first_fit_decreasing, pack, verify,
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
#[ignore = "minutes in a debug build: scripts/test long"]
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
fn a_million_small_instances_meet_the_sum_bound() {
    let mut next = numbers(3);
    let problem = problem(65_536, 1_000_000, || 64 << next(0, 8));
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

/// Hosts above the sum bound in per cent, of best fit and of the stream, the mean over problems.
fn excess(problems: &[Problem]) -> (f64, f64) {
    let above = |mut stream: Stream, problem: &Problem| {
        for &size in problem.sizes() {
            stream.place(size).unwrap();
        }
        let bound = problem.sizes().iter().sum::<u64>().div_ceil(problem.capacity());
        100.0 * (stream.hosts() as f64 / bound as f64 - 1.0) / problems.len() as f64
    };
    (
        problems.iter().map(|problem| above(Stream::best_fit(problem.capacity()), problem)).sum(),
        problems.iter().map(|problem| above(Stream::new(problem.capacity()), problem)).sum(),
    )
}

#[test]
fn a_stream_learns_when_to_open_a_host() {
    let mut next = numbers(11);
    let uniform: Vec<Problem> = (0..4).map(|_| problem(150, 500, || next(20, 100))).collect();
    let (best_fit, learned) = excess(&uniform);
    assert!(learned <= best_fit - 0.4, "uniform: {best_fit} {learned}");

    let weibull = [problem(100, 1200, || {
        let unit = next(1, 1 << 31) as f64 / f64::from(1u32 << 31);
        (45.0 * (-unit.ln()).cbrt()).round().clamp(1.0, 100.0) as u64
    })];
    let (best_fit, learned) = excess(&weibull);
    assert!(learned <= best_fit - 1.5, "Weibull: {best_fit} {learned}");
}

#[test]
fn a_stream_of_our_shapes_is_packed_as_by_best_fit() {
    let mut next = numbers(12);
    for n in [100, 1000] {
        for gib in [16, 64] {
            // The menu with Zipf weights 1, 1/2, ... 1/9, of 2520 parts of one; and lognormal sizes.
            let menu = problem(gib * 1024, n, || {
                let mut at = next(1, (1..=9).map(|rank| 2520 / rank).sum());
                let mut rank = 1;
                while at > 2520 / rank {
                    at -= 2520 / rank;
                    rank += 1;
                }
                64 << (rank - 1)
            });
            let lognormal = problem(gib * 1024, n, || {
                let mut unit = || next(1, 1 << 31) as f64 / f64::from(1u32 << 31);
                let normal = (-2.0 * unit().ln()).sqrt() * (std::f64::consts::TAU * unit()).cos();
                (1024.0 * normal.exp()).round().clamp(1.0, 16_384.0) as u64
            });
            for shape in [menu, lognormal] {
                let (best_fit, learned) = excess(&[shape]);
                assert!(learned <= best_fit + 0.2, "{n} of {gib} GiB: {best_fit} {learned}");
            }
        }
    }
}

#[test]
fn files_are_read_as_they_come() {
    let one = instances::parse(b"a 10 3 2 0\n5 4 9\n").unwrap();
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
        assert_eq!(instances::parse(same.as_bytes()).unwrap(), one, "{same:?}");
    }
    assert_eq!(instances::parse(b"").unwrap(), []);
    assert_eq!(instances::parse(b"a 10 1 1 0\n5\nb 20 2 1 0\n7 8\n").unwrap().len(), 2);
    for none in
        ["a 10 0 0 0\n\nb 10 1 1 0\n1\n", "b 10 1 1 0\n1\na 10 0 0 0", "b 10 1 1 0\n1\na 10 0 0 0\n\n"]
    {
        assert_eq!(instances::parse(none.as_bytes()).unwrap().len(), 2, "{none:?}");
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
        assert_eq!(instances::parse(text.as_bytes()).unwrap_err().0, line, "{text:?}");
    }
    assert_eq!(instances::parse(b"a 10 1 1 0\n5\nb 10 2 1 0\n5 \xff\n").unwrap_err().0, 4);
}

/// Sums of weights end at the largest number, which no bound may rest on.
#[test]
fn the_largest_number_is_no_scale() {
    for unit in [1, 1 << 40] {
        let problem = Problem::new(10 * unit, vec![5 * unit; 2]).unwrap();
        let dual = Dual { scale: u64::MAX, by_size: vec![(5 * unit, u64::MAX)] };
        let packing = Packing { bins: vec![vec![0], vec![1]], bound: 2, argument: Argument::Dual(dual) };
        assert_eq!(verify(&problem, &packing), Err(Flaw::Weights));
    }
}

/// A certificate of many sizes is refused, and does not use up the stack.
#[test]
fn weights_of_many_sizes_are_refused() {
    let sizes: Vec<u64> = (1..=50_000).collect();
    let all: u64 = sizes.iter().sum();
    let problem = Problem::new(1 << 40, sizes.clone()).unwrap();
    let dual = Dual { scale: all - 1, by_size: sizes.iter().map(|size| (*size, *size)).collect() };
    let packing = Packing { bins: vec![(0..50_000).collect()], bound: 2, argument: Argument::Dual(dual) };
    assert_eq!(verify(&problem, &packing), Err(Flaw::Weights));
}
