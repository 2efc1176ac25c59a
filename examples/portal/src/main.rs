//! `memc-portal`, the program. See `memc-portal --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    memc_portal::cli::run()
}
