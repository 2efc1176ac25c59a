//! One task a process appends to the ledger: what is waiting is decided together and appended in one turn.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::SubmitError;
use super::follower::Following;
use super::shared::Shared;
use crate::ledger::{Change, Commit, Head, Inconsistent, Order, Receipt, decide};
use crate::model::{CommitId, Revision, Timestamp};
use crate::store::{Decide, TurnError};

/// Commands decided in one turn at most.
const MOST_AT_ONCE: usize = 64;
/// Turns tried for one batch before its callers are told to try again: being behind or finding another history is
/// cured by one more.
const ATTEMPTS: usize = 8;
/// How long a turn is waited for before what others append meanwhile is read, and how long between two such reads.
const READ_AHEAD: Duration = Duration::from_millis(4);
/// How often, and how far apart, an unknown outcome is looked up before its callers are told.
const LOOK_UPS: u32 = 4;
const LOOK_UP_PAUSE: Duration = Duration::from_millis(250);

/// A command and who waits for its answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) order: Arc<Order>,
    pub(super) answer: oneshot::Sender<Verdict>,
}

type Verdict = Result<Receipt, SubmitError>;
type Queue = mpsc::Receiver<Waiting>;

pub(super) async fn run(shared: Arc<Shared>, mut queue: Queue, following: Following) {
    let mut batch = Vec::with_capacity(MOST_AT_ONCE);
    while queue.recv_many(&mut batch, MOST_AT_ONCE).await > 0 {
        commit(&shared, &following, &mut batch, &mut queue).await;
    }
}

/// Carry out what is in the batch, and answer.
async fn commit(shared: &Shared, following: &Following, batch: &mut Vec<Waiting>, queue: &mut Queue) {
    match commit_together(shared, following, batch, Some(queue)).await {
        Ok(verdicts) => answer(batch, verdicts),
        // What broke the batch would break it again: one at a time, so that it takes no other command down.
        Err(Repeats(_)) if batch.len() > 1 => {
            let mut away = None;
            for waiting in batch.drain(..) {
                let mut alone = vec![waiting];
                let verdicts = match &away {
                    // A store that does not answer would let each of the others wait for as long, one after the other.
                    Some(error) => vec![Err(SubmitError::clone(error))],
                    None => {
                        let verdicts = commit_together(shared, following, &mut alone, None).await;
                        verdicts.unwrap_or_else(|Repeats(alone)| vec![Err(alone)])
                    }
                };
                match verdicts.first() {
                    Some(Err(error @ SubmitError::Unavailable(_))) => away = Some(error.clone()),
                    Some(Err(SubmitError::OutcomeUnknown)) => away = Some(lost()),
                    _ => {}
                }
                answer(&mut alone, verdicts);
            }
        }
        Err(Repeats(alone)) => answer(batch, vec![Err(alone)]),
    }
}

fn answer(batch: &mut Vec<Waiting>, verdicts: Vec<Verdict>) {
    for (waiting, verdict) in batch.drain(..).zip(verdicts) {
        // Who gave up waiting still had the command carried out.
        let _ = waiting.answer.send(verdict);
    }
}

/// Nothing was changed.
fn lost() -> SubmitError {
    SubmitError::Unavailable("the connection to the store broke".into())
}

/// A failure that the same batch would meet again, and what it means if it is of a single command.
struct Repeats(SubmitError);

