//! Allocating, resizing, releasing and repairing caches.

use super::{Draft, Outcome, not_found, out_of_range};
use crate::ledger::{Blocker, HostView, Object, PortUse, Refusal};
use crate::model::{
    Cache, CacheId, CacheName, Cluster, ClusterName, HostId, HostStatus, Instance, InstanceId, Key, Mib,
    Phase, Port, Principal, Record, TeamId, TeamName,
};
use crate::placement::{Spot, Taken};

impl<'a> Draft<'a> {
    pub(super) fn allocate(
        mut self,
        actor: &Principal,
        team_name: &TeamName,
        name: &CacheName,
        cluster: &ClusterName,
        memory: Mib,
        instances: u16,
    ) -> Result<Outcome, Refusal> {
        let team = self.team(team_name)?.id;
        let cluster = self.cluster(cluster)?;
        check_size(cluster, memory)?;
        if !(1..=cluster.policy.max_instances).contains(&instances) {
            let rule = format!("from 1 to {} in cluster {}", cluster.policy.max_instances, cluster.name);
            return Err(out_of_range("instances", instances, rule));
        }
        if let Some(cache) = self.state.cache_named(team_name, name) {
            let (object, name) = (Object::Cache, format!("{team_name}/{name}"));
            return Err(Refusal::NameTaken { object, name, releasing: cache.releasing });
        }
        self.check_quota(cluster, team, memory.times(instances.into()), instances, &[])?;
        let spots = self.find_room(cluster, team, memory, instances, &[])?;
        let id = CacheId::new(self.fresh_id());
        self.put(Record::Cache(Cache {
            id,
            team,
            name: name.clone(),
            cluster: cluster.id,
            memory,
            instances,
            max_per_rack: None,
            releasing: false,
            created_at: self.now,
            created_by: actor.clone(),
            revision: self.revision,
        }));
        for (index, spot) in (0..instances).zip(spots) {
            self.start_instance(cluster, id, index, memory, spot);
        }
        let detail = format!("{instances} × {memory} in {}", cluster.name);
        Ok(self.done("cache.allocate", target(team_name, name), detail, Key::Cache { id }))
    }

    pub(super) fn resize(
        mut self,
        team_name: &TeamName,
        name: &CacheName,
        memory: Mib,
    ) -> Result<Outcome, Refusal> {
        let cache = self.kept_cache(team_name, name)?;
        let cluster = self.cluster_of(cache)?;
        check_size(cluster, memory)?;
        let instances: Vec<Instance> = self.state.instances_of(cache.id).cloned().collect();
        let id = cache.id;
        if memory > cache.memory {
            let grown = memory.minus(cache.memory).times(instances.len() as u64);
            self.check_quota(cluster, cache.team, grown, instances.len() as u16, &instances)?;
            self.check_growth(cluster, cache, &instances, memory)?;
        }
        if memory != cache.memory {
            let need = cluster.policy.overhead.booking(memory);
            for instance in instances {
                // Until the process is seen to have given memory back, what it had stays booked; and a rule of booking
                // that has grown since does not make a smaller instance book more.
                let booked =
                    if memory > instance.memory { instance.booked.max(need) } else { instance.booked };
                let shrinks = memory < instance.memory || instance.phase == Phase::Shrinking;
                let phase = if shrinks && need < booked { Phase::Shrinking } else { Phase::Kept };
                self.put(Record::Instance(Instance {
                    memory,
                    booked,
                    phase,
                    revision: self.revision,
                    ..instance
                }));
            }
            self.put(Record::Cache(Cache { memory, revision: self.revision, ..cache.clone() }));
        }
        let detail = format!("{} to {memory}", cache.memory);
        Ok(self.done("cache.resize", target(team_name, name), detail, Key::Cache { id }))
    }

    pub(super) fn release(mut self, team_name: &TeamName, name: &CacheName) -> Result<Outcome, Refusal> {
        let cache = self.cache(team_name, name)?;
        let id = cache.id;
        if !cache.releasing {
            let instances: Vec<Instance> = self.state.instances_of(id).cloned().collect();
            let gone = instances.is_empty();
            for instance in instances {
                let (phase, revision) = (Phase::Releasing, self.revision);
                self.put(Record::Instance(Instance { phase, revision, ..instance }));
            }
            if gone {
                self.remove(Key::Cache { id });
            } else {
                self.put(Record::Cache(Cache { releasing: true, revision: self.revision, ..cache.clone() }));
            }
        }
        let detail = format!("{} × {}", cache.instances, cache.memory);
        Ok(self.done("cache.release", target(team_name, name), detail, Key::Cache { id }))
    }

