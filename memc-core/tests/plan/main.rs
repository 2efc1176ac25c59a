//! Plans against second implementations: a breadth-first search over every state, and frozen optima of an integer
//! program.

mod drains;
mod emptying;
mod generate;
mod oracle;
