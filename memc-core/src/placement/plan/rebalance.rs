//! As many hosts as possible emptied.

use super::board::Board;
use super::pack::pack;
use super::settle::{Random, settle};
use super::{Budget, Layout, Plan, Work};

/// Up to this many candidates, sets of hosts are searched; above, they are emptied in the order of what goes cold.
const SEARCHED: usize = 200;
/// Sets of hosts that are looked at from one best set.
const SETS: u64 = 600;
/// Numbers of hosts kept free ahead that are tried.
const TRIALS: usize = 4;
/// Search nodes for packing one host, beside one for each instance.
const PACK: u64 = 200;
/// Proposals for one set of hosts, by instances: the first time, and the last; twice as many each time between.
const ROUNDS: u64 = 64;
const MOST_ROUNDS: u64 = 1_024;

/// A host that could be emptied.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    host: u32,
    /// What goes cold.
    cold: u64,
    /// What other hosts book for its instances.
    need: u64,
    /// What it takes no more.
    room: u64,
}

/// Hosts emptied, in the order of positions, and how.
#[derive(Debug, Clone, Default)]
struct Emptying {
    hosts: Vec<u32>,
    steps: Vec<(u32, u32)>,
    cold: u64,
}

impl Emptying {
    fn of(board: &Board<'_>, mut hosts: Vec<u32>) -> Self {
        hosts.sort_unstable();
        let steps = board.steps().iter().map(|step| (step.instance, step.to)).collect();
        Emptying { hosts, steps, cold: board.cold() }
    }

    fn beats(&self, other: &Emptying) -> bool {
        (self.hosts.len(), std::cmp::Reverse(self.cold)) > (other.hosts.len(), std::cmp::Reverse(other.cold))
    }
}

/// Moves that empty as many hosts as were found to be possible, and make as little go cold for that as was found; no
/// host is emptied in part. An empty plan if none can be.
///
/// Hosts that can be emptied are open and hold instances, all of which can be moved. Hosts that are empty already, or
/// not open, are no targets, nor is any host that the plan empties. No instance moves twice; instances on other hosts
/// move aside where that empties more.
///
/// Greedy first, the cheapest hosts, packed best fit decreasing: O(m log n) for m moves on n hosts. With few hosts
/// (up to 200 that can be emptied) the rest of `work` goes into a search of sets of hosts, by how much room they leave,
/// and of where everything ends up (threshold accepting). Neither proves that no plan is better. The answer is a
/// function of the arguments alone.
#[must_use]
pub fn rebalance(layout: &Layout, budget: Budget, work: u64) -> Plan {
    let mut work = Work(work);
    let mut board = Board::new(layout, budget);
    let mut candidates = Vec::new();
    for host in board.hosts() {
        if board.on(host).is_empty() {
            board.set_closed(host, true);
        } else if board.host(host).open && board.on(host).iter().all(|instance| board.can_move(*instance)) {
            candidates.push(Candidate {
                host,
                cold: board.on(host).iter().map(|instance| board.memory(*instance)).sum(),
                need: board.on(host).iter().map(|instance| board.need(*instance)).sum(),
                room: if board.ports(host) > 0 { board.room(host) } else { 0 },
            });
        }
    }
    candidates.sort_unstable_by_key(|candidate| (candidate.cold, candidate.host));
    let mut best = best_greedy(&mut board, &candidates, &mut work);
    if candidates.len() <= SEARCHED {
        let mut random = Random(0);
        let mut rounds = ROUNDS;
        let instances = layout.instances.len() as u64;
        while work.0 > 0 && rounds <= MOST_ROUNDS {
            while let Some(better) =
                more(&mut board, &candidates, &best, rounds * instances, &mut random, &mut work)
            {
                best = better;
            }
            cheaper(&mut board, &candidates, &mut best, rounds * instances, &mut random, &mut work);
            rounds *= 2;
        }
    }
    for &(instance, to) in &best.steps {
        board.apply(instance, to);
    }
    board.plan(best.hosts.iter().map(|host| board.host(*host).id).collect())
}

