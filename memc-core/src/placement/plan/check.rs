//! A plan replayed step by step.

use std::collections::{HashMap, HashSet};

use super::{Budget, Layout, Plan, Step, position};
use crate::model::{CacheId, HostId, InstanceId, Mib};
use crate::placement::{LayoutHost, LayoutInstance};

/// What is wrong with a plan. Steps are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// The layout has no such instance or host.
    #[error("step {step} names an instance or a host that is not there")]
    Unknown {
        /// Which step.
        step: usize,
    },
    /// A step says something else than the layout: cache, memory, booking, or where the instance is by then.
    #[error("step {step} does not describe instance {instance} as it is by then")]
    Stale {
        /// Which step.
        step: usize,
        /// Of which instance.
        instance: InstanceId,
    },
    /// The instance cannot be moved.
    #[error("step {step} moves instance {instance}, which cannot be moved")]
    Fixed {
        /// Which step.
        step: usize,
        /// Which instance.
        instance: InstanceId,
    },
    /// The target takes no new instances, or is one of the hosts to be emptied.
    #[error("step {step} moves to host {host}, which takes none")]
    Closed {
        /// Which step.
        step: usize,
        /// Which host.
        host: HostId,
    },
    /// The target holds an instance of the cache.
    #[error("step {step} moves to host {host}, which has an instance of cache {cache}")]
    Together {
        /// Which step.
        step: usize,
        /// Which host.
        host: HostId,
        /// Which cache.
        cache: CacheId,
    },
    /// The target's rack has as many of the cache as it may.
    #[error("step {step} puts one more of cache {cache} into the rack of host {host} than it may hold")]
    RackFull {
        /// Which step.
        step: usize,
        /// The target.
        host: HostId,
        /// Which cache.
        cache: CacheId,
    },
    /// The target has no port left.
    #[error("step {step} needs a port on host {host}, which has none")]
    NoPort {
        /// Which step.
        step: usize,
        /// The target.
        host: HostId,
    },
    /// The target would book more than its limit.
    #[error("step {step} would make host {host} book {booked}, more than its limit")]
    NoMemory {
        /// Which step.
        step: usize,
        /// The target.
        host: HostId,
        /// What it would book, MiB.
        booked: Mib,
    },
    /// More goes cold than is allowed.
    #[error("with step {step} more goes cold than the budget allows")]
    OverBudget {
        /// Which step.
        step: usize,
    },
    /// The plan's sum is not that of its steps.
    #[error("the plan says that {said} go cold, and it is {cold}")]
    WrongSum {
        /// By the plan, MiB.
        said: Mib,
        /// By its steps, MiB.
        cold: Mib,
    },
    /// A host that the plan says it empties keeps an instance that can be moved, or is not there.
    #[error("host {host} is not emptied")]
    NotEmptied {
        /// Which.
        host: HostId,
    },
}

/// The fleet between two steps, by ids.
struct Replay<'a> {
    layout: &'a Layout,
    host_at: HashMap<HostId, usize>,
    booked: Vec<Mib>,
    ports: Vec<u32>,
    /// Each instance's host and what it books there.
    places: Vec<(usize, Mib)>,
    of_cache: HashMap<u32, Vec<usize>>,
}

