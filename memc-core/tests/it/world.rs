//! A state to try commands on, without a store.

use memc_core::ledger::{
    Change, ClusterSpec, Command, Commit, Decision, Facts, HostSpec, Order, Refusal, Seen, State, decide,
};
use memc_core::model::*;

pub(crate) fn mib(mib: u64) -> Mib {
    Mib::new(mib).unwrap()
}

pub(crate) fn port(port: u16) -> Port {
    Port::new(port).unwrap()
}

pub(crate) fn name<T: std::str::FromStr<Err = InvalidName>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn order(command: Command) -> Order {
    Order { actor: name("user:tester"), request: None, command }
}

pub(crate) fn spec(first: u16, last: u16, policy: Policy) -> ClusterSpec {
    ClusterSpec { ports: PortRange { first: port(first), last: port(last) }, policy }
}

pub(crate) fn add_host(host: &str, memory: u64, rack: Option<&str>) -> Command {
    let spec = HostSpec {
        cluster: name("web"),
        address: address(host),
        memory: mib(memory),
        rack: rack.map(name),
        blocked_ports: Default::default(),
    };
    Command::AddHost { name: name(host), spec }
}

/// One for each name.
fn address(host: &str) -> std::net::IpAddr {
    let sum = host.bytes().fold(7u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    std::net::IpAddr::from([127, 1, (sum >> 8) as u8, sum as u8])
}

pub(crate) fn allocate(cache: &str, memory: u64, instances: u16) -> Command {
    Command::Allocate {
        team: name("shop"),
        name: name(cache),
        cluster: name("web"),
        memory: mib(memory),
        instances,
        max_per_rack: None,
    }
}

pub(crate) fn resize(cache: &str, memory: u64) -> Command {
    Command::Resize { team: name("shop"), name: name(cache), memory: mib(memory) }
}

pub(crate) fn release(cache: &str) -> Command {
    Command::Release { team: name("shop"), name: name(cache) }
}

/// A state and its clock. Every commit is checked: undone and done again, it leaves the same.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) now: u64,
    pub(crate) commits: Vec<Commit>,
}

impl World {
    /// Cluster `web`, ports 11211 to 11214, team `shop` with this quota.
    pub(crate) fn new(policy: Policy, quota: u64) -> Self {
        let mut world = World { now: 1_000_000, ..World::default() };
        world.ok(Command::Found { id: uuid::Uuid::from_u128(7) });
        world.ok(Command::CreateCluster { name: name("web"), spec: spec(11211, 11214, policy) });
        world.ok(Command::CreateTeam { name: name("shop") });
        world.ok(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(quota) });
        world
    }

    pub(crate) fn try_order(&mut self, order: Order) -> Result<Decision, Refusal> {
        let now = Timestamp::from_millis(self.now);
        let decision = decide(&self.state, &order, now)?;
        if decision.changes.is_empty() {
            return Ok(decision);
        }
        let before = self.state.clone();
        let undo: Vec<Change> =
            decision.changes.iter().map(|it| self.state.apply(it.clone()).unwrap()).collect();
        for change in undo.into_iter().rev() {
            self.state.apply(change).unwrap();
        }
        assert_eq!(self.state, before, "apply then undo is the identity, indexes included");
        let commit = Commit {
            revision: self.state.head().revision.next(),
            id: CommitId::fresh(),
            previous: self.state.head().id,
            at: now,
            actor: order.actor,
            action: decision.action.clone(),
            request: order.request,
            changes: decision.changes.clone(),
        };
        let commit: Commit = serde_json::from_str(&serde_json::to_string(&commit).unwrap()).unwrap();
        self.state.fold(&commit).unwrap();
        self.commits.push(commit);
        Ok(decision)
    }

    pub(crate) fn attempt(&mut self, command: Command) -> Result<Decision, Refusal> {
        self.try_order(order(command))
    }

    pub(crate) fn ok(&mut self, command: Command) -> Decision {
        self.attempt(command.clone()).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"))
    }

    pub(crate) fn refused(&mut self, command: Command) -> Refusal {
        let refused = self.attempt(command.clone()).map(|_| ());
        let refusal = refused.expect_err(&format!("{command:?} is refused"));
        match Facts::of(&self.state, &order(command), Timestamp::from_millis(self.now)) {
            Some(facts) => refusal.with(facts),
            None => refusal,
        }
    }

    pub(crate) fn instances(&self, cache: &str) -> Vec<Instance> {
        let cache = self.state.cache_named(&name("shop"), &name(cache));
        cache.map(|cache| self.state.instances_of(cache.id).cloned().collect()).unwrap_or_default()
    }

    pub(crate) fn host_of(&self, instance: &Instance) -> String {
        self.state.host(instance.host).unwrap().host.name.to_string()
    }

    pub(crate) fn seen_running(
        &mut self,
        instance: &Instance,
        memory: u64,
        within: bool,
    ) -> Result<Decision, Refusal> {
        let seen = Seen::Running { memory: mib(memory), within, observer: ObserverId::of("here") };
        self.attempt(Command::Confirm { instance: instance.id, revision: instance.revision, seen })
    }

    /// The pillar was fetched, and the instance was seen to have stopped.
    pub(crate) fn stopped(&mut self, instance: &Instance) -> Result<Decision, Refusal> {
        let host = self.state.host(instance.host).unwrap();
        let (host, document) = (host.host.name.clone(), self.state.document_revision(host));
        self.ok(Command::NoteServed { host, document });
        let (instance, revision) = (instance.id, instance.revision);
        self.attempt(Command::Confirm { instance, revision, seen: Seen::Stopped })
    }

    pub(crate) fn run_all(&mut self, cache: &str) {
        for instance in self.instances(cache) {
            self.seen_running(&instance, instance.memory.get(), true).unwrap();
        }
    }

    /// The same fleet, as a process that loads its records sees it.
    pub(crate) fn reloaded(&self) -> State {
        let mut records = std::collections::BTreeMap::new();
        for change in self.commits.iter().flat_map(|commit| &commit.changes) {
            match change {
                Change::Put(record) => records.insert(record.key(), record.clone()),
                Change::Remove(key) => records.remove(key),
            };
        }
        let mut state = State::default();
        for record in records.into_values() {
            state.apply(Change::Put(record)).unwrap();
        }
        state.loaded(self.state.head());
        state
    }
}
