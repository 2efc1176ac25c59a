//! Records: what is put is loaded, what is removed is gone.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::process::{Answer, Records, assert_sound, commit, load};
use super::{Fixture, not_tested};
use crate::ledger::{Change, Head, Receipt};
use crate::model::{
    Cache, CacheId, CacheName, Cluster, ClusterId, ClusterName, FleetRecord, Host, HostId, HostName,
    HostStatus, Instance, InstanceId, Key, Mib, ObserverId, Phase, Plan, PlanGoal, PlanId, PlanStatus,
    PlanStep, Policy, Port, PortRange, Principal, Quota, Rack, Record, Request, RequestId, RetiredPort,
    Revision, Team, TeamId, TeamName, Timestamp,
};
use crate::store::{Store, TurnError};

/// An empty ledger has the empty head, and nothing in it.
pub async fn an_empty_ledger(fixture: &dyn Fixture) {
    for _ in 0..2 {
        let store = fixture.open().await;
        assert_eq!(store.head().await.expect("head"), Head::EMPTY);
        assert_eq!(load(&*store).await, (Records::new(), Head::EMPTY));
        assert_eq!(store.commits(Revision::default(), 10).await.expect("commits"), []);
        assert_eq!(store.history(None, Revision::new(u64::MAX), 10).await.expect("history"), []);
        store.check().await.expect("check");
    }
}

/// Records of every kind are put, replaced and removed; what is loaded is the fold of the commits at each step.
pub async fn every_kind_of_record(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let (first, second) = (records(1, false), records(2, true));
    let mut head = Head::EMPTY;
    for record in &first {
        head = step(&*store, head, vec![Change::Put(record.clone())]).await;
    }
    assert_eq!(assert_sound(&*other).await.0, by_key(&first));
    // Replaced, all in one commit.
    head = step(&*store, head, second.iter().cloned().map(Change::Put).collect()).await;
    let (loaded, _) = assert_sound(&*other).await;
    assert_eq!(loaded, by_key(&second));
    assert_eq!(
        loaded.keys().collect::<Vec<_>>(),
        by_key(&first).keys().collect::<Vec<_>>(),
        "nothing was doubled"
    );
    // The other way round: what was given is taken back.
    head = step(&*store, head, first.iter().cloned().map(Change::Put).collect()).await;
    assert_eq!(assert_sound(&*other).await.0, by_key(&first));
    let mut left = by_key(&first);
    for record in first.iter().rev() {
        head = step(&*store, head, vec![Change::Remove(record.key())]).await;
        left.remove(&record.key());
        assert_eq!(load(&*other).await, (left.clone(), head));
    }
    // Gone and back again within one commit, and back and gone.
    let both = |record: &Record| [Change::Put(record.clone()), Change::Remove(record.key())];
    let fleet = &first[0];
    head = step(&*store, head, both(fleet).into()).await;
    let again = [both(fleet).to_vec(), vec![Change::Put(fleet.clone())]].concat();
    assert_eq!(load(&*other).await.0, Records::new());
    step(&*store, head, again).await;
    assert_eq!(assert_sound(&*fixture.open().await).await.0, by_key(std::slice::from_ref(fleet)));
}

/// Two instances on one port, one name twice, a reference to nothing, a removal of nothing: the turn fails as a
/// conflict and appends nothing, not even the commits of the batch that are in order. For stores with constraints.
pub async fn constraints_are_a_second_line(fixture: &dyn Fixture) {
    if !fixture.has_constraints() {
        return not_tested("constraints: the fixture says that the store has none");
    }
    let store = fixture.open().await;
    let all = records(1, false);
    let head = step(&*store, Head::EMPTY, all.iter().cloned().map(Change::Put).collect()).await;
    let before = load(&*store).await;
    for (what, change) in conflicts(&all) {
        let mut answer = Answer::new(|now| {
            let good =
                commit(head, now, "in order", vec![Change::Put(super::process::team(77, head.revision))]);
            let bad = commit(good.head(), now, what, vec![change.clone()]);
            let after = commit(bad.head(), now, "after it", vec![]);
            vec![good, bad, after]
        });
        let taken = store.turn(head, &mut answer).await;
        assert!(matches!(taken, Err(TurnError::Conflict(_))), "{what}: {taken:?}");
        assert_eq!(load(&*store).await, before, "{what}: nothing was appended");
        assert_eq!(store.commits(head.revision, 10).await.expect("commits"), [], "{what}");
    }
    step(&*store, head, vec![Change::Put(super::process::team(78, head.revision))]).await;
}

