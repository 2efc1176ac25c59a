//! What is particular to SQLite: the file, its settings, and programs that get in the way.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Then, append, drop_turns, load, one};
use memc_core::ledger::{FORMAT, Head};
use memc_core::model::{CommitId, Key, Policy, Record, Revision, Timestamp};
use memc_core::store::{Load, Severity, Store, StoreError, TurnError};
use memc_store_sql::{ConnectError, Options, SqliteStore, connect};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Place(tempfile::tempdir().unwrap())
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("memc.db")
    }

    async fn open(&self) -> SqliteStore {
        let options = Options { lock_wait: Duration::from_millis(300), ..Options::default() };
        SqliteStore::open(self.database(), options).await.expect("open")
    }

    /// As another program would open it.
    async fn raw(&self) -> SqliteConnection {
        raw(&self.database()).await
    }
}

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

async fn run(connection: &mut SqliteConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

struct Nowhere;

impl Load for Nowhere {
    fn take(&mut self, _: Vec<Record>) -> Result<(), String> {
        Ok(())
    }
}

#[tokio::test]
async fn a_new_file_is_private_and_its_settings_are_safe() {
    let place = Place::new();
    let store = place.open().await;
    append(&store, Head::EMPTY).await.unwrap();
    let findings = store.check().await.unwrap();
    assert!(findings.iter().all(|finding| finding.severity != Severity::Refuse), "{findings:?}");
    let journal: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut place.raw().await).await.unwrap();
    assert_eq!(journal, "wal");
    for file in std::fs::read_dir(place.0.path()).unwrap() {
        use std::os::unix::fs::PermissionsExt;
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let place = Place::new();
    let url = format!("sqlite://{}/not/there/memc.db", place.0.path().display());
    let error = connect(&url).await.unwrap_err();
    assert!(matches!(&error, ConnectError::NoDirectory(path) if path.ends_with("not/there")), "{error}");
    let error = connect(&format!("sqlite:{}", place.0.path().display())).await.unwrap_err();
    assert!(matches!(error, ConnectError::File { .. }), "{error}");
    assert!(matches!(connect("sqlite::memory:").await, Err(ConnectError::Url(_))));
    std::fs::write(place.database(), "no database at all ".repeat(500)).unwrap();
    let error = connect(&format!("sqlite:{}", place.database().display())).await.unwrap_err();
    assert!(matches!(&error, ConnectError::Store(error) if error.is_corrupt()), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let place = Place::new();
    drop(place.open().await);
    let later = "INSERT INTO memc_migrations (version, description, success, checksum, execution_time) \
                 VALUES (9999, 'later', 1, x'00', 0)";
    run(&mut place.raw().await, later).await;
    let error = SqliteStore::open(place.database(), Options::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::NewerSchema { found: 9999, .. }), "{error}");
}

#[tokio::test]
async fn another_format_is_not_appended_to() {
    let place = Place::new();
    let store = place.open().await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    run(&mut place.raw().await, "UPDATE ledger SET format = 99").await;
    assert_eq!(store.head().await.unwrap(), Head { format: 99, ..head });
    assert!(matches!(append(&store, head).await, Err(TurnError::Format(99))));
    assert_eq!(store.commits(Revision::default(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_cannot_be_stored_is_reported_as_corrupt() {
    let place = Place::new();
    let store = place.open().await;
    let first = append(&store, Head::EMPTY).await.unwrap();
    let second = append(&store, first).await.unwrap();
    let mut raw = place.raw().await;
    run(&mut raw, "UPDATE commits SET changes = '[{\"put\": 7}]' WHERE revision = 2").await;
    run(&mut raw, "UPDATE teams SET name = 'No Slug' WHERE id = 2").await;
    assert!(store.commits(first.revision, 10).await.unwrap_err().is_corrupt());
    assert!(matches!(append(&store, first).await, Err(TurnError::Store(error)) if error.is_corrupt()));
    let error = store.load(&mut Nowhere).await.unwrap_err();
    assert!(error.is_corrupt() && error.to_string().contains("table teams"), "{error}");
    // What does not touch it goes on.
    append(&store, second).await.unwrap();
}

#[tokio::test]
async fn a_turn_that_somebody_keeps_is_named() {
    let place = Place::new();
    let (store, other) = (place.open().await, place.open().await);
    let turn = place.0.path().join("memc.db.turn");
    let keeper = std::fs::OpenOptions::new().write(true).open(&turn).unwrap();
    keeper.lock().unwrap();
    let error = append(&store, Head::EMPTY).await.unwrap_err();
    let own = format!("process {}", std::process::id());
    assert!(matches!(&error, TurnError::Store(error) if error.is_temporary()), "{error}");
    assert!(error.to_string().contains("store locked") && error.to_string().contains(&own), "{error}");
    // Reads do not need it.
    assert_eq!(store.head().await.unwrap(), Head::EMPTY);
    keeper.unlock().unwrap();
    let head = append(&store, Head::EMPTY).await.unwrap();
    append(&other, head).await.unwrap();
}

#[tokio::test]
async fn another_programs_write_lock_is_waited_for() {
    let place = Place::new();
    let store = place.open().await;
    let mut raw = place.raw().await;
    run(&mut raw, "BEGIN IMMEDIATE").await;
    let head = {
        let appending = append(&store, Head::EMPTY);
        let ended = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            run(&mut raw, "ROLLBACK").await;
        };
        tokio::join!(appending, ended).0.unwrap()
    };
    assert_eq!(head.revision, Revision::new(1));
}

#[tokio::test]
async fn a_file_that_is_gone_is_missed() {
    let place = Place::new();
    let store = place.open().await;
    let head = append(&store, Head::EMPTY).await.unwrap();
    let aside = place.0.path().join("aside.db");
    std::fs::rename(place.database(), &aside).unwrap();
    let gone = |error: &StoreError| {
        assert!(error.is_temporary() && error.to_string().contains("memc.db"), "{error}")
    };
    gone(&store.head().await.unwrap_err());
    match append(&store, head).await {
        Err(TurnError::Store(error)) => gone(&error),
        other => panic!("{other:?}"),
    }
    assert!(!place.database().exists(), "no new ledger in its place");
    std::fs::rename(&aside, place.database()).unwrap();
    append(&store, head).await.unwrap();
}

/// Whoever is in its turn while a backup takes the file's place does not acknowledge what went into the old one, nor
/// refuse by it.
#[tokio::test]
async fn a_file_that_is_replaced_within_a_turn_takes_nothing_with_it() {
    for appends in [true, false] {
        let place = Place::new();
        let store = place.open().await;
        let head = append(&store, Head::EMPTY).await.unwrap();
        let copy = place.0.path().join("copy.db");
        run(&mut place.raw().await, &format!("VACUUM INTO '{}'", copy.display())).await;
        let after = append(&store, head).await.unwrap();
        let database = place.database();
        let replace = |at: Head, now: Timestamp| {
            for suffix in ["-wal", "-shm"] {
                std::fs::remove_file(format!("{}{suffix}", database.display())).unwrap();
            }
            std::fs::rename(&copy, &database).unwrap();
            if appends { one(at, now) } else { Vec::new() }
        };
        let taken = store.turn(after, &mut Then(after, replace)).await;
        assert!(matches!(taken, Err(TurnError::Unknown(_))), "{taken:?}");
        assert_eq!(store.head().await.unwrap(), head);
        append(&store, head).await.unwrap();
    }
}

#[tokio::test]
async fn a_restored_backup_is_another_history() {
    let place = Place::new();
    let store = place.open().await;
    let first = append(&store, Head::EMPTY).await.unwrap();
    let backup = place.0.path().join("backup.db");
    run(&mut place.raw().await, &format!("VACUUM INTO '{}'", backup.display())).await;
    let second = append(&store, first).await.unwrap();
    // As an operator would, but with the store open.
    for name in ["memc.db", "memc.db-wal", "memc.db-shm"] {
        std::fs::remove_file(place.0.path().join(name)).unwrap();
    }
    std::fs::rename(&backup, place.database()).unwrap();
    assert_eq!(store.head().await.unwrap(), first);
    match append(&store, second).await {
        Err(TurnError::Diverged(head)) => assert_eq!(head, first),
        other => panic!("{other:?}"),
    }
    let third = append(&store, first).await.unwrap();
    assert_eq!(place.open().await.head().await.unwrap(), third);
}

#[tokio::test]
async fn the_log_stays_bounded_while_others_read() {
    let place = Place::new();
    let (store, reader) = (place.open().await, place.open().await);
    let following = tokio::spawn(async move {
        loop {
            let head = reader.head().await.unwrap();
            reader.commits(head.revision, 10).await.unwrap();
            tokio::task::yield_now().await;
        }
    });
    let mut head = Head::EMPTY;
    for _ in 0..2500 {
        head = append(&store, head).await.unwrap();
    }
    following.abort();
    let log = std::fs::metadata(place.0.path().join("memc.db-wal")).unwrap().len();
    eprintln!("{log} bytes of log after {} commits", head.revision);
    // The log begins anew after 16 MiB, at a moment without readers.
    assert!(log < 32 << 20, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_turns_lose_nothing() {
    let place = Place::new();
    drop_turns(&place.open().await, &place.open().await).await;
}

/// A database as version 1 of the schema left it, with something in every table, is brought up to date when it is
/// opened, and says the same as before.
#[tokio::test]
async fn a_database_of_schema_1_is_brought_up_to_date() {
    let place = Place::new();
    let mut raw = SqliteConnectOptions::new()
        .filename(place.database())
        .create_if_missing(true)
        .connect()
        .await
        .unwrap();
    let mut migrations = sqlx::migrate!("./migrations/sqlite");
    migrations.dangerous_set_table_name("memc_migrations");
    migrations.run_direct(Some(1), &mut raw, false).await.unwrap();
    let policy = serde_json::to_string(&Policy::default()).unwrap();
    let first = CommitId::fresh();
    run(
        &mut raw,
        &format!(
            "INSERT INTO commits VALUES (1, x'{}', zeroblob(16), 5, 'user:a', 'test', 'team:shop', '', NULL, '[]');
             INSERT INTO fleet VALUES (1, '00000000-0000-0000-0000-000000000007', 1, 9);
             INSERT INTO clusters VALUES (2, 'web', 11210, 11219, '{policy}', 1);
             INSERT INTO hosts VALUES (3, 'M1', 2, '10.0.0.1', 1024, 'r1', 'cordoned', '[11211]', 0, NULL, 1);
             INSERT INTO teams VALUES (4, 'shop', 1);
             INSERT INTO quotas VALUES (2, 4, 512, 1);
             INSERT INTO caches VALUES (5, 4, 'sessions', 2, 64, 2, 0, 5, 'user:a', 1);
             INSERT INTO instances VALUES (6, 5, 0, 3, 11210, 64, 96, 'kept', 64, 1, 1);
             INSERT INTO instances VALUES (7, 5, 1, 3, 11212, 64, 96, 'releasing', NULL, NULL, 1);
             INSERT INTO retired_ports VALUES (3, 11213, 8, 99, 1);
             INSERT INTO requests VALUES ('user:a', 'r1', 'd', 1, 5, '\"fleet\"');",
            first.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        ),
    )
    .await;
    let subject: String = serde_json::to_string(&Key::Fleet).unwrap();
    sqlx::query("UPDATE requests SET subject = ?").bind(subject).execute(&mut raw).await.unwrap();
    drop(raw);

    let (store, other) = (place.open().await, place.open().await);
    let head = store.head().await.unwrap();
    assert_eq!((head.revision, head.id, head.format), (Revision::new(1), first, FORMAT));
    let there = load(&store).await;
    assert_eq!(there.len(), 10);
    let instances: Vec<_> = there.iter().filter(|record| matches!(record, Record::Instance(_))).collect();
    let Record::Instance(kept) = instances[0] else { unreachable!() };
    assert_eq!((kept.id.get(), kept.index, kept.port.get(), kept.moved_to), (6, 0, 11210, None));
    assert_eq!((kept.booked.get(), kept.observed.map(|it| it.get())), (96, Some(64)));
    let Some(Record::Host(host)) = there.iter().find(|record| matches!(record, Record::Host(_))) else {
        panic!("no host")
    };
    assert_eq!((host.name.as_str(), host.blocked_ports.len(), host.memory.get()), ("M1", 1, 1024));
    assert_eq!((host.found_ports.len(), host.observed_epoch), (0, 1), "it does not wait");
    assert!(there.iter().any(|it| matches!(it, Record::Cache(it) if it.max_per_rack.is_none())));

    // The second line of defence was brought along.
    let mut raw = place.raw().await;
    for wrong in [
        "INSERT INTO hosts SELECT 30, 'm1', 2, '10.0.0.2', 1, NULL, 'active', '[]', 0, NULL, 1, '[]', 1",
        "INSERT INTO hosts SELECT 30, 'm2', 2, '10.0.0.2', 1, NULL, 'active', '[]', 0, NULL, 1, 'no list', 1",
        "INSERT INTO hosts SELECT 30, 'm2', 2, '10.0.0.2', 1, NULL, 'active', '[]', 0, NULL, 1, '[]', 0",
        "INSERT INTO instances SELECT 60, 5, 0, 3, 11215, 64, 96, 'kept', NULL, NULL, NULL, 1",
        "INSERT INTO instances SELECT 60, 5, 2, 3, 11210, 64, 96, 'kept', NULL, NULL, NULL, 1",
        "INSERT INTO instances SELECT 60, 5, 2, 3, 11213, 64, 96, 'kept', NULL, NULL, NULL, 1",
        "INSERT INTO instances SELECT 60, 5, 2, 33, 11215, 64, 96, 'kept', NULL, NULL, NULL, 1",
        "INSERT INTO retired_ports SELECT 3, 11210, 8, 99, 1",
        "DELETE FROM hosts WHERE id = 3",
    ] {
        assert!(sqlx::raw_sql(wrong).execute(&mut raw).await.is_err(), "{wrong}");
    }
    append(&other, head).await.unwrap();
}
