//! The master problem of column generation (Gilmore and Gomory 1961): the fewest patterns, in fractions, that cover
//! what is left of each kind. Revised simplex with an explicit inverse.
//!
//! Fixing a pattern of the basis changes one basic value, so a master goes on from where it is. What must leave the
//! basis then (a pattern that no longer fits what is left, or was used more than its value) bears a prohibitive cost.

use std::collections::HashMap;

use super::kinds::{Kinds, Pattern};
use super::pricing::{Offer, Pricing};

/// Values below this are zero.
pub(super) const ZERO: f64 = 1e-5;
/// A column that saves more than this improves.
const IMPROVES: f64 = 1e-9;
/// Pivots smaller than this are not taken.
const PIVOT: f64 = 1e-8;
/// Entries of the inverse below this come from rounding.
const NOISE: f64 = 1e-12;
/// Needs are less than whole by about this much, differently for each row, so that few bases are degenerate.
const TILT: f64 = 1e-6;
/// An inverse with more error than this is made anew.
const ERROR: f64 = 1e-7;
/// The weight of the best dual values so far in pricing.
const SMOOTHING: f64 = 0.8;
/// Patterns asked of pricing at once.
const PATTERNS: usize = 12;

/// Every pattern found so far.
#[derive(Default)]
pub(super) struct Pool {
    /// All patterns, one after the other.
    entries: Vec<(u32, u32)>,
    /// Where each ends.
    ends: Vec<usize>,
    columns: HashMap<Pattern, u32>,
}

impl Pool {
    /// The column of a pattern.
    pub(super) fn column(&mut self, pattern: Pattern) -> u32 {
        let next = self.ends.len() as u32;
        *self.columns.entry(pattern).or_insert_with_key(|pattern| {
            self.entries.extend_from_slice(pattern);
            self.ends.push(self.entries.len());
            next
        })
    }

    pub(super) fn get(&self, column: u32) -> &[(u32, u32)] {
        let column = column as usize;
        let start = if column == 0 { 0 } else { self.ends[column - 1] };
        &self.entries[start..self.ends[column]]
    }
}

/// What stands in a row of the basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    /// A pattern of the pool.
    Use(u32),
    /// A pattern that was fixed more often than its value, to be made up for.
    Undo(u32),
    /// What this row covers beyond its need.
    Surplus(u32),
    /// What stands in for the next smaller kind, while that is allowed.
    Exchange(u32),
}

/// A column that might enter.
struct Edge {
    column: Column,
    /// What a unit of it saves.
    gain: f64,
}

/// How [`Master::solve`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// With a solution of at most the goal.
    Reached,
    /// No solution is at most the goal.
    Above,
    /// Stopped, or too hard.
    Stopped,
}

/// A master problem in some basis.
#[derive(Clone)]
pub(super) struct Master {
    /// What is left, by kind.
    pub(super) left: Vec<u32>,
    /// The kind of each row.
    rows: Vec<u32>,
    /// The row of each kind.
    row_of: Vec<u32>,
    tilts: Vec<f64>,
    basis: Vec<Column>,
    costs: Vec<f64>,
    /// By column: row r of column i is at `i * m + r`.
    inverse: Vec<f64>,
    values: Vec<f64>,
    /// The dual value of each kind.
    duals: Vec<f64>,
    /// Dual values of which no proper pattern has more than 1: the best bound so far. Pricing looks between these and
    /// `duals`, which alone would jump about (smoothing, Wentges 1997).
    center: Vec<f64>,
    /// How long the edge of each column that might enter is (devex; Forrest and Goldfarb 1992): surplus and exchange of
    /// each row, then the pool.
    lengths: Vec<f64>,
    /// A cost that no optimum bears.
    prohibitive: f64,
    /// Whether a larger kind may stand in for a smaller one: few pivots to a good bound, no packing.
    pub(super) exchange: bool,
}

