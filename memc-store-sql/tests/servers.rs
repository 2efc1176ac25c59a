//! Stores on database servers: what servers and networks do to them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::fleet::{allocate, found};
use common::{Then, append, append_changes, drop_turns, load, one, refusals};
use memc_core::ledger::{Change, Commit, Head};
use memc_core::model::{
    Cluster, ClusterId, ClusterName, Host, HostId, HostName, HostStatus, Key, Mib, Policy, Port, PortRange,
    Record, Revision, Team, TeamId,
};
use memc_core::store::TurnError;
use memc_core::{Fleet, fleet};
use memc_store_sql::{ConnectError, Options, connect, connect_with};
use memc_test_servers::{MariaDb, Postgres, Server};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, raw_sql};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const IMPATIENT: Options =
    Options { lock_wait: Duration::from_millis(1000), patience: Duration::from_millis(1000) };

/// Run something as another program would.
async fn run(server: &Server, sql: &str) {
    if server.url().starts_with("postgres") {
        let mut raw = PgConnection::connect(&server.url()).await.unwrap();
        raw_sql(AssertSqlSafe(sql)).execute(&mut raw).await.unwrap();
    } else {
        let mut raw = MySqlConnection::connect(&server.url()).await.unwrap();
        raw_sql(AssertSqlSafe(sql)).execute(&mut raw).await.unwrap();
    }
}

/// Tests on each kind of server.
macro_rules! on_each {
    ($($name:ident: $run:expr;)*) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn postgres() {
                    ($run)(Postgres::start(&[])).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn mariadb() {
                    ($run)(MariaDb::start(&[])).await;
                }
            }
        )*
    };
}

on_each! {
    several_open_an_empty_database_at_once: open_at_once;
    a_newer_schema_is_refused: newer_schema;
    another_format_is_not_appended_to: another_format;
    a_server_that_was_killed_is_picked_up_again: kill_server;
    a_connection_that_is_ended_during_a_turn_appends_nothing: end_connections;
    a_connection_lost_during_the_commit_is_unknown: lose_commit;
    a_server_that_stops_answering_is_given_up: stop_server;
    a_turn_that_somebody_keeps_is_named: keep_the_turn;
    a_holder_that_is_cut_off_does_not_keep_the_turn: cut_off;
    cancelled_turns_lose_nothing: cancel;
    changes_are_made_in_their_order_where_it_matters: order;
    passwords_are_not_shown: passwords;
}

async fn open_at_once(server: Server) {
    let url = server.url();
    let opening: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { connect(&url).await })
        })
        .collect();
    let mut at = Head::EMPTY;
    for opened in opening {
        let store = opened.await.unwrap().expect("connect");
        at = append(&*store, at).await.expect("append");
    }
    assert_eq!(at.revision, Revision::new(4));
    assert_eq!(load(&*connect(&url).await.unwrap()).await.len(), 4);
}

async fn newer_schema(server: Server) {
    drop(connect(&server.url()).await.expect("connect"));
    let (yes, none) = if server.url().starts_with("postgres") { ("true", "'\\x00'") } else { ("1", "x'00'") };
    let later = format!(
        "INSERT INTO memc_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', {yes}, {none}, 0)"
    );
    run(&server, &later).await;
    let error = connect(&server.url()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NewerSchema { found: 9999, known: 4 }), "{error}");
}

async fn another_format(server: Server) {
    let store = connect(&server.url()).await.expect("connect");
    let head = append(&*store, Head::EMPTY).await.unwrap();
    run(&server, "UPDATE ledger SET format = 99").await;
    assert_eq!(store.head().await.unwrap(), Head { format: 99, ..head });
    assert!(matches!(append(&*store, head).await, Err(TurnError::Format(99))));
    assert_eq!(store.commits(Revision::default(), 10).await.unwrap().len(), 1);
}

