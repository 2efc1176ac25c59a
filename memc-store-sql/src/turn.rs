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
use tokio::sync::oneshot;

/// How long a caller may take to decide, which takes microseconds unless nobody polls it.
const DECISION: Duration = Duration::from_secs(5);

/// What the caller is told before it decides.
struct Opening {
    missed: Vec<Commit>,
    now: Timestamp,
}

/// The caller, as the task sees it.
pub(crate) struct Caller {
    opening: oneshot::Sender<Opening>,
    decided: oneshot::Receiver<Vec<Commit>>,
}

/// Take a turn in a task of its own.
pub(crate) async fn in_a_task<F>(
    by: &mut dyn Decide,
    task: impl FnOnce(Caller) -> F,
) -> Result<Head, TurnError>
where
    F: Future<Output = Result<Head, TurnError>> + Send + 'static,
{
    let (opening, opened) = oneshot::channel();
    let (answer, decided) = oneshot::channel();
    let mut answered = false;
    let task = tokio::spawn(task(Caller { opening, decided }));
    if let Ok(Opening { missed, now }) = opened.await {
        answered = answer.send(by.decide(missed, now)).is_ok();
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
    pub(crate) async fn gone(&mut self) -> TurnError {
        self.opening.closed().await;
        away("the caller is gone")
    }

    /// Have the caller decide.
    pub(crate) async fn decide(self, missed: Vec<Commit>, now: Timestamp) -> Result<Vec<Commit>, TurnError> {
        self.opening.send(Opening { missed, now }).map_err(|_| away("the caller is gone"))?;
        match tokio::time::timeout(DECISION, self.decided).await {
            Ok(Ok(commits)) => Ok(commits),
            Ok(Err(_)) => Err(away("the caller is gone")),
            Err(_) => Err(away("the caller took too long to decide")),
        }
    }
}
