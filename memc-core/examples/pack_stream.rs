//! Packs the items of instances in their order, each before the next is known.

use std::process::ExitCode;

use memc_core::placement::packing::{Problem, ProblemError, Stream};

#[path = "pack/instances.rs"]
mod instances;

const USAGE: &str = "\
Usage: pack_stream FILE...

Packs the items of each instance in the order of the file, none known before the one before it is placed.
Files are as for the example pack.

Prints `NAME ITEMS BOUND BEST_FIT STREAM` an instance: the sum bound, the hosts of best fit, and of the rule that
learns. Then `excess COUNT BEST_FIT STREAM`: per cent above the bound, the mean over the instances.
Exits with 0, or with 2 if the arguments or the files are wrong.";

fn main() -> ExitCode {
    let files: Vec<String> = std::env::args().skip(1).collect();
    if files.iter().any(|file| file == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    match run(&files) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}

fn run(files: &[String]) -> Result<(), String> {
    if files.is_empty() {
        return Err(USAGE.to_owned());
    }
    let mut all = Vec::new();
    for file in files {
        let text = std::fs::read(file).map_err(|error| format!("{file}:1: cannot be read: {error}"))?;
        all.extend(instances::parse(&text).map_err(|(line, reason)| format!("{file}:{line}: {reason}"))?);
    }
    let (mut best_fit, mut learned, mut counted) = (0.0, 0.0, 0u32);
    for instance in &all {
        let problem = &instance.problem;
        let sum: u128 = problem.sizes().iter().copied().map(u128::from).sum();
        let bound = sum.div_ceil(u128::from(problem.capacity().max(1)));
        let first =
            hosts(Stream::best_fit(problem.capacity()), problem).map_err(|error| error.to_string())?;
        let second = hosts(Stream::new(problem.capacity()), problem).map_err(|error| error.to_string())?;
        println!("{} {} {bound} {first} {second}", instance.name, problem.sizes().len());
        if bound > 0 {
            best_fit += first as f64 / bound as f64 - 1.0;
            learned += second as f64 / bound as f64 - 1.0;
            counted += 1;
        }
    }
    let percent = 100.0 / f64::from(counted.max(1));
    println!("excess {counted} {:.2} {:.2}", best_fit * percent, learned * percent);
    Ok(())
}

fn hosts(mut stream: Stream, problem: &Problem) -> Result<usize, ProblemError> {
    for &size in problem.sizes() {
        stream.place(size)?;
    }
    Ok(stream.hosts())
}