async fn kill_server(mut server: Server) {
    let store = connect(&server.url()).await.expect("connect");
    let mut at = Head::EMPTY;
    for _ in 0..3 {
        for _ in 0..20 {
            at = append(&*store, at).await.expect("append");
        }
        // Meanwhile turns are taken, and one may be cut off anywhere.
        let turns = tokio::spawn({
            let store = Arc::clone(&store);
            async move {
                let mut known = at;
                loop {
                    match append(&*store, known).await {
                        Ok(head) => known = head,
                        Err(error) => return (known, error),
                    }
                }
            }
        });
        tokio::time::sleep(Duration::from_millis(60)).await;
        server.kill9();
        let (known, error) = turns.await.unwrap();
        assert!(
            matches!(&error, TurnError::Store(error) | TurnError::Unknown(error) if error.is_temporary()),
            "{error:?}"
        );
        assert!(store.head().await.unwrap_err().is_temporary());
        assert!(matches!(append(&*store, known).await, Err(TurnError::Store(error)) if error.is_temporary()));
        server.restart();
        at = store.head().await.expect("picked up again");
        let unknown = matches!(error, TurnError::Unknown(_));
        assert!(
            at == known || (unknown && at.revision == known.revision.next()),
            "{known:?} was acknowledged, {at:?} is there"
        );
        at = append(&*store, at).await.expect("picked up again");
    }
    assert_eq!(load(&*store).await.len() as u64, at.revision.get());
}

/// End every session of the store's, from inside a turn.
async fn end_connections(server: Server) {
    let store = connect(&server.url()).await.expect("connect");
    let at = append(&*store, Head::EMPTY).await.unwrap();
    let make = |head: Head, now| {
        let server = &server;
        let kill = async {
            if server.url().starts_with("postgres") {
                let end =
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'memc'";
                run(server, end).await;
            } else {
                let mut raw = MySqlConnection::connect(&server.url()).await.unwrap();
                let others: Vec<u64> = sqlx::query_scalar(
                    "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist \
                     WHERE db = 'memc' AND id <> connection_id()",
                )
                .fetch_all(&mut raw)
                .await
                .unwrap();
                assert!(!others.is_empty());
                for id in others {
                    raw_sql(AssertSqlSafe(format!("KILL {id}"))).execute(&mut raw).await.unwrap();
                }
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(kill));
        one(head, now)
    };
    let taken = store.turn(at, &mut Then(at, make)).await;
    assert!(matches!(&taken, Err(TurnError::Store(error)) if error.is_temporary()), "{taken:?}");
    assert_eq!(store.head().await.unwrap(), at);
    append(&*store, at).await.expect("goes on");
}

/// Between a store and its server.
struct Proxy {
    url: String,
    /// Do not pass on the answer to the next COMMIT, but break off.
    breaks_off: Arc<AtomicBool>,
    /// Pass nothing on any more.
    silent: Arc<AtomicBool>,
}

impl Proxy {
    async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let url = server.url().replace(&format!(":{}", server.port()), &format!(":{own}"));
        let proxy = Proxy {
            url,
            breaks_off: Arc::new(AtomicBool::new(false)),
            silent: Arc::new(AtomicBool::new(false)),
        };
        let (breaks_off, silent, port) =
            (Arc::clone(&proxy.breaks_off), Arc::clone(&proxy.silent), server.port());
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&breaks_off), Arc::clone(&silent)));
            }
        });
        proxy
    }
}

async fn pass(client: TcpStream, server: TcpStream, breaks_off: Arc<AtomicBool>, silent: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                while silent.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                to_server.write_all(&asked[..count]).await.unwrap();
                // The statement, and not an isolation of READ COMMITTED.
                let words = asked[..count].split(|byte| !byte.is_ascii_uppercase());
                let commits = words.into_iter().any(|word| word == b"COMMIT");
                if commits && breaks_off.swap(false, Ordering::SeqCst) {
                    // Until the server has answered, so that it surely was committed.
                    assert_ne!(from_server.read(&mut answered).await.unwrap(), 0);
                    return;
                }
            }
            read = from_server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                if to_client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn lose_commit(server: Server) {
    let proxy = Proxy::before(&server).await;
    let store = connect(&proxy.url).await.expect("connect");
    let at = append(&*store, Head::EMPTY).await.unwrap();
    proxy.breaks_off.store(true, Ordering::SeqCst);
    let taken = append(&*store, at).await;
    assert!(matches!(&taken, Err(TurnError::Unknown(error)) if error.is_temporary()), "{taken:?}");
    // An empty turn tells.
    let mut missed = Vec::new();
    struct Look<'a>(&'a mut Vec<Commit>);
    impl memc_core::store::Decide for Look<'_> {
        fn decide(&mut self, missed: Vec<Commit>, _: memc_core::model::Timestamp) -> Vec<Commit> {
            *self.0 = missed;
            Vec::new()
        }
    }
    let head = store.turn(at, &mut Look(&mut missed)).await.expect("turn");
    assert_eq!((head.revision.get(), missed.len()), (2, 1));
}

