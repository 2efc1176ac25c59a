//! A store that fails when told to, around the one in memory.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use memc_core::Store;
use memc_core::ledger::{Action, Commit, Head};
use memc_core::model::{CommitId, Revision, Timestamp};
use memc_core::store::{Decide, Finding, Load, MemoryStore, StoreError, TurnError};
use tokio::sync::Semaphore;

use crate::world::name;

/// What the next turn does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Fails before anything was written.
    Unavailable,
    /// Writes, and loses the acknowledgement.
    UnknownDone,
    /// Does not write, and says neither.
    UnknownNotDone,
    /// Takes its time, and others come meanwhile.
    Slow,
    /// Finds that it was another's turn, and lets decide again.
    Twice,
    /// Is by a clock that is two days ahead, and fails before anything was written.
    Ahead,
    /// Has to wait while another appends, and goes on once the caller has read that.
    Waits,
    /// Each of these after it was decided; nothing is written.
    Behind,
    Conflict,
    TooLong,
}

#[derive(Debug)]
pub(crate) struct Flaky {
    pub(crate) inner: Mutex<MemoryStore>,
    pub(crate) away: AtomicBool,
    pub(crate) faults: Mutex<VecDeque<Fault>>,
    pub(crate) heads: AtomicUsize,
    pub(crate) turns: AtomicUsize,
    /// One permit for each call that may go through.
    pub(crate) gate: Semaphore,
}

impl Flaky {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Flaky {
            inner: Mutex::default(),
            away: AtomicBool::new(false),
            faults: Mutex::default(),
            heads: AtomicUsize::new(0),
            turns: AtomicUsize::new(0),
            gate: Semaphore::new(Semaphore::MAX_PERMITS / 2),
        })
    }

    fn inner(&self) -> Result<MemoryStore, StoreError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::unavailable("test", "told to be away"));
        }
        Ok(self.inner.lock().unwrap().clone())
    }

    pub(crate) fn next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }
}

struct Spoiled<'a> {
    by: &'a mut dyn Decide,
    fault: Fault,
}

impl Decide for Spoiled<'_> {
    fn reached(&self, at: Head) -> Head {
        self.by.reached(at)
    }

    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        let ahead = if self.fault == Fault::Ahead { 2 * 86400 } else { 0 };
        let commits = self.by.decide(missed, now.after(Duration::from_secs(ahead)));
        match self.fault {
            Fault::UnknownDone | Fault::Slow => commits,
            _ => Vec::new(),
        }
    }
}

/// A commit of another process.
struct Foreign(Head);

impl Decide for Foreign {
    fn decide(&mut self, _: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        vec![Commit {
            revision: self.0.revision.next(),
            id: CommitId::fresh(),
            previous: self.0.id,
            at: now,
            actor: name("user:other"),
            action: Action { name: "other".into(), target: "other".into(), detail: String::new() },
            request: None,
            changes: Vec::new(),
        }]
    }
}

#[async_trait]
impl Store for Flaky {
    async fn head(&self) -> Result<Head, StoreError> {
        self.heads.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        self.inner()?.head().await
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        self.inner()?.load(into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.inner()?.commits(after, limit).await
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.inner()?.history(target, before, limit).await
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        self.turns.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.unwrap().forget();
        let inner = self.inner()?;
        let next = self.faults.lock().unwrap().pop_front();
        let Some(fault) = next else {
            return inner.turn(at, by).await;
        };
        let lost = || StoreError::unavailable("turn", "told to break");
        if fault == Fault::Waits {
            for _ in 0..2 {
                let end = inner.head().await?;
                inner.turn(end, &mut Foreign(end)).await?;
            }
            let end = inner.head().await?;
            for tried in 0.. {
                if by.reached(at) == end {
                    break;
                }
                assert!(tried < 60_000, "what was appended is not read");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            return inner.turn(at, by).await;
        }
        if fault == Fault::Unavailable {
            return Err(TurnError::Store(lost()));
        }
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        let head = inner.turn(at, &mut Spoiled { by, fault }).await?;
        match fault {
            Fault::Slow => Ok(head),
            Fault::Twice => {
                inner.turn(head, &mut Foreign(head)).await?;
                inner.turn(head, by).await
            }
            Fault::Ahead => Err(TurnError::Store(lost())),
            Fault::Behind => Err(TurnError::Behind),
            Fault::Conflict => Err(TurnError::Conflict(lost())),
            Fault::TooLong => Err(TurnError::TooLong("told to be".into())),
            _ => Err(TurnError::Unknown(lost())),
        }
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }
}
