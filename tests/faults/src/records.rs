//! What must hold of a fleet's records, worked out from the records alone: a second implementation of the invariants,
//! with nothing of the first one's indexes.

use std::collections::{BTreeMap, BTreeSet};

use memc_core::ledger::{Change, Commit, Head};
use memc_core::model::{ClusterId, HostId, Instance, InstanceId, Key, Port, Record, Timestamp};

pub(crate) type Records = BTreeMap<Key, Record>;

/// How many ports were issued that were the lowest of their host that could be, and how many that were not: whether
/// both happen is to be seen, since a double booking may show with one of them only.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Issued {
    pub(crate) lowest: u64,
    pub(crate) other: u64,
}

/// The fold of commits, record by record.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) records: Records,
    pub(crate) head: Head,
    pub(crate) issued: Issued,
}

impl Folded {
    pub(crate) fn new() -> Self {
        Folded { records: Records::new(), head: Head::EMPTY, issued: Issued::default() }
    }

    /// Fold the next commit; what is wrong with it.
    pub(crate) fn fold(&mut self, commit: &Commit) -> Vec<String> {
        let mut wrong = Vec::new();
        let revision = commit.revision;
        if revision != self.head.revision.next() {
            wrong.push(format!("revision {revision} follows {}", self.head.revision));
        }
        if commit.previous != self.head.id {
            wrong.push(format!("commit {revision} does not name the one before"));
        }
        if commit.at < self.head.at {
            wrong.push(format!("time goes back at {revision}"));
        }
        for change in &commit.changes {
            match change {
                Change::Put(record) => {
                    if let Record::Instance(new) = record {
                        wrong.extend(self.wrong_place(commit, new.host, new.port, new.id));
                        self.count(new, commit.at);
                    }
                    self.records.insert(record.key(), record.clone());
                }
                Change::Remove(key) => {
                    // A port that is issued again is no longer retired: when that is allowed is seen here.
                    if let Some(Record::RetiredPort(retired)) = self.records.remove(key)
                        && retired.reusable_at > commit.at
                    {
                        wrong.push(format!(
                            "port {} of host {} was issued again at {revision} while it cooled down",
                            retired.port, retired.host
                        ));
                    }
                }
            }
        }
        self.head = commit.head();
        wrong
    }

    fn count(&mut self, new: &Instance, now: Timestamp) {
        if self.records.contains_key(&Key::Instance { id: new.id }) {
            return;
        }
        let lower = |port: &Port, taken: &BTreeSet<Port>| *port < new.port && !taken.contains(port);
        let (first, last) = (InstanceId::new(0), InstanceId::new(u64::MAX));
        let instances = self.records.range(Key::Instance { id: first }..=Key::Instance { id: last });
        let retired = |port: Port| Key::RetiredPort { host: new.host, port };
        let retired = self.records.range(retired(Port::MIN)..=retired(Port::MAX));
        let taken = instances.chain(retired).filter_map(|(_, record)| match record {
            Record::Instance(it) if it.host == new.host => Some(it.port),
            Record::RetiredPort(it) if it.reusable_at > now => Some(it.port),
            _ => None,
        });
        let taken: BTreeSet<Port> = taken.collect();
        // There is one cluster, and no port is blocked.
        let clusters = self.records.range(Key::Cluster { id: ClusterId::new(0) }..);
        let cluster = clusters.map_while(|(_, record)| match record {
            Record::Cluster(cluster) => Some(cluster.ports),
            _ => None,
        });
        let other = cluster.flat_map(|ports| ports.iter()).any(|port| lower(&port, &taken));
        *if other { &mut self.issued.other } else { &mut self.issued.lowest } += 1;
    }

    fn wrong_place(&self, commit: &Commit, host: HostId, port: Port, id: InstanceId) -> Option<String> {
        let revision = commit.revision;
        match self.records.get(&Key::Instance { id }) {
            Some(Record::Instance(before)) if (before.host, before.port) != (host, port) => {
                Some(format!("instance {id} has another place since {revision}"))
            }
            Some(_) => None,
            None => {
                let retired = self.records.contains_key(&Key::RetiredPort { host, port });
                retired.then(|| format!("port {port} of host {host} is retired and in use since {revision}"))
            }
        }
    }
}

