//! Everything off one host.

use super::board::Board;
use super::goal::{Empty, Places};
use super::pack::pack;
use super::search::{Order, Outcome, search};
use super::{Answer, Budget, Layout, Proof, Work};
use crate::model::{HostId, Mib};

/// Moves after which nothing movable is left on `host`, which is moved to by none of them.
///
/// What goes cold is the least possible wherever the host's own instances are enough. If they are not, others move
/// aside as well, as cheaply as was found; the search for that goes on to the least while there is `work`. An
/// instance may move twice where that helps.
///
/// `work` is the number of search nodes; one takes about 10 µs on a small layout. A drain that needs no side moves
/// takes O(n log n) in hosts and instances to set up and a node for each move.
#[must_use]
pub fn drain(layout: &Layout, host: HostId, work: u64) -> Answer {
    let Some(at) = layout.hosts.iter().position(|of| of.id == host) else {
        return Answer::Infeasible(Proof::UnknownHost(host));
    };
    let mut work = Work(work);
    let mut board = Board::new(layout, Budget::UNLIMITED);
    let at = at as u32;
    board.set_closed(at, true);
    let own: Vec<u32> = board.movable_on(at).collect();
    if let Some(proof) = impossible(&board, at, &own) {
        return Answer::Infeasible(proof);
    }
    let half = work.0 / 2;
    if work.at_most(half, |work| pack(&mut board, &own, work)) {
        return Answer::Plan(board.plan(vec![host]));
    }
    let quarter = work.0 / 2;
    let aside = work.at_most(quarter, |work| move_aside(&mut board, at, work));
    let found = aside.then(|| (board.cold(), board.plan(vec![host])));
    board.undo_to(0);
    let bound = found.as_ref().map_or(u64::MAX, |(cold, _)| *cold);
    match (search(&mut board, &Empty { host: at }, Order::Cheapest, bound, &mut work), found) {
        (Outcome::Found, _) => Answer::Plan(board.plan(vec![host])),
        (_, Some((_, plan))) => Answer::Plan(plan),
        (Outcome::Exhausted { states, .. }, None) => {
            Answer::Infeasible(Proof::Searched { states, over_budget: false })
        }
        (Outcome::Stopped, None) => Answer::Undecided,
    }
}

/// Place each instance, the largest first, where it fits; where none does, make room for it first.
fn move_aside(board: &mut Board<'_>, host: u32, work: &mut Work) -> bool {
    loop {
        let largest = board.movable_on(host).max_by_key(|own| (board.need(*own), std::cmp::Reverse(*own)));
        let Some(own) = largest else { return true };
        if !work.spend(1) {
            return false;
        }
        let target = board.targets(own).next();
        if let Some(to) = target {
            board.apply(own, to);
            continue;
        }
        let cache = board.instance(own).cache;
        let most = board.layout.caches[cache as usize].max_per_rack.map(u64::from);
        let places = Places::new(board, board.need(own), 1, most, Some(cache), Some(own));
        let share = work.0 / 4;
        let found = work.at_most(share, |work| search(board, &places, Order::Nearest, u64::MAX, work));
        // Room may have come where a rack is full for this one, or this one may have been moved by the search.
        if found != Outcome::Found || board.host_of(own) == host && board.targets(own).next().is_none() {
            return false;
        }
    }
}

/// A reason that is seen without a search.
fn impossible(board: &Board<'_>, host: u32, own: &[u32]) -> Option<Proof> {
    let nowhere = |&&own: &&u32| !board.hosts().any(|to| to != host && board.conceivable(own, to));
    if let Some(&own) = own.iter().find(nowhere) {
        let of = board.instance(own);
        return Some(Proof::Nowhere { instance: of.id, needs: of.rebooked });
    }
    let targets = || board.hosts().filter(|to| board.usable(*to));
    let ports = targets().map(|to| u64::from(board.ports(to))).sum::<u64>();
    if ports < own.len() as u64 {
        return Some(Proof::TooFewPorts { moves: own.len() as u64, ports });
    }
    // Moving an instance that shrinks frees what it no longer needs; a host that is over-full may stay so.
    let shed = |at| board.booking(at).saturating_sub(board.need(at));
    let room = targets().map(|to| board.movable_on(to).map(shed).fold(board.room(to), u64::saturating_add));
    let room = room.fold(0, u64::saturating_add);
    let needs = own.iter().map(|own| board.need(*own)).fold(0, u64::saturating_add);
    if needs > room {
        return Some(Proof::TooLittleMemory { needs: Mib::capped(needs), room: Mib::capped(room) });
    }
    own.iter().find_map(|own| too_few_hosts(board, host, board.instance(*own).cache))
}

/// Whether a cache has more instances on the drained host and the open ones than open hosts could hold.
fn too_few_hosts(board: &Board<'_>, host: u32, cache: u32) -> Option<Proof> {
    let most = board.layout.caches[cache as usize].max_per_rack.map_or(u64::MAX, u64::from);
    let mut racks = vec![Rack::default(); board.rack_count];
    for to in board.hosts().filter(|to| *to != host && board.host(*to).open) {
        racks[board.racks[to as usize] as usize].hosts += 1;
    }
    let mut instances = 0;
    for &member in board.members(cache) {
        let at = board.host_of(member);
        let rack = &mut racks[board.racks[at as usize] as usize];
        rack.held += 1;
        rack.settled += u64::from(at != host && board.host(at).open);
        instances += u64::from(if at == host { board.can_move(member) } else { board.host(at).open });
    }
    // What is over-full already may stay so.
    let places = racks.iter().map(|rack| most.max(rack.held).min(rack.hosts).max(rack.settled)).sum();
    let id = board.layout.caches[cache as usize].id;
    (instances > places).then_some(Proof::TooFewHosts { cache: id, instances, places })
}

/// A rack, for one cache.
#[derive(Clone, Default)]
struct Rack {
    /// Open hosts other than the drained one.
    hosts: u64,
    /// Instances of the cache.
    held: u64,
    /// Those of them on these hosts.
    settled: u64,
}
