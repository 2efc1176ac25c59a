//! Best first over the states that moves lead to.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Work;
use super::board::Board;

/// How far a state is from where moves should lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Distance {
    /// It is there.
    Done,
    /// At least this much more goes cold, MiB.
    AtLeast(u64),
    /// No moves lead there from here.
    Never,
}

/// Where moves should lead.
pub(super) trait Goal {
    /// How far the board is from it. Must never be too much.
    fn distance(&self, board: &Board<'_>) -> Distance;

    /// Instances whose moves are tried before others.
    fn near(&self, board: &Board<'_>) -> Vec<u32>;
}

/// What a search came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The board is there.
    Found,
    /// No moves lead there within the budget and below the bound; the board is as it was.
    Exhausted { states: u64, over_budget: bool },
    /// The work was spent; the board is as it was.
    Stopped,
}

/// Which state is looked at next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The cheapest in all: what is found first is the least.
    Cheapest,
    /// The nearest to the goal: something is found soon.
    Nearest,
}

/// Targets of a near instance that are tried before all others.
const TIGHTEST: usize = 8;

struct Node {
    parent: usize,
    step: (u32, u32),
    depth: u32,
}

/// A state but for what it took to get there: where each moved instance is.
type Key = Vec<(u32, u32)>;

/// What it took: arrivals at hosts (each took a port), and what went cold by cache.
#[derive(PartialEq, Eq)]
struct Toll {
    arrivals: Vec<(u32, u64)>,
    cold: Vec<(u32, u64)>,
}

/// Whether every entry of `a` is in `b` and no smaller there; both sorted.
fn covered(a: &[(u32, u64)], b: &[(u32, u64)]) -> bool {
    let mut rest = b.iter();
    a.iter().all(|(key, amount)| {
        rest.by_ref()
            .find(|(other, _)| other >= key)
            .is_some_and(|(other, more)| other == key && more >= amount)
    })
}

fn key_and_toll(board: &Board<'_>, root: usize, next: (u32, u32)) -> (Key, Toll) {
    let (mut places, mut arrivals, mut cold) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let steps = board.steps()[root..].iter().map(|step| (step.instance, step.to));
    for (instance, to) in steps.chain([next]) {
        places.insert(instance, to);
        *arrivals.entry(to).or_insert(0) += 1;
        *cold.entry(board.instance(instance).cache).or_insert(0) += board.memory(instance);
    }
    let sorted = |map: BTreeMap<u32, u64>| map.into_iter().collect();
    (places.into_iter().collect(), Toll { arrivals: sorted(arrivals), cold: sorted(cold) })
}

/// Moves that lead to the goal and in all make less than `bound` MiB go cold, those on the board included.
///
/// A state is left out if another with everything in the same place took no more ports and let no more go cold, of
/// any cache. So the search ends even where ports would let instances go round forever. Each state generated is one
/// node of work; O(log n) and what [`Goal::distance`] takes for each.
pub(super) fn search(
    board: &mut Board<'_>,
    goal: &impl Goal,
    order: Order,
    bound: u64,
    work: &mut Work,
) -> Outcome {
    let root = board.steps().len();
    let mut search = Search {
        root,
        order,
        bound,
        nodes: vec![Node { parent: 0, step: (0, 0), depth: 0 }],
        open: BinaryHeap::new(),
        seen: BTreeMap::new(),
        over_budget: false,
    };
    match goal.distance(board) {
        Distance::Done => return Outcome::Found,
        Distance::Never => return Outcome::Exhausted { states: 1, over_budget: false },
        Distance::AtLeast(left) if board.cold().saturating_add(left) > board.budget.total.get() => {
            return Outcome::Exhausted { states: 1, over_budget: true };
        }
        Distance::AtLeast(left) => search.push(board.cold(), left, false, 0),
    }
    while let Some(Reverse((_, far, _, _, node))) = search.open.pop() {
        search.go_to(board, node);
        if goal.distance(board) == Distance::Done {
            return Outcome::Found;
        }
        if !search.expand(board, goal, node, far, work) {
            board.undo_to(root);
            return Outcome::Stopped;
        }
    }
    board.undo_to(root);
    Outcome::Exhausted { states: search.nodes.len() as u64, over_budget: search.over_budget }
}

