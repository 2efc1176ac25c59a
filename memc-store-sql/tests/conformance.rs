//! The cases that every store must pass, on SQLite.

#![allow(clippy::expect_used)] // tests fail by panicking

use std::sync::Arc;

use memc_core::Store;
use memc_core::conformance::Fixture;
use tempfile::TempDir;

struct Sqlite(TempDir);

impl Sqlite {
    fn new() -> Self {
        Sqlite(tempfile::tempdir().expect("a temporary directory"))
    }
}

#[async_trait::async_trait]
impl Fixture for Sqlite {
    async fn open(&self) -> Arc<dyn Store> {
        let url = format!("sqlite://{}/memc.db", self.0.path().display());
        memc_store_sql::connect(&url).await.expect("connect")
    }

    fn has_constraints(&self) -> bool {
        true
    }
}

memc_core::store_conformance!(Sqlite::new());
