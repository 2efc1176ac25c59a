//! The cases that every store must pass, on each kind of database.

#![allow(clippy::expect_used)] // tests fail by panicking

use std::sync::Arc;

use memc_core::Store;
use memc_core::conformance::Fixture;
use memc_test_servers::{MariaDb, Postgres, Server};
use tempfile::TempDir;

/// A database, and what it is in.
struct Database<T> {
    url: String,
    _place: T,
}

fn sqlite() -> Database<TempDir> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    Database { url: format!("sqlite://{}/memc.db", directory.path().display()), _place: directory }
}

fn on(server: Server) -> Database<Server> {
    Database { url: server.url(), _place: server }
}

#[async_trait::async_trait]
impl<T: Send + Sync> Fixture for Database<T> {
    async fn open(&self) -> Arc<dyn Store> {
        memc_store_sql::connect(&self.url).await.expect("connect")
    }

    fn has_constraints(&self) -> bool {
        true
    }
}

mod sqlite {
    memc_core::store_conformance!(super::sqlite());
}

mod postgres {
    memc_core::store_conformance!(super::on(super::Postgres::start(&[])));
}

mod mariadb {
    memc_core::store_conformance!(super::on(super::MariaDb::start(&[])));
}
