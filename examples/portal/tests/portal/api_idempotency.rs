//! The same request again has no second effect.

use serde_json::{Value, json};

use crate::harness::{Portal, cache};

#[tokio::test]
async fn a_retried_creation_answers_the_same() {
    let portal = Portal::new().await.with_hosts().await;
    let send = |body: Value| portal.api(&portal.ada, "POST", "/caches").key("k-1").json(&body).send();
    let first = send(cache("sessions", 64, 1)).await;
    let second = send(cache("sessions", 64, 1)).await;
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(first.body, second.body);
    // The object as it is now, the revision as it was then.
    portal.done("PATCH", "/caches/shop/sessions", json!({"memory_mib": 128})).await;
    let third = send(cache("sessions", 64, 1)).await;
    assert_eq!((third.status, &third.body["memory_mib"]), (201, &json!(128)));
    assert_eq!(third.body["revision"], first.body["revision"]);
    assert_eq!(send(cache("sessions", 65, 1)).await.problem(), (422, "request_id_reused"));
    // Another user's request ids are others.
    let li = portal.user("li", false, &["shop"]).await;
    let other = portal.api(&li, "POST", "/caches").key("k-1").json(&cache("other", 64, 1)).send().await;
    assert_eq!(other.status, 201);
}

#[tokio::test]
async fn a_retry_after_the_end_says_that_it_is_gone() {
    let portal = Portal::new().await.with_hosts().await;
    let create =
        || portal.api(&portal.ada, "POST", "/caches").key("c").json(&cache("sessions", 64, 1)).send();
    let release = || portal.api(&portal.ada, "DELETE", "/caches/shop/sessions").key("d").send();
    let made = create().await;
    let released = release().await;
    assert_eq!(released.status, 202);
    let stopped = "/caches/shop/sessions/instances/sessions.0/confirm-stopped";
    portal.done("POST", stopped, json!({"reason": "test"})).await;
    let again = create().await;
    assert_eq!(again.status, 201);
    assert_eq!(again.body, json!({"gone": true, "revision": made.body["revision"]}));
    let again = release().await;
    assert_eq!((again.status, &again.body["gone"]), (202, &json!(true)));
    // Without the request id it is a new request.
    assert_eq!(portal.api(&portal.ada, "DELETE", "/caches/shop/sessions").send().await.status, 404);
}

#[tokio::test]
async fn every_method_takes_a_request_id() {
    let portal = Portal::new().await.with_hosts().await;
    portal.user("li", false, &[]).await;
    let calls = [
        ("POST", "/clusters", json!({"name": "big", "first_port": 12000, "last_port": 12009}), 201),
        ("PATCH", "/clusters/big", json!({"last_port": 12010}), 200),
        (
            "POST",
            "/hosts",
            json!({"name": "m4", "cluster": "big", "address": "127.0.1.4", "memory_mib": 512}),
            201,
        ),
        ("PATCH", "/hosts/m4", json!({"memory_mib": 1024}), 200),
        ("POST", "/hosts/m4/cordon", Value::Null, 200),
        ("POST", "/hosts/m4/uncordon", Value::Null, 200),
        ("POST", "/hosts/m4/lost", json!({"reason": "test"}), 200),
        ("POST", "/teams", json!({"name": "ads"}), 201),
        ("PUT", "/clusters/big/quotas/ads", json!({"memory_mib": 100}), 200),
        ("PUT", "/teams/ads/members/li", Value::Null, 200),
        ("DELETE", "/teams/ads/members/li", Value::Null, 204),
        ("POST", "/caches", cache("sessions", 64, 1), 201),
        ("PATCH", "/caches/shop/sessions", json!({"memory_mib": 65}), 200),
        ("POST", "/caches/shop/sessions/replace", Value::Null, 200),
        ("DELETE", "/caches/shop/sessions", Value::Null, 202),
        (
            "POST",
            "/caches/shop/sessions/instances/sessions.0/confirm-stopped",
            json!({"reason": "test"}),
            200,
        ),
        ("DELETE", "/teams/ads", Value::Null, 204),
        ("DELETE", "/hosts/m4", Value::Null, 204),
        ("DELETE", "/clusters/big", Value::Null, 204),
    ];
    for (number, (method, path, body, status)) in calls.into_iter().enumerate() {
        let key = format!("key-{number}");
        let send = || portal.api(&portal.ada, method, path).key(&key).json(&body).send();
        let first = send().await;
        assert_eq!(first.status, status, "{method} {path}: {first:?}");
        let before = portal.app.fleet.status().revision;
        let second = send().await;
        assert_eq!(second.status, status, "{method} {path} again: {second:?}");
        assert_eq!(portal.app.fleet.status().revision, before, "{method} {path} again did something");
        for key in ["with space", "", &"k".repeat(129)] {
            let bad = portal.api(&portal.ada, method, path).key(key).json(&body).send().await;
            assert_eq!(bad.problem(), (422, "invalid_value"), "{method} {path}");
            assert!(bad.body["detail"].as_str().unwrap().contains("or leave the header out"), "{bad:?}");
        }
    }
}

#[tokio::test]
async fn a_retried_removal_of_a_team_leaves_the_next_of_that_name_alone() {
    let portal = Portal::new().await;
    portal.user("eve", false, &[]).await;
    let remove = || portal.api(&portal.ada, "DELETE", "/teams/tmp").key("d").send();
    portal.done("POST", "/teams", json!({"name": "tmp"})).await;
    assert_eq!(remove().await.status, 204);
    portal.done("POST", "/teams", json!({"name": "tmp"})).await;
    portal.done("PUT", "/teams/tmp/members/eve", Value::Null).await;
    assert_eq!(remove().await.status, 204);
    assert_eq!(portal.get(&portal.ada, "/teams/tmp").await.body["members"], json!(["eve"]));
}

#[tokio::test]
async fn members_come_and_go_once_for_a_request_id() {
    let portal = Portal::new().await;
    for user in ["eve", "bob"] {
        portal.user(user, false, &[]).await;
    }
    portal.done("POST", "/teams", json!({"name": "tmp"})).await;
    let send = |method, user| {
        portal
            .api(&portal.ada, method, &format!("/teams/tmp/members/{user}"))
            .key(&format!("{method}-1"))
            .send()
    };
    assert_eq!(send("PUT", "eve").await.status, 200);
    assert_eq!(send("PUT", "bob").await.problem(), (422, "request_id_reused"));
    assert_eq!(send("DELETE", "eve").await.status, 204);
    assert_eq!(send("PUT", "eve").await.body["members"], json!([]), "a retry does not put her back");
}
