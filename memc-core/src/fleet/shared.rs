//! What the handles and the tasks of a fleet have in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::Notify;

use super::OpenError;
use crate::ledger::{Change, FORMAT, State};
use crate::model::{Record, Revision};
use crate::store::{Finding, Load, Severity, Store, StoreError};

/// Commits read at once while catching up.
const PAGE: usize = 1000;

#[derive(Debug)]
pub(super) struct Shared {
    store: Arc<dyn Store>,
    /// Only acknowledged commits, except while the committer holds it for writing.
    state: RwLock<State>,
    /// Held by a turn and by a load, so that a load never takes memory back behind an acknowledged commit.
    pub(super) turn: tokio::sync::Mutex<()>,
    stale: AtomicBool,
    findings: Mutex<Vec<Finding>>,
    /// Why nothing may be written, if so.
    stopped: Mutex<Option<String>>,
    /// That somebody should look at the store: a turn failed, perhaps because it is not safe any more.
    pub(super) look: Arc<Notify>,
}

impl Shared {
    pub(super) fn new(store: Arc<dyn Store>, state: State, findings: Vec<Finding>) -> Self {
        Shared {
            store,
            state: RwLock::new(state),
            turn: tokio::sync::Mutex::new(()),
            stale: AtomicBool::new(false),
            findings: Mutex::new(findings),
            stopped: Mutex::new(None),
            look: Arc::default(),
        }
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    // Nothing that holds these locks panics between two steps that belong together: `decide` is caught, and `apply`
    // checks before it changes. So a poisoned lock still guards a whole state.
    pub(super) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(Ordering::Relaxed)
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn find(&self, code: &str, message: String) {
        tracing::error!(code, message, "finding");
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.retain(|finding| finding.code != code);
        findings.push(Finding { severity: Severity::Note, code: code.into(), message });
    }

    /// What the store was found to be like, in place of what it was found to be like before; and why nothing may be
    /// written now, if so.
    pub(super) fn checked(&self, found: Vec<Finding>, why: Option<String>) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.retain(|finding| finding.code.starts_with("ledger."));
        findings.extend(found);
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*stopped, &why) {
            (None, Some(why)) => tracing::error!(why, "writes are stopped: the store is not safe any more"),
            (Some(_), None) => tracing::info!("writes go on: the store is safe again"),
            _ => {}
        }
        *stopped = why;
    }

    /// Why nothing may be written, if so.
    pub(super) fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bring memory up to the ledger's end as of this call.
    pub(super) async fn catch_up(&self) -> Result<Revision, StoreError> {
        let caught_up = self.try_to_catch_up().await;
        if self.stale.swap(caught_up.is_err(), Ordering::Relaxed) != caught_up.is_err() {
            match &caught_up {
                Ok(revision) => tracing::info!(%revision, "the store answers again"),
                Err(error) => {
                    tracing::warn!(%error, "the store is away: reads go on from memory, writes fail")
                }
            }
        }
        caught_up
    }

    async fn try_to_catch_up(&self) -> Result<Revision, StoreError> {
        match self.read_on().await? {
            Ok(revision) => Ok(revision),
            Err(why) => self.reload(&why).await,
        }
    }

    /// Bring memory up to the ledger's end, for who holds `turn`.
    pub(super) async fn catch_up_within_turn(&self) -> Result<Revision, StoreError> {
        match self.read_on().await? {
            Ok(revision) => Ok(revision),
            Err(why) => self.reload_within_turn(&why).await,
        }
    }

    /// Fold what was missed; the inner error says why that is not possible and everything is to be loaded anew.
    async fn read_on(&self) -> Result<Result<Revision, String>, StoreError> {
        let before = self.state().head();
        let head = self.store.head().await?;
        if head.format != FORMAT {
            let why = format!("the ledger has format {}, this program reads {FORMAT}", head.format);
            return Err(StoreError::corrupt("head", why));
        }
        if head.revision < before.revision || (head.revision == before.revision && head.id != before.id) {
            return Ok(Err("its end went back: it was restored from a backup, or replaced".into()));
        }
        loop {
            let known = self.state().head().revision;
            if known >= head.revision {
                return Ok(Ok(known));
            }
            let commits = self.store.commits(known, PAGE).await?;
            if commits.is_empty() {
                return Ok(Err("commits that were missed are no longer kept".into()));
            }
            let folded = {
                let mut state = self.state_mut();
                commits.iter().try_for_each(|commit| state.fold(commit))
            };
            if let Err(inconsistent) = folded {
                return Ok(Err(inconsistent.to_string()));
            }
        }
    }

    /// Throw memory away and load anew.
    pub(super) async fn reload(&self, why: &str) -> Result<Revision, StoreError> {
        let _turn = self.turn.lock().await;
        self.reload_within_turn(why).await
    }

    /// The same, for who holds `turn`.
    pub(super) async fn reload_within_turn(&self, why: &str) -> Result<Revision, StoreError> {
        self.find("ledger.reloaded", format!("the ledger was loaded anew: {why}"));
        let loaded = load(&*self.store).await.map_err(|error| match error {
            OpenError::Store(error) => error,
            error => StoreError::corrupt("load", error),
        })?;
        let revision = loaded.head().revision;
        *self.state_mut() = loaded;
        Ok(revision)
    }
}

/// The state that a store keeps.
pub(super) async fn load(store: &dyn Store) -> Result<State, OpenError> {
    struct Into(State);
    impl Load for Into {
        fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
            for record in records {
                self.0.apply(Change::Put(record)).map_err(|error| error.to_string())?;
            }
            Ok(())
        }
    }
    let mut into = Into(State::loading());
    let head = store.load(&mut into).await?;
    into.0.loaded(head);
    Ok(into.0)
}
