//! Why a store could not be opened.

use std::path::PathBuf;

use memc_core::store::StoreError;

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL names no kind of database that this crate knows.
    #[error(
        "the store's URL is not usable: it begins with none of sqlite:, postgres:, mysql: and mariadb:. Write \
         sqlite:///path/to/memc.db, or postgres://user:password@host/database"
    )]
    Scheme,
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
    /// There is no ledger to open as it is.
    #[error("there is no ledger in this database: check the URL. Opening it with `connect` makes one")]
    NoLedger,
    /// The schema is older than this version's, and was to be left as it is.
    #[error(
        "the database has schema version {found}, this program's is {known}: make a backup with the version that wrote \
         it, then open it with `connect`, which brings it up to date"
    )]
    OlderSchema {
        /// The database's.
        found: i64,
        /// This program's.
        known: i64,
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
