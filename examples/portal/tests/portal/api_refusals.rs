//! What a refusal explains, and to whom.

use memc_core::observe::{self, Observer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::{Portal, cache};

/// Three hosts in three racks, quota to spare; the member's token.
async fn portal() -> (Portal, String) {
    let portal = Portal::new().await.with_hosts().await;
    portal.done("PUT", "/clusters/web/quotas/shop", json!({"memory_mib": 100_000})).await;
    let li = portal.user("li", false, &["shop"]).await;
    (portal, li)
}

async fn why(portal: &Portal, token: &str, method: &str, path: &str, body: Value) -> Value {
    let answer = portal.send(token, method, path, body).await;
    assert_eq!(answer.status, 409, "{method} {path}: {answer:?}");
    assert!(answer.body["why"]["revision"].is_u64(), "{answer:?}");
    let none = json!(0);
    let largest = &answer.body["why"]["largest_mib"];
    assert_eq!(answer.body["largest_fit_mib"], if largest.is_null() { none } else { largest.clone() });
    answer.body["why"].clone()
}

#[tokio::test]
async fn members_are_told_nothing_of_hosts() {
    let (portal, li) = portal().await;
    portal.done("POST", "/hosts/m3.example.com/cordon", Value::Null).await;
    let wish = || cache("a", 64, 3);
    for path in ["/caches", "/caches/preview"] {
        let told = why(&portal, &portal.ada, "POST", path, wish()).await;
        assert_eq!(told["alone"], json!([{"rule": "spread"}]), "{told}");
        assert_eq!(told["uncordon"], json!(["m3.example.com"]));
        assert_eq!(told["add"], json!({"count": 1, "memory_mib": 1024}));
        assert_eq!((&told["largest_mib"], &told["elsewhere"]), (&Value::Null, &json!([])));
        let mut for_member = told;
        for field in ["uncordon", "add"] {
            for_member.as_object_mut().unwrap().remove(field);
        }
        let answer = portal.send(&li, "POST", path, wish()).await;
        assert_eq!(answer.body["why"], for_member);
        assert!(!answer.body.to_string().contains("m3"), "{answer:?}");
    }
    // What is offered is carried out.
    portal.done("POST", "/hosts/m3.example.com/uncordon", Value::Null).await;
    assert_eq!(portal.send(&li, "POST", "/caches", wish()).await.status, 201);
}

#[tokio::test]
async fn other_clusters_count_where_the_team_has_a_quota() {
    let (portal, li) = portal().await;
    for (number, cluster) in [(11, "large"), (12, "foreign")] {
        let spec = json!({"name": cluster, "first_port": 11210, "last_port": 11219});
        portal.done("POST", "/clusters", spec).await;
        let host = json!({"name": cluster, "cluster": cluster, "memory_mib": 4096,
                          "address": format!("127.0.1.{number}")});
        portal.done("POST", "/hosts", host).await;
    }
    portal.done("PUT", "/clusters/large/quotas/shop", json!({"memory_mib": 2048})).await;
    let told = why(&portal, &li, "POST", "/caches", cache("a", 2000, 1)).await;
    assert_eq!(told["elsewhere"], json!(["large"]));
    assert_eq!(told["alone"], json!([{"rule": "memory"}]));
    let mut there = cache("a", 2000, 1);
    there["cluster"] = json!("large");
    assert_eq!(portal.send(&li, "POST", "/caches", there).await.status, 201);
}

#[tokio::test]
async fn ports_that_cool_down_say_until_when() {
    let (portal, li) = portal().await;
    portal.done("PATCH", "/clusters/web", json!({"last_port": 11210})).await;
    portal.done("POST", "/caches", cache("a", 8, 3)).await;
    portal.done("DELETE", "/caches/shop/a", Value::Null).await;
    for index in 0..3 {
        let stopped = format!("/caches/shop/a/instances/a.{index}/confirm-stopped");
        portal.done("POST", &stopped, json!({"reason": "test"})).await;
    }
    let told = why(&portal, &li, "POST", "/caches", cache("b", 8, 1)).await;
    assert_eq!(
        (&told["alone"][0], &told["alone"][1]["rule"]),
        (&json!({"rule": "ports"}), &json!("cool_down"))
    );
    let until: jiff::Timestamp = told["alone"][1]["until"].as_str().unwrap().parse().unwrap();
    let hours = (until.as_second() - jiff::Timestamp::now().as_second()) / 3600;
    assert!((23..=24).contains(&hours), "{told}");
}

#[tokio::test]
async fn resizing_and_replacing_are_explained_as_well() {
    let (portal, li) = portal().await;
    portal.done("POST", "/caches", cache("a", 512, 3)).await;
    let told = why(&portal, &li, "PATCH", "/caches/shop/a", json!({"memory_mib": 2000})).await;
    assert_eq!(told["alone"], json!([{"rule": "memory"}]));
    let largest = told["largest_mib"].as_u64().unwrap();
    portal.done("PATCH", "/caches/shop/a", json!({"memory_mib": largest})).await;
    portal.done("PUT", "/clusters/web/quotas/shop", json!({"memory_mib": 3 * largest})).await;
    let told = why(&portal, &li, "PATCH", "/caches/shop/a", json!({"memory_mib": largest + 1})).await;
    assert_eq!(told["alone"], json!([]), "neither memory nor quota alone");

    // Of a size that an empty host has room for beside what it keeps for growing.
    portal.done("PATCH", "/caches/shop/a", json!({"memory_mib": 512})).await;
    portal.done("POST", "/hosts/m3.example.com/lost", json!({"reason": "burnt"})).await;
    let told = why(&portal, &portal.ada, "POST", "/caches/shop/a/replace", Value::Null).await;
    assert_eq!((&told["alone"], &told["largest_mib"]), (&json!([]), &Value::Null), "{told}");
    assert_eq!(told["add"], json!({"count": 1, "memory_mib": 1024}));
}

#[tokio::test]
async fn a_limit_for_each_rack() {
    let (portal, li) = portal().await;
    let host =
        json!({"name": "m4", "cluster": "web", "memory_mib": 1024, "address": "127.0.1.4", "rack": "r1"});
    portal.done("POST", "/hosts", host).await;
    let with = |name: &str, most: Value| {
        let mut wish = cache(name, 8, 4);
        wish["max_per_rack"] = most;
        wish
    };
    let told = why(&portal, &li, "POST", "/caches", with("a", json!(1))).await;
    assert_eq!(told["alone"], json!([{"rule": "racks"}]));
    let answer = portal.send(&li, "POST", "/caches", with("a", json!(0))).await;
    assert_eq!(answer.problem(), (422, "invalid_value"));
    let made = portal.send(&li, "POST", "/caches", with("a", json!(2))).await;
    assert_eq!((made.status, &made.body["max_per_rack"]), (201, &json!(2)));
    assert_eq!(portal.get(&li, "/caches/shop/a").await.body["max_per_rack"], json!(2));
    assert_eq!(portal.send(&li, "POST", "/caches", with("b", Value::Null)).await.status, 201);
    assert_eq!(portal.get(&li, "/caches/shop/b").await.body["max_per_rack"], Value::Null);
}

/// Answers as a memcached of 64 MiB does.
async fn memcached(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut asked = [0; 256];
        let _ = stream.read(&mut asked).await;
        let _ = stream.write_all(b"STAT limit_maxbytes 67108864\r\nEND\r\nEND\r\nEND\r\n").await;
    }
}

