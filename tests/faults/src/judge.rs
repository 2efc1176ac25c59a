//! Answers judged again, on the states that the ledger's commits come to.
//!
//! A refusal changes nothing, so nothing in the ledger shows that it was right. But it rests on a state of the ledger:
//! not older than what anyone knew when it was asked, and not newer than what its process knew when it answered. One of
//! these has to refuse as well.

use std::collections::BTreeMap;

use memc_core::ledger::{Commit, Order, State, decide};
use memc_core::model::{CacheId, Principal};

use crate::ask::Ask;
use crate::journal::Place;

/// A refusal that a client was told of.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) actor: String,
    pub(crate) request: String,
    pub(crate) ask: Ask,
    pub(crate) code: String,
    /// The highest revision that anyone knew before it was asked.
    pub(crate) known: u64,
    /// Where its process's memory was after it was answered.
    pub(crate) seen: u64,
}

/// Instances as a process's memory showed them.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) actor: String,
    pub(crate) cache: CacheId,
    pub(crate) places: Vec<Place>,
}

/// How much was judged.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) refusals: u64,
    pub(crate) receipts: u64,
    pub(crate) shown: u64,
}

/// What is still to be judged, while the ledger is folded once.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    /// By what was known.
    refused: BTreeMap<u64, Vec<Refused>>,
    /// Those whose states have begun, and none of which has refused yet.
    open: Vec<Refused>,
    /// By the revision that memory was at.
    shown: BTreeMap<u64, Vec<Shown>>,
    pub(crate) judged: Judged,
}

impl Judge {
    pub(crate) fn refused(&mut self, refused: Refused) {
        self.refused.entry(refused.known).or_default().push(refused);
    }

    pub(crate) fn shown(&mut self, revision: u64, shown: Shown) {
        self.shown.entry(revision).or_default().push(shown);
    }

    /// The ledger's next state, beginning with the empty one; what is wrong by it.
    pub(crate) fn state(&mut self, state: &State) -> Vec<String> {
        let mut wrong = Vec::new();
        let revision = state.head().revision.get();
        self.open.extend(self.refused.remove(&revision).into_iter().flatten());
        let judged = &mut self.judged;
        self.open.retain(|it| {
            let right = refuses(state, it);
            if !right && it.seen <= revision {
                wrong.push(it.unfounded());
            }
            let over = right || it.seen <= revision;
            judged.refusals += u64::from(over);
            !over
        });
        for shown in self.shown.remove(&revision).unwrap_or_default() {
            judged.shown += 1;
            let there = places(state, shown.cache);
            if shown.places != there {
                let Shown { actor, cache, places } = shown;
                wrong.push(format!("{actor}: cache {cache} at {revision} is {there:?}, shown as {places:?}"));
            }
        }
        wrong
    }

    /// After the last state: what is left rests on states that are not there.
    pub(crate) fn end(&mut self) -> Vec<String> {
        let late = std::mem::take(&mut self.refused);
        let left = self.open.drain(..).chain(late.into_values().flatten());
        let wrong: Vec<String> = left.map(|it| it.unfounded()).collect();
        self.judged.refusals += wrong.len() as u64;
        let shown = std::mem::take(&mut self.shown).into_iter();
        let gone = shown.map(|(revision, all)| format!("{}: memory was at {revision}", all[0].actor));
        wrong.into_iter().chain(gone).collect()
    }

    /// Decide a commit's request again, on the state before it; what is wrong.
    pub(crate) fn receipt(&mut self, state: &State, ask: &Ask, commit: &Commit) -> Option<String> {
        self.judged.receipts += 1;
        let order =
            Order { actor: commit.actor.clone(), request: commit.request.clone(), command: ask.command() };
        match decide(state, &order, commit.at) {
            // The receipt is among the changes, as are the instances with their hosts and ports.
            Ok(decision) if decision.changes == commit.changes && decision.action == commit.action => None,
            Ok(decision) => Some(format!(
                "commit {} is {:?}, decided again it is {:?}",
                commit.revision, commit.changes, decision.changes
            )),
            Err(refusal) => {
                Some(format!("commit {} is there, decided again it is refused: {refusal}", commit.revision))
            }
        }
    }
}

impl Refused {
    fn unfounded(&self) -> String {
        let Refused { actor, request, ask, code, known, seen } = self;
        format!("{actor} {request}: refused ({code}), which no state from {known} to {seen} does: {ask:?}")
    }
}

/// The time is the earliest that it can have been: later, more ports have cooled down, and no rule but the one about room
/// knows the time. Without the request's id, since whether that is in the ledger is looked at elsewhere.
fn refuses(state: &State, refused: &Refused) -> bool {
    let actor = Principal::new(&refused.actor).expect("a name");
    let order = Order { actor, request: None, command: refused.ask.command() };
    decide(state, &order, state.head().at).is_err_and(|refusal| refusal.code() == refused.code)
}

