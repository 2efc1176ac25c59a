//! What pages say about a request that is refused, and what they offer instead.

use std::sync::Arc;

use axum::http::StatusCode;
use memc_core::ledger::{Action, Change, ClusterSpec, Command, Commit, HostSpec};
use memc_core::model::{
    CommitId, Host, HostStatus, Mib, Policy, Port, PortRange, Principal, Reason, Record, Timestamp,
};
use memc_core::store::{Decide, MemoryStore, Store};

use crate::portal::{Browser, PREVIEW, Page, Portal};

async fn quota(portal: &Portal, cluster: &str, memory: u64) {
    let (cluster, team) = (cluster.parse().unwrap(), "shop".parse().unwrap());
    portal.submit(Command::SetQuota { cluster, team, memory: Mib::new(memory).unwrap() }).await;
}

async fn host(portal: &Portal, name: &str, cluster: &str, number: u8, memory: u64, rack: Option<&str>) {
    let spec = HostSpec {
        cluster: cluster.parse().unwrap(),
        address: [127, 0, 0, number].into(),
        memory: Mib::new(memory).unwrap(),
        rack: rack.map(|rack| rack.parse().unwrap()),
        blocked_ports: [].into(),
    };
    portal.submit(Command::AddHost { name: name.parse().unwrap(), spec }).await;
}

async fn cluster(portal: &Portal, name: &str, ports: std::ops::RangeInclusive<u16>) {
    let port = |port: &u16| Port::new(*port).unwrap();
    let ports = PortRange { first: port(ports.start()), last: port(ports.end()) };
    let spec = ClusterSpec { ports, policy: Policy::default() };
    portal.submit(Command::CreateCluster { name: name.parse().unwrap(), spec }).await;
}

fn wish(cluster: &str, memory: u64, instances: u16) -> String {
    format!("/caches/preview?team=shop&cluster={cluster}&name=more&memory_mib={memory}&instances={instances}")
}

/// A refusal that is said whole in both languages; in English.
async fn refused(browser: &Browser<'_>, path: &str) -> Page {
    let mut pages = Vec::new();
    for language in ["zh", "en"] {
        browser.get(&format!("/language/{language}")).await;
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::CONFLICT, "{path}");
        assert!(!page.body.contains('⟦'), "{}", page.body);
        assert!(page.body.contains("role=\"alert\""), "{}", page.body);
        pages.push(page);
    }
    pages.pop().unwrap()
}

fn link(page: &Page, words: &str) -> String {
    let before = page.body.split(&format!(">{words}<")).next().unwrap();
    assert!(before.len() < page.body.len(), "no {words:?} in {}", page.body);
    let path = before.rsplit("href=\"").next().unwrap().split('"').next().unwrap();
    path.replace("&#38;", "&").replace("&amp;", "&")
}

#[tokio::test]
async fn operators_are_told_of_hosts_and_members_are_not() {
    let portal = Portal::new().await;
    quota(&portal, "web", 100_000).await;
    portal.submit(Command::CordonHost { name: "m2".parse().unwrap() }).await;
    let (lin, ada) = (portal.login("lin").await, portal.login("ada").await);
    let told = refused(&lin, &wish("web", 64, 2)).await.body;
    assert!(told.contains("Cluster web has no room for 2 × 64\u{a0}MiB."), "{told}");
    assert!(told.contains("Each instance needs a host of its own, and too few hosts have room"), "{told}");
    assert!(told.contains("No smaller size fits either."), "{told}");
    assert!(!told.contains("m2") && !told.contains("operators can do"), "{told}");
    let page = refused(&ada, &wish("web", 64, 2)).await;
    assert_eq!(link(&page, "Let host m2 take new instances again"), "/admin/hosts/m2");
    let add = "Add a host with 2,048\u{a0}MiB, on a rack that has none of the cache";
    assert_eq!(link(&page, add), "/admin/new-host");

    // Resizing is told on the page it was sent from, which members and operators share as well.
    lin.fill_in(&wish("web", 64, 1), "/caches", &[]).await;
    let path = "/caches/shop/more/resize";
    let told = lin.fill_in(path, path, &[("memory_mib", "4000")]).await.body;
    assert!(told.contains("The hosts do not have enough free memory."), "{told}");
    assert!(told.contains("name=\"largest_mib\""), "{told}");
}