/// The verdicts on the batch, in its order. Commands that have come into the queue until the turn begins join it.
async fn commit_together(
    shared: &Shared,
    following: &Following,
    batch: &mut Vec<Waiting>,
    mut queue: Option<&mut Queue>,
) -> Result<Vec<Verdict>, Repeats> {
    let _turn = shared.turn.lock().await;
    let all = |batch: &[Waiting], error: SubmitError| Ok(vec![Err(error); batch.len()]);
    if let Some(why) = shared.stopped() {
        return all(batch, SubmitError::Unsafe(why));
    }
    for _ in 0..ATTEMPTS {
        let queue = queue.as_deref_mut();
        let begun = AtomicBool::new(false);
        let (verdicts, commits) = (Vec::new(), Vec::new());
        let mut turn = Turn { shared, begun: &begun, batch, queue, verdicts, commits, broken: None };
        let at = shared.state().head();
        let taken = {
            let mut taking = pin!(shared.store().turn(at, &mut turn));
            tokio::select! {
                taken = &mut taking => taken,
                () = read_ahead(following, &begun) => taking.await,
            }
        };
        let Turn { verdicts, commits, broken, .. } = turn;
        let repaired = match taken {
            _ if broken.is_some() => {
                shared.reload_within_turn(&broken.map(|it| it.to_string()).unwrap_or_default()).await
            }
            Ok(_) => {
                let folded = fold(shared, &commits);
                match folded {
                    Ok(()) => return Ok(verdicts),
                    // Acknowledged all the same; memory alone is wrong.
                    Err(error) => match shared.reload_within_turn(&error.to_string()).await {
                        Ok(_) => return Ok(verdicts),
                        Err(error) => return all(batch, SubmitError::Unavailable(error.to_string())),
                    },
                }
            }
            Err(TurnError::Behind) => shared.catch_up_within_turn().await,
            Err(TurnError::Diverged(_)) => {
                shared.reload_within_turn("it is not the ledger that was read").await
            }
            Err(TurnError::Conflict(error)) => {
                shared.find("ledger.conflict", format!("a constraint fired that no rule explains: {error}"));
                return match shared.reload_within_turn("a constraint of the store fired").await {
                    Ok(_) => Err(Repeats(SubmitError::Internal)),
                    Err(error) => all(batch, SubmitError::Unavailable(error.to_string())),
                };
            }
            Err(TurnError::TooLong(why)) => {
                if batch.len() == 1 {
                    shared.find("ledger.too_long", format!("a command was not carried out: {why}"));
                }
                return Err(Repeats(SubmitError::TooLong(why)));
            }
            Err(TurnError::Unknown(error)) => {
                tracing::warn!(%error, "the outcome of a turn is unknown");
                return match commits.first() {
                    Some(first) => Ok(look_up(shared, first, verdicts).await),
                    // Nothing was to be appended, and what refusals rest on was not confirmed to be the ledger's end.
                    None => all(batch, SubmitError::Unavailable(error.to_string())),
                };
            }
            Err(error @ (TurnError::Format(_) | TurnError::Store(_))) => {
                shared.look.notify_one();
                return all(batch, SubmitError::Unavailable(error.to_string()));
            }
        };
        if let Err(error) = repaired {
            return all(batch, SubmitError::Unavailable(error.to_string()));
        }
    }
    all(batch, SubmitError::Unavailable("the ledger keeps changing under this process".into()))
}

/// Have the follower read what others append, until this process's turn has begun. What cannot be read is left to the
/// turn, which finds out the same and says what it means.
async fn read_ahead(following: &Following, begun: &AtomicBool) {
    loop {
        tokio::time::sleep(READ_AHEAD).await;
        let (answer, answered) = oneshot::channel();
        if begun.load(Ordering::Relaxed) || following.send(answer).is_err() {
            return;
        }
        if !matches!(answered.await, Ok(Ok(_))) {
            return;
        }
    }
}

fn fold(shared: &Shared, commits: &[Commit]) -> Result<(), Inconsistent> {
    let mut state = shared.state_mut();
    commits.iter().try_for_each(|commit| state.fold(commit))
}

/// Find out what became of commits whose acknowledgement was lost. An empty turn is a confirmed read: after it the
/// ledger shows the first of them at its revision, or never will.
async fn look_up(shared: &Shared, first: &Commit, verdicts: Vec<Verdict>) -> Vec<Verdict> {
    for attempt in 0..LOOK_UPS {
        tokio::time::sleep(LOOK_UP_PAUSE * attempt).await;
        let at = shared.state().head();
        let mut reader = Reader { shared, broken: None };
        match shared.store().turn(at, &mut reader).await {
            Ok(_) if reader.broken.is_none() => {}
            Ok(_) | Err(TurnError::Diverged(_)) => {
                let _ = shared.reload_within_turn("it is not the ledger that was read").await;
            }
            Err(TurnError::Behind) => {
                let _ = shared.catch_up_within_turn().await;
            }
            Err(_) => continue,
        }
        let before = Revision::new(first.revision.get() - 1);
        let Ok(there) = shared.store().commits(before, 1).await else {
            continue;
        };
        return match there.first() {
            Some(commit) if commit.id == first.id => verdicts,
            // A history that begins later tells nothing.
            Some(commit) if commit.revision != first.revision => break,
            _ => verdicts.into_iter().map(|_| Err(lost())).collect(),
        };
    }
    verdicts.into_iter().map(|_| Err(SubmitError::OutcomeUnknown)).collect()
}

