//! As many hosts as possible emptied.

use super::board::Board;
use super::pack::pack;
use super::{Budget, Layout, Plan, Work};

/// Moves that empty hosts.
#[must_use]
pub fn rebalance(layout: &Layout, budget: Budget, work: u64) -> Plan {
    let mut work = Work(work);
    let mut board = Board::new(layout, budget);
    let mut hosts: Vec<(u64, u32)> = board
        .hosts()
        .filter(|host| board.host(*host).open && !board.on(*host).is_empty())
        .filter(|host| board.on(*host).iter().all(|instance| board.can_move(*instance)))
        .map(|host| (board.on(host).iter().map(|instance| board.memory(*instance)).sum(), host))
        .collect();
    hosts.sort_unstable();
    let mut emptied = Vec::new();
    for (_, host) in hosts {
        if board.steps().iter().any(|step| step.to == host) {
            continue;
        }
        let items = board.on(host).to_vec();
        board.set_closed(host, true);
        if work.at_most(100, |work| pack(&mut board, &items, work)) {
            emptied.push(board.host(host).id);
        } else {
            board.set_closed(host, false);
        }
    }
    board.plan(emptied)
}
