//! What is particular to one Redis server: its settings, its failures, and the keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod ledger;
mod server;

use std::path::Path;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ledger::{Clients, One, append, append_at_the_end, assert_sound, open};
use memc_core::Fleet;
use memc_core::fleet::{OpenError, Options, SubmitError};
use memc_core::ledger::{Change, Command, Commit, Head, Order};
use memc_core::model::{Principal, Record, Revision, Team, TeamId, TeamName, Timestamp};
use memc_core::store::{Decide, Finding, Severity, Store, TurnError};
use memc_store_redis::{ConnectError, RedisOptions, RedisStore};
use redis::Value;
use server::{SAFE, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

// ---- Settings

fn refused(findings: &[Finding]) -> Vec<&str> {
    findings.iter().filter(|it| it.severity == Severity::Refuse).map(|it| it.code.as_str()).collect()
}

#[tokio::test]
async fn unsafe_settings_are_refused_by_name() {
    let safe = Server::start();
    let master = safe.port.to_string();
    let cases: [(&[&str], &str, &str); 7] = [
        (&["--appendonly", "no"], "redis.appendonly", "appendonly is no, needed is yes"),
        (&["--appendfsync", "everysec"], "redis.appendfsync", "appendfsync is everysec, needed is always"),
        (&["--appendfsync", "no"], "redis.appendfsync", "CONFIG SET appendfsync always"),
        (&["--no-appendfsync-on-rewrite", "yes"], "redis.no_appendfsync_on_rewrite", "needed is no"),
        (
            &["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"],
            "redis.maxmemory_policy",
            "maxmemory-policy is allkeys-lru, needed is noeviction",
        ),
        (&["--replicaof", "127.0.0.1", &master], "redis.role", "role is slave, needed is master"),
        (&["--rename-command", "CONFIG", ""], "redis.settings", "settings cannot be read"),
    ];
    for (settings, code, said) in cases {
        let server = Server::start_with(&[&SAFE[..], settings].concat());
        let store = open(&server.url()).await;
        let findings = store.check().await.unwrap();
        assert_eq!(refused(&findings), [code], "{settings:?}");
        assert!(findings.iter().any(|it| it.code == code && it.message.contains(said)), "{findings:?}");
        let opened = Fleet::open(Arc::new(store), Options::default()).await;
        assert!(matches!(opened, Err(OpenError::Unsafe(_))), "{settings:?}");
    }
    let limited = Server::start_with(&[&SAFE[..], &["--maxmemory", "100mb"]].concat());
    for server in [&safe, &limited] {
        assert_eq!(refused(&open(&server.url()).await.check().await.unwrap()), [""; 0]);
    }
}

#[tokio::test]
async fn a_user_who_may_not_read_settings_is_told() {
    let server = Server::start();
    server.call(&["ACL", "SETUSER", "memc", "on", ">hidden", "~*", "+@all", "-config"]);
    let url = format!("redis://memc:hidden@{}", server.address());
    let store = open(&url).await;
    let findings = store.check().await.unwrap();
    assert_eq!(refused(&findings), ["redis.settings"]);
    assert!(!format!("{store:?} {findings:?}").contains("hidden"));
    server.call(&["ACL", "SETUSER", "memc", "+config|get"]);
    assert_eq!(refused(&store.check().await.unwrap()), [""; 0]);
    let wrong = format!("redis://memc:secret@{}", server.address());
    let error = RedisStore::open(&wrong, RedisOptions::default()).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

/// What the README tells to allow is enough, and no more than this ledger's keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_few_rights_is_enough() {
    let server = Server::start();
    let rights = "memc on >hidden ~{memc}:* +@all -@dangerous +info +config|get +cluster|nodes";
    assert!(include_str!("../README.md").contains(&rights.replace("hidden", "password")));
    server.call(&[&["ACL", "SETUSER"], &rights.split(' ').collect::<Vec<_>>()[..]].concat());
    let url = format!("redis://memc:hidden@{}", server.address());
    let store = open(&url).await;
    assert_eq!(store.check().await.unwrap(), []);
    let clients = Clients::start(&url, 2, 4).await;
    clients.more(50).await;
    clients.end(&url).await;
    let other = RedisStore::open(&format!("{url}?prefix=other"), RedisOptions::default()).await.unwrap_err();
    assert!(other.to_string().contains("permission"), "{other}");
}

/// A commit of so many changes.
struct Many(One, u64);

impl Decide for Many {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        let mut commits = self.0.decide(missed, now);
        let revision = commits[0].revision;
        let team = |number: u64| {
            let name = TeamName::new(&format!("many-{number}")).unwrap();
            Change::Put(Record::Team(Team { id: TeamId::new(1_000_000 + number), name, revision }))
        };
        commits[0].changes = (0..self.1).map(team).collect();
        commits
    }
}

