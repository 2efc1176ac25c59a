//! Bringing a schema up to date: what is alike for every database.

use memc_core::store::StoreError;
use sqlx::migrate::{MigrateError, Migrator};

use crate::ConnectError;
use crate::session::Failure;

/// Beside the tables of this crate others may live in the same database, with a migrations table of their own.
pub(crate) const TABLE: &str = "memc_migrations";

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

/// Whether a database whose migrations table has these rows (version, checksum, success) needs none.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn up_to_date(
    applied: &[(i64, Vec<u8>, bool)],
    migrations: &Migrator,
) -> Result<bool, ConnectError> {
    if let Some((found, ..)) = applied.iter().find(|(version, ..)| *version > newest(migrations)) {
        return Err(newer(*found, migrations));
    }
    Ok(migrations.iter().all(|known| {
        applied.iter().any(|(version, checksum, success)| {
            *success && (*version, &checksum[..]) == (known.version, &known.checksum[..])
        })
    }))
}
