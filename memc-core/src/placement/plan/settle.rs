//! Where everything ends up if given hosts are emptied: local search over final states, then an order of the moves.

use std::collections::BTreeSet;

use super::Work;
use super::board::Board;

/// States of the search for an order.
const ORDERS: u64 = 2_000;

/// SplitMix64 (Steele, Lea and Flood 2014): one stream, so that the same layout gives the same plan.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `bound`, which is not zero.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

/// A final state: where each instance is, however it got there.
struct Final<'b, 'a> {
    board: &'b Board<'a>,
    /// What may go cold in all.
    cap: u64,
    at: Vec<u32>,
    load: Vec<u64>,
    arrivals: Vec<u32>,
    /// Movable instances on each host.
    on: Vec<Vec<u32>>,
    cold: u64,
    cold_of: Vec<u64>,
    /// MiB above limits, of all hosts together.
    excess: u64,
}

impl<'b, 'a> Final<'b, 'a> {
    fn new(board: &'b Board<'a>, cap: u64) -> Self {
        let hosts = board.hosts();
        let mut state = Final {
            board,
            cap,
            at: (0..board.layout.instances.len() as u32).map(|instance| board.host_of(instance)).collect(),
            load: hosts.clone().map(|host| board.booked(host)).collect(),
            arrivals: vec![0; hosts.len()],
            on: hosts.clone().map(|host| board.movable_on(host).collect()).collect(),
            cold: 0,
            cold_of: vec![0; board.layout.caches.len()],
            excess: 0,
        };
        state.excess = hosts.map(|host| state.above(host)).sum();
        state
    }

    /// What a host books above its limit: none of it is allowed on one to be emptied, and one that is over-full from
    /// the start may stay so.
    fn above(&self, host: u32) -> u64 {
        if self.board.is_closed(host) {
            return self.load[host as usize];
        }
        let limit = self.board.host(host).limit.get();
        let limit =
            if self.arrivals[host as usize] == 0 { limit.max(self.board.booked(host)) } else { limit };
        self.load[host as usize].saturating_sub(limit)
    }

    fn books(&self, instance: u32, host: u32) -> u64 {
        if host == self.board.host_of(instance) {
            self.board.booking(instance)
        } else {
            self.board.need(instance)
        }
    }

    /// What is too much counts four times what goes cold.
    fn energy(&self) -> u64 {
        4 * (self.excess + self.cold.saturating_sub(self.cap)) + self.cold
    }

    /// Whether ports, racks, the cache's budget and its other instances allow it. `gone` is about to leave `to`.
    fn admits(&self, instance: u32, to: u32, gone: Option<u32>) -> bool {
        let board = self.board;
        let (cache, home) = (board.instance(instance).cache, board.host_of(instance));
        if to != home {
            let frees = gone.is_some_and(|gone| board.host_of(gone) != to);
            if self.arrivals[to as usize] - u32::from(frees) >= board.ports(to) {
                return false;
            }
            let cold = if self.at[instance as usize] == home { board.memory(instance) } else { 0 };
            if self.cold_of[cache as usize] + cold > board.budget.per_cache.get() {
                return false;
            }
        }
        let rack = board.racks[to as usize];
        let (mut there, mut before) = (0u64, 0u64);
        for &member in board.members(cache) {
            before += u64::from(board.racks[board.host_of(member) as usize] == rack);
            if member != instance && Some(member) != gone {
                let at = self.at[member as usize];
                if at == to {
                    return false;
                }
                there += u64::from(board.racks[at as usize] == rack);
            }
        }
        let most = board.layout.caches[cache as usize].max_per_rack;
        most.is_none_or(|most| there < u64::from(most).max(before))
    }

    fn shift(&mut self, instance: u32, to: u32) {
        let from = self.at[instance as usize];
        let home = self.board.host_of(instance);
        let (leaves, arrives) = (self.books(instance, from), self.books(instance, to));
        self.excess -= self.above(from) + self.above(to);
        self.load[from as usize] = self.load[from as usize].saturating_sub(leaves);
        self.load[to as usize] += arrives;
        self.arrivals[from as usize] -= u32::from(from != home);
        self.arrivals[to as usize] += u32::from(to != home);
        self.excess += self.above(from) + self.above(to);
        let (memory, cache) = (self.board.memory(instance), self.board.instance(instance).cache as usize);
        if from == home {
            self.cold += memory;
            self.cold_of[cache] += memory;
        }
        if to == home {
            self.cold -= memory;
            self.cold_of[cache] -= memory;
        }
        self.at[instance as usize] = to;
        if let Some(place) = self.on[from as usize].iter().position(|other| *other == instance) {
            self.on[from as usize].swap_remove(place);
        }
        self.on[to as usize].push(instance);
    }
}

/// Moves after which nothing is left on the closed hosts and no more than `cap` goes cold, made on the board; or the
/// board as it was. Every movable instance may move, once, straight to where it ends up.
///
/// Threshold accepting (Dueck and Scheuer 1990) over shifts and swaps of instances between hosts, down to a state
/// with nothing above a limit or the cap; then depth first for an order in which every prefix fits. A proposal is a
/// node of work.
pub(super) fn settle(
    board: &mut Board<'_>,
    closed: &[u32],
    cap: u64,
    rounds: u64,
    random: &mut Random,
    work: &mut Work,
) -> bool {
    let Some(ends) = ends(board, closed, cap, rounds, random, work) else { return false };
    let mut left: Vec<(u32, u32)> = ends
        .iter()
        .enumerate()
        .map(|(instance, to)| (instance as u32, *to))
        .filter(|(instance, to)| board.can_move(*instance) && board.host_of(*instance) != *to)
        .collect();
    // What leaves a closed host only fills others up: it comes last.
    left.sort_by_key(|(instance, to)| (board.is_closed(board.host_of(*instance)), *instance, *to));
    work.at_most(ORDERS, |work| order(board, left, work))
}

