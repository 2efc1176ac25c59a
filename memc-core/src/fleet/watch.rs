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
            let why = if accept_risks { None } else { reason(&findings) };
            shared.checked(findings, why);
        }
    }
}

/// Why nothing may be written, in a sentence.
pub(super) fn reason(findings: &[Finding]) -> Option<String> {
    let refusing = findings.iter().filter(|finding| finding.severity == Severity::Refuse);
    let why: Vec<&str> = refusing.map(|finding| finding.message.as_str()).collect();
    (!why.is_empty()).then(|| why.join("; "))
}
