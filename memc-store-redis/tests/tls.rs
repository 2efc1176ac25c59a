//! Encrypted connections to real servers, with certificates made for the test.

#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod ledger;
mod server;

use std::path::Path;

use ledger::{append, open};
use memc_core::ledger::Head;
use memc_core::store::Store;
use memc_store_redis::connect;
use memc_test_servers::{Authority, Redis};
use redis::Value;
use server::Cluster;

async fn is_refused(url: &str, said: &str) {
    let error = connect(url).await.expect_err(url);
    let told = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    assert!(format!("{error} {told}").contains(said), "{url}: {error}: {told}");
}

#[tokio::test]
async fn one_server() {
    let (ours, other) = (Authority::new(), Authority::new());
    let mut server = Redis::start(&[]);
    let port = server.port().to_string();
    let with = |ca: &Path| format!("rediss://127.0.0.1:{port}/0?cacert={}", ca.display());
    let url = with(&ours.certificate());
    assert!(connect(&url).await.is_err(), "it does not speak TLS yet");

    let (certificate, key) = ours.certify(&server.data(), "IP:127.0.0.1");
    let (certificate, key) = (certificate.display().to_string(), key.display().to_string());
    let authority = ours.certificate().display().to_string();
    let settings = [
        ("port", "0"),
        ("tls-port", port.as_str()),
        ("tls-cert-file", &certificate),
        ("tls-key-file", &key),
        ("tls-ca-cert-file", &authority),
    ];
    server.restart_with(&[&settings[..], &[("tls-auth-clients", "no")]].concat());
    let store = open(&url).await;
    let head = append(&store, Head::EMPTY).await.expect("append");
    assert_eq!(store.check().await.unwrap(), []);
    assert!(connect(&server.url()).await.is_err(), "nothing else is listened to");
    server.restart();
    assert_eq!(store.head().await.unwrap(), head, "it connects again");

    is_refused(&with(&other.certificate()), "certificate").await;
    // Authorities of the system do not know ours.
    is_refused(&format!("rediss://127.0.0.1:{port}"), "certificate").await;
    let nowhere = server.data().join("nowhere.crt");
    is_refused(&with(&nowhere), &nowhere.display().to_string()).await;
    let empty = server.data().join("empty.crt");
    std::fs::write(&empty, "").unwrap();
    is_refused(&with(&empty), "no certificate").await;
    // Of the right authority, for another server.
    let _ = ours.certify(&server.data(), "DNS:other.example.com");
    server.restart();
    is_refused(&url, "certificate").await;

    // As Redis does where nothing else is said: it wants to know who connects.
    let _ = ours.certify(&server.data(), "IP:127.0.0.1");
    server.restart_with(&settings);
    assert!(connect(&url).await.is_err(), "who it is was not said");
    let known = tempfile::tempdir().unwrap();
    let identity = |authority: &Authority| {
        let (certificate, key) = authority.certify(known.path(), "DNS:portal.example.com");
        format!("{url}&cert={}&key={}", certificate.display(), key.display())
    };
    assert_eq!(open(&identity(&ours)).await.head().await.unwrap(), head);
    assert!(connect(&identity(&other)).await.is_err(), "it is known by another authority");
}

/// Redirections lead from node to node over TLS, and all nodes are looked at.
#[tokio::test]
async fn a_cluster() {
    let (authority, directory) = (Authority::new(), tempfile::tempdir().unwrap());
    let (certificate, key) = authority.certify(directory.path(), "IP:127.0.0.1");
    let [certificate, key, ca] =
        [&certificate, &key, &authority.certificate()].map(|it| it.display().to_string());
    let cluster = Cluster::start_encrypted(&[
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "no",
    ]);
    let parameters = format!("?cacert={ca}");
    let (mut head, mut stores) = (Head::EMPTY, Vec::new());
    for node in &cluster.nodes {
        let store = open(&format!("rediss+cluster://{}{parameters}", node.encrypted_address())).await;
        assert_eq!(store.head().await.unwrap(), head);
        head = append(&store, head).await.unwrap();
        stores.push(store);
    }
    let owner = cluster.owner_of(cluster.slot_of("memc"));
    let other = &cluster.nodes[(owner + 1) % 3];
    other.call(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let url = format!("rediss+cluster://{}{parameters}", other.encrypted_address());
    let findings = open(&url).await.check().await.unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].message.contains("appendfsync is everysec"), "{findings:?}");

    // None of it goes over the plain ports, which only the test itself uses.
    let owner = &cluster.nodes[owner];
    let Value::BulkString(list) = owner.call(&["CLIENT", "LIST"]) else { panic!("a list") };
    let list = String::from_utf8(list).unwrap();
    let over = |address: &str| list.matches(&format!("laddr={address} ")).count();
    assert_eq!((over(&owner.address()), over(&owner.encrypted_address()) > 0), (1, true), "{list}");
}
