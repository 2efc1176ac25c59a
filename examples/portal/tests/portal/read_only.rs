//! What only looks at a store, or writes to a fleet that has to be there, makes none and upgrades none.

use memc_test_servers::{MariaDb, Postgres, Redis};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor, MySqlConnection, PgConnection};
use tempfile::TempDir;

use crate::program::{Served, memc_portal, run, store_in, succeed};

/// A store's URL, and what goes with it.
struct Site {
    directory: TempDir,
    store: String,
    accounts: String,
}

impl Site {
    fn new(store: Option<String>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = store.unwrap_or_else(|| store_in(directory.path()));
        let accounts = format!("sqlite://{}/people.db", directory.path().display());
        let site = Site { directory, store, accounts };
        let user = ["user", "add", "ada", "--admin", "--password-stdin"];
        succeed(&site.with(&user), "correct horse");
        site
    }

    fn with<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["--store", &self.store, "--accounts", &self.accounts]].concat()
    }

    fn of_the_fleet<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["--store", &self.store]].concat()
    }

    /// It is wrong, and the accounts are looked at all the same.
    fn doctor_finds(&self, parts: &[&str]) {
        let doctor = run(&self.with(&["doctor"]), "");
        let report = String::from_utf8(doctor.stdout).unwrap();
        assert_eq!((doctor.status.code(), &*doctor.stderr), (Some(1), &b""[..]), "{report}");
        for part in [parts, &["people    1 user,", "result    "]].concat() {
            assert!(report.contains(part), "{part}: {report}");
        }
    }

    /// Each that needs a fleet says why it has none, and leaves no file behind.
    fn is_refused(&self, told: &str) {
        let file = self.directory.path().join("fleet.jsonl");
        for words in [
            &["export", "--file", file.to_str().unwrap()][..],
            &["restored", "--reason", "a test"],
            &["history", "forget", "--older-than", "365d"],
        ] {
            // Redis does it by itself, and says so. A new epoch has to begin before an older store is served.
            let redis = self.store.starts_with("redis");
            if (words[0] == "history" && redis) || (words[0] == "restored" && told == OLDER) {
                continue;
            }
            let output = run(&self.of_the_fleet(words), "");
            let errors = String::from_utf8(output.stderr).unwrap();
            assert!(!output.status.success() && errors.contains(told), "{words:?}: {errors}");
        }
        let written = std::fs::read_dir(self.directory.path()).unwrap();
        let written =
            written.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("jsonl"));
        assert_eq!(written.count(), 0);
    }

    fn serve_once(&self) {
        drop(Served::start(&self.store, &["--no-observe", "--accounts", &self.accounts]));
    }
}

const OLDER: &str = "`memc-portal serve` would bring it to";

#[tokio::test]
async fn postgres_stays_as_it_is() {
    let server = Postgres::start(&[]);
    let site = Site::new(Some(server.url()));
    let mut database = PgConnection::connect(&server.url()).await.unwrap();
    site.doctor_finds(&[
        "postgres  ",
        "fsync on",
        "WRONG     store.missing: there is no fleet in postgres://",
    ]);
    site.is_refused("there is no fleet in postgres://");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&mut database).await.unwrap(), 0);

    site.serve_once();
    let report = succeed(&site.with(&["doctor"]), "");
    assert!(report.contains("schema    version 4"), "{report}");
    database.execute("DELETE FROM memc_migrations WHERE version > 3").await.unwrap();
    site.doctor_finds(&[
        "schema    version 3",
        "WRONG     store.older",
        &format!("schema version 3: {OLDER} 4"),
    ]);
    site.is_refused(OLDER);
    let version = "SELECT max(version) FROM memc_migrations";
    assert_eq!(sqlx::query_scalar::<_, i64>(version).fetch_one(&mut database).await.unwrap(), 3);
}

#[tokio::test]
async fn mariadb_stays_as_it_is() {
    let server = MariaDb::start(&[]);
    let site = Site::new(Some(server.url()));
    let mut database = MySqlConnection::connect(&server.url()).await.unwrap();
    site.doctor_finds(&[
        "mariadb   ",
        "innodb_doublewrite ON",
        "WRONG     store.missing: there is no fleet in ",
    ]);
    site.is_refused("there is no fleet in ");
    let tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()";
    assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&mut database).await.unwrap(), 0);

    site.serve_once();
    let report = succeed(&site.with(&["doctor"]), "");
    assert!(report.contains("schema    version 4"), "{report}");
    database.execute("DELETE FROM memc_migrations WHERE version > 3").await.unwrap();
    site.doctor_finds(&[
        "schema    version 3",
        "WRONG     store.older",
        &format!("schema version 3: {OLDER} 4"),
    ]);
    site.is_refused(OLDER);
    let version = "SELECT max(version) FROM memc_migrations";
    assert_eq!(sqlx::query_scalar::<_, i64>(version).fetch_one(&mut database).await.unwrap(), 3);
    // Its migrations can be made again, so that this is what the older version left.
    let restored =
        succeed(&site.of_the_fleet(&["restored", "--reason", "a backup of the older version"]), "");
    assert!(restored.starts_with("epoch "), "{restored}");
    assert_eq!(sqlx::query_scalar::<_, i64>(version).fetch_one(&mut database).await.unwrap(), 4);
}

