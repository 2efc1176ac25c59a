//! Where instances go: an allocator that says how good it is.
//!
//! Pure code: no I/O, no clock, no randomness. Time is an argument that never goes back; seeds and stop conditions are
//! the caller's.
//!
//! # The problem
//!
//! Hosts have finite memory (up to 16 TiB), a rack and a range of ports. A cache is k instances of one size, each on a
//! host of its own, spread over racks. An instance books memory and a port. It may grow and shrink where it is; moving
//! it leaves its items behind. That makes it *vector bin packing with conflicts* whose items change size, in which
//! every moved MiB is a cache gone cold. So three things are wanted that pull in different directions: full hosts,
//! room to grow in place, and few moves.
//!
//! # The choices
//!
//! - **Room to grow** is a share of each host (a tenth by default,
//!   [`grow_headroom_percent`](crate::model::Policy::grow_headroom_percent)) that new instances may not use. Best fit
//!   without it leaves a host no MiB, and growing in place fails nearly always; with it nearly never, and little is
//!   refused for it.
//! - **Spread first, then best fit**: as many racks as possible, and among the hosts of those the one with the least
//!   room that is enough, so that large holes stay for large requests. A cluster may ask for the most room instead
//!   ([`FillOrder`](crate::model::FillOrder)). Ties have a total order (fewest instances, then the host's number), so
//!   that an index rebuilt from a load and one folded from commits decide alike.
//! - **Equal sizes with at most one a host and r a rack form a partition matroid** (Edmonds 1971): greedy choice by any
//!   order ends with as many instances as any choice does, so a request is feasible exactly when Σ over racks of
//!   min(r − already there, hosts with room) ≥ k, and skipping full racks is exact. Tested against every subset on
//!   12,000 small cases.
//! - **Ports** are issued in the order never used, then longest released, from a cursor and an ordered set; a host whose
//!   ports all cool down is kept apart until its first is free, so that no request looks at it.
//!
//! # What it costs
//!
//! n hosts of the cluster in R racks; k instances asked for, h that the cache has.
//!
//! | | |
//! |---|---|
//! | [`Index::set`], a host changed | O(log n) |
//! | [`Index::place`] | O((h + k) log n), and O(R log n) more at worst; never n |
//! | [`Survey::read`](crate::ledger::Survey::read), what a writer may wait for while a refusal is explained | 128 records; never n |
//! | [`Facts::explain`](crate::ledger::Facts::explain), a refusal, outside the turn | O(n log size) |
//! | [`State::layout`](crate::ledger::State::layout), a copy for planning | O(n log n) |
//!
//! # Sources
//!
//! Johnson (1974) for first and best fit decreasing; Martello and Toth (1990) for the bound L2 and dominance; Gilmore
//! and Gomory (1961) for column generation; Falkenauer (1996), Scholl, Klein and Jürgens (1997), Schwerin and Wäscher
//! (1997) for the kinds of instances packing is measured on; Edmonds (1971) for matroids and greedy choice.

pub mod capacity;
mod index;
mod layout;

pub mod packing;
pub mod plan;

pub use index::{Index, Offer, Placement, Request, Site, Taken};
pub use layout::{Layout, LayoutCache, LayoutHost, LayoutInstance};
