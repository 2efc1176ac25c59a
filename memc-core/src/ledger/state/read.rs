//! What a state tells.

use std::collections::BTreeMap;

use std::net::IpAddr;

use super::{HostView, Mark, PortUse, State, Touched};
use crate::ledger::Head;
use crate::model::{
    Cache, CacheId, CacheName, Cluster, ClusterId, ClusterName, FillOrder, FleetRecord, Host, HostId,
    HostName, HostStatus, Instance, InstanceId, Key, Mib, Phase, Plan, PlanId, Principal, Quota, Request,
    RequestId, Revision, Team, TeamId, TeamName, Timestamp,
};
use crate::placement::{self, Index, Placement, Site};

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

    /// This moment, to ask later what was touched since.
    pub(in crate::ledger) fn mark(&self) -> Mark {
        self.recent.mark()
    }

    /// What was touched since, oldest first, up to `most`; with the moment up to which that is all, and whether that
    /// is now. `None` if that is not remembered, or was another state.
    pub(in crate::ledger) fn touched_since(
        &self,
        mark: &Mark,
        most: usize,
    ) -> Option<(impl Iterator<Item = Touched>, Mark, bool)> {
        self.recent.since(mark, most)
    }

    /// Clusters from this number on, by number.
    pub(in crate::ledger) fn clusters_from(&self, first: ClusterId) -> impl Iterator<Item = &Cluster> {
        self.clusters.range(first..).map(|(_, cluster)| cluster)
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
        self.hosts_from(cluster, HostId::new(0))
    }

    /// Those of them from this number on.
    pub(in crate::ledger) fn hosts_from(
        &self,
        cluster: ClusterId,
        first: HostId,
    ) -> impl Iterator<Item = &HostView> {
        self.cluster_hosts
            .range((cluster, first)..)
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
    pub(in crate::ledger) fn host_like(&self, name: &HostName) -> Option<&HostView> {
        self.hosts.get(self.host_names.get(name.as_str().to_ascii_lowercase().as_str())?)
    }

    /// The host that has this address.
    #[must_use]
    pub fn host_at(&self, address: IpAddr) -> Option<&HostView> {
        self.hosts.get(self.host_addresses.get(&address)?)
    }

    /// Hosts that were removed while ports of them must not be issued yet.
    pub(in crate::ledger) fn removed_hosts(&self) -> impl Iterator<Item = &HostView> {
        self.removed_hosts.iter().filter_map(|(_, host)| self.hosts.get(host))
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
        self.totals.get(&cluster).map_or(0, |totals| totals.caches)
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

    /// The instances of a cache, by index; one that is being moved before or after its copy.
    pub fn instances_of(&self, cache: CacheId) -> impl Iterator<Item = &Instance> {
        self.caches
            .get(&cache)
            .into_iter()
            .flat_map(|entry| &entry.instances)
            .filter_map(|id| self.instances.get(id))
    }

    /// The places of a cache that have no instance, by index: since a host was lost. One that is being moved away from
    /// has its copy.
    #[must_use]
    pub fn missing_of(&self, cache: &Cache) -> Vec<u16> {
        let there =
            |index: u16| self.instances_of(cache.id).any(|it| it.index == index && it.moved_to.is_none());
        (0..cache.instances).filter(|index| !there(*index)).collect()
    }

    /// The instances of a cache that clients should use, by index, one for each place: of a pair that is being moved the
    /// old one until the copy has been seen to run; none that is being given back.
    pub fn endpoints_of(&self, cache: CacheId) -> impl Iterator<Item = &Instance> {
        let kept = |it: &&Instance| it.phase != Phase::Releasing;
        let seen = |it: &Instance| it.observed.is_some();
        let all = move || self.instances_of(cache).filter(kept);
        all().filter(move |it| match it.moved_to {
            Some(copy) => !self.instance(copy).is_some_and(seen),
            None => seen(it) || !all().any(|other| other.moved_to == Some(it.id)),
        })
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

    /// Every plan, oldest first.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.values()
    }

    /// A plan.
    #[must_use]
    pub fn plan(&self, id: PlanId) -> Option<&Plan> {
        self.plans.get(&id)
    }

    /// A request that was carried out.
    #[must_use]
    pub fn request(&self, principal: &Principal, id: &RequestId) -> Option<&Request> {
        self.requests.get(&(principal.clone(), id.clone()))
    }

    /// Requests carried out before this moment, oldest first.
    pub(in crate::ledger) fn requests_before(&self, moment: Timestamp) -> impl Iterator<Item = Key> + '_ {
        self.requests_by_age
            .iter()
            .take_while(move |(at, _, _)| *at < moment)
            .map(|(_, principal, id)| Key::Request { principal: principal.clone(), id: id.clone() })
    }

    /// What all instances in a cluster book together, MiB.
    #[must_use]
    pub fn booked(&self, cluster: ClusterId) -> Mib {
        self.totals.get(&cluster).map_or(Mib::ZERO, |totals| totals.booked)
    }

    /// The memory of a cluster's hosts together, MiB; lost ones do not count.
    #[must_use]
    pub fn memory(&self, cluster: ClusterId) -> Mib {
        self.totals.get(&cluster).map_or(Mib::ZERO, |totals| totals.memory)
    }

    /// How much new instances may book a cluster up to, MiB: its fill limit.
    #[must_use]
    pub fn may_book(&self, cluster: &Cluster) -> Mib {
        cluster.policy.fill_limit(self.memory(cluster.id))
    }

    /// What an instance could book where it is, MiB: growing may use what is kept from new instances, but not on a
    /// host that is being emptied.
    #[must_use]
    pub fn may_grow_to(&self, instance: &Instance) -> Mib {
        match self.hosts.get(&instance.host) {
            Some(view)
                if matches!(view.host.status, HostStatus::Active | HostStatus::Cordoned)
                    && !self.waits(&view.host) =>
            {
                instance.booked.plus(view.free())
            }
            _ => instance.booked,
        }
    }

    /// Whether a host takes nothing new because its ports were not looked at since the fleet was set back to a backup:
    /// what runs there may be unknown.
    #[must_use]
    pub fn waits(&self, host: &Host) -> bool {
        self.fleet.as_ref().is_some_and(|fleet| host.observed_epoch < fleet.epoch)
    }

    /// How many of a cluster's hosts [wait](State::waits); lost ones are left out. O(1).
    #[must_use]
    pub fn unobserved(&self, cluster: ClusterId) -> u32 {
        self.totals.get(&cluster).map_or(0, |totals| totals.unobserved)
    }

    /// The hosts of a cluster that [wait](State::waits), by number; lost ones are left out. O(1) where none does,
    /// O(hosts of the cluster) otherwise.
    pub fn waiting(&self, cluster: ClusterId) -> impl Iterator<Item = &HostView> {
        let hosts = (self.unobserved(cluster) > 0).then(|| self.hosts_of(cluster)).into_iter().flatten();
        hosts.filter(|view| view.host.status != HostStatus::Lost && self.waits(&view.host))
    }

    /// The hosts that take new instances, with what each of them has beside the share kept for growing.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Hosts for new instances, as [`Index::place`] finds them; fewer than asked for only where no more exist. As a last
    /// resort all of them are chosen from hosts as if these kept nothing for growing, on each rack the one with the most
    /// memory left, if the cluster as a whole keeps enough then ([`Policy::opens_headroom_below`](crate::model::Policy::opens_headroom_below)).
    ///
    /// Costs what [`Index::place`] does, and twice that where no host has room for so much even as a last resort; else
    /// O(n log n) in the hosts of the cluster that may have it.
    pub(in crate::ledger) fn place(
        &self,
        cluster: &Cluster,
        request: &placement::Request<'_>,
        now: Timestamp,
    ) -> Placement {
        let Cluster { id, ref policy, .. } = *cluster;
        let found = self.index.place(request, now);
        let would_book = self.booked(id).plus(request.need.times(request.count as u64));
        if found.hosts.len() == request.count || would_book > policy.opens_headroom_below(self.memory(id)) {
            return found;
        }
        // What is kept on the largest is the most that any host has beyond what the index knows of.
        let largest = self.totals.get(&id).and_then(|totals| totals.sizes.keys().next_back().copied());
        let kept = largest.map_or(Mib::ZERO, |memory| memory.minus(policy.open_to_new(memory)));
        let at_best = placement::Request { need: request.need.minus(kept), ..*request };
        let hopeful = self.index.place(&at_best, now);
        let mut probes = found.probes + hopeful.probes;
        if hopeful.hosts.len() < request.count {
            return Placement { probes, ..found };
        }
        let mut whole = Index::default();
        whole.pass(now);
        for view in self.index.with_room(id, at_best.need, now).filter_map(|host| self.hosts.get(&host)) {
            probes += 1;
            let (free, instances) = (view.free(), view.instances);
            if free >= request.need {
                // Whatever the cluster's order: where the most is left to grow. A host filled to the last MiB is one on
                // which nothing grows, and each cache that has an instance there grows no more.
                let (order, rack, port_from) = (FillOrder::Balance, view.host.rack.clone(), view.port_from());
                let site = Site { cluster: id, order, rack, free, instances, port_from };
                whole.set(view.host.id, Some(site));
            }
        }
        let opened = whole.place(request, now);
        Placement {
            probes: probes + opened.probes,
            ..if opened.hosts.len() == request.count { opened } else { found }
        }
    }

    /// The last commit that touched what a host's pillar document says: what is on the host, the host or its cluster.
    #[must_use]
    pub fn document_revision(&self, view: &HostView) -> Revision {
        let cluster = self.clusters.get(&view.host.cluster).map(|cluster| cluster.revision);
        let ports = view.ports.iter().filter_map(|usage| match usage {
            PortUse::Instance(_, id) => self.instances.get(id).map(|instance| instance.revision),
            PortUse::Retired(retired) => Some(retired.revision),
        });
        ports.chain(cluster).fold(view.host.revision, Revision::max)
    }
}
