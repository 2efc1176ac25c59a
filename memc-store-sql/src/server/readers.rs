//! Connections for questions outside transactions.
//!
//! No pool that connections return to by themselves: whoever finished a question puts its connection back, and one whose
//! question was cancelled is closed. So none is ever found in the middle of something.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// How many questions are asked at once.
const AT_ONCE: usize = 4;

#[derive(Debug)]
pub(super) struct Readers<C> {
    permits: Semaphore,
    kept: Mutex<Vec<C>>,
}

impl<C> Default for Readers<C> {
    fn default() -> Self {
        Readers { permits: Semaphore::new(AT_ONCE), kept: Mutex::default() }
    }
}

impl<C> Readers<C> {
    /// Wait until fewer than the most are asking.
    pub(super) async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // It is never closed.
        self.permits.acquire().await.ok()
    }

    pub(super) fn take(&self) -> Option<C> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    pub(super) fn keep(&self, connection: C) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    /// Close all that nobody uses.
    pub(super) fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
