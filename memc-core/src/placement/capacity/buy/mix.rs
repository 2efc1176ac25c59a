//! Whole numbers of hosts of several sizes: the cheapest that suffice, and the most for a price.

use super::HostSize;

/// Entries of a table, at most.
const ENTRIES: u64 = 1 << 23;
/// Hosts of the best value for money that a table decides on; those before are taken for granted.
const FREE: u64 = 40;

/// What a set of hosts has to come to.
#[derive(Debug, Clone)]
pub(super) struct Cover {
    /// Weight to hold.
    pub(super) needed: u64,
    /// The most weight that a host of each size holds.
    pub(super) values: Vec<u64>,
    /// How many hosts of the counted sizes there have to be.
    pub(super) count: u64,
    /// Which sizes count.
    pub(super) counted: Vec<bool>,
}

impl Cover {
    pub(super) fn covered_by(&self, hosts: &[u32]) -> bool {
        let weight =
            self.values.iter().zip(hosts).map(|(value, count)| u128::from(*value) * u128::from(*count));
        let counted = self.counted.iter().zip(hosts).filter(|(counted, _)| **counted);
        weight.sum::<u128>() >= self.needed.into()
            && (self.count == 0 || counted.map(|(_, count)| u64::from(*count)).sum::<u64>() >= self.count)
    }

    /// The least cost of a set that is enough: by dynamic programming over costs, or where that would take too large
    /// a table at least the cost with fractions of hosts.
    pub(super) fn least_cost(&self, sizes: &[HostSize]) -> u64 {
        let costs: Vec<u64> = sizes.iter().map(|size| size.cost.get().into()).collect();
        let by_weight = costs.iter().zip(&self.values).filter(|(_, value)| **value > 0);
        let by_weight = by_weight
            .map(|(cost, value)| (u128::from(*cost) * u128::from(self.needed)).div_ceil((*value).into()))
            .min()
            .map_or(0, |cost| u64::try_from(cost).unwrap_or(u64::MAX));
        let cheapest =
            costs.iter().zip(&self.counted).filter(|(_, counted)| **counted).map(|(cost, _)| *cost).min();
        let at_least = by_weight.max(cheapest.unwrap_or(0).saturating_mul(self.count));
        let unit = costs.iter().fold(0, |unit, cost| gcd(unit, *cost)).max(1);
        let width = self.count + 1;
        let dearest = costs.iter().max().copied().unwrap_or(0);
        let levels = (at_least / unit).saturating_mul(2).saturating_add(2 * (dearest / unit));
        if at_least == 0 || levels.saturating_mul(width) > ENTRIES {
            return at_least;
        }
        let units: Vec<u64> = costs.iter().map(|cost| cost / unit).collect();
        let mut table = Table::new(self, &units);
        loop {
            let level = table.add_level();
            if table.best(level, self.count).is_some_and(|weight| weight >= self.needed) {
                return level * unit;
            }
            if level > levels {
                return at_least;
            }
        }
    }
}

fn gcd(one: u64, other: u64) -> u64 {
    if other == 0 { one } else { gcd(other, one % other) }
}

/// The most weight for each cost and number of counted hosts: entry (c, k) is for sets that cost at most c and have at
/// least k counted hosts.
struct Table<'a> {
    cover: &'a Cover,
    costs: &'a [u64],
    /// `None` where no set has that many hosts for that cost.
    weight: Vec<Option<u64>>,
    /// The size bought last; the number of sizes where the set is that of the level below.
    last: Vec<usize>,
}

impl<'a> Table<'a> {
    fn new(cover: &'a Cover, costs: &'a [u64]) -> Self {
        Table { cover, costs, weight: Vec::new(), last: Vec::new() }
    }

    fn at(&self, level: u64, count: u64) -> usize {
        (level * (self.cover.count + 1) + count) as usize
    }

    fn best(&self, level: u64, count: u64) -> Option<u64> {
        self.weight[self.at(level, count)]
    }

