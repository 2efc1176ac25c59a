//! Pages while the store is away: they are shown from memory and say so, and forms keep what was typed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::http::StatusCode;
use memc_core::ledger::{Commit, Head};
use memc_core::model::Revision;
use memc_core::store::{Decide, Finding, Load, MemoryStore, Store, StoreError, TurnError};

use crate::portal::{PREVIEW, Portal};

/// A store in memory that can be taken away.
#[derive(Debug, Default)]
struct Leaving {
    store: MemoryStore,
    away: AtomicBool,
}

impl Leaving {
    fn here(&self) -> Result<&MemoryStore, StoreError> {
        if self.away.load(Ordering::Relaxed) {
            Err(StoreError::unavailable("test", "away"))
        } else {
            Ok(&self.store)
        }
    }
}

#[async_trait]
impl Store for Leaving {
    async fn head(&self) -> Result<Head, StoreError> {
        self.here()?.head().await
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        self.here()?.load(into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.here()?.commits(after, limit).await
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.here()?.history(target, before, limit).await
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        self.here()?.turn(at, by).await
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.here()?.check().await
    }
}

#[tokio::test]
async fn pages_say_that_the_store_is_away_and_forms_keep_their_input() {
    let store = Arc::new(Leaving::default());
    let portal = Portal::on(store.clone()).await;
    let ada = portal.login("ada").await;
    ada.fill_in(PREVIEW, "/caches", &[]).await;
    assert!(!ada.get("/caches").await.body.contains("The store is away"));

    store.away.store(true, Ordering::Relaxed);
    let page = ada.get("/caches/shop/sessions").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("The store is away. What you see is from 2"), "{}", page.body);
    assert!(page.body.contains("The history cannot be read right now"));
    assert!(page.body.contains("10.0.0.1:11210"), "what memory has is shown");
    let path = "/caches/shop/sessions/resize";
    let refused = ada.fill_in(path, path, &[("memory_mib", "77")]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        refused.body.contains("Nothing was changed") && refused.body.contains("value=\"77\""),
        "{}",
        refused.body
    );
    assert_eq!(ada.get("/admin/audit").await.status, StatusCode::SERVICE_UNAVAILABLE);

    store.away.store(false, Ordering::Relaxed);
    assert_eq!(ada.fill_in(path, path, &[("memory_mib", "77")]).await.status, StatusCode::SEE_OTHER);
}