impl Master {
    /// Covers `left` with bins of one kind each.
    pub(super) fn new(
        kinds: &Kinds,
        left: Vec<u32>,
        pool: &mut Pool,
        random: &mut impl FnMut() -> f64,
    ) -> Self {
        let rows: Vec<u32> = (0..left.len() as u32).filter(|&kind| left[kind as usize] > 0).collect();
        let m = rows.len();
        let most = kinds.sizes.last().map_or(0, |&size| (kinds.capacity / size).min(1000));
        let mut master = Self {
            row_of: vec![0; left.len()],
            tilts: rows.iter().map(|_| TILT * (0.5 + random())).collect(),
            basis: Vec::with_capacity(m),
            costs: vec![1.0; m],
            inverse: vec![0.0; m * m],
            values: Vec::with_capacity(m),
            duals: vec![0.0; left.len()],
            center: kinds.sizes.iter().map(|&size| size as f64 / kinds.capacity as f64).collect(),
            lengths: Vec::new(),
            prohibitive: 2.0 + most as f64,
            exchange: false,
            left,
            rows,
        };
        for row in 0..m {
            let kind = master.rows[row];
            let left = master.left[kind as usize];
            let count = kinds.fits(kind as usize).min(left);
            master.row_of[kind as usize] = row as u32;
            master.basis.push(Column::Use(pool.column(vec![(kind, count)])));
            master.inverse[row * m + row] = 1.0 / f64::from(count);
            master.values.push((f64::from(left) - master.tilts[row]) / f64::from(count));
            master.duals[kind as usize] = 1.0 / f64::from(count);
        }
        master
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Rows whose kinds are not yet used up.
    pub(super) fn active(&self) -> usize {
        self.rows.iter().filter(|&&kind| self.left[kind as usize] > 0).count()
    }

    /// Whether a pattern holds no more than is left.
    pub(super) fn is_proper(&self, pattern: &[(u32, u32)]) -> bool {
        pattern.iter().all(|&(kind, count)| count <= self.left[kind as usize])
    }

    /// Dual values of the best bound so far.
    pub(super) fn center(&self) -> &[f64] {
        &self.center
    }

    /// The rows of the basis that use a proper pattern, each with its value.
    pub(super) fn solution<'a>(
        &'a self,
        pool: &'a Pool,
    ) -> impl Iterator<Item = (usize, &'a [(u32, u32)], f64)> {
        self.basis.iter().zip(&self.values).enumerate().filter_map(|(row, (&column, &value))| match column {
            Column::Use(column) if value > ZERO => {
                let pattern = pool.get(column);
                self.is_proper(pattern).then_some((row, pattern, value))
            }
            _ => None,
        })
    }

    /// Takes `times` bins of the pattern in this row of the basis out of what is left.
    pub(super) fn fix(&mut self, row: usize, times: u32, pool: &Pool) {
        let Column::Use(column) = self.basis[row] else { return };
        for &(kind, count) in pool.get(column) {
            self.left[kind as usize] -= count * times;
        }
        self.values[row] -= f64::from(times);
        if self.values[row] < -ZERO {
            self.basis[row] = Column::Undo(column);
            self.values[row] = -self.values[row];
            for at in (row..self.inverse.len()).step_by(self.rows.len()) {
                self.inverse[at] = -self.inverse[at];
            }
        }
    }

    /// Costs and dual values for what is left now.
    fn value_anew(&mut self, pool: &Pool) {
        let m = self.rows.len();
        for row in 0..m {
            self.costs[row] = match self.basis[row] {
                Column::Use(column) if self.is_proper(pool.get(column)) => 1.0,
                Column::Surplus(_) => 0.0,
                Column::Exchange(_) if self.exchange => 0.0,
                _ => self.prohibitive,
            };
        }
        for at in 0..m {
            let column = &self.inverse[at * m..(at + 1) * m];
            self.duals[self.rows[at] as usize] = column.iter().zip(&self.costs).map(|(a, b)| a * b).sum();
        }
    }

    /// The value of the present solution, infinite while it uses what it must not.
    fn objective(&self) -> f64 {
        let mut sum = 0.0;
        for (&cost, &value) in self.costs.iter().zip(&self.values) {
            if cost > 1.0 && value > ZERO {
                return f64::INFINITY;
            }
            sum += cost.min(1.0) * value;
        }
        sum
    }

    /// The sum of these dual values of all that is left.
    fn dual_value(&self, duals: &[f64]) -> f64 {
        self.rows.iter().map(|&kind| duals[kind as usize] * f64::from(self.left[kind as usize])).sum()
    }

