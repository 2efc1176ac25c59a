//! When each host's pillar was last asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use memc_core::model::{HostName, Revision, Timestamp};

/// A pillar that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetch {
    /// When, by this machine's clock.
    pub at: Timestamp,
    /// The document's revision.
    pub revision: Revision,
}

/// The last fetch of each host's pillar from this process. Only hosts of the fleet are noted, so it stays as small as
/// that. Clones are handles on the same notes.
#[derive(Debug, Clone, Default)]
pub struct Fetches(Arc<Mutex<HashMap<HostName, Fetch>>>);

impl Fetches {
    /// The last fetch for a host; `None` if there was none since this process started.
    #[must_use]
    pub fn last(&self, host: &HostName) -> Option<Fetch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(host).copied()
    }

    pub(crate) fn note(&self, host: &HostName, revision: Revision) {
        let fetch = Fetch { at: Timestamp::of_this_machine(), revision };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone(), fetch);
    }
}
