//! A fleet moves from store to store, and the portal serves it from each.

use memc_core::store::MemoryStore;
use memc_test_servers::{MariaDb, Postgres, Redis};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};

use crate::program::{Served, api, run, store_in, succeed};

#[tokio::test]
async fn a_fleet_moves_from_sqlite_through_every_store_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let sqlite = store_in(directory.path());
    let accounts = format!("sqlite://{}/people.db", directory.path().display());
    let accounts = accounts.as_str();
    succeed(
        &["user", "add", "ada", "--admin", "--password-stdin", "--store", &sqlite, "--accounts", accounts],
        "correct horse",
    );
    let token =
        succeed(&["token", "create", "--user", "ada", "--store", &sqlite, "--accounts", accounts], "");
    let token = token.trim();
    let (postgres, mariadb, redis) = (Postgres::start(&[]), MariaDb::start(&[]), Redis::start(&[]));
    let back = format!("sqlite://{}/back.db", directory.path().display());
    let stores = [sqlite, postgres.url(), mariadb.url(), redis.url(), back];
    for (number, store) in stores.iter().enumerate() {
        let served = Served::start(store, &["--no-observe", "--accounts", accounts]);
        let team = serde_json::json!({"name": format!("team{number}")});
        let key = format!("key{number}");
        let (status, _) = api(&served.address, token, "POST", "/teams", &key, &team).await.unwrap();
        assert_eq!(status, 201, "{store}");
        // What was asked of the store before has no second effect here, and another request under its id is refused.
        if number > 0 {
            let asked = serde_json::json!({"name": format!("team{}", number - 1)});
            let key = format!("key{}", number - 1);
            let (status, _) = api(&served.address, token, "POST", "/teams", &key, &asked).await.unwrap();
            assert_eq!(status, 201, "{store}: the same receipt again");
            let (status, _) = api(&served.address, token, "POST", "/teams", &key, &team).await.unwrap();
            assert_eq!(status, 422, "{store}");
        }
        let none = serde_json::Value::Null;
        let (_, teams) = api(&served.address, token, "GET", "/teams", "", &none).await.unwrap();
        assert_eq!(teams.to_string().matches("team").count(), number + 1, "{teams}");
        let report = succeed(&["doctor", "--deep", "--store", store, "--accounts", accounts], "");
        assert!(report.contains("0 wrong"), "{report}");
        drop(served);
        if let Some(next) = stores.get(number + 1) {
            let file = directory.path().join(format!("{number}.jsonl"));
            let file = file.to_str().unwrap();
            let said = succeed(&["export", "--file", file, "--store", store], "");
            assert!(said.contains("commits"), "{said}");
            succeed(&["import", "--file", file, "--store", next], "");
            let again = run(&["import", "--file", file, "--store", next], "");
            assert!(String::from_utf8(again.stderr).unwrap().contains("not empty"));
            let again = run(&["export", "--file", file, "--store", store], "");
            assert!(String::from_utf8(again.stderr).unwrap().contains("there already"));
        }
    }
}

/// Neither the file nor the words say more than is so.
#[tokio::test]
async fn an_export_says_what_cannot_be_written() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    drop(Served::start(&store, &["--no-observe"]));
    let file = directory.path().join("fleet.jsonl");
    let export = |since: &[&str]| {
        let words = ["export", "--file", file.to_str().unwrap(), "--store", &store];
        let output = run(&[&words[..], since].concat(), "");
        assert!(!output.status.success() && !file.exists());
        String::from_utf8(output.stderr).unwrap()
    };
    let errors = export(&["--since", "99999"]);
    assert!(errors.contains("the history ends with revision 1, nothing came after a later one"), "{errors}");
    let options = SqliteConnectOptions::new().filename(directory.path().join("memc.db"));
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    connection.execute("INSERT INTO teams VALUES (9, 'ads', 1)").await.unwrap();
    connection.close().await.unwrap();
    let errors = export(&[]);
    assert_eq!(errors.matches("contradicts itself").count(), 1, "{errors}");
    assert!(errors.contains("`doctor --deep`"), "{errors}");
}

#[tokio::test]
async fn a_broken_archive_is_not_taken_in() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    let file = directory.path().join("fleet.jsonl");
    std::fs::write(&file, "{\"memc_archive\":1").unwrap();
    let output = run(&["import", "--file", file.to_str().unwrap(), "--store", &store], "");
    assert!(String::from_utf8(output.stderr).unwrap().contains("line 1 of the archive"));
    // Nor is one of something else, or of nothing.
    let mut empty = Vec::new();
    memc_core::archive::export(&MemoryStore::new(), &mut empty).await.unwrap();
    for (text, told) in [
        (&b"{\"memc_accounts\":1}\n"[..], "`memc-portal accounts import` takes it in"),
        (b"a text\n", "line 1 of the archive: this is no archive of a fleet, or one of a later version"),
        (&empty, "holds no fleet: it was made of an empty store, with 0 records and 0 commits"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = run(&["import", "--file", file.to_str().unwrap(), "--store", &store], "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(told), "{errors}");
    }
    assert!(!directory.path().join("memc.db").exists(), "nothing was made");
    let missing = run(&["export", "--file", file.to_str().unwrap(), "--store", &store], "");
    assert!(String::from_utf8(missing.stderr).unwrap().contains("there is no fleet"));
}
