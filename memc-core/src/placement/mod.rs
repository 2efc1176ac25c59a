//! Where instances go: best fit over an index of free memory, spread over hosts and racks.
//!
//! Pure code: no I/O, no clock, no randomness. [`Index`] answers from ordered sets, one a rack of each cluster, so
//! that a request costs O(r log n + k log r) for k instances in a cluster of n hosts in r racks, whatever the number
//! of other clusters; nothing is scanned host by host.
//!
//! Rules: instances of one cache on different hosts, always; on as many racks as possible; within that the tightest
//! host, so that large holes stay for large requests. Ties have a total order (fewest instances, then the host's
//! number), so that an index rebuilt from a load and one folded from commits decide alike.

mod index;
mod layout;

pub use index::{Index, Offer, Placement, Request, Site, Taken};
pub use layout::{Layout, LayoutCache, LayoutHost, LayoutInstance};
