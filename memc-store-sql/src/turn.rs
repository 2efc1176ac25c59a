//! A turn's two sides: the caller, which decides, and the task that holds the transaction.
//!
//! A caller may be dropped at any await point, as an HTTP server drops a handler whose client went away. So no
//! transaction lives in the caller's future: the turn runs in a spawned task, which the caller can neither cancel nor
//! outlive, and the two exchange what was missed for what was decided. A caller that is gone before it has decided
//! ends the turn without a change; one that is gone afterwards has it committed all the same.

use std::time::Duration;

use memc_core::ledger::{Commit, Head};
use memc_core::model::Timestamp;
use memc_core::store::{Decide, StoreError, TurnError};
use tokio::sync::{mpsc, oneshot};

/// How long a caller may take to decide, which takes microseconds unless nobody polls it.
const DECISION: Duration = Duration::from_secs(5);

/// What the caller is asked.
enum Question {
    Reached { at: Head, answer: oneshot::Sender<Head> },
    Decide { missed: Vec<Commit>, now: Timestamp, answer: oneshot::Sender<Vec<Commit>> },
}

/// The caller, as the task sees it.
pub(crate) struct Caller(mpsc::Sender<Question>);

/// Take a turn in a task of its own.
pub(crate) async fn in_a_task<F>(
    by: &mut dyn Decide,
    task: impl FnOnce(Caller) -> F,
) -> Result<Head, TurnError>
where
    F: Future<Output = Result<Head, TurnError>> + Send + 'static,
{
    let (ask, mut asked) = mpsc::channel(1);
    let mut answered = false;
    let task = tokio::spawn(task(Caller(ask)));
    while let Some(question) = asked.recv().await {
        match question {
            Question::Reached { at, answer } => {
                let _ = answer.send(by.reached(at));
            }
            Question::Decide { missed, now, answer } => {
                answered = answer.send(by.decide(missed, now)).is_ok();
            }
        }
    }
    task.await.unwrap_or_else(|ended| {
        let error = StoreError::unavailable("append", ended);
        if answered { Err(TurnError::Unknown(error)) } else { Err(TurnError::Store(error)) }
    })
}

/// Nothing was appended; it may work later.
pub(crate) fn away(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> TurnError {
    TurnError::Store(StoreError::unavailable("turn", why))
}

impl Caller {
    /// Until nobody waits for the turn any more.
    pub(crate) async fn gone(&self) -> TurnError {
        self.0.closed().await;
        away("the caller is gone")
    }

    /// How far the caller, which was at `at`, has read meanwhile.
    pub(crate) async fn reached(&self, at: Head) -> Result<Head, TurnError> {
        self.ask(|answer| Question::Reached { at, answer }).await
    }

    /// Have the caller decide.
    pub(crate) async fn decide(self, missed: Vec<Commit>, now: Timestamp) -> Result<Vec<Commit>, TurnError> {
        self.ask(|answer| Question::Decide { missed, now, answer }).await
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, TurnError> {
        let (answer, answered) = oneshot::channel();
        self.0.send(question(answer)).await.map_err(|_| away("the caller is gone"))?;
        match tokio::time::timeout(DECISION, answered).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(away("the caller is gone")),
            Err(_) => Err(away("the caller took too long to decide")),
        }
    }
}
