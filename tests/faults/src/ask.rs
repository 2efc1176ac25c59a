//! What the clients ask for, in a form that a journal can hold.

use memc_core::ledger::{Command, State};
use memc_core::model::{CacheName, ClusterName, Mib, Phase, Reason, TeamName};
use serde::{Deserialize, Serialize};

use crate::random::Random;
use crate::world::{CLUSTER, MOST_INSTANCES, NAMES, TEAMS};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ask {
    Allocate { team: String, name: String, memory: u64, instances: u16 },
    Resize { team: String, name: String, memory: u64 },
    Release { team: String, name: String },
    Stopped { team: String, name: String, index: u16 },
}

impl Ask {
    /// Something that makes sense in this state more often than not.
    pub(crate) fn random(random: &mut Random, state: &State) -> Self {
        let team = TEAMS[random.below(TEAMS.len() as u64) as usize].to_owned();
        let fresh = format!("c{}", random.below(NAMES));
        let memory = 8 + random.below(80);
        let what = random.below(100);
        if what < 40 {
            let instances = 1 + random.below(MOST_INSTANCES.into()) as u16;
            return Ask::Allocate { team, name: fresh, memory, instances };
        }
        if what < 70 {
            let waiting: Vec<_> = state.instances().filter(|it| it.phase == Phase::Releasing).collect();
            // In no order, but which one it is does not matter.
            let chosen = waiting.get(random.below(waiting.len().max(1) as u64) as usize);
            let cache = chosen.and_then(|it| Some((state.cache(it.cache)?, it.index)));
            if let Some((cache, index)) = cache
                && let Some(team) = state.team(cache.team)
            {
                return Ask::Stopped { team: team.name.to_string(), name: cache.name.to_string(), index };
            }
        }
        let there: Vec<_> = TeamName::new(&team)
            .ok()
            .and_then(|team| state.team_named(&team))
            .map(|team| state.caches_of(team.id).map(|cache| cache.name.to_string()).collect())
            .unwrap_or_default();
        let chosen = random.below(there.len().max(1) as u64) as usize;
        let name = there.get(chosen).cloned().unwrap_or(fresh);
        if what < 85 { Ask::Resize { team, name, memory } } else { Ask::Release { team, name } }
    }

    pub(crate) fn command(&self) -> Command {
        let team = |name: &str| TeamName::new(name).expect("a team's name");
        let cache = |name: &str| CacheName::new(name).expect("a cache's name");
        let mib = |memory: u64| Mib::new(memory).expect("a size");
        match self {
            Ask::Allocate { team: of, name, memory, instances } => Command::Allocate {
                team: team(of),
                name: cache(name),
                cluster: ClusterName::new(CLUSTER).expect("a cluster's name"),
                memory: mib(*memory),
                instances: *instances,
                max_per_rack: None,
            },
            Ask::Resize { team: of, name, memory } => {
                Command::Resize { team: team(of), name: cache(name), memory: mib(*memory) }
            }
            Ask::Release { team: of, name } => Command::Release { team: team(of), name: cache(name) },
            Ask::Stopped { team: of, name, index } => Command::StateStopped {
                team: team(of),
                name: cache(name),
                index: *index,
                reason: Reason::new("seen with own eyes").expect("a reason"),
            },
        }
    }

    /// The action and the target that its commit says.
    pub(crate) fn action(&self) -> (&'static str, String) {
        let (action, team, name) = match self {
            Ask::Allocate { team, name, .. } => ("cache.allocate", team, name),
            Ask::Resize { team, name, .. } => ("cache.resize", team, name),
            Ask::Release { team, name } => ("cache.release", team, name),
            Ask::Stopped { team, name, .. } => ("instance.stated-stopped", team, name),
        };
        (action, format!("cache:{team}/{name}"))
    }
}
