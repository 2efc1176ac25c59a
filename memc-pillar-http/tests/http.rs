//! The pillar over real HTTP, as a Salt master and `curl` see it.
// A test fails by panicking, also in its helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{Mib, Policy, Port, PortRange};
use memc_core::store::{Fault, FaultyStore};
use memc_pillar_http::{Access, Fetches, Tokens, router};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const OLD: &str = "an old token of 24 chars";
const NEW: &str = "a new token, in use as well";

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

async fn get(address: SocketAddr, path: &str, token: Option<&str>) -> Answer {
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\n{token}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

struct Served {
    address: SocketAddr,
    fleet: Fleet,
    store: Arc<FaultyStore>,
    fetches: Fetches,
}

async fn submit(fleet: &Fleet, command: Command) {
    let actor = "user:tester".parse().unwrap();
    fleet.submit(Order { actor, request: None, command }).await.unwrap();
}

fn allocate(cache: &str, memory: u64) -> Command {
    let (team, name, cluster) = ("shop".parse().unwrap(), cache.parse().unwrap(), "web".parse().unwrap());
    Command::Allocate {
        team,
        name,
        cluster,
        memory: Mib::new(memory).unwrap(),
        instances: 1,
        max_per_rack: None,
    }
}

/// A fleet with one host that holds 11210, 11211, 11212 with 12, 22, 33 MiB, served under `/salt`.
async fn serve(access: impl FnOnce(SocketAddr) -> Access) -> Served {
    let store = Arc::new(FaultyStore::default());
    let options = Options { poll: Duration::from_secs(3600), ..Options::default() };
    let fleet = Fleet::open(store.clone(), options).await.unwrap();
    let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(11999).unwrap() };
    let spec = ClusterSpec { ports, policy: Policy::default() };
    submit(&fleet, Command::CreateCluster { name: "web".parse().unwrap(), spec }).await;
    let spec = HostSpec {
        cluster: "web".parse().unwrap(),
        address: "127.0.1.11".parse().unwrap(),
        memory: Mib::new(4096).unwrap(),
        rack: None,
        blocked_ports: Default::default(),
    };
    submit(&fleet, Command::AddHost { name: "m1.example.com".parse().unwrap(), spec }).await;
    submit(&fleet, Command::CreateTeam { name: "shop".parse().unwrap() }).await;
    let (cluster, team) = ("web".parse().unwrap(), "shop".parse().unwrap());
    submit(&fleet, Command::SetQuota { cluster, team, memory: Mib::new(1000).unwrap() }).await;
    for (cache, memory) in [("a", 12), ("b", 22), ("c", 33)] {
        submit(&fleet, allocate(cache, memory)).await;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let fetches = Fetches::default();
    let pillar = router(fleet.clone(), access(address), fetches.clone());
    let app: axum::Router = axum::Router::new().nest("/salt", pillar);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    Served { address, fleet, store, fetches }
}

async fn with_tokens() -> Served {
    serve(|_| Access::tokens(Tokens::new([OLD, NEW]).unwrap())).await
}

#[tokio::test]
async fn the_seeds_own_case() {
    let served = with_tokens().await;
    let only = get(served.address, "/salt/pillar/m1.example.com?only=items", Some(OLD)).await;
    assert_eq!(
        (only.status, only.body.as_str()),
        (200, r#"{"memc_items":{"11210":12,"11211":22,"11212":33}}"#)
    );
    let full = get(served.address, "/salt/pillar/m1.example.com", Some(NEW)).await;
    assert!(full.head.contains("content-type: application/json"), "{}", full.head);
    let document = full.json();
    assert_eq!(document["memc_items"], only.json()["memc_items"]);
    assert_eq!(document["memc_absent"], serde_json::json!([]));
    assert_eq!(document["memc_meta"]["minion"], "m1.example.com");
    assert_eq!(document["memc_meta"]["count"], 3);
    assert_eq!(document["memc_meta"]["complete"], true);
    assert_eq!(document["memc_meta"]["stale"], false);
    let fetch = served.fetches.last(&"m1.example.com".parse().unwrap()).unwrap();
    assert_eq!(fetch.revision.get(), document["memc_meta"]["revision"].as_u64().unwrap());
}

#[tokio::test]
async fn a_commit_is_in_the_next_answer() {
    let served = with_tokens().await;
    // Another process: this one has not been told and polls once an hour.
    let other = Fleet::open(served.store.clone(), Options::default()).await.unwrap();
    submit(&other, allocate("d", 44)).await;
    let answer = get(served.address, "/salt/pillar/m1.example.com?only=items", Some(OLD)).await;
    assert_eq!(answer.json()["memc_items"]["11213"], 44);
}

#[tokio::test]
async fn only_tokens_open_it() {
    let served = with_tokens().await;
    let path = "/salt/pillar/m1.example.com";
    let cut = &OLD[..OLD.len() - 1];
    for token in [None, Some(""), Some("another token of 24 chars"), Some(cut)] {
        let answer = get(served.address, path, token).await;
        assert_eq!(answer.status, 401, "{token:?}");
        assert!(answer.head.contains("content-type: application/problem+json"));
        assert!(answer.head.contains("www-authenticate: bearer"));
        assert_eq!(answer.json()["code"], "unauthorized");
    }
    // An unknown minion is not told apart without a token.
    assert_eq!(get(served.address, "/salt/pillar/unknown", None).await.status, 401);
    assert!(Tokens::new(["too short"]).is_err());
}

#[tokio::test]
async fn without_tokens_only_on_loopback() {
    let served = serve(|address| Access::open_on_loopback(address).unwrap()).await;
    assert_eq!(get(served.address, "/salt/pillar/m1.example.com", None).await.status, 200);
    for open in ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "[::ffff:10.0.0.1]:80"] {
        assert!(Access::open_on_loopback(open.parse().unwrap()).is_err(), "{open}");
    }
    assert!(Access::open_on_loopback("[::1]:80".parse().unwrap()).is_ok());
}

#[tokio::test]
async fn an_unknown_minion_is_404_and_never_an_empty_200() {
    let served = with_tokens().await;
    for minion in ["m2.example.com", "M1.example.com", "..%2f", "%00", "%ff", "a%20b", "%24%28x%29"] {
        let answer = get(served.address, &format!("/salt/pillar/{minion}"), Some(OLD)).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some("not_found")), "{minion}");
    }
    let answer = get(served.address, "/salt/pillar/m1.example.com?only=all", Some(OLD)).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("malformed")));
}