/// The cheapest hosts first, all or nothing for each. The first `ahead` of them are kept from being targets from the
/// start, until one turns out not to be emptied: otherwise the tightest host that something goes to is often the next
/// to be emptied.
fn greedy(board: &mut Board<'_>, candidates: &[Candidate], ahead: usize, work: &mut Work) -> Emptying {
    let mut emptied = Vec::new();
    let mut taken = vec![false; board.hosts().len()];
    for candidate in &candidates[..ahead] {
        board.set_closed(candidate.host, true);
    }
    for candidate in candidates {
        if taken[candidate.host as usize] {
            continue;
        }
        if board.cold() + candidate.cold > board.budget.total.get() {
            board.set_closed(candidate.host, false);
            continue;
        }
        let items = board.on(candidate.host).to_vec();
        let before = board.steps().len();
        board.set_closed(candidate.host, true);
        if work.at_most(PACK + items.len() as u64, |work| pack(board, &items, work)) {
            emptied.push(candidate.host);
            for step in &board.steps()[before..] {
                taken[step.to as usize] = true;
            }
        } else {
            board.set_closed(candidate.host, false);
        }
    }
    let found = Emptying::of(board, emptied);
    board.undo_to(0);
    for host in &found.hosts {
        board.set_closed(*host, false);
    }
    found
}

/// The best of several numbers of hosts kept free ahead: none, what the budget pays for, and less and less than that.
fn best_greedy(board: &mut Board<'_>, candidates: &[Candidate], work: &mut Work) -> Emptying {
    let budget = board.budget.total.get();
    let mut spent = 0u64;
    let paid = candidates.iter().take_while(|candidate| {
        spent = spent.saturating_add(candidate.cold);
        spent <= budget
    });
    let mut ahead = paid.count();
    let share = work.0 / 4;
    let mut best = work.at_most(share, |work| greedy(board, candidates, 0, work));
    for _ in 0..TRIALS {
        if ahead <= best.hosts.len() {
            break;
        }
        let share = work.0 / 4;
        let found = work.at_most(share, |work| greedy(board, candidates, ahead, work));
        if found.beats(&best) {
            best = found;
        }
        ahead -= (ahead - best.hosts.len()).div_ceil(2);
    }
    best
}

/// Sets of candidates that have `more` hosts more than `from`: those that differ least from it, at most [`SETS`].
fn neighbours(candidates: &[Candidate], from: &Emptying, more: usize) -> Vec<Vec<Candidate>> {
    let (inside, outside): (Vec<Candidate>, Vec<Candidate>) =
        candidates.iter().partition(|candidate| from.hosts.contains(&candidate.host));
    let mut sets = Vec::new();
    for out in 0..=inside.len() {
        if sets.len() as u64 + choose(inside.len(), out).saturating_mul(choose(outside.len(), out + more))
            > SETS
        {
            break;
        }
        let enters = subsets(outside.len(), out + more);
        for leave in subsets(inside.len(), out) {
            let stays = (0..inside.len()).filter(|at| !leave.contains(at)).map(|at| inside[at]);
            let stays: Vec<Candidate> = stays.collect();
            for enter in &enters {
                sets.push(stays.iter().copied().chain(enter.iter().map(|at| outside[*at])).collect());
            }
        }
    }
    sets
}

/// How many sets of a size there are.
fn choose(of: usize, size: usize) -> u64 {
    (0..size as u64).fold(1, |sets: u64, at| sets.saturating_mul((of as u64).saturating_sub(at)) / (at + 1))
}

fn subsets(of: usize, size: usize) -> Vec<Vec<usize>> {
    let mut sets = vec![Vec::new()];
    for _ in 0..size {
        sets = sets
            .into_iter()
            .flat_map(|set| {
                let next = set.last().map_or(0, |last| last + 1);
                (next..of).map(move |at| set.iter().copied().chain([at]).collect())
            })
            .collect();
    }
    sets
}

