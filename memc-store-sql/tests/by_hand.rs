//! What the tables refuse by themselves, whoever writes, and that databases of earlier schemas come to the same: rows are
//! written as from an SQL prompt, at each version of the schema.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;

use common::{append_changes, load};
use memc_core::Store;
use memc_core::ledger::{Change, FORMAT};
use memc_core::model::{
    CacheId, CacheName, CommitId, Instance, InstanceId, Key, Policy, Port, Record, Revision,
};
use memc_core::store::TurnError;
use memc_store_sql::connect;
use memc_test_servers::{MariaDb, Postgres, Server};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, MySqlConnection, PgConnection, SqliteConnection, raw_sql,
};

/// As another program has it.
enum Raw {
    Postgres(PgConnection),
    MariaDb(MySqlConnection),
    Sqlite(SqliteConnection),
}

impl Raw {
    async fn of(server: &Server) -> Self {
        let url = server.url();
        if url.starts_with("postgres") {
            Raw::Postgres(PgConnection::connect(&url).await.unwrap())
        } else {
            Raw::MariaDb(MySqlConnection::connect(&url).await.unwrap())
        }
    }

    /// Bring an empty database to a version of the schema.
    async fn migrate(&mut self, version: i64) {
        let named = |mut migrations: Migrator| {
            migrations.dangerous_set_table_name("memc_migrations");
            migrations.set_locking(false);
            migrations
        };
        let migrated = match self {
            Raw::Postgres(raw) => {
                named(sqlx::migrate!("./migrations/postgres")).run_direct(Some(version), raw, false).await
            }
            Raw::MariaDb(raw) => {
                named(sqlx::migrate!("./migrations/mysql")).run_direct(Some(version), raw, false).await
            }
            Raw::Sqlite(raw) => {
                named(sqlx::migrate!("./migrations/sqlite")).run_direct(Some(version), raw, false).await
            }
        };
        migrated.unwrap();
    }

    async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = raw_sql(AssertSqlSafe(sql));
        match self {
            Raw::Postgres(raw) => sql.execute(raw).await.map(|_| ()),
            Raw::MariaDb(raw) => sql.execute(raw).await.map(|_| ()),
            Raw::Sqlite(raw) => sql.execute(raw).await.map(|_| ()),
        }
    }

    async fn allowed(&mut self, sql: &str) {
        self.run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Refused as a reference to nothing.
    async fn broken(&mut self, sql: &str) {
        let error = self.run(sql).await.expect_err(sql);
        let refused = error.as_database_error().unwrap_or_else(|| panic!("{sql}: {error}"));
        assert!(refused.is_foreign_key_violation(), "{sql}: {error}");
    }

    async fn refused(&mut self, sql: &str) {
        let error = self.run(sql).await.expect_err(sql);
        let refused = error.as_database_error().unwrap_or_else(|| panic!("{sql}: {error}"));
        assert!(!refused.is_foreign_key_violation(), "{sql}: {error}");
    }
}

fn cache(id: u32, team: u32, name: &str, cluster: u32) -> String {
    format!(
        "INSERT INTO caches (id, team, name, cluster, memory_mib, instances, releasing, created_at_ms, created_by, \
         revision) VALUES ({id}, {team}, '{name}', {cluster}, 64, 1, 0, 5, 'user:a', 1)"
    )
}

fn instance(id: u32, cache: u32, place: u32, host: u32, port: u32) -> String {
    format!(
        "INSERT INTO instances (id, cache, place, host, port, memory_mib, booked_mib, phase, observed_mib, revision) \
         VALUES ({id}, {cache}, {place}, {host}, {port}, 64, 96, 'kept', 64, 1)"
    )
}

fn retired_port(host: u32, port: u32) -> String {
    format!(
        "INSERT INTO retired_ports (host, port, instance, reusable_at_ms, revision) VALUES ({host}, {port}, 8, 99, 1)"
    )
}

fn host(id: u32, name: &str, cluster: u32) -> String {
    format!(
        "INSERT INTO hosts (id, name, cluster, address, memory_mib, rack, status, blocked_ports, served, revision) \
         VALUES ({id}, '{name}', {cluster}, '10.0.0.{id}', 1024, 'r1', 'cordoned', '[11211]', 0, 1)"
    )
}

const FIRST: CommitId = CommitId::from_bytes([7; 16]);
const LAST_ID: u32 = 50;
/// Until this version of the schema of servers the fleet's row has the last number, then commits do.
const OF_NUMBERS: i64 = 1;

