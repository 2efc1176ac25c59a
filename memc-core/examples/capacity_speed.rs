//! How far purchases are above their lower bound, and how long planning takes, on generated caches with fixed seeds.
//!
//! `cargo run --release -p memc-core --example capacity_speed [-- INSTANCES]`: tab-separated, one line a case; cases
//! with more than INSTANCES (default 100,000) are left out.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::time::Instant;

use memc_core::model::{Mib, Overhead};
use memc_core::placement::Layout;
use memc_core::placement::capacity::Demand;
use memc_core::placement::capacity::buy::{self, HostSize, Wish, buy};

/// xorshift64* (Vigna, 2016): the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// 0 to below 1.
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The position of one of these weights.
    fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut at = self.share() * weights.iter().sum::<f64>();
        weights
            .iter()
            .position(|weight| {
                at -= weight;
                at < 0.0
            })
            .unwrap_or(0)
    }

    /// Normal, by Box and Muller.
    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// 64, 128, … 16,384 MiB, the n-th with weight 1/n.
fn menu(random: &mut Random) -> u64 {
    let weights: Vec<f64> = (1..=9).map(|rank| 1.0 / f64::from(rank)).collect();
    64 << random.weighted(&weights)
}

/// Lognormal with median 1 GiB and sigma 1, from 64 MiB to 48 GiB.
fn lognormal(random: &mut Random) -> u64 {
    (1024.0 * random.normal().exp()).clamp(64.0, 49_152.0) as u64
}

fn caches(memory: fn(&mut Random) -> u64, instances: usize, seed: u64) -> Vec<Demand> {
    let mut random = Random(seed);
    let mut demands = Vec::new();
    let mut left = instances;
    while left > 0 {
        let number = [1, 2, 4, 8, 16][random.weighted(&[8.0, 8.0, 4.0, 2.0, 1.0])].min(left);
        left -= number;
        let booked = Overhead::default().booking(Mib::new(memory(&mut random)).unwrap());
        let max_per_rack = (random.share() < 0.25).then_some(2);
        demands.push(Demand { booked, instances: number as u16, max_per_rack, beside: Vec::new() });
    }
    demands
}

fn sizes() -> Vec<HostSize> {
    let size = |gib: u64, cost: u32| HostSize {
        name: format!("{gib} GiB"),
        limit: Mib::new(gib * 1024 * 9 / 10).unwrap(),
        ports: 1000,
        cost: NonZeroU32::new(cost).unwrap(),
    };
    vec![size(64, 10), size(128, 18), size(192, 25)]
}

fn main() {
    let most = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    println!("what\tshape\tinstances\tseed\thosts\tcost\tbound\tgap\targument\tseconds\tverify_seconds");
    let shapes: [(&str, fn(&mut Random) -> u64); 2] = [("menu", menu), ("lognormal", lognormal)];
    for (shape, memory) in shapes {
        for instances in
            [30, 100, 300, 1_000, 3_000, 10_000, 100_000].into_iter().filter(|number| *number <= most)
        {
            for seed in 1..=3 {
                let demands = caches(memory, instances, seed);
                let (sizes, layout) = (sizes(), Layout::default());
                let racks = NonZeroU32::new(20).unwrap();
                let wish = Wish { demands: &demands, sizes: &sizes, racks, layout: &layout };
                let start = Instant::now();
                let answer = buy(&wish, 20_000_000);
                let seconds = start.elapsed().as_secs_f64();
                let start = Instant::now();
                buy::verify(&wish, &answer, 1 << 30).unwrap();
                let verified = start.elapsed().as_secs_f64();
                let purchase = answer.unwrap();
                let gap = 100.0 * (purchase.cost as f64 / purchase.bound.cost as f64 - 1.0);
                println!(
                    "buy\t{shape}\t{instances}\t{seed}\t{:?}\t{}\t{}\t{gap:.2} %\t{:?}\t{seconds:.3}\t{verified:.3}",
                    purchase.hosts, purchase.cost, purchase.bound.cost, purchase.bound.argument
                );
            }
        }
    }
}
