//! What operators decide for a cluster.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Mib, Port};

/// The ports of a cluster, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortRange {
    /// The lowest port an instance may get.
    pub first: Port,
    /// The highest; not below `first`.
    pub last: Port,
}

impl PortRange {
    /// Whether an instance may get this port.
    #[must_use]
    pub fn contains(&self, port: Port) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Every port, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Port> + use<> {
        (self.first.get()..=self.last.get()).filter_map(|port| Port::new(port).ok())
    }
}

/// Which of the hosts with room a new instance goes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FillOrder {
    /// The one with the least room: large holes stay for large requests, and hosts stay empty.
    #[default]
    Pack,
    /// The one with the most room: load is even, and everything has room to grow.
    Balance,
}

/// The rules of a cluster. Every field has a default, so that documents name only what they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// The largest instance, MiB. At least [`Mib::MIN_INSTANCE`]; default 65,536 (64 GiB).
    pub max_instance_mib: Mib,
    /// The most instances of one cache: 1 to 64; default 16.
    pub max_instances: u16,
    /// The share of each host that is kept from new instances, so that the ones there can grow without moving: 0 to
    /// 90 %; default 10 %. As a last resort, where what is asked for finds no place otherwise, it is opened as long as the
    /// cluster as a whole keeps half as much again free: see [`Policy::opens_headroom_below`].
    pub grow_headroom_percent: u32,
    /// Which of the hosts with room a new instance goes to; racks come first. Default `pack`.
    pub order: FillOrder,
    /// How much of the cluster's memory (that of its hosts which are not lost) new instances may book in all, so that
    /// what is left can take what a lost host had: 1 to 100 %; default 100 %.
    pub fill_limit_percent: u32,
    /// How long a port stays unused after its instance was seen to have stopped: clients with an old list must not
    /// read another team's data. Seconds, at most 90 days; default 24 hours.
    pub cool_down_seconds: u64,
    /// memcached's `-c`: connections an instance accepts, 1 to 1,000,000; default 30,240.
    pub max_connections: u32,
    /// What a host books beyond the memory asked for.
    pub overhead: Overhead,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            max_instance_mib: Mib::capped(65_536),
            max_instances: 16,
            grow_headroom_percent: 10,
            order: FillOrder::Pack,
            fill_limit_percent: 100,
            cool_down_seconds: 24 * 60 * 60,
            max_connections: 30_240,
            overhead: Overhead::default(),
        }
    }
}

impl Policy {
    /// The memory of a host that new instances may use while there is another place, MiB: what is left beside the share
    /// kept for growing.
    #[must_use]
    pub fn open_to_new(&self, host: Mib) -> Mib {
        host.minus(host.percent(self.grow_headroom_percent))
    }

    /// What new instances may book a cluster up to whose hosts have this much memory together, MiB.
    #[must_use]
    pub fn fill_limit(&self, cluster: Mib) -> Mib {
        share(cluster, self.fill_limit_percent, 100)
    }

    /// What new instances that find no place else may book such a cluster up to, MiB, in the share of hosts that is kept
    /// for growing: all but one and a half times that share, 85 % by default. None where that is all of it or more.
    ///
    /// In a small cluster a host is a large part of it, and for a large request there may be room only in what each keeps
    /// for growing, while the cluster as a whole has plenty. What is opened then is little of what all of them keep.
    #[must_use]
    pub fn opens_headroom_below(&self, cluster: Mib) -> Mib {
        share(cluster, 200_u32.saturating_sub(self.grow_headroom_percent.saturating_mul(3)), 200)
    }

    /// [`Policy::cool_down_seconds`] as a duration.
    #[must_use]
    pub fn cool_down(&self) -> Duration {
        Duration::from_secs(self.cool_down_seconds)
    }

    /// The same with other values for these fields, which are as in its JSON form. [`Policy::flaw`] judges the result.
    ///
    /// # Errors
    /// A sentence for people, if a field is not one of a policy or has a value of another type.
    pub fn with(&self, fields: &Map<String, Value>) -> Result<Policy, String> {
        let mut whole = serde_json::to_value(self).map_err(|error| error.to_string())?;
        for (field, value) in fields {
            match (whole.get_mut(field), value) {
                (Some(Value::Object(inner)), Value::Object(values)) => {
                    inner.extend(values.iter().map(|(field, value)| (field.clone(), value.clone())));
                }
                _ => whole[field.as_str()] = value.clone(),
            }
        }
        serde_json::from_value(whole).map_err(|error| error.to_string())
    }

    /// What is wrong with it, in a sentence for people; `None` if nothing is.
    #[must_use]
    pub fn flaw(&self) -> Option<&'static str> {
        if !(Mib::MIN_INSTANCE..=Mib::MAX_HOST).contains(&self.max_instance_mib) {
            Some("max_instance_mib must be from 8 to 16777216")
        } else if !(1..=64).contains(&self.max_instances) {
            Some("max_instances must be from 1 to 64")
        } else if self.grow_headroom_percent > 90 {
            Some("grow_headroom_percent must be from 0 to 90")
        } else if !(1..=100).contains(&self.fill_limit_percent) {
            Some("fill_limit_percent must be from 1 to 100")
        } else if self.cool_down_seconds > 90 * 24 * 60 * 60 {
            Some("cool_down_seconds must be at most 7776000 (90 days)")
        } else if !(1..=1_000_000).contains(&self.max_connections) {
            Some("max_connections must be from 1 to 1000000")
        } else {
            self.overhead.flaw()
        }
    }
}

