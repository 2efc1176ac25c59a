//! Pages while the store is away: they are shown from memory and say so, and forms keep what was typed.

use std::sync::Arc;

use axum::http::StatusCode;
use memc_core::fleet::Options;
use memc_core::store::{Fault, FaultyStore};
use memc_test_servers::Postgres;

use crate::portal::{ADMINISTRATION, PREVIEW, Portal};

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

/// An operator has accepted that a real server could lose what it acknowledged: every page reminds operators of it, with
/// the setting, its value and the one that is needed; it is nothing that users could do anything about.
#[tokio::test]
async fn an_accepted_risk_is_on_every_operators_page() {
    let server = Postgres::start(&[("fsync", "off"), ("full_page_writes", "off")]);
    let store = memc_store_sql::connect(&server.url()).await.unwrap();
    let portal = Portal::with(store, Options { accept_risks: true, ..Options::default() }).await;
    let (ada, lin) = (portal.login("ada").await, portal.login("lin").await);
    for path in ADMINISTRATION.into_iter().chain(["/caches", "/account", "/caches/new", "/admin/findings"]) {
        let page = ada.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.body.contains("This store could lose changes"), "{path}: {}", page.body);
        for setting in ["fsync is off, on is needed", "full_page_writes is off, on is needed"] {
            assert!(page.body.contains(setting), "{path}: {}", page.body);
        }
    }
    for path in ["/caches", "/account", "/caches/new"] {
        let page = lin.get(path).await.body;
        assert!(!page.contains("could lose") && !page.contains("fsync"), "{path}: {page}");
    }
    let safe = Portal::new().await;
    assert!(!safe.login("ada").await.get("/caches").await.body.contains("could lose"));
}