#[tokio::test]
async fn other_clusters_are_one_click_away() {
    let portal = Portal::new().await;
    quota(&portal, "web", 100_000).await;
    cluster(&portal, "large", 11210..=11299).await;
    host(&portal, "l1", "large", 11, 8192, None).await;
    quota(&portal, "large", 100_000).await;
    let lin = portal.login("lin").await;
    let page = refused(&lin, &wish("web", 4000, 1)).await;
    assert!(page.body.contains("The hosts do not have enough free memory."), "{}", page.body);
    let form = lin.get(&link(&page, "Use cluster large instead")).await;
    assert!(
        form.body.contains("value=\"large\" checked") && form.body.contains("value=\"4000\""),
        "{}",
        form.body
    );
    let largest = page.body.split("memory_mib=").nth(1).unwrap().split('&').next().unwrap();
    let largest: u64 = largest.split('"').next().unwrap().parse().unwrap();
    let offered = lin.get(&link(&page, &format!("Use 1,{}\u{a0}MiB instead", largest - 1000))).await;
    assert_eq!(offered.status, StatusCode::OK);
    assert_eq!(lin.get(&wish("large", 4000, 1)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn ports_that_cool_down_say_from_when_on() {
    let portal = Portal::new().await;
    cluster(&portal, "small", 11210..=11210).await;
    host(&portal, "s1", "small", 11, 2048, None).await;
    quota(&portal, "small", 1000).await;
    let lin = portal.login("lin").await;
    lin.fill_in(&wish("small", 64, 1), "/caches", &[]).await;
    let told = refused(&lin, &wish("small", 64, 1).replace("more", "other")).await.body;
    assert!(told.contains("Hosts with enough memory have no free port."), "{told}");
    let release = "/caches/shop/more/release";
    lin.fill_in(release, release, &[("confirm", "more")]).await;
    let ada = portal.login("ada").await;
    let stopped = "/caches/shop/more/instances/0/confirm-stopped";
    ada.fill_in(stopped, stopped, &[("reason", "test")]).await;
    let told = refused(&lin, &wish("small", 64, 1)).await.body;
    let until = Timestamp::of_this_machine().as_millis() / 86_400_000 + 1;
    let day = jiff::Timestamp::from_second((until * 86_400) as i64).unwrap().strftime("%Y-%m-%d").to_string();
    let said = format!("and there is room, from: <time datetime=\"{day}T");
    assert!(told.contains(&said), "{said}: {told}");
    assert!(!told.contains("have no free port"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_replaced_may_be_once_it_is_smaller() {
    let portal = Portal::new().await;
    quota(&portal, "web", 100_000).await;
    let lin = portal.login("lin").await;
    lin.fill_in(&wish("web", 1500, 2), "/caches", &[]).await;
    host(&portal, "m3", "web", 3, 1024, None).await;
    let reason = Reason::new("burnt").unwrap();
    portal.submit(Command::LoseHost { name: "m2".parse().unwrap(), reason }).await;
    let path = "/caches/shop/more/replace";
    let page = lin.fill_in(path, path, &[]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.body.contains("Make the instances smaller first: "), "{}", page.body);
    assert!(page.body.contains("href=\"/caches/shop/more/resize\""), "{}", page.body);
    let size = page.body.split("smaller first: ").nth(1).unwrap().split('\u{a0}').next().unwrap();
    let path = "/caches/shop/more/resize";
    lin.fill_in(path, path, &[("memory_mib", &size.replace(',', ""))]).await;
    let path = "/caches/shop/more/replace";
    assert_eq!(lin.fill_in(path, path, &[]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_size_that_it_has_already_changes_nothing() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    lin.fill_in(PREVIEW, "/caches", &[]).await;
    let path = "/caches/shop/sessions/resize";
    let same = lin.fill_in(path, path, &[("memory_mib", "64")]).await;
    assert_eq!(same.location, "/caches/shop/sessions?done=unchanged");
    assert!(lin.get(&same.location).await.body.contains("has this size already"));

    // No room at all to grow: nothing is offered that would change nothing.
    quota(&portal, "web", 128).await;
    let told = lin.fill_in(path, path, &[("memory_mib", "65")]).await.body;
    assert!(told.contains("It cannot grow at all right now."), "{told}");
    assert!(told.contains("A larger quota would be enough."), "{told}");
    assert!(!told.contains("largest_mib"), "{told}");
}

#[tokio::test]
async fn a_limit_for_each_rack_is_asked_for_and_kept() {
    let portal = Portal::new().await;
    let lin = portal.login("lin").await;
    let limited = |most: &str| format!("{PREVIEW}&max_per_rack={most}");
    // Both hosts are without a rack, which counts as one.
    let page = refused(&lin, &limited("1")).await;
    assert!(page.body.contains("Too many of the instances would be on one rack."), "{}", page.body);
    assert!(page.body.contains("<details class=\"field\" open>") && page.body.contains("value=\"1\""));
    for bad in ["0", "65", "x"] {
        let page = lin.get(&limited(bad)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(page.body.contains("id=\"error-max_per_rack\""), "{}", page.body);
    }
    let preview = lin.get(&limited("2")).await;
    assert!(preview.body.contains("at most 2 on one rack"), "{}", preview.body);
    let made = lin.fill_in(&limited("2"), "/caches", &[]).await;
    assert!(lin.get(&made.location).await.body.contains("at most 2 on one rack"));
    let kept = portal.fleet.read(|state| state.caches().next().unwrap().max_per_rack);
    assert_eq!(kept, Some(2));
    assert!(!lin.get("/caches/new").await.body.contains("<details class=\"field\" open>"));
}

/// Says that a host is being emptied, as a plan of moves does.
struct Drain<'a>(&'a Portal, Host);

impl Decide for Drain<'_> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        assert!(missed.is_empty());
        let head = self.0.fleet.read(|state| state.head());
        let revision = head.revision.next();
        let host = Host { status: HostStatus::Draining, revision, ..self.1.clone() };
        let action = Action { name: "host.change".into(), target: "host:m2".into(), detail: String::new() };
        let actor = Principal::new("user:ada").unwrap();
        let (id, previous, changes) = (CommitId::fresh(), head.id, vec![Change::Put(Record::Host(host))]);
        vec![Commit { revision, id, previous, at: now, actor, action, request: None, changes }]
    }
}

#[tokio::test]
async fn a_host_that_is_being_emptied_can_be_taken_back() {
    let store = Arc::new(MemoryStore::new());
    let portal = Portal::on(store.clone()).await;
    quota(&portal, "web", 100_000).await;
    let (head, m2) = portal
        .fleet
        .read(|state| (state.head(), state.host_named(&"m2".parse().unwrap()).unwrap().host.clone()));
    store.turn(head, &mut Drain(&portal, m2)).await.unwrap();
    let ada = portal.login("ada").await;
    let page = ada.get("/admin/hosts/m2").await.body;
    assert!(page.contains("Being emptied") && page.contains("the ones on it do not grow"), "{page}");
    assert!(ada.get("/admin/hosts").await.body.contains("Being emptied"));
    let offered = refused(&ada, &wish("web", 64, 2)).await;
    assert_eq!(link(&offered, "Let host m2 take new instances again"), "/admin/hosts/m2");
    ada.fill_in("/admin/hosts/m2", "/admin/hosts/m2/uncordon", &[]).await;
    assert!(!ada.get("/admin/hosts/m2").await.body.contains("Being emptied"));
    assert_eq!(ada.get(&wish("web", 64, 2)).await.status, StatusCode::OK);
}
