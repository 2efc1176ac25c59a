//! Where the free memory of a cluster is, and why part of it cannot be used.

use std::fmt;

use super::super::{Layout, LayoutHost};
use crate::model::Mib;

/// Numbers of instances for which the largest allocation is stated.
const INSTANCES: [usize; 3] = [1, 2, 4];

/// Where free memory is, and what it is good for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fragmentation {
    /// All memory of the hosts, MiB.
    pub memory: Mib,
    /// Memory beyond all bookings, MiB: [`Fragmentation::usable`] and [`Fragmentation::stranded`] together.
    pub free: Mib,
    /// Bookings beyond the memory of their host, MiB, where a host's memory was lowered.
    pub overbooked: Mib,
    /// Memory that new instances of the smallest size can still book, MiB.
    pub usable: Mib,
    /// The rest of the free memory by why new instances cannot book it.
    pub stranded: Stranded,
    /// The largest booking that as many hosts can each take, MiB: for 1, 2 and 4 instances of one cache. Zero if there
    /// is none.
    pub largest: [(usize, Mib); 3],
    /// The smallest booking, MiB, as given.
    pub smallest: Mib,
    /// The booking in the middle of all there are (of two, the lower), MiB; the smallest one if there are none.
    pub typical: Mib,
    /// Of the usable memory what is in holes too small for a typical instance, MiB.
    pub too_small_for_typical: Mib,
    /// How many more typical instances fit.
    pub more_typical: u64,
}

/// Free memory that no new instance can book, MiB, by the first of these reasons that holds for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stranded {
    /// On hosts that take no new instances: cordoned, being drained or not active.
    pub closed: Mib,
    /// On hosts that book more than new instances may fill them up to: what is left is for growing only.
    pub over_limit: Mib,
    /// Kept on the other hosts so that instances can grow in place.
    pub kept_for_growing: Mib,
    /// Open to new instances, but on hosts without a free port.
    pub no_port: Mib,
    /// In holes smaller than the smallest booking.
    pub too_small: Mib,
}

impl Stranded {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> Mib {
        [self.closed, self.over_limit, self.kept_for_growing, self.no_port, self.too_small].into_iter().sum()
    }
}

impl fmt::Display for Fragmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} are free; new instances can use {} of that.",
            self.free, self.memory, self.usable
        )?;
        let parts = self.largest.iter().map(|(instances, largest)| match (instances, largest) {
            (_, &Mib::ZERO) => format!("{instances} together do not fit at all"),
            (1, largest) => format!("a single instance can book up to {largest}"),
            (_, largest) => format!("{instances} together up to {largest} each"),
        });
        write!(f, " Of new instances, {}.", parts.collect::<Vec<_>>().join(", "))?;
        let reasons = [
            (self.stranded.closed, "is on hosts that take no new instances"),
            (self.stranded.over_limit, "is on hosts that are filled beyond what new instances may use"),
            (self.stranded.kept_for_growing, "is kept so that instances can grow where they are"),
            (self.stranded.no_port, "is on hosts without a free port"),
            (self.stranded.too_small, "is in holes too small for the smallest instance"),
        ];
        for (memory, reason) in reasons.into_iter().filter(|(memory, _)| *memory > Mib::ZERO) {
            write!(f, " {memory} {reason}.")?;
        }
        if self.too_small_for_typical > Mib::ZERO {
            write!(
                f,
                " {} of the usable memory is in holes too small for a typical instance, which books {}.",
                self.too_small_for_typical, self.typical
            )?;
        }
        write!(f, " {} more typical instances would fit.", self.more_typical)?;
        if self.overbooked > Mib::ZERO {
            write!(f, " Some hosts book more than they have, {} together.", self.overbooked)?;
        }
        Ok(())
    }
}

/// Where the free memory of a cluster is. `smallest` is what the smallest instance that people may ask for books.
/// O(n log n + k log k) for k instances on n hosts.
#[must_use]
pub fn fragmentation(layout: &Layout, smallest: Mib) -> Fragmentation {
    let mut bookings: Vec<Mib> = layout.instances.iter().map(|instance| instance.booked).collect();
    bookings.sort_unstable();
    let typical = bookings.get(bookings.len().saturating_sub(1) / 2).copied().unwrap_or(smallest);
    let mut found = Fragmentation { smallest, typical, ..Fragmentation::default() };
    let mut rooms = Vec::new();
    for host in &layout.hosts {
        found.memory = found.memory.plus(host.memory);
        found.free = found.free.plus(host.memory.minus(host.booked));
        found.overbooked = found.overbooked.plus(host.booked.minus(host.memory));
        found.add(host);
        if host.open && host.ports > 0 && host.room() >= smallest {
            rooms.push(host.room());
        }
    }
    rooms.sort_unstable_by(|one, other| other.cmp(one));
    found.largest =
        INSTANCES.map(|instances| (instances, rooms.get(instances - 1).copied().unwrap_or_default()));
    found
}

impl Fragmentation {
    fn add(&mut self, host: &LayoutHost) {
        let free = host.memory.minus(host.booked);
        let add = |sum: &mut Mib, memory: Mib| *sum = sum.plus(memory);
        if !host.open {
            return add(&mut self.stranded.closed, free);
        }
        if host.booked > host.limit {
            return add(&mut self.stranded.over_limit, free);
        }
        let room = host.room().min(free);
        add(&mut self.stranded.kept_for_growing, free.minus(room));
        if host.ports == 0 {
            return add(&mut self.stranded.no_port, room);
        }
        if room < self.smallest {
            return add(&mut self.stranded.too_small, room);
        }
        add(&mut self.usable, room);
        if room < self.typical {
            add(&mut self.too_small_for_typical, room);
        }
        let fit = room.get().checked_div(self.typical.get()).unwrap_or(u64::MAX);
        self.more_typical = self.more_typical.saturating_add(fit.min(host.ports.into()));
    }
}
