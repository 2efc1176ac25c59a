//! Hosts: what they are, whether they take new instances, and what happens when one is lost.

use std::net::IpAddr;

use super::{Draft, Outcome, not_found, out_of_range};
use crate::ledger::{HostPatch, HostSpec, HostView, Object, PortUse, Refusal};
use crate::model::{
    Cluster, Counted, FIRST_EPOCH, Host, HostId, HostName, HostStatus, InstanceId, Key, Mib, Reason, Record,
    RetiredPort, Revision, Timestamp,
};

impl Draft<'_> {
    pub(super) fn add_host(mut self, name: &HostName, spec: &HostSpec) -> Result<Outcome, Refusal> {
        self.check_name(name, None)?;
        let address = self.check_address(spec.address, None)?;
        check_memory(spec.memory)?;
        let cluster = self.cluster(&spec.cluster)?;
        // The same machine again, while ports of it must not be issued yet: it keeps its number, and they with it.
        let named = self.state.removed_hosts().find(|view| like(&view.host.name, name));
        let was_there = self.state.removed_hosts().find(|view| view.host.address == address);
        if let (Some(named), Some(other)) = (named, was_there.filter(|view| closed_ports(view, self.now) > 0))
            && named.host.id != other.host.id
        {
            return Err(cools_down(other, self.now));
        }
        let returning = named.or(was_there);
        if let Some(view) = returning {
            self.cool_down_from_now(view, cluster);
        }
        let id = returning.map_or_else(|| HostId::new(self.fresh_id()), |view| view.host.id);
        self.forget_removed_hosts(id);
        let cluster = cluster.id;
        self.put(Record::Host(Host {
            id,
            name: name.clone(),
            cluster,
            address,
            memory: spec.memory,
            rack: spec.rack.clone(),
            status: HostStatus::Active,
            blocked_ports: spec.blocked_ports.clone(),
            // Also of a machine that is added anew: it may have been a host already, between the backup and the restore.
            found_ports: returning.map(|view| view.host.found_ports.clone()).unwrap_or_default(),
            observed_epoch: FIRST_EPOCH,
            served: Revision::default(),
            served_at: None,
            revision: self.revision,
        }));
        Ok(self.done("host.add", target(name), format!("{} at {address}", spec.memory), Key::Host { id }))
    }

    pub(super) fn change_host(mut self, name: &HostName, patch: &HostPatch) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        let mut host = view.host.clone();
        let moves = patch.name.as_ref().is_some_and(|name| *name != host.name)
            || patch.address.is_some_and(|address| address.to_canonical() != host.address)
            || patch
                .cluster
                .as_ref()
                .is_some_and(|cluster| self.cluster(cluster).map(|it| it.id) != Ok(host.cluster));
        if let Some(cluster) = &patch.cluster {
            host.cluster = self.cluster(cluster)?.id;
        }
        if moves {
            empty(view, "move its instances away before you change its name, cluster or address")?;
        }
        if let Some(name) = &patch.name {
            self.check_name(name, Some(host.id))?;
            if self.state.removed_hosts().any(|view| like(&view.host.name, name)) {
                return Err(name_taken(name, true));
            }
            host.name = name.clone();
        }
        if let Some(address) = patch.address {
            host.address = self.check_address(address, Some(host.id))?;
        }
        if host.address != view.host.address {
            // What cools down does so at an address, and is known by its host.
            let was_there = self.state.removed_hosts().filter(|view| view.host.address == host.address);
            let closed = |view: &&HostView| closed_ports(view, self.now) > 0;
            if let Some(view) = was_there.chain([view]).find(closed) {
                return Err(cools_down(view, self.now));
            }
        }
        if host.address != view.host.address || host.cluster != view.host.cluster {
            // Other ports, of which nobody has looked at any.
            host.observed_epoch = FIRST_EPOCH;
            host.found_ports.clear();
        }
        if let Some(memory) = patch.memory {
            check_memory(memory)?;
            host.memory = memory;
        }
        if let Some(rack) = &patch.rack {
            host.rack = rack.clone();
        }
        if let Some(ports) = &patch.blocked_ports {
            host.blocked_ports = ports.clone();
        }
        if let Some(ports) = &patch.found_ports {
            if let Some(port) = ports.difference(&view.host.found_ports).next() {
                return Err(out_of_range("found_ports", port, "one of those that were found: block others"));
            }
            host.found_ports = ports.clone();
        }
        let (id, name) = (host.id, host.name.clone());
        let detail = format!("{} at {}", host.memory, host.address);
        self.put_if_changed(host);
        Ok(self.done("host.change", target(&name), detail, Key::Host { id }))
    }

    pub(super) fn cordon_host(mut self, name: &HostName) -> Result<Outcome, Refusal> {
        let mut host = self.host(name)?.host.clone();
        let id = host.id;
        // A lost host takes no new instances anyway; calling it merely cordoned would say that it is there.
        if host.status == HostStatus::Active {
            host.status = HostStatus::Cordoned;
        }
        self.put_if_changed(host);
        Ok(self.done("host.cordon", target(name), String::new(), Key::Host { id }))
    }

    pub(super) fn uncordon_host(mut self, name: &HostName) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        let mut host = view.host.clone();
        let id = host.id;
        if host.status == HostStatus::Lost {
            let Some(cluster) = self.state.cluster(host.cluster) else {
                return Err(not_found(Object::Cluster, &host.cluster.to_string()));
            };
            self.cool_down_from_now(view, cluster);
        }
        host.status = HostStatus::Active;
        self.stop_plans_of(&host);
        self.put_if_changed(host);
        Ok(self.done("host.uncordon", target(name), String::new(), Key::Host { id }))
    }

    pub(super) fn remove_host(mut self, name: &HostName) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        empty(view, "release or move its instances first, and wait until they have stopped")?;
        let id = view.host.id;
        if closed_ports(view, self.now) > 0 {
            self.put(Record::Host(Host {
                status: HostStatus::Removed,
                revision: self.revision,
                ..view.host.clone()
            }));
        } else {
            self.forget_host(view);
        }
        self.forget_removed_hosts(id);
        Ok(self.done("host.remove", target(name), String::new(), Key::Host { id }))
    }

    pub(super) fn lose_host(mut self, name: &HostName, reason: &Reason) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        let id = view.host.id;
        let host = Host { status: HostStatus::Lost, ..view.host.clone() };
        let lost: Vec<InstanceId> = (view.ports.iter())
            .filter_map(|usage| match usage {
                PortUse::Instance(_, id) => Some(*id),
                PortUse::Retired(_) => None,
            })
            .collect();
        let detail = format!("{}: {reason}", Counted(lost.len(), "instance"));
        // Ports that were cooling down here may still be served by a process nobody can see.
        let retired: Vec<RetiredPort> = (view.ports.iter())
            .filter_map(|usage| match usage {
                PortUse::Retired(retired) if retired.reusable_at > self.now => {
                    Some(RetiredPort::clone(retired))
                }
                _ => None,
            })
            .collect();
        for retired in retired {
            if retired.reusable_at != Timestamp::NEVER {
                let revision = self.revision;
                self.put(Record::RetiredPort(RetiredPort {
                    reusable_at: Timestamp::NEVER,
                    revision,
                    ..retired
                }));
            }
        }
        for instance in lost.into_iter().filter_map(|id| self.state.instance(id)) {
            self.end_instance(instance, Timestamp::NEVER);
        }
        self.put_if_changed(host);
        Ok(self.done("host.lose", target(name), detail, Key::Host { id }))
    }

    /// What a host that comes back had may still run there until its tombstones arrive.
    fn cool_down_from_now(&mut self, view: &HostView, cluster: &Cluster) {
        let reusable_at = self.now.after(cluster.policy.cool_down());
        for usage in view.ports.iter() {
            if let PortUse::Retired(retired) = usage
                && retired.reusable_at == Timestamp::NEVER
            {
                let revision = self.revision;
                self.put(Record::RetiredPort(RetiredPort {
                    reusable_at,
                    revision,
                    ..RetiredPort::clone(retired)
                }));
            }
        }
    }

    /// The host and what is remembered of its ports.
    pub(super) fn forget_host(&mut self, view: &HostView) {
        let id = view.host.id;
        for usage in &view.ports {
            self.remove(Key::RetiredPort { host: id, port: usage.port() });
        }
        self.remove(Key::Host { id });
    }

    /// Hosts that were removed and have no port left that must not be issued; a few with each command, so that none
    /// grows without bound.
    fn forget_removed_hosts(&mut self, but: HostId) {
        let now = self.now;
        let open = |view: &&HostView| view.host.id != but && closed_ports(view, now) == 0;
        for view in self.state.removed_hosts().filter(open).take(8) {
            self.forget_host(view);
        }
    }

    pub(super) fn put_if_changed(&mut self, host: Host) {
        if self.state.host(host.id).is_none_or(|view| view.host != host) {
            self.put(Record::Host(Host { revision: self.revision, ..host }));
        }
    }

    fn check_name(&self, name: &HostName, own: Option<HostId>) -> Result<(), Refusal> {
        match self.state.host_like(name) {
            Some(view) if Some(view.host.id) != own => Err(name_taken(&view.host.name, false)),
            _ => Ok(()),
        }
    }

    /// The address in its plain form, if it is of one host and of no other: two hosts at one address would give two
    /// teams the same endpoint.
    fn check_address(&self, address: IpAddr, own: Option<HostId>) -> Result<IpAddr, Refusal> {
        let address = address.to_canonical();
        let of_one_host = match address {
            IpAddr::V4(v4) => v4.octets()[0] != 0 && v4.octets()[0] < 224,
            IpAddr::V6(v6) => !v6.is_unspecified() && !v6.is_multicast() && !v6.is_unicast_link_local(),
        };
        if !of_one_host {
            return Err(out_of_range("address", address, "the address of one host"));
        }
        match self.state.host_at(address) {
            Some(view) if Some(view.host.id) != own => {
                Err(Refusal::AddressTaken { address, host: view.host.name.clone() })
            }
            _ => Ok(address),
        }
    }
}