/// The instances of a cache.
pub(crate) fn places(state: &State, cache: CacheId) -> Vec<Place> {
    state.instances_of(cache).map(|it| (it.index, it.host, it.port, it.memory)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use memc_core::ledger::Change;
    use memc_core::model::{Key, Port, Record, Revision};
    use memc_core::store::{MemoryStore, Store};

    use super::*;
    use crate::world;

    fn allocate(name: &str, instances: u16) -> Ask {
        Ask::Allocate { team: "shop".into(), name: name.into(), memory: 8, instances }
    }

    /// A ledger whose last two commits allocate `c0` and `c1`.
    async fn ledger() -> Vec<Commit> {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        world::found_on(store.clone(), false).await;
        world::fill(store.clone(), 2).await;
        store.commits(Revision::new(0), 1000).await.unwrap()
    }

    fn judge(commits: &[Commit], mut judge: Judge) -> (usize, u64) {
        let mut state = State::default();
        let mut wrong = judge.state(&state);
        for commit in commits {
            state.fold(commit).unwrap();
            wrong.extend(judge.state(&state));
        }
        wrong.extend(judge.end());
        eprintln!("{wrong:?}");
        (wrong.len(), judge.judged.refusals + judge.judged.shown)
    }

    #[tokio::test]
    async fn a_refusal_is_right_on_one_of_its_states() {
        let commits = ledger().await;
        let end = commits.len() as u64;
        let judged = |ask: Ask, code: &str, known: u64, seen: u64| {
            let (actor, request) = ("user:w0c0".into(), "n9".into());
            let mut all = Judge::default();
            all.refused(Refused { actor, request, ask, code: code.into(), known, seen });
            judge(&commits, all)
        };
        let taken = |known, seen| judged(allocate("c1", 1), "name_taken", known, seen);
        assert_eq!(taken(end, end), (0, 1));
        assert_eq!(taken(end - 2, end), (0, 1));
        // Too early, another reason, no reason at all, and on a state that never was.
        assert_eq!(taken(end - 2, end - 1), (1, 1));
        assert_eq!(judged(allocate("c1", 1), "no_room", end, end), (1, 1));
        assert_eq!(judged(allocate("c7", 1), "name_taken", 0, end), (1, 1));
        assert_eq!(taken(end + 1, end + 1), (1, 1));
        // What was so, and no longer is when it is asked.
        let release = || Ask::Release { team: "shop".into(), name: "c1".into() };
        assert_eq!(judged(release(), "not_found", end - 1, end), (0, 1));
        assert_eq!(judged(release(), "not_found", end, end), (1, 1));
        assert_eq!(judged(allocate("c7", 4), "out_of_range", end, end), (0, 1));
    }

    #[tokio::test]
    async fn what_a_read_showed_is_what_was_there() {
        let commits = ledger().await;
        let end = commits.len() as u64;
        let mut state = State::default();
        commits.iter().for_each(|commit| state.fold(commit).unwrap());
        let cache = state.caches().last().unwrap().id;
        let judged = |revision: u64, places: Vec<Place>| {
            let mut all = Judge::default();
            all.shown(revision, Shown { actor: "user:w0c0".into(), cache, places });
            judge(&commits, all).0
        };
        let there = places(&state, cache);
        assert_eq!(judged(end, there.clone()), 0);
        assert_eq!(judged(end - 1, Vec::new()), 0);
        assert_eq!(judged(end - 1, there.clone()), 1);
        assert_eq!(judged(end + 1, there.clone()), 1);
        let mut other = there;
        other[0].2 = Port::MAX;
        assert_eq!(judged(end, other), 1);
    }

    #[tokio::test]
    async fn a_commit_that_is_not_what_was_to_be_decided_is_found() {
        let commits = ledger().await;
        let (last, before) = commits.split_last().unwrap();
        let mut state = State::default();
        before.iter().for_each(|commit| state.fold(commit).unwrap());
        let ask = allocate("c1", 2);
        let mut judge = Judge::default();
        assert_eq!(judge.receipt(&state, &ask, last), None);
        assert!(judge.receipt(&state, &allocate("c1", 1), last).is_some());
        assert!(judge.receipt(&state, &allocate("c0", 2), last).unwrap().contains("refused"));
        for change in 0..last.changes.len() {
            let mut other = last.clone();
            match &mut other.changes[change] {
                Change::Put(Record::Instance(it)) => it.port = Port::MAX,
                Change::Put(Record::Request(it)) => it.receipt.subject = Key::Fleet,
                _ => continue,
            }
            assert!(judge.receipt(&state, &ask, &other).is_some());
        }
        assert!(judge.receipt(&State::default(), &ask, last).is_some());
    }
}
