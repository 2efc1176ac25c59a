//! Lists come in pages, and everyone sees their own.

use serde_json::{Value, json};

use crate::harness::{Portal, cache};

/// Every item of a list, read in pages of this many.
async fn all(portal: &Portal, token: &str, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), String::new());
    let separator = if path.contains('?') { '&' } else { '?' };
    loop {
        let answer = portal.get(token, &format!("{path}{separator}limit={limit}{cursor}")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.body["items"].as_array().unwrap().clone();
        assert!(page.len() <= limit);
        items.extend(page);
        match answer.body["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={}", next.replace('/', "%2F")),
            None => return items,
        }
    }
}

#[tokio::test]
async fn pages_add_up_to_the_list() {
    let portal = Portal::new().await.with_hosts().await;
    for name in ["ads", "blog"] {
        portal.done("POST", "/teams", json!({"name": name})).await;
        portal.done("PUT", &format!("/clusters/web/quotas/{name}"), json!({"memory_mib": 100})).await;
        portal.done("POST", "/clusters", json!({"name": name, "first_port": 2000, "last_port": 2001})).await;
    }
    portal.done("POST", "/caches", cache("a", 8, 1)).await;
    portal.done("POST", "/caches", cache("b", 8, 1)).await;
    let body = json!({"team": "ads", "name": "z", "cluster": "web", "memory_mib": 8, "instances": 1});
    portal.done("POST", "/caches", body).await;
    for (path, count) in [
        ("/hosts", 3),
        ("/clusters", 3),
        ("/teams", 3),
        ("/caches", 3),
        ("/clusters/web/quotas", 3),
        ("/audit", 16),
    ] {
        let whole = all(&portal, &portal.ada, path, 1000).await;
        assert_eq!(whole.len(), count, "{path}: {whole:?}");
        for limit in [1, 2, count] {
            assert_eq!(all(&portal, &portal.ada, path, limit).await, whole, "{path} by {limit}");
        }
    }
    let caches = all(&portal, &portal.ada, "/caches", 10).await;
    let names: Vec<&Value> = caches.iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["z", "a", "b"], "by team, then by name");
    assert_eq!(all(&portal, &portal.ada, "/caches?team=ads", 1).await.len(), 1);
    assert_eq!(all(&portal, &portal.ada, "/caches?cluster=ads", 1).await.len(), 0);
    assert_eq!(all(&portal, &portal.ada, "/hosts?cluster=web", 2).await.len(), 3);
    assert_eq!(all(&portal, &portal.ada, "/hosts?cluster=nowhere", 2).await.len(), 0);
}

#[tokio::test]
async fn members_see_their_own() {
    let portal = Portal::new().await.with_hosts().await;
    portal.done("POST", "/teams", json!({"name": "ads"})).await;
    portal.done("POST", "/clusters", json!({"name": "big", "first_port": 2000, "last_port": 2001})).await;
    portal.done("PUT", "/clusters/web/quotas/ads", json!({"memory_mib": 100})).await;
    portal.done("POST", "/caches", cache("a", 8, 1)).await;
    let body = json!({"team": "ads", "name": "z", "cluster": "web", "memory_mib": 8, "instances": 1});
    portal.done("POST", "/caches", body).await;

    let li = portal.user("li", false, &["ads"]).await;
    let caches = all(&portal, &li, "/caches", 10).await;
    assert_eq!(caches.len(), 1);
    assert_eq!(caches[0]["name"], "z");
    assert_eq!(all(&portal, &li, "/caches?team=shop", 10).await.len(), 0);
    let teams = all(&portal, &li, "/teams", 10).await;
    assert_eq!((teams.len(), &teams[0]["members"]), (1, &json!(["li"])));
    let clusters = all(&portal, &li, "/clusters", 10).await;
    assert_eq!(clusters.len(), 1);
    // Names and ports, nothing of the hosts.
    assert_eq!(
        clusters[0].as_object().unwrap().keys().collect::<Vec<_>>(),
        ["first_port", "last_port", "name", "revision"]
    );
    let quotas = all(&portal, &li, "/clusters/web/quotas", 10).await;
    assert_eq!((quotas.len(), &quotas[0]["used_mib"]), (1, &json!(8)));
    assert_eq!(portal.get(&li, "/clusters/web/quotas/shop").await.status, 404);
    assert_eq!(portal.get(&li, "/clusters/big").await.status, 404);
    assert_eq!(portal.get(&li, "/clusters/big/quotas").await.status, 404);

    let nobody = portal.user("nobody", false, &[]).await;
    for path in ["/caches", "/teams", "/clusters"] {
        assert_eq!(all(&portal, &nobody, path, 10).await.len(), 0, "{path}");
    }
}

#[tokio::test]
async fn the_audit_is_newest_first() {
    let portal = Portal::new().await.with_hosts().await;
    let li = portal.user("li", false, &["shop"]).await;
    let made = portal.api(&li, "POST", "/caches").key("mine").json(&cache("a", 8, 1)).send().await.body;
    portal.done("PATCH", "/caches/shop/a", json!({"memory_mib": 16})).await;
    let audit = all(&portal, &portal.ada, "/audit", 3).await;
    assert_eq!((&audit[0]["action"], &audit[0]["actor"]), (&json!("cache.resize"), &json!("user:ada")));
    let expected = json!({"revision": made["revision"], "at": audit[1]["at"], "actor": "user:li",
                          "action": "cache.allocate", "target": "cache:shop/a", "detail": audit[1]["detail"],
                          "request_id": "mine"});
    assert_eq!(audit[1], expected);
    assert!(audit[1]["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(all(&portal, &li, "/audit?cache=shop/a", 1).await, audit[..2]);
    assert_eq!(all(&portal, &portal.ada, "/audit?target=host:m1.example.com", 1).await.len(), 1);
}
