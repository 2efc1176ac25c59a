//! The fleet at one revision, with the indexes that decisions need.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Change, Commit, Head};
use crate::model::{
    Cache, CacheId, CacheName, Cluster, ClusterId, ClusterName, FleetRecord, Host, HostId, HostName,
    HostStatus, Instance, InstanceId, Key, Mib, Port, Principal, Quota, Record, Request, RequestId,
    RetiredPort, Revision, Team, TeamId, TeamName, Timestamp,
};
use crate::placement::{Index, Site};

/// A change that cannot be: the ledger and this state do not belong together, or a store has lost something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ledger contradicts itself: {0}")]
pub struct Inconsistent(pub String);

/// What a port of a host is used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortUse {
    /// An instance has it.
    Instance(InstanceId),
    /// Its last instance is gone.
    Retired(RetiredPort),
}

/// A host and what is on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    /// The host.
    pub host: Host,
    /// Its ports that are or were in use, lowest first.
    pub ports: BTreeMap<Port, PortUse>,
    /// The sum of its instances' bookings, MiB.
    pub booked: Mib,
    /// How many instances it has.
    pub instances: u32,
}

impl HostView {
    /// Memory beyond all bookings, MiB, headroom included.
    #[must_use]
    pub fn free(&self) -> Mib {
        self.host.memory.minus(self.booked)
    }