#[tokio::test]
async fn an_instance_says_whether_it_answers() {
    let portal = Portal::new().await;
    let observer = Observer::new(portal.app.fleet.clone(), "test", observe::Options::default()).unwrap();
    let portal = portal.watched_by(&observer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let cluster = json!({"name": "web", "first_port": address.port(), "last_port": address.port()});
    portal.done("POST", "/clusters", cluster).await;
    let host = json!({"name": "m1", "cluster": "web", "memory_mib": 1024, "address": "127.0.0.1"});
    portal.done("POST", "/hosts", host).await;
    portal.done("POST", "/teams", json!({"name": "shop"})).await;
    portal.done("PUT", "/clusters/web/quotas/shop", json!({"memory_mib": 1024})).await;
    portal.done("POST", "/caches", cache("a", 64, 1)).await;
    let instance = async || portal.get(&portal.ada, "/caches/shop/a").await.body["instances"][0].clone();
    assert_eq!(instance().await["answers"], Value::Null, "nobody has asked");

    let running = tokio::spawn(memcached(listener));
    observer.look(true).await;
    let seen = instance().await;
    assert_eq!((&seen["answers"], &seen["state"]), (&json!(true), &json!("running")));
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    observer.look(true).await;
    let seen = instance().await;
    assert_eq!((&seen["answers"], &seen["state"]), (&json!(false), &json!("running")));
}