async fn stop_server(server: Server) {
    let store = connect_with(&server.url(), IMPATIENT).await.expect("connect");
    let at = append(&*store, Head::EMPTY).await.unwrap();
    server.stop_process();
    let taken = append(&*store, at).await;
    assert!(matches!(&taken, Err(TurnError::Store(error)) if error.is_temporary()), "{taken:?}");
    assert!(store.head().await.unwrap_err().is_temporary());
    assert!(store.check().await.unwrap_err().is_temporary());
    server.continue_process();
    assert_eq!(store.head().await.expect("goes on"), at);
    append(&*store, at).await.expect("goes on");
}

async fn keep_the_turn(server: Server) {
    let store = connect_with(&server.url(), IMPATIENT).await.expect("connect");
    let other = connect(&server.url()).await.expect("connect");
    let at = append(&*store, Head::EMPTY).await.unwrap();
    let (inside, entered) = tokio::sync::oneshot::channel();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    let keeping = tokio::spawn(async move {
        let mut inside = Some(inside);
        let make = move |head, now| {
            inside.take().unwrap().send(()).unwrap();
            tokio::task::block_in_place(|| left.recv()).unwrap();
            one(head, now)
        };
        other.turn(at, &mut Then(at, make)).await
    });
    entered.await.unwrap();
    let error = append(&*store, at).await.unwrap_err();
    assert!(matches!(&error, TurnError::Store(error) if error.is_temporary()), "{error}");
    let holder = if server.url().starts_with("postgres") { "server process" } else { "connection" };
    assert!(error.to_string().contains("store locked") && error.to_string().contains(holder), "{error}");
    // Reads do not need it.
    assert_eq!(store.head().await.unwrap(), at);
    leave.send(()).unwrap();
    let head = keeping.await.unwrap().expect("its turn goes on");
    append(&*store, head).await.expect("append");
}

/// The server ends a session whose client is not heard of any more in the middle of a turn.
async fn cut_off(server: Server) {
    let proxy = Proxy::before(&server).await;
    let lost = connect_with(&proxy.url, IMPATIENT).await.expect("connect");
    let other = connect(&server.url()).await.expect("connect");
    let at = append(&*lost, Head::EMPTY).await.unwrap();
    let make = |head, now| {
        proxy.silent.store(true, Ordering::SeqCst);
        one(head, now)
    };
    // Nothing that it sends arrives, nor that it closes the connection.
    let taken = lost.turn(at, &mut Then(at, make)).await;
    assert!(matches!(&taken, Err(TurnError::Store(error)) if error.is_temporary()), "{taken:?}");
    let head = append(&*other, at).await.expect("the turn is free again");
    proxy.silent.store(false, Ordering::SeqCst);
    assert_eq!(append(&*lost, head).await.expect("goes on").revision, Revision::new(3));
    assert_eq!(load(&*other).await.len(), 3);
}

async fn cancel(mut server: Server) {
    // Nothing here is about what a disk keeps.
    let quick = if server.url().starts_with("postgres") { "fsync" } else { "innodb-flush-log-at-trx-commit" };
    server.restart_with(&[(quick, "0")]);
    let store = connect(&server.url()).await.expect("connect");
    drop_turns(&*store, &*connect(&server.url()).await.unwrap()).await;
}

fn cluster(id: u64, name: &str) -> Record {
    let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(11219).unwrap() };
    let name = ClusterName::new(name).unwrap();
    Record::Cluster(Cluster {
        id: ClusterId::new(id),
        name,
        ports,
        policy: Policy::default(),
        revision: Revision::new(1),
    })
}

fn host(id: u64, name: &str, cluster: u64) -> Record {
    Record::Host(Host {
        id: HostId::new(id),
        name: HostName::new(name).unwrap(),
        cluster: ClusterId::new(cluster),
        address: std::net::IpAddr::from([127, 0, 0, 1]),
        memory: Mib::ZERO,
        rack: None,
        status: HostStatus::Active,
        blocked_ports: Default::default(),
        found_ports: Default::default(),
        observed_epoch: 1,
        served: Revision::default(),
        served_at: None,
        revision: Revision::new(1),
    })
}

