//! The cases that every store must pass, on each kind of database.

#![allow(clippy::expect_used)] // tests fail by panicking

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memc_core::Store;
use memc_core::conformance::Fixture;
use memc_test_servers::{MariaDb, Postgres, Server};
use tempfile::TempDir;

/// A database file.
struct File(TempDir);

impl File {
    fn new() -> Self {
        File(tempfile::tempdir().expect("a temporary directory"))
    }
}

#[async_trait::async_trait]
impl Fixture for File {
    async fn open(&self) -> Arc<dyn Store> {
        let url = format!("sqlite://{}/memc.db", self.0.path().display());
        memc_store_sql::connect(&url).await.expect("connect")
    }

    fn has_constraints(&self) -> bool {
        true
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
        memc_store_sql::connect(&self.url).await.expect("connect")
    }

    fn has_constraints(&self) -> bool {
        true
    }

    async fn crash(&self) -> bool {
        let mut server = self.server();
        server.kill9();
        server.restart();
        true
    }

    async fn back_up(&self) -> bool {
        let mut server = self.server();
        server.kill9();
        copy(&server.data(), &self.backup.path().join("data"));
        server.restart();
        true
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
