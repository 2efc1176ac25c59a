//! The cases that every store must pass, on one server and on a cluster.

#![allow(clippy::expect_used)] // tests fail by panicking

mod server;

mod one_server {
    use std::path::Path;
    use std::process::Command;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use memc_core::Store;
    use memc_core::conformance::Fixture;
    use tempfile::TempDir;

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

    fn copy(from: &Path, to: &Path) {
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp");
        assert!(copied.success());
    }

    #[async_trait::async_trait]
    impl Fixture for Redis {
        async fn open(&self) -> Arc<dyn Store> {
            let url = self.server().url();
            memc_store_redis::connect(&url).await.expect("connect")
        }

        fn has_constraints(&self) -> bool {
            true
        }

        async fn crash(&self) -> bool {
            let mut server = self.server();
            server.kill();
            server.start_again();
            true
        }

        async fn back_up(&self) -> bool {
            let mut server = self.server();
            server.kill();
            copy(&server.path().join("appendonlydir"), &self.backup.path().join("kept"));
            server.start_again();
            true
        }

        async fn restore(&self) {
            let mut server = self.server();
            server.kill();
            let files = server.path().join("appendonlydir");
            std::fs::remove_dir_all(&files).expect("the append-only files");
            copy(&self.backup.path().join("kept"), &files);
            server.start_again();
        }
    }

    memc_core::store_conformance!(Redis::new());
}

mod cluster {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::{Arc, LazyLock, Mutex, Weak};

    use memc_core::Store;
    use memc_core::conformance::Fixture;

    use crate::server::Cluster;

    /// One cluster for all cases that run at the same time, each with keys of its own; it ends with the last of them.
    static CLUSTER: LazyLock<Mutex<Weak<Cluster>>> = LazyLock::new(Mutex::default);
    static FIXTURES: AtomicU32 = AtomicU32::new(0);

    struct Redis {
        cluster: Arc<Cluster>,
        prefix: String,
    }

    impl Redis {
        fn new() -> Self {
            let mut shared = CLUSTER.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let cluster = shared.upgrade().unwrap_or_else(|| {
                let cluster = Arc::new(Cluster::start());
                *shared = Arc::downgrade(&cluster);
                cluster
            });
            Redis { cluster, prefix: format!("case-{}", FIXTURES.fetch_add(1, Ordering::Relaxed)) }
        }
    }

    #[async_trait::async_trait]
    impl Fixture for Redis {
        async fn open(&self) -> Arc<dyn Store> {
            let url = format!("{}?prefix={}", self.cluster.url(), self.prefix);
            memc_store_redis::connect(&url).await.expect("connect")
        }

        fn has_constraints(&self) -> bool {
            true
        }
    }

    memc_core::store_conformance!(Redis::new());
}
