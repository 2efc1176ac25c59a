//! The cases that every store must pass, on MariaDB.

#![allow(clippy::expect_used)] // tests fail by panicking

use std::sync::Arc;

use memc_core::Store;
use memc_core::conformance::Fixture;
use memc_test_servers::{MariaDb, Server};

struct OnMariaDb(Server);

#[async_trait::async_trait]
impl Fixture for OnMariaDb {
    async fn open(&self) -> Arc<dyn Store> {
        memc_store_sql::connect(&self.0.url()).await.expect("connect")
    }

    fn has_constraints(&self) -> bool {
        true
    }
}

memc_core::store_conformance!(OnMariaDb(MariaDb::start(&[])));
