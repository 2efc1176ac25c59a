//! The ledger, newest first, and what operators should know.

use askama::Template;
use memc_core::model::Revision;
use memc_core::store::{Finding, Severity};

use crate::locale::{Text, text};
use crate::pages::failure::{Answer, Failure};
use crate::pages::history::{Entry, entry};
use crate::pages::page::{Page, Section, ok};
use crate::pages::visit::{Admin, Asked};

/// Lines of one page.
const LINES: usize = 50;

#[derive(Template)]
#[template(path = "admin/audit.html")]
struct AuditPage {
    page: Page,
    entries: Vec<Entry>,
    /// Where the next, older page begins.
    older: Option<u64>,
    /// Whether this is not the newest page.
    later: bool,
}

pub(in crate::pages) async fn page(Admin(member): Admin, Asked(asked): Asked) -> Answer {
    let before: Option<u64> = asked.get("before").parse().ok();
    let fleet = &member.visit.app.fleet;
    let commits = fleet.history(None, Revision::new(before.unwrap_or(u64::MAX)), LINES).await;
    let commits = commits.map_err(|error| {
        tracing::warn!(%error, "the ledger could not be read for a page");
        Failure::Unavailable
    })?;
    let full = commits.len() == LINES;
    let older = commits.last().map(|last| last.revision.get()).filter(|first| full && *first > 1);
    let entries = commits.iter().map(entry).collect();
    ok(&AuditPage { page: Page::new(&member.visit, Section::Audit), entries, older, later: before.is_some() })
}

#[derive(Template)]
#[template(path = "admin/findings.html")]
struct FindingsPage {
    page: Page,
    findings: Vec<Row>,
}

/// A finding: what it means in people's words, and the technical message as it is.
struct Row {
    code: String,
    words: Text,
    message: String,
    grave: bool,
}

impl From<Finding> for Row {
    fn from(finding: Finding) -> Self {
        let words = match finding.code.as_str() {
            "memory.volatile" => text("finding-memory-volatile"),
            "ledger.conflict" => text("finding-ledger-conflict"),
            "ledger.reloaded" => text("finding-ledger-reloaded"),
            "ledger.too_long" => text("finding-ledger-too-long"),
            "sqlite.network_file_system" => text("finding-network-file-system"),
            "sqlite.volatile_file_system" => text("finding-volatile-file-system"),
            "sqlite.journal_mode" | "sqlite.synchronous" | "sqlite.foreign_keys" => {
                text("finding-sqlite-setting")
            }
            _ => text("finding-other"),
        };
        let grave = finding.severity == Severity::Refuse;
        Row { code: finding.code, words, message: finding.message, grave }
    }
}

pub(in crate::pages) async fn findings(Admin(member): Admin) -> Answer {
    let findings = member.visit.app.fleet.status().findings.into_iter().map(Row::from).collect();
    ok(&FindingsPage { page: Page::new(&member.visit, Section::Findings), findings })
}