fn conflicts(all: &[Record]) -> Vec<(&'static str, Change)> {
    let mut conflicts = Vec::new();
    for record in all {
        let mut record = record.clone();
        let what = match &mut record {
            Record::Cluster(it) => {
                it.id = ClusterId::new(901);
                "two clusters of one name"
            }
            Record::Host(it) => {
                it.id = HostId::new(902);
                it.name = HostName::new(&it.name.as_str().to_ascii_uppercase()).unwrap();
                "two hosts whose names differ in case"
            }
            Record::Team(it) => {
                it.id = TeamId::new(903);
                "two teams of one name"
            }
            Record::Quota(it) => {
                it.team = TeamId::new(904);
                "a quota of a team that is not there"
            }
            Record::Cache(it) => {
                it.id = CacheId::new(905);
                "two caches of one name in one team"
            }
            Record::Instance(it) => {
                it.id = InstanceId::new(906);
                it.index = 9;
                "two instances on one port"
            }
            Record::RetiredPort(it) => {
                it.host = HostId::new(907);
                "a retired port of a host that is not there"
            }
            Record::Plan(it) => {
                it.id = PlanId::new(908);
                it.cluster = ClusterId::new(909);
                "a plan of a cluster that is not there"
            }
            Record::Fleet(_) | Record::Request(_) => continue,
        };
        conflicts.push((what, Change::Put(record)));
    }
    conflicts.push(("removing what is not there", Change::Remove(Key::Team { id: TeamId::new(1000) })));
    conflicts.push(("removing a cluster with hosts", Change::Remove(Key::Cluster { id: ClusterId::new(2) })));
    conflicts.push(("removing a host with instances", Change::Remove(Key::Host { id: HostId::new(3) })));
    conflicts.push(("removing a cache with instances", Change::Remove(Key::Cache { id: CacheId::new(5) })));
    conflicts
}

async fn step(store: &dyn Store, head: Head, changes: Vec<Change>) -> Head {
    let mut answer = Answer::new(|now| vec![commit(head, now, "", changes.clone())]);
    store.turn(head, &mut answer).await.expect("turn")
}

fn by_key(records: &[Record]) -> Records {
    records.iter().map(|record| (record.key(), record.clone())).collect()
}

