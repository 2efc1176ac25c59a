//! A store that goes away, breaks off or hangs.

use std::sync::Arc;

use memc_core::fleet::Options;
use memc_core::store::{Fault, FaultyStore};
use serde_json::json;

use crate::harness::{Portal, cache};

async fn portal(options: Options) -> (Portal, Arc<FaultyStore>) {
    let store = Arc::new(FaultyStore::default());
    let portal = Portal::over(store.clone(), options, tempfile::tempdir().unwrap()).await;
    (portal.with_hosts().await, store)
}

#[tokio::test]
async fn while_the_store_is_away_reads_go_on_and_writes_fail() {
    let (portal, store) = portal(Options::default()).await;
    portal.done("POST", "/caches", cache("a", 8, 1)).await;
    let fresh = portal.get(&portal.ada, "/caches").await;
    assert_eq!(fresh.header("memc-stale"), None);
    store.be(Fault::Away);
    for path in
        ["/caches", "/caches/shop/a", "/hosts", "/hosts/m1.example.com", "/clusters", "/teams", "/teams/shop"]
    {
        let answer = portal.get(&portal.ada, path).await;
        assert_eq!((answer.status, answer.header("memc-stale")), (200, Some("true")), "{path}");
    }
    assert_eq!(portal.get(&portal.ada, "/caches").await.body, fresh.body);
    let preview = portal.send(&portal.ada, "POST", "/caches/preview", cache("b", 8, 1)).await;
    assert_eq!((preview.status, preview.header("memc-stale")), (200, Some("true")));
    let patch = json!({"last_port": 11220});
    for (method, path, body) in [
        ("POST", "/caches", cache("b", 8, 1)),
        ("DELETE", "/caches/shop/a", json!(null)),
        ("PATCH", "/clusters/web", patch),
    ] {
        let answer = portal.send(&portal.ada, method, path, body).await;
        assert_eq!(answer.problem(), (503, "store_unavailable"), "{method} {path}");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(portal.get(&portal.ada, "/audit").await.problem(), (503, "store_unavailable"));
    assert_eq!(portal.call("GET", "/readyz").send().await.status, 503);
    assert_eq!(portal.call("GET", "/healthz").send().await.status, 200);
    store.be(Fault::None);
    assert_eq!(portal.send(&portal.ada, "POST", "/caches", cache("b", 8, 1)).await.status, 201);
    assert_eq!(portal.call("GET", "/readyz").send().await.status, 200);
}

#[tokio::test]
async fn an_unknown_outcome_is_told_and_a_retry_settles_it() {
    let (portal, store) = portal(Options::default()).await;
    let send = || portal.api(&portal.ada, "POST", "/caches").key("k").json(&cache("a", 8, 1)).send();
    store.be(Fault::BreaksOff);
    let answer = send().await;
    assert_eq!(answer.problem(), (503, "outcome_unknown"));
    assert!(answer.header("retry-after").is_some());
    store.be(Fault::None);
    let retried = send().await;
    assert_eq!(retried.status, 201, "{retried:?}");
    assert_eq!(portal.get(&portal.ada, "/caches").await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn too_many_at_once_are_turned_away() {
    let (portal, store) = portal(Options { queue: 1, ..Options::default() }).await;
    store.be(Fault::Hangs);
    // One is being decided, one waits; nobody is waited for here.
    let calls: Vec<_> = (0..8)
        .map(|n| portal.api(&portal.ada, "POST", "/teams").json(&json!({"name": format!("t{n}")})).send())
        .collect();
    let mut calls: Vec<_> = calls.into_iter().map(Box::pin).collect();
    let busy = std::future::poll_fn(|context| {
        for call in &mut calls {
            if let std::task::Poll::Ready(answer) = call.as_mut().poll(context) {
                return std::task::Poll::Ready(answer);
            }
        }
        std::task::Poll::Pending
    })
    .await;
    assert_eq!(busy.problem(), (503, "busy"));
    assert!(busy.header("retry-after").is_some());
}
