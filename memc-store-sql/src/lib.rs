#![doc = include_str!("../README.md")]

mod error;
mod ledger;
mod session;
mod sqlite;
mod statement;
mod table;
mod url;
mod value;

use std::sync::Arc;

use memc_core::Store;

pub use error::ConnectError;
pub use sqlite::{SqliteOptions, SqliteStore};

/// Open the store that a URL names: `sqlite:///absolute/path/memc.db`, `sqlite://relative/path/memc.db` or
/// `sqlite:memc.db`. A file that is not there is created, its directory is not. Several processes may do so at once.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(url: &str) -> Result<Arc<dyn Store>, ConnectError> {
    let path = crate::url::sqlite_path(url)?;
    Ok(Arc::new(SqliteStore::open(path, SqliteOptions::default()).await?))
}
