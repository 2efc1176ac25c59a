//! The command line, as an operator uses it.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::program::{Served, api, memc_portal, request, run, store_in, succeed};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Executor};

#[test]
fn users_and_tokens() {
    let directory = tempfile::tempdir().unwrap();
    let store = &store_in(directory.path());
    let output =
        run(&["user", "add", "ada", "--admin", "--password-stdin", "--store", store], "correct horse\n");
    assert!(output.status.success());
    assert!(directory.path().join("memc.accounts.db").exists());
    assert!(!directory.path().join("memc.db").exists(), "adding a user does not make a fleet");
    let output = run(
        &["user", "add", "li", "--team", "shop", "--team", "ads", "--password-stdin", "--store", store],
        "correct horse",
    );
    assert!(output.status.success());
    let warnings = String::from_utf8(output.stderr).unwrap();
    assert!(warnings.contains("no team shop yet") && warnings.contains("no team ads yet"), "{warnings}");
    assert_eq!(succeed(&["user", "list", "--store", store], ""), "ada\tadmin\t\nli\tmember\tads,shop\n");
    succeed(&["user", "passwd", "li", "--password-stdin", "--store", store], "another horse\r\n");

    let token = succeed(&["token", "create", "--user", "li", "--label", "laptop", "--store", store], "");
    assert!(token.starts_with("memcu_") && token.len() == "memcu_\n".len() + 64, "{token:?}");
    let token = succeed(&["token", "create", "--pillar", "--store", store], "");
    assert!(token.starts_with("memcp_"), "{token:?}");
    let list = succeed(&["token", "list", "--store", store], "");
    assert_eq!(list.lines().count(), 2);
    let id = list.lines().find(|line| line.contains("laptop")).unwrap().split('\t').next().unwrap();
    succeed(&["token", "revoke", id, "--store", store], "");
    assert!(!succeed(&["token", "list", "--store", store], "").contains("laptop"));

    succeed(&["user", "remove", "li", "--store", store], "");
    let output = run(&["user", "remove", "ada", "--store", store], "");
    assert!(String::from_utf8(output.stderr).unwrap().contains("no administrator"));
}

#[test]
fn mistakes_are_told_in_a_sentence() {
    let directory = tempfile::tempdir().unwrap();
    let store = &store_in(directory.path());
    succeed(&["user", "add", "ada", "--password-stdin", "--store", store], "correct horse");
    let nowhere = format!("sqlite://{}/no/such/memc.db", directory.path().display());
    let cases: &[(&[&str], &str, &str)] = &[
        (
            &["user", "add", "ada", "--password-stdin", "--store", store],
            "correct horse",
            "there is a user ada",
        ),
        (&["user", "add", "li", "--password-stdin", "--store", store], "short", "from 8 to 1024 bytes"),
        (&["user", "add", "Li", "--password-stdin", "--store", store], "correct horse", "no user name"),
        (&["user", "add", "li", "--store", store], "", "--password-stdin"),
        (&["user", "remove", "li", "--store", store], "", "there is no user li"),
        (&["user", "list"], "", "--store"),
        (&["user", "list", "--store", "postgres://db/memc"], "", "--accounts"),
        (&["user", "list", "--store", &nowhere], "", "there is no accounts file"),
        (&["user", "add", "li", "--password-stdin", "--store", &nowhere], "correct horse", "No such file"),
        (&["token", "create", "--user", "li", "--store", store], "", "there is no user li"),
        (&["token", "create", "--store", store], "", "--user <NAME>|--pillar"),
        (&["token", "create", "--user", "ada", "--pillar", "--store", store], "", "cannot be used with"),
        (&["token", "revoke", "x", "--store", store], "", "there is no token"),
        (&["serve", "--store", store, "--listen", "127.0.0.1"], "", "--listen"),
        (&["serve", "--store", store, "--listen", "0.0.0.0:0", "--pillar-auth", "none"], "", "--pillar-open"),
        (&["serve", "--store", store, "--listen", "127.0.0.1:0", "--log", "x=y=z"], "", "--log"),
        (&["serve", "--store", store, "--public-url", "x"], "", "https://"),
        (&["serve", "--store", &nowhere, "--listen", "127.0.0.1:0"], "", "memc.accounts.db"),
        (&["doctor", "--store", &nowhere], "", ""),
    ];
    for (arguments, input, part) in cases {
        let output = run(arguments, input);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?}");
        assert!(errors.contains(part), "{arguments:?}: {errors}");
        assert!(
            !errors.contains("panicked") && !errors.contains("RUST_BACKTRACE"),
            "{arguments:?}: {errors}"
        );
    }
}

