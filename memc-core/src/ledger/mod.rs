//! The fleet's history: a command is decided on the exact state it will be appended to, and state is the fold of
//! commits.

mod booked;
mod command;
mod commit;
mod decide;
mod refusal;
mod state;
mod why;

pub use booked::booked_over_time;
pub use command::{ClusterPatch, ClusterSpec, Command, HostPatch, HostSpec, Order, Seen};
pub use commit::{Action, Change, Commit, FORMAT, Head, Receipt};
pub use decide::{Decision, decide};
pub use refusal::{Object, Refusal};
pub use state::{HostView, Inconsistent, PortUse, Ports, State};
pub use why::{Facts, HostsToAdd, MoveOffer, Rule, Survey, WhyNot};
