//! What memcached says of itself, and what that confirms.
//!
//! Evidence, not hope, moves an instance on:
//!
//! - *running*: its port answers as memcached, with the size it should have;
//! - *memory given back*: it holds no more than its new limit (`total_malloced`);
//! - *stopped*: a pillar that tells the host to stop it was handed out, **and** an observer that had seen this very
//!   instance answer is now refused several times in a row.
//!
//! - *looked around on*: after the ledger was set back to a backup, every port of a host accepted or refused a
//!   connection, and every instance there that had been seen running accepted one.
//!
//! A time-out is no evidence, nor is a refusal from a host that this observer never reached. Every confirmation names
//! the record's revision that was compared, and is void if the record has changed since.

mod around;
mod observer;
mod probe;

pub use around::Hindrance;
pub use observer::{Observation, Observations, Observer, Options};
pub use probe::{Probe, Stats, probe};