    /// Improves until the solution is at most `goal`, or it is certain that none is.
    pub(super) fn solve(
        &mut self,
        kinds: &Kinds,
        pool: &mut Pool,
        pricing: &mut Pricing,
        goal: f64,
        stop: &mut dyn FnMut() -> bool,
    ) -> End {
        self.value_anew(pool);
        let mut rounds = 0;
        let mut smoothing = SMOOTHING;
        loop {
            if !self.enter_from(pool, goal, stop) {
                return End::Stopped;
            }
            if self.is_off(pool) {
                if !self.invert(pool, stop) {
                    return End::Stopped;
                }
                self.value_anew(pool);
                rounds += 1;
                if rounds > 20 {
                    return End::Stopped;
                }
                continue;
            }
            if self.objective() <= goal + ZERO {
                return End::Reached;
            }
            let between: Vec<f64> = self
                .center
                .iter()
                .zip(&self.duals)
                .map(|(center, dual)| smoothing * center + (1.0 - smoothing) * dual.max(0.0))
                .collect();
            let offers = self.rows.iter().map(|&kind| Offer {
                kind,
                size: kinds.sizes[kind as usize],
                value: between[kind as usize],
                most: self.left[kind as usize].min(kinds.fits(kind as usize)),
            });
            let mut found = Vec::new();
            let best = pricing.patterns(kinds.capacity, offers, 1.0 + IMPROVES, PATTERNS, &mut found, stop);
            let Some(best) = best else { return End::Stopped };
            // Farley's bound.
            let bound = self.dual_value(&between) / best;
            if bound > self.dual_value(&self.center) {
                self.center = between.into_iter().map(|dual| dual / best).collect();
            }
            if bound > goal + ZERO {
                return End::Above;
            }
            if found.is_empty() {
                if smoothing == 0.0 {
                    return End::Reached;
                }
                smoothing = if smoothing < 0.1 { 0.0 } else { smoothing * 0.5 };
                continue;
            }
            for mut pattern in found {
                pattern.sort_unstable();
                pool.column(pattern);
            }
        }
    }

    /// Pivots until no column of the pool improves, or the solution is at most `goal`; `false` when stopped.
    fn enter_from(&mut self, pool: &Pool, goal: f64, stop: &mut dyn FnMut() -> bool) -> bool {
        let m = self.rows.len();
        self.lengths.clear();
        self.lengths.resize(2 * m + pool.ends.len(), 1.0);
        let rows = m as u32;
        let mut edges: Vec<Edge> =
            (0..rows).map(|row| Edge { column: Column::Surplus(row), gain: 0.0 }).collect();
        if self.exchange {
            edges.extend((1..rows).map(|row| Edge { column: Column::Exchange(row - 1), gain: 0.0 }));
        }
        edges.extend(
            (0..pool.ends.len() as u32)
                .filter(|&at| self.is_proper(pool.get(at)))
                .map(|at| Edge { column: Column::Use(at), gain: 0.0 }),
        );
        for edge in &mut edges {
            edge.gain = self.gain(edge.column, &self.duals, pool);
        }
        loop {
            if stop() {
                return false;
            }
            let mut best: Option<(f64, usize)> = None;
            for (at, edge) in edges.iter().enumerate() {
                if edge.gain > IMPROVES {
                    let steep = edge.gain * edge.gain / self.lengths[self.place(edge.column)];
                    if best.is_none_or(|(most, _)| steep > most) {
                        best = Some((steep, at));
                    }
                }
            }
            let Some((_, at)) = best else { return true };
            if !self.enter(at, &mut edges, pool) {
                edges[at].gain = 0.0;
            } else if self.objective() <= goal + ZERO {
                return true;
            }
        }
    }

