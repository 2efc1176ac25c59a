//! What the API answers when all is well.

use serde_json::{Value, json};

use crate::harness::{Portal, cache};

fn names(list: &Value, field: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|it| it[field].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn objects_have_the_fields_that_programs_rely_on() {
    let portal = Portal::new().await;
    let cluster = portal
        .done("POST", "/clusters", json!({"name": "web", "first_port": 11210, "last_port": 11999}))
        .await;
    assert_eq!(cluster["name"], "web");
    assert_eq!((&cluster["first_port"], &cluster["last_port"]), (&json!(11210), &json!(11999)));
    assert_eq!(cluster["policy"]["grow_headroom_percent"], 10);
    assert!(cluster["revision"].is_u64());
    let host = portal
        .done(
            "POST",
            "/hosts",
            json!({"name": "m1.example.com", "cluster": "web", "address": "127.0.1.11",
                                       "memory_mib": 4096, "rack": "r1"}),
        )
        .await;
    let revision = host["revision"].clone();
    let expected = json!({"name": "m1.example.com", "cluster": "web", "address": "127.0.1.11", "memory_mib": 4096,
                          "booked_mib": 0, "free_mib": 4096, "instances": 0, "rack": "r1", "status": "active",
                          "blocked_ports": [], "found_ports": [], "unobserved": false,
                          "last_pillar_fetch": null, "revision": revision});
    assert_eq!(host, expected);
    let team = portal.done("POST", "/teams", json!({"name": "shop"})).await;
    assert_eq!(team, json!({"name": "shop", "members": [], "revision": team["revision"]}));
    let quota = portal.done("PUT", "/clusters/web/quotas/shop", json!({"memory_mib": 2048})).await;
    let expected = json!({"cluster": "web", "team": "shop", "memory_mib": 2048, "used_mib": 0,
                          "revision": quota["revision"]});
    assert_eq!(quota, expected);
    assert_eq!(portal.get(&portal.ada, "/clusters/web/quotas/shop").await.body, quota);

    let answer = portal.send(&portal.ada, "POST", "/caches", cache("sessions", 64, 1)).await;
    assert_eq!(answer.status, 201);
    let made = answer.body;
    let expected = json!({"team": "shop", "name": "sessions", "cluster": "web", "memory_mib": 64,
        "instances": [{"name": "sessions.0", "host": "m1.example.com", "address": "127.0.1.11", "port": 11210,
                       "memory_mib": 64, "booked_mib": 125, "state": "pending", "answers": null}],
        "instances_wanted": 1, "max_per_rack": null, "releasing": false, "endpoints": ["127.0.1.11:11210"],
        "created_at": made["created_at"], "created_by": "user:ada", "revision": made["revision"]});
    assert_eq!(made, expected);
    assert!(made["created_at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert_eq!(portal.get(&portal.ada, "/caches/shop/sessions").await.body, made);
    assert_eq!(portal.get(&portal.ada, "/caches").await.body, json!({"items": [made], "next_cursor": null}));
}

#[tokio::test]
async fn a_cache_lives_and_ends() {
    let portal = Portal::new().await.with_hosts().await;
    let li = portal.user("li", false, &["shop"]).await;
    let made = portal.send(&li, "POST", "/caches", cache("sessions", 64, 2)).await.body;
    assert_eq!(names(&made["instances"], "name"), ["sessions.0", "sessions.1"]);
    let hosts = names(&made["instances"], "host");
    assert_ne!(hosts[0], hosts[1]);

    portal.observe("shop", "sessions").await;
    let running = portal.get(&li, "/caches/shop/sessions").await.body;
    assert_eq!(names(&running["instances"], "state"), ["running", "running"]);

    let grown = portal.send(&li, "PATCH", "/caches/shop/sessions", json!({"memory_mib": 128})).await;
    assert_eq!(grown.status, 200);
    assert_eq!(grown.body["memory_mib"], 128);
    assert_eq!(names(&grown.body["instances"], "state"), ["pending", "pending"]);
    portal.observe("shop", "sessions").await;
    let shrunk = portal.send(&li, "PATCH", "/caches/shop/sessions", json!({"memory_mib": 32})).await;
    assert_eq!(names(&shrunk.body["instances"], "state"), ["shrinking", "shrinking"]);
    // Not given back yet, so still booked.
    assert_eq!(shrunk.body["instances"][0]["booked_mib"], grown.body["instances"][0]["booked_mib"]);

    let released = portal.api(&li, "DELETE", "/caches/shop/sessions").send().await;
    assert_eq!(released.status, 202);
    assert_eq!(released.body["releasing"], true);
    assert_eq!(released.body["endpoints"], json!([]));
    assert_eq!(names(&released.body["instances"], "state"), ["releasing", "releasing"]);
    // Again: still being released, nothing to object to.
    assert_eq!(portal.api(&li, "DELETE", "/caches/shop/sessions").send().await.status, 202);

    let stopped = "/caches/shop/sessions/instances/sessions.0/confirm-stopped";
    let left = portal.done("POST", stopped, json!({"reason": "seen on the console"})).await;
    assert_eq!(names(&left["instances"], "name"), ["sessions.1"]);
    let stopped = "/caches/shop/sessions/instances/sessions.1/confirm-stopped";
    let gone = portal.done("POST", stopped, json!({"reason": "seen on the console"})).await;
    assert_eq!(gone["gone"], true);
    assert_eq!(portal.get(&li, "/caches/shop/sessions").await.problem(), (404, "not_found"));
    // The name is free; the ports cool down.
    let again = portal.send(&li, "POST", "/caches", cache("sessions", 64, 3)).await;
    assert_eq!(again.status, 201);
    let ports: Vec<u64> =
        again.body["instances"].as_array().unwrap().iter().map(|it| it["port"].as_u64().unwrap()).collect();
    assert_eq!(ports.iter().filter(|port| **port == 11210).count(), 1, "{ports:?}");
}

#[tokio::test]
async fn a_preview_is_what_would_happen_and_changes_nothing() {
    let portal = Portal::new().await.with_hosts().await;
    let li = portal.user("li", false, &["shop"]).await;
    let before = portal.app.fleet.status().revision;
    let preview = portal.send(&li, "POST", "/caches/preview", cache("sessions", 64, 2)).await;
    assert_eq!(preview.status, 200, "{preview:?}");
    assert_eq!(portal.app.fleet.status().revision, before);
    let preview = preview.body;
    assert_eq!(preview["booked_mib"], 250);
    assert_eq!(preview["quota_before"], json!({"memory_mib": 1024, "used_mib": 0, "free_mib": 1024}));
    assert_eq!(preview["quota_after"], json!({"memory_mib": 1024, "used_mib": 128, "free_mib": 896}));
    let made = portal.send(&li, "POST", "/caches", cache("sessions", 64, 2)).await.body;
    assert_eq!(preview["instances"], made["instances"]);

    let refused = portal.send(&li, "POST", "/caches/preview", cache("more", 512, 2)).await;
    assert_eq!(refused.problem(), (409, "quota_exceeded"));
    assert_eq!(refused.body["largest_fit_mib"], 448);
    assert_eq!(
        portal.send(&li, "POST", "/caches/preview", cache("sessions", 8, 1)).await.problem(),
        (409, "name_taken")
    );
}

#[tokio::test]
async fn clusters_change_where_the_request_says_so() {
    let portal = Portal::new().await.with_hosts().await;
    let policy = json!({"max_instances": 4, "overhead": {"floor_mib": 50}});
    let body = json!({"name": "big", "first_port": 12000, "last_port": 12009, "policy": policy});
    let made = portal.done("POST", "/clusters", body).await;
    assert_eq!(
        made["policy"]["overhead"],
        json!({"percent": 10, "base_mib": 8, "floor_mib": 50,
                                                  "connections": 1024, "connection_kib": 16})
    );
    let changed = portal
        .done("PATCH", "/clusters/big", json!({"last_port": 12019, "policy": {"overhead": {"percent": 20}}}))
        .await;
    assert_eq!((&changed["first_port"], &changed["last_port"]), (&json!(12000), &json!(12019)));
    assert_eq!(changed["policy"]["overhead"]["percent"], 20);
    assert_eq!(changed["policy"]["overhead"]["floor_mib"], 50);
    assert_eq!(changed["policy"]["max_instances"], 4);
    assert_eq!(portal.get(&portal.ada, "/clusters/big").await.body, changed);

    let in_use = portal.api(&portal.ada, "DELETE", "/clusters/web").send().await;
    assert_eq!(in_use.problem(), (409, "in_use"));
    assert_eq!(portal.api(&portal.ada, "DELETE", "/clusters/big").send().await.status, 204);
    assert_eq!(portal.get(&portal.ada, "/clusters/big").await.status, 404);
}

#[tokio::test]
async fn teams_have_members_and_lose_them_with_their_end() {
    let portal = Portal::new().await.with_hosts().await;
    let li = portal.user("li", false, &[]).await;
    assert_eq!(portal.get(&li, "/teams/shop").await.status, 404);
    let team = portal.done("PUT", "/teams/shop/members/li", Value::Null).await;
    assert_eq!(team["members"], json!(["li"]));
    assert_eq!(portal.done("PUT", "/teams/shop/members/li", Value::Null).await, team);
    assert_eq!(portal.get(&li, "/teams/shop").await.body, team);
    assert_eq!(portal.api(&portal.ada, "DELETE", "/teams/shop/members/li").send().await.status, 204);
    assert_eq!(portal.get(&li, "/teams/shop").await.status, 404);

    portal.done("PUT", "/teams/shop/members/li", Value::Null).await;
    portal.done("POST", "/caches", cache("sessions", 64, 1)).await;
    assert_eq!(portal.api(&portal.ada, "DELETE", "/teams/shop").send().await.problem(), (409, "in_use"));
    portal.done("DELETE", "/caches/shop/sessions", Value::Null).await;
    portal
        .done("POST", "/caches/shop/sessions/instances/sessions.0/confirm-stopped", json!({"reason": "test"}))
        .await;
    assert_eq!(portal.api(&portal.ada, "DELETE", "/teams/shop").send().await.status, 204);
    // A later team of that name is another one.
    let again = portal.done("POST", "/teams", json!({"name": "shop"})).await;
    assert_eq!(again["members"], json!([]));
}