struct Reader<'a> {
    shared: &'a Shared,
    broken: Option<Inconsistent>,
}

impl Decide for Reader<'_> {
    fn decide(&mut self, missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        self.broken = fold(self.shared, &missed).err();
        Vec::new()
    }
}

/// A batch within a turn.
struct Turn<'a> {
    shared: &'a Shared,
    /// Whether it is this process's turn.
    begun: &'a AtomicBool,
    batch: &'a mut Vec<Waiting>,
    queue: Option<&'a mut Queue>,
    verdicts: Vec<Verdict>,
    commits: Vec<Commit>,
    broken: Option<Inconsistent>,
}

impl Decide for Turn<'_> {
    fn reached(&self, _at: Head) -> Head {
        self.shared.state().head()
    }

    /// Each command is decided on what the ones before it leave, in a draft that is undone before anyone can read it.
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        self.begun.store(true, Ordering::Relaxed);
        let mut state = self.shared.state_mut();
        self.verdicts.clear();
        self.commits.clear();
        self.broken = missed.iter().try_for_each(|commit| state.fold(commit)).err();
        if self.broken.is_some() {
            return Vec::new();
        }
        // Those whose last answer was in the turn before ask again while this one begins: were they left for the next, one
        // turn would carry a single command, and the next all others.
        if let Some(queue) = &mut self.queue {
            let coming = std::iter::from_fn(|| queue.try_recv().ok());
            self.batch.extend(coming.take(MOST_AT_ONCE.saturating_sub(self.batch.len())));
        }
        let end = state.head();
        state.pass(now);
        let mut undo: Vec<Change> = Vec::new();
        for Waiting { order, .. } in &*self.batch {
            let decided = catch_unwind(AssertUnwindSafe(|| decide(&state, order, now)));
            let decision = match decided {
                Ok(Ok(decision)) => decision,
                Ok(Err(refusal)) => {
                    self.verdicts.push(Err(refusal.into()));
                    continue;
                }
                Err(_) => {
                    tracing::error!(?order, "a command could not be decided");
                    self.verdicts.push(Err(SubmitError::Internal));
                    continue;
                }
            };
            if decision.changes.is_empty() {
                self.verdicts.push(Ok(decision.receipt));
                continue;
            }
            let applied = undo.len();
            let tried: Result<(), Inconsistent> = decision.changes.iter().try_for_each(|change| {
                undo.push(state.apply(change.clone())?);
                Ok(())
            });
            if let Err(error) = tried {
                tracing::error!(?order, %error, "a decision contradicts its own state");
                take_back(&mut state, undo.drain(applied..));
                self.verdicts.push(Err(SubmitError::Internal));
                continue;
            }
            let commit = Commit {
                revision: state.head().revision.next(),
                id: CommitId::fresh(),
                previous: state.head().id,
                at: now,
                actor: order.actor.clone(),
                action: decision.action,
                request: order.request.clone(),
                changes: decision.changes,
            };
            state.loaded(commit.head());
            self.verdicts.push(Ok(decision.receipt));
            self.commits.push(commit);
        }
        take_back(&mut state, undo.drain(..));
        state.loaded(end);
        self.commits.clone()
    }
}

fn take_back(state: &mut crate::ledger::State, undo: impl DoubleEndedIterator<Item = Change>) {
    for change in undo.rev() {
        // The inverse of a change that was applied applies: `apply_then_undo_is_the_identity` in the tests.
        if let Err(error) = state.apply(change) {
            tracing::error!(%error, "a draft could not be undone");
        }
    }
}