/// Changes of one turn that cannot be made all at once: two hosts exchange their names, a host leaves a cluster that is
/// removed, another takes its name.
async fn order(server: Server) {
    let store = connect(&server.url()).await.expect("connect");
    let put = |record: Record| vec![Change::Put(record)];
    let begin =
        vec![put(cluster(1, "web")), put(cluster(2, "batch")), put(host(3, "a", 1)), put(host(4, "b", 1))];
    let at = append_changes(&*store, Head::EMPTY, begin).await.expect("begin");
    let exchange = vec![put(host(3, "c", 1)), put(host(4, "a", 1)), put(host(3, "b", 1))];
    let at = append_changes(&*store, at, exchange).await.expect("exchange");
    let remove = vec![Change::Remove(Key::Cluster { id: ClusterId::new(1) })];
    let leave = vec![put(host(3, "b", 2)), put(host(4, "a", 2)), remove, put(cluster(5, "web"))];
    append_changes(&*store, at, leave).await.expect("leave");
    let mut there = load(&*store).await;
    there.sort_by_key(Record::key);
    let mut expected = vec![cluster(2, "batch"), cluster(5, "web"), host(3, "b", 2), host(4, "a", 2)];
    expected.sort_by_key(Record::key);
    assert_eq!(there, expected);
}

async fn passwords(server: Server) {
    let scheme = if server.url().starts_with("postgres") { "memc@" } else { "root@" };
    let url = server.url().replace(scheme, &scheme.replace('@', ":very-secret@"));
    // PostgreSQL takes any password here, MariaDB none.
    match connect(&url).await {
        Ok(store) => assert!(!format!("{store:?}").contains("very-secret")),
        Err(error) => assert!(!format!("{error} {error:?}").contains("very-secret"), "{error}"),
    }
    let error = connect(&url.replace("127.0.0.1", "no host")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("very-secret"), "{error:?}");
}

// ---- Settings

#[tokio::test]
async fn unsafe_settings_of_postgres_are_refused() {
    let mut server = Postgres::start(&[]);
    let store = connect(&server.url()).await.expect("connect");
    assert_eq!(refusals(&*store).await, [""; 0]);
    for (setting, value, code) in [
        ("fsync", "off", "postgres.fsync"),
        ("full_page_writes", "off", "postgres.full_page_writes"),
        ("default_transaction_read_only", "on", "postgres.default_transaction_read_only"),
    ] {
        server.restart_with(&[(setting, value)]);
        assert_eq!(refusals(&*store).await, [code]);
        // One that is there can be opened, to be told so.
        assert_eq!(refusals(&*connect(&server.url()).await.expect("connect")).await, [code]);
    }
    // The session's own, whatever the server's is.
    server.restart_with(&[
        ("synchronous_commit", "off"),
        ("lock_timeout", "1"),
        ("statement_timeout", "1000"),
    ]);
    assert_eq!(refusals(&*store).await, [""; 0]);
    append(&*store, Head::EMPTY).await.expect("append");
    server.kill9();
    std::fs::write(server.data().join("standby.signal"), "").unwrap();
    server.restart_with(&[]);
    assert_eq!(refusals(&*store).await, ["postgres.in_recovery"]);
    let at = store.head().await.expect("a standby can be read");
    assert!(matches!(append(&*store, at).await, Err(TurnError::Store(error)) if error.is_temporary()));
}

