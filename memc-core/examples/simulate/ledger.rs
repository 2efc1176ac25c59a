//! A fleet in memory, without a store: each command is decided, and what it changes is applied.

use std::collections::BTreeMap;
use std::str::FromStr;

use memc_core::ledger::{
    Change, Command, Decision, Head, Inconsistent, Order, PortUse, Refusal, State, decide,
};
use memc_core::model::{CommitId, InvalidName, Record, Timestamp};

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) state: State,
    /// Milliseconds since 1970.
    pub(crate) now: u64,
}

impl Ledger {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    pub(crate) fn attempt(&mut self, command: Command) -> Result<Result<Decision, Refusal>, Inconsistent> {
        let decision = match decide(&self.state, &order(command), self.now()) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if !decision.changes.is_empty() {
            for change in &decision.changes {
                self.state.apply(change.clone())?;
            }
            let before = self.state.head();
            let (revision, at) = (before.revision.next(), self.now());
            self.state.loaded(Head { revision, id: CommitId::NONE, at, ..before });
        }
        Ok(Ok(decision))
    }
}

pub(crate) fn order(command: Command) -> Order {
    Order { actor: name("simulation"), request: None, command }
}

/// A name that is written here or put together from numbers.
pub(crate) fn name<T: FromStr<Err = InvalidName>>(text: &str) -> T {
    #[allow(clippy::unwrap_used)] // each of them is valid
    text.parse().unwrap()
}

/// The same fleet, as a process sees it that loads its records: every index is built anew.
pub(crate) fn rebuilt(state: &State) -> Result<State, Inconsistent> {
    let mut records: Vec<Record> = state.fleet().cloned().map(Record::Fleet).into_iter().collect();
    records.extend(state.clusters().cloned().map(Record::Cluster));
    records.extend(state.hosts().map(|view| Record::Host(view.host.clone())));
    records.extend(state.teams().cloned().map(Record::Team));
    records.extend(state.plans().cloned().map(Record::Plan));
    records.extend(state.quotas().cloned().map(Record::Quota));
    records.extend(state.caches().cloned().map(Record::Cache));
    // In the order of their numbers, so that a run does the same every time.
    let instances: BTreeMap<_, _> = state.instances().map(|it| (it.id, it)).collect();
    records.extend(instances.into_values().cloned().map(Record::Instance));
    records.extend(state.hosts().flat_map(|view| view.ports.iter()).filter_map(|usage| match usage {
        PortUse::Retired(retired) => Some(Record::RetiredPort((**retired).clone())),
        PortUse::Instance(..) => None,
    }));
    let mut rebuilt = State::default();
    for record in records {
        rebuilt.apply(Change::Put(record))?;
    }
    rebuilt.loaded(state.head());
    Ok(rebuilt)
}
