//! A cluster copied out for planning: plain numbers, nothing that a turn waits for.

use crate::model::{CacheId, HostId, InstanceId, Mib, Rack};

/// One cluster at one revision, as planning sees it. Hosts, caches and instances name each other by their position
/// in these lists; each list is in the order of ids, so that a plan is a function of the fleet alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layout {
    /// Every host that is neither lost nor removed.
    pub hosts: Vec<LayoutHost>,
    /// Every cache with an instance here.
    pub caches: Vec<LayoutCache>,
    /// Every instance that books memory here, those that are being stopped included.
    pub instances: Vec<LayoutInstance>,
}

/// A host of a [`Layout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutHost {
    /// Which.
    pub id: HostId,
    /// What it fails together with; hosts without one count as one rack together.
    pub rack: Option<Rack>,
    /// All of its memory, MiB.
    pub memory: Mib,
    /// What new instances may fill it up to, MiB: its memory without the share kept for growing, which planning never
    /// uses, though a new instance may as a last resort.
    pub limit: Mib,
    /// What its instances book together, MiB. May be above `limit`, and after its memory was lowered above `memory`.
    pub booked: Mib,
    /// Ports that could be issued now. An instance that leaves does not add one: its port cools down.
    pub ports: u32,
    /// Whether it takes new instances: active, not cordoned or draining.
    pub open: bool,
}

impl LayoutHost {
    /// Memory that new instances may still book, MiB; zero if it takes none.
    #[must_use]
    pub fn room(&self) -> Mib {
        if self.open { self.limit.minus(self.booked) } else { Mib::ZERO }
    }
}

/// A cache of a [`Layout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutCache {
    /// Which.
    pub id: CacheId,
    /// How many of its instances may share a rack; `None` for any number.
    pub max_per_rack: Option<u16>,
}

/// An instance of a [`Layout`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutInstance {
    /// Which.
    pub id: InstanceId,
    /// Its cache's position in [`Layout::caches`].
    pub cache: u32,
    /// Its host's position in [`Layout::hosts`].
    pub host: u32,
    /// What its users lose when it moves, MiB: the memory they asked for.
    pub memory: Mib,
    /// What its host holds for it, MiB.
    pub booked: Mib,
    /// What another host would book for it, MiB: less than `booked` while it shrinks.
    pub rebooked: Mib,
    /// Whether it can be moved: not one that is being stopped or is half of a move already.
    pub movable: bool,
}
