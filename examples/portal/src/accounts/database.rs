//! The accounts' file and its tables.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};

use super::AccountsError;

/// Each takes the tables one version on. What was released is never edited.
const MIGRATIONS: &[&str] = &[include_str!("../../migrations/0001_accounts.sql")];

pub(super) async fn open(url: &str) -> Result<SqlitePool, AccountsError> {
    let path = file_of(url).ok_or_else(|| AccountsError::Url(url.to_owned()))?;
    create_for_owner(&path)?;
    let file = Mutex::new(Identity::of(&path)?);
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10));
    let up_to_date = async {
        let mut connection = connect(&options).await?;
        migrate(&mut connection).await?;
        Ok(connection.close().await?)
    };
    up_to_date.await.map_err(|error| unusable(&path, error))?;
    let pool = SqlitePoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(10));
    // A file that was removed or replaced would go on letting people in whom the one that is there now does not know.
    let (path, file) = (Arc::new(path), Arc::new(file));
    let pool = pool.before_acquire(move |_, connection| {
        let (path, file) = (path.clone(), file.clone());
        Box::pin(async move {
            let now = Identity::of(&path).map_err(|error| sqlx::Error::Io(std::io::Error::other(error)))?;
            let mut known = file.lock().unwrap_or_else(PoisonError::into_inner);
            if (known.device, known.inode) != (now.device, now.inode) {
                *known = now;
            }
            Ok(connection.age < known.since.elapsed())
        })
    });
    Ok(pool.connect_with(options).await?)
}

/// SQLite says neither of which file nor what to do.
fn unusable(path: &Path, error: AccountsError) -> AccountsError {
    // SQLITE_READONLY and SQLITE_CANTOPEN; extended codes have these in their low byte.
    let is_of_permissions = |code: i32| matches!(code & 0xff, 8 | 14);
    match &error {
        AccountsError::Database(sqlx::Error::Database(said))
            if said.code().and_then(|code| code.parse().ok()).is_some_and(is_of_permissions) =>
        {
            let why = format!("{said}. Run this as the file's owner");
            let source = std::io::Error::new(ErrorKind::PermissionDenied, why);
            AccountsError::File { path: path.display().to_string(), source }
        }
        _ => error,
    }
}

/// Which file a path leads to, and since when it has been known to.
struct Identity {
    device: u64,
    inode: u64,
    since: Instant,
}

impl Identity {
    fn of(path: &Path) -> Result<Self, AccountsError> {
        let failed = |source| AccountsError::File { path: path.display().to_string(), source };
        let metadata = std::fs::metadata(path).map_err(failed)?;
        Ok(Identity { device: metadata.dev(), inode: metadata.ino(), since: Instant::now() })
    }
}

/// The file that a `sqlite:` URL names; `None` for what is none.
pub(crate) fn file_of(url: &str) -> Option<PathBuf> {
    if !url.starts_with("sqlite:") || url.contains(":memory:") || url.contains(['?', '#']) {
        return None;
    }
    let path = SqliteConnectOptions::from_str(url).ok()?.get_filename().to_owned();
    path.file_name().is_some().then_some(path)
}

/// Who creates the file decides who may read it; SQLite gives its other files the same mode.
fn create_for_owner(path: &Path) -> Result<(), AccountsError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(source) => Err(AccountsError::File { path: path.display().to_string(), source }),
    }
}

/// Turning on the write-ahead log does not wait for another process that is doing the same: try again.
async fn connect(options: &SqliteConnectOptions) -> Result<SqliteConnection, AccountsError> {
    for _ in 0..50 {
        match SqliteConnection::connect_with(options).await {
            Err(sqlx::Error::Database(error)) if error.message().contains("locked") => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            connected => return Ok(connected?),
        }
    }
    Ok(SqliteConnection::connect_with(options).await?)
}

/// Bring the tables up to date. Several processes may start at once: the second waits at `BEGIN IMMEDIATE` and finds
/// nothing left to do.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), AccountsError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *transaction).await?;
    let done = usize::try_from(version).ok().filter(|done| *done <= MIGRATIONS.len());
    let done = done.ok_or(AccountsError::TooNew(version))?;
    for migration in &MIGRATIONS[done..] {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    // A pragma takes no parameters; the number is ours.
    let stamp = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", MIGRATIONS.len()));
    sqlx::raw_sql(stamp).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}