    /// Forbids exchange, and adds the patterns to the pool that the solution comes to with it: what stands in for a
    /// smaller kind is replaced by it (Valério de Carvalho 2005).
    pub(super) fn end_exchange(&mut self, pool: &mut Pool) {
        self.exchange = false;
        let mut parts: Vec<(Pattern, f64)> =
            self.solution(pool).map(|(_, pattern, value)| (pattern.to_vec(), value)).collect();
        let mut exchanged = vec![0.0; self.rows.len()];
        for (column, value) in self.basis.iter().zip(&self.values) {
            if let Column::Exchange(row) = *column {
                exchanged[row as usize] = *value;
            }
        }
        for (row, mut rest) in exchanged.into_iter().enumerate() {
            let mut at = 0;
            while rest > ZERO && at < parts.len() {
                let (larger, smaller) = (self.rows[row], self.rows[row + 1]);
                let (pattern, value) = &mut parts[at];
                at += 1;
                let Some(place) = pattern.iter().position(|&(kind, _)| kind == larger) else { continue };
                // Of each of these bins one item.
                let times = rest.min(*value);
                rest -= times;
                let mut replaced = pattern.clone();
                replaced[place].1 -= 1;
                match replaced.get_mut(place + 1) {
                    Some(next) if next.0 == smaller => next.1 += 1,
                    _ => replaced.insert(place + 1, (smaller, 1)),
                }
                if replaced[place].1 == 0 {
                    replaced.remove(place);
                }
                if *value - times > ZERO {
                    *value -= times;
                    parts.push((replaced, times));
                } else {
                    // It may hold more of the larger kind.
                    *pattern = replaced;
                    at -= 1;
                }
            }
        }
        for (pattern, _) in parts {
            pool.column(pattern);
        }
    }

    /// Where the length of a column's edge is.
    fn place(&self, column: Column) -> usize {
        match column {
            Column::Surplus(row) => row as usize,
            Column::Exchange(row) => self.rows.len() + row as usize,
            Column::Use(at) | Column::Undo(at) => 2 * self.rows.len() + at as usize,
        }
    }

    /// What a column's entries are worth by these values of the kinds, less its cost.
    fn gain(&self, column: Column, values: &[f64], pool: &Pool) -> f64 {
        self.worth(column, values, pool) - if matches!(column, Column::Use(_)) { 1.0 } else { 0.0 }
    }

    fn worth(&self, column: Column, values: &[f64], pool: &Pool) -> f64 {
        let of_row = |row: u32| values[self.rows[row as usize] as usize];
        match column {
            Column::Use(at) | Column::Undo(at) => {
                pool.get(at).iter().map(|&(kind, count)| values[kind as usize] * f64::from(count)).sum()
            }
            Column::Surplus(row) => -of_row(row),
            Column::Exchange(row) => of_row(row + 1) - of_row(row),
        }
    }

    /// Brings a column into the basis if it still improves.
    fn enter(&mut self, entering: usize, edges: &mut [Edge], pool: &Pool) -> bool {
        let m = self.rows.len();
        let column = edges[entering].column;
        let gain = self.gain(column, &self.duals, pool);
        if gain <= IMPROVES {
            return false;
        }
        let mut alpha = vec![0.0; m];
        for (row, entry) in self.entries(column, pool) {
            for (to, from) in alpha.iter_mut().zip(&self.inverse[row * m..(row + 1) * m]) {
                *to += entry * from;
            }
        }
        let mut leave: Option<(f64, usize)> = None;
        for row in 0..m {
            if alpha[row] > PIVOT {
                let ratio = self.values[row].max(0.0) / alpha[row];
                let better = leave.is_none_or(|(least, at)| {
                    ratio < least - 1e-12 || (ratio <= least + 1e-12 && alpha[row] > alpha[at])
                });
                if better {
                    leave = Some((ratio, row));
                }
            }
        }
        let Some((step, leave)) = leave else { return false };
        for (value, alpha) in self.values.iter_mut().zip(&alpha) {
            *value -= step * alpha;
        }
        self.values[leave] = step;
        let pivot = alpha[leave];
        alpha[leave] = 0.0;
        // The row that leaves, over the pivot, by kind.
        let mut factors = vec![0.0; self.duals.len()];
        for at in 0..m {
            let inverse = &mut self.inverse[at * m..(at + 1) * m];
            let factor = inverse[leave] / pivot;
            if factor.abs() < NOISE {
                inverse[leave] = 0.0;
                continue;
            }
            for (to, alpha) in inverse.iter_mut().zip(&alpha) {
                *to -= factor * alpha;
            }
            inverse[leave] = factor;
            factors[self.rows[at] as usize] = factor;
            self.duals[self.rows[at] as usize] -= gain * factor;
        }
        let left = std::mem::replace(&mut self.basis[leave], column);
        self.costs[leave] = if matches!(column, Column::Use(_)) { 1.0 } else { 0.0 };
        let length = self.lengths[self.place(column)];
        for edge in edges {
            let factor = self.worth(edge.column, &factors, pool);
            if factor != 0.0 {
                edge.gain -= gain * factor;
                let place = self.place(edge.column);
                self.lengths[place] = self.lengths[place].max(factor * factor * length);
            }
        }
        let place = self.place(left);
        self.lengths[place] = (length / (pivot * pivot)).max(1.0);
        true
    }

