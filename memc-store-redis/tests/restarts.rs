//! A server that comes back, or another in its place, in the middle of something: what was begun with the first is not
//! taken for the second's.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod ledger;
mod server;

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledger::{One, append, assert_sound, load, open};
use memc_core::ledger::{Change, Commit, Head};
use memc_core::model::{Record, Revision, Team, TeamId, TeamName, Timestamp};
use memc_core::store::{Decide, Store};
use memc_store_redis::{RedisOptions, RedisStore};
use redis::Value;
use server::{SAFE, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// One commit of these changes.
struct Changes(One, Vec<Change>);

impl Decide for Changes {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        let mut commits = self.0.decide(missed, now);
        commits[0].changes.clone_from(&self.1);
        commits
    }
}

/// Teams whose numbers are in a hash each.
fn put(number: u64, name: &str) -> Change {
    let (id, name) = (TeamId::new(number * 512), TeamName::new(name).unwrap());
    Change::Put(Record::Team(Team { id, name, revision: Revision::new(1) }))
}

async fn append_these(store: &dyn Store, at: Head, changes: Vec<Change>) -> Head {
    store.turn(at, &mut Changes(One::new(at), changes)).await.unwrap()
}

fn teams(count: u64) -> Vec<Change> {
    (1..=count).map(|number| put(number, &format!("t{number}"))).collect()
}

/// Until a server has the ledger up to a revision.
async fn has(server: &Server, head: Head) {
    let revision = head.revision.to_string();
    for _ in 0..500 {
        let there = server.try_call(&["HGET", "{memc}:head", "revision"]);
        if matches!(there, Ok(Value::BulkString(it)) if it == revision.as_bytes()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the replica does not follow");
}

fn info(server: &Server, section: &str) -> String {
    let Value::BulkString(info) = server.call(&["INFO", section]) else { panic!("INFO {section}") };
    String::from_utf8(info).unwrap()
}

/// Hands on what a store and its server say. Before the `hold`th request with a word in it, it waits; then it is handed on,
/// or, if that is when the server is `replaced`, the connection ends, and the next one is to the other server.
struct Gate {
    address: String,
    held: Arc<Notify>,
    go: Arc<Notify>,
}

struct Plan {
    word: Vec<u8>,
    hold: usize,
    replaced: usize,
}

impl Gate {
    async fn to(port: u16, plan: Plan, other: u16) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (held, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let gate = Gate { address, held: Arc::clone(&held), go: Arc::clone(&go) };
        let (plan, port, seen) =
            (Arc::new(plan), Arc::new(AtomicU16::new(port)), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server =
                    TcpStream::connect(("127.0.0.1", port.load(Ordering::SeqCst))).await.unwrap();
                let (held, go, plan) = (Arc::clone(&held), Arc::clone(&go), Arc::clone(&plan));
                let (seen, port) = (Arc::clone(&seen), Arc::clone(&port));
                tokio::spawn(async move {
                    let (mut asked, mut answered) = (vec![0; 1 << 20], vec![0; 1 << 20]);
                    loop {
                        tokio::select! {
                            read = client.read(&mut asked) => {
                                let Ok(count @ 1..) = read else { return };
                                if asked[..count].windows(plan.word.len()).any(|it| it == plan.word) {
                                    let number = seen.fetch_add(1, Ordering::SeqCst) + 1;
                                    if number == plan.hold {
                                        held.notify_one();
                                        go.notified().await;
                                    }
                                    if number == plan.replaced {
                                        port.store(other, Ordering::SeqCst);
                                        return;
                                    }
                                }
                                if server.write_all(&asked[..count]).await.is_err() {
                                    return;
                                }
                            }
                            read = server.read(&mut answered) => {
                                let Ok(count @ 1..) = read else { return };
                                if client.write_all(&answered[..count]).await.is_err() {
                                    return;
                                }
                            }
                        }
                    }
                });
            }
        });
        gate
    }

    async fn open(&self) -> RedisStore {
        open(&format!("redis://{}", self.address)).await
    }
}

/// Does something in its turn, and appends nothing.
struct Idle<F>(Option<F>);

impl<F: FnOnce() + Send> Decide for Idle<F> {
    fn decide(&mut self, _missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        if let Some(act) = self.0.take() {
            act();
        }
        Vec::new()
    }
}