    pub(super) fn replace(mut self, team_name: &TeamName, name: &CacheName) -> Result<Outcome, Refusal> {
        let cache = self.kept_cache(team_name, name)?;
        let cluster = self.cluster_of(cache)?;
        let there: Vec<Instance> = self.state.instances_of(cache.id).cloned().collect();
        let missing: Vec<u16> =
            (0..cache.instances).filter(|index| there.iter().all(|it| it.index != *index)).collect();
        let count = missing.len() as u16;
        if count > 0 {
            self.check_quota(cluster, cache.team, cache.memory.times(count.into()), count, &[])?;
            let spots = self.find_room(cluster, cache.team, cache.memory, count, &there)?;
            for (index, spot) in missing.iter().zip(spots) {
                self.start_instance(cluster, cache.id, *index, cache.memory, spot);
            }
        }
        let detail = format!("{count} × {}", cache.memory);
        Ok(self.done("cache.replace", target(team_name, name), detail, Key::Cache { id: cache.id }))
    }

    fn start_instance(&mut self, cluster: &Cluster, cache: CacheId, index: u16, memory: Mib, spot: Spot) {
        let view = self.state.host(spot.host);
        if let Some(PortUse::Retired(_)) = view.and_then(|view| view.ports.get(&spot.port)) {
            self.remove(Key::RetiredPort { host: spot.host, port: spot.port });
        }
        let id = InstanceId::new(self.fresh_id());
        self.put(Record::Instance(Instance {
            id,
            cache,
            index,
            host: spot.host,
            port: spot.port,
            memory,
            booked: cluster.policy.overhead.booking(memory),
            phase: Phase::Kept,
            moved_to: None,
            observed: None,
            seen_by: None,
            revision: self.revision,
        }));
    }

    /// Quota counts the memory asked for, until the stop is confirmed. `kept` are the instances that would grow.
    fn check_quota(
        &self,
        cluster: &Cluster,
        team: TeamId,
        asked: Mib,
        instances: u16,
        kept: &[Instance],
    ) -> Result<(), Refusal> {
        let (limit, used) = (self.state.quota(cluster.id, team), self.state.used(cluster.id, team));
        if used.plus(asked) <= limit {
            return Ok(());
        }
        let by_quota = quota_share(limit, used, instances, kept);
        let by_room = if kept.is_empty() {
            self.largest_new(cluster, instances, &[])
        } else {
            self.largest_grown(cluster, kept)
        };
        let team = self.state.team(team).map(|team| team.name.clone());
        Err(Refusal::QuotaExceeded {
            team: team.ok_or_else(|| not_found(Object::Team, ""))?,
            cluster: cluster.name.clone(),
            limit,
            used,
            asked,
            largest: usable(cluster, by_quota.min(by_room).max(kept_already(kept))),
        })
    }

    fn find_room(
        &self,
        cluster: &Cluster,
        team: TeamId,
        memory: Mib,
        instances: u16,
        there: &[Instance],
    ) -> Result<Vec<Spot>, Refusal> {
        let taken = self.taken(there);
        let need = cluster.policy.overhead.booking(memory);
        let index = self.state.index();
        let count = usize::from(instances);
        let spots = index.place(cluster.id, need, count, &taken, |host| self.free_port(cluster, host));
        if spots.len() == count {
            return Ok(spots);
        }
        let with_memory = index.place(cluster.id, need, count, &taken, |_| Some(Port::MAX)).len();
        let usable_hosts = index.place(cluster.id, Mib::ZERO, count, &taken, |_| Some(Port::MAX)).len();
        let blocker = if usable_hosts < count {
            Blocker::Hosts
        } else if with_memory < count {
            Blocker::Memory
        } else {
            Blocker::Ports
        };
        let limit = self.state.quota(cluster.id, team);
        let by_quota = quota_share(limit, self.state.used(cluster.id, team), instances, &[]);
        let largest = usable(cluster, by_quota.min(self.largest_new(cluster, instances, there)));
        Err(Refusal::NoRoom { cluster: cluster.name.clone(), memory, instances, blocker, largest })
    }

