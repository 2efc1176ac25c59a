//! Looking now and then whether the store's server can still be trusted with what it acknowledges.

use std::sync::Weak;
use std::time::Duration;

use super::shared::Shared;
use crate::store::{Finding, Severity};

/// Ends with the fleet.
pub(super) async fn run(shared: Weak<Shared>, every: Duration, accept_risks: bool) {
    loop {
        tokio::time::sleep(every).await;
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