/// One record of each kind (two teams), in an order in which each finds what it refers to; with every option filled
/// or none, and every number small or as large as it gets.
fn records(revision: u64, full: bool) -> Vec<Record> {
    let revision = Revision::new(if full { u64::MAX } else { revision });
    let port = |port: u16| Port::new(port).unwrap();
    let mib = |mib: u64| Mib::new(mib).unwrap();
    let (cluster, host, team, cache) = (ClusterId::new(2), HostId::new(3), TeamId::new(4), CacheId::new(5));
    let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 0x11));
    let policy = Policy { max_connections: 7, cool_down_seconds: 1, ..Policy::default() };
    vec![
        Record::Fleet(FleetRecord {
            id: uuid::Uuid::from_u128(if full { u128::MAX } else { 1 }),
            epoch: if full { u32::MAX } else { 1 },
            last_id: if full { i64::MAX as u64 } else { 0 },
        }),
        Record::Cluster(Cluster {
            id: cluster,
            name: ClusterName::new(if full { "web-2" } else { "web" }).unwrap(),
            ports: PortRange {
                first: port(if full { 1024 } else { 11210 }),
                last: port(if full { 65535 } else { 11210 }),
            },
            policy: if full { policy } else { Policy::default() },
            revision,
        }),
        Record::Host(Host {
            id: host,
            name: HostName::new(if full { "M1.example.com" } else { "m1.example.com" }).unwrap(),
            cluster,
            address: if full { v6 } else { IpAddr::V4(Ipv4Addr::new(10, 0, 0, 11)) },
            memory: if full { Mib::MAX_HOST } else { Mib::ZERO },
            rack: full.then(|| Rack::new("row-1/r7").unwrap()),
            status: if full { HostStatus::Lost } else { HostStatus::Active },
            blocked_ports: if full { BTreeSet::from([port(1024), port(65535)]) } else { BTreeSet::new() },
            found_ports: if full { BTreeSet::from([port(1025)]) } else { BTreeSet::new() },
            observed_epoch: if full { u32::MAX } else { 1 },
            served: if full { revision } else { Revision::default() },
            served_at: full.then_some(Timestamp::NEVER),
            revision,
        }),
        Record::Team(Team {
            id: team,
            name: TeamName::new(if full { "shop-2" } else { "shop" }).unwrap(),
            revision,
        }),
        Record::Quota(Quota { cluster, team, memory: if full { Mib::MAX } else { Mib::ZERO }, revision }),
        // A cache keeps team, name and cluster for life, an instance its cache and place.
        Record::Cache(Cache {
            id: cache,
            team,
            name: CacheName::new("sessions").unwrap(),
            cluster,
            memory: if full { Mib::MAX } else { Mib::MIN_INSTANCE },
            instances: if full { u16::MAX } else { 1 },
            max_per_rack: full.then_some(u16::MAX),
            releasing: full,
            created_at: if full { Timestamp::NEVER } else { Timestamp::default() },
            created_by: Principal::new(if full { "~!@#$%^&*()" } else { "u" }).unwrap(),
            revision,
        }),
        Record::Instance(Instance {
            id: InstanceId::new(6),
            cache,
            index: 0,
            host,
            port: port(if full { 65535 } else { 11210 }),
            memory: if full { Mib::MAX } else { mib(8) },
            booked: if full { Mib::MAX } else { mib(8) },
            phase: if full { Phase::Shrinking } else { Phase::Kept },
            moved_to: full.then_some(InstanceId::new(u64::MAX)),
            observed: full.then_some(Mib::MAX),
            seen_by: full.then_some(ObserverId::from_number(u32::MAX)),
            revision,
        }),
        Record::RetiredPort(RetiredPort {
            host,
            port: port(11209),
            instance: InstanceId::new(if full { u64::MAX } else { 1 }),
            reusable_at: if full { Timestamp::NEVER } else { Timestamp::from_millis(1) },
            revision,
        }),
        Record::Plan(Plan {
            id: PlanId::new(7),
            cluster,
            goal: if full { PlanGoal::Rebalance } else { PlanGoal::Drain },
            empties: if full { BTreeSet::from([host]) } else { BTreeSet::new() },
            steps: if full {
                let (instance, to) = (InstanceId::new(u64::MAX), HostId::new(u64::MAX));
                vec![PlanStep { instance, from: host, port: port(65535), memory: Mib::MAX, to }]
            } else {
                Vec::new()
            },
            begun: if full { u32::MAX } else { 0 },
            status: if full { PlanStatus::Stopped } else { PlanStatus::Running },
            stopped_because: full.then(|| "it is gone".to_owned()),
            revision,
        }),
        Record::Request(Request {
            principal: Principal::new("user:alice").unwrap(),
            id: RequestId::new("0d6e").unwrap(),
            digest: if full { "f".repeat(64) } else { "0".repeat(64) },
            receipt: Receipt {
                revision,
                at: if full { Timestamp::NEVER } else { Timestamp::default() },
                subject: if full { Key::RetiredPort { host, port: port(11209) } } else { Key::Fleet },
            },
        }),
    ]
}
