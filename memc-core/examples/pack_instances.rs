//! Prints generated instances of bin packing for `pack`: the kinds of the literature from their recipes, and our own.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: pack_instances KIND

Prints the instances of a kind, always the same ones, as `name capacity n LB UB` and a line of item sizes.
LB is the sum bound; UB is 0, or the optimum where it is known by construction.

  u              Falkenauer uniform: 120, 250, 500, 1000 items of 20..=100, capacity 150, 20 instances each
  t              Falkenauer triplets: 60, 120, 249, 501 items, capacity 1000, 20 each
  scholl-1       capacity 100, 120, 150; items of 1, 20 or 30..=100; 50, 100, 200, 500 items; 20 each
  scholl-2       capacity 1000; items of mean 1/3, 1/5, 1/7, 1/9 of it, within 20, 50, 90 %; 50 to 500; 10 each
  scholl-3       capacity 100000; 200 items of 20000..=35000; 10 instances
  schwerin       capacity 1000; 100 or 120 items of 150..=200; 100 each
  waescher       capacity 10000; 57 to 239 items, mostly below a third of it; 17 instances
  hard           capacity 1000; 160, 180, 200 items of 1..=800; 100 each
  hardest        the 28 of 6000 of these that took the search longest, 5 of them never proved
  weibull        Weibull(45, 3) to the nearest, at most 100; capacity 100; 5000, 10000, 100000 items; 5 each
  ours-menu      a menu of 64, 128, ... 16384 MiB with Zipf weights; hosts of 64, 128, 192 GiB; 1k to 1M items
  ours-lognormal lognormal MiB, median 1024, sigma 1; hosts of 64, 128, 192 GiB; 1k to 1M items";

