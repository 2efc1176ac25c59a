//! What moves an instance on: observations, and the word of an operator.

use std::collections::BTreeSet;

use super::cache::target;
use super::{Draft, Outcome, not_found};
use crate::ledger::{Object, PortUse, Refusal, Seen};
use crate::model::{
    CacheName, Host, HostName, Instance, InstanceId, Key, Phase, Port, PortRange, Reason, Record,
    RetiredPort, Revision, TeamName, Timestamp,
};

impl Draft<'_> {
    pub(super) fn confirm(
        mut self,
        id: InstanceId,
        revision: Revision,
        seen: Seen,
    ) -> Result<Outcome, Refusal> {
        let instance = self.state.instance(id).ok_or_else(|| not_found(Object::Instance, &id.to_string()))?;
        if instance.revision != revision {
            return Err(Refusal::Outdated);
        }
        let (target, name) = self.describe(instance);
        let subject = Key::Instance { id };
        match seen {
            Seen::Running { memory, within, observer } => {
                let mut after = instance.clone();
                after.observed = Some(memory);
                after.seen_by = after.seen_by.or(Some(observer));
                if after.phase == Phase::Shrinking && memory == after.memory && within {
                    let cache = self.state.cache(after.cache);
                    let cluster = cache.and_then(|cache| self.state.cluster(cache.cluster));
                    // A rule of booking that grew meanwhile must not book more than the host was asked for.
                    let need = cluster.map(|cluster| cluster.policy.overhead.booking(memory));
                    after.booked = need.unwrap_or(after.booked).min(after.booked);
                    after.phase = Phase::Kept;
                }
                if after != *instance {
                    self.put(Record::Instance(Instance { revision: self.revision, ..after }));
                }
                Ok(self.done("instance.running", target, format!("{name} with {memory}"), subject))
            }
            Seen::Stopped => {
                let served = self.state.host(instance.host).map(|view| view.host.served);
                if instance.phase != Phase::Releasing
                    || served.is_none_or(|served| served < instance.revision)
                {
                    return Err(Refusal::NotReleasing { name });
                }
                self.stop_instance(instance);
                Ok(self.done("instance.stopped", target, name, subject))
            }
        }
    }

    pub(super) fn state_stopped(
        mut self,
        team: &TeamName,
        cache: &CacheName,
        index: u16,
        reason: &Reason,
    ) -> Result<Outcome, Refusal> {
        let id = self.cache(team, cache)?.id;
        let mut there = self.state.instances_of(id).filter(|instance| instance.index == index);
        let first = there.next();
        let instance = first.filter(|it| it.phase == Phase::Releasing).or_else(|| there.next()).or(first);
        let instance = instance.ok_or_else(|| not_found(Object::Instance, &format!("{cache}.{index}")))?;
        let (target, name) = self.describe(instance);
        if instance.phase != Phase::Releasing {
            return Err(Refusal::NotReleasing { name });
        }
        let subject = Key::Instance { id: instance.id };
        self.stop_instance(instance);
        Ok(self.done("instance.stated-stopped", target, format!("{name}: {reason}"), subject))
    }

    pub(super) fn note_served(mut self, name: &HostName, document: Revision) -> Result<Outcome, Refusal> {
        let host = &self.host(name)?.host;
        let id = host.id;
        if host.served < document {
            // Not a change of the host's own record: its revision, and with it the document's, stays.
            let served_at = Some(self.now);
            self.put(Record::Host(Host { served: document, served_at, ..host.clone() }));
        }
        Ok(self.done("host.served", format!("host:{name}"), format!("document {document}"), Key::Host { id }))
    }

    pub(super) fn note_observed(
        mut self,
        name: &HostName,
        (revision, epoch, ports): (Revision, u32, PortRange),
        in_use: &BTreeSet<Port>,
    ) -> Result<Outcome, Refusal> {
        let view = self.host(name)?;
        let host = &view.host;
        let looked_at = self.state.cluster(host.cluster).is_some_and(|cluster| cluster.ports == ports);
        let now = self.state.fleet().map(|fleet| fleet.epoch);
        if host.revision != revision || now != Some(epoch) || !looked_at {
            return Err(Refusal::Outdated);
        }
        let mut after = host.clone();
        after.observed_epoch = epoch;
        // A retired port is no instance of the ledger any more: what is there may have got it since the backup.
        let unknown = |port: &&Port| !matches!(view.ports.get(port), Some(PortUse::Instance(..)));
        let found: Vec<Port> =
            in_use.iter().filter(unknown).filter(|port| !host.blocks(**port)).copied().collect();
        let detail = match found[..] {
            [] => "nothing unknown listens there".to_owned(),
            _ => format!("unknown on {}", found.iter().map(Port::to_string).collect::<Vec<_>>().join(", ")),
        };
        after.found_ports.extend(found);
        let id = after.id;
        self.put_if_changed(after);
        Ok(self.done("host.observed", format!("host:{name}"), detail, Key::Host { id }))
    }

    pub(super) fn state_observed(mut self, name: &HostName, reason: &Reason) -> Result<Outcome, Refusal> {
        let mut host = self.host(name)?.host.clone();
        let id = host.id;
        host.observed_epoch = self.state.fleet().map_or(host.observed_epoch, |fleet| fleet.epoch);
        self.put_if_changed(host);
        Ok(self.done("host.stated-observed", format!("host:{name}"), reason.to_string(), Key::Host { id }))
    }

    /// The instance has stopped: its port cools down.
    fn stop_instance(&mut self, instance: &Instance) {
        let cache = self.state.cache(instance.cache);
        let cluster = cache.and_then(|cache| self.state.cluster(cache.cluster));
        let cool_down = cluster.map(|cluster| cluster.policy.cool_down()).unwrap_or_default();
        self.end_instance(instance, self.now.after(cool_down));
    }

    /// The instance is no more; its port may be issued again from then on, and a cache that was being given back is
    /// gone with its last.
    pub(super) fn end_instance(&mut self, instance: &Instance, reusable_at: Timestamp) {
        self.remove(Key::Instance { id: instance.id });
        let (host, port, id, revision) = (instance.host, instance.port, instance.id, self.revision);
        self.put(Record::RetiredPort(RetiredPort { host, port, instance: id, reusable_at, revision }));
        self.end_moves(instance);
        let last = self.state.instances_of(instance.cache).count() == 1;
        if last && self.state.cache(instance.cache).is_some_and(|cache| cache.releasing) {
            self.remove(Key::Cache { id: instance.cache });
        }
    }

    pub(super) fn describe(&self, instance: &Instance) -> (String, String) {
        let cache = self.state.cache(instance.cache);
        let team = cache.and_then(|cache| self.state.team(cache.team));
        match (cache, team) {
            (Some(cache), Some(team)) => {
                (target(&team.name, &cache.name), format!("{}.{}", cache.name, instance.index))
            }
            _ => (format!("instance:{}", instance.id), instance.id.to_string()),
        }
    }
}