    /// The level of the entries added: one more than the last.
    fn add_level(&mut self) -> u64 {
        let level = self.weight.len() as u64 / (self.cover.count + 1);
        for count in 0..=self.cover.count {
            let (mut weight, mut last) = match level {
                0 => ((count == 0).then_some(0), self.costs.len()),
                _ => (self.best(level - 1, count), self.costs.len()),
            };
            for (size, cost) in
                self.costs.iter().enumerate().filter(|(_, cost)| **cost <= level && **cost > 0)
            {
                let before = count - u64::from(self.cover.counted[size] && count > 0);
                let with = self.best(level - cost, before);
                let with = with.map(|weight| weight.saturating_add(self.cover.values[size]));
                if with > weight {
                    (weight, last) = (with, size);
                }
            }
            self.weight.push(weight);
            self.last.push(last);
        }
        level
    }
}

/// The set of hosts with the most weight for any price.
pub(super) struct Mixes {
    /// The size with the most weight for its cost.
    best: usize,
    best_cost: u64,
    best_counts: bool,
    count: u64,
    counted: Vec<bool>,
    /// Costs in units, rounded up.
    costs: Vec<u64>,
    unit: u64,
    levels: u64,
    feasible: Vec<bool>,
    last: Vec<usize>,
}

impl Mixes {
    pub(super) fn new(cover: &Cover, sizes: &[HostSize]) -> Self {
        let counted =
            if cover.counted.len() == sizes.len() { cover.counted.clone() } else { vec![false; sizes.len()] };
        // More hosts than this are too many for a table; the number is reached anyway where weight asks for them.
        let count = cover.count.min(1 << 12);
        let cover = Cover { count, counted: counted.clone(), ..cover.clone() };
        let cost = |size: usize| u64::from(sizes[size].cost.get());
        // The least cost for the weight, by cross-multiplication.
        let best = (0..sizes.len())
            .reduce(|one, other| {
                let left = u128::from(cost(other)) * u128::from(cover.values[one]);
                let right = u128::from(cost(one)) * u128::from(cover.values[other]);
                if left < right || (left == right && cost(other) < cost(one)) { other } else { one }
            })
            .unwrap_or(0);
        let best_cost = sizes.get(best).map_or(1, |size| size.cost.get().into());
        let widest = (FREE + 2) * best_cost;
        let unit = (0..sizes.len()).fold(0, |unit, size| gcd(unit, cost(size))).max(1);
        let unit = unit.max((widest * (count + 1)).div_ceil(ENTRIES / 2));
        let costs: Vec<u64> = (0..sizes.len()).map(|size| cost(size).div_ceil(unit)).collect();
        let levels = widest / unit + 1;
        let mut table = Table::new(&cover, &costs);
        for _ in 0..levels {
            table.add_level();
        }
        let feasible = table.weight.iter().map(Option::is_some).collect();
        let last = table.last;
        let best_counts = counted.get(best).copied().unwrap_or(false);
        Mixes { best, best_cost, best_counts, count, counted, costs, unit, levels, feasible, last }
    }

    /// The set for this price; `None` where it does not buy as many hosts as there have to be.
    pub(super) fn at(&self, price: u64) -> Option<Vec<u32>> {
        let mut hosts = vec![0u32; self.costs.len()];
        let granted = (price / self.best_cost).saturating_sub(FREE);
        if let Some(hosts) = hosts.get_mut(self.best) {
            *hosts = u32::try_from(granted).ok()?;
        }
        let mut count = self.count.saturating_sub(if self.best_counts { granted } else { 0 });
        let mut level = ((price - granted * self.best_cost) / self.unit).min(self.levels - 1);
        let at = |level: u64, count: u64| (level * (self.count + 1) + count) as usize;
        if !self.feasible[at(level, count)] {
            return None;
        }
        while level > 0 {
            match self.last[at(level, count)] {
                size if size < self.costs.len() => {
                    hosts[size] += 1;
                    level -= self.costs[size];
                    count = count.saturating_sub(self.counted[size].into());
                }
                _ => level -= 1,
            }
        }
        Some(hosts)
    }
}
