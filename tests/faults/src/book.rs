//! What clients were told, request by request, and whether a ledger agrees.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use memc_core::ledger::{Change, Commit, Receipt, State};
use memc_core::model::{Key, Record};

use crate::ask::Ask;
use crate::journal::{Line, Outcome, Place};
use crate::judge::{Judge, Refused, Shown};
use crate::reads::Reads;

/// One request id of one actor, over all times it was asked.
#[derive(Debug)]
struct Request {
    ask: Ask,
    /// What was acknowledged to anyone before the first time this was asked that may have had an effect.
    after: u64,
    /// Asked, and neither failed nor refused since: it may have been carried out.
    may_be_done: bool,
    /// Of at least one time nobody knows the outcome.
    undecided: bool,
    acknowledged: Option<Receipt>,
    refused: bool,
    /// What was known to anyone before it was asked last.
    known: u64,
    /// It was asked and not answered when the ledger was set back to this revision: what is acknowledged past it may be
    /// of the ledger before that.
    across: Option<u64>,
    /// As the ledger has it.
    found: Option<Receipt>,
}

impl Request {
    fn restored(&mut self, to: u64, waiting: bool) {
        self.after = self.after.min(to);
        if self.acknowledged.as_ref().is_some_and(|receipt| receipt.revision.get() > to) {
            self.acknowledged = None;
            self.may_be_done = waiting || self.undecided;
        }
    }
}

/// How many answers of each kind.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) asked: u64,
    pub(crate) acknowledged: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) unknown: u64,
    pub(crate) cut_off: u64,
    pub(crate) unanswered: u64,
}

/// What is wrong.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Acknowledged, and not in the ledger.
    pub(crate) lost: Vec<String>,
    /// In the ledger twice.
    pub(crate) doubled: Vec<String>,
    /// Anything else.
    pub(crate) violations: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Book {
    requests: HashMap<(String, String), Request>,
    pub(crate) answers: Answers,
    pub(crate) faults: Faults,
    /// The highest revision that anyone was told so far.
    highest: u64,
    /// The server runs with an unsafe setting.
    is_unsafe: bool,
    /// What processes asked meanwhile.
    void: BTreeSet<(String, String)>,
    /// Actors with a question whose answer is still out.
    waiting: BTreeMap<String, String>,
    pub(crate) reads: Reads,
    /// Answers since the ledger was set back last; those before were judged then.
    pub(crate) judge: Judge,
    /// Where it was set back to.
    pub(crate) judged_to: u64,
}

impl Book {
    /// About a server that shows commits before they are on disk, or another.
    pub(crate) fn new(early: bool) -> Self {
        Book { reads: Reads::new(early), ..Book::default() }
    }

    /// Read the journal's next line.
    pub(crate) fn read(&mut self, line: Line) {
        match line {
            Line::Asked { actor, request, ask, seen } => {
                let wrong = self.reads.line(&actor, seen);
                self.asked(actor, request, ask);
                self.violations(wrong);
            }
            Line::Got { actor, request, outcome, seen, shown } => {
                let wrong = self.reads.line(&actor, seen);
                self.got(actor, request, outcome, (seen, shown));
                self.violations(wrong);
            }
            Line::Looks { actor } => self.reads.looks(&actor, self.known()),
            Line::Saw { actor, revision } => {
                let wrong = revision.and_then(|revision| self.reads.saw(&actor, revision));
                self.violations(wrong);
            }
            Line::Unsafe => self.is_unsafe = true,
            Line::Safe => {
                self.is_unsafe = false;
                self.void.clear();
            }
            Line::Opened { process, .. } => self.reads.opened(&process),
            Line::Restoring => self.reads.restoring(),
            Line::Restored { to } => self.restored(to),
            Line::Followed { .. } => {}
        }
    }

    /// The highest revision that anyone knows of.
    pub(crate) fn known(&self) -> u64 {
        self.highest.max(self.reads.known())
    }

    /// What came after this revision is gone, and may be done again.
    fn restored(&mut self, to: u64) {
        self.highest = self.highest.min(to);
        self.reads.restored(to);
        (self.judge, self.judged_to) = (Judge::default(), to);
        for (actor, request) in &self.waiting {
            let Some(entry) = self.requests.get_mut(&(actor.clone(), request.clone())) else {
                continue;
            };
            entry.across = Some(entry.across.map_or(to, |before| before.min(to)));
            entry.restored(to, true);
        }
        // With nothing looked up for each: there are hundreds of thousands, and each check reads of each restore.
        self.requests.values_mut().for_each(|entry| entry.restored(to, false));
    }

