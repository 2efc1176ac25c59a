//! Who may do what, for every path.

use serde_json::{Value, json};

use crate::harness::{Portal, cache};

/// What each gets: without a token, from outside the team, as its member, as administrator. The order is one in which
/// all of it works for who may.
fn matrix() -> Vec<(&'static str, &'static str, Value, [u16; 4])> {
    let host = json!({"name": "m4", "cluster": "web", "address": "127.0.1.4", "memory_mib": 512});
    let stopped = "/caches/shop/a/instances/a.0/confirm-stopped";
    vec![
        ("GET", "/clusters", Value::Null, [401, 200, 200, 200]),
        ("GET", "/clusters/web", Value::Null, [401, 404, 200, 200]),
        (
            "POST",
            "/clusters",
            json!({"name": "big", "first_port": 2000, "last_port": 2001}),
            [401, 403, 403, 201],
        ),
        ("PATCH", "/clusters/big", json!({"last_port": 2002}), [401, 403, 403, 200]),
        ("DELETE", "/clusters/big", Value::Null, [401, 403, 403, 204]),
        ("GET", "/clusters/web/quotas", Value::Null, [401, 404, 200, 200]),
        ("GET", "/clusters/web/quotas/shop", Value::Null, [401, 404, 200, 200]),
        ("PUT", "/clusters/web/quotas/shop", json!({"memory_mib": 900}), [401, 403, 403, 200]),
        ("GET", "/hosts", Value::Null, [401, 403, 403, 200]),
        ("POST", "/hosts", host, [401, 403, 403, 201]),
        ("GET", "/hosts/m4", Value::Null, [401, 403, 403, 200]),
        ("PATCH", "/hosts/m4", json!({"memory_mib": 600}), [401, 403, 403, 200]),
        ("POST", "/hosts/m4/cordon", Value::Null, [401, 403, 403, 200]),
        ("POST", "/hosts/m4/uncordon", Value::Null, [401, 403, 403, 200]),
        ("POST", "/hosts/m4/lost", json!({"reason": "test"}), [401, 403, 403, 200]),
        ("DELETE", "/hosts/m4", Value::Null, [401, 403, 403, 204]),
        ("GET", "/teams", Value::Null, [401, 200, 200, 200]),
        ("POST", "/teams", json!({"name": "ads"}), [401, 403, 403, 201]),
        ("GET", "/teams/shop", Value::Null, [401, 404, 200, 200]),
        ("PUT", "/teams/ads/members/caller", Value::Null, [401, 403, 403, 200]),
        ("DELETE", "/teams/ads/members/caller", Value::Null, [401, 403, 403, 204]),
        ("DELETE", "/teams/ads", Value::Null, [401, 403, 403, 204]),
        ("GET", "/caches", Value::Null, [401, 200, 200, 200]),
        ("POST", "/caches/preview", cache("a", 8, 1), [401, 404, 200, 200]),
        ("POST", "/caches", cache("a", 8, 1), [401, 404, 201, 201]),
        ("GET", "/caches/shop/a", Value::Null, [401, 404, 200, 200]),
        ("PATCH", "/caches/shop/a", json!({"memory_mib": 9}), [401, 404, 200, 200]),
        ("POST", "/caches/shop/a/replace", Value::Null, [401, 404, 200, 200]),
        ("GET", "/audit?cache=shop/a", Value::Null, [401, 404, 200, 200]),
        ("DELETE", "/caches/shop/a", Value::Null, [401, 404, 202, 202]),
        ("POST", stopped, json!({"reason": "test"}), [401, 404, 403, 200]),
        ("GET", "/audit", Value::Null, [401, 403, 403, 200]),
        ("GET", "/audit?target=host:m1.example.com", Value::Null, [401, 403, 403, 200]),
    ]
}