/// Whether every prefix of a plan fits into the layout it was made for, within the budget, and its sums are right.
///
/// # Errors
/// The first [`Flaw`] found. O(hosts + instances + steps × instances of a cache).
pub fn check(layout: &Layout, plan: &Plan, budget: Budget) -> Result<(), Flaw> {
    let instance_at = position(layout.instances.iter().map(|instance| instance.id));
    let mut replay = Replay {
        layout,
        host_at: position(layout.hosts.iter().map(|host| host.id)),
        booked: layout.hosts.iter().map(|host| host.booked).collect(),
        ports: layout.hosts.iter().map(|host| host.ports).collect(),
        places: layout.instances.iter().map(|instance| (instance.host as usize, instance.booked)).collect(),
        of_cache: HashMap::new(),
    };
    for (at, instance) in layout.instances.iter().enumerate() {
        replay.of_cache.entry(instance.cache).or_default().push(at);
    }
    let emptied: HashSet<HostId> = plan.emptied.iter().copied().collect();
    let (mut cold, mut cold_of) = (Mib::ZERO, HashMap::new());
    for (number, step) in plan.steps.iter().enumerate() {
        let Some(&instance) = instance_at.get(&step.instance) else {
            return Err(Flaw::Unknown { step: number });
        };
        if emptied.contains(&step.to) {
            return Err(Flaw::Closed { step: number, host: step.to });
        }
        replay.make(number, step, instance)?;
        let of_cache: &mut Mib = cold_of.entry(step.cache).or_default();
        *of_cache = of_cache.plus(step.memory);
        cold = cold.plus(step.memory);
        if cold > budget.total || *of_cache > budget.per_cache {
            return Err(Flaw::OverBudget { step: number });
        }
    }
    if cold != plan.cold {
        return Err(Flaw::WrongSum { said: plan.cold, cold });
    }
    let known = |instance: &LayoutInstance| (instance.cache as usize) < layout.caches.len();
    let left = replay.places.iter().zip(&layout.instances);
    let left = left.filter(|(_, instance)| instance.movable && known(instance));
    let full: HashSet<usize> = left.map(|((place, _), _)| *place).collect();
    for host in &plan.emptied {
        if replay.host_at.get(host).is_none_or(|at| full.contains(at)) {
            return Err(Flaw::NotEmptied { host: *host });
        }
    }
    Ok(())
}

impl Replay<'_> {
    fn host(&self, at: usize) -> Option<&LayoutHost> {
        self.layout.hosts.get(at)
    }

    fn make(&mut self, number: usize, step: &Step, at: usize) -> Result<(), Flaw> {
        let unknown = Flaw::Unknown { step: number };
        let instance = &self.layout.instances[at];
        let (from, books) = self.places[at];
        let to = *self.host_at.get(&step.to).ok_or(unknown.clone())?;
        let cache = self.layout.caches.get(instance.cache as usize).ok_or(unknown.clone())?;
        let source = self.host(from).ok_or(unknown.clone())?;
        let target = self.host(to).ok_or(unknown)?;
        let said = (step.cache, step.from, step.memory, step.booked);
        if said != (cache.id, source.id, instance.memory, instance.rebooked) {
            return Err(Flaw::Stale { step: number, instance: step.instance });
        }
        if !instance.movable {
            return Err(Flaw::Fixed { step: number, instance: step.instance });
        }
        if !target.open {
            return Err(Flaw::Closed { step: number, host: step.to });
        }
        let siblings = &self.of_cache[&instance.cache];
        if siblings.iter().any(|sibling| self.places[*sibling].0 == to) {
            return Err(Flaw::Together { step: number, host: step.to, cache: step.cache });
        }
        let others = siblings.iter().filter(|sibling| **sibling != at);
        let in_rack = others.filter(|sibling| {
            self.host(self.places[**sibling].0).is_some_and(|host| host.rack == target.rack)
        });
        if let Some(most) = cache.max_per_rack
            && source.rack != target.rack
            && in_rack.count() >= usize::from(most)
        {
            return Err(Flaw::RackFull { step: number, host: step.to, cache: step.cache });
        }
        if self.ports[to] == 0 {
            return Err(Flaw::NoPort { step: number, host: step.to });
        }
        let booked = self.booked[to].plus(instance.rebooked);
        if booked > target.limit {
            return Err(Flaw::NoMemory { step: number, host: step.to, booked });
        }
        self.booked[to] = booked;
        self.ports[to] -= 1;
        self.booked[from] = self.booked[from].minus(books);
        self.places[at] = (to, instance.rebooked);
        Ok(())
    }
}