/// So many parts of a whole that is the sum of many hosts: rounded down without leaving 64 bits.
fn share(whole: Mib, parts: u32, of: u64) -> Mib {
    let parts = u64::from(parts);
    Mib::capped(whole.get() / of * parts + whole.get() % of * parts / of)
}

/// What a memcached process holds beyond its `-m`, as a rule that books enough.
///
/// ```text
/// booked = m + max(⌈m × percent / 100⌉ + base_mib, floor_mib) + ⌈connections × connection_kib / 1024⌉
/// ```
///
/// The defaults cover what was measured on memcached 1.6: 10 % and 8 MiB for items of one size (hash table,
/// threads), 45 MiB for small caches with items of every size (each slab class may take one 1 MiB page past the
/// limit), 16 KiB for a connection while it is being read from. A changed rule counts for what is booked from then on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Overhead {
    /// Share of the memory asked for: 0 to 400 %; default 10 %.
    pub percent: u32,
    /// Added to that share, MiB: at most 1,048,576; default 8.
    pub base_mib: u64,
    /// The least for share and base together, MiB: at most 1,048,576; default 45.
    pub floor_mib: u64,
    /// Connections that are expected to be active at once: at most 1,000,000; default 1,024.
    pub connections: u32,
    /// Memory of one of them, KiB: at most 1,024; default 16.
    pub connection_kib: u32,
}

impl Default for Overhead {
    fn default() -> Self {
        Overhead { percent: 10, base_mib: 8, floor_mib: 45, connections: 1024, connection_kib: 16 }
    }
}

impl Overhead {
    /// What a host books for an instance of this size.
    #[must_use]
    pub fn booking(&self, memory: Mib) -> Mib {
        let share = memory.percent(self.percent).plus(Mib::capped(self.base_mib));
        let connections = (u64::from(self.connections) * u64::from(self.connection_kib)).div_ceil(1024);
        memory.plus(share.max(Mib::capped(self.floor_mib))).plus(Mib::capped(connections))
    }

    /// The largest instance whose booking is at most this; zero if there is none. The inverse of
    /// [`Overhead::booking`], found by bisection since that is monotone.
    #[must_use]
    pub fn largest_within(&self, booked: Mib) -> Mib {
        let (mut fits, mut too_large) = (0, booked.get() + 1);
        while too_large - fits > 1 {
            let middle = fits + (too_large - fits) / 2;
            if self.booking(Mib::capped(middle)) <= booked { fits = middle } else { too_large = middle }
        }
        Mib::capped(fits)
    }

    fn flaw(&self) -> Option<&'static str> {
        if self.percent > 400 {
            Some("overhead.percent must be from 0 to 400")
        } else if self.base_mib > 1 << 20 || self.floor_mib > 1 << 20 {
            Some("overhead.base_mib and overhead.floor_mib must be at most 1048576")
        } else if self.connections > 1_000_000 {
            Some("overhead.connections must be at most 1000000")
        } else if self.connection_kib > 1024 {
            Some("overhead.connection_kib must be at most 1024")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_policy_changes_only_where_it_says() {
        let fields = |json: &str| serde_json::from_str(json).unwrap();
        let after =
            Policy::default().with(&fields(r#"{"max_instances": 3, "overhead": {"percent": 20}}"#)).unwrap();
        assert_eq!((after.max_instances, after.overhead.percent), (3, 20));
        let overhead = Overhead { percent: 20, ..Overhead::default() };
        assert_eq!(after, Policy { max_instances: 3, overhead, ..Policy::default() });
        for bad in
            [r#"{"max": 3}"#, r#"{"max_instances": "3"}"#, r#"{"overhead": 3}"#, r#"{"max_instances": -1}"#]
        {
            assert!(Policy::default().with(&fields(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_headroom_opens_while_half_as_much_again_is_free() {
        let opens = |percent, cluster| {
            let policy = Policy { grow_headroom_percent: percent, ..Policy::default() };
            policy.opens_headroom_below(Mib::capped(cluster)).get()
        };
        assert_eq!([0, 1, 10, 66, 67, 90].map(|percent| opens(percent, 2000)), [2000, 1970, 1700, 20, 0, 0]);
        // Rounded down: 85 % of 1,999 is 1,699.15, and of the most that a sum of hosts can be it is no more than that.
        assert_eq!((opens(10, 1999), opens(10, 1), opens(10, 0)), (1699, 0, 0));
        let most = u128::from(Mib::MAX.get());
        assert_eq!(u128::from(opens(10, Mib::MAX.get())), most * 85 / 100);
    }

    #[test]
    fn the_default_booking_covers_what_was_measured() {
        let overhead = Overhead::default();
        let booked = |m| overhead.booking(Mib::capped(m)).get();
        // MB of slab pages with items of all sizes, and a process of about 5 MB around them.
        for (memory, measured) in [(8, 45), (22, 59), (33, 70), (64, 101), (128, 165)] {
            assert!(booked(memory) >= measured + 5, "{memory}");
        }
        assert_eq!(booked(64), 64 + 45 + 16);
        assert_eq!(booked(1024), 1024 + 103 + 8 + 16);
    }

    proptest! {
        #[test]
        fn largest_within_is_the_inverse(percent in 0..=400u32, base in 0..100u64, floor in 0..200u64,
                                         connections in 0..2000u32, booked in 0..20_000u64) {
            let overhead = Overhead { percent, base_mib: base, floor_mib: floor, connections, connection_kib: 16 };
            let booked = Mib::capped(booked);
            let fits = overhead.largest_within(booked);
            prop_assert!(fits == Mib::ZERO || overhead.booking(fits) <= booked);
            prop_assert!(overhead.booking(fits.plus(Mib::capped(1))) > booked);
        }
    }
}
