//! Allocating, resizing, releasing and repairing caches.

use super::{Draft, Outcome, not_found, out_of_range};
use crate::ledger::{Object, PortUse, Refusal, State};
use crate::model::{
    Cache, CacheId, CacheName, Cluster, ClusterName, HostId, Instance, InstanceId, Key, Mib, Phase, Port,
    Principal, Record, TeamId, TeamName, Timestamp,
};
use crate::placement::{self, Placement, Taken};

/// A place for an instance.
type Spot = (HostId, Port);

impl<'a> Draft<'a> {
    pub(super) fn allocate(
        mut self,
        actor: &Principal,
        (team_name, name): (&TeamName, &CacheName),
        cluster: &ClusterName,
        (memory, instances, max_per_rack): (Mib, u16, Option<u16>),
    ) -> Result<Outcome, Refusal> {
        let team = self.team(team_name)?.id;
        let cluster = self.cluster(cluster)?;
        check_shape(cluster, (memory, instances, max_per_rack))?;
        if let Some(cache) = self.state.cache_named(team_name, name) {
            let (object, name) = (Object::Cache, format!("{team_name}/{name}"));
            return Err(Refusal::NameTaken { object, name, releasing: cache.releasing });
        }
        self.check_quota(cluster, team, memory.times(instances.into()))?;
        let spots = self.find_room(cluster, memory, instances, max_per_rack, &[])?;
        let id = CacheId::new(self.fresh_id());
        self.put(Record::Cache(Cache {
            id,
            team,
            name: name.clone(),
            cluster: cluster.id,
            memory,
            instances,
            max_per_rack,
            releasing: false,
            created_at: self.now,
            created_by: actor.clone(),
            revision: self.revision,
        }));
        for (index, spot) in (0..instances).zip(spots) {
            let new = InstanceId::new(self.fresh_id());
            self.start_instance(cluster, new, (id, index), memory, spot);
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
        // Both of a pair that is being moved are resized; what is being given back stays as it is.
        let kept = |it: &&Instance| it.phase != Phase::Releasing;
        let instances: Vec<Instance> = self.state.instances_of(cache.id).filter(kept).cloned().collect();
        let id = cache.id;
        if memory > cache.memory {
            let counted = instances.iter().filter(|it| it.moved_to.is_none()).count();
            let grown = memory.minus(cache.memory).times(counted as u64);
            self.check_quota(cluster, cache.team, grown)?;
            self.check_growth(cluster, &instances, memory)?;
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
            for instance in instances.into_iter().filter(|it| it.phase != Phase::Releasing) {
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
        let missing = self.state.missing_of(cache);
        let count = missing.len() as u16;
        if count > 0 {
            self.check_quota(cluster, cache.team, cache.memory.times(count.into()))?;
            let spots = self.find_room(cluster, cache.memory, count, cache.max_per_rack, &there)?;
            for (index, spot) in missing.iter().zip(spots) {
                let new = InstanceId::new(self.fresh_id());
                self.start_instance(cluster, new, (cache.id, *index), cache.memory, spot);
            }
        }
        let detail = format!("{count} × {}", cache.memory);
        Ok(self.done("cache.replace", target(team_name, name), detail, Key::Cache { id: cache.id }))
    }

    /// Put an instance at a place of a cache on a port of a host.
    pub(super) fn start_instance(
        &mut self,
        cluster: &Cluster,
        id: InstanceId,
        (cache, index): (CacheId, u16),
        memory: Mib,
        (host, port): Spot,
    ) {
        let view = self.state.host(host);
        if let Some(PortUse::Retired(_)) = view.and_then(|view| view.ports.get(&port)) {
            self.remove(Key::RetiredPort { host, port });
        }
        self.put(Record::Instance(Instance {
            id,
            cache,
            index,
            host,
            port,
            memory,
            booked: cluster.policy.overhead.booking(memory),
            phase: Phase::Kept,
            moved_to: None,
            observed: None,
            seen_by: None,
            revision: self.revision,
        }));
    }

    /// Quota counts the memory asked for, until the stop is confirmed.
    fn check_quota(&self, cluster: &Cluster, team: TeamId, asked: Mib) -> Result<(), Refusal> {
        let (limit, used) = (self.state.quota(cluster.id, team), self.state.used(cluster.id, team));
        if used.plus(asked) <= limit {
            return Ok(());
        }
        let team = self.state.team(team).map(|team| team.name.clone());
        Err(Refusal::QuotaExceeded {
            team: team.ok_or_else(|| not_found(Object::Team, ""))?,
            cluster: cluster.name.clone(),
            limit,
            used,
            asked,
            why: None,
        })
    }

    fn find_room(
        &self,
        cluster: &Cluster,
        memory: Mib,
        instances: u16,
        max_per_rack: Option<u16>,
        there: &[Instance],
    ) -> Result<Vec<Spot>, Refusal> {
        let hosts = self.find_hosts(cluster, memory, instances, max_per_rack, there).hosts;
        let spots: Vec<Spot> = hosts
            .into_iter()
            .filter_map(|host| Some((host, self.state.host(host)?.free_port(self.now)?)))
            .collect();
        if spots.len() == usize::from(instances) {
            return Ok(spots);
        }
        Err(Refusal::NoRoom { cluster: cluster.name.clone(), memory, instances, why: None })
    }

    /// Fewer than asked for where there is no room for all.
    fn find_hosts(
        &self,
        cluster: &Cluster,
        memory: Mib,
        instances: u16,
        max_per_rack: Option<u16>,
        there: &[Instance],
    ) -> Placement {
        let need = cluster.policy.overhead.booking(memory);
        let would_book = self.state.booked(cluster.id).plus(need.times(instances.into()));
        if would_book > self.state.may_book(cluster) {
            return Placement::default();
        }
        let rack = |host: HostId| self.state.host(host).and_then(|view| view.host.rack.clone());
        let taken: Vec<Taken> = there.iter().map(|it| (it.host, rack(it.host))).collect();
        let (cluster_id, count) = (cluster.id, instances.into());
        let request = placement::Request { cluster: cluster_id, need, count, taken: &taken, max_per_rack };
        self.state.place(cluster, &request, self.now)
    }

    fn check_growth(&self, cluster: &Cluster, instances: &[Instance], memory: Mib) -> Result<(), Refusal> {
        let need = cluster.policy.overhead.booking(memory);
        let fits = |it: &Instance| need <= it.booked || need <= self.state.may_grow_to(it);
        if instances.iter().all(fits) {
            return Ok(());
        }
        let instances = instances.len() as u16;
        Err(Refusal::NoRoom { cluster: cluster.name.clone(), memory, instances, why: None })
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

/// Whether an allocation in this cluster would be carried out, a name in use apart; and how many hosts were looked at.
pub(in crate::ledger) fn has_room(
    state: &State,
    cluster: &Cluster,
    team: TeamId,
    (memory, instances, max_per_rack): (Mib, u16, Option<u16>),
    now: Timestamp,
) -> (bool, usize) {
    let draft = Draft::new(state, now);
    if check_shape(cluster, (memory, instances, max_per_rack)).is_err()
        || draft.check_quota(cluster, team, memory.times(instances.into())).is_err()
    {
        return (false, 0);
    }
    let Placement { hosts, probes } = draft.find_hosts(cluster, memory, instances, max_per_rack, &[]);
    (hosts.len() == usize::from(instances), probes)
}

fn check_shape(
    cluster: &Cluster,
    (memory, instances, max_per_rack): (Mib, u16, Option<u16>),
) -> Result<(), Refusal> {
    check_size(cluster, memory)?;
    if !(1..=cluster.policy.max_instances).contains(&instances) {
        let rule = format!("from 1 to {} in cluster {}", cluster.policy.max_instances, cluster.name);
        return Err(out_of_range("instances", instances, rule));
    }
    if max_per_rack == Some(0) {
        return Err(out_of_range("max_per_rack", 0, "at least 1"));
    }
    Ok(())
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