#[test]
fn settings_can_be_variables() {
    let directory = tempfile::tempdir().unwrap();
    let store = store_in(directory.path());
    succeed(&["user", "add", "ada", "--password-stdin", "--store", &store], "correct horse");
    let elsewhere = format!("sqlite://{}/people.db", directory.path().display());
    let output = memc_portal().args(["user", "list"]).env("MEMC_STORE", &store).output().unwrap();
    assert_eq!(output.stdout, b"ada\tmember\t\n");
    let people = || {
        let mut program = memc_portal();
        program.args(["user", "list"]).envs([("MEMC_STORE", &store), ("MEMC_ACCOUNTS", &elsewhere)]);
        program.output().unwrap()
    };
    assert!(!people().status.success());
    assert!(!directory.path().join("people.db").exists(), "asking creates nothing");
    succeed(
        &["user", "add", "li", "--password-stdin", "--store", &store, "--accounts", &elsewhere],
        "correct horse",
    );
    assert_eq!(people().stdout, b"li\tmember\t\n");

    // An empty one is none; and what is said to one command is said to no other.
    let mut program = memc_portal();
    program.args(["token", "create", "--user", "ada"]).env("MEMC_STORE", &store);
    program.envs([("MEMC_ACCOUNTS", ""), ("MEMC_PILLAR", "1"), ("MEMC_LABEL", "left over")]);
    let made = String::from_utf8(program.output().unwrap().stdout).unwrap();
    assert!(made.starts_with("memcu_"), "{made}");
    assert!(!succeed(&["token", "list", "--store", &store], "").contains("left over"));
    let mut program = memc_portal();
    let nowhere = format!("sqlite://{}/no/such/memc.db", directory.path().display());
    program.args(["serve", "--listen", "127.0.0.1:0", "--store", &nowhere]).env("MEMC_HISTORY_DAYS", "");
    let errors = String::from_utf8(program.output().unwrap().stderr).unwrap();
    assert!(errors.contains("memc.accounts.db"), "{errors}");
}

/// As another user than the files' owner: looking writes to files beside a database, and may have to make them.
#[tokio::test]
async fn the_doctor_says_which_file_it_may_not_use() {
    let directory = tempfile::tempdir().unwrap();
    let store = &store_in(directory.path());
    drop(Served::start(store, &["--no-observe"]));
    for file in ["memc.db", "memc.accounts.db"] {
        let file = directory.path().join(file);
        let options = SqliteConnectOptions::new().filename(&file);
        let mut database = SqliteConnection::connect_with(&options).await.unwrap();
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").await.unwrap();
        // The last one takes the files beside it away.
        database.close().await.unwrap();
        assert!(!file.with_extension("db-wal").exists());
        std::fs::set_permissions(&file, Permissions::from_mode(0o444)).unwrap();
    }
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o555)).unwrap();
    let mut doctor = memc_portal();
    if directory.path().metadata().unwrap().uid() == 0 {
        // Whom permissions do not bind.
        let program = doctor.get_program().to_owned();
        doctor = std::process::Command::new("setpriv");
        doctor.env_clear().args(["--bounding-set", "-dac_override,-dac_read_search"]).arg(program);
    }
    let output = doctor.args(["doctor", "--store", store]).output().unwrap();
    std::fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let wrong: Vec<&str> = report.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert_eq!((output.status.code(), wrong.len()), (Some(1), 2), "{report}");
    for (line, file) in wrong.iter().zip(["memc.db", "memc.accounts.db"]) {
        let file = directory.path().join(file).display().to_string();
        assert!(line.contains(&file) && line.contains("Run this as the file's owner"), "{report}");
    }
}

