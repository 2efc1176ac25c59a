//! Whether one history explains all that was asked and answered.

use std::collections::BTreeMap;

use super::journal::{Answer, Line, Seen};
use crate::ledger::{Commit, Order, Receipt, State, decide};

/// One request id of one actor, over the times it was asked.
struct Request {
    order: Order,
    /// What anyone had been told before it was asked for the first time.
    after: u64,
    receipt: Option<Receipt>,
}

/// An answer that has to be right at some moment of its call: at a revision from `from` to `to`.
struct Within<T> {
    from: u64,
    to: u64,
    what: T,
}

/// How much there was to look at.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) acknowledged: usize,
    pub(super) refused: usize,
    pub(super) unknown: usize,
    pub(super) reads: usize,
}

type Name = (String, String);

/// Panics with what is wrong, if the answers in a journal, of processes that began after revision `begun`, are not those
/// of this one history:
/// - each request was carried out at most once, and each acknowledged one at the revision that its receipt names;
/// - whoever asked after something had been told comes after it in the history;
/// - reads show the ledger as it was at one revision, at some moment of the call; no process goes back;
/// - deciding each request again, in the history's order, gives the same changes and the same receipt, so that a request
///   of which nobody knows the outcome was carried out whole or not at all;
/// - each refusal was right at some moment of its call.
pub(super) fn check(lines: &[Line], commits: &[Commit], begun: u64) -> Counts {
    let mut found = BTreeMap::new();
    for commit in commits {
        if let Some(request) = &commit.request {
            let name = (commit.actor.to_string(), request.to_string());
            let first = found.insert(name.clone(), commit.revision.get());
            assert!(first.is_none(), "{name:?} was carried out twice, at {first:?} and {}", commit.revision);
        }
    }
    let mut reading = Reading::new(lines, &found, commits.len() as u64, begun);
    lines.iter().enumerate().for_each(|(at, line)| reading.line(at, line));
    let Reading { requests, refused, reads, counts, .. } = reading;
    for (name, revision) in &found {
        let request = requests.get(name).unwrap_or_else(|| panic!("{name:?} was never asked"));
        let after = request.after;
        assert!(
            *revision > after,
            "{name:?} was carried out at {revision}, and asked when {after} had been told"
        );
    }
    replay(commits, &requests, refused, &reads);
    counts
}

/// What is read off the journal, line by line.
struct Reading<'a> {
    found: &'a BTreeMap<Name, u64>,
    /// For each line, the last revision that the answer of a call can be of which ended there: what was asked later for
    /// the first time comes later.
    latest: Vec<u64>,
    /// The highest revision that anyone was told so far, what it was at first, and what each process was told.
    told: u64,
    at_first: u64,
    told_to: BTreeMap<usize, u64>,
    requests: BTreeMap<Name, Request>,
    /// By actor: the request, what had been told when it was asked this time.
    waiting: BTreeMap<String, (Name, u64)>,
    /// By actor: what had been told to anyone when it began to read, and to its process.
    begun: BTreeMap<String, (u64, u64)>,
    refused: Vec<Within<(Name, String)>>,
    reads: Vec<Seen>,
    counts: Counts,
}

