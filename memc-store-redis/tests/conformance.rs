//! The cases that every store must pass, on one server and on a cluster.

#![allow(clippy::expect_used)] // tests fail by panicking

mod server;

mod one_server {
    use std::sync::Arc;

    use memc_core::Store;
    use memc_core::conformance::Fixture;

    use crate::server::Server;

    struct Redis(Server);

    #[async_trait::async_trait]
    impl Fixture for Redis {
        async fn open(&self) -> Arc<dyn Store> {
            memc_store_redis::connect(&self.0.url()).await.expect("connect")
        }

        fn has_constraints(&self) -> bool {
            true
        }
    }

    memc_core::store_conformance!(Redis(Server::start()));
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
