//! Small layouts, tight in memory, ports and racks, from a seed.

use memc_core::model::{CacheId, HostId, InstanceId, Mib, Rack};
use memc_core::placement::{Layout, LayoutCache, LayoutHost, LayoutInstance};

/// SplitMix64 (Steele, Lea and Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn within(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

pub(crate) fn mib(mib: u64) -> Mib {
    Mib::new(mib).unwrap()
}

/// 3 to 5 hosts, 4 to 8 instances, one a host of each cache; nearly full, with few ports.
pub(crate) fn tight(seed: u64) -> Layout {
    let mut random = Random(seed);
    let hosts = random.within(3, 5);
    let racks = random.within(1, 3);
    let slack = random.within(2, 12);
    let ports = random.within(1, 4);
    let mut layout = Layout::default();
    for host in 0..hosts {
        layout.hosts.push(LayoutHost {
            id: HostId::new(host + 1),
            rack: random.percent(90).then(|| Rack::new(&format!("r{}", random.within(1, racks))).unwrap()),
            memory: Mib::ZERO,
            limit: Mib::ZERO,
            booked: Mib::ZERO,
            ports: random.within(0, ports) as u32,
            open: random.percent(92),
        });
    }
    let caches = random.within(2, 6);
    for cache in 0..caches {
        let max_per_rack = random.percent(50).then(|| random.within(1, 2) as u16);
        layout.caches.push(LayoutCache { id: CacheId::new(cache + 1), max_per_rack });
    }
    for number in 0..random.within(4, 8) {
        let cache = random.within(0, caches - 1) as u32;
        let host = random.within(0, hosts - 1) as u32;
        if layout.instances.iter().any(|other| (other.cache, other.host) == (cache, host)) {
            continue;
        }
        let memory = random.within(1, 8);
        let booked = memory + random.within(0, 2);
        let rebooked = if random.percent(25) { random.within(1, booked) } else { booked };
        layout.instances.push(LayoutInstance {
            id: InstanceId::new(number + 1),
            cache,
            host,
            memory: mib(memory),
            booked: mib(booked),
            rebooked: mib(rebooked),
            movable: random.percent(92),
        });
        let host = &mut layout.hosts[host as usize];
        host.booked = host.booked.plus(mib(booked));
    }
    for host in &mut layout.hosts {
        host.limit = host.booked.plus(mib(random.within(0, slack)));
        if random.percent(5) {
            host.limit = host.limit.minus(mib(3));
        }
        host.memory = host.limit.plus(mib(random.within(0, 2)));
    }
    layout
}