/// A server that takes less at once closes the connection, without a word: it is not sent what is too long.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_longer_than_the_server_takes_is_not_sent() {
    for setting in ["client-query-buffer-limit", "proto-max-bulk-len"] {
        let server = Server::start_with(&[&SAFE[..], &[&format!("--{setting}"), "2mb"]].concat());
        let store = open(&server.url()).await;
        // As a command it is longer than that, and no word of it is.
        let head = store.turn(Head::EMPTY, &mut Many(One::new(Head::EMPTY), 18_000)).await.unwrap();
        let opened = || {
            let info: String = redis::from_redis_value(server.call(&["INFO", "stats"])).unwrap();
            let line = info.lines().find(|line| line.starts_with("total_connections_received")).unwrap();
            line.trim_end().rsplit_once(':').unwrap().1.parse::<u64>().unwrap()
        };
        let before = opened();
        let taken = store.turn(head, &mut Many(One::new(head), 36_000)).await;
        let told = format!("the server's {setting} is 2097152, ");
        assert!(matches!(&taken, Err(TurnError::TooLong(why)) if why.contains(&told)), "{taken:?}");
        // One is this test's question.
        assert_eq!(opened() - before, 1, "the connection was lost");
        assert_eq!(store.head().await.unwrap(), head);
        append(&store, head).await.unwrap();
        assert_sound(&store).await;
    }
}

/// A batch that is too large for one command is turned away, so that each of it can be tried alone.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_command_cannot_hold_is_too_long() {
    let server = Server::start();
    let options = RedisOptions { answer_wait: Duration::from_secs(60), ..RedisOptions::default() };
    let store = RedisStore::open(&server.url(), options).await.unwrap();
    let taken = store.turn(Head::EMPTY, &mut Many(One::new(Head::EMPTY), 200_000)).await;
    assert!(matches!(&taken, Err(TurnError::TooLong(why)) if why.contains("200000 changes")), "{taken:?}");
    let head = store.turn(Head::EMPTY, &mut Many(One::new(Head::EMPTY), 100_000)).await.unwrap();
    append(&store, head).await.unwrap();
    assert_sound(&store).await;
}

