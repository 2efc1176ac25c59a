//! Which port of a host is issued next.

use std::collections::BTreeSet;

use super::{HostView, PortUse};
use crate::model::{Port, PortRange, Timestamp};

/// What the ports of a host are used for, lowest first: a sorted list, which takes a quarter of a tree's memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports(Vec<PortUse>);

impl Ports {
    /// What a port is used for; `None` if it never was, or is not remembered. O(log n).
    #[must_use]
    pub fn get(&self, port: &Port) -> Option<&PortUse> {
        self.find(*port).ok().map(|at| &self.0[at])
    }

    /// Whether a port is or was in use. O(log n).
    #[must_use]
    pub fn contains_key(&self, port: &Port) -> bool {
        self.find(*port).is_ok()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What each is used for, lowest port first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &PortUse> {
        self.0.iter()
    }

    fn find(&self, port: Port) -> Result<usize, usize> {
        self.0.binary_search_by_key(&port, PortUse::port)
    }

    /// O(n), which is at most 65,536.
    fn insert(&mut self, usage: PortUse) -> Option<PortUse> {
        match self.find(usage.port()) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at], usage)),
            Err(at) => {
                if self.0.len() == self.0.capacity() {
                    // Hosts are many and their ports few: a quarter more instead of twice as much.
                    self.0.reserve_exact(2 + self.0.len() / 4);
                }
                self.0.insert(at, usage);
                None
            }
        }
    }

    fn remove(&mut self, port: Port) -> Option<PortUse> {
        Some(self.0.remove(self.find(port).ok()?))
    }
}

impl<'a> IntoIterator for &'a Ports {
    type Item = &'a PortUse;
    type IntoIter = std::slice::Iter<'a, PortUse>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// The ports of one host that may be issued, now or later. A function of its cluster's range, its blocked ports and
/// what its ports are used for, kept up to date so that no request scans them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OpenPorts {
    range: PortRange,
    /// The lowest that was never used.
    fresh: Option<Port>,
    /// Those whose last instance is gone, by the end of their cool-down.
    retired: BTreeSet<(Timestamp, Port)>,
}

impl OpenPorts {
    /// Of a host without ports to issue.
    pub(super) fn none() -> Self {
        let range = PortRange { first: Port::MAX, last: Port::MAX };
        OpenPorts { range, fresh: None, retired: BTreeSet::new() }
    }
}

impl HostView {
    /// Work out anew which ports may be issued: the range of the cluster or the blocked ports have changed.
    /// O(ports in use).
    pub(super) fn open_ports_of(&mut self, range: PortRange) {
        self.open = OpenPorts { range, ..OpenPorts::none() };
        self.open.fresh = self.fresh_from(range.first);
        let retired = self.ports.iter().filter_map(|usage| match usage {
            PortUse::Retired(it) if self.may_issue(it.port) => Some((it.reusable_at, it.port)),
            _ => None,
        });
        self.open.retired = retired.collect();
    }

    /// Give a port another use, or none. Answers what it was used for. O(log n).
    pub(super) fn use_port(&mut self, port: Port, usage: Option<PortUse>) -> Option<PortUse> {
        let retired = |usage: &Option<PortUse>| match usage {
            Some(PortUse::Retired(it)) => Some((it.reusable_at, port)),
            _ => None,
        };
        let (taken, now_retired) = (usage.is_some(), retired(&usage));
        let before = match usage {
            Some(usage) => self.ports.insert(usage),
            None => self.ports.remove(port),
        };
        if !self.may_issue(port) {
            return before;
        }
        if let Some(was) = retired(&before) {
            self.open.retired.remove(&was);
        }
        self.open.retired.extend(now_retired);
        if !taken {
            self.open.fresh = Some(self.open.fresh.map_or(port, |fresh| fresh.min(port)));
        } else if self.open.fresh == Some(port) {
            self.open.fresh = self.fresh_from(port);
        }
        before
    }

    fn may_issue(&self, port: Port) -> bool {
        self.open.range.contains(port) && !self.host.blocks(port)
    }

    /// The lowest from here on that was never used. O(log n), and 1 more for each port in use or blocked on the way.
    fn fresh_from(&self, from: Port) -> Option<Port> {
        let free = |port: &Port| !self.ports.contains_key(port) && !self.host.blocks(*port);
        PortRange { first: from, last: self.open.range.last }.iter().find(free)
    }

    /// The port that a new instance gets at `now`: the lowest that was never used; if there is none, the one whose
    /// cool-down ended first. O(1).
    #[must_use]
    pub fn free_port(&self, now: Timestamp) -> Option<Port> {
        let cooled = || self.open.retired.first().filter(|(at, _)| *at <= now).map(|(_, port)| *port);
        self.open.fresh.or_else(cooled)
    }

    /// From when on [`free_port`](HostView::free_port) has an answer; [`Timestamp::NEVER`] if waiting does not help.
    #[must_use]
    pub fn port_from(&self) -> Timestamp {
        match (self.open.fresh, self.open.retired.first()) {
            (Some(_), _) => Timestamp::default(),
            (None, Some((at, _))) => *at,
            (None, None) => Timestamp::NEVER,
        }
    }

    /// How many ports could be issued at `now`. O(ports in use + blocked).
    #[must_use]
    pub fn free_ports(&self, now: Timestamp) -> usize {
        let range = self.open.range;
        let used = self.ports.iter().filter(|usage| self.may_issue(usage.port())).count();
        let blocked = self.host.blocked_ports.union(&self.host.found_ports);
        let blocked = blocked.filter(|port| range.contains(**port)).count();
        let all = usize::from(range.last.get().saturating_sub(range.first.get())) + 1;
        let cooled = self.open.retired.iter().take_while(|(at, _)| *at <= now).count();
        all.saturating_sub(used + blocked) + cooled
    }
}