    /// The port that a new instance gets at `now`: the lowest that was never used; if there is none, the one whose
    /// cool-down ended first.
    #[must_use]
    pub fn free_port(&self, range: crate::model::PortRange, now: Timestamp) -> Option<Port> {
        let open = |port: &Port| !self.host.blocked_ports.contains(port);
        range.iter().filter(open).find(|port| !self.ports.contains_key(port)).or_else(|| {
            self.ports
                .range(range.first..=range.last)
                .filter(|(port, _)| open(port))
                .filter_map(|(port, usage)| match usage {
                    PortUse::Retired(retired) if retired.reusable_at <= now => {
                        Some((retired.reusable_at, *port))
                    }
                    _ => None,
                })
                .min()
                .map(|(_, port)| port)
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct CacheEntry {
    cache: Cache,
    instances: BTreeMap<u16, InstanceId>,
}

/// The fleet at one revision: the fold of its commits. Only [`State::apply`] changes it, and the indexes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    head: Head,
    fleet: Option<FleetRecord>,
    clusters: BTreeMap<ClusterId, Cluster>,
    cluster_names: BTreeMap<ClusterName, ClusterId>,
    hosts: HashMap<HostId, HostView>,
    /// By name without case, since names that differ only there are refused.
    host_names: BTreeMap<String, HostId>,
    cluster_hosts: BTreeSet<(ClusterId, HostId)>,
    teams: BTreeMap<TeamId, Team>,
    team_names: BTreeMap<TeamName, TeamId>,
    quotas: BTreeMap<(ClusterId, TeamId), Quota>,
    used: HashMap<(ClusterId, TeamId), Mib>,
    caches: HashMap<CacheId, CacheEntry>,
    cache_names: BTreeMap<TeamId, BTreeMap<CacheName, CacheId>>,
    cluster_caches: BTreeSet<(ClusterId, CacheId)>,
    instances: HashMap<InstanceId, Instance>,
    requests: HashMap<(Principal, RequestId), Request>,
    requests_by_age: BTreeSet<(Timestamp, Principal, RequestId)>,
    index: Index,
}

impl Default for State {
    fn default() -> Self {
        State {
            head: Head::EMPTY,
            fleet: None,
            clusters: BTreeMap::new(),
            cluster_names: BTreeMap::new(),
            hosts: HashMap::new(),
            host_names: BTreeMap::new(),
            cluster_hosts: BTreeSet::new(),
            teams: BTreeMap::new(),
            team_names: BTreeMap::new(),
            quotas: BTreeMap::new(),
            used: HashMap::new(),
            caches: HashMap::new(),
            cache_names: BTreeMap::new(),
            cluster_caches: BTreeSet::new(),
            instances: HashMap::new(),
            requests: HashMap::new(),
            requests_by_age: BTreeSet::new(),
            index: Index::default(),
        }
    }
}

/// Reading.
impl State {
    /// The last commit that is part of it.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The fleet's own record; `None` in an empty ledger.
    #[must_use]
    pub fn fleet(&self) -> Option<&FleetRecord> {
        self.fleet.as_ref()
    }

    /// Every cluster, by name.
    pub fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.cluster_names.values().filter_map(|id| self.clusters.get(id))
    }

    /// A cluster.
    #[must_use]
    pub fn cluster(&self, id: ClusterId) -> Option<&Cluster> {
        self.clusters.get(&id)
    }

    /// A cluster by name.
    #[must_use]
    pub fn cluster_named(&self, name: &ClusterName) -> Option<&Cluster> {
        self.clusters.get(self.cluster_names.get(name)?)
    }

    /// The hosts of a cluster, by number.
    pub fn hosts_of(&self, cluster: ClusterId) -> impl Iterator<Item = &HostView> {
        self.cluster_hosts
            .range((cluster, HostId::new(0))..)
            .take_while(move |(of, _)| *of == cluster)
            .filter_map(|(_, host)| self.hosts.get(host))
    }

    /// Every host, by name without case.
    pub fn hosts(&self) -> impl Iterator<Item = &HostView> {
        self.host_names.values().filter_map(|id| self.hosts.get(id))
    }

    /// A host.
    #[must_use]
    pub fn host(&self, id: HostId) -> Option<&HostView> {
        self.hosts.get(&id)
    }

    /// A host by its exact name.
    #[must_use]
    pub fn host_named(&self, name: &HostName) -> Option<&HostView> {
        self.host_like(name).filter(|view| view.host.name == *name)
    }

    /// A host whose name is this one but for case.
    pub(super) fn host_like(&self, name: &HostName) -> Option<&HostView> {
        self.hosts.get(self.host_names.get(&name.as_str().to_ascii_lowercase())?)
    }

    /// Every team, by name.
    pub fn teams(&self) -> impl Iterator<Item = &Team> {
        self.team_names.values().filter_map(|id| self.teams.get(id))
    }

    /// A team.
    #[must_use]
    pub fn team(&self, id: TeamId) -> Option<&Team> {
        self.teams.get(&id)
    }

    /// A team by name.
    #[must_use]
    pub fn team_named(&self, name: &TeamName) -> Option<&Team> {
        self.teams.get(self.team_names.get(name)?)
    }

    /// Every quota, by cluster and team number.
    pub fn quotas(&self) -> impl Iterator<Item = &Quota> {
        self.quotas.values()
    }

    /// How much memory a team may ask for in a cluster; zero where none was set.
    #[must_use]
    pub fn quota(&self, cluster: ClusterId, team: TeamId) -> Mib {
        self.quotas.get(&(cluster, team)).map_or(Mib::ZERO, |quota| quota.memory)
    }

    /// What counts against that quota: the memory of the team's instances there, until they are confirmed to have
    /// stopped.
    #[must_use]
    pub fn used(&self, cluster: ClusterId, team: TeamId) -> Mib {
        self.used.get(&(cluster, team)).copied().unwrap_or_default()
    }

    /// Every cache, by team number and name.
    pub fn caches(&self) -> impl Iterator<Item = &Cache> {
        self.cache_names.values().flat_map(BTreeMap::values).filter_map(|id| self.cache(*id))
    }

    /// A team's caches, by name.
    pub fn caches_of(&self, team: TeamId) -> impl Iterator<Item = &Cache> {
        self.cache_names.get(&team).into_iter().flat_map(BTreeMap::values).filter_map(|id| self.cache(*id))
    }

    /// How many caches a cluster has.
    #[must_use]
    pub fn caches_in(&self, cluster: ClusterId) -> usize {
        self.cluster_caches.range((cluster, CacheId::new(0))..).take_while(|(of, _)| *of == cluster).count()
    }

    /// A cache.
    #[must_use]
    pub fn cache(&self, id: CacheId) -> Option<&Cache> {
        self.caches.get(&id).map(|entry| &entry.cache)
    }

    /// A cache by its team and name.
    #[must_use]
    pub fn cache_named(&self, team: &TeamName, name: &CacheName) -> Option<&Cache> {
        self.cache(*self.cache_names.get(self.team_names.get(team)?)?.get(name)?)
    }

    /// The instances of a cache, by index.
    pub fn instances_of(&self, cache: CacheId) -> impl Iterator<Item = &Instance> {
        self.caches
            .get(&cache)
            .into_iter()
            .flat_map(|entry| entry.instances.values())
            .filter_map(|id| self.instances.get(id))
    }

    /// Every instance, in no order.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.instances.values()
    }

    /// An instance.
    #[must_use]
    pub fn instance(&self, id: InstanceId) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// A request that was carried out.
    #[must_use]
    pub fn request(&self, principal: &Principal, id: &RequestId) -> Option<&Request> {
        self.requests.get(&(principal.clone(), id.clone()))
    }

    /// Requests carried out before this moment, oldest first.
    pub(super) fn requests_before(&self, moment: Timestamp) -> impl Iterator<Item = Key> + '_ {
        self.requests_by_age
            .iter()
            .take_while(move |(at, _, _)| *at < moment)
            .map(|(_, principal, id)| Key::Request { principal: principal.clone(), id: id.clone() })
    }