/// Rank, whether only the far moves remain, second rank, the newest, the node.
type Entry = Reverse<(u64, bool, u64, Reverse<usize>, usize)>;

struct Search {
    root: usize,
    order: Order,
    bound: u64,
    nodes: Vec<Node>,
    open: BinaryHeap<Entry>,
    seen: BTreeMap<Key, Vec<Toll>>,
    over_budget: bool,
}

impl Search {
    fn push(&mut self, cold: u64, left: u64, far: bool, node: usize) {
        let ranks = match self.order {
            Order::Cheapest => (cold.saturating_add(left), left),
            Order::Nearest => (left, cold),
        };
        let newest = Reverse(self.open.len() + self.nodes.len());
        self.open.push(Reverse((ranks.0, far, ranks.1, newest, node)));
    }

    /// Make the moves that lead to a node.
    fn go_to(&self, board: &mut Board<'_>, node: usize) {
        let mut path = Vec::with_capacity(self.nodes[node].depth as usize);
        let mut at = node;
        while at != 0 {
            path.push(self.nodes[at].step);
            at = self.nodes[at].parent;
        }
        path.reverse();
        let steps = board.steps()[self.root..].iter().map(|step| (step.instance, step.to));
        let common = steps.zip(&path).take_while(|(made, wanted)| made == *wanted).count();
        board.undo_to(self.root + common);
        for &(instance, to) in &path[common..] {
            board.apply(instance, to);
        }
    }

    /// Generate what follows a node, which the board is at: first the near moves, the second time all others.
    /// Whether the work was enough.
    fn expand(
        &mut self,
        board: &mut Board<'_>,
        goal: &impl Goal,
        node: usize,
        far: bool,
        work: &mut Work,
    ) -> bool {
        let near = goal.near(board);
        if far {
            let others = (0..board.layout.instances.len() as u32).filter(|other| !near.contains(other));
            for (number, instance) in near.iter().copied().chain(others).enumerate() {
                // Looking at them costs as well, also at those that can go nowhere.
                if number % 64 == 63 && !work.spend(1) {
                    return false;
                }
                let skip = if near.contains(&instance) { TIGHTEST } else { 0 };
                if !self.moves_of(board, goal, node, instance, skip..usize::MAX, work) {
                    return false;
                }
            }
        } else {
            for &instance in &near {
                if !self.moves_of(board, goal, node, instance, 0..TIGHTEST, work) {
                    return false;
                }
            }
            if let Distance::AtLeast(left) = goal.distance(board) {
                self.push(board.cold(), left, true, node);
            }
        }
        true
    }

    fn moves_of(
        &mut self,
        board: &mut Board<'_>,
        goal: &impl Goal,
        node: usize,
        instance: u32,
        of: std::ops::Range<usize>,
        work: &mut Work,
    ) -> bool {
        if !board.can_move(instance) {
            return true;
        }
        if !board.affords(instance) {
            self.over_budget = true;
            return work.spend(1);
        }
        let targets: Vec<u32> = board.targets(instance).skip(of.start).take(of.end - of.start).collect();
        for to in targets {
            if !work.spend(1) {
                return false;
            }
            self.add(board, goal, node, (instance, to));
        }
        true
    }

    /// Keep a state unless it leads nowhere or another makes it needless.
    fn add(&mut self, board: &mut Board<'_>, goal: &impl Goal, parent: usize, step: (u32, u32)) {
        let (key, toll) = key_and_toll(board, self.root, step);
        let seen = self.seen.entry(key).or_default();
        if seen
            .iter()
            .any(|other| covered(&other.arrivals, &toll.arrivals) && covered(&other.cold, &toll.cold))
        {
            return;
        }
        board.apply(step.0, step.1);
        let cold = board.cold();
        let left = match goal.distance(board) {
            Distance::Done => Some(0),
            Distance::AtLeast(left) => Some(left),
            Distance::Never => None,
        };
        board.undo();
        seen.push(toll);
        let Some(left) = left else { return };
        let least = cold.saturating_add(left);
        if least > board.budget.total.get() {
            self.over_budget = true;
        } else if least < self.bound {
            self.nodes.push(Node { parent, step, depth: self.nodes[parent].depth + 1 });
            self.push(cold, left, false, self.nodes.len() - 1);
        }
    }
}
