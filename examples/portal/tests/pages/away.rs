//! Pages while the store is away: they are shown from memory and say so, and forms keep what was typed.

use std::sync::Arc;

use axum::http::StatusCode;
use memc_core::store::{Fault, FaultyStore};

use crate::portal::{PREVIEW, Portal};

#[tokio::test]
async fn pages_say_that_the_store_is_away_and_forms_keep_their_input() {
    let store = Arc::new(FaultyStore::default());
    let portal = Portal::on(store.clone()).await;
    let ada = portal.login("ada").await;
    ada.fill_in(PREVIEW, "/caches", &[]).await;
    assert!(!ada.get("/caches").await.body.contains("The store is away"));

    store.be(Fault::Away);
    let page = ada.get("/caches/shop/sessions").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("The store is away. What you see is from 2"), "{}", page.body);
    assert!(page.body.contains("The history cannot be read right now"));
    assert!(page.body.contains("127.0.0.1:11210"), "what memory has is shown");
    let path = "/caches/shop/sessions/resize";
    let refused = ada.fill_in(path, path, &[("memory_mib", "77")]).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        refused.body.contains("Nothing was changed") && refused.body.contains("value=\"77\""),
        "{}",
        refused.body
    );
    assert_eq!(ada.get("/admin/audit").await.status, StatusCode::SERVICE_UNAVAILABLE);

    store.be(Fault::None);
    assert_eq!(ada.fill_in(path, path, &[("memory_mib", "77")]).await.status, StatusCode::SEE_OTHER);
}