/// What is wrong with these records.
pub(crate) fn flaws(records: &Records) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut owners = BTreeMap::new();
    let mut booked: BTreeMap<HostId, u64> = BTreeMap::new();
    let mut used = BTreeMap::new();
    let mut together = BTreeSet::new();
    let mut counts = BTreeMap::new();
    for record in records.values() {
        let Record::Instance(it) = record else {
            continue;
        };
        if let Some(other) = owners.insert((it.host, it.port), it.id) {
            wrong.push(format!("port {} of host {} has the owners {other} and {}", it.port, it.host, it.id));
        }
        if records.contains_key(&Key::RetiredPort { host: it.host, port: it.port }) {
            wrong.push(format!("port {} of host {} is retired and in use", it.port, it.host));
        }
        *booked.entry(it.host).or_default() += it.booked.get();
        if !together.insert((it.cache, it.host)) {
            wrong.push(format!("host {} has two instances of cache {}", it.host, it.cache));
        }
        *counts.entry(it.cache).or_insert(0_u16) += 1;
        let Some(Record::Cache(cache)) = records.get(&Key::Cache { id: it.cache }) else {
            wrong.push(format!("instance {} is of no cache", it.id));
            continue;
        };
        *used.entry((cache.cluster, cache.team)).or_insert(0) += it.memory.get();
        match records.get(&Key::Host { id: it.host }) {
            Some(Record::Host(host)) if host.cluster == cache.cluster => {
                let ports = match records.get(&Key::Cluster { id: host.cluster }) {
                    Some(Record::Cluster(cluster)) => Some(cluster.ports),
                    _ => None,
                };
                if !ports.is_some_and(|ports| (ports.first..=ports.last).contains(&it.port)) {
                    wrong.push(format!("port {} of instance {} is not of its cluster", it.port, it.id));
                }
            }
            _ => wrong.push(format!("instance {} is on a host that is not of its cluster", it.id)),
        }
    }
    for (key, record) in records {
        match (key, record) {
            (Key::Host { id }, Record::Host(host)) => {
                let booked = booked.get(id).copied().unwrap_or_default();
                if booked > host.memory.get() {
                    wrong.push(format!("host {id} has {} MiB, booked are {booked}", host.memory.get()));
                }
            }
            (Key::Cache { id }, Record::Cache(cache)) => {
                let count = counts.get(id).copied().unwrap_or_default();
                if !cache.releasing && count != cache.instances {
                    wrong.push(format!("cache {id} has {count} instances of {}", cache.instances));
                }
            }
            _ => {}
        }
    }
    for ((cluster, team), used) in used {
        let quota = match records.get(&Key::Quota { cluster, team }) {
            Some(Record::Quota(quota)) => quota.memory.get(),
            _ => 0,
        };
        if used > quota {
            wrong.push(format!("team {team} uses {used} MiB of {quota} in cluster {cluster}"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use memc_core::store::{MemoryStore, Store};

    use super::*;
    use crate::world;

    /// The records of a fleet with caches, all right.
    async fn sound() -> Records {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        world::found_on(store.clone(), false).await;
        world::fill(store.clone(), 20).await;
        let mut folded = Folded::new();
        for commit in store.commits(folded.head.revision, 10_000).await.unwrap() {
            assert_eq!(folded.fold(&commit), [""; 0]);
        }
        folded.records
    }

    fn change(records: &mut Records, change: impl FnOnce(&mut memc_core::model::Instance)) {
        let instance = records.values_mut().find_map(|record| match record {
            Record::Instance(it) => Some(it),
            _ => None,
        });
        change(instance.unwrap());
    }

    fn last(records: &Records) -> memc_core::model::Instance {
        let mut instances = records.values().filter_map(|record| match record {
            Record::Instance(it) => Some(it.clone()),
            _ => None,
        });
        instances.next_back().unwrap()
    }

    fn says(records: &Records, what: &str) {
        let flaws = flaws(records);
        assert!(flaws.iter().any(|it| it.contains(what)), "{what}: {flaws:?}");
    }

    #[tokio::test]
    async fn each_flaw_is_found() {
        let sound = sound().await;
        assert_eq!(flaws(&sound), [""; 0]);
        let other = last(&sound);

        let mut bad = sound.clone();
        change(&mut bad, |it| (it.host, it.port) = (other.host, other.port));
        says(&bad, "has the owners");

        let mut bad = sound.clone();
        change(&mut bad, |it| (it.host, it.cache) = (other.host, other.cache));
        says(&bad, "has two instances");

        let mut bad = sound.clone();
        change(&mut bad, |it| it.booked = memc_core::model::Mib::new(1 << 20).unwrap());
        says(&bad, "booked are");

        let mut bad = sound.clone();
        change(&mut bad, |it| it.memory = memc_core::model::Mib::new(1 << 20).unwrap());
        says(&bad, "MiB of 2200");

        let mut bad = sound.clone();
        change(&mut bad, |it| it.port = Port::new(2000).unwrap());
        says(&bad, "not of its cluster");

        let mut bad = sound.clone();
        bad.remove(&Key::Instance { id: other.id });
        says(&bad, "instances of");
    }

    #[tokio::test]
    async fn a_gap_and_a_foreign_history_are_found() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        world::found_on(store.clone(), false).await;
        let commits = store.commits(Head::EMPTY.revision, 10).await.unwrap();
        let mut folded = Folded::new();
        assert_eq!(folded.fold(&commits[0]), [""; 0]);
        assert_eq!(folded.fold(&commits[2]).len(), 2, "a gap, and another one before");
    }
}
