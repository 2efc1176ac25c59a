//! The crate `bin-packing` on files as `pack` reads them: `total COUNT HOSTS MS` of all instances.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bin_packing::one_d::{CutDemand1D, OneDOptions, OneDProblem, Stock1D, solve_1d};

fn main() {
    let (mut count, mut hosts, mut took) = (0, 0, Duration::ZERO);
    for file in std::env::args().skip(1) {
        let text = std::fs::read_to_string(&file).expect("a file");
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.chunks_exact(2) {
            let length = pair[0].split_whitespace().nth(1).expect("a capacity").parse().expect("32 bits");
            let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
            for size in pair[1].split_whitespace() {
                *sizes.entry(size.parse().expect("32 bits")).or_default() += 1;
            }
            let demand = |(length, quantity): (u32, usize)| CutDemand1D { name: length.to_string(), length, quantity };
            let host = Stock1D { name: "host".into(), length, kerf: 0, trim: 0, cost: 1.0, available: None };
            let problem = OneDProblem { stock: vec![host], demands: sizes.into_iter().map(demand).collect() };
            let start = Instant::now();
            let solution = solve_1d(problem, OneDOptions::default()).expect("a solution");
            took += start.elapsed();
            assert!(solution.unplaced.is_empty());
            count += 1;
            hosts += solution.stock_count;
        }
    }
    println!("total {count} {hosts} {:.1}", took.as_secs_f64() * 1e3);
}