/// Something in every table: a row each that others refer to in each way, and one that none does.
fn rows(raw: &Raw, version: i64) -> Vec<String> {
    let bytes = |byte: u8| {
        let digits = format!("{byte:02x}").repeat(16);
        if matches!(raw, Raw::Postgres(_)) { format!("'\\x{digits}'") } else { format!("x'{digits}'") }
    };
    let row = |table: &str, columns: &str, values: &str, has_last_id: bool| {
        let last_id = if has_last_id { (", last_id", format!(", {LAST_ID}")) } else { ("", String::new()) };
        format!("INSERT INTO {table} ({columns}{}) VALUES ({values}{})", last_id.0, last_id.1)
    };
    let (id, previous) = (bytes(7), bytes(0));
    let commit = row(
        "commits",
        "revision, id, previous, at_ms, actor, action, target, detail, changes",
        &format!("1, {id}, {previous}, 5, 'user:a', 'test', 'team:shop', '', '[]'"),
        version > OF_NUMBERS,
    );
    let fleet = row(
        "fleet",
        "only_row, id, epoch",
        "1, '00000000-0000-0000-0000-000000000007', 1",
        version <= OF_NUMBERS,
    );
    let policy = serde_json::to_string(&Policy::default()).unwrap();
    let cluster = |id: u32, name: &str| {
        format!("INSERT INTO clusters VALUES ({id}, '{name}', 11210, 11299, '{policy}', 1)")
    };
    let team = |id: u32, name: &str| format!("INSERT INTO teams VALUES ({id}, '{name}', 1)");
    let subject = serde_json::to_string(&Key::Fleet).unwrap();
    vec![
        commit,
        fleet,
        cluster(2, "web"),
        cluster(12, "of-a-cache"),
        cluster(22, "of-none"),
        host(3, "M3", 2),
        host(13, "of-a-retired-port", 2),
        host(23, "of-none", 2),
        host(33, "of-an-instance-that-moves", 2),
        team(4, "shop"),
        team(14, "of-a-cache"),
        team(24, "of-none"),
        "INSERT INTO quotas VALUES (2, 4, 512, 1)".into(),
        cache(5, 4, "sessions", 2),
        cache(15, 14, "of-an-instance-that-moves", 12),
        cache(25, 4, "of-none", 2),
        instance(6, 5, 0, 3, 11210),
        instance(7, 15, 0, 33, 11210),
        "UPDATE instances SET moved_to = 6 WHERE id = 7".into(),
        retired_port(13, 11213),
        "INSERT INTO plans VALUES (8, 2, 'drain', '[]', '[]', 1, 'stopped', NULL, 1)".into(),
        format!("INSERT INTO requests VALUES ('user:a', 'r1', 'd', 1, 5, '{subject}')"),
    ]
}

/// Every way to break a reference, and the other rules of the tables; then what is not wrong.
async fn second_line(raw: &mut Raw) {
    for broken in [
        cache(30, 99, "x", 2),
        cache(30, 4, "x", 99),
        // One of several rows.
        cache(30, 4, "x", 2) + ", (31, 99, 'y', 2, 64, 1, 0, 5, 'user:a', 1)",
        "UPDATE caches SET team = 99 WHERE id = 25".into(),
        "UPDATE caches SET cluster = 99 WHERE id IN (5, 25)".into(),
        instance(30, 99, 0, 3, 11220),
        instance(30, 5, 1, 99, 11220),
        instance(30, 5, 1, 3, 11220) + ", (31, 99, 0, 3, 11221, 64, 96, 'kept', 64, 1)",
        "UPDATE instances SET cache = 99 WHERE id = 6".into(),
        "UPDATE instances SET host = 99 WHERE id = 7".into(),
        retired_port(99, 11220),
        "UPDATE retired_ports SET host = 99 WHERE host = 13".into(),
        host(30, "x", 99),
        "UPDATE hosts SET cluster = 99 WHERE id = 23".into(),
        "INSERT INTO quotas VALUES (99, 4, 512, 1)".into(),
        "INSERT INTO quotas VALUES (2, 99, 512, 1)".into(),
        "INSERT INTO plans VALUES (30, 99, 'drain', '[]', '[]', 1, 'stopped', NULL, 1)".into(),
    ] {
        raw.broken(&broken).await;
    }
    for (table, numbers) in
        [("clusters", &[2, 12][..]), ("teams", &[4, 14]), ("hosts", &[3, 13, 33]), ("caches", &[5, 15])]
    {
        for number in numbers {
            raw.broken(&format!("DELETE FROM {table} WHERE id = {number}")).await;
            raw.broken(&format!("UPDATE {table} SET id = 99 WHERE id = {number}")).await;
        }
        raw.broken(&format!("DELETE FROM {table}")).await;
    }
    for refused in [
        instance(30, 5, 1, 13, 11213),
        retired_port(3, 11210),
        instance(30, 5, 1, 3, 11210),
        instance(30, 5, 0, 3, 11220),
        cache(30, 4, "sessions", 2),
        host(30, "m3", 2),
        "UPDATE fleet SET only_row = 2".into(),
    ] {
        raw.refused(&refused).await;
    }
    for allowed in [
        cache(40, 24, "x", 22) + ", (41, 24, 'y', 22, 64, 1, 0, 5, 'user:a', 1)",
        instance(42, 40, 0, 23, 11220) + ", (43, 41, 0, 23, 11221, 64, 96, 'kept', 64, 1)",
        retired_port(23, 11222),
        "UPDATE instances SET cache = 25, place = 7, host = 3 WHERE id = 43".into(),
        "UPDATE caches SET team = 4 WHERE id = 41".into(),
        "UPDATE retired_ports SET port = 11223 WHERE host = 23".into(),
        "DELETE FROM instances WHERE id IN (42, 43)".into(),
        "DELETE FROM retired_ports WHERE host = 23".into(),
        "DELETE FROM caches WHERE id IN (25, 40, 41)".into(),
        "DELETE FROM hosts WHERE id = 23".into(),
        "DELETE FROM teams WHERE id = 24".into(),
        "DELETE FROM clusters WHERE id = 22".into(),
    ] {
        raw.allowed(&allowed).await;
    }
}

