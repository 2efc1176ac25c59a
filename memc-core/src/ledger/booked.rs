//! What a cluster booked, as the ledger tells.

use super::{Commit, Inconsistent, State};
use crate::model::{ClusterName, Mib, Timestamp};

const DAY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// What a cluster booked, day by day, oldest first: [`until_full`](crate::placement::capacity::trend::until_full) makes a
/// trend of it.
///
/// One point for each day (UTC) on which anything was committed, as of its last commit: so busy days count no more than
/// quiet ones. None before the cluster was there. `before` is the state that the first commit follows:
/// [`State::default`] for a whole history, as [`Store::commits`](crate::Store::commits) hands it out from revision 0 on.
/// O(changes).
///
/// # Errors
/// [`Inconsistent`] if the commits do not follow `before`, or each other.
pub fn booked_over_time<'a>(
    before: State,
    commits: impl IntoIterator<Item = &'a Commit>,
    cluster: &ClusterName,
) -> Result<Vec<(Timestamp, Mib)>, Inconsistent> {
    let mut state = before;
    let mut points: Vec<(Timestamp, Mib)> = Vec::new();
    let day = |at: Timestamp| at.as_millis() / DAY_MILLIS;
    for commit in commits {
        state.fold(commit)?;
        let Some(cluster) = state.cluster_named(cluster) else {
            continue;
        };
        let point = (commit.at, state.booked(cluster.id));
        match points.last_mut() {
            Some(last) if day(last.0) == day(commit.at) => *last = point,
            _ => points.push(point),
        }
    }
    Ok(points)
}