#[tokio::test]
async fn unsafe_settings_of_mariadb_are_refused() {
    let mut server = MariaDb::start(&[("sql-mode", ""), ("transaction-isolation", "REPEATABLE-READ")]);
    let store = connect(&server.url()).await.expect("connect");
    assert_eq!(refusals(&*store).await, [""; 0], "the session has its own");
    append(&*store, Head::EMPTY).await.expect("append");
    for (settings, code) in [
        (&[("innodb-flush-log-at-trx-commit", "2")][..], "mariadb.innodb_flush_log_at_trx_commit"),
        (&[("innodb-flush-log-at-trx-commit", "0")][..], "mariadb.innodb_flush_log_at_trx_commit"),
        (&[("innodb-doublewrite", "0")][..], "mariadb.innodb_doublewrite"),
        (&[("log-bin", "binlog"), ("server-id", "1")][..], "mariadb.sync_binlog"),
        (&[("read-only", "1")][..], "mariadb.read_only"),
    ] {
        server.restart_with(settings);
        assert_eq!(refusals(&*store).await, [code]);
    }
    server.restart_with(&[("innodb-flush-log-at-trx-commit", "3"), ("log-bin", "b"), ("sync-binlog", "1")]);
    assert_eq!(refusals(&*store).await, [""; 0]);
    run(&server, "CREATE TABLE other (x INT) ENGINE = Aria").await;
    assert_eq!(refusals(&*store).await, [""; 0], "what others keep there");
    run(&server, "ALTER TABLE requests ENGINE = Aria").await;
    assert_eq!(refusals(&*store).await, ["mariadb.engine"]);
}

/// Galera loses acknowledged transactions where several servers write; one is enough to be refused.
/// A migration that broke off is made again, so it passes over tables that are there.
#[tokio::test]
async fn tables_of_somebody_else_are_not_taken_for_ours() {
    let server = MariaDb::start(&[]);
    run(&server, "CREATE TABLE requests (a INT); CREATE TABLE something (b INT)").await;
    let error = connect(&server.url()).await.unwrap_err().to_string();
    assert!(error.contains("a table requests that is not this program's"), "{error}");
    run(&server, "DROP TABLE requests").await;
    append(&*connect(&server.url()).await.unwrap(), Head::EMPTY).await.unwrap();
}