/// What only PostgreSQL has: tables emptied at once, and several tables in one statement.
async fn second_line_of_postgres(raw: &mut Raw) {
    for broken in ["caches", "hosts", "teams CASCADE", "clusters CASCADE"] {
        raw.broken(&format!("TRUNCATE {broken}")).await;
    }
    for refused in [
        "UPDATE instances SET host = 13, port = 11213 WHERE id = 6",
        "UPDATE retired_ports SET host = 3, port = 11210",
    ] {
        raw.refused(refused).await;
    }
    for (allowed, both) in [
        (true, (cache(30, 4, "x", 2), instance(31, 30, 0, 3, 11230))),
        (false, (cache(32, 4, "y", 2), instance(33, 99, 0, 3, 11231))),
        (true, ("DELETE FROM caches WHERE id = 30".into(), "DELETE FROM instances WHERE id = 31".into())),
        (false, ("DELETE FROM caches WHERE id = 5".into(), "DELETE FROM instances WHERE id = 7".into())),
    ] {
        let both = format!("WITH one AS ({}), other AS ({}) SELECT", both.0, both.1);
        if allowed {
            raw.allowed(&both).await;
        } else {
            raw.broken(&both).await;
        }
    }
}

/// Turns go on after what is there.
async fn turns(store: &dyn Store, there: &[Record]) {
    let head = store.head().await.unwrap();
    assert_eq!((head.revision, head.id, head.format), (Revision::new(1), FIRST, FORMAT));
    let find = |is: fn(&Record) -> bool| there.iter().find(|record| is(record)).unwrap().clone();
    let Record::Cache(mut cache) = find(|it| matches!(it, Record::Cache(_))) else { unreachable!() };
    let Record::Instance(mut instance) = find(|it| matches!(it, Record::Instance(_))) else { unreachable!() };
    let Record::RetiredPort(retired) = find(|it| matches!(it, Record::RetiredPort(_))) else {
        unreachable!()
    };
    let old = instance.clone();
    cache.id = CacheId::new(u64::from(LAST_ID) + 1);
    cache.name = CacheName::new("another").unwrap();
    instance.id = InstanceId::new(u64::from(LAST_ID) + 2);
    instance.cache = cache.id;
    instance.port = Port::new(11240).unwrap();
    let put = |record: &Record| Change::Put(record.clone());
    let (cache, instance) = (Record::Cache(cache), Record::Instance(instance));
    let missing = put(&Record::Instance(Instance { cache: CacheId::new(99), ..old.clone() }));
    let taken = append_changes(store, head, vec![vec![put(&cache)], vec![missing]]).await;
    assert!(matches!(taken, Err(TurnError::Conflict(_))), "{taken:?}");
    let removed = Key::RetiredPort { host: retired.host, port: retired.port };
    let changes = vec![
        vec![put(&cache), put(&instance)],
        vec![Change::Remove(Record::Instance(old.clone()).key()), Change::Remove(removed.clone())],
    ];
    let head = append_changes(store, head, changes).await.expect("append");
    append_changes(store, head, vec![Vec::new()]).await.expect("append");
    let after = load(store).await;
    assert!(after.contains(&cache) && after.contains(&instance));
    assert!(
        after
            .iter()
            .all(|record| record.key() != removed && record.key() != Record::Instance(old.clone()).key())
    );
    assert_eq!(after.len(), there.len());
    assert_eq!(store.commits(Revision::default(), 10).await.unwrap().len(), 4);
}

