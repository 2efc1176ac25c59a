#![doc = include_str!("../README.md")]

pub mod archive;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod fleet;
pub mod ledger;
pub mod model;
pub mod observe;
pub mod pillar;
pub mod placement;
pub mod store;

pub use fleet::Fleet;
pub use store::Store;
