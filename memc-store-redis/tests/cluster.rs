//! What is particular to Redis Cluster: slots that move, and nodes that fail.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod ledger;
mod server;

use std::time::Duration;

use ledger::{Clients, append, open};
use memc_core::ledger::Head;
use memc_core::store::{Severity, Store};
use redis::Value;
use server::{Cluster, Server};

/// Move a slot from one node to another, key by key, as `redis-cli --cluster reshard` does.
fn move_slot(cluster: &Cluster, slot: u16, from: usize, to: usize) -> usize {
    let slot = slot.to_string();
    let id = |node: &Server| match node.call(&["CLUSTER", "MYID"]) {
        Value::BulkString(id) => String::from_utf8(id).unwrap(),
        other => panic!("{other:?}"),
    };
    let (source, target) = (&cluster.nodes[from], &cluster.nodes[to]);
    let (source_id, target_id) = (id(source), id(target));
    target.call(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]);
    source.call(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]);
    let (mut moved, mut raw) = (0, source.raw());
    loop {
        let keys: Vec<String> =
            redis::cmd("CLUSTER").arg("GETKEYSINSLOT").arg(&slot).arg(5).query(&mut raw).unwrap();
        if keys.is_empty() {
            break;
        }
        moved += keys.len();
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg("127.0.0.1").arg(target.port).arg("").arg(0).arg(5000).arg("KEYS").arg(keys);
        migrate.query::<()>(&mut raw).unwrap();
        // Slow enough for clients to meet keys on both sides.
        std::thread::sleep(Duration::from_millis(2));
    }
    for node in [target, source] {
        node.call(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]);
    }
    for (number, node) in cluster.nodes.iter().enumerate() {
        if number != from && number != to {
            node.call(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]);
        }
    }
    moved
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_moves_under_load() {
    let cluster = Cluster::start();
    let url = cluster.url();
    let slot = cluster.slot_of("memc");
    let clients = Clients::start(&url, 3, 8).await;
    clients.more(500).await;
    let mut at = cluster.owner_of(slot);
    for _ in 0..4 {
        let to = (at + 1) % 3;
        let moved = tokio::task::block_in_place(|| move_slot(&cluster, slot, at, to));
        let after = clients.more(300).await;
        eprintln!("{moved} keys moved; 300 more acknowledged {after:?} after that");
        at = to;
    }
    let count = clients.end(&url).await;
    eprintln!("{count} acknowledged, all there");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_is_killed_under_load() {
    let mut cluster = Cluster::start();
    let url = cluster.url();
    let owner = cluster.owner_of(cluster.slot_of("memc"));
    let clients = Clients::start(&url, 3, 8).await;
    for round in 0..3 {
        clients.more(300).await;
        tokio::task::block_in_place(|| {
            cluster.nodes[owner].kill();
            // Once for so long that the others see it fail.
            std::thread::sleep(Duration::from_millis(if round == 1 { 4000 } else { 100 }));
            cluster.nodes[owner].start_again();
        });
        let after = clients.more(300).await;
        eprintln!("300 more acknowledged {after:?} after it was back");
    }
    let count = clients.end(&url).await;
    eprintln!("{count} acknowledged, all there");
}

/// A replica takes over. It may lack the last writes: that is said beforehand, and the ledger agrees with itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over_under_load() {
    let mut cluster = Cluster::start();
    let url = cluster.url();
    let owner = cluster.owner_of(cluster.slot_of("memc"));
    let _replica = tokio::task::block_in_place(|| cluster.replica_of(owner));
    let findings = open(&url).await.check().await.unwrap();
    assert!(findings.iter().any(|it| it.code == "redis.failover"), "{findings:?}");
    let clients = Clients::start(&url, 3, 8).await;
    clients.more(300).await;
    tokio::task::block_in_place(|| cluster.nodes[owner].kill());
    let after = clients.more(300).await;
    let (told, teams) = clients.compare(&url).await;
    let lost = told.iter().filter(|(name, revision)| teams.get(*name) != Some(revision)).count();
    eprintln!("300 more acknowledged {after:?} after the master was killed; {lost} of {} lost", told.len());
    assert!(lost < 100, "{lost}");
}

/// Any node of the cluster will do to begin with, and a plain URL of one node finds the owner too.
#[tokio::test]
async fn any_node_leads_to_the_owner() {
    let cluster = Cluster::start();
    let mut head = Head::EMPTY;
    for node in &cluster.nodes {
        for url in [format!("redis+cluster://{}", node.address()), node.url()] {
            let store = open(&url).await;
            assert_eq!(store.head().await.unwrap(), head);
            head = append(&store, head).await.unwrap();
        }
    }
}

#[tokio::test]
async fn other_nodes_are_looked_at_too() {
    let cluster = Cluster::start();
    let owner = cluster.owner_of(cluster.slot_of("memc"));
    let store = open(&cluster.url()).await;
    assert_eq!(store.check().await.unwrap(), []);
    cluster.nodes[(owner + 1) % 3].call(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let findings = store.check().await.unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].severity, findings[0].code.as_str()), (Severity::Note, "redis.other_node"));
    assert!(findings[0].message.contains("appendfsync is everysec"), "{findings:?}");
    cluster.nodes[owner].call(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let findings = store.check().await.unwrap();
    assert_eq!((findings[0].severity, findings[0].code.as_str()), (Severity::Refuse, "redis.appendfsync"));
}
