//! `docs/data.md`: its commands, run for real.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memc_core::archive::{export, verify};
use memc_core::fleet::Options;
use memc_core::ledger::{Commit, Head, Order};
use memc_core::model::{CommitId, Revision, Timestamp};
use memc_core::store::{Decide, MemoryStore};
use memc_core::{Fleet, Store};
use memc_test_servers::{MariaDb, Postgres, Redis, Server};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{api, run, succeed};

/// The blocks of commands, by their headings: `Backup/SQLite`.
fn blocks() -> BTreeMap<String, String> {
    let page = include_str!("../../../../docs/data.md");
    let (mut chapter, mut section, mut inside) = (String::new(), String::new(), false);
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    for line in page.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => {
                let name = if section.is_empty() { chapter.clone() } else { format!("{chapter}/{section}") };
                *blocks.entry(name).or_default() += &format!("{line}\n");
            }
            _ => {
                if let Some(title) = line.strip_prefix("## ") {
                    (chapter, section) = (title.to_owned(), String::new());
                } else if let Some(title) = line.strip_prefix("### ") {
                    section = title.to_owned();
                }
            }
        }
    }
    blocks
}

/// What this test runs, so that a block that is added and that nobody runs is found out.
const RUN: [&str; 17] = [
    "",
    "Backup/Accounts",
    "Backup/An export, of any store",
    "Backup/MariaDB",
    "Backup/PostgreSQL",
    "Backup/Redis",
    "Backup/SQLite",
    "History retention/Archives of what is forgotten",
    "History retention/By hand",
    "History retention/By the portals",
    "Restore/Accounts",
    "Restore/From an export",
    "Restore/MariaDB",
    "Restore/PostgreSQL",
    "Restore/Redis",
    "Restore/SQLite",
    "SQLite to PostgreSQL in production",
];

#[test]
fn every_block_is_run_by_a_test() {
    assert_eq!(blocks().keys().map(String::as_str).collect::<Vec<_>>(), RUN);
    // What root makes in its place, the portal cannot open.
    for line in blocks().values().flat_map(|block| block.lines()) {
        assert!(
            !line.contains("memc-portal ") || line.contains("-u memc-portal --") || line.contains("-o "),
            "{line}"
        );
    }
}

/// A machine as the page describes it: its places are in a directory, and its `systemctl` starts and stops a portal.
struct Machine {
    directory: TempDir,
    /// What the page writes, and what it is here.
    places: Vec<(&'static str, String)>,
    token: String,
}

/// What no command of the page may take out of the settings.
const OTHER_SETTINGS: &str = "MEMC_TRUSTED_PROXY=127.0.0.1\n";

const SYSTEMCTL: &str = r#"#!/bin/bash
set -euo pipefail
cd DIRECTORY
set -a; . etc/portal.env; set +a
pid=pid
[ "$2" = redis-server ] && pid=redis.pid
running() { [ -e $pid ] && [[ "$(ps -o stat= -p "$(cat $pid)")" =~ ^[^Z] ]]; }
case "$1" in
start)
    running && exit 0
    if [ "$2" = redis-server ]; then
        : > redis.log
        bash -c "exec $(cat redis.start)" >> redis.log 2>&1 < /dev/null &
        echo $! > redis.pid
        until grep -q "eady to accept connections" redis.log; do running || { cat redis.log >&2; exit 1; }; sleep 0.05; done
        exit
    fi
    : > log
    memc-portal serve --listen 127.0.0.1:0 --no-observe >> log 2>&1 < /dev/null &
    echo $! > pid
    until grep -q "^listening on" log; do running || { cat log >&2; exit 1; }; sleep 0.05; done ;;
stop)
    running || exit 0
    kill -TERM "$(cat $pid)"
    while running; do sleep 0.05; done ;;
esac
"#;

