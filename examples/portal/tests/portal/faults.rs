//! A store that goes away, breaks off or hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use memc_core::fleet::Options;
use memc_core::ledger::{Commit, Head};
use memc_core::model::Revision;
use memc_core::store::{Decide, Finding, Load, MemoryStore, Store, StoreError, TurnError};
use serde_json::json;

use crate::harness::{Portal, cache};

const UP: u8 = 0;
const AWAY: u8 = 1;
/// The next append is made and its acknowledgement lost; then the store is away.
const BREAKS_OFF: u8 = 2;
const HANGS: u8 = 3;

#[derive(Debug, Clone, Default)]
struct Faulty {
    store: MemoryStore,
    mode: Arc<AtomicU8>,
}

impl Faulty {
    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
    }

    async fn up(&self) -> Result<(), StoreError> {
        match self.mode.load(Ordering::SeqCst) {
            AWAY => Err(StoreError::unavailable("test", "connection refused")),
            HANGS => std::future::pending().await,
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn head(&self) -> Result<Head, StoreError> {
        self.up().await?;
        self.store.head().await
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        self.up().await?;
        self.store.load(into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.up().await?;
        self.store.commits(after, limit).await
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.up().await?;
        self.store.history(target, before, limit).await
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        self.up().await?;
        let head = self.store.turn(at, by).await?;
        if self.mode.compare_exchange(BREAKS_OFF, AWAY, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return Err(TurnError::Unknown(StoreError::unavailable("commit", "connection reset")));
        }
        Ok(head)
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }
}

async fn portal(options: Options) -> (Portal, Faulty) {
    let store = Faulty::default();
    let portal = Portal::over(Arc::new(store.clone()), options, tempfile::tempdir().unwrap()).await;
    (portal.with_hosts().await, store)
}

#[tokio::test]
async fn while_the_store_is_away_reads_go_on_and_writes_fail() {
    let (portal, store) = portal(Options::default()).await;
    portal.done("POST", "/caches", cache("a", 8, 1)).await;
    let fresh = portal.get(&portal.ada, "/caches").await;
    assert_eq!(fresh.header("memc-stale"), None);
    store.set(AWAY);
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
    store.set(UP);
    assert_eq!(portal.send(&portal.ada, "POST", "/caches", cache("b", 8, 1)).await.status, 201);
    assert_eq!(portal.call("GET", "/readyz").send().await.status, 200);
}

#[tokio::test]
async fn an_unknown_outcome_is_told_and_a_retry_settles_it() {
    let (portal, store) = portal(Options::default()).await;
    let send = || portal.api(&portal.ada, "POST", "/caches").key("k").json(&cache("a", 8, 1)).send();
    store.set(BREAKS_OFF);
    let answer = send().await;
    assert_eq!(answer.problem(), (503, "outcome_unknown"));
    assert!(answer.header("retry-after").is_some());
    store.set(UP);
    let retried = send().await;
    assert_eq!(retried.status, 201, "{retried:?}");
    assert_eq!(portal.get(&portal.ada, "/caches").await.body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn too_many_at_once_are_turned_away() {
    let (portal, store) = portal(Options { queue: 1, ..Options::default() }).await;
    store.set(HANGS);
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