/// The turn is in a snapshot of the log, and comes back with it after others had theirs.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_comes_back_with_a_snapshot_is_none() {
    let server = Arc::new(Mutex::new(Server::start()));
    let url = server.lock().unwrap().url();
    let store = open(&url).await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    let appended = Arc::new(Mutex::new(None));
    let (by_other, runtime) = (Arc::clone(&appended), tokio::runtime::Handle::current());
    let its_server = Arc::clone(&server);
    let act = move || {
        let mut server = its_server.lock().unwrap();
        server.call(&["BGREWRITEAOF"]);
        let is_rewriting = |info: String| {
            !info.contains("aof_rewrite_in_progress:0") || !info.contains("aof_rewrite_scheduled:0")
        };
        while is_rewriting(info(&server, "persistence")) {
            std::thread::sleep(Duration::from_millis(20));
        }
        // Which waits until the turn has run out.
        let other = std::thread::spawn(move || {
            runtime.block_on(async { append(&open(&url).await, head).await.unwrap() })
        });
        *by_other.lock().unwrap() = Some(other.join().unwrap());
        server.start_again();
    };
    let end = store.turn(head, &mut Idle(Some(act))).await.unwrap();
    assert_eq!(Some(end), *appended.lock().unwrap());
}

/// A scan goes on in another server's order, and misses what that has elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_over_a_restart_has_everything() {
    let mut server = Server::start();
    append_these(&open(&server.url()).await, Head::EMPTY, teams(5000)).await;
    let plan = Plan { word: b"SSCAN".into(), hold: 3, replaced: 3 };
    let gate = Gate::to(server.port, plan, server.port).await;
    let store = gate.open().await;
    let loading = tokio::spawn(async move { load(&store).await });
    gate.held.notified().await;
    server.start_again();
    gate.go.notify_one();
    assert_eq!(loading.await.unwrap().0.len(), 5000);
}

/// Some of it was read from a server whose last commit the next one lacks.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_over_a_fail_over_is_of_one_history() {
    let first = Server::start();
    let direct = open(&first.url()).await;
    let head = append_these(&direct, Head::EMPTY, teams(40)).await;
    let following = ["--replicaof", "127.0.0.1", &first.port.to_string()];
    let second = Server::start_with(&[&SAFE[..], &following].concat());
    has(&second, head).await;
    let gate =
        Gate::to(first.port, Plan { word: b"HGETALL".into(), hold: 1, replaced: 2 }, second.port).await;
    let store = gate.open().await;
    let loading = tokio::spawn(async move { load(&store).await });
    gate.held.notified().await;
    let head = append_these(&direct, head, vec![put(40, "replicated")]).await;
    has(&second, head).await;
    second.call(&["REPLICAOF", "NO", "ONE"]);
    append_these(&direct, head, vec![put(1, "lost")]).await;
    gate.go.notify_one();
    assert_eq!(loading.await.unwrap(), load(&open(&second.url()).await).await);
}

/// Whoever was about to forget commits finds a ledger that was set back to before them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_to_be_forgotten_is_looked_at_again() {
    let (server, older) = (Server::start(), Server::start());
    let options = || RedisOptions { history: 1000, ..RedisOptions::default() };
    let direct = RedisStore::open(&server.url(), options()).await.unwrap();
    let mut head = Head::EMPTY;
    for _ in 0..300 {
        head = append(&direct, head).await.unwrap();
    }
    older.call(&["REPLICAOF", "127.0.0.1", &server.port.to_string()]);
    has(&older, head).await;
    older.call(&["REPLICAOF", "NO", "ONE"]);
    for _ in 300..1999 {
        head = append(&direct, head).await.unwrap();
    }
    let script = include_str!("../src/lua/trim.lua");
    older.call(&["SCRIPT", "LOAD", script]);
    let plan = Plan { word: redis::Script::new(script).get_hash().into(), hold: 1, replaced: 1 };
    let gate = Gate::to(server.port, plan, older.port).await;
    let store = RedisStore::open(&format!("redis://{}", gate.address), options()).await.unwrap();
    append(&store, head).await.unwrap();
    gate.held.notified().await;
    gate.go.notify_one();
    while !info(&older, "commandstats").contains("cmdstat_evalsha") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(older.call(&["XLEN", "{memc}:commits"]), Value::Int(300));
    let restored = open(&older.url()).await;
    append(&restored, restored.head().await.unwrap()).await.unwrap();
    assert_sound(&restored).await;
}

/// A server that died while it flushed has read what was not flushed, and would answer by it: it is made to flush first.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_came_back_flushes_before_it_is_believed() {
    let mut server = Server::start();
    let store = open(&server.url()).await;
    // Nothing is written to a server that has no ledger.
    assert_eq!(store.head().await.unwrap(), Head::EMPTY);
    assert_eq!(server.call(&["DBSIZE"]), Value::Int(0));
    let head = append(&store, Head::EMPTY).await.unwrap();
    server.start_again();
    assert_eq!(store.head().await.unwrap(), head);
    let stats = info(&server, "commandstats");
    assert!(stats.contains("cmdstat_set:calls=1,"), "{stats}");
    // It is logged, so that with `appendfsync always` the log was flushed before the answer.
    let logs = std::fs::read_dir(server.appendonly()).unwrap().map(|file| file.unwrap().path());
    let mut logs = logs.map(|log| String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned());
    assert!(logs.any(|log| log.contains("{memc}:flushed")));
    assert_sound(&store).await;
}