#[tokio::test]
async fn everyone_may_do_what_their_role_allows() {
    for (role, (admin, teams)) in
        [(false, &[][..]), (false, &[]), (false, &["shop"]), (true, &[])].into_iter().enumerate()
    {
        let portal = Portal::new().await.with_hosts().await;
        let token = portal.user("caller", admin, teams).await;
        for (method, path, body, expected) in matrix() {
            let mut call = portal.call(method, &format!("/api/v1{path}"));
            if role > 0 {
                call = call.header("authorization", &format!("Bearer {token}"));
            }
            let answer = call.json(&body).send().await;
            assert_eq!(answer.status, expected[role], "{method} {path} in role {role}: {answer:?}");
            match answer.status {
                401 => assert_eq!(answer.problem(), (401, "unauthorized")),
                403 => assert_eq!(answer.problem(), (403, "forbidden")),
                404 => assert_eq!(answer.problem(), (404, "not_found")),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn what_is_others_looks_like_what_is_not_there() {
    let portal = Portal::new().await.with_hosts().await;
    portal.done("POST", "/caches", cache("a", 8, 1)).await;
    let eve = portal.user("eve", false, &["ads"]).await;
    for (method, body) in [("GET", Value::Null), ("PATCH", json!({"memory_mib": 9})), ("DELETE", Value::Null)]
    {
        let theirs = portal.send(&eve, method, "/caches/shop/a", body.clone()).await.body;
        let nobodys = portal.send(&eve, method, "/caches/shop/b", body).await.body;
        assert_eq!(theirs["detail"].as_str().unwrap().replace("/a", "/b"), nobodys["detail"], "{method}");
    }
    let mut there = cache("a", 8, 1);
    let theirs = portal.send(&eve, "POST", "/caches", there.clone()).await;
    there["team"] = json!("none");
    let nobodys = portal.send(&eve, "POST", "/caches", there).await;
    assert_eq!((theirs.status, nobodys.status), (404, 404));
}

#[tokio::test]
async fn a_revoked_token_and_a_removed_user_get_no_further() {
    let portal = Portal::new().await.with_hosts().await;
    let accounts = &portal.app.accounts;
    let name = memc_portal::accounts::UserName::new("li").unwrap();
    let first = portal.user("li", false, &["shop"]).await;
    let second = accounts.create_user_token(&name, "laptop").await.unwrap();
    assert_eq!(portal.get(&second.token, "/caches").await.status, 200);
    assert!(accounts.revoke_token(Some(&name), &second.id).await.unwrap());
    assert_eq!(portal.get(&second.token, "/caches").await.status, 401);
    assert_eq!(portal.get(&first, "/caches").await.status, 200);
    accounts.remove_user(&name).await.unwrap();
    assert_eq!(portal.get(&first, "/caches").await.status, 401);
    for header in ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer x"] {
        let answer = portal.call("GET", "/api/v1/caches").header("authorization", header).send().await;
        assert_eq!(answer.problem(), (401, "unauthorized"), "{header:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
}

#[tokio::test]
async fn a_team_does_not_read_what_an_older_one_of_its_name_did() {
    let portal = Portal::new().await.with_hosts().await;
    let hr = || async {
        portal.done("POST", "/teams", json!({"name": "hr"})).await;
        portal.done("PUT", "/clusters/web/quotas/hr", json!({"memory_mib": 100})).await;
    };
    let layoffs = json!({"team": "hr", "name": "layoffs", "cluster": "web", "memory_mib": 8, "instances": 1});
    hr().await;
    portal.api(&portal.ada, "POST", "/caches").key("secret-key").json(&layoffs).send().await;
    portal.done("DELETE", "/caches/hr/layoffs", Value::Null).await;
    let stopped = "/caches/hr/layoffs/instances/layoffs.0/confirm-stopped";
    portal.done("POST", stopped, json!({"reason": "secret"})).await;
    portal.done("DELETE", "/teams/hr", Value::Null).await;
    hr().await;
    let eve = portal.user("eve", false, &["hr"]).await;
    let read = || portal.get(&eve, "/audit?cache=hr/layoffs");
    assert_eq!(read().await.body["items"], json!([]));
    // Of its own it reads everything but others' request ids.
    let again = portal.api(&portal.ada, "POST", "/caches").key("another-key").json(&layoffs).send().await;
    assert_eq!(again.status, 201);
    let items = read().await.body["items"].clone();
    assert_eq!(
        (items[0]["action"].as_str(), &items[0]["request_id"]),
        (Some("cache.allocate"), &Value::Null)
    );
    assert_eq!(items[1], Value::Null);
}
