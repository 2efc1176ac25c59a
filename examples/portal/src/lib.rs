//! A portal for self-service memcached: pages for users and operators, a JSON API and the pillar for Salt, over any
//! fleet of `memc-core`.
//!
//! The library exists so that tests can run the portal in their own process; the program is `memc-portal`.

pub mod accounts;
pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod locale;
pub mod pages;
pub mod problem;
pub mod repair;
pub mod serve;
