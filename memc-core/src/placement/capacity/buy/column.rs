//! What fits together on one host, and prices for instances from that.

use super::HostSize;

/// Up to this many kinds of instances are priced one by one; more are put into as many classes.
const CLASSES: usize = 64;
/// Prices are multiples of one part in this of the unit of cost.
const SCALE: f64 = 1_000_000.0;
/// Steps for one set of instances.
const STEPS: u64 = 20_000;

/// Instances that book the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    /// What each books, MiB.
    pub(super) booked: u64,
    /// How many of them may share a host: one of each demand.
    pub(super) per_host: u64,
    /// How many there are.
    pub(super) instances: u64,
}

/// The heaviest sets of instances for a host: a knapsack with a limit for each kind and one on the number.
pub(super) struct Knapsack {
    /// Booked memory, limit and weight of the kinds that weigh anything, the most weight for its memory first; with
    /// their positions.
    kinds: Vec<(Kind, u64, usize)>,
    /// The heaviest kind from each position on, and the one that books least.
    heaviest: Vec<u64>,
    smallest: Vec<u64>,
    /// Memory and weight of all before each position.
    sums: Vec<(u64, u64)>,
    of: usize,
}

struct Descent<'a> {
    knapsack: &'a Knapsack,
    taken: Vec<u64>,
    best: u64,
    best_taken: Vec<u64>,
    steps: &'a mut u64,
}

impl Knapsack {
    pub(super) fn new(kinds: &[Kind], weights: &[u64]) -> Self {
        let weighing = kinds.iter().zip(weights).enumerate().filter(|(_, (_, weight))| **weight > 0);
        let mut kinds_: Vec<(Kind, u64, usize)> =
            weighing.map(|(at, (kind, weight))| (*kind, *weight, at)).collect();
        kinds_.sort_by(|one, other| {
            let left = u128::from(other.1) * u128::from(one.0.booked);
            let right = u128::from(one.1) * u128::from(other.0.booked);
            left.cmp(&right).then(one.2.cmp(&other.2))
        });
        let mut heaviest = vec![0; kinds_.len() + 1];
        let mut smallest = vec![u64::MAX; kinds_.len() + 1];
        for at in (0..kinds_.len()).rev() {
            heaviest[at] = heaviest[at + 1].max(kinds_[at].1);
            smallest[at] = smallest[at + 1].min(kinds_[at].0.booked);
        }
        let mut sums = vec![(0u64, 0u64)];
        for (kind, weight, _) in &kinds_ {
            let (memory, all) = sums[sums.len() - 1];
            let memory = memory.saturating_add(kind.booked.saturating_mul(kind.per_host));
            sums.push((memory, all.saturating_add(weight.saturating_mul(kind.per_host))));
        }
        Knapsack { kinds: kinds_, heaviest, smallest, sums, of: kinds.len() }
    }

    /// Kinds that weigh anything.
    pub(super) fn kinds(&self) -> usize {
        self.kinds.len()
    }

    /// No set weighs more than this: the kinds with the most weight for their memory, the last one in part (Dantzig,
    /// 1957), and no more than the heaviest on every port.
    pub(super) fn at_most(&self, room: u64, ports: u32) -> u64 {
        if room < self.smallest[0] || ports == 0 {
            return 0;
        }
        let whole = self.sums.partition_point(|(memory, _)| *memory <= room) - 1;
        let (memory, weight) = self.sums[whole];
        let part =
            self.kinds.get(whole).map_or(0, |(kind, weight, _)| share(room - memory, *weight, kind.booked));
        weight.saturating_add(part).min(self.heaviest[0].saturating_mul(ports.into()))
    }

    /// The heaviest set and how many of each kind are in it, by depth-first branch and bound. It is the heaviest only
    /// if `steps` are left.
    pub(super) fn heaviest(&self, room: u64, ports: u32, steps: &mut u64) -> (u64, Vec<u64>) {
        let none = vec![0; self.kinds.len()];
        let mut descent = Descent { knapsack: self, taken: none.clone(), best: 0, best_taken: none, steps };
        descent.from(0, room, ports.into(), 0);
        let (best, taken) = (descent.best, descent.best_taken);
        let mut of_kind = vec![0; self.of];
        for ((_, _, at), count) in self.kinds.iter().zip(taken) {
            of_kind[*at] = count;
        }
        (best, of_kind)
    }
}

/// `weight × room / booked`, rounded down.
fn share(room: u64, weight: u64, booked: u64) -> u64 {
    let share = (u128::from(room) * u128::from(weight)).checked_div(booked.into());
    share.map_or(u64::MAX, |share| u64::try_from(share).unwrap_or(u64::MAX))
}

impl Descent<'_> {
    fn from(&mut self, at: usize, room: u64, ports: u64, weight: u64) {
        if weight > self.best {
            self.best = weight;
            self.best_taken.clone_from(&self.taken);
        }
        let Some((kind, each, _)) = self.knapsack.kinds.get(at) else {
            return;
        };
        if ports == 0 || room < self.knapsack.smallest[at] || *self.steps == 0 {
            return;
        }
        let by_ports = self.knapsack.heaviest[at].saturating_mul(ports);
        if weight.saturating_add(by_ports.min(share(room, *each, kind.booked))) <= self.best {
            return;
        }
        let most = room.checked_div(kind.booked).unwrap_or(u64::MAX).min(kind.per_host).min(ports);
        for count in (0..=most).rev() {
            *self.steps = self.steps.saturating_sub(1);
            self.taken[at] = count;
            let weight = weight.saturating_add(each.saturating_mul(count));
            self.from(at + 1, room - kind.booked * count, ports - count, weight);
        }
        self.taken[at] = 0;
    }
}

