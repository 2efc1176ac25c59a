//! Hosts, and what happens when one is lost.

use serde_json::{Value, json};

use crate::harness::{Portal, cache};

#[tokio::test]
async fn hosts_change() {
    let portal = Portal::new().await.with_hosts().await;
    let changed = portal
        .done(
            "PATCH",
            "/hosts/m1.example.com",
            json!({"memory_mib": 2048, "rack": null, "blocked_ports": [11211, 11210]}),
        )
        .await;
    assert_eq!(changed["memory_mib"], 2048);
    assert_eq!(changed["rack"], Value::Null);
    assert_eq!(changed["blocked_ports"], json!([11210, 11211]));
    let unchanged = portal.done("PATCH", "/hosts/m1.example.com", json!({})).await;
    assert_eq!(unchanged, changed);

    let name = json!({"name": "m9.example.com", "address": "127.0.1.9"});
    let renamed = portal.done("PATCH", "/hosts/m1.example.com", name).await;
    assert_eq!((&renamed["name"], &renamed["address"]), (&json!("m9.example.com"), &json!("127.0.1.9")));
    assert_eq!(portal.get(&portal.ada, "/hosts/m1.example.com").await.status, 404);

    assert_eq!(portal.done("POST", "/hosts/m9.example.com/cordon", Value::Null).await["status"], "cordoned");
    assert_eq!(portal.done("POST", "/hosts/m9.example.com/uncordon", Value::Null).await["status"], "active");
    assert_eq!(portal.api(&portal.ada, "POST", "/hosts/m9.example.com/cordon").send().await.status, 200);
    assert_eq!(portal.api(&portal.ada, "DELETE", "/hosts/m9.example.com").send().await.status, 204);
}

#[tokio::test]
async fn a_host_in_use_keeps_its_name_and_place() {
    let portal = Portal::new().await.with_hosts().await;
    let made = portal.done("POST", "/caches", cache("sessions", 64, 1)).await;
    let host = format!("/hosts/{}", made["instances"][0]["host"].as_str().unwrap());
    let answer = portal.send(&portal.ada, "PATCH", &host, json!({"address": "127.0.1.77"})).await;
    assert_eq!(answer.problem(), (409, "in_use"));
    assert_eq!(portal.api(&portal.ada, "DELETE", &host).send().await.problem(), (409, "in_use"));
    let shown = portal.get(&portal.ada, &host).await.body;
    assert_eq!((&shown["booked_mib"], &shown["free_mib"]), (&json!(125), &json!(899)));
    assert_eq!(shown["instances"], 1);
}