#[tokio::test]
async fn sqlite_stays_as_it_is() {
    let site = Site::new(None);
    let file = site.directory.path().join("memc.db");
    // Those of the accounts come and go.
    let files = || {
        let names = std::fs::read_dir(site.directory.path()).unwrap().map(|it| it.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("memc.db")).collect::<Vec<_>>()
    };
    site.doctor_finds(&["WRONG     store.missing: there is no fleet in sqlite://"]);
    site.is_refused("there is no fleet in sqlite://");
    assert_eq!(files().len(), 0);
    std::fs::write(&file, "").unwrap();
    site.doctor_finds(&["sqlite    3.", "WRONG     store.missing"]);
    site.is_refused("there is no fleet in sqlite://");
    assert_eq!((std::fs::read(&file).unwrap(), files()), (Vec::new(), vec!["memc.db".into()]));

    site.serve_once();
    let options = SqliteConnectOptions::new().filename(&file);
    let mut database = SqliteConnection::connect_with(&options).await.unwrap();
    database.execute("DELETE FROM memc_migrations WHERE version > 4").await.unwrap();
    site.doctor_finds(&[
        "schema    version 4",
        "WRONG     store.older",
        &format!("schema version 4: {OLDER} 5"),
    ]);
    site.is_refused(OLDER);
    let version = "SELECT max(version) FROM memc_migrations";
    assert_eq!(sqlx::query_scalar::<_, i64>(version).fetch_one(&mut database).await.unwrap(), 4);
}

/// As `head` does. It ends without a word, and not with success: not all was said.
#[tokio::test]
async fn who_reads_may_stop_reading() {
    let site = Site::new(None);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut doctor = memc_portal();
    let ended = doctor.args(site.with(&["doctor"])).stdout(writer).output().unwrap();
    assert_eq!((ended.status.code(), &*ended.stderr), (Some(1), &b""[..]), "{ended:?}");
    let full = std::fs::File::create("/dev/full").unwrap();
    let mut token = memc_portal();
    let ended = token.args(site.with(&["token", "create", "--pillar"])).stdout(full).output().unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{told}");
    assert!(told.starts_with("memc-portal: standard output: ") && !told.contains("panicked"), "{told}");
}

#[tokio::test]
async fn an_empty_redis_has_no_fleet() {
    let server = Redis::start(&[]);
    let site = Site::new(Some(server.url()));
    site.is_refused("there is no fleet in redis://");
    site.doctor_finds(&[
        "redis     ",
        "appendfsync always",
        "revision 0",
        "WRONG     store.missing: there is no fleet in redis://",
        "people    1 user,",
    ]);
    site.serve_once();
    let report = succeed(&site.with(&["doctor"]), "");
    assert!(report.contains("revision 1"), "{report}");
}

#[test]
fn what_cannot_be_read_is_not_called_missing() {
    let here = tempfile::tempdir().unwrap();
    std::fs::write(here.path().join("file"), "").unwrap();
    // As a directory that others may not enter, for a superuser as well.
    let site = Site::new(Some(format!("sqlite://{}/file/memc.db", here.path().display())));
    site.doctor_finds(&[
        "WRONG     store.unusable",
        "memc.db cannot be used as a database file: Not a directory",
    ]);
    site.is_refused("Not a directory");
    let listed = run(&["user", "list", "--store", &site.store], "");
    let errors = String::from_utf8(listed.stderr).unwrap();
    assert!(errors.contains("memc.accounts.db cannot be read: Not a directory"), "{errors}");

    let site = Site::new(Some(format!("sqlite://{}/nowhere/memc.db", here.path().display())));
    site.doctor_finds(&["WRONG     store.unusable", "nowhere does not exist: create it"]);
}

#[test]
fn a_lock_file_that_is_in_the_way_is_named() {
    let site = Site::new(None);
    site.serve_once();
    let lock = site.directory.path().join("memc.db.next");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    let served = run(&site.with(&["serve", "--listen", "127.0.0.1:0"]), "");
    let errors = String::from_utf8(served.stderr).unwrap();
    assert!(errors.contains("memc.db.next cannot be opened: Is a directory"), "{errors}");
}

#[test]
fn what_a_url_cannot_mean_is_refused() {
    for (store, part) in [
        ("postgres://127.0.0.1:1/memc?sslmod=verify-full", "has a parameter that is not known"),
        ("mariadb://127.0.0.1:1/memc?ssl-mod=VERIFY_IDENTITY", "has a parameter that is not known"),
        ("foo:///x", "redis+cluster:"),
        ("", "mariadb:"),
        // Nobody listens there.
        ("postgres://127.0.0.1:1/memc", "refused"),
        ("mariadb://127.0.0.1:1/memc", "refused"),
        ("redis://127.0.0.1:1", "refused"),
    ] {
        let site = Site::new(Some(store.into()));
        site.doctor_finds(&["WRONG     store.unusable", part]);
    }
}

#[test]
fn accounts_that_are_not_named_do_not_keep_the_doctor_from_reporting() {
    let doctor = run(&["doctor", "--store", "postgres://127.0.0.1:1/memc"], "");
    let report = String::from_utf8(doctor.stdout).unwrap();
    for part in ["WRONG     store.unusable", "WRONG     accounts.unnamed", "result    2 wrong"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}