#[test]
fn help_has_examples() {
    let help = succeed(&["--help"], "");
    assert!(help.contains("Examples:") && help.contains("user add ada --admin --password-stdin"), "{help}");
    assert!(succeed(&["serve", "--help"], "").contains("MEMC_PILLAR_AUTH"));
    // Where it is of no use it is not offered.
    for (words, uses) in [
        (&["serve"][..], true),
        (&["doctor"], true),
        (&["user", "list"], true),
        (&["token", "create"], true),
        (&["accounts", "export"], true),
        (&["export"], false),
        (&["import"], false),
        (&["restored"], false),
        (&["history", "forget"], false),
    ] {
        let help = succeed(&[words, &["--help"]].concat(), "");
        assert_eq!(
            (help.contains("--store"), help.contains("--accounts")),
            (true, uses),
            "{words:?}: {help}"
        );
    }
    assert!(succeed(&["--version"], "").starts_with("memc-portal "));
}

#[tokio::test]
async fn the_doctor_looks_at_everything() {
    let directory = tempfile::tempdir().unwrap();
    let store = &store_in(directory.path());
    let missing = run(&["doctor", "--store", store], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(!directory.path().join("memc.db").exists(), "looking creates nothing");

    succeed(&["user", "add", "ada", "--admin", "--password-stdin", "--store", store], "correct horse");
    let token = succeed(&["token", "create", "--user", "ada", "--store", store], "");
    let served = Served::start(store, &["--no-observe"]);
    let team = serde_json::json!({"name": "shop"});
    assert_eq!(api(&served.address, token.trim(), "POST", "/teams", "", &team).await.unwrap().0, 201);
    let quick = succeed(&["doctor", "--store", store], "");
    assert!(quick.contains("revision 2, format 3") && !quick.contains("compared"), "{quick}");
    let report = succeed(&["doctor", "--deep", "--store", store], "");
    for part in [
        "memc-portal 0.",
        "sqlite    3.",
        "journal_mode wal",
        "schema    version 5",
        "1 team,",
        "compared  2 records with the 2 commits that made them",
        "1 user,",
        "0 wrong",
    ] {
        assert!(report.contains(part), "{part}: {report}");
    }
    stop(served);

    let restored = succeed(&["restored", "--reason", "a test", "--store", store], "");
    let epoch = restored.split(':').next().unwrap().to_owned();
    assert!(epoch.strip_prefix("epoch ").unwrap().parse::<u32>().unwrap() > 1, "{restored}");
    assert!(restored.contains("No host takes anything new until"), "{restored}");
    let report = succeed(&["doctor", "--deep", "--store", store], "");
    assert!(report.contains(&format!("{epoch}, revision 3")), "{report}");

    // What somebody changed by hand.
    let change = async |statement: &'static str| {
        let options = SqliteConnectOptions::new().filename(directory.path().join("memc.db"));
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        connection.execute(statement).await.unwrap();
        connection.close().await.unwrap();
        run(&["doctor", "--deep", "--store", store], "")
    };
    let gone = "DELETE FROM commits WHERE revision = 1; UPDATE teams SET name = 'shop'";
    for (wrong, right, code) in [
        (
            "UPDATE fleet SET epoch = epoch + 1",
            "UPDATE fleet SET epoch = epoch - 1",
            "ledger.tables: the history made something else of 1 record:",
        ),
        ("DELETE FROM teams", "INSERT INTO teams VALUES (1, 'shop', 2)", "{\"kind\":\"team\",\"id\":1}"),
        (
            "INSERT INTO teams VALUES (9, 'ads', 2)",
            "DELETE FROM teams WHERE id = 9",
            "ledger.tables: the history made something else of 1 record:",
        ),
        // A history whose beginning was forgotten still says what the rest of it made.
        (
            "UPDATE teams SET name = 'ads'; DELETE FROM commits WHERE revision = 1",
            "SELECT 1",
            "{\"kind\":\"team\",\"id\":1}",
        ),
        (gone, "SELECT 1", ""),
        ("UPDATE commits SET previous = randomblob(16) WHERE revision = 3", "SELECT 1", "ledger.history"),
    ] {
        let report = change(wrong).await;
        let text = String::from_utf8_lossy(&report.stdout).into_owned();
        if wrong == gone {
            assert_eq!(report.status.code(), Some(0), "{text}");
            assert!(
                text.contains("compared  2 of 2 records with the 2 commits kept, from revision 2 on"),
                "{text}"
            );
        } else {
            assert_eq!(report.status.code(), Some(1), "{wrong}: {text}");
        }
        assert!(text.contains(code), "{wrong}: {text}");
        change(right).await;
    }

    // All pages but the first are no pages.
    let path = directory.path().join("memc.db");
    for log in ["memc.db-wal", "memc.db-shm"] {
        let _ = std::fs::remove_file(directory.path().join(log));
    }
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.iter_mut().skip(4096).for_each(|byte| *byte = 0xff);
    std::fs::write(&path, bytes).unwrap();
    let broken = run(&["doctor", "--deep", "--store", store], "");
    assert_eq!(broken.status.code(), Some(1), "{}", String::from_utf8_lossy(&broken.stdout));
    assert!(!String::from_utf8_lossy(&broken.stderr).contains("panicked"));
}