    fn check_growth(
        &self,
        cluster: &Cluster,
        cache: &Cache,
        instances: &[Instance],
        memory: Mib,
    ) -> Result<(), Refusal> {
        let need = cluster.policy.overhead.booking(memory);
        let fits = |instance: &Instance| need <= instance.booked || need <= self.may_book(instance);
        if instances.iter().all(fits) {
            return Ok(());
        }
        let (limit, used) =
            (self.state.quota(cluster.id, cache.team), self.state.used(cluster.id, cache.team));
        let by_quota = quota_share(limit, used, instances.len() as u16, instances);
        Err(Refusal::NoRoom {
            cluster: cluster.name.clone(),
            memory,
            instances: instances.len() as u16,
            blocker: Blocker::Memory,
            largest: usable(
                cluster,
                by_quota.min(self.largest_grown(cluster, instances)).max(kept_already(instances)),
            ),
        })
    }

    /// What an instance could book where it is, MiB: growing may use what is kept from new instances.
    fn may_book(&self, instance: &Instance) -> Mib {
        match self.state.host(instance.host) {
            Some(view) if view.host.status != HostStatus::Lost => instance.booked.plus(view.free()),
            _ => instance.booked,
        }
    }

    /// The largest memory that each of these could grow to where it is.
    fn largest_grown(&self, cluster: &Cluster, instances: &[Instance]) -> Mib {
        let booked = instances.iter().map(|instance| self.may_book(instance)).min().unwrap_or_default();
        cluster.policy.overhead.largest_within(booked)
    }

    /// The largest memory of that many new instances on hosts other than these have.
    fn largest_new(&self, cluster: &Cluster, instances: u16, there: &[Instance]) -> Mib {
        let free = self
            .state
            .index()
            .largest(cluster.id, instances.into(), &self.taken(there), |host| self.free_port(cluster, host));
        cluster.policy.overhead.largest_within(free)
    }

    fn taken(&self, there: &[Instance]) -> Vec<Taken> {
        let rack = |host: HostId| self.state.host(host).and_then(|view| view.host.rack.clone());
        there.iter().map(|instance| (instance.host, rack(instance.host))).collect()
    }

    fn free_port(&self, cluster: &Cluster, host: HostId) -> Option<Port> {
        self.state.host(host).and_then(|view: &HostView| view.free_port(cluster.ports, self.now))
    }

    fn kept_cache(&self, team: &TeamName, name: &CacheName) -> Result<&'a Cache, Refusal> {
        let cache = self.cache(team, name)?;
        if cache.releasing {
            return Err(Refusal::Releasing { team: team.clone(), name: name.clone() });
        }
        Ok(cache)
    }

    pub(super) fn cluster_of(&self, cache: &Cache) -> Result<&'a Cluster, Refusal> {
        self.state
            .cluster(cache.cluster)
            .ok_or_else(|| not_found(Object::Cluster, &cache.cluster.to_string()))
    }
}

/// The most memory of each of `instances` that a quota leaves; what `kept` have already is theirs.
fn quota_share(limit: Mib, used: Mib, instances: u16, kept: &[Instance]) -> Mib {
    let others = used.minus(kept.iter().map(|instance| instance.memory).sum());
    Mib::capped(limit.minus(others).get() / u64::from(instances.max(1)))
}

/// The size that these have: keeping it or going below is never refused.
fn kept_already(kept: &[Instance]) -> Mib {
    kept.iter().map(|instance| instance.memory).min().unwrap_or_default()
}

/// As far as a cluster allows an instance of this size; zero if it is too small to be one.
fn usable(cluster: &Cluster, memory: Mib) -> Mib {
    let memory = memory.min(cluster.policy.max_instance_mib);
    if memory < Mib::MIN_INSTANCE { Mib::ZERO } else { memory }
}

fn check_size(cluster: &Cluster, memory: Mib) -> Result<(), Refusal> {
    let range = Mib::MIN_INSTANCE..=cluster.policy.max_instance_mib;
    if range.contains(&memory) {
        return Ok(());
    }
    let rule = format!("from {} to {} in cluster {}", range.start().get(), range.end().get(), cluster.name);
    Err(out_of_range("memory_mib", memory.get(), rule))
}

pub(super) fn target(team: &TeamName, name: &CacheName) -> String {
    format!("cache:{team}/{name}")
}
