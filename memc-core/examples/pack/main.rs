//! Packs instances of bin packing from files and says which answers are proved optimal.

mod instances;

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use memc_core::placement::packing::{Argument, Packing, pack, verify};
use serde_json::{Value, json};

const USAGE: &str = "\
Usage: pack [--seconds S] [--assign OUT] FILE...

Packs each instance of the files into the fewest hosts it finds, on one thread.

A file holds instances of two lines each: `name capacity n LB UB`, then the n item sizes,
in 1..=capacity. LB and UB are read and not used.

  --seconds S    wall seconds an instance may take, fractions allowed (default 1)
  --assign OUT   writes one JSON line an instance to OUT:
                 {\"name\", \"hosts\": [[item index, ...], ...], \"bound\", \"argument\", \"weights\"}
                 argument: \"sum\", \"l2\" or \"dual\". weights, for \"dual\":
                 {\"scale\": K, \"by_size\": [[size, weight], ...]}: the items of one host weigh
                 at most K, so the hosts are at least the weight of all items over K

Prints `NAME HOSTS BOUND proved|open MS` an instance, then `total COUNT HOSTS BOUND PROVED MS`.
Exits with 0, or with 2 if the arguments or the files are wrong.";

struct Arguments {
    limit: Duration,
    assign: Option<String>,
    files: Vec<String>,
}

fn main() -> ExitCode {
    let mut words = Vec::new();
    for word in std::env::args_os().skip(1) {
        match word.into_string() {
            Ok(word) => words.push(word),
            Err(word) => return refuse(&format!("{} is not UTF-8\n{USAGE}", word.display())),
        }
    }
    if words.iter().any(|word| word == "--help" || word == "-h") {
        return ended(writeln!(io::stdout(), "{USAGE}"));
    }
    let arguments = match arguments(words) {
        Ok(arguments) => arguments,
        Err(reason) => return refuse(&format!("{reason}\n{USAGE}")),
    };
    let mut all = Vec::new();
    for file in &arguments.files {
        let text = match std::fs::read(file) {
            Ok(text) => text,
            Err(error) => return refuse(&format!("{file}:1: cannot be read: {error}")),
        };
        match instances::parse(&text) {
            Ok(of_file) => all.extend(of_file),
            Err((line, reason)) => return refuse(&format!("{file}:{line}: {reason}")),
        }
    }
    let assign = match arguments.assign.as_ref().map(File::create).transpose() {
        Ok(file) => file.map(BufWriter::new),
        Err(error) => {
            let file = arguments.assign.unwrap_or_default();
            return refuse(&format!("{file}:1: cannot be written: {error}"));
        }
    };
    ended(run(&all, arguments.limit, assign))
}

fn arguments(words: Vec<String>) -> Result<Arguments, String> {
    let mut arguments = Arguments { limit: Duration::from_secs(1), assign: None, files: Vec::new() };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (option, mut value) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option.to_owned(), Some(value.to_owned())),
            _ => (word, None),
        };
        match option.as_str() {
            "--seconds" => {
                let value = value.take().or_else(|| words.next()).ok_or("--seconds needs a number")?;
                arguments.limit = value
                    .parse()
                    .ok()
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .ok_or_else(|| format!("--seconds {value}: not a number of seconds"))?;
            }
            "--assign" => {
                arguments.assign =
                    Some(value.take().or_else(|| words.next()).ok_or("--assign needs a file")?);
            }
            "--" => arguments.files.extend(words.by_ref()),
            option if option.starts_with('-') => return Err(format!("{option} is no option")),
            _ => arguments.files.push(option),
        }
        if value.is_some() {
            return Err("this option takes no value".to_owned());
        }
    }
    if arguments.files.is_empty() { Err("no file is given".to_owned()) } else { Ok(arguments) }
}

fn run(all: &[instances::Instance], limit: Duration, mut assign: Option<BufWriter<File>>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let (mut hosts, mut bound, mut proved, mut took) = (0, 0, 0, Duration::ZERO);
    for instance in all {
        // What is found when the search stops is still to be handed out, item by item.
        let last = Duration::from_nanos(100 * instance.problem.sizes().len() as u64) + limit / 100;
        let (start, limit) = (Instant::now(), limit.saturating_sub(last));
        let packing = pack(&instance.problem, &mut || start.elapsed() >= limit);
        let time = start.elapsed();
        verify(&instance.problem, &packing)
            .map_err(|flaw| io::Error::other(format!("{}: a wrong answer: {flaw}", instance.name)))?;
        if let Some(assign) = &mut assign {
            writeln!(assign, "{}", certificate(&instance.name, &packing))?;
        }
        let state = if packing.is_optimal() { "proved" } else { "open" };
        let milliseconds = time.as_secs_f64() * 1e3;
        writeln!(
            out,
            "{} {} {} {state} {milliseconds:.1}",
            instance.name,
            packing.bins.len(),
            packing.bound
        )?;
        hosts += packing.bins.len();
        bound += packing.bound;
        proved += usize::from(packing.is_optimal());
        took += time;
    }
    if let Some(mut assign) = assign {
        assign.flush()?;
    }
    writeln!(out, "total {} {hosts} {bound} {proved} {:.1}", all.len(), took.as_secs_f64() * 1e3)
}

fn certificate(name: &str, packing: &Packing) -> Value {
    let (argument, weights) = match &packing.argument {
        Argument::Sum => ("sum", Value::Null),
        Argument::L2 => ("l2", Value::Null),
        Argument::Dual(dual) => ("dual", json!({ "scale": dual.scale, "by_size": dual.by_size })),
    };
    json!({ "name": name, "hosts": packing.bins, "bound": packing.bound, "argument": argument, "weights": weights })
}

fn refuse(reason: &str) -> ExitCode {
    let _ = writeln!(io::stderr(), "{reason}");
    ExitCode::from(2)
}

/// A reader that went away is no failure of ours.
fn ended(result: io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