impl<'a> Reading<'a> {
    fn new(lines: &[Line], found: &'a BTreeMap<Name, u64>, end: u64, told: u64) -> Self {
        let mut first = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            if let Line::Asked { actor, request, .. } = line {
                first.entry((actor.clone(), request.clone())).or_insert(at);
            }
        }
        let mut latest = vec![end; lines.len()];
        for (name, at) in first {
            if let Some(revision) = found.get(&name) {
                latest[at] = revision - 1;
            }
        }
        for at in (1..latest.len()).rev() {
            latest[at - 1] = latest[at - 1].min(latest[at]);
        }
        Reading {
            found,
            latest,
            at_first: told,
            told,
            told_to: BTreeMap::new(),
            requests: BTreeMap::new(),
            waiting: BTreeMap::new(),
            begun: BTreeMap::new(),
            refused: Vec::new(),
            reads: Vec::new(),
            counts: Counts::default(),
        }
    }

    fn tell(&mut self, process: usize, revision: u64) {
        self.told = self.told.max(revision);
        let own = self.told_to.entry(process).or_insert(self.at_first);
        *own = revision.max(*own);
    }

    fn line(&mut self, at: usize, line: &Line) {
        match line {
            Line::Opened { .. } => {}
            Line::Asked { actor, request, ask, .. } => {
                let (name, after) = ((actor.clone(), request.clone()), self.told);
                let order = ask.order(actor, request);
                self.requests.entry(name.clone()).or_insert(Request { order, after, receipt: None });
                if self.waiting.insert(actor.clone(), (name, after)).is_some() {
                    // Its process was killed before the answer came.
                    self.counts.unknown += 1;
                }
            }
            Line::Got { process, actor, answer } => {
                let (name, from) = self.waiting.remove(actor).expect("an answer without a question");
                self.got(at, *process, (name, from), answer);
            }
            Line::Reads { process, actor } => {
                let own = self.told_to.get(process).copied().unwrap_or(self.at_first);
                self.begun.insert(actor.clone(), (self.told, own));
            }
            Line::Read { process, actor, fresh, seen } => {
                let (told, own) = self.begun.remove(actor).expect("a read that nobody began");
                let revision = seen.revision;
                assert!(revision >= own, "reads of process {process} went back, from {own} to {revision}");
                assert!(
                    !fresh || revision >= told,
                    "a fresh read of process {process} went back to {revision}, begun when {told} had been told"
                );
                let latest = self.latest[at];
                assert!(revision <= latest, "a read shows {revision}, which was asked for later");
                self.tell(*process, revision);
                self.reads.push(*seen);
                self.counts.reads += 1;
            }
        }
    }

    fn got(&mut self, at: usize, process: usize, (name, from): (Name, u64), answer: &Answer) {
        let found = self.found.get(&name).copied();
        match answer {
            Answer::Acknowledged(receipt) => {
                let told = receipt.revision.get();
                assert_eq!(found, Some(told), "{name:?} was acknowledged and is not there");
                let request = self.requests.get_mut(&name).expect("asked before");
                let first = request.receipt.get_or_insert_with(|| receipt.clone());
                assert_eq!(first, receipt, "{name:?} has two receipts");
                self.tell(process, told);
                self.counts.acknowledged += 1;
            }
            Answer::Refused(code) => {
                assert_eq!(found, None, "{name:?} was refused and is there");
                let to = self.latest[at];
                self.refused.push(Within { from, to, what: (name, code.clone()) });
                self.counts.refused += 1;
            }
            Answer::Unavailable | Answer::Unknown => self.counts.unknown += 1,
        }
    }
}

fn replay(
    commits: &[Commit],
    requests: &BTreeMap<Name, Request>,
    mut refused: Vec<Within<(Name, String)>>,
    reads: &[Seen],
) {
    let mut state = State::default();
    look(&state, requests, &mut refused, reads);
    for commit in commits {
        let name = (commit.actor.to_string(), commit.request.as_ref().map(ToString::to_string));
        if let (actor, Some(id)) = name
            && let Some(request) = requests.get(&(actor, id))
        {
            let decided = decide(&state, &request.order, commit.at);
            let decision = decided.unwrap_or_else(|refusal| {
                panic!("{:?} was carried out at {}: {refusal}", request.order, commit.revision)
            });
            assert_eq!(
                (&decision.action, &decision.changes),
                (&commit.action, &commit.changes),
                "{:?} comes to something else at {}",
                request.order,
                commit.revision
            );
            if let Some(receipt) = &request.receipt {
                assert_eq!(*receipt, decision.receipt, "{:?} has another receipt", request.order);
            }
        }
        state.fold(commit).expect("commits fold");
        look(&state, requests, &mut refused, reads);
    }
    if let Some(Within { from, to, what: (name, code) }) = refused.first() {
        panic!("{name:?} was refused ({code}), which was right at no revision from {from} to {to}");
    }
}

/// Compare what was read at this revision, and take off the list what was rightly refused.
fn look(
    state: &State,
    requests: &BTreeMap<Name, Request>,
    refused: &mut Vec<Within<(Name, String)>>,
    reads: &[Seen],
) {
    let shown = Seen::of(state);
    for seen in reads.iter().filter(|seen| seen.revision == shown.revision) {
        assert_eq!(*seen, shown, "a read shows what never was");
    }
    refused.retain(|Within { from, to, what: (name, code) }| {
        if !(*from..=*to).contains(&shown.revision) {
            return true;
        }
        let again = decide(state, &requests[name].order, state.head().at);
        again.err().is_none_or(|refusal| refusal.code() != code)
    });
}