    /// The hosts that take new instances.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The last commit that touched what a host's pillar document says: what is on the host, the host or its cluster.
    #[must_use]
    pub fn document_revision(&self, view: &HostView) -> Revision {
        let cluster = self.clusters.get(&view.host.cluster).map(|cluster| cluster.revision);
        let ports = view.ports.values().filter_map(|usage| match usage {
            PortUse::Instance(id) => self.instances.get(id).map(|instance| instance.revision),
            PortUse::Retired(retired) => Some(retired.revision),
        });
        ports.chain(cluster).fold(view.host.revision, Revision::max)
    }
}

/// Folding.
impl State {
    /// Take a commit in. One that is part of the state already changes nothing.
    ///
    /// # Errors
    /// [`Inconsistent`] if it does not follow on this state; the state is then to be thrown away.
    pub fn fold(&mut self, commit: &Commit) -> Result<(), Inconsistent> {
        if commit.revision <= self.head.revision {
            return Ok(());
        }
        if commit.revision != self.head.revision.next() || commit.previous != self.head.id {
            return Err(Inconsistent(format!(
                "commit {} ({}) does not follow {} ({})",
                commit.revision, commit.id, self.head.revision, self.head.id
            )));
        }
        for change in &commit.changes {
            self.apply(change.clone())?;
        }
        self.head = commit.head();
        Ok(())
    }

    /// Set the end of the ledger, once every record of it was applied.
    pub fn loaded(&mut self, head: Head) {
        self.head = head;
    }

    /// Apply one change and return the change that takes it back. Applying that leaves the state, indexes included,
    /// as it was. O(log n) for everything but a cluster, which is O(hosts of it).
    ///
    /// # Errors
    /// [`Inconsistent`] if the change names what is not there or a port that another instance has; nothing changed.
    pub fn apply(&mut self, change: Change) -> Result<Change, Inconsistent> {
        let key = match &change {
            Change::Put(record) => record.key(),
            Change::Remove(key) => key.clone(),
        };
        let before = match change {
            Change::Put(Record::Fleet(it)) => self.fleet.replace(it).map(Record::Fleet),
            Change::Put(Record::Cluster(it)) => self.put_cluster(it).map(Record::Cluster),
            Change::Put(Record::Host(it)) => self.put_host(it)?.map(Record::Host),
            Change::Put(Record::Team(it)) => self.put_team(it).map(Record::Team),
            Change::Put(Record::Quota(it)) => {
                self.quotas.insert((it.cluster, it.team), it).map(Record::Quota)
            }
            Change::Put(Record::Cache(it)) => self.put_cache(it)?.map(Record::Cache),
            Change::Put(Record::Instance(it)) => self.put_instance(it)?.map(Record::Instance),
            Change::Put(Record::RetiredPort(it)) => self.put_retired(it)?.map(Record::RetiredPort),
            Change::Put(Record::Request(it)) => self.put_request(it).map(Record::Request),
            Change::Remove(ref key) => Some(self.remove(key)?),
        };
        Ok(before.map_or(Change::Remove(key), Change::Put))
    }

    fn remove(&mut self, key: &Key) -> Result<Record, Inconsistent> {
        let record = match key {
            Key::Fleet => self.fleet.take().map(Record::Fleet),
            Key::Cluster { id } => self.remove_cluster(*id).map(Record::Cluster),
            Key::Host { id } => self.remove_host(*id)?.map(Record::Host),
            Key::Team { id } => self.remove_team(*id).map(Record::Team),
            Key::Quota { cluster, team } => self.quotas.remove(&(*cluster, *team)).map(Record::Quota),
            Key::Cache { id } => self.remove_cache(*id)?.map(Record::Cache),
            Key::Instance { id } => self.remove_instance(*id).map(Record::Instance),
            Key::RetiredPort { host, port } => self.remove_retired(*host, *port).map(Record::RetiredPort),
            Key::Request { principal, id } => self.remove_request(principal, id).map(Record::Request),
        };
        record.ok_or_else(|| Inconsistent(format!("{key:?} is not there to be removed")))
    }

