//! The task that looks at every booked port and confirms what it sees.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{Hindrance, Probe, probe};
use crate::Fleet;
use crate::fleet::SubmitError;
use crate::ledger::{Command, Order, Refusal, Seen, State};
use crate::model::{
    HostId, Instance, InstanceId, InstanceState, InvalidName, ObserverId, Phase, Principal, Revision,
    Timestamp,
};

/// How an [`Observer`] looks.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often instances are looked at that are to become something else; default 1 s.
    pub unsettled: Duration,
    /// How often the others are; default 30 s.
    pub settled: Duration,
    /// How long one port may take to answer; default 2 s.
    pub timeout: Duration,
    /// How many ports are asked at once; default 64.
    pub at_once: usize,
    /// Refusals in a row that count as stopped; default 3.
    pub refusals: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            unsettled: Duration::from_secs(1),
            settled: Duration::from_secs(30),
            timeout: Duration::from_secs(2),
            at_once: 64,
            refusals: 3,
        }
    }
}

/// What was last seen of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// When, by this machine's clock.
    pub at: Timestamp,
    /// What its port answered.
    pub probe: Probe,
    /// Refusals in a row up to now.
    pub refusals: u32,
    /// Whether this observer has seen this instance answer since it started.
    pub answered: bool,
}

/// What was last seen of every instance, by this process, and what keeps hosts waiting. Clones are handles on the same.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    instances: Arc<Mutex<HashMap<InstanceId, Observation>>>,
    hosts: Arc<Mutex<HashMap<HostId, Hindrance>>>,
}

impl Observations {
    /// What was last seen of an instance; `None` before its first probe.
    #[must_use]
    pub fn of(&self, instance: InstanceId) -> Option<Observation> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner).get(&instance).cloned()
    }

    /// Why the last look at a host that waits since the ledger was set back told nothing; `None` before the first.
    #[must_use]
    pub fn hindrance(&self, host: HostId) -> Option<Hindrance> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).get(&host).copied()
    }

    pub(super) fn note_hindrance(&self, host: HostId, hindrance: Hindrance) {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner).insert(host, hindrance);
    }

    pub(super) fn forget_hosts_but(&self, waiting: &[HostId]) {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if !hosts.is_empty() {
            let waiting: HashSet<&HostId> = waiting.iter().collect();
            hosts.retain(|host, _| waiting.contains(host));
        }
    }

    fn note(&self, instance: InstanceId, probe: Probe) -> Observation {
        let mut all = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.get(&instance);
        let refusals = if probe == Probe::Refused { before.map_or(0, |it| it.refusals) + 1 } else { 0 };
        let answered = before.is_some_and(|it| it.answered) || matches!(probe, Probe::Answered(_));
        let observation = Observation { at: Timestamp::of_this_machine(), probe, refusals, answered };
        all.insert(instance, observation.clone());
        observation
    }

    fn forget_all_but(&self, state: &State) {
        let mut all = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|id, _| state.instance(*id).is_some());
    }
}

/// Looks at a fleet's instances from one place and confirms what it sees. Any number may do so at once, from one or
/// several places.
#[derive(Debug, Clone)]
pub struct Observer {
    pub(super) fleet: Fleet,
    id: ObserverId,
    pub(super) principal: Principal,
    pub(super) options: Options,
    pub(super) observations: Observations,
}

/// An instance to look at, as its record is now.
struct Target {
    instance: Instance,
    address: SocketAddr,
    /// Whether a pillar without it was handed out since it was released.
    served: bool,
}

impl Observer {
    /// An observer called `name`: the place it looks from (the machine's name, say). After a restart it knows by that
    /// name what it had seen.
    ///
    /// # Errors
    /// [`InvalidName`] unless the name is 1 to 119 printable ASCII characters.
    pub fn new(fleet: Fleet, name: &str, options: Options) -> Result<Self, InvalidName> {
        let principal = Principal::new(&format!("observer:{name}"))?;
        let (id, observations) = (ObserverId::of(name), Observations::default());
        Ok(Observer { fleet, id, principal, options, observations })
    }

    /// What was last seen.
    #[must_use]
    pub fn observations(&self) -> Observations {
        self.observations.clone()
    }

    /// Look, until the future is dropped.
    pub async fn run(self) {
        // Hosts that wait are many at once, and the dead among them slow.
        tokio::join!(self.look_at_instances(), async {
            let mut ticks = self.ticks();
            loop {
                ticks.tick().await;
                self.look_around().await;
            }
        });
    }

    fn ticks(&self) -> Interval {
        let mut ticks = interval(self.options.unsettled.max(Duration::from_millis(10)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }

    async fn look_at_instances(&self) {
        let mut ticks = self.ticks();
        let mut all_seen: Option<Instant> = None;
        loop {
            ticks.tick().await;
            let all = all_seen.is_none_or(|at| at.elapsed() >= self.options.settled);
            if all {
                all_seen = Some(Instant::now());
                self.fleet.read(|state| self.observations.forget_all_but(state));
            }
            self.look(all).await;
        }
    }

    /// Look once: at every instance, or only at those that are to become something else.
    pub async fn look(&self, all: bool) {
        let mut targets = self.fleet.read(|state| targets(state, all)).into_iter();
        let mut looking = JoinSet::new();
        loop {
            while looking.len() < self.options.at_once.max(1)
                && let Some(target) = targets.next()
            {
                let observer = self.clone();
                looking.spawn(async move { observer.look_at(target).await });
            }
            if looking.join_next().await.is_none() {
                return;
            }
        }
    }

    async fn look_at(&self, target: Target) {
        let probe = probe(target.address, self.options.timeout).await;
        let observation = self.observations.note(target.instance.id, probe);
        let Some(seen) = self.evidence(&target, &observation) else {
            return;
        };
        let (instance, revision) = (target.instance.id, target.instance.revision);
        let command = Command::Confirm { instance, revision, seen };
        match self.fleet.submit(Order { actor: self.principal.clone(), request: None, command }).await {
            Ok(_) => {}
            // Somebody was faster: the next look sees what is there now.
            Err(SubmitError::Refused(refusal))
                if matches!(*refusal, Refusal::Outdated | Refusal::NotFound { .. }) => {}
            Err(error) => tracing::debug!(%instance, %error, "an observation was not confirmed"),
        }
    }

    /// What an observation says about an instance that its record does not say yet.
    fn evidence(&self, target: &Target, observation: &Observation) -> Option<Seen> {
        let instance = &target.instance;
        match &observation.probe {
            Probe::Answered(stats) => {
                let memory = stats.limit?;
                let within = stats.is_within_limit();
                let returned = instance.phase == Phase::Shrinking && memory == instance.memory && within;
                let news = instance.observed != Some(memory) || instance.seen_by.is_none() || returned;
                news.then_some(Seen::Running { memory, within, observer: self.id })
            }
            Probe::Refused => {
                let reached = observation.answered || instance.seen_by == Some(self.id);
                let stopped = instance.phase == Phase::Releasing
                    && target.served
                    && reached
                    && observation.refusals >= self.options.refusals;
                stopped.then_some(Seen::Stopped)
            }
            Probe::Unclear(_) => None,
        }
    }
}

fn targets(state: &State, all: bool) -> Vec<Target> {
    state
        .instances()
        .filter(|instance| all || instance.state() != InstanceState::Running)
        .filter_map(|instance| {
            let host = &state.host(instance.host)?.host;
            let served = host.served >= instance.revision && host.served > Revision::default();
            let address = SocketAddr::new(host.address, instance.port.get());
            Some(Target { instance: instance.clone(), address, served })
        })
        .collect()
}
