//! How fast the stores are on this machine: `scripts/bench stores`.
//!
//! Every figure is of processes of their own, which are this program again with a role that the help does not show. They
//! say `ready`, begin when they are told to, and answer with one line.

#![allow(clippy::unwrap_used, clippy::panic)] // a benchmark that cannot go on may panic

mod baseline;
mod follow;
mod large;
mod process;
mod throughput;
mod world;

use clap::{Parser, Subcommand};

use baseline::Baseline;
use world::Kind;

#[derive(Debug, Parser)]
#[command(about = "Measures the stores on private servers that it starts")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Durable allocations a second, from 1, 2 and 4 processes, beside row guards on PostgreSQL
    Throughput {
        /// The stores; all of them where none is named
        stores: Vec<Kind>,
        /// How long each figure is measured, after a second that does not count
        #[arg(long, default_value_t = 5)]
        seconds: u64,
        /// Clients a process
        #[arg(long, value_delimiter = ',', default_value = "16,64")]
        clients: Vec<usize>,
        /// Processes
        #[arg(long, value_delimiter = ',', default_value = "1,2,4")]
        processes: Vec<usize>,
    },
    /// Opening a large fleet, and the memory that it takes
    Open {
        /// The stores; all of them where none is named
        stores: Vec<Kind>,
        /// Hosts; ten times as many instances
        #[arg(long, default_value_t = 100_000)]
        hosts: usize,
    },
    /// What a process takes that only follows while another one writes 1,000 commits a second
    Follow {
        /// The stores; all of them where none is named
        stores: Vec<Kind>,
        /// How long
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    #[command(hide = true)]
    AllocateRole { url: String, number: usize, clients: usize, seconds: u64 },
    #[command(hide = true)]
    BaselineRole { url: String, kind: Baseline, teams: i32, clients: usize, seconds: u64 },
    #[command(hide = true)]
    FillRole { url: String, hosts: usize },
    #[command(hide = true)]
    OpenRole { url: String },
    #[command(hide = true)]
    FollowRole { url: String },
    #[command(hide = true)]
    WriteRole { url: String, seconds: u64 },
}

#[tokio::main]
async fn main() {
    match Arguments::parse().what {
        What::Throughput { stores, seconds, clients, processes } => {
            throughput::measure(&Kind::or_all(stores), seconds, &clients, &processes).await;
        }
        What::Open { stores, hosts } => large::measure(&Kind::or_all(stores), hosts),
        What::Follow { stores, seconds } => follow::measure(&Kind::or_all(stores), seconds).await,
        What::AllocateRole { url, number, clients, seconds } => {
            throughput::allocate(&url, number, clients, seconds).await;
        }
        What::BaselineRole { url, kind, teams, clients, seconds } => {
            baseline::allocate(&url, kind, teams, clients, seconds).await;
        }
        What::FillRole { url, hosts } => large::fill(&url, hosts).await,
        What::OpenRole { url } => large::open(&url).await,
        What::FollowRole { url } => follow::follow(&url).await,
        What::WriteRole { url, seconds } => follow::write(&url, seconds).await,
    }
}