fn ends(
    board: &Board<'_>,
    closed: &[u32],
    cap: u64,
    rounds: u64,
    random: &mut Random,
    work: &mut Work,
) -> Option<Vec<u32>> {
    let targets: Vec<u32> = board.rooms().iter().map(|(_, host)| *host).collect();
    let mut state = Final::new(board, cap);
    let mut leaving: Vec<u32> = closed.iter().flat_map(|host| board.movable_on(*host)).collect();
    leaving.sort_by_key(|instance| (std::cmp::Reverse(board.need(*instance)), *instance));
    let least = leaving.iter().map(|instance| board.memory(*instance)).sum::<u64>();
    for instance in leaving {
        // The tightest that fits, or the one with the most room.
        let need = board.need(instance);
        let to = targets.iter().copied().filter(|to| state.admits(instance, *to, None)).min_by_key(|to| {
            let room = board.host(*to).limit.get().saturating_sub(state.load[*to as usize]);
            if room >= need { (0, room, *to) } else { (1, u64::MAX - room, *to) }
        });
        if let Some(to) = to {
            state.shift(instance, to);
        }
    }
    let sources: Vec<u32> = targets.iter().chain(closed).copied().collect();
    let movable: Vec<u32> = sources.iter().flat_map(|host| &state.on[*host as usize]).copied().collect();
    if movable.is_empty() || targets.is_empty() {
        return None;
    }
    let mean = movable.iter().map(|instance| board.need(*instance)).sum::<u64>() / movable.len() as u64;
    let mut best = None;
    for round in 0..rounds {
        // What books nothing is above no limit, and has to leave all the same.
        let left = || closed.iter().any(|host| !state.on[*host as usize].is_empty());
        if state.excess == 0 && state.cold <= state.cap && !left() {
            best = Some(state.at.clone());
            if state.cold == least {
                break;
            }
            state.cap = state.cold - 1;
        }
        if !work.spend(1) {
            break;
        }
        let threshold = mean * (rounds - round) / rounds;
        propose(&mut state, &targets, &sources, &movable, threshold, random);
    }
    best
}

/// One shift or swap, kept if it makes things worse by no more than `threshold`.
fn propose(
    state: &mut Final<'_, '_>,
    targets: &[u32],
    sources: &[u32],
    movable: &[u32],
    threshold: u64,
    random: &mut Random,
) {
    let mut instance = movable[random.below(movable.len())];
    if random.below(2) == 0 {
        // From a host that is above its limit, if there is one among a few.
        let host = sources[random.below(sources.len())];
        let on = &state.on[host as usize];
        if state.above(host) > 0 && !on.is_empty() {
            instance = on[random.below(on.len())];
        }
    }
    let (from, home) = (state.at[instance as usize], state.board.host_of(instance));
    let mut to = targets[random.below(targets.len())];
    if from != home && !state.board.is_closed(home) && random.below(4) == 0 {
        to = home;
    }
    if to == from || !(state.board.usable(to) || to == home) {
        return;
    }
    let before = state.energy();
    let others = &state.on[to as usize];
    let swapped = (random.below(2) == 0 && !others.is_empty()).then(|| others[random.below(others.len())]);
    if !state.admits(instance, to, swapped) {
        return;
    }
    if let Some(other) = swapped {
        let back =
            !state.board.is_closed(from) && (from == state.board.host_of(other) || state.board.usable(from));
        if !back || state.board.instance(other).cache == state.board.instance(instance).cache {
            return;
        }
        if !state.admits(other, from, Some(instance)) {
            return;
        }
        state.shift(other, from);
    }
    state.shift(instance, to);
    if state.energy() > before.saturating_add(threshold) {
        state.shift(instance, from);
        if let Some(other) = swapped {
            state.shift(other, to);
        }
    }
}

/// Make all of these moves in some order in which every prefix fits.
fn order(board: &mut Board<'_>, left: Vec<(u32, u32)>, work: &mut Work) -> bool {
    let start = board.steps().len();
    let fits = |board: &Board<'_>, (instance, to): (u32, u32)| {
        board.usable(to)
            && board.booked(to).saturating_add(board.need(instance)) <= board.host(to).limit.get()
            && board.admits(instance, to)
            && board.affords(instance)
    };
    let mut dead: BTreeSet<Vec<bool>> = BTreeSet::new();
    let mut made = vec![false; left.len()];
    // The moves made, and from which on others were not tried yet.
    let mut path: Vec<usize> = Vec::new();
    let mut next = 0;
    loop {
        if path.len() == left.len() {
            return true;
        }
        let found = (next..left.len()).find(|&at| !made[at] && fits(board, left[at]));
        if let Some(at) = found {
            if !work.spend(1) {
                board.undo_to(start);
                return false;
            }
            made[at] = true;
            if dead.contains(&made) {
                made[at] = false;
                next = at + 1;
                continue;
            }
            board.apply(left[at].0, left[at].1);
            path.push(at);
            next = 0;
        } else {
            dead.insert(made.clone());
            let Some(last) = path.pop() else { return false };
            made[last] = false;
            board.undo();
            next = last + 1;
        }
    }
}