#[tokio::test]
async fn looking_says_which_hosts_wait_and_leaves_the_file_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let store = &store_in(directory.path());
    succeed(&["user", "add", "ada", "--admin", "--password-stdin", "--store", store], "correct horse");
    let token = succeed(&["token", "create", "--user", "ada", "--store", store], "");
    let served = Served::start(store, &["--no-observe"]);
    let done = async |path: &'static str, body: serde_json::Value| {
        let (status, said) = api(&served.address, token.trim(), "POST", path, "", &body).await.unwrap();
        assert_eq!(status, 201, "{said}");
    };
    for (cluster, hosts) in [("web", 1), ("jobs", 2)] {
        done("/clusters", serde_json::json!({"name": cluster, "first_port": 11210, "last_port": 11211}))
            .await;
        for host in 1..=hosts {
            let (name, address) = (format!("{cluster}{host}.example.com"), format!("127.{hosts}.0.{host}"));
            let body =
                serde_json::json!({"name": name, "cluster": cluster, "address": address, "memory_mib": 1024});
            done("/hosts", body).await;
        }
    }
    stop(served);
    let report = succeed(&["doctor", "--deep", "--store", store], "");
    assert!(report.contains("3 hosts") && !report.contains("host.waiting"), "{report}");

    succeed(&["restored", "--reason", "a test", "--store", store], "");
    let options = SqliteConnectOptions::new().filename(directory.path().join("memc.db"));
    let journal = async |statement: &'static str| {
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        let mode: String = sqlx::query_scalar(statement).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        mode
    };
    assert_eq!(journal("PRAGMA journal_mode = DELETE").await, "delete");
    let report = succeed(&["doctor", "--deep", "--store", store], "");
    for note in [
        "host.waiting: nothing new goes to 3 hosts since the restore, because of ports that were not looked at yet (2 in jobs, 1 in \
         web). It ends by itself",
        "sqlite.journal_mode: journal_mode is delete, wal is needed",
        "0 wrong, 2 notes",
    ] {
        assert!(report.contains(note), "{note}: {report}");
    }
    assert_eq!(journal("PRAGMA journal_mode").await, "delete", "looking switches nothing");
    drop(Served::start(store, &["--no-observe"]));
    assert_eq!(journal("PRAGMA journal_mode").await, "wal");
}

#[test]
fn forgetting_says_what_stays() {
    let directory = tempfile::tempdir().unwrap();
    let store = &store_in(directory.path());
    drop(Served::start(store, &["--no-observe", "--history-days", "7d"]));
    for days in ["0", "0d"] {
        let said = succeed(&["history", "forget", "--older-than", days, "--store", store], "");
        assert_eq!(said, "forgotten: 0 commits; the newest 5,000 stay, however old they are\n");
    }
}

