//! What administrators do, and everyone in their own account.

use axum::http::StatusCode;
use memc_core::model::Policy;

use crate::portal::{PASSWORD, Portal};

#[tokio::test]
async fn administration() {
    let portal = Portal::new().await;
    let ada = portal.login("ada").await;
    let form = ada.get("/admin/new-cluster").await.body;
    let filled: Vec<(String, String)> = form
        .split("<input class=\"number\"")
        .skip(1)
        .map(|tag| {
            let value = |name: &str| {
                tag.split(&format!(" {name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned()
            };
            (value("name"), value("value"))
        })
        .collect();
    let mut fields: Vec<(&str, &str)> =
        filled.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("name", "batch"), ("order", "pack")]);
    let created = ada.fill_in("/admin/new-cluster", "/admin/new-cluster", &fields).await;
    assert_eq!(created.location, "/admin/clusters?done=added", "{}", created.body);
    let policy =
        portal.fleet.read(|state| state.cluster_named(&"batch".parse().unwrap()).unwrap().policy.clone());
    assert_eq!(policy, Policy::default(), "the form is filled in with the defaults");

    let host = [
        ("name", "M1"),
        ("cluster", "batch"),
        ("address", "127.0.0.9"),
        ("memory_mib", "512"),
        ("blocked_ports", "11300, 11301"),
    ];
    let taken = ada.fill_in("/admin/new-host", "/admin/new-host", &host).await;
    assert_eq!(taken.status, StatusCode::CONFLICT);
    assert!(
        taken.body.contains("m1 exists already") && taken.body.contains("value=\"11300, 11301\""),
        "{}",
        taken.body
    );
    let host: Vec<_> = [("name", "b1")].into_iter().chain(host.into_iter().skip(1)).collect();
    assert_eq!(
        ada.fill_in("/admin/new-host", "/admin/new-host", &host).await.location,
        "/admin/hosts?done=added"
    );
    ada.fill_in("/admin/hosts/b1", "/admin/hosts/b1/cordon", &[]).await;
    assert!(ada.get("/admin/hosts/b1").await.body.contains("Cordoned"));
    let in_use = ada.fill_in("/admin/clusters/batch/remove", "/admin/clusters/batch/remove", &[]).await;
    assert_eq!(in_use.status, StatusCode::CONFLICT);
    assert!(in_use.body.contains("still has hosts or caches"));
    let removed = ada.fill_in("/admin/hosts/b1/remove", "/admin/hosts/b1/remove", &[]).await;
    assert_eq!(removed.location, "/admin/hosts?done=removed");

    let user = [("name", "new.one"), ("password", "long enough")];
    assert_eq!(ada.fill_in("/admin/users", "/admin/users", &user).await.location, "/admin/users?done=added");
    let short = ada.fill_in("/admin/users", "/admin/users", &[("name", "x"), ("password", "short")]).await;
    assert!(short.status == StatusCode::UNPROCESSABLE_ENTITY && !short.body.contains("short\""));
    ada.fill_in("/admin/teams", "/admin/teams", &[("name", "search")]).await;
    ada.fill_in("/admin/teams/search", "/admin/teams/search/members", &[("user", "new.one")]).await;
    let quota = [("cluster", "web"), ("memory_mib", "256")];
    let set = ada.fill_in("/admin/teams/search", "/admin/teams/search/quotas", &quota).await;
    assert_eq!(set.location, "/admin/teams/search?done=saved", "{}", set.body);
    let page = ada.get("/admin/teams/search").await.body;
    assert!(page.contains("new.one") && page.contains("0\u{a0}MiB of 256\u{a0}MiB used"), "{page}");
    ada.fill_in("/admin/teams/search", "/admin/teams/search/members/new.one/remove", &[]).await;
    assert!(portal.accounts.members_of(&"search".parse().unwrap()).await.unwrap().is_empty());
    ada.fill_in("/admin/teams/search/remove", "/admin/teams/search/remove", &[]).await;
    assert_eq!(ada.get("/admin/teams/search").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn my_account() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    let made = lin.fill_in("/account", "/account/tokens", &[("label", "nightly")]).await;
    let token = made.body.split("memcu_").nth(1).unwrap().split('<').next().unwrap().to_owned();
    assert!(portal.accounts.user_of_token(&format!("memcu_{token}")).await.unwrap().is_some());
    let page = lin.get("/account").await.body;
    assert!(page.contains("nightly") && !page.contains(&token), "a token is shown once");
    let action =
        page.split("action=\"/account/tokens/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let revoked = lin.fill_in("/account", &format!("/account/tokens/{action}"), &[]).await;
    assert_eq!(revoked.location, "/account?done=revoked");
    assert!(portal.accounts.user_of_token(&format!("memcu_{token}")).await.unwrap().is_none());

    let fields =
        [("old_password", "wrong"), ("new_password", "a new one"), ("new_password_again", "a new one")];
    let wrong = lin.fill_in("/account", "/account/password", &fields).await;
    assert!(
        wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.body.contains("not your current password")
    );
    let fields =
        [("old_password", PASSWORD), ("new_password", "a new one"), ("new_password_again", "a new one")];
    let changed = lin.fill_in("/account", "/account/password", &fields).await;
    assert_eq!(changed.location, "/account?done=password", "{}", changed.body);
    assert_eq!(lin.get("/account").await.status, StatusCode::SEE_OTHER, "older sessions have ended");
}

#[tokio::test]
async fn hosts_that_wait_after_a_restore() {
    let portal = Portal::new().await;
    let submit = |command| {
        let actor = memc_core::model::Principal::new("operator:test").unwrap();
        portal.fleet.submit(memc_core::ledger::Order { actor, request: None, command })
    };
    let reason = "last night's backup".parse().unwrap();
    submit(memc_core::ledger::Command::StartEpoch { reason }).await.unwrap();
    let ada = portal.login("ada").await;
    let hosts = ada.get("/admin/hosts").await.body;
    assert!(hosts.contains("get nothing new until their ports were looked at"), "{hosts}");
    assert!(hosts.contains("Nobody has looked at its ports yet."), "{hosts}");
    let page = ada.get("/admin/hosts/m1").await.body;
    assert!(page.contains("/admin/hosts/m1/observed") && !page.contains("name=\"found_ports\""), "{page}");

    let found = portal.fleet.read(|state| {
        let host = &state.host_named(&"m1".parse().unwrap()).unwrap().host;
        let ports = state.cluster(host.cluster).unwrap().ports;
        memc_core::ledger::Command::NoteObserved {
            host: host.name.clone(),
            revision: host.revision,
            epoch: state.fleet().unwrap().epoch,
            ports,
            in_use: [ports.first].into(),
        }
    });
    let port = portal.fleet.read(|state| state.clusters().next().unwrap().ports.first.to_string());
    // A page that was opened before says nothing about what was found since.
    let before = [("address", "127.0.0.1"), ("memory_mib", "1024"), ("rack", ""), ("blocked_ports", "")];
    submit(found).await.unwrap();
    let host = || portal.fleet.read(|state| state.host_named(&"m1".parse().unwrap()).unwrap().host.clone());
    let address = host().address.to_string();
    let before: Vec<_> = before
        .into_iter()
        .map(|(name, value)| (name, if name == "address" { &*address } else { value }))
        .collect();
    ada.fill_in("/admin/hosts/m1", "/admin/hosts/m1", &before).await;
    assert_eq!(host().found_ports.len(), 1);
    let page = ada.get("/admin/hosts/m1").await.body;
    assert!(
        page.contains(&format!("listens here: {port}")) && page.contains("name=\"found_ports\""),
        "{page}"
    );
    let mut after = before.clone();
    after.push(("found_ports", ""));
    let saved = ada.fill_in("/admin/hosts/m1", "/admin/hosts/m1", &after).await;
    assert_eq!((saved.location.as_str(), host().found_ports.len()), ("/admin/hosts/m1?done=saved", 0));

    let form = "/admin/hosts/m2/observed";
    let without = ada.fill_in(form, form, &[("reason", "")]).await;
    assert_eq!(without.status, StatusCode::UNPROCESSABLE_ENTITY);
    let stated = ada.fill_in(form, form, &[("reason", "nothing runs there")]).await;
    assert_eq!(stated.location, "/admin/hosts/m2?done=saved", "{}", stated.body);
    assert!(!ada.get("/admin/hosts/m2").await.body.contains("/observed"));
}
