//! After a host was lost: give the caches that miss instances new ones.

use memc_core::Fleet;
use memc_core::fleet::SubmitError;
use memc_core::ledger::{Command, Order};
use memc_core::model::{CacheName, ClusterId, Principal, TeamName};
use serde::Serialize;

use crate::problem::Problem;

/// Caches that missed instances, and what became of that.
#[derive(Debug, Default, Serialize)]
pub struct Repairs {
    /// Those that have all their instances again.
    pub replaced: Vec<Replaced>,
    /// Those that could not get them now. Try again once there is room.
    pub not_replaced: Vec<NotReplaced>,
}

/// A cache that has all its instances again.
#[derive(Debug, Serialize)]
pub struct Replaced {
    /// Whose.
    pub team: TeamName,
    /// Which.
    pub name: CacheName,
}

/// A cache that still misses instances.
#[derive(Debug, Serialize)]
pub struct NotReplaced {
    /// Whose.
    pub team: TeamName,
    /// Which.
    pub name: CacheName,
    /// Why, for programs.
    pub code: &'static str,
    /// Why, for people.
    pub detail: String,
}

/// Replace what the caches of a cluster miss: every one of them, whichever host it lost them with, so that doing this
/// again takes up what an interruption left.
pub async fn replace_missing(fleet: &Fleet, actor: &Principal, cluster: ClusterId) -> Repairs {
    let missing: Vec<(TeamName, CacheName)> = fleet.read(|state| {
        (state.caches())
            .filter(|cache| cache.cluster == cluster && !cache.releasing)
            .filter(|cache| !state.missing_of(cache).is_empty())
            .filter_map(|cache| Some((state.team(cache.team)?.name.clone(), cache.name.clone())))
            .collect()
    });
    let mut repairs = Repairs::default();
    // Many at once share a commit to disk; not so many that nobody else gets into the queue.
    for some in missing.chunks(256) {
        let mut waiting = Vec::new();
        for (team, name) in some {
            let command = Command::Replace { team: team.clone(), name: name.clone() };
            let (fleet, order) = (fleet.clone(), Order { actor: actor.clone(), request: None, command });
            waiting.push((
                team.clone(),
                name.clone(),
                tokio::spawn(async move { fleet.submit(order).await }),
            ));
        }
        for (team, name, answer) in waiting {
            match answer.await.unwrap_or(Err(SubmitError::Internal)) {
                Ok(_) => repairs.replaced.push(Replaced { team, name }),
                Err(error) => {
                    let Problem { code, detail, .. } = error.into();
                    repairs.not_replaced.push(NotReplaced { team, name, code, detail });
                }
            }
        }
    }
    repairs
}