/// What all hosts that can be moved to have together.
struct Volume {
    room: u64,
    /// Movable instances on them that book less once they are moved: host, memory, and how much less; the best ratio
    /// first.
    shrunk: Vec<(u32, u64, u64)>,
}

impl Volume {
    fn of(board: &Board<'_>) -> Self {
        let mut shrunk = Vec::new();
        for &(_, host) in board.rooms() {
            for instance in board.movable_on(host) {
                let less = board.booking(instance).saturating_sub(board.need(instance));
                if less > 0 {
                    shrunk.push((host, board.memory(instance), less));
                }
            }
        }
        shrunk.sort_by(|a, b| (u128::from(a.1) * u128::from(b.2)).cmp(&(u128::from(b.1) * u128::from(a.2))));
        Volume { room: board.rooms().iter().map(|(room, _)| *room).sum(), shrunk }
    }

    /// Room that is left once a set of hosts is emptied, if instances could be split and what may go cold beside
    /// theirs is spent on moving shrunk ones; `None` if it is not enough.
    fn slack(&self, set: &[Candidate], cap: u64) -> Option<u64> {
        let mut spare = cap.checked_sub(cold(set))?;
        let mut room = self.room;
        for &(host, memory, less) in &self.shrunk {
            if set.iter().any(|candidate| candidate.host == host) {
                continue;
            }
            if memory > spare {
                room += (u128::from(less) * u128::from(spare)).div_ceil(u128::from(memory)) as u64;
                break;
            }
            room += less;
            spare -= memory;
        }
        room.checked_sub(set.iter().map(|candidate| candidate.need + candidate.room).sum())
    }
}

fn cold(set: &[Candidate]) -> u64 {
    set.iter().map(|candidate| candidate.cold).sum()
}

fn attempt(
    board: &mut Board<'_>,
    set: &[Candidate],
    cap: u64,
    rounds: u64,
    random: &mut Random,
    work: &mut Work,
) -> Option<Emptying> {
    let hosts: Vec<u32> = set.iter().map(|candidate| candidate.host).collect();
    for host in &hosts {
        board.set_closed(*host, true);
    }
    let done = settle(board, &hosts, cap, rounds, random, work);
    let found = done.then(|| Emptying::of(board, hosts.clone()));
    board.undo_to(0);
    for host in &hosts {
        board.set_closed(*host, false);
    }
    found
}

/// One host more.
fn more(
    board: &mut Board<'_>,
    candidates: &[Candidate],
    best: &Emptying,
    rounds: u64,
    random: &mut Random,
    work: &mut Work,
) -> Option<Emptying> {
    let budget = board.budget.total.get();
    let volume = Volume::of(board);
    let mut sets: Vec<_> = neighbours(candidates, best, 1)
        .into_iter()
        .filter_map(|set| volume.slack(&set, budget).map(|slack| (std::cmp::Reverse(slack), set)))
        .collect();
    sets.sort_by_key(|(slack, _)| *slack);
    sets.iter().find_map(|(_, set)| attempt(board, set, budget, rounds, random, work))
}

/// As many hosts for less.
fn cheaper(
    board: &mut Board<'_>,
    candidates: &[Candidate],
    best: &mut Emptying,
    rounds: u64,
    random: &mut Random,
    work: &mut Work,
) {
    let volume = Volume::of(board);
    let mut sets = neighbours(candidates, best, 0);
    sets.sort_by_key(|set| cold(set));
    for set in sets {
        let Some(cap) = best.cold.checked_sub(1) else { return };
        if cold(&set) > cap {
            return;
        }
        if volume.slack(&set, cap).is_some()
            && let Some(found) = attempt(board, &set, cap, rounds, random, work)
        {
            *best = found;
        }
    }
}