    fn put_cluster(&mut self, cluster: Cluster) -> Option<Cluster> {
        let id = cluster.id;
        let before = self.clusters.get(&id).cloned();
        if let Some(before) = &before {
            self.cluster_names.remove(&before.name);
        }
        self.cluster_names.insert(cluster.name.clone(), id);
        self.clusters.insert(id, cluster);
        let hosts: Vec<HostId> = self.hosts_of(id).map(|view| view.host.id).collect();
        hosts.into_iter().for_each(|host| self.reindex(host));
        before
    }

    fn remove_cluster(&mut self, id: ClusterId) -> Option<Cluster> {
        let cluster = self.clusters.remove(&id)?;
        self.cluster_names.remove(&cluster.name);
        Some(cluster)
    }

    fn put_host(&mut self, host: Host) -> Result<Option<Host>, Inconsistent> {
        if !self.clusters.contains_key(&host.cluster) {
            return Err(Inconsistent(format!(
                "host {} is of cluster {}, which is not there",
                host.name, host.cluster
            )));
        }
        let id = host.id;
        let before = self.hosts.get(&id).map(|view| view.host.clone());
        if let Some(before) = &before {
            self.host_names.remove(&before.name.as_str().to_ascii_lowercase());
            self.cluster_hosts.remove(&(before.cluster, id));
        }
        self.host_names.insert(host.name.as_str().to_ascii_lowercase(), id);
        self.cluster_hosts.insert((host.cluster, id));
        match self.hosts.get_mut(&id) {
            Some(view) => view.host = host,
            None => {
                let view = HostView { host, ports: BTreeMap::new(), booked: Mib::ZERO, instances: 0 };
                self.hosts.insert(id, view);
            }
        }
        self.reindex(id);
        Ok(before)
    }

    fn remove_host(&mut self, id: HostId) -> Result<Option<Host>, Inconsistent> {
        if self.hosts.get(&id).is_some_and(|view| !view.ports.is_empty()) {
            return Err(Inconsistent(format!("host {id} is removed while ports of it are known")));
        }
        let Some(view) = self.hosts.remove(&id) else {
            return Ok(None);
        };
        self.host_names.remove(&view.host.name.as_str().to_ascii_lowercase());
        self.cluster_hosts.remove(&(view.host.cluster, id));
        self.index.set(id, None);
        Ok(Some(view.host))
    }

    fn put_team(&mut self, team: Team) -> Option<Team> {
        let before = self.teams.get(&team.id).cloned();
        if let Some(before) = &before {
            self.team_names.remove(&before.name);
        }
        self.team_names.insert(team.name.clone(), team.id);
        self.teams.insert(team.id, team);
        before
    }

    fn remove_team(&mut self, id: TeamId) -> Option<Team> {
        let team = self.teams.remove(&id)?;
        self.team_names.remove(&team.name);
        Some(team)
    }

    fn put_cache(&mut self, cache: Cache) -> Result<Option<Cache>, Inconsistent> {
        if !self.clusters.contains_key(&cache.cluster) || !self.teams.contains_key(&cache.team) {
            return Err(Inconsistent(format!(
                "cache {} is of a cluster or team that is not there",
                cache.id
            )));
        }
        let id = cache.id;
        match self.caches.get_mut(&id) {
            // A cache keeps team, name and cluster for life.
            Some(entry) => Ok(Some(std::mem::replace(&mut entry.cache, cache))),
            None => {
                self.cache_names.entry(cache.team).or_default().insert(cache.name.clone(), id);
                self.cluster_caches.insert((cache.cluster, id));
                self.caches.insert(id, CacheEntry { cache, instances: BTreeMap::new() });
                Ok(None)
            }
        }
    }

    fn remove_cache(&mut self, id: CacheId) -> Result<Option<Cache>, Inconsistent> {
        if self.caches.get(&id).is_some_and(|entry| !entry.instances.is_empty()) {
            return Err(Inconsistent(format!("cache {id} is removed while it has instances")));
        }
        let Some(CacheEntry { cache, .. }) = self.caches.remove(&id) else {
            return Ok(None);
        };
        if let Some(names) = self.cache_names.get_mut(&cache.team) {
            names.remove(&cache.name);
            if names.is_empty() {
                self.cache_names.remove(&cache.team);
            }
        }
        self.cluster_caches.remove(&(cache.cluster, id));
        Ok(Some(cache))
    }

