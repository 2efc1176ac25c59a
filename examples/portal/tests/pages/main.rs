//! The pages, asked for over HTTP in this process, on a store in memory.

// Helpers of tests may fail by panicking, as tests do.
#![allow(clippy::unwrap_used, clippy::panic)]

mod administration;
mod away;
mod languages;
mod portal;
mod refusals;

use axum::http::StatusCode;
use memc_core::ledger::Command;
use memc_core::model::{Phase, Reason};

use portal::{ADMINISTRATION, Browser, PASSWORD, PREVIEW, Page, Portal, encoded, hidden};

#[tokio::test]
async fn a_cache_from_wish_to_release() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    assert!(lin.get("/caches").await.body.contains("has no caches yet"));

    let preview = lin.get(PREVIEW).await;
    assert_eq!(preview.status, StatusCode::OK);
    assert!(preview.body.contains("m1") && preview.body.contains("m2") && preview.body.contains("11210"));
    assert!(preview.body.contains("0\u{a0}MiB → 128\u{a0}MiB of 1,024\u{a0}MiB"), "{}", preview.body);
    assert_eq!(portal.fleet.read(|state| state.caches().count()), 0, "a preview changes nothing");

    let created = lin.fill_in(PREVIEW, "/caches", &[]).await;
    assert_eq!(
        (created.status, created.location.as_str()),
        (StatusCode::SEE_OTHER, "/caches/shop/sessions?done=created")
    );
    let page = lin.get(&created.location).await;
    // Of equal hosts the one whose number comes first, scattered.
    assert!(page.body.contains("127.0.0.2:11210\n127.0.0.1:11210"), "{}", page.body);
    assert!(page.body.contains("telnet 127.0.0.2 11210"));
    assert!(page.body.contains("Waiting for host m2 to ask what to run"));
    assert!(
        page.body.contains("http-equiv=\"refresh\""),
        "without scripts it asks again while something is pending"
    );

    let resized = lin
        .fill_in("/caches/shop/sessions/resize", "/caches/shop/sessions/resize", &[("memory_mib", "96")])
        .await;
    assert_eq!(resized.location, "/caches/shop/sessions?done=resized");

    let wrong = lin
        .fill_in("/caches/shop/sessions/release", "/caches/shop/sessions/release", &[("confirm", "session")])
        .await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains("Type exactly sessions") && wrong.body.contains("value=\"session\""));
    let released = lin
        .fill_in("/caches/shop/sessions/release", "/caches/shop/sessions/release", &[("confirm", "sessions")])
        .await;
    assert_eq!(released.location, "/caches/shop/sessions?done=released");
    assert!(
        portal.fleet.read(|state| { state.instances().all(|instance| instance.phase == Phase::Releasing) })
    );

    let ada = portal.login("ada").await;
    for index in 0..2 {
        let path = format!("/caches/shop/sessions/instances/{index}/confirm-stopped");
        let stopped = ada.fill_in(&path, &path, &[("reason", "I pulled the plug")]).await;
        assert_eq!(stopped.status, StatusCode::SEE_OTHER, "{}", stopped.body);
    }
    assert_eq!(lin.get("/caches/shop/sessions").await.status, StatusCode::NOT_FOUND);
    assert!(ada.get("/admin/audit").await.body.contains("sessions.1: I pulled the plug"));
}

#[tokio::test]
async fn a_form_sent_twice_has_one_effect() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    let preview = lin.get(PREVIEW).await;
    let fields = hidden(&preview.body, "/caches");
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let (first, second) = tokio::join!(lin.send("/caches", &fields), lin.send("/caches", &fields));
    assert_eq!((first.status, second.status), (StatusCode::SEE_OTHER, StatusCode::SEE_OTHER));
    assert_eq!(first.location, second.location);
    assert_eq!(portal.fleet.read(|state| state.caches().count()), 1);

    // Other values under the same id are refused, and the page says so.
    let other: Vec<(&str, &str)> = fields
        .iter()
        .map(|(name, value)| (*name, if *name == "memory_mib" { "128" } else { *value }))
        .collect();
    let refused = lin.send("/caches", &other).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body.contains("already sent with other values"));
}