/// Integer prices of these kinds: the duals of the least cost with fractions of hosts, found by generating columns
/// (Gilmore and Gomory, 1961). Any prices give a valid bound; these give a good one if the work suffices.
pub(super) fn prices(kinds: &[Kind], sizes: &[HostSize], work: u64) -> Option<Vec<u64>> {
    let per_class = kinds.len().div_ceil(CLASSES).max(1);
    let classes: Vec<Kind> = kinds
        .chunks(per_class)
        .map(|class| Kind {
            booked: class[0].booked,
            per_host: class.iter().map(|kind| kind.per_host).sum(),
            instances: class.iter().map(|kind| kind.instances).sum(),
        })
        .collect();
    let prices = Master::new(&classes, sizes)?.solve(&classes, sizes, work);
    Some((0..kinds.len()).map(|at| prices[at / per_class]).collect())
}

/// A linear program with a row for each kind, as the inverse of its basis.
struct Master {
    inverse: Vec<Vec<f64>>,
    /// Cost of the column of each row.
    costs: Vec<f64>,
    /// Value of the column of each row.
    values: Vec<f64>,
}

impl Master {
    /// Each kind on hosts of its own; `None` if a kind fits on none, or there are none.
    fn new(kinds: &[Kind], sizes: &[HostSize]) -> Option<Self> {
        let rows = kinds.len();
        let mut master =
            Master { inverse: vec![vec![0.0; rows]; rows], costs: Vec::new(), values: Vec::new() };
        for (row, kind) in kinds.iter().enumerate() {
            let on = |size: &HostSize| {
                let fit = size.limit.get().checked_div(kind.booked).unwrap_or(u64::MAX);
                let fit = fit.min(kind.per_host).min(size.ports.into())
                    * u64::from(size.limit.get() >= kind.booked);
                (fit > 0).then(|| (f64::from(size.cost.get()), fit as f64))
            };
            let cheapest =
                |one: &(f64, f64), other: &(f64, f64)| (one.0 / one.1).total_cmp(&(other.0 / other.1));
            let (cost, fit) = sizes.iter().filter_map(on).min_by(cheapest)?;
            master.inverse[row][row] = 1.0 / fit;
            master.costs.push(cost);
            master.values.push(kind.instances as f64 / fit);
        }
        (rows > 0).then_some(master)
    }

    fn duals(&self) -> Vec<f64> {
        let rows = self.costs.len();
        (0..rows).map(|at| (0..rows).map(|row| self.costs[row] * self.inverse[row][at]).sum()).collect()
    }

    fn solve(mut self, kinds: &[Kind], sizes: &[HostSize], mut work: u64) -> Vec<u64> {
        let rows = kinds.len();
        loop {
            let duals = self.duals();
            let prices: Vec<u64> = duals.iter().map(|dual| (dual.max(0.0) * SCALE) as u64).collect();
            let spent = (rows * rows) as u64;
            if work <= spent {
                return prices;
            }
            work -= spent;
            // A price below zero: more than asked for of that kind has to be allowed.
            let surplus = (0..rows).min_by(|one, other| duals[*one].total_cmp(&duals[*other]));
            let surplus = surplus.filter(|row| duals[*row] < -1e-9);
            let (column, cost) = match surplus {
                Some(row) => ((0..rows).map(|at| if at == row { -1.0 } else { 0.0 }).collect(), 0.0),
                None => match heavier(kinds, sizes, &prices, &mut work) {
                    Some((column, cost)) => (column, cost),
                    None => return prices,
                },
            };
            if !self.enter(&column, cost) {
                return prices;
            }
        }
    }

    /// Bring a column into the basis, in place of the one that reaches zero first.
    fn enter(&mut self, column: &[f64], cost: f64) -> bool {
        let rows = self.costs.len();
        let change: Vec<f64> = (0..rows)
            .map(|row| self.inverse[row].iter().zip(column).map(|(inverse, column)| inverse * column).sum())
            .collect();
        let ratio = |row: &usize| self.values[*row] / change[*row];
        let leaving = (0..rows).filter(|row| change[*row] > 1e-9);
        let Some(leaving) = leaving.min_by(|one, other| ratio(one).total_cmp(&ratio(other))) else {
            return false;
        };
        let step = ratio(&leaving);
        let pivot: Vec<f64> = self.inverse[leaving].iter().map(|entry| entry / change[leaving]).collect();
        for row in (0..rows).filter(|row| *row != leaving) {
            self.values[row] = (self.values[row] - step * change[row]).max(0.0);
            for (entry, pivot) in self.inverse[row].iter_mut().zip(&pivot) {
                *entry -= change[row] * pivot;
            }
        }
        self.inverse[leaving] = pivot;
        self.values[leaving] = step;
        self.costs[leaving] = cost;
        true
    }
}

/// A set of instances that weighs more than its host costs, by as large a share as there is.
fn heavier(kinds: &[Kind], sizes: &[HostSize], prices: &[u64], work: &mut u64) -> Option<(Vec<f64>, f64)> {
    let knapsack = Knapsack::new(kinds, prices);
    let mut best: Option<(f64, Vec<u64>, f64)> = None;
    for size in sizes {
        let mut steps = STEPS.min(*work);
        let given = steps;
        let (weight, taken) = knapsack.heaviest(size.limit.get(), size.ports, &mut steps);
        *work -= given - steps;
        let cost = f64::from(size.cost.get());
        let share = weight as f64 / (cost * SCALE);
        if share > 1.0 + 1e-7 && best.as_ref().is_none_or(|(most, ..)| share > *most) {
            best = Some((share, taken, cost));
        }
    }
    best.map(|(_, taken, cost)| (taken.into_iter().map(|count| count as f64).collect(), cost))
}
