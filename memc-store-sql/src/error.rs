//! Why a store could not be opened.

use std::path::PathBuf;

use memc_core::store::StoreError;

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL names no database that this crate can keep a ledger in.
    #[error("the store's URL is not usable: {0}")]
    Url(&'static str),
    /// The directory that the database file should be in is not there.
    #[error("the directory {} does not exist: create it, owned by the user this program runs as", .0.display())]
    NoDirectory(PathBuf),
    /// The database file could not be created or opened.
    #[error("{} cannot be used as a database file: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A newer version of this program has migrated the database.
    #[error(
        "the database has schema version {found}, this program knows up to {known}: install the version that migrated it"
    )]
    NewerSchema {
        /// The database's.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// The database does not answer, is locked, or is not what it should be.
    #[error(transparent)]
    Store(#[from] StoreError),
}
