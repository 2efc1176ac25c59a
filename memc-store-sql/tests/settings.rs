//! Settings that change while a store is open, as an administrator changes them: writes stop, reads go on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

#[path = "common/fleet.rs"]
mod fleet;

use std::time::Duration;

use fleet::{found, order};
use memc_core::Fleet;
use memc_core::fleet::{Options, SubmitError};
use memc_core::ledger::{Command, HostPatch, Receipt};
use memc_core::model::{HostName, Port, TeamName};
use memc_store_sql::connect;
use memc_test_servers::{MariaDb, Postgres, Server};
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, raw_sql};

async fn run(server: &Server, sql: &str) {
    if server.url().starts_with("postgres") {
        let mut raw = PgConnection::connect(&server.url()).await.unwrap();
        // ALTER SYSTEM is not allowed in the transaction that several statements of one message are.
        for statement in sql.split("; ") {
            raw_sql(AssertSqlSafe(statement)).execute(&mut raw).await.unwrap();
        }
    } else {
        let mut raw = MySqlConnection::connect(&server.url()).await.unwrap();
        raw_sql(AssertSqlSafe(sql)).execute(&mut raw).await.unwrap();
    }
}

/// Who asks for more than the server takes in a message is told so, with the setting, and nobody else is: not those whose
/// commands were in one batch with it.
#[tokio::test]
async fn a_command_that_is_too_long_for_the_server_is_told_why() {
    let server = MariaDb::start(&[("max_allowed_packet", "256K")]);
    let fleet = Fleet::open(connect(&server.url()).await.unwrap(), Options::default()).await.unwrap();
    found(&fleet).await;
    let host = HostName::new("m1.example.com").unwrap();
    let blocked_ports = Some((1024..=u16::MAX).map(|port| Port::new(port).unwrap()).collect());
    let long =
        order(Command::ChangeHost { name: host, patch: HostPatch { blocked_ports, ..HostPatch::default() } });
    let team = |name: &str| order(Command::CreateTeam { name: TeamName::new(name).unwrap() });
    let before = fleet.status().revision.get();
    let (first, long, last) =
        tokio::join!(fleet.submit(team("first")), fleet.submit(long), fleet.submit(team("last")));
    assert_eq!([first.unwrap().revision.get(), last.unwrap().revision.get()], [before + 1, before + 2]);
    let error = long.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, SubmitError::TooLong(_)), "{told}");
    for part in [
        "nothing was changed",
        "max_allowed_packet is 262144, 524288 is needed",
        "[mysqld]",
        "less at a time",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let findings = fleet.status().findings;
    assert!(findings.iter().any(|it| it.code == "ledger.too_long" && it.message.contains("524288")));
    assert!(findings.iter().all(|it| it.code != "ledger.conflict"), "{findings:?}");
}

