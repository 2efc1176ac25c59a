//! A fault campaign on a store: processes submit random commands on a nearly full fleet while servers, processes and
//! connections die, and afterwards the ledger is compared with what the clients were told. See `docs/reliability.md`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test, and tests fail by panicking

mod ask;
mod audit;
mod backup;
mod book;
mod campaign;
mod fault;
mod inject;
mod journal;
mod judge;
mod power;
mod proxy;
mod random;
mod reads;
mod records;
mod surroundings;
mod target;
mod worker;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(about)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Inject faults under load, then check the ledger; exit 1 if anything is wrong.
    Campaign(campaign::Arguments),
    /// What the campaign starts twice: a process with a fleet and clients.
    #[command(hide = true)]
    Worker(worker::Arguments),
}

fn main() -> ExitCode {
    match Arguments::parse().role {
        Role::Worker(arguments) => {
            worker::run(&arguments);
            ExitCode::SUCCESS
        }
        Role::Campaign(arguments) => campaign::run(&arguments),
    }
}