#[tokio::test]
async fn while_the_store_is_away_known_hosts_are_answered_and_marked() {
    let served = with_tokens().await;
    served.store.be(Fault::Away);
    let known = get(served.address, "/salt/pillar/m1.example.com", Some(OLD)).await;
    assert_eq!((known.status, known.json()["memc_meta"]["stale"].as_bool()), (200, Some(true)));
    assert!(known.head.contains("memc-stale: true"));
    assert_eq!(known.json()["memc_items"]["11211"], 22);
    let unknown = get(served.address, "/salt/pillar/new.example.com", Some(OLD)).await;
    assert_eq!((unknown.status, unknown.json()["code"].as_str()), (503, Some("store_unavailable")));
    assert!(unknown.head.contains("retry-after: "));
    served.store.be(Fault::None);
    let again = get(served.address, "/salt/pillar/m1.example.com", Some(OLD)).await;
    assert_eq!(again.json()["memc_meta"]["stale"], false);
    drop(served.fleet);
}

#[tokio::test]
async fn only_a_whole_document_is_evidence_that_a_host_was_told() {
    let served = with_tokens().await;
    let (team, name) = ("shop".parse().unwrap(), "a".parse().unwrap());
    submit(&served.fleet, Command::Release { team, name }).await;
    let told = || async {
        // A command after it: whatever the fetch left behind is in the ledger by then.
        let name = "m1.example.com".parse().unwrap();
        submit(&served.fleet, Command::CordonHost { name }).await;
        served.fleet.read(|state| state.hosts().next().unwrap().host.served.get())
    };
    let path = "/salt/pillar/m1.example.com";
    get(served.address, &format!("{path}?only=items"), Some(OLD)).await;
    head(served.address, path, OLD).await;
    assert_eq!(told().await, 0);
    let document = get(served.address, path, Some(OLD)).await.json();
    assert_eq!(document["memc_absent"], serde_json::json!([11210]));
    assert_eq!(told().await, document["memc_meta"]["revision"].as_u64().unwrap());
}

async fn head(address: SocketAddr, path: &str, token: &str) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "HEAD {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