#[tokio::test]
async fn a_lost_host_is_replaced_as_far_as_there_is_room() {
    let portal = Portal::new().await.with_hosts().await;
    // Everywhere, so that there is no fourth host to go to; and one that has somewhere to go.
    portal.done("POST", "/caches", cache("wide", 64, 3)).await;
    let narrow = portal.done("POST", "/caches", cache("narrow", 64, 1)).await;
    let host = narrow["instances"][0]["host"].as_str().unwrap().to_owned();
    let lost = portal.done("POST", &format!("/hosts/{host}/lost"), json!({"reason": "burnt down"})).await;
    assert_eq!(
        (&lost["name"], &lost["status"], &lost["instances"]),
        (&json!(host), &json!("lost"), &json!(0))
    );
    assert_eq!(lost["replaced"], json!([{"team": "shop", "name": "narrow"}]));
    assert_eq!(lost["not_replaced"][0]["name"], "wide");
    assert_eq!(lost["not_replaced"][0]["code"], "no_room");
    let narrow = portal.get(&portal.ada, "/caches/shop/narrow").await.body;
    assert_eq!(narrow["instances"][0]["name"], "narrow.0");
    assert_ne!(narrow["instances"][0]["host"], json!(host));

    let wide = portal.get(&portal.ada, "/caches/shop/wide").await.body;
    assert_eq!(wide["instances"].as_array().unwrap().len(), 2);
    assert_eq!(wide["instances_wanted"], 3);
    let li = portal.user("li", false, &["shop"]).await;
    assert_eq!(portal.api(&li, "POST", "/caches/shop/wide/replace").send().await.problem(), (409, "no_room"));
    let body =
        json!({"name": "m4.example.com", "cluster": "web", "address": "127.0.1.4", "memory_mib": 1024});
    portal.done("POST", "/hosts", body).await;
    let wide = portal.api(&li, "POST", "/caches/shop/wide/replace").send().await;
    assert_eq!(wide.status, 200);
    assert_eq!(wide.body["instances"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn the_last_fetch_of_a_pillar_is_shown() {
    let portal = Portal::new().await.with_hosts().await;
    let token = portal.app.accounts.create_pillar_token("master").await.unwrap().token;
    let pillar = "/salt/pillar/m1.example.com";
    assert_eq!(portal.call("GET", pillar).send().await.status, 401);
    let personal = format!("Bearer {}", portal.ada);
    assert_eq!(portal.call("GET", pillar).header("authorization", &personal).send().await.status, 401);
    let answer = portal.call("GET", pillar).header("authorization", &format!("Bearer {token}")).send().await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["memc_items"], json!({}));
    let unknown = portal
        .call("GET", "/salt/pillar/m7")
        .header("authorization", &format!("Bearer {token}"))
        .send()
        .await;
    assert_eq!(unknown.status, 404);
    // A pillar token is for pillars.
    assert_eq!(portal.get(&token, "/hosts").await.problem(), (401, "unauthorized"));
    let host = portal.get(&portal.ada, "/hosts/m1.example.com").await.body;
    assert!(host["last_pillar_fetch"]["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    assert!(host["last_pillar_fetch"]["revision"].is_u64());
}

#[tokio::test]
async fn after_a_restore_hosts_wait_and_what_was_found_is_shown() {
    let portal = Portal::new().await.with_hosts().await;
    let li = portal.user("li", false, &["shop"]).await;
    let submit = |command| {
        let actor = memc_core::model::Principal::new("operator:test").unwrap();
        portal.app.fleet.submit(memc_core::ledger::Order { actor, request: None, command })
    };
    let reason = "last night's backup".parse().unwrap();
    submit(memc_core::ledger::Command::StartEpoch { reason }).await.unwrap();
    let shown = portal.get(&portal.ada, "/hosts/m1.example.com").await.body;
    assert_eq!((&shown["unobserved"], &shown["found_ports"]), (&json!(true), &json!([])));
    let refused = portal.send(&li, "POST", "/caches", cache("a", 64, 1)).await;
    assert_eq!(refused.problem(), (409, "no_room"));
    let why = &refused.body["why"];
    assert_eq!((&why["alone"], &why["unobserved"]), (&json!([{"rule": "unobserved"}]), &json!(3)));

    let found = portal.app.fleet.read(|state| {
        let host = &state.host_named(&"m1.example.com".parse().unwrap()).unwrap().host;
        memc_core::ledger::Command::NoteObserved {
            host: host.name.clone(),
            revision: host.revision,
            epoch: state.fleet().unwrap().epoch,
            ports: state.cluster(host.cluster).unwrap().ports,
            in_use: [memc_core::model::Port::new(11210).unwrap()].into(),
        }
    });
    submit(found).await.unwrap();
    let shown = portal.get(&portal.ada, "/hosts/m1.example.com").await.body;
    assert_eq!((&shown["unobserved"], &shown["found_ports"]), (&json!(false), &json!([11210])));
    let made = portal.done("POST", "/caches", cache("a", 64, 1)).await;
    assert_eq!(made["instances"][0]["port"], 11211);
    let other =
        portal.send(&portal.ada, "PATCH", "/hosts/m1.example.com", json!({"found_ports": [11215]})).await;
    assert_eq!(other.problem(), (422, "invalid_value"));
    let none = portal.done("PATCH", "/hosts/m1.example.com", json!({"found_ports": []})).await;
    assert_eq!(none["found_ports"], json!([]));

    // An operator's word for another.
    let observed = "/hosts/m2.example.com/observed";
    let reason = || json!({"reason": "nothing runs there"});
    assert_eq!(portal.send(&li, "POST", observed, reason()).await.status, 403);
    assert_eq!(portal.done("POST", observed, reason()).await["unobserved"], false);
    assert_eq!(portal.send(&portal.ada, "POST", observed, json!({})).await.status, 422);
}
