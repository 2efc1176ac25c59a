//! Taking commits in, and changes back.

use std::collections::btree_map::Entry;

use super::ports::OpenPorts;
use super::recent::Touched;
use super::{CacheEntry, HostView, Inconsistent, PortUse, Ports, State, Totals};
use crate::ledger::{Change, Commit, Head};
use crate::model::{
    Cache, CacheId, Cluster, ClusterId, FIRST_EPOCH, FleetRecord, Host, HostId, HostName, HostStatus,
    Instance, InstanceId, Key, Mib, Plan, Port, Principal, Record, Request, RequestId, RetiredPort, Team,
    TeamId, Timestamp,
};
use crate::placement::{Offer, Site};

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
        self.loaded(commit.head());
        Ok(())
    }

    /// An empty state for every record of a ledger to be applied to: placement finds no host until it is
    /// [`loaded`](State::loaded). Telling it then of each host once, instead of each instance, halves what loading
    /// takes.
    #[must_use]
    pub fn loading() -> Self {
        State { loading: true, ..State::default() }
    }

    /// Set the end of the ledger, once every record of it was applied.
    pub fn loaded(&mut self, head: Head) {
        self.head = head;
        self.index.pass(head.at);
        if std::mem::take(&mut self.loading) {
            let hosts: Vec<HostId> = self.hosts.values().map(|view| view.host.id).collect();
            hosts.into_iter().for_each(|host| self.reindex(host));
        }
    }

    /// This is the time by which the next commands are decided: hosts whose next port has cooled down by now are found
    /// faster. It may be before the one that was told last, though not before the last commit's, where a clock was set back
    /// after a turn that came to nothing; that costs O(hosts).
    pub fn pass(&mut self, now: Timestamp) {
        let now = now.max(self.head.at);
        self.index.go_back(now);
        self.index.pass(now);
    }

    /// Apply one change and return the change that takes it back. Applying that leaves the state, indexes included,
    /// as it was. O(log n) for everything but a cluster, which is O(hosts of it),
    /// and the fleet's epoch, which is O(hosts).
    ///
    /// # Errors
    /// [`Inconsistent`] if the change names what is not there or a port that another instance has; nothing changed.
    pub fn apply(&mut self, change: Change) -> Result<Change, Inconsistent> {
        let key = match &change {
            Change::Put(record) => record.key(),
            Change::Remove(key) => key.clone(),
        };
        let before = match change {
            Change::Put(Record::Fleet(it)) => self.put_fleet(it).map(Record::Fleet),
            Change::Put(Record::Cluster(it)) => self.put_cluster(it).map(Record::Cluster),
            Change::Put(Record::Host(it)) => self.put_host(it)?.map(Record::Host),
            Change::Put(Record::Team(it)) => self.put_team(it).map(Record::Team),
            Change::Put(Record::Quota(it)) => {
                self.recent.touch(Touched::Cluster(it.cluster));
                self.quotas.insert((it.cluster, it.team), it).map(Record::Quota)
            }
            Change::Put(Record::Cache(it)) => self.put_cache(it)?.map(Record::Cache),
            Change::Put(Record::Instance(it)) => self.put_instance(it)?.map(Record::Instance),
            Change::Put(Record::RetiredPort(it)) => self.put_retired(it)?.map(Record::RetiredPort),
            Change::Put(Record::Plan(it)) => self.put_plan(it)?.map(Record::Plan),
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
            Key::Quota { cluster, team } => {
                self.recent.touch(Touched::Cluster(*cluster));
                self.quotas.remove(&(*cluster, *team)).map(Record::Quota)
            }
            Key::Cache { id } => self.remove_cache(*id)?.map(Record::Cache),
            Key::Instance { id } => self.remove_instance(*id).map(Record::Instance),
            Key::RetiredPort { host, port } => self.remove_retired(*host, *port).map(Record::RetiredPort),
            Key::Plan { id } => self.plans.remove(id).map(Record::Plan),
            Key::Request { principal, id } => self.remove_request(principal, id).map(Record::Request),
        };
        record.ok_or_else(|| Inconsistent(format!("{key:?} is not there to be removed")))
    }

    fn put_fleet(&mut self, fleet: FleetRecord) -> Option<FleetRecord> {
        // In another epoch other hosts wait. Nearly always it is the same one.
        if self.fleet.as_ref().map_or(FIRST_EPOCH, |it| it.epoch) == fleet.epoch {
            return self.fleet.replace(fleet);
        }
        let hosts: Vec<Host> = self.hosts.values().map(|view| view.host.clone()).collect();
        hosts.iter().for_each(|host| self.count_host(host, false));
        let before = self.fleet.replace(fleet);
        for host in &hosts {
            self.count_host(host, true);
            self.reindex(host.id);
        }
        before
    }

    fn put_cluster(&mut self, cluster: Cluster) -> Option<Cluster> {
        let id = cluster.id;
        let before = self.clusters.get(&id).cloned();
        if let Some(before) = &before {
            self.cluster_names.remove(&before.name);
        }
        self.cluster_names.insert(cluster.name.clone(), id);
        self.clusters.insert(id, cluster);
        self.recent.touch(Touched::Cluster(id));
        let hosts: Vec<HostId> =
            self.hosts_of(id).chain(self.removed_hosts()).map(|view| view.host.id).collect();
        for host in hosts {
            self.open_ports(host);
            self.reindex(host);
        }
        before
    }

    fn remove_cluster(&mut self, id: ClusterId) -> Option<Cluster> {
        let cluster = self.clusters.remove(&id)?;
        self.cluster_names.remove(&cluster.name);
        self.recent.touch(Touched::Cluster(id));
        Some(cluster)
    }

    fn put_host(&mut self, mut host: Host) -> Result<Option<Host>, Inconsistent> {
        if !self.clusters.contains_key(&host.cluster) {
            return Err(Inconsistent(format!(
                "host {} is of cluster {}, which is not there",
                host.name, host.cluster
            )));
        }
        host.rack.iter_mut().for_each(|rack| self.racks.share(rack));
        let id = host.id;
        self.count_host(&host, true);
        let before = self.hosts.get(&id).map(|view| view.host.clone());
        let same_ports = before.as_ref().is_some_and(|before| {
            before.cluster == host.cluster
                && before.blocked_ports == host.blocked_ports
                && before.found_ports == host.found_ports
        });
        if let Some(before) = &before {
            self.forget_names(before);
            self.count_host(before, false);
            self.recent.touch(Touched::Cluster(before.cluster));
        }
        if host.status == HostStatus::Removed {
            self.removed_hosts.insert((host.cluster, id));
        } else {
            self.host_names.insert(without_case(&host.name), id);
            self.cluster_hosts.insert((host.cluster, id));
            self.host_addresses.insert(host.address, id);
        }
        match self.hosts.get_mut(&id) {
            Some(view) => view.host = host,
            None => {
                let (ports, open) = (Ports::default(), OpenPorts::none());
                self.hosts.insert(HostView { host, ports, booked: Mib::ZERO, instances: 0, open });
            }
        }
        if !same_ports {
            self.open_ports(id);
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
        self.forget_names(&view.host);
        self.count_host(&view.host, false);
        self.index.set(id, None);
        self.recent.touch(Touched::Cluster(view.host.cluster));
        self.recent.touch(Touched::Host(id));
        Ok(Some(view.host))
    }

    /// A host is part of its cluster's memory, or no longer.
    fn count_host(&mut self, host: &Host, more: bool) {
        if matches!(host.status, HostStatus::Lost | HostStatus::Removed) {
            return;
        }
        let waits = u32::from(self.waits(host));
        self.total(host.cluster, |totals| {
            if more {
                totals.memory = totals.memory.plus(host.memory);
                *totals.sizes.entry(host.memory).or_default() += 1;
                totals.unobserved += waits;
            } else {
                totals.memory = totals.memory.minus(host.memory);
                if let Entry::Occupied(mut hosts) = totals.sizes.entry(host.memory) {
                    *hosts.get_mut() -= 1;
                    if *hosts.get() == 0 {
                        hosts.remove();
                    }
                }
                totals.unobserved -= waits;
            }
        });
    }

    fn total(&mut self, cluster: ClusterId, change: impl FnOnce(&mut Totals)) {
        let totals = self.totals.entry(cluster).or_default();
        change(totals);
        if *totals == Totals::default() {
            self.totals.remove(&cluster);
        }
    }

    fn forget_names(&mut self, host: &Host) {
        if host.status == HostStatus::Removed {
            self.removed_hosts.remove(&(host.cluster, host.id));
        } else {
            self.host_names.remove(&without_case(&host.name));
            self.cluster_hosts.remove(&(host.cluster, host.id));
            self.host_addresses.remove(&host.address);
        }
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

    fn put_cache(&mut self, mut cache: Cache) -> Result<Option<Cache>, Inconsistent> {
        if !self.clusters.contains_key(&cache.cluster) || !self.teams.contains_key(&cache.team) {
            return Err(Inconsistent(format!(
                "cache {} is of a cluster or team that is not there",
                cache.id
            )));
        }
        self.people.share(&mut cache.created_by);
        let id = cache.id;
        match self.caches.get_mut(&id) {
            // A cache keeps team, name and cluster for life.
            Some(entry) => {
                let before = std::mem::replace(&mut entry.cache, cache);
                let after = &entry.cache;
                if (before.max_per_rack, before.releasing) != (after.max_per_rack, after.releasing) {
                    let instances = entry.instances.iter().filter_map(|id| self.instances.get(id));
                    instances.for_each(|it| self.recent.touch(Touched::Host(it.host)));
                }
                Ok(Some(before))
            }
            None => {
                self.cache_names.entry(cache.team).or_default().insert(cache.name.clone(), id);
                self.total(cache.cluster, |totals| totals.caches += 1);
                self.caches.insert(CacheEntry { cache, instances: Vec::new() });
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
        self.total(cache.cluster, |totals| totals.caches -= 1);
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
            Some(PortUse::Instance(_, id)) => *id == instance.id,
            Some(PortUse::Retired(_)) => false,
        });
        // A place has one instance, beside those that are moving away from it.
        let same_place = |other: &Instance| {
            other.index == instance.index && other.id != instance.id && other.moved_to.is_none()
        };
        let mut others = entry.instances.iter().filter_map(|id| self.instances.get(id));
        let crowded = instance.moved_to.is_none() && others.any(same_place);
        if free != Some(true) || crowded {
            return Err(Inconsistent(format!(
                "instance {} cannot have port {} of host {}",
                instance.id, instance.port, instance.host
            )));
        }
        let (host, port) = (instance.host, instance.port);
        let before = self.instances.get(&instance.id).cloned();
        if let Some(before) = &before {
            self.count_instance(before, false);
        }
        if let Some(before) = before.as_ref().filter(|it| (it.host, it.port) != (host, port)) {
            self.use_port(before.host, before.port, None);
            self.reindex_offer(before.host);
        }
        if before.as_ref().is_none_or(|it| (it.host, it.port) != (host, port)) {
            self.use_port(host, port, Some(PortUse::Instance(port, instance.id)));
        }
        self.count_instance(&instance, true);
        self.instances.insert(instance);
        self.reindex_offer(host);
        Ok(before)
    }

    fn remove_instance(&mut self, id: InstanceId) -> Option<Instance> {
        let instance = self.instances.get(&id).cloned()?;
        self.count_instance(&instance, false);
        self.instances.remove(&id);
        self.use_port(instance.host, instance.port, None);
        self.reindex_offer(instance.host);
        Some(instance)
    }

    fn use_port(&mut self, host: HostId, port: Port, usage: Option<PortUse>) {
        if let Some(view) = self.hosts.get_mut(&host) {
            view.use_port(port, usage);
        }
    }

    /// An instance is part of its cache, and of what its team, host and cluster have, or no longer.
    fn count_instance(&mut self, instance: &Instance, more: bool) {
        let change = |sum: Mib, part: Mib| if more { sum.plus(part) } else { sum.minus(part) };
        if let Some(entry) = self.caches.get_mut(&instance.cache) {
            let place = |id: &InstanceId| self.instances.get(id).map(|it| (it.index, it.id));
            let own = (instance.index, instance.id);
            let before = entry.instances.partition_point(|id| place(id) < Some(own));
            if more {
                entry.instances.reserve_exact(1);
                entry.instances.insert(before, instance.id);
            } else {
                entry.instances.retain(|id| *id != instance.id);
            }
            if instance.moved_to.is_none() {
                let account = (entry.cache.cluster, entry.cache.team);
                let used = change(self.used(account.0, account.1), instance.memory);
                if used == Mib::ZERO {
                    self.used.remove(&account)
                } else {
                    self.used.insert(account, used)
                };
            }
        }
        if let Some(view) = self.hosts.get_mut(&instance.host) {
            view.booked = change(view.booked, instance.booked);
            view.instances = if more { view.instances + 1 } else { view.instances - 1 };
            let cluster = view.host.cluster;
            self.total(cluster, |totals| totals.booked = change(totals.booked, instance.booked));
        }
    }

    fn put_retired(&mut self, retired: RetiredPort) -> Result<Option<RetiredPort>, Inconsistent> {
        let Some(view) = self.hosts.get_mut(&retired.host) else {
            return Err(Inconsistent(format!(
                "port {} is of host {}, which is not there",
                retired.port, retired.host
            )));
        };
        match view.ports.get(&retired.port) {
            Some(PortUse::Instance(_, id)) => Err(Inconsistent(format!(
                "port {} of host {} belongs to instance {id}",
                retired.port, retired.host
            ))),
            _ => {
                let (host, port) = (retired.host, retired.port);
                let before = view.use_port(port, Some(PortUse::Retired(Box::new(retired))));
                self.reindex_offer(host);
                match before {
                    Some(PortUse::Retired(before)) => Ok(Some(*before)),
                    _ => Ok(None),
                }
            }
        }
    }

    fn remove_retired(&mut self, host: HostId, port: Port) -> Option<RetiredPort> {
        let view = self.hosts.get_mut(&host)?;
        if !matches!(view.ports.get(&port), Some(PortUse::Retired(_))) {
            return None;
        }
        let before = view.use_port(port, None);
        self.reindex_offer(host);
        match before {
            Some(PortUse::Retired(retired)) => Some(*retired),
            _ => None,
        }
    }

    fn put_plan(&mut self, plan: Plan) -> Result<Option<Plan>, Inconsistent> {
        if !self.clusters.contains_key(&plan.cluster) {
            return Err(Inconsistent(format!("plan {} is of a cluster that is not there", plan.id)));
        }
        Ok(self.plans.insert(plan.id, plan))
    }

    fn put_request(&mut self, mut request: Request) -> Option<Request> {
        self.people.share(&mut request.principal);
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

    fn open_ports(&mut self, id: HostId) {
        if let Some(view) = self.hosts.get_mut(&id)
            && let Some(cluster) = self.clusters.get(&view.host.cluster)
        {
            view.open_ports_of(cluster.ports);
        }
    }

    /// Tell placement that what is on a host has changed, but not the host.
    fn reindex_offer(&mut self, id: HostId) {
        if self.loading {
            return;
        }
        self.recent.touch(Touched::Host(id));
        if let Some(view) = self.hosts.get(&id)
            && let Some(cluster) = self.clusters.get(&view.host.cluster)
        {
            self.index.set_offer(id, offer(cluster, view));
        }
    }

    /// Tell placement what a host now has to offer.
    fn reindex(&mut self, id: HostId) {
        if self.loading {
            return;
        }
        let site = self.hosts.get(&id).and_then(|view| {
            let cluster = self.clusters.get(&view.host.cluster)?;
            let Offer { free, instances, port_from } = offer(cluster, view);
            let (order, rack) = (cluster.policy.order, view.host.rack.clone());
            let site = Site { cluster: cluster.id, order, rack, free, instances, port_from };
            (view.host.status == HostStatus::Active && !self.waits(&view.host)).then_some(site)
        });
        self.index.set(id, site);
        self.recent.touch(Touched::Host(id));
    }
}

/// As it is, and so without memory of its own, where it has no capitals.
fn without_case(name: &HostName) -> HostName {
    let lower = name.as_str().to_ascii_lowercase();
    if lower == name.as_str() { name.clone() } else { HostName::new(&lower).unwrap_or_else(|_| name.clone()) }
}

fn offer(cluster: &Cluster, view: &HostView) -> Offer {
    Offer {
        free: cluster.policy.open_to_new(view.host.memory).minus(view.booked),
        instances: view.instances,
        port_from: view.port_from(),
    }
}
