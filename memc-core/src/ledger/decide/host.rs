//! Hosts: what they are, whether they take new instances, and what happens when one is lost.

use std::net::IpAddr;

use super::{Draft, Outcome, not_found, out_of_range};
use crate::ledger::{HostPatch, HostSpec, HostView, Object, PortUse, Refusal};
use crate::model::{
    Host, HostId, HostName, HostStatus, InstanceId, Key, Mib, Reason, Record, RetiredPort, Revision,
    Timestamp,
};

impl Draft<'_> {
    pub(super) fn add_host(mut self, name: &HostName, spec: &HostSpec) -> Result<Outcome, Refusal> {
        self.check_name(name, None)?;
        check_address(spec.address)?;
        check_memory(spec.memory)?;
        let cluster = self.cluster(&spec.cluster)?.id;
        let id = HostId::new(self.fresh_id());
        self.put(Record::Host(Host {
            id,
            name: name.clone(),
            cluster,
            address: spec.address,
            memory: spec.memory,
            rack: spec.rack.clone(),
            status: HostStatus::Active,
            blocked_ports: spec.blocked_ports.clone(),
            served: Revision::default(),
            served_at: None,
            revision: self.revision,
        }));
        Ok(self.done(
            "host.add",
            target(name),
            format!("{} at {}", spec.memory, spec.address),
            Key::Host { id },
        ))
    }

    pub(super) fn change_host(mut self, name: &HostName, patch: &HostPatch) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        let mut host = view.host.clone();
        let moves = patch.name.as_ref().is_some_and(|name| *name != host.name)
            || patch.address.is_some_and(|address| address != host.address)
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
            host.name = name.clone();
        }
        if let Some(address) = patch.address {
            check_address(address)?;
            host.address = address;
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
            // What it had may still run there until its tombstones arrive: cool down from now on.
            let Some(cluster) = self.state.cluster(host.cluster) else {
                return Err(not_found(Object::Cluster, &host.cluster.to_string()));
            };
            let reusable_at = self.now.after(cluster.policy.cool_down());
            for usage in view.ports.values() {
                if let PortUse::Retired(retired) = usage
                    && retired.reusable_at == Timestamp::NEVER
                {
                    let record = RetiredPort { reusable_at, revision: self.revision, ..retired.clone() };
                    self.changes.push(crate::ledger::Change::Put(Record::RetiredPort(record)));
                }
            }
        }
        host.status = HostStatus::Active;
        self.put_if_changed(host);
        Ok(self.done("host.uncordon", target(name), String::new(), Key::Host { id }))
    }

    pub(super) fn remove_host(mut self, name: &HostName) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        empty(view, "release or move its instances first, and wait until they have stopped")?;
        let id = view.host.id;
        let retired: Vec<Key> =
            view.ports.keys().map(|port| Key::RetiredPort { host: id, port: *port }).collect();
        retired.into_iter().for_each(|key| self.remove(key));
        self.remove(Key::Host { id });
        Ok(self.done("host.remove", target(name), String::new(), Key::Host { id }))
    }

    pub(super) fn lose_host(mut self, name: &HostName, reason: &Reason) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        let id = view.host.id;
        let host = Host { status: HostStatus::Lost, ..view.host.clone() };
        let lost: Vec<InstanceId> = (view.ports.values())
            .filter_map(|usage| match usage {
                PortUse::Instance(id) => Some(*id),
                PortUse::Retired(_) => None,
            })
            .collect();
        let detail = format!("{} instances: {reason}", lost.len());
        // Ports that were cooling down here may still be served by a process nobody can see.
        let retired: Vec<RetiredPort> = (view.ports.values())
            .filter_map(|usage| match usage {
                PortUse::Retired(retired) if retired.reusable_at > self.now => Some(retired.clone()),
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

    fn put_if_changed(&mut self, host: Host) {
        if self.state.host(host.id).is_none_or(|view| view.host != host) {
            self.put(Record::Host(Host { revision: self.revision, ..host }));
        }
    }

    fn check_name(&self, name: &HostName, own: Option<HostId>) -> Result<(), Refusal> {
        match self.state.host_like(name) {
            Some(view) if Some(view.host.id) != own => Err(Refusal::NameTaken {
                object: Object::Host,
                name: view.host.name.to_string(),
                releasing: false,
            }),
            _ => Ok(()),
        }
    }
}

fn empty(view: &HostView, todo: &'static str) -> Result<(), Refusal> {
    if view.instances == 0 {
        return Ok(());
    }
    let by = format!("{} instances", view.instances);
    Err(Refusal::InUse { object: Object::Host, name: view.host.name.to_string(), by, todo })
}

fn check_address(address: IpAddr) -> Result<(), Refusal> {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_unspecified() || address.is_multicast() || broadcast {
        return Err(out_of_range("address", address, "the address of one host"));
    }
    Ok(())
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
