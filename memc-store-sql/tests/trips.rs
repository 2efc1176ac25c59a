//! What a turn and a load cost, in counts: round trips to the server, and rows that are updated.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests fail by panicking

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::fleet::{allocate, found};
use common::{append, append_changes, load};
use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{Change, Commit, Head};
use memc_core::model::{Record, Revision, Team, TeamId, TeamName, Timestamp};
use memc_core::store::Decide;
use memc_store_sql::connect;
use memc_test_servers::{MariaDb, Postgres, Server};
use sqlx::{Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a connection says that takes turns, and one that a load is on.
const TAKES_TURNS: &str = "SAVEPOINT appending";
const LOADS: &str = "REPEATABLE READ";

/// Counts the round trips of connections that have said something.
struct Counter {
    url: String,
    trips: Arc<AtomicUsize>,
}

impl Counter {
    async fn before(server: &Server, said: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (trips, port) = (Arc::new(AtomicUsize::new(0)), server.port());
        let url = server.url().replace(&format!(":{port}"), &format!(":{own}"));
        let counter = Counter { url, trips: Arc::clone(&trips) };
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(pass(client, server, said.as_bytes(), Arc::clone(&trips)));
            }
        });
        counter
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, said: &[u8], trips: Arc<AtomicUsize>) {
    let (mut asked, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut counts, mut was_answered) = (false, true);
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let Ok(count @ 1..) = read else { return };
                counts |= asked[..count].windows(said.len()).any(|part| part == said);
                // A long message comes in several pieces.
                if counts && was_answered {
                    trips.fetch_add(1, Ordering::SeqCst);
                }
                was_answered = false;
                server.write_all(&asked[..count]).await.unwrap();
            }
            read = server.read(&mut answered) => {
                let Ok(count @ 1..) = read else { return };
                was_answered = true;
                if client.write_all(&answered[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn count(server: &Server, expected: usize) {
    let counter = Counter::before(server, TAKES_TURNS).await;
    let fleet = Fleet::open(connect(&counter.url).await.unwrap(), Options::default()).await.unwrap();
    found(&fleet).await;
    // Until everything that is prepared is.
    allocate(&fleet, 0..10).await;
    let before = counter.trips.load(Ordering::SeqCst);
    allocate(&fleet, 10..30).await;
    assert_eq!(counter.trips.load(Ordering::SeqCst) - before, 20 * expected);
}

/// Begin and see the end; write everything; commit.
#[tokio::test]
async fn a_turn_on_postgres_is_three_round_trips() {
    count(&Postgres::start(&[]), 3).await;
}

#[tokio::test]
async fn a_turn_on_mariadb_is_three_round_trips() {
    count(&MariaDb::start(&[]), 3).await;
}

/// Each table is read in one go, however many rows it has.
async fn count_load(server: &Server) {
    let counter = Counter::before(server, LOADS).await;
    let store = connect(&counter.url).await.unwrap();
    let teams = |numbers: std::ops::Range<u64>| {
        let put = numbers.map(|number| {
            let (id, name) = (TeamId::new(number), TeamName::new(&format!("t{number}")).unwrap());
            Change::Put(Record::Team(Team { id, name, revision: Revision::new(1) }))
        });
        vec![put.collect::<Vec<_>>()]
    };
    let mut head = append_changes(&*store, Head::EMPTY, teams(1..2)).await.unwrap();
    assert_eq!(load(&*store).await.len(), 1);
    let few = counter.trips.swap(0, Ordering::SeqCst);
    assert!(few > 10, "{few}");
    for thousand in 0..8 {
        let first = 2 + thousand * 1000;
        head = append_changes(&*store, head, teams(first..first + 1000)).await.unwrap();
    }
    assert_eq!(load(&*store).await.len(), 8001);
    let many = counter.trips.load(Ordering::SeqCst);
    // The connection's farewell may not have come through yet.
    assert!(many.abs_diff(few) <= 1, "{few} with 1 record, {many} with 8,001");
}

#[tokio::test]
async fn a_load_from_postgres_takes_as_many_round_trips_however_many_records() {
    count_load(&Postgres::start(&[])).await;
}

#[tokio::test]
async fn a_load_from_mariadb_takes_as_many_round_trips_however_many_records() {
    count_load(&MariaDb::start(&[])).await;
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
async fn reads_the_rest(url: &str) {
    let store = connect(url).await.unwrap();
    let asked = append(&*store, Head::EMPTY).await.unwrap();
    let to = append(&*store, asked).await.unwrap();
    let head = append(&*store, to).await.unwrap();
    let mut caller = ReadOn { to, missed: Vec::new() };
    assert_eq!(store.turn(asked, &mut caller).await.unwrap(), head);
    let missed: Vec<Head> = caller.missed.iter().map(Commit::head).collect();
    assert_eq!(missed, [head]);
}

#[tokio::test]
async fn a_turn_reads_only_what_its_caller_has_not_read_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    reads_the_rest(&format!("sqlite://{}", directory.path().join("memc.db").display())).await;
    reads_the_rest(&Postgres::start(&[]).url()).await;
    reads_the_rest(&MariaDb::start(&[]).url()).await;
}

/// Foreign keys would lock each row that is referred to, which is a write.
#[tokio::test]
async fn allocations_on_postgres_lock_no_row() {
    let server = Postgres::start(&[]);
    let fleet = Fleet::open(connect(&server.url()).await.unwrap(), Options::default()).await.unwrap();
    found(&fleet).await;
    let mut raw = PgConnection::connect(&server.url()).await.unwrap();
    // Whoever locks a row leaves a transaction's number in it.
    let locked =
        "SELECT (SELECT count(*) FROM hosts WHERE xmax <> 0), (SELECT count(*) FROM caches WHERE xmax <> 0)";
    allocate(&fleet, 0..20).await;
    let after: (i64, i64) = sqlx::query_as(locked).fetch_one(&mut raw).await.unwrap();
    assert_eq!(after, (0, 0));
    sqlx::raw_sql("SELECT FROM caches FOR KEY SHARE").execute(&mut raw).await.unwrap();
    let after: (i64, i64) = sqlx::query_as(locked).fetch_one(&mut raw).await.unwrap();
    assert_eq!(after, (0, 20), "it would be seen");
}

/// What is updated in every turn becomes slow while a long snapshot keeps its old versions.
#[tokio::test]
async fn allocations_on_postgres_update_no_row() {
    let server = Postgres::start(&[]);
    let fleet = Fleet::open(connect(&server.url()).await.unwrap(), Options::default()).await.unwrap();
    found(&fleet).await;
    allocate(&fleet, 0..50).await;
    let commits = fleet.status().revision.get();
    drop(fleet);
    // The server counts what a session has done when that ends.
    let mut raw = PgConnection::connect(&server.url()).await.unwrap();
    let counts = "SELECT sum(n_tup_ins) FILTER (WHERE relname = 'commits')::bigint, sum(n_tup_upd)::bigint, \
                  sum(n_tup_del)::bigint \
                  FROM pg_stat_user_tables WHERE relname NOT IN ('ledger', 'memc_migrations')";
    for _ in 0..600 {
        let (inserted, updated, deleted): (i64, i64, i64) =
            sqlx::query_as(counts).fetch_one(&mut raw).await.unwrap();
        if inserted.unsigned_abs() == commits {
            assert_eq!((updated, deleted), (0, 0));
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(commits, 0, "the server's counts stayed behind");
}