    fn asked(&mut self, actor: String, request: String, ask: Ask) {
        self.answers.asked += 1;
        if let Some(before) = self.waiting.insert(actor.clone(), request.clone())
            && let Some(entry) = self.requests.get_mut(&(actor.clone(), before))
        {
            // Its process was killed before the answer came.
            self.answers.unanswered += 1;
            entry.undecided = true;
        }
        if self.is_unsafe {
            self.void.insert((actor.clone(), request.clone()));
        }
        let after = self.known();
        let entry = self.requests.entry((actor, request)).or_insert_with(|| Request {
            ask,
            after,
            may_be_done: false,
            undecided: false,
            acknowledged: None,
            refused: false,
            known: after,
            across: None,
            found: None,
        });
        (entry.across, entry.known) = (None, after);
        if !entry.may_be_done {
            (entry.may_be_done, entry.after) = (true, after);
        }
    }

    fn got(&mut self, actor: String, request: String, outcome: Outcome, (seen, shown): (u64, Vec<Place>)) {
        if self.waiting.remove(&actor).as_deref() != Some(&request) {
            self.violation(format!("{actor} {request}: an answer without a question"));
            return;
        }
        let key = (actor, request);
        let void = self.void.remove(&key);
        let Some(entry) = self.requests.get_mut(&key) else {
            return;
        };
        let answers = &mut self.answers;
        let mut wrong = None;
        let across = entry.across.take();
        match outcome {
            Outcome::Acknowledged(receipt) if across.is_some_and(|to| receipt.revision.get() > to) => {
                answers.acknowledged += 1;
                entry.undecided = true;
            }
            Outcome::Acknowledged(receipt) => {
                answers.acknowledged += 1;
                let revision = receipt.revision.get();
                self.highest = self.highest.max(revision);
                if entry.acknowledged.as_ref().is_some_and(|before| *before != receipt) {
                    wrong = Some(format!("acknowledged as {:?}, then as {receipt:?}", entry.acknowledged));
                }
                if void {
                    wrong =
                        Some(format!("acknowledged as {revision} while the server was known to be unsafe"));
                }
                if across.is_none() {
                    self.reads.answered(&key.0, revision);
                    if seen < revision {
                        wrong = Some(format!("acknowledged as {revision}, and memory is at {seen}"));
                    }
                    if let Key::Cache { id } = receipt.subject {
                        let shown = Shown { actor: key.0.clone(), cache: id, places: shown };
                        self.judge.shown(seen, shown);
                    }
                }
                entry.acknowledged = Some(receipt);
            }
            Outcome::Refused(code) => {
                answers.refused += 1;
                entry.refused = true;
                if entry.acknowledged.is_some() || code == "request_id_reused" {
                    wrong = Some(format!(
                        "refused ({code}) though it was acknowledged, or never asked otherwise"
                    ));
                }
                if across.is_none() {
                    if seen < entry.known {
                        wrong = Some(format!("refused ({code}) at {seen}, and {} was known", entry.known));
                    }
                    self.reads.answered(&key.0, entry.known);
                    let (actor, request) = key.clone();
                    let (ask, known) = (entry.ask.clone(), entry.known);
                    self.judge.refused(Refused { actor, request, ask, code, known, seen });
                }
            }
            Outcome::Unavailable | Outcome::Stopped => {
                answers.failed += 1;
                // Nothing has changed by this time; by an earlier one it may have.
                if !entry.undecided && entry.acknowledged.is_none() {
                    entry.may_be_done = false;
                }
            }
            Outcome::Unknown => {
                answers.unknown += 1;
                entry.undecided = true;
            }
            Outcome::CutOff => {
                answers.cut_off += 1;
                entry.undecided = true;
            }
            Outcome::Broken(error) => wrong = Some(error),
        }
        if let Some(wrong) = wrong {
            self.violation(format!("{} {}: {wrong}", key.0, key.1));
        }
    }

    /// Compare the ledger's next commit, and decide it again on the state before, unless that was done already.
    pub(crate) fn commit(&mut self, commit: &Commit, state: &State) {
        let revision = commit.revision.get();
        let Some(request) = &commit.request else {
            return;
        };
        let key = (commit.actor.to_string(), request.to_string());
        let name = format!("{} {}", key.0, key.1);
        let Some(entry) = self.requests.get_mut(&key) else {
            return self.violation(format!("{name}: in the ledger at {revision}, never asked"));
        };
        if let Some(first) = &entry.found {
            let first = first.revision;
            return self.faults.doubled.push(format!("{name}: at {first} and at {revision}"));
        }
        let (action, target) = entry.ask.action();
        let mut wrong = Vec::new();
        entry.found = receipt_in(commit);
        if entry.found.as_ref().map(|receipt| receipt.revision) != Some(commit.revision) {
            wrong.push(format!("at {revision}, with the receipt {:?}", entry.found));
        }
        if revision > self.judged_to {
            wrong.extend(self.judge.receipt(state, &entry.ask, commit));
        }
        if commit.action.name != action || commit.action.target != target {
            wrong.push(format!(
                "asked {action} {target}, done {} {}",
                commit.action.name, commit.action.target
            ));
        }
        if entry.refused {
            wrong.push(format!("refused, and in the ledger at {revision}"));
        } else if !entry.may_be_done {
            wrong.push(format!("nothing was changed, it was told, and it is in the ledger at {revision}"));
        } else if revision <= entry.after {
            wrong.push(format!("at {revision}, asked after {} had been acknowledged", entry.after));
        }
        for wrong in wrong {
            self.violation(format!("{name}: {wrong}"));
        }
    }