#[tokio::test]
async fn galera_is_refused() {
    let mut server = MariaDb::start(&[]);
    let store = connect(&server.url()).await.expect("connect");
    append(&*store, Head::EMPTY).await.expect("append");
    let provider = format!("gmcast.listen_addr=tcp://127.0.0.1:{}", free_port());
    server.restart_with(&[
        ("wsrep-on", "ON"),
        ("wsrep-provider", "/usr/lib/galera/libgalera_smm.so"),
        ("wsrep-cluster-address", "gcomm://"),
        ("wsrep-node-address", "127.0.0.1"),
        ("wsrep-provider-options", &provider),
        ("binlog-format", "ROW"),
    ]);
    let told = "wsrep_on is ON, OFF is needed: Galera with several writers loses transactions";
    // Where it became so, nothing more is written.
    let at = store.head().await.expect("head");
    let refused = append(&*store, at).await.expect_err("an append");
    assert!(matches!(&refused, TurnError::Store(why) if why.to_string().contains(told)), "{refused:?}");
    // Where it is so from the beginning, no fleet is opened.
    run(&server, "DROP DATABASE memc; CREATE DATABASE memc").await;
    let store = connect(&server.url()).await.expect("connect");
    assert_eq!(refusals(&*store).await, ["mariadb.wsrep_on"]);
    let refused =
        Fleet::open(store.clone(), fleet::Options::default()).await.expect_err("a fleet").to_string();
    assert!(refused.contains(told), "{refused}");
    // Unless the loss is accepted.
    let options = fleet::Options { accept_risks: true, ..fleet::Options::default() };
    let fleet = Fleet::open(store, options).await.expect("a fleet");
    found(&fleet).await;
    assert!(fleet.status().findings.iter().any(|finding| finding.message.contains(told)));
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A change of the schema is no transaction on MariaDB: one that broke off is made again.
#[tokio::test]
async fn a_migration_that_broke_off_is_made_again() {
    let whole = include_str!("../migrations/mysql/0001_ledger.sql");
    let (before, after) = whole.split_at(whole.find("CREATE TABLE IF NOT EXISTS instances").unwrap());
    assert!(after.contains("TRIGGER"));
    let server = MariaDb::start(&[]);
    run(
        &server,
        "CREATE TABLE memc_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL, \
         installed_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, success BOOLEAN NOT NULL, \
         checksum BLOB NOT NULL, execution_time BIGINT NOT NULL); \
         INSERT INTO memc_migrations (version, description, success, checksum, execution_time) \
         VALUES (1, 'ledger', FALSE, x'00', -1)",
    )
    .await;
    run(&server, before).await;
    let store = connect(&server.url()).await.expect("connect");
    append(&*store, Head::EMPTY).await.expect("append");
    // And once more where all was done but for its being said.
    run(&server, "UPDATE memc_migrations SET success = FALSE").await;
    assert_eq!(
        connect(&server.url()).await.expect("connect").head().await.unwrap().revision,
        Revision::new(1)
    );
}

/// What is looked up for each row that is written goes along an index, also as it is planned while tables are empty.
#[tokio::test]
async fn postgres_looks_references_up() {
    let explain = [
        ("autovacuum", "off"),
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_nested_statements", "on"),
    ];
    let server = Postgres::start(&explain);
    let store = connect(&server.url()).await.expect("connect");
    let fleet = Fleet::open(Arc::clone(&store), memc_core::fleet::Options::default()).await.expect("open");
    found(&fleet).await;
    allocate(&fleet, 0..3).await;
    let removed: Vec<_> =
        load(&*store).await.iter().rev().map(|record| Change::Remove(record.key())).collect();
    append_changes(&*store, store.head().await.unwrap(), vec![removed]).await.expect("append");
    let log = std::fs::read_to_string(server.log()).unwrap();
    let plans: Vec<&str> = log
        .split("duration: ")
        .filter(|plan| plan.contains("Named Tuplestore Scan") && plan.contains(" plan:"))
        .collect();
    for (of, at_least) in [("FROM added", 8), ("FROM gone", 4)] {
        assert!(plans.iter().filter(|plan| plan.contains(of)).count() >= at_least, "{of}");
    }
    for plan in plans {
        // Clusters are hardly ever removed.
        let of_a_cluster = plan.contains("FROM caches WHERE cluster IN");
        assert!(of_a_cluster || (plan.contains("Index") && !plan.contains("Seq Scan")), "{plan}");
    }
}

/// Catching up on a table that was never analysed goes along the index, and not by way of a sort.
/// Whoever waits for its turn sees the end as it is then, whatever isolation is the server's default.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_sees_the_end_under_the_lock() {
    for isolation in ["repeatable read", "serializable"] {
        let server = Postgres::start(&[("default_transaction_isolation", isolation)]);
        let (store, other) = (connect(&server.url()).await.unwrap(), connect(&server.url()).await.unwrap());
        let head = append(&*store, Head::EMPTY).await.unwrap();
        // So that its connection is there.
        let head = append(&*other, head).await.unwrap();
        let (begun, begins) = tokio::sync::oneshot::channel();
        let mut begun = Some(begun);
        let first = tokio::spawn(async move {
            let decide = move |at: Head, now| {
                begun.take().unwrap().send(()).unwrap();
                std::thread::sleep(Duration::from_millis(500));
                one(at, now)
            };
            store.turn(head, &mut Then(head, decide)).await.unwrap()
        });
        begins.await.unwrap();
        let seen = other.turn(head, &mut Then(head, |_, _| Vec::new())).await.unwrap();
        assert_eq!(seen, first.await.unwrap());
    }
}

#[tokio::test]
async fn postgres_reads_commits_in_their_order() {
    let explain = [
        ("autovacuum", "off"),
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
    ];
    let server = Postgres::start(&explain);
    let store = connect(&server.url()).await.expect("connect");
    let mut at = Head::EMPTY;
    for _ in 0..20 {
        at = append_changes(&*store, at, vec![Vec::new(); 100]).await.expect("append");
    }
    // Often enough for a plan that is kept for all parameters.
    for after in 0..10 {
        store.commits(Revision::new(199 * after), 257).await.expect("commits");
    }
    let log = std::fs::read_to_string(server.log()).unwrap();
    let plans: Vec<&str> =
        log.split("Query Text: ").filter(|plan| plan.contains("WHERE revision > $1")).collect();
    assert!(plans.len() >= 10);
    for plan in plans {
        assert!(plan.contains("->  Index Scan using commits_pkey") && !plan.contains("->  Sort"), "{plan}");
    }
}

/// One commit whose JSON takes about so many bytes.
fn long(bytes: usize) -> Vec<Vec<Change>> {
    let team = |number| {
        let name = format!("{}{number}", "a".repeat(38));
        let team = Team { id: TeamId::new(1), name: name.parse().unwrap(), revision: Revision::new(1) };
        Change::Put(Record::Team(team))
    };
    let each = serde_json::to_string(&team(0)).unwrap().len() + 1;
    vec![(0..bytes / each).map(|number| team(number % 2)).collect()]
}

