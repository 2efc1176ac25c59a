//! Maps by number.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A hash map whose keys are made of numbers that the fleet gives out itself. Nobody can choose them so that they
/// collide, so a multiplication (Knuth's) is enough; whatever users choose keeps the standard hasher.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

#[derive(Debug, Default, Clone)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(32) ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    // A map takes the lowest bits first, which a multiplication mixes least.
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
