//! What is asked for, drawn from a seed.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..n`; 0 if that is empty.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    pub(crate) fn one_of<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let at = self.below(list.len() as u64) as usize;
        list.get(at).copied()
    }
}

/// The sizes on the menu, MiB. The n-th is asked for 1/n as often as the first (Zipf).
const MENU: [u64; 9] = [64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384];
/// The least common multiple of 1 to 9: with it, the weights are whole numbers.
const WEIGHT: u64 = 2520;

const HOST_SIZES: [u64; 3] = [64 << 10, 128 << 10, 192 << 10];

/// A cache that somebody will ask for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) memory: u64,
    pub(crate) count: u64,
    pub(crate) most_per_rack: Option<u16>,
}

/// A cache of 1 to `most` instances for a fleet of so many racks; one in four limits how many may share a rack.
pub(crate) fn cache(random: &mut Random, most: u64, racks: usize) -> Draw {
    let mut point = random.below((1..=MENU.len() as u64).map(|n| WEIGHT / n).sum());
    let mut memory = MENU[0];
    for (size, n) in MENU.into_iter().zip(1..) {
        memory = size;
        if point < WEIGHT / n {
            break;
        }
        point -= WEIGHT / n;
    }
    let count = 1 + random.below(most);
    let least = count.div_ceil(racks as u64) as u16;
    let most_per_rack = (random.below(4) == 0).then_some(least + 1);
    Draw { memory, count, most_per_rack }
}

pub(crate) fn host_memory(random: &mut Random) -> u64 {
    random.one_of(&HOST_SIZES).unwrap_or_default()
}