    fn put_instance(&mut self, instance: Instance) -> Result<Option<Instance>, Inconsistent> {
        let Some(entry) = self.caches.get(&instance.cache) else {
            return Err(Inconsistent(format!(
                "instance {} is of cache {}, which is not there",
                instance.id, instance.cache
            )));
        };
        let free = self.hosts.get(&instance.host).map(|view| match view.ports.get(&instance.port) {
            None => true,
            Some(PortUse::Instance(id)) => *id == instance.id,
            Some(PortUse::Retired(_)) => false,
        });
        if free != Some(true) || entry.instances.get(&instance.index).is_some_and(|id| *id != instance.id) {
            return Err(Inconsistent(format!(
                "instance {} cannot have port {} of host {}",
                instance.id, instance.port, instance.host
            )));
        }
        let before = self.remove_instance(instance.id);
        self.count_instance(&instance);
        self.instances.insert(instance.id, instance);
        Ok(before)
    }

    fn count_instance(&mut self, instance: &Instance) {
        if let Some(entry) = self.caches.get_mut(&instance.cache) {
            entry.instances.insert(instance.index, instance.id);
            let used = self.used.entry((entry.cache.cluster, entry.cache.team)).or_default();
            *used = used.plus(instance.memory);
        }
        if let Some(view) = self.hosts.get_mut(&instance.host) {
            view.ports.insert(instance.port, PortUse::Instance(instance.id));
            view.booked = view.booked.plus(instance.booked);
            view.instances += 1;
        }
        self.reindex(instance.host);
    }

    fn remove_instance(&mut self, id: InstanceId) -> Option<Instance> {
        let instance = self.instances.remove(&id)?;
        if let Some(entry) = self.caches.get_mut(&instance.cache) {
            entry.instances.remove(&instance.index);
            let account = (entry.cache.cluster, entry.cache.team);
            let left = self.used(account.0, account.1).minus(instance.memory);
            if left == Mib::ZERO {
                self.used.remove(&account)
            } else {
                self.used.insert(account, left)
            };
        }
        if let Some(view) = self.hosts.get_mut(&instance.host) {
            view.ports.remove(&instance.port);
            view.booked = view.booked.minus(instance.booked);
            view.instances -= 1;
        }
        self.reindex(instance.host);
        Some(instance)
    }

    fn put_retired(&mut self, retired: RetiredPort) -> Result<Option<RetiredPort>, Inconsistent> {
        let Some(view) = self.hosts.get_mut(&retired.host) else {
            return Err(Inconsistent(format!(
                "port {} is of host {}, which is not there",
                retired.port, retired.host
            )));
        };
        match view.ports.get(&retired.port) {
            Some(PortUse::Instance(id)) => Err(Inconsistent(format!(
                "port {} of host {} belongs to instance {id}",
                retired.port, retired.host
            ))),
            _ => match view.ports.insert(retired.port, PortUse::Retired(retired)) {
                Some(PortUse::Retired(before)) => Ok(Some(before)),
                _ => Ok(None),
            },
        }
    }

    fn remove_retired(&mut self, host: HostId, port: Port) -> Option<RetiredPort> {
        let ports = &mut self.hosts.get_mut(&host)?.ports;
        let PortUse::Retired(retired) = ports.get(&port)? else {
            return None;
        };
        let retired = retired.clone();
        ports.remove(&port);
        Some(retired)
    }

    fn put_request(&mut self, request: Request) -> Option<Request> {
        let key = (request.principal.clone(), request.id.clone());
        let before = self.remove_request(&key.0, &key.1);
        self.requests_by_age.insert((request.receipt.at, key.0.clone(), key.1.clone()));
        self.requests.insert(key, request);
        before
    }

    fn remove_request(&mut self, principal: &Principal, id: &RequestId) -> Option<Request> {
        let request = self.requests.remove(&(principal.clone(), id.clone()))?;
        self.requests_by_age.remove(&(request.receipt.at, principal.clone(), id.clone()));
        Some(request)
    }

    /// Tell placement what a host now has to offer.
    fn reindex(&mut self, id: HostId) {
        let site = self.hosts.get(&id).and_then(|view| {
            let cluster = self.clusters.get(&view.host.cluster)?;
            (view.host.status == HostStatus::Active).then(|| Site {
                cluster: cluster.id,
                rack: view.host.rack.clone(),
                free: cluster.policy.open_to_new(view.host.memory).minus(view.booked),
                instances: view.instances,
            })
        });
        self.index.set(id, site);
    }
}
