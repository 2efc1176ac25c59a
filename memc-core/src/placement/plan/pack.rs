//! Instances moved straight to where they stay: a bin packing with conflicts.

use super::Work;
use super::board::Board;

/// More instances than this are only placed greedily: each needs a level of the search.
const SEARCHED: usize = 512;

/// Move all of `items` off hosts that are closed. Whether that worked; if not, the board is as it was.
///
/// Best fit decreasing first; then depth first, always the instance with the fewest places, the tightest first.
/// Since targets only fill up, any order of the moves found fits. Without the work to finish, `false` is no proof.
pub(super) fn pack(board: &mut Board<'_>, items: &[u32], work: &mut Work) -> bool {
    let start = board.steps().len();
    let mut left = items.to_vec();
    left.sort_by_key(|&instance| (std::cmp::Reverse(board.need(instance)), instance));
    if !work.spend(left.len() as u64) {
        return false;
    }
    let greedy = left.iter().all(|&instance| {
        let target = if board.affords(instance) { board.targets(instance).next() } else { None };
        target.inspect(|&to| board.apply(instance, to)).is_some()
    });
    if !greedy {
        board.undo_to(start);
    }
    greedy || left.len() <= SEARCHED && search(board, left, work)
}

/// A level: the instance placed there, its other targets, the next one last.
struct Level {
    instance: u32,
    targets: Vec<u32>,
}

fn search(board: &mut Board<'_>, mut left: Vec<u32>, work: &mut Work) -> bool {
    let start = board.steps().len();
    let mut levels: Vec<Level> = Vec::new();
    loop {
        if left.is_empty() {
            return true;
        }
        // Few are enough to tell which instance has the fewest.
        let fewest = (0..left.len()).min_by_key(|&at| {
            let instance = left[at];
            (board.targets(instance).take(4).count(), std::cmp::Reverse(board.need(instance)), instance)
        });
        let Some(at) = fewest else { return true };
        let instance = left.remove(at);
        let mut targets: Vec<u32> = if board.affords(instance) {
            board.targets(instance).take(SEARCHED).collect()
        } else {
            Vec::new()
        };
        targets.reverse();
        levels.push(Level { instance, targets });
        // The next target of the deepest level that has one.
        loop {
            let Some(level) = levels.last_mut() else {
                return false;
            };
            let instance = level.instance;
            if let Some(to) = level.targets.pop() {
                if !work.spend(1) {
                    board.undo_to(start);
                    return false;
                }
                board.apply(instance, to);
                break;
            }
            left.push(instance);
            levels.pop();
            if !levels.is_empty() {
                board.undo();
            }
        }
    }
}