impl Machine {
    fn new(store: Option<&str>, places: Vec<(&'static str, String)>) -> Machine {
        let machine = Machine::stopped(store, places);
        machine.shell("systemctl start memc-portal");
        machine
    }

    fn stopped(store: Option<&str>, mut places: Vec<(&'static str, String)>) -> Machine {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display().to_string();
        for name in ["etc", "data", "backup", "bin"] {
            std::fs::create_dir(directory.path().join(name)).unwrap();
        }
        places.extend([
            // Only root may become somebody else.
            ("runuser -u memc-portal -- ", String::new()),
            ("-o memc-portal ", String::new()),
            ("/etc/memc", format!("{path}/etc")),
            ("/var/lib/memc", format!("{path}/data")),
            ("/backup", format!("{path}/backup")),
        ]);
        let accounts = format!("sqlite://{path}/data/memc.accounts.db");
        let store = store.map_or_else(|| format!("sqlite://{path}/data/memc.db"), str::to_owned);
        succeed(
            &[
                "user",
                "add",
                "ada",
                "--admin",
                "--password-stdin",
                "--store",
                &store,
                "--accounts",
                &accounts,
            ],
            "correct horse",
        );
        let token =
            succeed(&["token", "create", "--user", "ada", "--store", &store, "--accounts", &accounts], "");
        let machine = Machine { directory, places, token: token.trim().to_owned() };
        machine.settings(&store);
        let systemctl = machine.path().join("bin/systemctl");
        std::fs::write(&systemctl, SYSTEMCTL.replace("DIRECTORY", &path)).unwrap();
        std::fs::set_permissions(&systemctl, std::fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn settings(&self, store: &str) {
        let accounts = format!("sqlite://{}/data/memc.accounts.db", self.path().display());
        let settings = format!("MEMC_STORE={store}\nMEMC_ACCOUNTS={accounts}\n{OTHER_SETTINGS}");
        std::fs::write(self.path().join("etc/portal.env"), settings).unwrap();
    }

    /// Run a block of the page, in a shell that has run the first one.
    fn run(&self, block: &str) {
        assert!(RUN.contains(&block));
        let blocks = blocks();
        self.shell(&format!("{}{}", blocks[""], blocks[block]));
    }

    fn shell(&self, commands: &str) {
        let mut commands = commands.to_owned();
        for (written, here) in &self.places {
            commands = commands.replace(written, here);
        }
        let program = Path::new(env!("CARGO_BIN_EXE_memc-portal")).parent().unwrap();
        let path =
            format!("{}:{}:/usr/sbin:/usr/bin:/bin", self.path().join("bin").display(), program.display());
        let output = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &commands])
            .env_clear()
            .env("PATH", path)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{commands}\n{}{}", said(&output.stdout), said(&output.stderr));
    }

    /// Let `systemctl` stop and start a Redis server, which has been started already.
    fn takes_over(&self, server: &Server) {
        std::fs::write(self.path().join("redis.pid"), server.pid().to_string()).unwrap();
        let start = format!(
            "redis-server --bind 127.0.0.1 --port {} --dir {} --save '' --appendonly yes --appendfsync always",
            server.port(),
            server.data().display()
        );
        std::fs::write(self.path().join("redis.start"), start).unwrap();
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let log = std::fs::read_to_string(self.path().join("log")).unwrap();
        let address = log.lines().find_map(|line| line.strip_prefix("listening on http://")).unwrap();
        let (status, body) = api(address, &self.token, method, path, "", &body).await.unwrap();
        assert!(status < 300, "{method} {path}: {status} {body}");
        body
    }

    async fn add_team(&self, name: &str) {
        self.call("POST", "/teams", json!({ "name": name })).await;
    }

    async fn teams(&self) -> BTreeSet<String> {
        let teams = self.call("GET", "/teams", Value::Null).await;
        let items = teams["items"].as_array().unwrap();
        items.iter().map(|team| team["name"].as_str().unwrap().to_owned()).collect()
    }

    fn doctor(&self) -> String {
        let out = self.path().join("out");
        self.shell(&format!("{}memc-portal doctor --deep > {}", blocks()[""], out.display()));
        std::fs::read_to_string(out).unwrap()
    }

    /// What was done before the backup is there again, what was done after it is not, and a new epoch has begun.
    async fn is_restored(&self) {
        assert_eq!(self.teams().await, ["before".to_owned()].into());
        let report = self.doctor();
        assert!(!report.contains("epoch 1,") && report.contains("0 wrong"), "{report}");
        self.add_team("since").await;
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let systemctl = self.path().join("bin/systemctl");
        for unit in ["memc-portal", "redis-server"] {
            let _ = Command::new(&systemctl).args(["stop", unit]).status();
        }
    }
}

#[tokio::test]
async fn sqlite_and_accounts_are_restored() {
    let machine = Machine::new(None, Vec::new());
    machine.add_team("before").await;
    machine.run("Backup/SQLite");
    machine.run("Backup/Accounts");
    machine.add_team("after").await;
    let users = || {
        let url = format!("sqlite://{}/data/memc.db", machine.path().display());
        succeed(&["user", "list", "--store", &url], "")
    };
    let url = format!("sqlite://{}/data/memc.db", machine.path().display());
    succeed(&["user", "add", "eve", "--password-stdin", "--store", &url], "correct horse");
    assert!(users().contains("eve"));
    machine.run("Restore/Accounts");
    machine.run("Restore/SQLite");
    machine.is_restored().await;
    assert_eq!(users(), "ada\tadmin\t\n");
}

/// An archive of a fleet with 6,000 commits, all of them long past.
async fn long_ago(file: &Path) {
    struct Give(Vec<Commit>);
    impl Decide for Give {
        fn decide(&mut self, _missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
            self.0.clone()
        }
    }
    let founded = MemoryStore::new();
    let fleet = Fleet::open(Arc::new(founded.clone()), Options::default()).await.unwrap();
    let command = memc_core::ledger::Command::CreateTeam { name: "before".parse().unwrap() };
    let order = Order { actor: "user:ada".parse().unwrap(), request: None, command };
    fleet.submit(order).await.unwrap();
    let mut commits = founded.commits(Revision::default(), 10).await.unwrap();
    while commits.len() < 6000 {
        let last = commits.last().unwrap().clone();
        let (revision, id, previous) = (last.revision.next(), CommitId::fresh(), last.id);
        commits.push(Commit { revision, id, previous, changes: Vec::new(), ..last });
    }
    commits.iter_mut().for_each(|commit| commit.at = Timestamp::from_millis(commit.revision.get()));
    let old = MemoryStore::new();
    old.turn(Head::EMPTY, &mut Give(commits)).await.unwrap();
    export(&old, std::fs::File::create(file).unwrap()).await.unwrap();
}

impl Machine {
    /// With a fleet whose history is long past, and no portal yet.
    async fn with_old_history(store: Option<&str>) -> Machine {
        let machine = Machine::stopped(store, Vec::new());
        long_ago(&machine.path().join("backup/fleet.jsonl")).await;
        machine.shell(&format!("{}memc-portal import --file /backup/fleet.jsonl", blocks()[""]));
        machine
    }

    /// What was old is gone, but not the newest 5,000, and what is left still agrees with the records.
    fn has_forgotten(&self) -> bool {
        let report = self.doctor();
        assert!(report.contains("0 wrong"), "{report}");
        report.contains("the 5000 commits kept, from revision 1001 on")
    }
}

async fn old_history_is_forgotten(store: Option<&str>) {
    let machine = Machine::with_old_history(store).await;
    assert!(machine.doctor().contains("with the 6000 commits that made them"));
    machine.shell("systemctl start memc-portal");
    machine.run("History retention/By hand");
    assert!(machine.has_forgotten());
    machine.add_team("since").await;
    assert_eq!(machine.teams().await, ["before".to_owned(), "since".to_owned()].into());

    // What the store has forgotten is in an archive from before, and with it everything is known again.
    let portal = |command: &str| machine.shell(&format!("{}memc-portal {command}", blocks()[""]));
    portal("export --file /backup/records.jsonl");
    machine.run("History retention/Archives of what is forgotten");
    portal("export --since 5900 --file /backup/recent.jsonl --earlier /backup/fleet-and-since.jsonl");
    let moved = |name: &str| {
        let file = std::fs::read(machine.path().join("backup").join(name)).unwrap();
        let moved = verify(&file[..]).unwrap();
        assert!(moved.head.revision.get() > 6000, "{moved:?}");
        (moved.base.revision.get(), moved.records > 0, moved.commits)
    };
    let head = 6000 + moved("recent.jsonl").2 - 100;
    assert_eq!(moved("fleet-and-since.jsonl"), (0, false, head));
    assert_eq!(moved("records.jsonl"), (head, true, 0));
    assert_eq!(moved("recent.jsonl").0, 5900);
    // And goes on from there in another store.
    machine.shell("systemctl stop memc-portal");
    machine.settings(&format!("sqlite://{}/data/other.db", machine.path().display()));
    portal("import --file /backup/recent.jsonl");
    machine.shell("systemctl start memc-portal");
    assert_eq!(machine.teams().await, ["before".to_owned(), "since".to_owned()].into());
    let report = machine.doctor();
    assert!(report.contains(&format!("with the {head} commits")) && report.contains("0 wrong"), "{report}");
}

#[tokio::test]
async fn old_history_of_sqlite_is_forgotten() {
    old_history_is_forgotten(None).await;
}

#[tokio::test]
async fn old_history_of_postgres_is_forgotten() {
    old_history_is_forgotten(Some(&Postgres::start(&[]).url())).await;
}

#[tokio::test]
async fn old_history_of_mariadb_is_forgotten() {
    old_history_is_forgotten(Some(&MariaDb::start(&[]).url())).await;
}

/// Its history is bounded by itself: both ways of forgetting say so, instead of doing nothing.
#[tokio::test]
async fn old_history_of_redis_is_bounded_by_its_url() {
    let server = Redis::start(&[]);
    let url = format!("{}?history=1000", server.url());
    let machine = Machine::with_old_history(Some(&url)).await;
    let accounts = format!("sqlite://{}/data/memc.accounts.db", machine.path().display());
    for asked in [
        &["history", "forget", "--older-than", "365d"][..],
        &["serve", "--listen", "127.0.0.1:0", "--accounts", &accounts, "--history-days", "365"],
    ] {
        let output = run(&[asked, &["--store", &url]].concat(), "");
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && errors.contains("?history="), "{errors}");
    }
}

/// What one portal has forgotten, the next does not find.
#[tokio::test]
async fn portals_forget_by_themselves() {
    let machine = Machine::with_old_history(None).await;
    machine.run("History retention/By the portals");
    for forgotten in ["commits=1000 days=365", "commits=0 days=365"] {
        machine.shell("systemctl start memc-portal");
        let log = || std::fs::read_to_string(machine.path().join("log")).unwrap();
        let since = Instant::now();
        while !log().contains(forgotten) {
            assert!(since.elapsed() < Duration::from_secs(60), "{forgotten}: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(machine.has_forgotten());
        machine.shell("systemctl stop memc-portal");
    }
}

#[tokio::test]
async fn postgres_is_restored() {
    let server = Postgres::start(&[]);
    let machine = Machine::new(Some(&server.url()), Vec::new());
    machine.add_team("before").await;
    machine.run("Backup/PostgreSQL");
    machine.add_team("after").await;
    machine.run("Restore/PostgreSQL");
    machine.is_restored().await;
}

#[tokio::test]
async fn mariadb_is_restored() {
    let server = MariaDb::start(&[]);
    let here = format!("--host=127.0.0.1 --port={} --user=root", server.port());
    let machine = Machine::new(Some(&server.url()), vec![("--host=db --user=memc", here)]);
    machine.add_team("before").await;
    machine.run("Backup/MariaDB");
    machine.add_team("after").await;
    machine.run("Restore/MariaDB");
    machine.is_restored().await;
}

#[tokio::test]
async fn redis_is_restored() {
    let server = Redis::start(&[]);
    let places = vec![
        ("-h db", format!("-p {}", server.port())),
        ("-o redis -g redis", String::new()),
        ("/var/lib/redis", server.data().display().to_string()),
    ];
    let machine = Machine::new(Some(&server.url()), places);
    // From now on it is stopped and started by the page's commands.
    machine.takes_over(&server);
    machine.add_team("before").await;
    machine.run("Backup/Redis");
    machine.add_team("after").await;
    machine.run("Restore/Redis");
    machine.is_restored().await;
    // What was put back is appended to.
    machine.shell("systemctl stop redis-server; systemctl start redis-server");
    assert_eq!(machine.teams().await, ["before".to_owned(), "since".to_owned()].into());
}

#[tokio::test]
async fn an_export_of_redis_is_restored() {
    let server = Redis::start(&[]);
    let machine = Machine::new(Some(&server.url()), Vec::new());
    machine.add_team("before").await;
    machine.run("Backup/An export, of any store");
    machine.add_team("after").await;
    machine.shell("systemctl stop memc-portal");
    machine.settings(&format!("{}?prefix=empty", server.url()));
    machine.run("Restore/From an export");
    machine.is_restored().await;
    let accounts = std::fs::read_to_string(machine.path().join("backup/accounts.jsonl")).unwrap();
    assert!(accounts.contains("\"ada\""));
}

#[tokio::test]
async fn production_moves_from_sqlite_to_postgres() {
    let server = Postgres::start(&[]);
    let machine = Machine::new(None, vec![("postgres://memc:PASSWORD@db/memc", server.url())]);
    machine.add_team("before").await;
    machine.run("SQLite to PostgreSQL in production");
    machine.add_team("there").await;
    assert_eq!(machine.teams().await, ["before".to_owned(), "there".to_owned()].into());
    let report = machine.doctor();
    assert!(report.contains("postgres://memc@") && report.contains("epoch 1"), "{report}");
    let settings = |name: &str| std::fs::read_to_string(machine.path().join("etc").join(name)).unwrap();
    assert!(settings("portal.env").ends_with(OTHER_SETTINGS));
    assert!(settings("portal.env.before").starts_with("MEMC_STORE=sqlite:"));
}
