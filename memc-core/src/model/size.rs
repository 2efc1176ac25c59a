//! Ports and memory sizes: integers with a range.

use std::fmt;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

/// A number outside the range of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSize {
    /// Ports below 1024 are privileged, port 0 means "any": neither can be given to memcached.
    #[error("port {0} is not usable: take one from 1024 to 65535")]
    Port(u64),
    /// More memory than [`Mib::MAX`].
    #[error("{0} MiB is too much: the largest size is {max} MiB", max = Mib::MAX.get())]
    Mib(u64),
}

/// A TCP port that memcached may listen on: 1024 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Port(u16);

impl Port {
    /// The lowest port that is not privileged.
    pub const MIN: Port = Port(1024);
    /// The highest port.
    pub const MAX: Port = Port(u16::MAX);

    /// # Errors
    /// [`InvalidSize::Port`] below 1024.
    pub const fn new(port: u16) -> Result<Self, InvalidSize> {
        if port < Self::MIN.0 { Err(InvalidSize::Port(port as u64)) } else { Ok(Port(port)) }
    }

    /// The port's number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<u64> for Port {
    type Error = InvalidSize;
    fn try_from(port: u64) -> Result<Self, InvalidSize> {
        u16::try_from(port).map_err(|_| InvalidSize::Port(port)).and_then(Port::new)
    }
}

impl From<Port> for u64 {
    fn from(port: Port) -> u64 {
        port.0.into()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// [`Mib::MAX`].
const MOST: u64 = 1 << 40;

/// Memory in mebibytes (2^20 bytes): 0 to 2^40.
///
/// The bound leaves room to add up a million of the largest values in 64 bits; additions saturate at it and
/// subtractions at zero, so that no arithmetic on sizes can wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
// One more than it is, so that an `Option` of it takes no more memory.
pub struct Mib(NonZeroU64);

impl Mib {
    /// No memory.
    pub const ZERO: Mib = Mib::capped(0);
    /// 2^40 MiB.
    pub const MAX: Mib = Mib::capped(MOST);
    /// The most memory of one host: 16 TiB.
    pub const MAX_HOST: Mib = Mib::capped(16 << 20);
    /// The smallest instance: memcached refuses to resize itself below this while running
    /// (`cache_memlimit` answers `MEMLIMIT_TOO_SMALL`).
    pub const MIN_INSTANCE: Mib = Mib::capped(8);

    /// # Errors
    /// [`InvalidSize::Mib`] above [`Mib::MAX`].
    pub const fn new(mib: u64) -> Result<Self, InvalidSize> {
        if mib > MOST { Err(InvalidSize::Mib(mib)) } else { Ok(Mib::capped(mib)) }
    }

    /// The number of MiB.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get() - 1
    }

    /// `self + other`, at most [`Mib::MAX`].
    #[must_use]
    pub const fn plus(self, other: Mib) -> Mib {
        Mib::capped(self.get() + other.get())
    }

    /// `self - other`, at least zero.
    #[must_use]
    pub const fn minus(self, other: Mib) -> Mib {
        Mib::capped(self.get().saturating_sub(other.get()))
    }

    /// `self × factor`, at most [`Mib::MAX`].
    #[must_use]
    pub const fn times(self, factor: u64) -> Mib {
        Mib::capped(self.get().saturating_mul(factor))
    }

    /// `percent` % of it, rounded up, at most [`Mib::MAX`].
    #[must_use]
    pub const fn percent(self, percent: u32) -> Mib {
        Mib::capped(self.get().saturating_mul(percent as u64).div_ceil(100))
    }

    /// The value, or [`Mib::MAX`] where it is above.
    pub(crate) const fn capped(mib: u64) -> Mib {
        Mib(NonZeroU64::MIN.saturating_add(if mib > MOST { MOST } else { mib }))
    }
}

impl TryFrom<u64> for Mib {
    type Error = InvalidSize;
    fn try_from(mib: u64) -> Result<Self, InvalidSize> {
        Mib::new(mib)
    }
}

impl From<Mib> for u64 {
    fn from(mib: Mib) -> u64 {
        mib.get()
    }
}

impl std::iter::Sum for Mib {
    fn sum<I: Iterator<Item = Mib>>(sizes: I) -> Mib {
        sizes.fold(Mib::ZERO, Mib::plus)
    }
}

impl fmt::Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.get())
    }
}

impl fmt::Debug for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Mib").field(&self.get()).finish()
    }
}

impl Default for Mib {
    fn default() -> Self {
        Mib::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_below_1024_cannot_be_built() {
        assert_eq!(Port::new(1023), Err(InvalidSize::Port(1023)));
        assert_eq!(Port::new(1024).unwrap().get(), 1024);
        assert!(serde_json::from_str::<Port>("80").is_err());
        assert!(serde_json::from_str::<Port>("65536").is_err());
        assert!(serde_json::from_str::<Port>("-1").is_err());
    }

    #[test]
    fn arithmetic_stops_at_its_bounds() {
        assert_eq!(Mib::MAX.plus(Mib::MAX), Mib::MAX);
        assert_eq!(Mib::MAX.times(u64::MAX), Mib::MAX);
        assert_eq!(Mib::ZERO.minus(Mib::MAX), Mib::ZERO);
        assert_eq!(Mib::MAX.percent(u32::MAX), Mib::MAX);
        assert_eq!(Mib::capped(101).percent(10), Mib::capped(11));
        assert!(Mib::new(Mib::MAX.get() + 1).is_err());
    }
}