/// A database that was filled at a version of the schema, or at that of this program, and then opened.
async fn filled_at(version: Option<i64>, mut raw: Raw, url: &str) -> Vec<Record> {
    match version {
        Some(version) => raw.migrate(version).await,
        None => drop(connect(url).await.expect("connect")),
    }
    for row in rows(&raw, version.unwrap_or(i64::MAX)) {
        raw.allowed(&row).await;
    }
    let store = connect(url).await.expect("connect");
    let there = load(&*store).await;
    assert_eq!(store.commits(Revision::default(), 10).await.unwrap().len(), 1);
    second_line(&mut raw).await;
    if matches!(raw, Raw::Postgres(_)) {
        second_line_of_postgres(&mut raw).await;
    }
    let left = load(&*store).await;
    assert_eq!(left.len() + 4, there.len(), "what nothing refers to is gone, and nothing else");
    assert!(left.iter().all(|record| there.contains(record)));
    turns(&*store, &left).await;
    there
}

#[tokio::test]
async fn postgres_of_every_schema() {
    let mut of_each = Vec::new();
    for version in [None, Some(1), Some(2), Some(3)] {
        let server = Postgres::start(&[]);
        of_each.push(filled_at(version, Raw::of(&server).await, &server.url()).await);
    }
    assert_same(&of_each);
}

#[tokio::test]
async fn mariadb_of_every_schema() {
    let mut of_each = Vec::new();
    for version in [None, Some(1), Some(2), Some(3)] {
        let server = MariaDb::start(&[]);
        of_each.push(filled_at(version, Raw::of(&server).await, &server.url()).await);
    }
    assert_same(&of_each);
}

/// From version 2 on, which has instances that move; the first is in `sqlite.rs`.
#[tokio::test]
async fn sqlite_of_every_schema() {
    let mut of_each = Vec::new();
    for version in [None, Some(3), Some(4)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("memc.db");
        let raw = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let url = format!("sqlite://{}", path.display());
        of_each.push(filled_at(version, Raw::Sqlite(raw.connect().await.unwrap()), &url).await);
    }
    assert_same(&of_each);
}

/// Something of every kind, and the same whichever schema it was written for.
fn assert_same(of_each: &[Vec<Record>]) {
    let there = &of_each[0];
    assert_eq!(there.len(), 20);
    let Some(Record::Fleet(fleet)) = there.first() else { panic!("no fleet") };
    assert_eq!(fleet.last_id, u64::from(LAST_ID));
    assert!(of_each.iter().all(|others| others == there));
}

/// The way back from an upgrade, as docs/data.md has it: the tables of the dump go and come, what the later schema added
/// besides stays, and is in nobody's way when the upgrade is made again.
#[tokio::test]
async fn a_dump_of_an_earlier_schema_is_put_back_over_a_newer_one() {
    let server = Postgres::start(&[]);
    let mut raw = Raw::of(&server).await;
    raw.migrate(3).await;
    for row in rows(&raw, 3) {
        raw.allowed(&row).await;
    }
    let file = server.data().with_file_name("dump");
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        let done = command.args(arguments).arg(&file).args(["--dbname", &server.url()]).status().unwrap();
        assert!(done.success(), "{program}");
    };
    run("pg_dump", &["--format=custom", "--file"]);
    let upgraded = load(&*connect(&server.url()).await.expect("connect")).await;
    run("pg_restore", &["--clean", "--if-exists", "--single-transaction"]);
    let store = connect(&server.url()).await.expect("connect");
    assert_eq!(load(&*store).await, upgraded);
    second_line(&mut raw).await;
    second_line_of_postgres(&mut raw).await;
}

/// A limit for statements, as an administrator sets one for a database, is for those that are not meant to be long.
#[tokio::test]
async fn a_load_may_take_longer_than_a_statement() {
    let server = Postgres::start(&[]);
    let mut raw = Raw::of(&server).await;
    raw.migrate(4).await;
    raw.allowed("ALTER DATABASE memc SET statement_timeout = '400ms'").await;
    let teams =
        "INSERT INTO teams SELECT id, rpad('t' || id, 40, 'x'), 1 FROM generate_series(1, 100000) AS id";
    raw.allowed(teams).await;
    struct Slow(usize);
    impl memc_core::store::Load for Slow {
        fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
            // Longer than the limit in all, and the server has to wait for it.
            std::thread::sleep(std::time::Duration::from_millis(20));
            self.0 += records.len();
            Ok(())
        }
    }
    let mut slow = Slow(0);
    connect(&server.url()).await.expect("connect").load(&mut slow).await.expect("load");
    assert!(slow.0 >= 100_000);
}
