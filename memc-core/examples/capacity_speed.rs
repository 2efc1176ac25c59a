//! How far purchases are above their lower bound, and how long planning takes, on generated caches with fixed seeds.
//!
//! `cargo run --release -p memc-core --example capacity_speed [-- INSTANCES]`: tab-separated, one line a case; cases
//! with more than INSTANCES (default 100,000) are left out. Then questions to live clusters.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::time::Duration;

use memc_core::model::{CacheId, HostId, InstanceId, Mib, Overhead, Rack};
use memc_core::placement::capacity::Demand;
use memc_core::placement::capacity::buy::{self, HostSize, Wish, buy};
use memc_core::placement::capacity::fit::{self, Fit, fit};
use memc_core::placement::capacity::fragmentation::fragmentation;
use memc_core::placement::capacity::growth::grow;
use memc_core::placement::capacity::loss::{Each, survive};
use memc_core::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};

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

/// What an instance asks for, MiB.
type Memory = fn(&mut Random) -> u64;

/// 64, 128, … 16,384 MiB, the n-th with weight 1/n.
fn menu(random: &mut Random) -> u64 {
    let weights: Vec<f64> = (1..=9).map(|rank| 1.0 / f64::from(rank)).collect();
    64 << random.weighted(&weights)
}

/// Lognormal with median 1 GiB and sigma 1, from 64 MiB to 48 GiB.
fn lognormal(random: &mut Random) -> u64 {
    (1024.0 * random.normal().exp()).clamp(64.0, 49_152.0) as u64
}

fn caches(memory: Memory, instances: usize, seed: u64) -> Vec<Demand> {
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

/// Hosts of 64, 128 and 192 GiB in racks of 40, filled with caches until `fill` of what new ones may use is booked.
fn cluster(hosts: usize, fill: f64, seed: u64) -> Layout {
    let sizes = [64, 128, 192].map(|gib| Mib::new(gib * 1024).unwrap());
    let mut layout = Layout::default();
    for at in 0..hosts {
        let memory = sizes[at % 3];
        let limit = memory.minus(memory.percent(10));
        let rack = Some(Rack::new(&format!("r{:04}", at / 40)).unwrap());
        let id = HostId::new(at as u64);
        layout.hosts.push(LayoutHost { id, rack, memory, limit, booked: Mib::ZERO, ports: 1000, open: true });
    }
    let all: Mib = layout.hosts.iter().map(LayoutHost::room).sum();
    let (mut random, mut booked) = (Random(seed), 0);
    let mut demands = caches(menu, hosts * 60, seed).into_iter();
    while (booked as f64) < fill * all.get() as f64
        && let Some(demand) = demands.next()
    {
        let cache = layout.caches.len() as u32;
        let mut used = Vec::new();
        // Anywhere it fits: what a live cluster looks like after years.
        for _ in 0..1000 {
            let at = (random.next() % hosts as u64) as usize;
            if used.len() == usize::from(demand.instances) {
                break;
            }
            if layout.hosts[at].room() < demand.booked || used.contains(&at) {
                continue;
            }
            used.push(at);
            booked += demand.booked.get();
            layout.hosts[at].booked = layout.hosts[at].booked.plus(demand.booked);
            layout.hosts[at].ports -= 1;
            layout.instances.push(LayoutInstance {
                id: InstanceId::new(layout.instances.len() as u64),
                cache,
                host: at as u32,
                memory: Overhead::default().largest_within(demand.booked),
                booked: demand.booked,
                rebooked: demand.booked,
                movable: true,
            });
        }
        layout.caches.push(LayoutCache { id: CacheId::new(cache.into()), max_per_rack: demand.max_per_rack });
    }
    layout
}

/// Time this thread was running, from Linux: what others do on the machine does not count.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// One line: what, on what, its result and the seconds it took.
fn timed<T>(what: &str, on: &str, run: impl FnOnce() -> T, say: impl FnOnce(&T) -> String) -> T {
    let start = on_cpu();
    let result = run();
    println!("{what}\t{on}\t{:.3} s\t{}", (on_cpu() - start).as_secs_f64(), say(&result));
    result
}

fn live() {
    for hosts in [1_000, 10_000] {
        for fill in [0.7, 0.9] {
            let layout = cluster(hosts, fill, 7);
            let on =
                format!("{hosts} hosts, {} instances, {:.0} % full", layout.instances.len(), fill * 100.0);
            timed("survive any host", &on, || survive(&layout, Each::Host, 10_000_000), ToString::to_string);
            timed("survive any rack", &on, || survive(&layout, Each::Rack, 10_000_000), ToString::to_string);
            let smallest = Overhead::default().booking(Mib::new(64).unwrap());
            timed("fragmentation", &on, || fragmentation(&layout, smallest), ToString::to_string);
            let booking = |memory| Overhead::default().booking(memory);
            timed("grow by 20 %", &on, || grow(&layout, 20, booking), ToString::to_string);
            for share in [1, 4, 10] {
                let demands = caches(menu, hosts * share, 9);
                let what = format!("fit {} instances", hosts * share);
                let answer = timed(
                    &what,
                    &on,
                    || fit(&layout, &demands, 10_000_000),
                    |answer: &Fit| answer.to_string(),
                );
                let verify = || fit::verify(&layout, &demands, &answer, 1 << 24);
                timed("verify it", &on, verify, |answer| format!("{answer:?}")).unwrap();
            }
        }
    }
}

fn main() {
    let most = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(100_000);
    println!("what\tshape\tinstances\tseed\thosts\tcost\tbound\tgap\targument\tseconds\tverify_seconds");
    let shapes: [(&str, Memory); 2] = [("menu", menu), ("lognormal", lognormal)];
    for (shape, memory) in shapes {
        for instances in
            [30, 100, 300, 1_000, 3_000, 10_000, 100_000].into_iter().filter(|number| *number <= most)
        {
            for seed in 1..=3 {
                let demands = caches(memory, instances, seed);
                let (sizes, layout) = (sizes(), Layout::default());
                let racks = NonZeroU32::new(20).unwrap();
                let wish = Wish { demands: &demands, sizes: &sizes, racks, layout: &layout };
                let start = on_cpu();
                let answer = buy(&wish, 20_000_000);
                let seconds = (on_cpu() - start).as_secs_f64();
                let start = on_cpu();
                buy::verify(&wish, &answer, 1 << 30).unwrap();
                let verified = (on_cpu() - start).as_secs_f64();
                let purchase = answer.unwrap();
                let gap = 100.0 * (purchase.cost as f64 / purchase.bound.cost as f64 - 1.0);
                println!(
                    "buy\t{shape}\t{instances}\t{seed}\t{:?}\t{}\t{}\t{gap:.2} %\t{:?}\t{seconds:.3}\t{verified:.3}",
                    purchase.hosts, purchase.cost, purchase.bound.cost, purchase.bound.argument
                );
            }
        }
    }
    live();
}
