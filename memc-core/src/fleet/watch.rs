//! Looking now and then whether the store's server can still be trusted with what it acknowledges.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::shared::Shared;
use crate::store::{Finding, Severity};

/// How often it is looked at while something is wrong with it: what is wrong, and that it is over, is to be said soon.
const WHILE_WRONG: Duration = Duration::from_secs(5);
/// The least between two looks, however often somebody asks for one.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Every now and then, and after a turn that failed. Ends with the fleet.
pub(super) async fn run(shared: Weak<Shared>, every: Duration, accept_risks: bool) {
    let Some(asked) = shared.upgrade().map(|shared| Arc::clone(&shared.look)) else {
        return;
    };
    loop {
        tokio::time::sleep(every.min(AT_LEAST)).await;
        let wrong = shared.upgrade().is_some_and(|shared| shared.is_stale() || shared.stopped().is_some());
        let wait = if wrong { every.min(WHILE_WRONG) } else { every };
        let _ = tokio::time::timeout(wait.saturating_sub(AT_LEAST), asked.notified()).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        // A store that is away has nothing to lose meanwhile, and writes fail anyway.
        if let Ok(findings) = shared.store().check().await {
            let why: Vec<&str> = refusing(&findings).map(|finding| finding.message.as_str()).collect();
            let why = (!accept_risks && !why.is_empty()).then(|| why.join("; "));
            shared.checked(findings, why);
        }
    }
}

/// What keeps a process from writing.
pub(super) fn refusing(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Refuse)
}
