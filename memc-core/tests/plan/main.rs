//! Plans against second implementations: a breadth-first search over every state, and frozen optima of an integer
//! program.

// A test fails by panicking, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod drains;
mod emptying;
mod flaws;
mod generate;
mod oracle;
mod rooms;