#[tokio::test]
async fn serving_and_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let store = &store_in(directory.path());
    let served = Served::start(store, &["--pillar-auth", "none"]);
    let get = async |path: &'static str| request(&served.address, "GET", path, &[], "").await.unwrap();
    assert_eq!(get("/healthz").await.0, 200);
    assert_eq!(get("/readyz").await.0, 200);
    assert_eq!(get("/salt/pillar/m1").await.0, 404);
    assert_eq!(get("/api/v1/caches").await.0, 401);
    let in_use = run(&["serve", "--listen", &served.address, "--store", store], "");
    assert!(String::from_utf8(in_use.stderr).unwrap().contains("cannot listen on"));
    stop(served);
}

/// As an operator stops it: it ends by itself, and successfully.
fn stop(mut served: Served) {
    let id = served.child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn accounts_are_taken_along() {
    let directory = tempfile::tempdir().unwrap();
    let (one, file) = (store_in(directory.path()), directory.path().join("accounts.jsonl"));
    let file = file.to_str().unwrap();
    let two = format!("sqlite://{}/other.db", directory.path().display());
    succeed(&["user", "add", "ada", "--admin", "--password-stdin", "--store", &one], "correct horse");
    succeed(&["user", "add", "li", "--team", "shop", "--password-stdin", "--store", &one], "another horse");
    let token = succeed(&["token", "create", "--user", "li", "--label", "a, \"b\"", "--store", &one], "");
    succeed(&["token", "create", "--pillar", "--store", &one], "");
    let said = succeed(&["accounts", "export", "--file", file, "--store", &one], "");
    assert_eq!(said, "written: 2 users, 1 membership, 2 tokens\n");
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("horse") && !text.contains(token.trim()), "{text}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    // Nothing is taken in of what is not whole, or makes no sense.
    let broken = directory.path().join("broken.jsonl");
    let lines: Vec<&str> = text.lines().collect();
    for (wrong, part) in [
        (text.replace("\"ada\"", "\"eve\""), "its checksum differs"),
        (lines[..lines.len() - 1].join("\n") + "\n", "cut short"),
        (text.replacen("{\"memc_accounts\":1}", "{\"memc_accounts\":2}", 1), "a later version"),
        ("{\"memc_archive\":1}\n".to_owned(), "`memc-portal import` takes it in"),
        ("a text\n".to_owned(), "line 1 of the file: this is no file of accounts, or one of a later version"),
    ] {
        std::fs::write(&broken, wrong).unwrap();
        let output = run(&["accounts", "import", "--file", broken.to_str().unwrap(), "--store", &two], "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains(part), "{part}: {errors}");
        assert!(!directory.path().join("other.accounts.db").exists(), "{part}");
    }

    let said = succeed(&["accounts", "import", "--file", file, "--store", &two], "");
    assert_eq!(said, "taken in: 2 users, 1 membership, 2 tokens\n");
    for list in [["user", "list"], ["token", "list"]] {
        let of = |store: &str| succeed(&[list[0], list[1], "--store", store], "");
        assert_eq!(of(&one), of(&two));
    }
    let again = run(&["accounts", "import", "--file", file, "--store", &two], "");
    assert!(String::from_utf8(again.stderr).unwrap().contains("there are users or tokens already"));
    let other = directory.path().join("again.jsonl");
    succeed(&["accounts", "export", "--file", other.to_str().unwrap(), "--store", &two], "");
    assert_eq!(std::fs::read_to_string(other).unwrap(), text);
}

#[tokio::test]
async fn an_unsafe_store_is_refused_unless_its_risk_is_accepted() {
    let server = memc_test_servers::Postgres::start(&[("fsync", "off")]);
    let directory = tempfile::tempdir().unwrap();
    let accounts = format!("sqlite://{}/people.db", directory.path().display());
    let places = ["--store", &server.url(), "--accounts", &accounts].map(str::to_owned);
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    let told = "fsync is off, on is needed";
    let refused = run(&[&["serve", "--listen", "127.0.0.1:0"], &places[..]].concat(), "");
    let errors = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && errors.contains(told), "{errors}");
    assert!(errors.contains("--accept-unsafe-store"), "{errors}");
    let served = Served::start(&server.url(), &["--accounts", &accounts, "--accept-unsafe-store"]);
    assert_eq!(request(&served.address, "GET", "/readyz", &[], "").await.unwrap().0, 200);
    // Whether it was accepted or not, it is wrong.
    let doctor = run(&[&["doctor"], &places[..]].concat(), "");
    let report = String::from_utf8(doctor.stdout).unwrap();
    assert_eq!(doctor.status.code(), Some(1));
    assert!(report.contains("WRONG     postgres.fsync") && report.contains(told), "{report}");
}

/// Nor is anything else written to it.
#[tokio::test]
async fn an_unsafe_store_takes_no_archive_and_no_new_epoch_unless_its_risk_is_accepted() {
    let server = memc_test_servers::Postgres::start(&[("fsync", "off")]);
    let directory = tempfile::tempdir().unwrap();
    let path = |file: &str| directory.path().join(file).to_str().unwrap().to_owned();
    let archive = path("fleet.jsonl");
    let small = format!("sqlite://{}", path("small.db"));
    drop(Served::start(&small, &["--no-observe"]));
    succeed(&["export", "--file", &archive, "--store", &small], "");
    let places = ["--store", &server.url()].map(str::to_owned);
    for command in [&["import", "--file", &archive][..], &["restored", "--reason", "a test"]] {
        let with = |more: &[&str]| {
            let words: Vec<&str> = command.iter().copied().chain(places.iter().map(String::as_str)).collect();
            run(&[&words, more].concat(), "")
        };
        let refused = with(&[]);
        let errors = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && errors.contains("fsync is off, on is needed"), "{errors}");
        let accepted = with(&["--accept-unsafe-store"]);
        assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    }
}