/// MariaDB takes messages up to a length; what is longer is refused by name, and the store goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_may_be_nearly_as_long_as_the_servers_messages() {
    const MIB: usize = 1 << 20;
    let mut server = MariaDb::start(&[]);
    // This test's own code takes its time, too, and the server ends a turn in which nothing is heard for so long.
    let patient = Options { patience: Duration::from_secs(120), ..Options::default() };
    let store = connect_with(&server.url(), patient).await.expect("connect");
    assert_eq!(store.check().await.unwrap(), []);
    let mut at = append(&*store, Head::EMPTY).await.unwrap();
    // Two digits a byte, as others are sent, would be too long from 8 MiB on.
    for bytes in [9 * MIB, 15 * MIB] {
        let (before, changes) = (at, long(bytes));
        at = append_changes(&*store, at, changes.clone()).await.expect("append");
        let read = store.commits(before.revision, 1).await.unwrap();
        assert!(read[0].changes == changes[0], "{bytes}");
    }
    let refused = append_changes(&*store, at, long(17 * MIB)).await;
    let told = "max_allowed_packet is 16777216, 33554432 is needed";
    assert!(matches!(&refused, Err(TurnError::TooLong(why)) if why.contains(told)), "{refused:?}");
    at = append(&*store, at).await.expect("append");
    assert_eq!(load(&*store).await.len(), 2);

    server.restart_with(&[("max_allowed_packet", "64M")]);
    let before = at;
    at = append_changes(&*store, at, long(17 * MIB)).await.expect("append");
    let read = store.commits(before.revision, 1).await.unwrap();
    assert!(read[0].changes == long(17 * MIB)[0]);

    // Where it takes less than messages usually have, they are shorter.
    server.restart_with(&[("max_allowed_packet", "1M")]);
    let findings = connect(&server.url()).await.expect("connect").check().await.unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].code, "mariadb.max_allowed_packet");
    at = append_changes(&*store, at, vec![long(MIB / 8).remove(0); 16]).await.expect("append");
    let refused = append_changes(&*store, at, long(MIB)).await;
    assert!(matches!(refused, Err(TurnError::TooLong(_))), "{refused:?}");
    at = append(&*store, at).await.expect("append");

    // What is too short for the server to be asked fits in any case, and what was longer before is still read.
    server.restart_with(&[("max_allowed_packet", "256K")]);
    assert!(store.commits(Revision::new(1), 1).await.expect("commits")[0].changes == long(9 * MIB)[0]);
    for kib in [60, 90, 120, 180, 250] {
        at = append_changes(&*store, at, vec![long(kib << 6).remove(0); 16]).await.expect("append");
    }
    append(&*store, at).await.expect("append");
}

/// As `psql` takes it: a user, no host, and the directory of a socket; `mariadb`'s is a file.
#[tokio::test]
async fn a_url_may_name_a_socket_and_no_host() {
    let directory = tempfile::tempdir().unwrap();
    // PostgreSQL may run as another user.
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let path = directory.path().to_str().unwrap();
    let postgres = Postgres::start(&[("unix_socket_directories", path), ("listen_addresses", "")]);
    let mariadb = MariaDb::start(&[("skip-networking", "1")]);
    let socket = mariadb.data().with_file_name("socket");
    let port = postgres.port();
    for url in [
        format!("postgres://memc@/memc?host={path}&port={port}"),
        format!("postgres://memc@:{port}/memc?host={path}"),
        format!("postgres:///memc?host={path}&port={port}&user=memc"),
        format!("postgres://memc@{}:{port}/memc", path.replace('/', "%2F")),
        format!("mysql://root@/memc?socket={}", socket.display()),
        format!("mariadb://root@localhost/memc?socket={}", socket.display()),
    ] {
        let store = connect(&url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let head = store.head().await.unwrap();
        append(&*store, head).await.unwrap();
        // Nobody else's to listen to.
        let findings = store.check().await.unwrap();
        assert!(findings.iter().all(|it| !it.code.ends_with("plaintext")), "{findings:?}");
    }
}
