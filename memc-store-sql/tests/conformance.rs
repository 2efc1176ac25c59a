//! The cases that every store must pass, on each kind of database.

#![allow(clippy::expect_used)] // tests fail by panicking

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memc_core::Store;
use memc_core::conformance::{self, Fixture};
use memc_test_servers::{MariaDb, Postgres, Server};
use tempfile::TempDir;

async fn connect(url: String) -> Arc<dyn Store> {
    memc_store_sql::connect(&url).await.expect("connect")
}

/// Not a test: what the cases start in processes of their own.
#[test]
#[ignore = "started by the cases, in processes of their own"]
fn process() {
    conformance::process(connect);
}

/// A database file.
struct File(TempDir);

impl File {
    fn new() -> Self {
        File(tempfile::tempdir().expect("a temporary directory"))
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("memc.db")
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.database().display())
    }

    /// With the program that operators use, while handles have the database open.
    fn sqlite3(&self, command: &str) {
        let copy = self.0.path().join("backup.db");
        let mut sqlite3 = Command::new("sqlite3");
        sqlite3.args(["-bail", "-cmd", ".timeout 30000"]).arg(self.database());
        let output = sqlite3.arg(format!("{command} '{}'", copy.display())).output().expect("sqlite3");
        // It may tell of an error and end well.
        let right = output.status.success() && output.stderr.is_empty();
        assert!(right, "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Its crash is that of a process in the middle of a turn: there is no server to kill.
#[async_trait::async_trait]
impl Fixture for File {
    async fn open(&self) -> Arc<dyn Store> {
        connect(self.url()).await
    }

    fn has_constraints(&self) -> bool {
        true
    }

    fn process(&self) -> Option<Command> {
        Some(conformance::this_program("process", &self.url()))
    }

    async fn back_up(&self) -> Result<(), &'static str> {
        self.sqlite3(".backup");
        Ok(())
    }

    async fn restore(&self) {
        self.sqlite3(".restore");
    }
}

/// A server's database.
struct Database {
    url: String,
    server: Mutex<Server>,
    backup: TempDir,
}

impl Database {
    fn on(server: Server) -> Self {
        let backup = tempfile::tempdir().expect("a temporary directory");
        Database { url: server.url(), server: Mutex::new(server), backup }
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success());
}

#[async_trait::async_trait]
impl Fixture for Database {
    async fn open(&self) -> Arc<dyn Store> {
        connect(self.url.clone()).await
    }

    fn has_constraints(&self) -> bool {
        true
    }

    fn process(&self) -> Option<Command> {
        Some(conformance::this_program("process", &self.url))
    }

    async fn crash(&self) -> Result<(), &'static str> {
        let mut server = self.server();
        server.kill9();
        server.restart();
        Ok(())
    }

    async fn back_up(&self) -> Result<(), &'static str> {
        let mut server = self.server();
        server.kill9();
        copy(&server.data(), &self.backup.path().join("data"));
        server.restart();
        Ok(())
    }

    async fn restore(&self) {
        let mut server = self.server();
        server.kill9();
        std::fs::remove_dir_all(server.data()).expect("the data directory");
        copy(&self.backup.path().join("data"), &server.data());
        server.restart();
    }
}

mod sqlite {
    memc_core::store_conformance!(super::File::new());
}

mod postgres {
    memc_core::store_conformance!(super::Database::on(super::Postgres::start(&[])));
}

mod mariadb {
    memc_core::store_conformance!(super::Database::on(super::MariaDb::start(&[])));
}
