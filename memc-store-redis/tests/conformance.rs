//! The cases that every store must pass, on one server and on a cluster.

#![allow(clippy::expect_used)] // tests fail by panicking

mod server;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use memc_core::Store;
use memc_core::conformance::{self, Fixture};

async fn connect(url: String) -> Arc<dyn Store> {
    memc_store_redis::connect(&url).await.expect("connect")
}

/// Not a test: what the cases start in processes of their own.
#[test]
#[ignore = "started by the cases, in processes of their own"]
fn process() {
    conformance::process(connect);
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
    assert!(copied.success());
}

mod one_server {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use tempfile::TempDir;

    use super::*;
    use crate::server::Server;

    struct Redis {
        server: Mutex<Server>,
        backup: TempDir,
    }

    impl Redis {
        fn new() -> Self {
            Redis { server: Mutex::new(Server::start()), backup: tempfile::tempdir().expect("a directory") }
        }

        fn server(&self) -> MutexGuard<'_, Server> {
            self.server.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    #[async_trait::async_trait]
    impl Fixture for Redis {
        async fn open(&self) -> Arc<dyn Store> {
            let url = self.server().url();
            connect(url).await
        }

        fn has_constraints(&self) -> bool {
            true
        }

        fn process(&self) -> Option<Command> {
            Some(conformance::this_program("process", &self.server().url()))
        }

        async fn crash(&self) -> Result<(), &'static str> {
            let mut server = self.server();
            server.kill();
            server.start_again();
            Ok(())
        }

        async fn back_up(&self) -> Result<(), &'static str> {
            let mut server = self.server();
            server.kill();
            copy(&server.appendonly(), &self.backup.path().join("kept"));
            server.start_again();
            Ok(())
        }

        async fn restore(&self) {
            let mut server = self.server();
            server.kill();
            let files = server.appendonly();
            std::fs::remove_dir_all(&files).expect("the append-only files");
            copy(&self.backup.path().join("kept"), &files);
            server.start_again();
        }
    }

    memc_core::store_conformance!(Redis::new());
}

mod cluster {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{LazyLock, Mutex, PoisonError, Weak};

    use super::*;
    use crate::server::Cluster;

    /// One cluster for all cases that run at the same time, each with keys of its own; it ends with the last of them.
    static CLUSTER: LazyLock<Mutex<Weak<Cluster>>> = LazyLock::new(Mutex::default);
    static FIXTURES: AtomicU32 = AtomicU32::new(0);
    const SHARED: &str = "other cases use this cluster at the same time; `cluster_of_its_own` tests it";

    struct Redis {
        cluster: Arc<Cluster>,
        prefix: String,
    }

    impl Redis {
        fn new() -> Self {
            let mut shared = CLUSTER.lock().unwrap_or_else(PoisonError::into_inner);
            let cluster = shared.upgrade().unwrap_or_else(|| {
                let cluster = Arc::new(Cluster::start());
                *shared = Arc::downgrade(&cluster);
                cluster
            });
            Redis { cluster, prefix: format!("case-{}", FIXTURES.fetch_add(1, Ordering::Relaxed)) }
        }

        fn url(&self) -> String {
            format!("{}?prefix={}", self.cluster.url(), self.prefix)
        }
    }

    #[async_trait::async_trait]
    impl Fixture for Redis {
        async fn open(&self) -> Arc<dyn Store> {
            connect(self.url()).await
        }

        fn has_constraints(&self) -> bool {
            true
        }

        fn process(&self) -> Option<Command> {
            Some(conformance::this_program("process", &self.url()))
        }

        async fn crash(&self) -> Result<(), &'static str> {
            Err(SHARED)
        }

        async fn back_up(&self) -> Result<(), &'static str> {
            Err(SHARED)
        }
    }

    memc_core::store_conformance!(Redis::new());
}

mod cluster_of_its_own {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use tempfile::TempDir;

    use super::*;
    use crate::server::Cluster;

    struct Redis {
        cluster: Mutex<Cluster>,
        backup: TempDir,
    }

    impl Redis {
        fn new() -> Self {
            let backup = tempfile::tempdir().expect("a directory");
            Redis { cluster: Mutex::new(Cluster::start()), backup }
        }

        fn cluster(&self) -> MutexGuard<'_, Cluster> {
            self.cluster.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// All of its nodes die at once.
    #[async_trait::async_trait]
    impl Fixture for Redis {
        async fn open(&self) -> Arc<dyn Store> {
            let url = self.cluster().url();
            connect(url).await
        }

        async fn crash(&self) -> Result<(), &'static str> {
            let mut cluster = self.cluster();
            cluster.kill();
            cluster.start_again();
            Ok(())
        }

        async fn back_up(&self) -> Result<(), &'static str> {
            let mut cluster = self.cluster();
            cluster.kill();
            for (number, node) in cluster.nodes.iter().enumerate() {
                copy(&node.appendonly(), &self.backup.path().join(number.to_string()));
            }
            cluster.start_again();
            Ok(())
        }

        async fn restore(&self) {
            let mut cluster = self.cluster();
            cluster.kill();
            for (number, node) in cluster.nodes.iter().enumerate() {
                std::fs::remove_dir_all(node.appendonly()).expect("the append-only files");
                copy(&self.backup.path().join(number.to_string()), &node.appendonly());
            }
            cluster.start_again();
        }
    }

    memc_core::store_conformance!(Redis::new(); acknowledged_outlasts_a_crash a_rewound_ledger_is_found);
}
