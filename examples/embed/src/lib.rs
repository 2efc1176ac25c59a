//! Nothing but the example of the project's README, so that it is compiled as a test.
#![cfg_attr(doctest, doc = include_str!("../../../README.md"))]
