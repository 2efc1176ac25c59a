//! The life of a fleet, checked throughout by a second implementation. `--help` says what it does.

mod agree;
mod arguments;
mod drain;
mod ledger;
mod life;
mod second;
mod workload;

use std::io::Write;
use std::process::ExitCode;

use arguments::{Arguments, Asked, USAGE, parse};

fn main() -> ExitCode {
    match parse(std::env::args().skip(1)) {
        Ok(Asked::Life(arguments)) => live(&arguments),
        Ok(Asked::Help) => ExitCode::from(u8::from(write!(std::io::stdout(), "{USAGE}").is_err())),
        Err(wrong) => {
            eprintln!("simulate: {wrong}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn live(arguments: &Arguments) -> ExitCode {
    let report = life::life(arguments);
    let written = write!(std::io::stdout(), "{}", report.text);
    ExitCode::from(u8::from(!report.sound || written.is_err()))
}