#[tokio::test]
async fn forms_without_the_sessions_token_are_refused() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    let fields =
        [("team", "shop"), ("cluster", "web"), ("name", "x"), ("memory_mib", "64"), ("instances", "1")];
    for token in [None, Some(""), Some("0000")] {
        let fields: Vec<_> = fields.into_iter().chain(token.map(|token| ("csrf", token))).collect();
        let page = lin.send("/caches", &fields).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(page.body.contains("This form has expired"));
    }
    // Another session's token is no better.
    let ada = portal.login("ada").await;
    let token = hidden(&ada.get("/caches").await.body, "/logout")[0].1.clone();
    let stolen: Vec<_> = fields.into_iter().chain([("csrf", token.as_str())]).collect();
    assert_eq!(lin.send("/caches", &stolen).await.status, StatusCode::FORBIDDEN);
    assert_eq!(lin.send("/logout", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(portal.fleet.read(|state| state.caches().count()), 0);
}

#[tokio::test]
async fn others_see_nothing() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    lin.fill_in(PREVIEW, "/caches", &[]).await;
    let eve = portal.login("eve").await;
    let there = eve.get("/caches/shop/sessions").await;
    let not_there = eve.get("/caches/shop/nothing").await;
    assert_eq!((there.status, not_there.status), (StatusCode::NOT_FOUND, StatusCode::NOT_FOUND));
    assert_eq!(there.body.replace("sessions", "nothing"), not_there.body, "the answers tell nothing apart");
    let token = hidden(&eve.get("/caches").await.body, "/logout")[0].1.clone();
    for path in ["resize", "release", "replace"] {
        let path = format!("/caches/shop/sessions/{path}");
        assert_eq!(eve.get(&path).await.status, StatusCode::NOT_FOUND);
        let fields = [("csrf", token.as_str()), ("memory_mib", "8"), ("confirm", "sessions")];
        assert_eq!(eve.send(&path, &fields).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let wish =
        [("team", "shop"), ("cluster", "web"), ("name", "mine"), ("memory_mib", "8"), ("instances", "1")];
    let wish: Vec<_> = wish.into_iter().chain([("csrf", token.as_str())]).collect();
    assert_eq!(eve.send("/caches", &wish).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(portal.fleet.read(|state| state.caches().count()), 1);
    for path in ADMINISTRATION {
        let page = eve.get(path).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
        assert!(page.body.contains("This is for administrators"));
    }
    for path in ["/admin/hosts/m1/cordon", "/admin/users", "/admin/teams/shop/remove"] {
        assert_eq!(eve.send(path, &[("csrf", &token)]).await.status, StatusCode::FORBIDDEN, "{path}");
    }
}

#[tokio::test]
async fn who_is_not_signed_in_is_sent_to_the_login_and_back() {
    let portal = Portal::new().await;
    let nobody = Browser { portal: &portal, cookie: String::new(), language: "en" };
    let page = nobody.get("/caches/shop/sessions?a=b").await;
    assert_eq!(
        (page.status, page.location.as_str()),
        (StatusCode::SEE_OTHER, "/login?next=/caches/shop/sessions%3Fa%3Db")
    );
    let wrong = nobody.send("/login", &[("name", "lin"), ("password", "wrong"), ("next", "/account")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.body.contains("value=\"lin\"") && wrong.body.contains("value=\"/account\""));
    assert!(!wrong.body.contains("value=\"wrong\""), "passwords are never sent back");
    let right =
        nobody.send("/login", &[("name", "lin"), ("password", PASSWORD), ("next", "//evil.example")]).await;
    assert_eq!(right.location, "/");
    assert!(right.cookies[0].contains("HttpOnly") && right.cookies[0].contains("SameSite=Lax"));

    let lin = portal.login("lin").await;
    let out = lin.fill_in("/caches", "/logout", &[]).await;
    assert_eq!(out.location, "/login");
    assert_eq!(
        lin.get("/caches").await.status,
        StatusCode::SEE_OTHER,
        "the session has ended, not only the cookie"
    );
}

#[tokio::test]
async fn hostile_values_are_only_text() {
    let portal = Portal::new().await;
    let ada = portal.login("ada").await;
    let evil = "\"><script>alert(1)</script>";
    let echoed = |page: Page| {
        assert!(!page.body.contains("<script>alert"), "{}", page.body);
        assert!(page.body.contains("&#60;script&#62;") || page.body.contains("&lt;script"), "{}", page.body);
    };
    echoed(
        ada.get(&format!(
            "/caches/preview?team=shop&cluster=web&name={}&memory_mib=64&instances=1",
            encoded(evil)
        ))
        .await,
    );
    echoed(ada.fill_in("/admin/new-host", "/admin/new-host", &[("name", evil), ("address", evil)]).await);
    echoed(ada.fill_in("/account", "/account/tokens", &[("label", evil)]).await);
    let reason = Reason::new(evil).unwrap();
    portal.submit(Command::LoseHost { name: "m2".parse().unwrap(), reason }).await;
    echoed(ada.get("/admin/audit").await);
    let page = ada.get(&format!("/caches?done={}", encoded(evil))).await;
    assert!(!page.body.contains("alert"));
    let page = ada.get(&format!("/login?next={}", encoded(evil))).await;
    assert_eq!(page.location, "/");
}

#[tokio::test]
async fn refusals_explain_and_offer_what_fits() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    let page = lin.get("/caches/preview?team=shop&cluster=web&name=big&memory_mib=600&instances=2").await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.body.contains("may use 1,024\u{a0}MiB"), "{}", page.body);
    assert!(page.body.contains("memory_mib=512&"), "the largest that fits is one click away: {}", page.body);
    let fits = lin.get("/caches/preview?team=shop&cluster=web&name=big&memory_mib=512&instances=2").await;
    assert_eq!(fits.status, StatusCode::OK);
    let hosts = lin.get("/caches/preview?team=shop&cluster=web&name=big&memory_mib=8&instances=3").await;
    assert!(hosts.body.contains("too few hosts have room"), "{}", hosts.body);

    lin.fill_in(PREVIEW, "/caches", &[]).await;
    let path = "/caches/shop/sessions/resize";
    let refused = lin.fill_in(path, path, &[("memory_mib", "1024")]).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.body.contains("name=\"largest_mib\" value=\"512\""), "{}", refused.body);
    let offered = lin.fill_in(path, path, &[("memory_mib", "1024"), ("largest_mib", "512")]).await;
    assert_eq!(offered.status, StatusCode::SEE_OTHER);
}
