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
//!   [`grow_headroom_percent`](crate::model::Policy::grow_headroom_percent)) that is closed to new instances as long as
//!   there is another place. Best fit without it leaves a host no MiB, and growing in place fails nearly always; with it
//!   nearly never. As a last resort it is opened while the cluster as a whole keeps half as much again
//!   ([`opens_headroom_below`](crate::model::Policy::opens_headroom_below)): in a small cluster a large request may find
//!   room nowhere else. Then, in any order of filling, hosts with the most memory left come first, since nothing grows
//!   any more on one that is filled to the last MiB. Plans and capacity keep it closed: what they promise holds without.
//! - **Spread first, then best fit**: as many racks as possible, and among the hosts of those the one with the least
//!   room that is enough, so that large holes stay for large requests. A cluster may ask for the most room instead
//!   ([`FillOrder`](crate::model::FillOrder)). Ties have a total order (fewest instances, then the host's number,
//!   scattered so that racks are not filled one after another), so that an index rebuilt from a load and one folded from
//!   commits decide alike.
//! - **Skipping full racks is exact.** Equal sizes with at most one a host and r a rack form a partition matroid (Edmonds
//!   1971). *Proof*: which host of a rack is taken changes nothing for another rack, nor how many more that rack takes, so
//!   rack i takes at most cᵢ = min(r − already there, its hosts with room), whatever was chosen before. A choice that skips
//!   racks only when they are full stops before k only when every rack holds its cᵢ, which is Σ cᵢ instances: no choice
//!   has more. So a request is feasible exactly when Σ cᵢ ≥ k, and any order of going through the hosts finds places where
//!   there are any. Tested against every subset on 12,000 small cases.
//! - **Ports** are issued in the order never used, then longest released, from a cursor and an ordered set; a host whose
//!   ports all cool down is kept apart until its first is free, so that no request looks at it.
//!
//! # What it costs
//!
//! n hosts of the cluster in R racks; k instances asked for, h that the cache has; m instances in the cluster. Searches
//! take the caller's limit on top, in nodes of about a logarithm each.
//!
//! | | |
//! |---|---|
//! | [`Index::set`], a host changed | O(log n) |
//! | [`Index::place`] | O((h + k) log n), and O(R log n) more at worst; never n |
//! | the last resort, for a request that would be refused | that again, where no host can have the memory; else O(n log n) |
//! | [`Survey::read`](crate::ledger::Survey::read), what a writer may wait for while a refusal is explained | 128 records; n of another cluster only where that one's last resort is asked for |
//! | [`Facts::explain`](crate::ledger::Facts::explain), a refusal, outside the turn | O(n log size) |
//! | [`State::layout`](crate::ledger::State::layout), a copy for planning | O((n + m) log n) |
//! | [`plan::drain`], [`plan::make_room`] | O((n + m) log n), then a node for each move |
//! | [`plan::rebalance`] | O((n + m) log n) for the greedy plan, then a search with few hosts |
//! | [`plan::check`] | O(n + m + moves × instances of a cache) |
//! | [`capacity::fit`](mod@capacity::fit) | O(k log n) where best fit decreasing does, then bounds and a search |
//! | [`capacity::buy`](mod@capacity::buy) | O(k log n) for each set of hosts that is tried |
//! | [`capacity::loss`] | O(log n) for each instance of each loss, while best fit finds a place |
//! | [`capacity::growth`] | O(n + m) |
//! | [`capacity::trend`] | O(p log p) for p points |
//! | [`capacity::fragmentation`] | O(n log n + m log m) |
//! | [`packing::first_fit_decreasing`] | O(i log i) for i items |
//! | [`packing::pack`] | that, then a search until it is told to stop |
//! | [`packing::verify`] | O(i log i), and a knapsack of limited work for dual weights |
//! | [`packing::Stream`] | O(log bins) an item, and looking ahead for the first 4,096 |
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
