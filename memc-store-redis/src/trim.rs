//! Forgetting old commits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use memc_core::model::Revision;

use crate::Inner;
use crate::error::Failure;
use crate::link::Repeat;
use crate::read::commits_of;
use crate::reply::text;

/// Old commits are looked for once in so many revisions.
const EVERY: u64 = 1000;
/// Commits forgotten at once.
const PAGE: usize = 250;

/// After an append from one revision to another: forget what is too old, in the background. Whichever process passes
/// the mark does it.
pub(crate) fn after_append(inner: &Arc<Inner>, from: Revision, to: Revision) {
    if from.get() / EVERY == to.get() / EVERY
        || to.get() <= inner.options.history
        || inner.trimming.swap(true, Ordering::AcqRel)
    {
        return;
    }
    let (inner, last) = (Arc::clone(inner), to.get() - inner.options.history);
    tokio::spawn(async move {
        if let Err(failure) = trim(&inner, last).await {
            let error = failure.reading("trim");
            tracing::warn!(%error, "old commits could not be forgotten; it is tried again later");
        }
        inner.trimming.store(false, Ordering::Release);
    });
}

/// Forget the commits up to a revision, with their places in the index of targets: the latter first, so that breaking
/// off in between leaves nothing behind that is not found again.
async fn trim(inner: &Inner, last: u64) -> Result<(), Failure> {
    loop {
        let mut command = redis::cmd("XRANGE");
        command.arg(&inner.keys.commits).arg("-").arg(format!("{last}-0")).arg("COUNT").arg(PAGE);
        let commits = commits_of(inner.link.ask(&command, Repeat::Once).await?)?;
        let Some(until) = commits.last().map(|commit| commit.revision) else {
            return Ok(());
        };
        let targets: BTreeSet<&str> = commits.iter().map(|commit| commit.action.target.as_str()).collect();
        let targets: Vec<String> =
            targets.iter().filter(|it| !it.is_empty()).map(|it| inner.keys.of_target(it)).collect();
        let mut keys = vec![inner.keys.commits.as_str(), &inner.keys.head];
        keys.extend(targets.iter().map(String::as_str));
        let (until, keep) = (until.to_string(), format!("{}-0", until.next()));
        let history = inner.options.history.to_string();
        let arguments = [until.as_bytes(), keep.as_bytes(), history.as_bytes()];
        let trimmed = text(inner.scripts.trim.run(&inner.link, &keys, &arguments, Repeat::Once).await?)?;
        if trimmed == "kept" {
            return Ok(());
        }
    }
}
