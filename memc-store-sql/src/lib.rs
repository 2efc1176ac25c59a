#![doc = include_str!("../README.md")]

mod error;
mod forget;
mod inspect;
mod ledger;
mod load;
mod migrate;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "postgres", feature = "mysql"))]
mod server;
mod session;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statement;
mod table;
mod turn;
mod url;
mod value;

use std::sync::Arc;
use std::time::Duration;

use memc_core::Store;

pub use error::ConnectError;
pub use forget::forget_history;
pub use inspect::{Inspection, inspect};
use migrate::Schema;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use server::ServerStore;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
use url::Scheme;

/// How a store is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a turn waits for the other processes' before it fails with a
    /// [`StoreError`](memc_core::store::StoreError) that names the one which has it; default 30 s.
    pub lock_wait: Duration,
    /// How long a database server may take to answer, once the turn has begun, before its connection is closed, and
    /// how long one of its sessions may be idle within a turn before the server ends it; default 15 s. SQLite has no
    /// server.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { lock_wait: Duration::from_secs(30), patience: Duration::from_secs(15) }
    }
}

/// Open the store that a URL names, with the usual [`Options`]:
///
/// - `sqlite:///absolute/path/memc.db`, `sqlite://relative/path/memc.db` or `sqlite:memc.db`: a file that is not there is
///   created, its directory is not;
/// - `postgres://user:password@host:port/database`;
/// - `mysql://user:password@host:port/database`, and `mariadb://` alike.
///
/// Parameters of the last two say how the connection is encrypted: `?sslmode=verify-full&sslrootcert=/path/ca.crt`,
/// `?ssl-mode=VERIFY_IDENTITY&ssl-ca=/path/ca.crt`. A server of this machine may be reached by its socket:
/// `postgres://user@/database?host=/run/postgresql`, `mysql://user@/database?socket=/run/mysqld/mysqld.sock`.
///
/// Tables are created, and an older schema is brought up to date. Several processes may do so at once.
///
/// # Errors
/// See [`ConnectError`]. None shows the URL, which may have a password in it.
pub async fn connect(url: &str) -> Result<Arc<dyn Store>, ConnectError> {
    connect_with(url, Options::default()).await
}

/// Open the store that a URL names.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(url: &str, options: Options) -> Result<Arc<dyn Store>, ConnectError> {
    open(url, options, Schema::Migrate).await
}

/// Open the store that a URL names if it is there and up to date: nothing is created, and no schema is changed.
///
/// # Errors
/// [`ConnectError::NoLedger`] and [`ConnectError::OlderSchema`], and as [`connect`].
pub async fn connect_existing(url: &str, options: Options) -> Result<Arc<dyn Store>, ConnectError> {
    open(url, options, Schema::AsItIs).await
}

async fn open(url: &str, options: Options, schema: Schema) -> Result<Arc<dyn Store>, ConnectError> {
    match Scheme::of(url)? {
        #[cfg(feature = "sqlite")]
        Scheme::Sqlite => Ok(Arc::new(SqliteStore::open_as(&url::sqlite_path(url)?, options, schema).await?)),
        #[cfg(feature = "postgres")]
        Scheme::Postgres => Ok(Arc::new(ServerStore::open(postgres::server(url)?, options, schema).await?)),
        #[cfg(feature = "mysql")]
        Scheme::MySql => Ok(Arc::new(ServerStore::open(mysql::server(url)?, options, schema).await?)),
        #[allow(unreachable_patterns)] // with all features on
        _ => not_built_in(),
    }
}

fn not_built_in<T>() -> Result<T, ConnectError> {
    Err(ConnectError::Url("this program was built without support for this kind of database"))
}