/// Whoever is told that nothing was changed is told why the next time, and not only after the minute between two looks; and
/// so it is when the server is safe again.
#[tokio::test]
async fn a_server_that_comes_back_unsafe_is_soon_said_to_be() {
    let mut server = Postgres::start(&[]);
    let store = connect(&server.url()).await.unwrap();
    let fleet = Fleet::open(store, Options::default()).await.unwrap();
    found(&fleet).await;
    server.restart_with(&[("fsync", "off")]);
    let create = || order(Command::CreateTeam { name: TeamName::new("late").unwrap() });
    let until = async |said: &str, is: &dyn Fn(&Result<Receipt, SubmitError>) -> bool| {
        for _ in 0..200 {
            if is(&fleet.submit(create()).await) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("not said within twenty seconds: {said}");
    };
    until("unsafe", &|it| matches!(it, Err(SubmitError::Unsafe(why)) if why.contains("fsync is off"))).await;
    assert!(fleet.status().findings.iter().any(|it| it.message.contains("fsync is off")));
    server.restart_with(&[]);
    until("safe", &|it| it.is_ok()).await;
}

/// No connection is opened anew, and no server restarted: only looking again finds it.
async fn stops_writes_while_unsafe(server: Server, make_unsafe: &str, make_safe: &str, told: &str) {
    let store = connect(&server.url()).await.unwrap();
    let options = Options { check_every: Duration::from_millis(20), ..Options::default() };
    let fleet = Fleet::open(store, options).await.unwrap();
    found(&fleet).await;
    let mut number = 0;
    let mut create = || {
        number += 1;
        order(Command::CreateTeam { name: TeamName::new(&format!("t{number}")).unwrap() })
    };
    run(&server, make_unsafe).await;
    let why = loop {
        match fleet.submit(create()).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(SubmitError::Unsafe(why)) => break why,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(why.contains(told), "{why}");
    assert!(fleet.status().findings.iter().any(|finding| finding.message.contains(told)));
    // Reads go on, and what was acknowledged is there.
    fleet.refresh().await.unwrap();
    let teams = fleet.read(|state| state.teams().count());
    fleet.submit(create()).await.unwrap_err();
    assert_eq!(fleet.read(|state| state.teams().count()), teams);

    run(&server, make_safe).await;
    while let Err(error) = fleet.submit(create()).await {
        assert!(matches!(error, SubmitError::Unsafe(_)), "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(fleet.status().findings.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_that_stops_flushing_stops_writes() {
    let unsafe_now = "ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf()";
    let safe_again = "ALTER SYSTEM RESET fsync; SELECT pg_reload_conf()";
    let told = "fsync is off, on is needed: set it in postgresql.conf, or ALTER SYSTEM, and reload";
    stops_writes_while_unsafe(Postgres::start(&[]), unsafe_now, safe_again, told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_that_stops_flushing_stops_writes() {
    let unsafe_now = "SET GLOBAL innodb_flush_log_at_trx_commit = 2";
    let safe_again = "SET GLOBAL innodb_flush_log_at_trx_commit = 1";
    let told = "innodb_flush_log_at_trx_commit is 2, 1 or 3 is needed: set it in the [mysqld] section of the server's \
                configuration, or with SET GLOBAL";
    stops_writes_while_unsafe(MariaDb::start(&[]), unsafe_now, safe_again, told).await;
}

/// Whatever the file was made with, each connection sets what is needed and reads it back.
#[tokio::test]
async fn a_sqlite_file_with_other_settings_is_made_safe() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("memc.db");
    let plain = format!("sqlite://{}?mode=rwc", path.display());
    let mut raw = SqliteConnection::connect(&plain).await.unwrap();
    let set = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; \
               CREATE TABLE somebodys (x INT)";
    raw_sql(set).execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let store = connect(&format!("sqlite://{}", path.display())).await.unwrap();
    assert_eq!(store.check().await.unwrap(), []);
    let mut raw = SqliteConnection::connect(&plain).await.unwrap();
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut raw).await.unwrap();
    assert_eq!(journal, "wal");
}

/// What somebody did to the tables by hand, in the ledger's way, harms the command that meets it, and no other.
async fn only_what_meets_it_fails(server: Server) {
    let fleet = Fleet::open(connect(&server.url()).await.unwrap(), Options::default()).await.unwrap();
    found(&fleet).await;
    run(&server, "INSERT INTO teams (id, name, revision) VALUES (900000, 'taken', 1)").await;
    run(&server, "ALTER TABLE teams ADD CONSTRAINT somebodys CHECK (name <> 'barred')").await;
    let create = |name: &str| fleet.submit(order(Command::CreateTeam { name: TeamName::new(name).unwrap() }));
    let before = fleet.status().revision;
    let (one, taken, barred, other) =
        tokio::join!(create("one"), create("taken"), create("barred"), create("other"));
    // What was written is seen once everything is loaded anew; what nobody knows of stays without a reason.
    assert!(
        matches!(&taken, Err(SubmitError::Refused(refusal)) if refusal.code() == "name_taken"),
        "{taken:?}"
    );
    assert!(matches!(barred, Err(SubmitError::Internal)), "{barred:?}");
    one.unwrap();
    other.unwrap();
    assert_eq!(fleet.status().revision, before.next().next(), "nothing of it is in the ledger");
    let findings = fleet.status().findings;
    assert!(findings.iter().any(|finding| finding.code == "ledger.conflict"), "{findings:?}");
    assert!(!fleet.read(|state| state.teams().any(|team| team.name.as_str() == "barred")));
    create("later").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_in_the_tables_harms_only_what_meets_it_on_postgres() {
    only_what_meets_it_fails(Postgres::start(&[])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hand_in_the_tables_harms_only_what_meets_it_on_mariadb() {
    only_what_meets_it_fails(MariaDb::start(&[])).await;
}
