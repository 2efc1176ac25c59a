//! Tests of memc-core through its public interface.

mod flaky;
mod fleet;
mod naive;
mod observe;
mod rules;
mod world;
