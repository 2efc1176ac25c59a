//! Clusters, teams and quotas.

use super::{Draft, Outcome, out_of_range};
use crate::ledger::{ClusterPatch, ClusterSpec, Object, Refusal};
use crate::model::{
    Cluster, ClusterId, ClusterName, Counted, Key, Mib, PortRange, Quota, Record, Team, TeamId, TeamName,
};

impl Draft<'_> {
    pub(super) fn create_cluster(
        mut self,
        name: &ClusterName,
        spec: &ClusterSpec,
    ) -> Result<Outcome, Refusal> {
        check(spec)?;
        if self.state.cluster_named(name).is_some() {
            return Err(Refusal::NameTaken {
                object: Object::Cluster,
                name: name.to_string(),
                releasing: false,
            });
        }
        let id = ClusterId::new(self.fresh_id());
        self.put_cluster(id, name, spec);
        Ok(self.done("cluster.create", target(name), ports_of(spec), Key::Cluster { id }))
    }

    pub(super) fn change_cluster(
        mut self,
        name: &ClusterName,
        patch: &ClusterPatch,
    ) -> Result<Outcome, Refusal> {
        let cluster = self.cluster(name)?;
        let id = cluster.id;
        let ports = PortRange {
            first: patch.first_port.unwrap_or(cluster.ports.first),
            last: patch.last_port.unwrap_or(cluster.ports.last),
        };
        let policy = cluster.policy.with(&patch.policy).map_err(|why| invalid_policy(&why))?;
        let spec = ClusterSpec { ports, policy };
        check(&spec)?;
        if cluster.ports != spec.ports || cluster.policy != spec.policy {
            self.put_cluster(id, name, &spec);
        }
        Ok(self.done("cluster.change", target(name), ports_of(&spec), Key::Cluster { id }))
    }

    fn put_cluster(&mut self, id: ClusterId, name: &ClusterName, spec: &ClusterSpec) {
        let (ports, policy, revision) = (spec.ports, spec.policy.clone(), self.revision);
        self.put(Record::Cluster(Cluster { id, name: name.clone(), ports, policy, revision }));
    }

    pub(super) fn remove_cluster(mut self, name: &ClusterName) -> Result<Outcome, Refusal> {
        let id = self.cluster(name)?.id;
        let hosts = self.state.hosts_of(id).count();
        let caches = self.state.caches_in(id);
        if hosts + caches > 0 {
            return Err(Refusal::InUse {
                object: Object::Cluster,
                name: name.to_string(),
                by: format!("{} and {}", Counted(hosts, "host"), Counted(caches, "cache")),
                todo: "release the caches and remove the hosts first",
            });
        }
        for view in self.state.removed_hosts().filter(|view| view.host.cluster == id) {
            self.forget_host(view);
        }
        for plan in self.state.plans().filter(|plan| plan.cluster == id) {
            self.remove(Key::Plan { id: plan.id });
        }
        self.remove_quotas(|quota| quota.cluster == id);
        self.remove(Key::Cluster { id });
        Ok(self.done("cluster.remove", target(name), String::new(), Key::Cluster { id }))
    }

    pub(super) fn create_team(mut self, name: &TeamName) -> Result<Outcome, Refusal> {
        if self.state.team_named(name).is_some() {
            return Err(Refusal::NameTaken {
                object: Object::Team,
                name: name.to_string(),
                releasing: false,
            });
        }
        let id = TeamId::new(self.fresh_id());
        self.put(Record::Team(Team { id, name: name.clone(), revision: self.revision }));
        Ok(self.done("team.create", format!("team:{name}"), String::new(), Key::Team { id }))
    }

    pub(super) fn remove_team(mut self, name: &TeamName) -> Result<Outcome, Refusal> {
        let id = self.team(name)?.id;
        let caches = self.state.caches_of(id).count();
        if caches > 0 {
            return Err(Refusal::InUse {
                object: Object::Team,
                name: name.to_string(),
                by: Counted(caches, "cache").to_string(),
                todo: "release them first, and wait until their instances have stopped",
            });
        }
        self.remove_quotas(|quota| quota.team == id);
        self.remove(Key::Team { id });
        Ok(self.done("team.remove", format!("team:{name}"), String::new(), Key::Team { id }))
    }

    fn remove_quotas(&mut self, which: impl Fn(&Quota) -> bool) {
        let keys: Vec<Key> = (self.state.quotas().filter(|quota| which(quota)))
            .map(|quota| Key::Quota { cluster: quota.cluster, team: quota.team })
            .collect();
        keys.into_iter().for_each(|key| self.remove(key));
    }

    pub(super) fn set_quota(
        mut self,
        cluster: &ClusterName,
        team: &TeamName,
        memory: Mib,
    ) -> Result<Outcome, Refusal> {
        let target = format!("quota:{cluster}/{team}");
        let (cluster, team) = (self.cluster(cluster)?.id, self.team(team)?.id);
        if self.state.quota(cluster, team) != memory {
            self.put(Record::Quota(Quota { cluster, team, memory, revision: self.revision }));
        }
        Ok(self.done("quota.set", target, memory.to_string(), Key::Quota { cluster, team }))
    }
}

fn check(spec: &ClusterSpec) -> Result<(), Refusal> {
    if spec.ports.last < spec.ports.first {
        return Err(out_of_range(
            "last_port",
            spec.ports.last,
            format!("at least first_port, {}", spec.ports.first),
        ));
    }
    spec.policy.flaw().map_or(Ok(()), |flaw| Err(invalid_policy(flaw)))
}

fn invalid_policy(why: &str) -> Refusal {
    out_of_range("policy", "not valid", format!("within its ranges: {why}"))
}

fn target(name: &ClusterName) -> String {
    format!("cluster:{name}")
}

fn ports_of(spec: &ClusterSpec) -> String {
    format!("ports {} to {}", spec.ports.first, spec.ports.last)
}
