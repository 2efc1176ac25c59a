//! Tests of memc-core through its public interface.
// A test fails by panicking, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod broken;
mod flaky;
mod fleet;
mod growth;
mod moves;
mod naive;
mod observe;
mod plans;
mod programs;
mod rules;
mod simulate;
mod survey;
mod why;
mod world;

// The simulation, of which the second implementation is a part.
#[path = "../../examples/simulate/agree.rs"]
mod agree;
#[path = "../../examples/simulate/arguments.rs"]
mod arguments;
#[path = "../../examples/simulate/drain.rs"]
mod drain;
#[path = "../../examples/simulate/ledger.rs"]
mod ledger;
#[path = "../../examples/simulate/life.rs"]
mod life;
#[path = "../../examples/simulate/second.rs"]
mod second;
#[path = "../../examples/simulate/workload.rs"]
mod workload;