fn main() -> ExitCode {
    let kind = std::env::args().nth(1).unwrap_or_default();
    if kind == "--help" {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if std::env::args().len() != 2 {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    let mut out = io::BufWriter::new(io::stdout().lock());
    match print(&kind, &mut out).and_then(|known| out.flush().map(|()| known)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
        Err(error) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Seeds of what neither first-fit decreasing nor filling host after host solves, chosen once and kept.
const HARDEST: [u64; 28] = [
    165, 314, 353, 398, 469, 1265, 1280, 1307, 1349, 1441, 1453, 2107, 2191, 2719, 3238, 3292, 3914, 4433,
    4457, 4793, 4825, 5121, 5129, 5141, 5210, 5442, 5629, 5655,
];

/// Steele's SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// In low..=high.
    fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// In (0, 1].
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Box and Muller.
    fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Whether the kind is known.
fn print(kind: &str, out: &mut impl Write) -> io::Result<bool> {
    let seed = kind.bytes().fold(1u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut random = Random(seed);
    let mut instance = |name: String, capacity: u64, sizes: &[u64], upper: usize| -> io::Result<()> {
        let lower = sizes.iter().sum::<u64>().div_ceil(capacity);
        writeln!(out, "{name} {capacity} {} {lower} {upper}", sizes.len())?;
        let words: Vec<String> = sizes.iter().map(u64::to_string).collect();
        writeln!(out, "{}", words.join(" "))
    };
    match kind {
        "u" => {
            for n in [120, 250, 500, 1000] {
                for index in 0..20 {
                    let sizes: Vec<u64> = (0..n).map(|_| random.within(20, 100)).collect();
                    instance(format!("u{n}_{index:02}"), 150, &sizes, 0)?;
                }
            }
        }
        "t" => {
            for n in [60, 120, 249, 501] {
                for index in 0..20 {
                    let mut sizes = Vec::with_capacity(n);
                    for _ in 0..n / 3 {
                        let a = random.within(380, 490);
                        let b = random.within(250, (1000 - a) / 2);
                        sizes.extend([a, b, 1000 - a - b]);
                    }
                    instance(format!("t{n}_{index:02}"), 1000, &sizes, n / 3)?;
                }
            }
        }
        "scholl-1" => {
            for (n, capacity, low) in [50, 100, 200, 500]
                .into_iter()
                .flat_map(|n| [100, 120, 150].map(|capacity| (n, capacity)))
                .flat_map(|(n, capacity)| [1, 20, 30].map(|low| (n, capacity, low)))
            {
                for index in 0..20 {
                    let sizes: Vec<u64> = (0..n).map(|_| random.within(low, 100)).collect();
                    instance(format!("n{n}c{capacity}w{low}_{index:02}"), capacity, &sizes, 0)?;
                }
            }
        }
        "scholl-2" => {
            for (n, part, spread) in [50, 100, 200, 500]
                .into_iter()
                .flat_map(|n| [3, 5, 7, 9].map(|part| (n, part)))
                .flat_map(|(n, part)| [20, 50, 90].map(|spread| (n, part, spread)))
            {
                let mean = 1000 / part;
                for index in 0..10 {
                    let (low, high) = (mean - mean * spread / 100, mean + mean * spread / 100);
                    let sizes: Vec<u64> = (0..n).map(|_| random.within(low, high)).collect();
                    instance(format!("n{n}w{part}b{spread}_{index}"), 1000, &sizes, 0)?;
                }
            }
        }
        "scholl-3" => {
            for index in 0..10 {
                let sizes: Vec<u64> = (0..200).map(|_| random.within(20_000, 35_000)).collect();
                instance(format!("scholl3_{index}"), 100_000, &sizes, 0)?;
            }
        }
        "schwerin" => {
            for n in [100, 120] {
                for index in 0..100 {
                    let sizes: Vec<u64> = (0..n).map(|_| random.within(150, 200)).collect();
                    instance(format!("schwerin{n}_{index:02}"), 1000, &sizes, 0)?;
                }
            }
        }
        "waescher" => {
            for index in 0..17 {
                let kinds: Vec<u64> = (0..random.within(20, 60))
                    .map(|_| {
                        let part = random.within(2, 6);
                        random.within(10, 10_000 / part)
                    })
                    .collect();
                let sizes: Vec<u64> = (0..random.within(57, 239))
                    .map(|_| kinds[random.within(0, kinds.len() as u64 - 1) as usize])
                    .collect();
                instance(format!("waescher_{index:02}"), 10_000, &sizes, 0)?;
            }
        }
        "hard" => {
            for n in [160, 180, 200] {
                for index in 0..100 {
                    let sizes: Vec<u64> = (0..n).map(|_| random.within(1, 800)).collect();
                    instance(format!("hard{n}_{index:02}"), 1000, &sizes, 0)?;
                }
            }
        }
        "hardest" => {
            for seed in HARDEST {
                let mut random = Random(seed);
                let n = 160 + 20 * (seed % 3);
                let sizes: Vec<u64> = (0..n).map(|_| random.within(1, 800)).collect();
                instance(format!("hardest{n}_{seed:04}"), 1000, &sizes, 0)?;
            }
        }
        "weibull" => {
            for n in [5_000, 10_000, 100_000] {
                for index in 0..5 {
                    let sizes: Vec<u64> = (0..n)
                        .map(|_| (45.0 * (-random.unit().ln()).cbrt()).round().clamp(1.0, 100.0) as u64)
                        .collect();
                    instance(format!("weibull{n}_{index}"), 100, &sizes, 0)?;
                }
            }
        }
        "ours-menu" | "ours-lognormal" => {
            let menu: Vec<u64> = (0..9).map(|step| 64 << step).collect();
            let weights: f64 = (1..=menu.len()).map(|rank| 1.0 / rank as f64).sum();
            for n in [1_000, 10_000, 100_000, 1_000_000] {
                for gib in [64, 128, 192] {
                    let sizes: Vec<u64> = (0..n)
                        .map(|_| {
                            if kind == "ours-menu" {
                                let mut left = random.unit() * weights;
                                let mut rank = 0;
                                while rank + 1 < menu.len() && left > 1.0 / (rank + 1) as f64 {
                                    left -= 1.0 / (rank + 1) as f64;
                                    rank += 1;
                                }
                                menu[rank]
                            } else {
                                (1024.0 * random.normal().exp()).round().clamp(1.0, 65_536.0) as u64
                            }
                        })
                        .collect();
                    instance(format!("{kind}-{n}-{gib}"), gib * 1024, &sizes, 0)?;
                }
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}