#[tokio::test]
async fn replicas_are_noted() {
    let server = Server::start();
    let port = server.port.to_string();
    let _replica = Server::start_with(&[&SAFE[..], &["--replicaof", "127.0.0.1", &port]].concat());
    let store = open(&server.url()).await;
    let since = Instant::now();
    loop {
        let findings = store.check().await.unwrap();
        if findings.iter().any(|it| it.severity == Severity::Note && it.code == "redis.failover") {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// No connection is opened anew: only looking again finds it.
#[tokio::test]
async fn a_server_that_stops_flushing_stops_writes() {
    let server = Server::start();
    let options = Options { check_every: Duration::from_millis(20), ..Options::default() };
    let fleet = Fleet::open(Arc::new(open(&server.url()).await), options).await.unwrap();
    let mut number = 0;
    let mut create = || {
        number += 1;
        let name = TeamName::new(&format!("t{number}")).unwrap();
        let actor = Principal::new("user:test").unwrap();
        fleet.submit(Order { actor, request: None, command: Command::CreateTeam { name } })
    };
    server.call(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let why = loop {
        match create().await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(SubmitError::Unsafe(why)) => break why,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(why.contains("appendfsync is everysec, needed is always"), "{why}");
    fleet.refresh().await.expect("reads go on");
    server.call(&["CONFIG", "SET", "appendfsync", "always"]);
    while let Err(error) = create().await {
        assert!(matches!(error, SubmitError::Unsafe(_)), "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fleet.status().findings.iter().filter(|it| it.severity == Severity::Refuse).count(), 0);
}

/// Nobody is let to it, not even to read; and what is wrong is said, within less than the minute between two looks.
#[tokio::test]
async fn a_server_that_comes_back_unsafe_is_soon_said_to_be() {
    let server = Server::start();
    let fleet = Fleet::open(Arc::new(open(&server.url()).await), Options::default()).await.unwrap();
    server.call(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let _ = server.try_call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let unsafe_now =
        || fleet.status().findings.iter().any(|it| it.message.contains("appendfsync is everysec"));
    let until = async |said: &str, is: &dyn Fn() -> bool| {
        for _ in 0..200 {
            if is() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not said within twenty seconds: {said}");
    };
    until("unsafe", &unsafe_now).await;
    server.call(&["CONFIG", "SET", "appendfsync", "always"]);
    until("safe", &|| !unsafe_now()).await;
    fleet.refresh().await.unwrap();
}

/// Whoever comes back with other settings is not written to; what was accepted at first still is.
#[tokio::test]
async fn settings_are_looked_at_again_after_a_reconnect() {
    let server = Server::start();
    let store = open(&server.url()).await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    server.call(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let _ = server.try_call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    let error = store.head().await.unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains("appendfsync is everysec"), "{error}");
    assert!(matches!(append(&store, head).await, Err(TurnError::Store(_))));
    // Whoever looks is told, and it still is not written to.
    assert_eq!(refused(&store.check().await.unwrap()), ["redis.appendfsync"]);
    assert!(matches!(append(&store, head).await, Err(TurnError::Store(_))));
    server.call(&["CONFIG", "SET", "appendfsync", "always"]);
    let head = append(&store, head).await.unwrap();
    // Somebody was told, and goes on at their own risk.
    server.call(&["CONFIG", "SET", "appendfsync", "everysec"]);
    assert_eq!(refused(&store.check().await.unwrap()), ["redis.appendfsync"]);
    let _ = server.try_call(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    append(&store, head).await.unwrap();
}

// ---- A server that goes away

#[tokio::test]
async fn a_server_that_is_away_is_said_to_be_and_is_found_again() {
    let mut server = Server::start();
    let store = open(&server.url()).await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    server.kill();
    let error = store.head().await.unwrap_err();
    assert!(error.is_temporary() && error.to_string().contains(&server.address()), "{error}");
    assert!(matches!(append(&store, head).await, Err(TurnError::Store(error)) if error.is_temporary()));
    let failed = RedisStore::open(&server.url(), RedisOptions::default()).await.unwrap_err();
    assert!(matches!(failed, ConnectError::Store(_)), "{failed}");
    server.start_again();
    assert_eq!(store.head().await.unwrap(), head);
    append(&store, head).await.unwrap();
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_under_load_loses_nothing_acknowledged() {
    let mut server = Server::start();
    let url = server.url();
    let clients = Clients::start(&url, 3, 8).await;
    for round in 0..6 {
        clients.more(200 + 37 * round).await;
        tokio::task::block_in_place(|| {
            server.kill();
            server.start_again();
        });
    }
    clients.more(200).await;
    eprintln!("{} acknowledged, all there", clients.end(&url).await);
}

#[tokio::test]
async fn a_server_that_hangs_is_not_waited_for_endlessly() {
    let server = Server::start();
    let options = RedisOptions { answer_wait: Duration::from_millis(500), ..RedisOptions::default() };
    let store = RedisStore::open(&server.url(), options).await.unwrap();
    let head = append(&store, Head::EMPTY).await.unwrap();
    server::signal(server.pid(), "STOP");
    let since = Instant::now();
    assert!(store.head().await.unwrap_err().is_temporary());
    assert!(append(&store, head).await.is_err());
    assert!(since.elapsed() < Duration::from_secs(12), "{:?}", since.elapsed());
    server::signal(server.pid(), "CONT");
    append_at_the_end(&store, head, "user:test").await;
    assert_sound(&store).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[tokio::test]
async fn a_ledger_that_was_set_back_is_another_history() {
    let mut server = Server::start();
    let store = open(&server.url()).await;
    let old = append(&store, append(&store, Head::EMPTY).await.unwrap()).await.unwrap();
    server.kill();
    let backup = server.path().join("backup");
    copy(&server.appendonly(), &backup);
    server.start_again();
    let new = append(&store, append(&store, old).await.unwrap()).await.unwrap();
    server.kill();
    std::fs::remove_dir_all(server.appendonly()).unwrap();
    copy(&backup, &server.appendonly());
    server.start_again();
    let diverged = |taken: Result<Head, TurnError>, expected: Head| match taken {
        Err(TurnError::Diverged(head)) => assert_eq!(head, expected),
        other => panic!("{other:?}"),
    };
    assert_eq!(store.head().await.unwrap(), old);
    diverged(append(&store, new).await, old);
    // Also once it has grown as far again, and further.
    let mut head = append(&store, append(&store, old).await.unwrap()).await.unwrap();
    assert_eq!(head.revision, new.revision);
    diverged(append(&store, new).await, head);
    head = append(&store, head).await.unwrap();
    diverged(append(&store, new).await, head);
    assert_sound(&store).await;
}

// ---- Answers that are lost

/// Between a store and its server: hands on what either says, until it is told to break off.
struct Wire {
    address: String,
    mode: Arc<AtomicU8>,
    kept: Arc<Mutex<Vec<u8>>>,
    /// Requests that were asked after the answer to the one before.
    trips: Arc<AtomicUsize>,
}

const PASS: u8 = 0;
/// Hand on the next request, and close before its answer.
const NO_ANSWER: u8 = 1;
/// Close instead of handing on the next request.
const NO_REQUEST: u8 = 2;
/// The same as `NO_ANSWER`, and nobody can connect again.
const NO_ANSWER_AND_AWAY: u8 = 3;
const AWAY: u8 = 4;
/// Keep the next request, close, and let nobody connect again.
const KEEP: u8 = 5;

impl Wire {
    async fn to(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (mode, port) = (Arc::new(AtomicU8::new(PASS)), server.port);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let trips = Arc::new(AtomicUsize::new(0));
        let wire =
            Wire { address, mode: Arc::clone(&mode), kept: Arc::clone(&kept), trips: Arc::clone(&trips) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if mode.load(Ordering::SeqCst) != AWAY {
                    let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    let (mode, kept, trips) = (Arc::clone(&mode), Arc::clone(&kept), Arc::clone(&trips));
                    tokio::spawn(hand_on(client, server, mode, kept, trips));
                }
            }
        });
        wire
    }
}

async fn hand_on(
    mut client: TcpStream,
    mut server: TcpStream,
    mode: Arc<AtomicU8>,
    kept: Arc<Mutex<Vec<u8>>>,
    trips: Arc<AtomicUsize>,
) {
    let (mut asked, mut answered) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut asking = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                trips.fetch_add(usize::from(!std::mem::replace(&mut asking, true)), Ordering::SeqCst);
                let now = mode.load(Ordering::SeqCst);
                if now == NO_REQUEST {
                    mode.store(PASS, Ordering::SeqCst);
                    return;
                }
                if now == KEEP {
                    kept.lock().unwrap().extend(&asked[..count]);
                    mode.store(AWAY, Ordering::SeqCst);
                    return;
                }
                server.write_all(&asked[..count]).await.unwrap();
                if now == NO_ANSWER || now == NO_ANSWER_AND_AWAY {
                    // The server has answered, so it has done it.
                    let _ = server.read(&mut answered).await;
                    mode.store(if now == NO_ANSWER { PASS } else { AWAY }, Ordering::SeqCst);
                    return;
                }
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                asking = false;
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Sets the wire's mode before it answers: the next request appends.
struct Breaking<'a> {
    one: One,
    wire: &'a Wire,
    mode: u8,
    decided: usize,
}

impl Decide for Breaking<'_> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        self.decided += 1;
        self.wire.mode.store(std::mem::replace(&mut self.mode, PASS), Ordering::SeqCst);
        self.one.decide(missed, now)
    }
}

/// Makes these changes in one commit.
struct Changes(One, Vec<Change>);

impl Decide for Changes {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        let mut commits = self.0.decide(missed, now);
        commits[0].changes.clone_from(&self.1);
        commits
    }
}

fn put(number: u64, name: &str) -> Change {
    let (id, name) = (TeamId::new(number), TeamName::new(name).unwrap());
    Change::Put(Record::Team(Team { id, name, revision: Revision::new(1) }))
}

/// A name that one record gives up and another takes, in whatever order within one turn, has one owner afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_up_may_be_taken_in_the_same_turn() {
    let server = Server::start();
    let store = open(&server.url()).await;
    let id = |number| TeamId::new(number);
    let remove = |number| Change::Remove(memc_core::model::Key::Team { id: id(number) });
    let mut head = Head::EMPTY;
    for (changes, fits) in [
        (vec![put(1, "a"), put(2, "b")], true),
        // They exchange their names.
        (vec![put(1, "b"), put(2, "a")], true),
        (vec![put(3, "a")], false),
        (vec![put(3, "b")], false),
        // One goes, another takes its name; one comes and goes; one is replaced.
        (vec![remove(1), put(3, "b"), put(4, "d"), remove(4), remove(2), put(2, "c")], true),
        (vec![put(5, "b")], false),
        (vec![put(5, "c")], false),
        (vec![remove(1)], false),
        (vec![remove(4)], false),
        (vec![remove(4), put(4, "d")], false),
        (vec![remove(3), remove(3)], false),
        (vec![put(6, "e"), put(7, "e")], false),
        (vec![put(5, "a"), put(6, "d"), put(3, "b")], true),
        (vec![remove(2), remove(3), remove(5), remove(6)], true),
    ] {
        let taken = store.turn(head, &mut Changes(One::new(head), changes.clone())).await;
        match taken {
            Ok(end) if fits => head = end,
            Err(TurnError::Conflict(_)) if !fits => {}
            other => panic!("{changes:?}: {other:?}"),
        }
        assert_eq!(store.head().await.unwrap(), head);
        assert_sound(&store).await;
    }
    assert_eq!(server.call(&["KEYS", "{memc}:index:*"]), Value::Array(Vec::new()), "no claim is left");
    assert_eq!(server.call(&["SMEMBERS", "{memc}:buckets"]), Value::Array(Vec::new()));
}

/// No command of a load is about more than one hash, or as many records as one may have.
#[tokio::test(flavor = "multi_thread")]
async fn a_load_reads_one_hash_at_a_time() {
    let server = Server::start();
    let store = open(&server.url()).await;
    let teams: Vec<Change> = (1..=2000).map(|number| put(number, &format!("t{number}"))).collect();
    store.turn(Head::EMPTY, &mut Changes(One::new(Head::EMPTY), teams)).await.unwrap();
    let Value::Array(buckets) = server.call(&["SMEMBERS", "{memc}:buckets"]) else { panic!("buckets") };
    for bucket in &buckets {
        let Value::BulkString(name) = bucket else { panic!("{bucket:?}") };
        let Value::Int(length) = server.call(&["HLEN", std::str::from_utf8(name).unwrap()]) else {
            panic!("{bucket:?}")
        };
        assert!((1..=512).contains(&length), "{length} records");
    }
    server.call(&["CONFIG", "RESETSTAT"]);
    assert_eq!(ledger::load(&store).await.0.len(), 2000);
    let Value::BulkString(counts) = server.call(&["INFO", "commandstats"]) else { panic!("counts") };
    let counts = String::from_utf8(counts).unwrap();
    assert!(counts.contains(&format!("cmdstat_hgetall:calls={},", buckets.len())), "{counts}");
    assert!(!counts.contains("cmdstat_smembers"), "{counts}");
}

/// Whatever it appends: the turn and what was missed, then the append.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_takes_two_round_trips() {
    let server = Server::start();
    let wire = Wire::to(&server).await;
    let (store, other) = (open(&format!("redis://{}", wire.address)).await, open(&server.url()).await);
    // The scripts are known to the server, and the connection is open.
    let mut head = append(&store, Head::EMPTY).await.unwrap();
    for missed in [0, 1, 100] {
        let mut at = head;
        for _ in 0..missed {
            at = append_at_the_end(&other, at, "user:other").await;
        }
        let before = wire.trips.load(Ordering::SeqCst);
        head = append(&store, head).await.unwrap();
        assert_eq!(wire.trips.load(Ordering::SeqCst) - before, 2, "after {missed} commits by another");
    }
}

/// A caller that has read on since it asked for a turn.
struct ReadOn {
    to: Head,
    missed: Vec<Commit>,
}

impl Decide for ReadOn {
    fn reached(&self, _at: Head) -> Head {
        self.to
    }

    fn decide(&mut self, missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        self.missed = missed;
        Vec::new()
    }
}

/// What the caller read while it waited is not read again while it keeps all others waiting.
#[tokio::test]
async fn a_turn_reads_only_what_its_caller_has_not_read_meanwhile() {
    let server = Server::start();
    let store = open(&server.url()).await;
    let asked = append(&store, Head::EMPTY).await.unwrap();
    let to = append(&store, asked).await.unwrap();
    let head = append(&store, to).await.unwrap();
    let mut caller = ReadOn { to, missed: Vec::new() };
    assert_eq!(store.turn(asked, &mut caller).await.unwrap(), head);
    let missed: Vec<Head> = caller.missed.iter().map(Commit::head).collect();
    assert_eq!(missed, [head]);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_nothing_is_appended_twice() {
    let server = Server::start();
    let wire = Wire::to(&server).await;
    let store = open(&format!("redis://{}", wire.address)).await;
    let mut head = Head::EMPTY;
    for round in 0..10 {
        let mode = if round % 2 == 0 { NO_ANSWER } else { NO_REQUEST };
        let mut breaking = Breaking { one: One::new(head), wire: &wire, mode, decided: 0 };
        let end = store.turn(head, &mut breaking).await.expect("turn");
        assert_eq!((end.revision, breaking.decided), (head.revision.next(), 1));
        head = end;
    }
    assert_sound(&open(&server.url()).await).await;
}

#[tokio::test]
async fn an_answer_that_stays_lost_is_an_unknown_outcome() {
    let server = Server::start();
    let wire = Wire::to(&server).await;
    let store = open(&format!("redis://{}", wire.address)).await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    let mut breaking = Breaking { one: One::new(head), wire: &wire, mode: NO_ANSWER_AND_AWAY, decided: 0 };
    match store.turn(head, &mut breaking).await {
        Err(TurnError::Unknown(error)) => assert!(error.is_temporary(), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(append(&store, head).await, Err(TurnError::Store(_))));
    wire.mode.store(PASS, Ordering::SeqCst);
    // The next turn is told what became of it.
    let mut missed = Missed(Vec::new());
    let end = store.turn(head, &mut missed).await.unwrap();
    assert_eq!((missed.0.len(), missed.0[0].head()), (1, end));
    append(&store, end).await.unwrap();
    assert_sound(&store).await;
}

/// An append that was on its way for long comes to nothing once anyone has had a turn after it.
#[tokio::test]
async fn an_append_that_arrives_late_comes_to_nothing() {
    let server = Server::start();
    let wire = Wire::to(&server).await;
    let store = open(&format!("redis://{}", wire.address)).await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    let mut breaking = Breaking { one: One::new(head), wire: &wire, mode: KEEP, decided: 0 };
    let taken = store.turn(head, &mut breaking).await;
    assert!(matches!(taken, Err(TurnError::Unknown(_))), "{taken:?}");
    wire.mode.store(PASS, Ordering::SeqCst);
    let mut missed = Missed(Vec::new());
    assert_eq!(store.turn(head, &mut missed).await.unwrap(), head);
    assert!(missed.0.is_empty());
    let late = wire.kept.lock().unwrap().clone();
    assert!(late.windows(7).any(|word| word == b"EVALSHA"));
    let (mut raw, mut answer) = (TcpStream::connect(server.address()).await.unwrap(), [0; 64]);
    raw.write_all(&late).await.unwrap();
    let count = raw.read(&mut answer).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&answer[..count]), "*1\r\n$4\r\nlost\r\n");
    assert_eq!(store.head().await.unwrap(), head);
}

/// Reads only.
struct Missed(Vec<Commit>);

impl Decide for Missed {
    fn decide(&mut self, missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        self.0.extend(missed);
        Vec::new()
    }
}

// ---- All or nothing

/// Runs a command on the server before it answers.
struct Meanwhile<'a> {
    one: One,
    server: &'a Server,
    words: &'a [&'a str],
}

impl Decide for Meanwhile<'_> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        self.server.call(self.words);
        let first = self.one.decide(missed, now);
        self.one.at = first[0].head();
        [first, self.one.decide(Vec::new(), now)].concat()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_memory_appends_nothing() {
    let server = Server::start();
    let store = open(&server.url()).await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    let words = ["CONFIG", "SET", "maxmemory", "1"];
    let taken =
        store.turn(head, &mut Meanwhile { one: One::new(head), server: &server, words: &words }).await;
    assert!(matches!(&taken, Err(TurnError::Store(error)) if error.to_string().contains("OOM")), "{taken:?}");
    assert_eq!(store.head().await.unwrap(), head);
    server.call(&["CONFIG", "SET", "maxmemory", "0"]);
    append(&store, head).await.unwrap();
    assert_sound(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_wrong_type_stops_an_append_before_its_first_write() {
    let server = Server::start();
    let store = open(&server.url()).await;
    let mut head = append(&store, Head::EMPTY).await.unwrap();
    for key in ["{memc}:of:team:t3", "{memc}:team:0", "{memc}:buckets", "{memc}:index:7", "{memc}:commits"] {
        let (aside, had) = (format!("{key}.aside"), server.call(&["EXISTS", key]) == Value::Int(1));
        let all = server.call(&["KEYS", "{memc}:index:*"]);
        if had {
            server.call(&["RENAME", key, &aside]);
        }
        let words = ["SET", key, "nonsense"];
        let taken =
            store.turn(head, &mut Meanwhile { one: One::new(head), server: &server, words: &words }).await;
        server.call(&["DEL", key]);
        if had {
            server.call(&["RENAME", &aside, key]);
        }
        match taken {
            // Nothing of it was touched.
            Ok(end) => {
                assert_eq!(key, "{memc}:index:7", "{all:?}");
                head = end;
            }
            Err(_) => assert_eq!(store.head().await.unwrap(), head, "{key}"),
        }
        assert_sound(&store).await;
        head = append(&store, head).await.unwrap();
    }
}

/// Turns whose futures are dropped at any moment, on several handles at once: what was acknowledged is there, and
/// nothing waits for those who are gone.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_dropped_turns() {
    let server = Server::start();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let tasks: Vec<_> = (0..4)
        .map(|task: u64| {
            let (url, kept) = (server.url(), Arc::clone(&kept));
            tokio::spawn(async move {
                let (store, mut at, mut random, mut dropped) = (open(&url).await, Head::EMPTY, task, 0);
                for _ in 0..500 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let limit = Duration::from_micros((random >> 33) % 30_000);
                    let mut one = One { at, who: "user:dropped".into() };
                    match tokio::time::timeout(limit, store.turn(at, &mut one)).await {
                        Ok(Ok(head)) => {
                            kept.lock().unwrap().push(head);
                            at = head;
                        }
                        Ok(Err(TurnError::Behind)) => {
                            at = append_at_the_end(&store, at, "user:kept").await;
                            kept.lock().unwrap().push(at);
                        }
                        Ok(Err(error)) => panic!("{error}"),
                        Err(_) => dropped += 1,
                    }
                }
                // Fails when it has waited for as long as a turn may.
                let last = append_at_the_end(&store, at, "user:kept").await;
                kept.lock().unwrap().push(last);
                dropped
            })
        })
        .collect();
    let mut dropped = 0;
    for task in tasks {
        dropped += task.await.unwrap();
    }
    let store = open(&server.url()).await;
    assert_sound(&store).await;
    let commits = store.commits(Revision::default(), usize::MAX).await.unwrap();
    let kept = kept.lock().unwrap();
    eprintln!("{dropped} of 2000 dropped, {} acknowledged, {} there", kept.len(), commits.len());
    for head in kept.iter() {
        assert_eq!(commits[head.revision.get() as usize - 1].head(), *head, "acknowledged, but not there");
    }
    assert!(dropped > 200);
}

// ---- History

#[tokio::test]
async fn history_is_bounded_and_readers_far_behind_load_anew() {
    let server = Server::start();
    let store = open(&format!("{}?history=1000", server.url())).await;
    let first = append(&store, Head::EMPTY).await.unwrap();
    let mut head = first;
    for _ in 0..3500 {
        head = append(&store, head).await.unwrap();
    }
    let since = Instant::now();
    let oldest = loop {
        let oldest = store.commits(Revision::default(), 1).await.unwrap()[0].revision.get();
        if oldest == 2001 {
            break oldest;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "the oldest is {oldest}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(matches!(append(&store, first).await, Err(TurnError::Diverged(found)) if found == head));
    // A target's history ends where the ledger's does.
    let end = Revision::new(u64::MAX);
    let of_target = store.history(Some("team:t3"), end, usize::MAX).await.unwrap();
    let expected: Vec<u64> = (oldest..=head.revision.get()).rev().filter(|it| it % 7 == 3).collect();
    assert_eq!(of_target.iter().map(|it| it.revision.get()).collect::<Vec<_>>(), expected);
    let indexed = server.call(&["ZCARD", "{memc}:of:team:t3"]);
    assert_eq!(indexed, Value::Int(expected.len() as i64));
    // Everything is loaded all the same.
    let (records, at) = ledger::load(&store).await;
    assert_eq!((records.len() as u64, at), (head.revision.get(), head));
}

#[tokio::test]
async fn another_format_is_not_appended_to() {
    let server = Server::start();
    let store = open(&server.url()).await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    server.call(&["HSET", "{memc}:head", "format", "99"]);
    assert_eq!(store.head().await.unwrap(), Head { format: 99, ..head });
    assert!(matches!(append(&store, head).await, Err(TurnError::Format(99))));
    let opened = Fleet::open(Arc::new(open(&server.url()).await), Options::default()).await;
    assert!(matches!(opened, Err(OpenError::Format(99))), "{opened:?}");
    server.call(&["HSET", "{memc}:head", "layout", "2"]);
    let error = store.head().await.unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("layout 2"), "{error}");
}

/// A ledger as version 2 left it, with a host without the fields of version 3, while an old process has the turn.
#[tokio::test]
async fn a_ledger_of_format_2_is_brought_up_to_date() {
    let server = Server::start();
    let old = open(&server.url()).await;
    let head = append(&old, Head::EMPTY).await.unwrap();
    server.call(&["HSET", "{memc}:head", "format", "2"]);
    server.call(&["HSET", "{memc}:turn", "ticket", "old", "until", "99999999999999"]);
    let host = r#"{"record":{"id":3,"name":"m1","cluster":2,"address":"127.0.0.1","memory":64,"rack":null,
        "status":"active","blocked_ports":[],"served":0,"served_at":null,"revision":1}}"#;
    server.call(&["HSET", "{memc}:host:0", "3", host]);
    server.call(&["SADD", "{memc}:buckets", "{memc}:host:0"]);

    let store = open(&server.url()).await;
    assert_eq!(store.head().await.unwrap(), head);
    assert_eq!(server.call(&["EXISTS", "{memc}:turn"]), Value::Int(0), "what it decided is void");
    let (there, _) = ledger::load(&store).await;
    let host = there.values().find_map(|record| match record {
        memc_core::model::Record::Host(host) => Some(host),
        _ => None,
    });
    assert_eq!(host.map(|host| (host.observed_epoch, host.found_ports.len())), Some((1, 0)));
    append(&store, head).await.unwrap();
}

/// The keys as a portal of format 2 left them, with a fleet of its own: one command a line, which writes them.
#[tokio::test]
async fn what_a_portal_of_format_2_left_is_read() {
    let server = Server::start();
    for line in include_str!("data/format-2.jsonl").lines() {
        let words: Vec<String> = serde_json::from_str(line).unwrap();
        server.call(&words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let store = open(&server.url()).await;
    let (_, head) = assert_sound(&store).await;
    let fleet = Fleet::open(Arc::new(store.clone()), Options::default()).await.unwrap();
    let counts = fleet.read(|state| {
        (state.clusters().count(), state.hosts().count(), state.caches().count(), state.instances().count())
    });
    assert_eq!((head.revision.get(), counts), (9, (1, 2, 2, 3)));
    let name = "since".parse().unwrap();
    let order =
        Order { actor: "user:ada".parse().unwrap(), request: None, command: Command::CreateTeam { name } };
    assert_eq!(fleet.submit(order).await.unwrap().revision, head.revision.next());
    let history = store.history(Some("cache:shop/sessions"), Revision::new(u64::MAX), 10).await.unwrap();
    assert_eq!(history.len(), 1, "{history:?}");
    assert_sound(&store).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_reported_as_corrupt() {
    let server = Server::start();
    let store = open(&server.url()).await;
    append(&store, Head::EMPTY).await.unwrap();
    server.call(&["HSET", "{memc}:team:0", "1", r#"{"record":{"id":1,"name":"No Slug","revision":1}}"#]);
    struct Nowhere;
    impl memc_core::store::Load for Nowhere {
        fn take(&mut self, _: Vec<memc_core::model::Record>) -> Result<(), String> {
            Ok(())
        }
    }
    let error = store.load(&mut Nowhere).await.unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("{memc}:team:0, field 1"), "{error}");
}

/// Two ledgers on one server do not touch each other, and every key of one has its hash tag.
#[tokio::test]
async fn a_prefix_is_a_ledger_of_its_own() {
    let server = Server::start();
    let (one, two) = (open(&format!("{}?prefix=one", server.url())).await, open(&server.url()).await);
    let head = append(&one, Head::EMPTY).await.unwrap();
    assert_eq!(two.head().await.unwrap(), Head::EMPTY);
    append(&two, Head::EMPTY).await.unwrap();
    assert_eq!(one.head().await.unwrap(), head);
    let Value::Array(keys) = server.call(&["KEYS", "*"]) else { panic!("keys") };
    for key in keys {
        let Value::BulkString(key) = key else { panic!("a key") };
        let key = String::from_utf8(key).unwrap();
        assert!(key.starts_with("{one}:") || key.starts_with("{memc}:"), "{key}");
    }
}
