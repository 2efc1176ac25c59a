//! Bringing a schema up to date: what is alike for every database.

use memc_core::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};

use crate::ConnectError;
use crate::session::Failure;

/// Beside the tables of this crate others may live in the same database, with a migrations table of their own.
pub(crate) const TABLE: &str = "memc_migrations";

/// What opening a database does about its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Schema {
    /// Make it, or bring it up to date.
    Migrate,
    /// Leave it as it is, and refuse one that is not up to date.
    AsItIs,
}

/// A migration that was made: version, checksum, whether it succeeded.
pub(crate) type Applied = (i64, Vec<u8>, bool);

/// Asks for all of them, of a database that has the table.
pub(crate) fn applied() -> String {
    format!("SELECT version, checksum, success FROM {TABLE}")
}

/// Which version of the schema they come to; `None` where there is none.
pub(crate) fn version(applied: &[Applied]) -> Option<i64> {
    applied.iter().filter(|(.., success)| *success).map(|(version, ..)| *version).max()
}

/// Refuse what cannot be used as it is.
pub(crate) fn as_it_is(applied: &[Applied], migrations: &Migrator) -> Result<(), ConnectError> {
    if up_to_date(applied, migrations)? {
        return Ok(());
    }
    match (version(applied), newest(migrations)) {
        (None, _) => Err(ConnectError::NoLedger),
        (Some(found), known) if found < known => Err(ConnectError::OlderSchema { found, known }),
        _ => {
            let why = "the migrations that were made are not those of this program";
            Err(ConnectError::Store(StoreError::corrupt("open", why)))
        }
    }
}

/// What a migration that failed means for who opens the store.
pub(crate) fn refused(
    error: MigrateError,
    migrations: &Migrator,
    failure: fn(sqlx::Error) -> Failure,
) -> ConnectError {
    match error {
        MigrateError::VersionMissing(found) if found > newest(migrations) => newer(found, migrations),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
            ConnectError::Store(failure(error).reading("migrate"))
        }
        error => ConnectError::Store(StoreError::corrupt("migrate", error)),
    }
}

fn newer(found: i64, migrations: &Migrator) -> ConnectError {
    ConnectError::NewerSchema { found, known: newest(migrations) }
}

fn newest(migrations: &Migrator) -> i64 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Whether a database in which these were made needs no more.
pub(crate) fn up_to_date(applied: &[Applied], migrations: &Migrator) -> Result<bool, ConnectError> {
    if let Some((found, ..)) = applied.iter().find(|(version, ..)| *version > newest(migrations)) {
        return Err(newer(*found, migrations));
    }
    Ok(migrations.iter().all(|known| {
        applied.iter().any(|(version, checksum, success)| {
            *success && (*version, &checksum[..]) == (known.version, &known.checksum[..])
        })
    }))
}
