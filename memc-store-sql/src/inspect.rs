//! What a database is like, whatever is in it.

use memc_core::store::Finding;

use crate::url::Scheme;
use crate::{ConnectError, Options};

/// What [`inspect`] finds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Inspection {
    /// `sqlite`, `postgres` or `mariadb`.
    pub kind: &'static str,
    /// Its version, and the settings that promises rest on, for people to read.
    pub settings: String,
    /// The version of the ledger's schema; `None` where there is no ledger.
    pub schema: Option<i64>,
    /// What stands against trusting it with a ledger.
    pub findings: Vec<Finding>,
}

/// Look at the database that a URL names, whether a ledger is in it or not: nothing is created, and nothing changed.
///
/// # Errors
/// As [`connect_existing`](crate::connect_existing), but an older schema is none, and [`ConnectError::NoLedger`] only means
/// that there is no such file.
#[cfg_attr(not(any(feature = "postgres", feature = "mysql")), allow(unused_variables))]
pub async fn inspect(url: &str, options: Options) -> Result<Inspection, ConnectError> {
    match Scheme::of(url)? {
        #[cfg(feature = "sqlite")]
        Scheme::Sqlite => crate::sqlite::inspect(&crate::url::sqlite_path(url)?).await,
        #[cfg(feature = "postgres")]
        Scheme::Postgres => crate::server::inspect(crate::postgres::server(url)?, options).await,
        #[cfg(feature = "mysql")]
        Scheme::MySql => crate::server::inspect(crate::mysql::server(url)?, options).await,
        #[allow(unreachable_patterns)] // with all features on
        _ => crate::not_built_in(),
    }
}