    /// Judge by the state that the commits until now come to.
    pub(crate) fn state(&mut self, state: &State) {
        let wrong = self.judge.state(state);
        self.violations(wrong);
    }

    /// After the last commit.
    pub(crate) fn close(&mut self) {
        let wrong = self.judge.end();
        self.violations(wrong);
        let mut lost: Vec<String> = Vec::new();
        for ((actor, request), entry) in &self.requests {
            let (told, found) = (&entry.acknowledged, &entry.found);
            if told.is_some() && told != found {
                lost.push(format!("{actor} {request}: acknowledged as {told:?}, in the ledger as {found:?}"));
            }
        }
        lost.sort();
        self.faults.lost.extend(lost);
    }

    pub(crate) fn violations(&mut self, what: impl IntoIterator<Item = String>) {
        self.faults.violations.extend(what);
    }

    pub(crate) fn violation(&mut self, what: String) {
        self.faults.violations.push(what);
    }
}

/// The receipt that a commit keeps of its request.
fn receipt_in(commit: &Commit) -> Option<Receipt> {
    commit.changes.iter().find_map(|change| match change {
        Change::Put(Record::Request(it))
            if it.principal == commit.actor && Some(&it.id) == commit.request.as_ref() =>
        {
            Some(it.receipt.clone())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use memc_core::model::{RequestId, Revision, Timestamp};
    use memc_core::store::{MemoryStore, Store};

    use super::*;
    use crate::world;

    fn asked(number: u64) -> Line {
        let ask = Ask::Allocate { team: "shop".into(), name: format!("c{number}"), memory: 8, instances: 2 };
        Line::Asked { actor: "user:w0c0".into(), request: format!("n{number}"), ask, seen: 0 }
    }

    fn got(number: u64, outcome: Outcome) -> Line {
        let seen = match &outcome {
            Outcome::Acknowledged(receipt) => receipt.revision.get(),
            _ => u64::MAX,
        };
        let (actor, request) = ("user:w0c0".into(), format!("n{number}"));
        Line::Got { actor, request, outcome, seen, shown: Vec::new() }
    }

    /// The receipt of a commit, or one that no commit has.
    fn receipt(commits: &[Commit], revision: u64) -> Outcome {
        let of = |commit: &Commit| receipt_in(commit).filter(|it| it.revision.get() == revision);
        Outcome::Acknowledged(commits.iter().find_map(of).unwrap_or(Receipt {
            revision: Revision::new(revision),
            at: Timestamp::from_millis(1),
            subject: Key::Fleet,
        }))
    }

    /// Two requests of the ledger that follows, and a third that it does not have.
    async fn ledger() -> Vec<Commit> {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        world::found_on(store.clone(), false).await;
        world::fill(store.clone(), 2).await;
        store.commits(Revision::new(0), 1000).await.unwrap()
    }

    fn audited(lines: Vec<Line>, commits: &[Commit]) -> [usize; 3] {
        let mut book = Book::new(true);
        lines.into_iter().for_each(|line| book.read(line));
        // What is judged has tests of its own, as have reads.
        book.judge = Judge::default();
        // The second time a commit comes, no state can follow.
        let mut state = State::default();
        for commit in commits {
            book.commit(commit, &state);
            let _ = state.fold(commit);
        }
        book.close();
        eprintln!("{:?}", book.faults);
        [book.faults.lost.len(), book.faults.doubled.len(), book.faults.violations.len()]
    }

    #[tokio::test]
    async fn what_is_wrong_is_found() {
        let commits = ledger().await;
        let end = commits.len() as u64;
        let first = || vec![asked(0), got(0, receipt(&commits, end - 1))];
        let with = |more: Vec<Line>| [first(), more].concat();
        let second = |outcome: Outcome| with(vec![asked(1), got(1, outcome)]);

        assert_eq!(audited(second(receipt(&commits, end)), &commits), [0, 0, 0]);
        assert_eq!(audited(second(Outcome::CutOff), &commits), [0, 0, 0]);
        assert_eq!(audited(second(Outcome::CutOff), &commits[..commits.len() - 1]), [0, 0, 0]);

        // Acknowledged and not there, or elsewhere.
        assert_eq!(audited(second(receipt(&commits, end)), &commits[..commits.len() - 1]), [1, 0, 0]);
        assert_eq!(audited(second(receipt(&commits, end + 7)), &commits), [1, 0, 0]);
        // There, though refused, or though nothing was changed; the order of two tries does not matter.
        assert_eq!(audited(second(Outcome::Refused("no_room".into())), &commits), [0, 0, 1]);
        assert_eq!(audited(second(Outcome::Unavailable), &commits), [0, 0, 1]);
        let unclear = with(vec![asked(1), got(1, Outcome::CutOff), asked(1), got(1, Outcome::Unavailable)]);
        assert_eq!(audited(unclear, &commits), [0, 0, 0]);
        let repeated = with(vec![asked(0), got(0, Outcome::Unavailable), asked(1), got(1, Outcome::Unknown)]);
        assert_eq!(audited(repeated, &commits), [0, 0, 0]);
        // There, and never asked.
        assert_eq!(audited(first(), &commits), [0, 0, 1]);
        // Done twice.
        let mut twice = commits.clone();
        twice.push(commits[commits.len() - 1].clone());
        assert_eq!(audited(second(receipt(&commits, end)), &twice), [0, 1, 0]);
        // Something else was done than was asked.
        let mut other = commits.clone();
        other[commits.len() - 1].request = Some(RequestId::new("n0").unwrap());
        other[commits.len() - 2].request = Some(RequestId::new("n1").unwrap());
        let wrong = audited(second(Outcome::CutOff), &other)[2];
        assert_eq!(wrong, 7, "both targets, both receipts, both decisions, and the order");
        // Asked after a later one had been acknowledged.
        let late = vec![asked(1), got(1, receipt(&commits, end)), asked(0), got(0, Outcome::CutOff)];
        assert_eq!(audited(late, &commits), [0, 0, 1]);
        // Two receipts for one request.
        let again = with(vec![
            asked(1),
            got(1, receipt(&commits, end + 1)),
            asked(1),
            got(1, receipt(&commits, end)),
        ]);
        assert_eq!(audited(again, &commits), [0, 0, 1]);
    }

    #[tokio::test]
    async fn writing_on_a_server_known_to_be_unsafe_is_found() {
        let commits = ledger().await;
        let end = commits.len() as u64;
        let lines = |mark: Line| {
            vec![asked(0), mark, got(0, receipt(&commits, end - 1)), asked(1), got(1, receipt(&commits, end))]
        };
        assert_eq!(audited(lines(Line::Unsafe), &commits), [0, 0, 1]);
        assert_eq!(audited(lines(Line::Safe), &commits), [0, 0, 0]);
    }

    /// What came after a backup may be gone once it was put back, or be done again; what came before may not.
    #[tokio::test]
    async fn what_a_restore_takes_back_is_not_lost() {
        let commits = ledger().await;
        let end = commits.len() as u64;
        let first = &commits[..commits.len() - 1];
        let told = |more: Vec<Line>| {
            let both =
                vec![asked(0), got(0, receipt(&commits, end - 1)), asked(1), got(1, receipt(&commits, end))];
            [both, more].concat()
        };
        let restored = |to: u64| Line::Restored { to };

        assert_eq!(audited(told(vec![restored(end - 1)]), first), [0, 0, 0]);
        assert_eq!(audited(told(vec![restored(end)]), first), [1, 0, 0]);
        assert_eq!(audited(told(vec![restored(end - 1)]), &commits[..commits.len() - 2]), [1, 0, 0]);
        // Gone, and there.
        assert_eq!(audited(told(vec![restored(end - 1)]), &commits), [0, 0, 1]);
        // Done again, since it was asked again.
        let again = vec![restored(end - 1), asked(1), got(1, receipt(&commits, end))];
        assert_eq!(audited(told(again.clone()), &commits), [0, 0, 0]);
        assert_eq!(audited(told(again), first), [1, 0, 0]);
        // Asked before and answered after: it may be of the ledger before, unless it is of what both have.
        let across = |revision: u64| {
            vec![
                asked(0),
                got(0, receipt(&commits, end - 1)),
                asked(1),
                restored(revision),
                got(1, receipt(&commits, end)),
            ]
        };
        assert_eq!(audited(across(end - 1), first), [0, 0, 0]);
        assert_eq!(audited(across(end - 1), &commits), [0, 0, 0]);
        assert_eq!(audited(across(end), first), [1, 0, 0]);
    }
}