    /// Entries of a row of the basis: (row, entry) of the column that stands there.
    fn entries<'a>(&'a self, column: Column, pool: &'a Pool) -> impl Iterator<Item = (usize, f64)> + 'a {
        let (pattern, sign) = match column {
            Column::Use(at) => (pool.get(at), 1.0),
            Column::Undo(at) => (pool.get(at), -1.0),
            _ => (&[][..], 0.0),
        };
        let (from, to) = match column {
            Column::Surplus(row) => (Some((row as usize, -1.0)), None),
            Column::Exchange(row) => (Some((row as usize, -1.0)), Some((row as usize + 1, 1.0))),
            _ => (None, None),
        };
        pattern
            .iter()
            .map(move |&(kind, count)| (self.row_of[kind as usize] as usize, sign * f64::from(count)))
            .chain(from)
            .chain(to)
    }

    fn need(&self, row: usize) -> f64 {
        f64::from(self.left[self.rows[row] as usize]) - self.tilts[row]
    }

    /// Whether errors of the inverse show in values or dual values.
    fn is_off(&self, pool: &Pool) -> bool {
        let mut rest: Vec<f64> = (0..self.rows.len()).map(|row| self.need(row)).collect();
        for (at, &column) in self.basis.iter().enumerate() {
            let mut cost = self.costs[at];
            for (row, entry) in self.entries(column, pool) {
                rest[row] -= entry * self.values[at];
                cost -= entry * self.duals[self.rows[row] as usize];
            }
            if cost.abs() > ERROR * self.prohibitive {
                return true;
            }
        }
        rest.iter().any(|rest| rest.abs() > ERROR * 10.0)
    }

    /// The inverse from the basis, by Gauss and Jordan with row pivots; `false` if the basis is singular, or when
    /// stopped.
    fn invert(&mut self, pool: &Pool, stop: &mut dyn FnMut() -> bool) -> bool {
        let m = self.rows.len();
        // By row of the problem; the columns of the basis stand where their rows are.
        let mut matrix = vec![0.0; m * m];
        for (at, &column) in self.basis.iter().enumerate() {
            for (row, entry) in self.entries(column, pool) {
                matrix[row * m + at] += entry;
            }
        }
        let mut result = vec![0.0; m * m];
        for row in 0..m {
            result[row * m + row] = 1.0;
        }
        for at in 0..m {
            if stop() {
                return false;
            }
            let Some(pivot) =
                (at..m).max_by(|&a, &b| matrix[a * m + at].abs().total_cmp(&matrix[b * m + at].abs()))
            else {
                return false;
            };
            let scale = matrix[pivot * m + at];
            if scale.abs() < PIVOT {
                return false;
            }
            for column in 0..m {
                matrix.swap(at * m + column, pivot * m + column);
                result.swap(at * m + column, pivot * m + column);
                matrix[at * m + column] /= scale;
                result[at * m + column] /= scale;
            }
            let (of_matrix, of_result) =
                (matrix[at * m..(at + 1) * m].to_vec(), result[at * m..(at + 1) * m].to_vec());
            for row in (0..m).filter(|&row| row != at) {
                let factor = matrix[row * m + at];
                if factor != 0.0 {
                    for column in 0..m {
                        matrix[row * m + column] -= factor * of_matrix[column];
                        result[row * m + column] -= factor * of_result[column];
                    }
                }
            }
        }
        for row in 0..m {
            let mut value = 0.0;
            for column in 0..m {
                self.inverse[column * m + row] = result[row * m + column];
                value += result[row * m + column] * self.need(column);
            }
            self.values[row] = value;
        }
        true
    }
}
