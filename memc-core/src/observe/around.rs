//! Looking at every port of a host, after the ledger was set back to a backup.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use tokio::task::JoinSet;

use super::Observer;
use super::probe::listens;
use crate::fleet::SubmitError;
use crate::ledger::{Command, Order, PortUse, Refusal, State};
use crate::model::{Host, HostId, Phase, Port, PortRange};

/// Hosts that are looked at at once: they share [`Options::at_once`](super::Options::at_once).
const HOSTS_AT_ONCE: usize = 8;

/// Why a look at a host that waits told nothing yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hindrance {
    /// A port neither accepted nor refused a connection in time: the host is away, or a firewall drops what is sent.
    NoAnswer(Port),
    /// An instance that had been seen running refuses: the host is perhaps starting, and what is unknown on it with it.
    NotRunning(Port),
}

/// A host that waits, as its records are now.
struct Around {
    host: Host,
    epoch: u32,
    ports: PortRange,
    /// The ports of instances that should be running, as far as the ledger knows.
    running: BTreeSet<Port>,
}

impl Observer {
    /// Look once at every host that waits since the ledger was set back, and let those take new instances again on which
    /// each port of their cluster accepted or refused a connection. Dear where hosts have many ports, and free where no
    /// host waits.
    pub async fn look_around(&self) {
        let waiting = |state: &State| -> Vec<HostId> {
            let hosts = state.clusters().flat_map(|cluster| state.waiting(cluster.id));
            hosts.map(|view| view.host.id).collect()
        };
        let waiting = self.fleet.read(waiting);
        self.observations.forget_hosts_but(&waiting);
        let mut waiting = waiting.into_iter();
        let mut looking = JoinSet::new();
        loop {
            while looking.len() < HOSTS_AT_ONCE
                && let Some(host) = waiting.next()
            {
                let observer = self.clone();
                looking.spawn(async move { observer.look_around_on(host).await });
            }
            if looking.join_next().await.is_none() {
                return;
            }
        }
    }

    async fn look_around_on(&self, id: HostId) {
        let Some(Around { host, epoch, ports, running }) = self.fleet.read(|state| around(state, id)) else {
            return;
        };
        // What should be there first, since that soon tells whether the host is.
        let others = ports.iter().filter(|port| !running.contains(port));
        let mut to_ask = running.iter().copied().chain(others);
        let (mut asking, mut in_use) = (JoinSet::new(), BTreeSet::new());
        let (address, within) = (host.address, self.options.timeout);
        let at_once = (self.options.at_once / HOSTS_AT_ONCE).max(1);
        loop {
            while asking.len() < at_once
                && let Some(port) = to_ask.next()
            {
                let address = SocketAddr::new(address, port.get());
                asking.spawn(async move { (port, listens(address, within).await) });
            }
            let hindrance = match asking.join_next().await {
                None => break,
                Some(Ok((port, Some(true)))) => {
                    in_use.insert(port);
                    continue;
                }
                Some(Ok((port, Some(false)))) if running.contains(&port) => Hindrance::NotRunning(port),
                Some(Ok((_, Some(false)))) => continue,
                Some(Ok((port, None))) => Hindrance::NoAnswer(port),
                // The task was ended with the runtime.
                Some(Err(_)) => return,
            };
            self.observations.note_hindrance(id, hindrance);
            return;
        }
        let (name, revision) = (host.name, host.revision);
        let command = Command::NoteObserved { host: name.clone(), revision, epoch, ports, in_use };
        match self.fleet.submit(Order { actor: self.principal.clone(), request: None, command }).await {
            Ok(_) => {}
            // Somebody was faster, or changed the host: the next look sees what is so then.
            Err(SubmitError::Refused(refusal))
                if matches!(*refusal, Refusal::Outdated | Refusal::NotFound { .. }) => {}
            Err(error) => tracing::debug!(host = %name, %error, "a look at a host was not noted"),
        }
    }
}

fn around(state: &State, id: HostId) -> Option<Around> {
    let (view, epoch) = (state.host(id)?, state.fleet()?.epoch);
    let runs = |usage: &PortUse| match usage {
        PortUse::Instance(_, id) => {
            state.instance(*id).is_some_and(|it| it.observed.is_some() && it.phase != Phase::Releasing)
        }
        PortUse::Retired(_) => false,
    };
    let running = view.ports.iter().filter(|usage| runs(usage)).map(PortUse::port).collect();
    let ports = state.cluster(view.host.cluster)?.ports;
    Some(Around { host: view.host.clone(), epoch, ports, running })
}
