//! Tests of memc-core through its public interface.
// A test fails by panicking, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod broken;
mod flaky;
mod fleet;
mod moves;
mod naive;
mod observe;
mod plans;
mod rules;
mod why;
mod world;