/// Ports of a host that must not be issued yet.
fn closed_ports(view: &HostView, now: Timestamp) -> usize {
    let closed = |usage: &&PortUse| match usage {
        PortUse::Retired(retired) => retired.reusable_at > now,
        PortUse::Instance(..) => true,
    };
    view.ports.iter().filter(closed).count()
}

fn cools_down(view: &HostView, now: Timestamp) -> Refusal {
    let Host { address, name, .. } = &view.host;
    Refusal::AddressCoolsDown { address: *address, host: name.clone(), ports: closed_ports(view, now) }
}

fn like(one: &HostName, other: &HostName) -> bool {
    one.as_str().eq_ignore_ascii_case(other.as_str())
}

fn name_taken(name: &HostName, releasing: bool) -> Refusal {
    Refusal::NameTaken { object: Object::Host, name: name.to_string(), releasing }
}

fn empty(view: &HostView, todo: &'static str) -> Result<(), Refusal> {
    if view.instances == 0 {
        return Ok(());
    }
    let by = Counted(view.instances, "instance").to_string();
    Err(Refusal::InUse { object: Object::Host, name: view.host.name.to_string(), by, todo })
}

fn check_memory(memory: Mib) -> Result<(), Refusal> {
    if memory > Mib::MAX_HOST {
        return Err(out_of_range("memory_mib", memory.get(), format!("at most {}", Mib::MAX_HOST.get())));
    }
    Ok(())
}

fn target(name: &HostName) -> String {
    format!("host:{name}")
}