/// The setting, its value, the value that is needed, and how to set it, as opening says it.
#[tokio::test]
async fn doctor_says_what_is_unsafe_on_every_server() {
    let in_mysqld = "set it in the [mysqld] section of the server's configuration";
    let mariadb = |name: &str, value: &str| memc_test_servers::MariaDb::start(&[(name, value)]);
    let postgres = |name: &str| memc_test_servers::Postgres::start(&[(name, "off")]);
    let redis = |name: &str, value: &str| memc_test_servers::Redis::start(&[(name, value)]);
    let cases = [
        (
            postgres("full_page_writes"),
            "postgres.full_page_writes",
            "full_page_writes is off, on is needed: set it in postgresql.conf, or ALTER SYSTEM, and reload",
        ),
        (
            mariadb("innodb-flush-log-at-trx-commit", "2"),
            "mariadb.innodb_flush_log_at_trx_commit",
            &format!(
                "innodb_flush_log_at_trx_commit is 2, 1 or 3 is needed: {in_mysqld}, or with SET GLOBAL"
            ),
        ),
        (
            mariadb("innodb-doublewrite", "0"),
            "mariadb.innodb_doublewrite",
            &format!("innodb_doublewrite is OFF, ON is needed: {in_mysqld} and start it again"),
        ),
        (redis("appendfsync", "everysec"), "redis.appendfsync", "appendfsync is everysec, needed is always"),
        (redis("appendonly", "no"), "redis.appendonly", "needed is yes"),
    ];
    let directory = tempfile::tempdir().unwrap();
    let accounts = format!("sqlite://{}/people.db", directory.path().display());
    for (server, code, told) in cases {
        let places = ["--store", &server.url(), "--accounts", &accounts];
        let refused = run(&[&["serve", "--listen", "127.0.0.1:0"], &places[..]].concat(), "");
        let errors = String::from_utf8(refused.stderr).unwrap();
        assert!(!refused.status.success() && errors.contains(told), "{code}: {errors}");
        let doctor = run(&[&["doctor"], &places[..]].concat(), "");
        let report = String::from_utf8(doctor.stdout).unwrap();
        assert_eq!(doctor.status.code(), Some(1), "{code}: {report}");
        assert!(report.contains(&format!("WRONG     {code}")) && report.contains(told), "{code}: {report}");
    }
}
