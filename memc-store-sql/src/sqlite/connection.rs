//! Opening a database file: settings, schema, one writer and a pool of readers.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use memc_core::store::{Finding, Severity, StoreError};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection, SqlitePool};
use tokio::sync::Mutex;

use super::lock::private;
use super::session::{failure, may_not_use};
use crate::ConnectError;
use crate::migrate::{self, Applied, Schema, TABLE, as_it_is, refused};
use crate::statement::STATEMENTS_KEPT;

/// How long a statement waits for another program's lock on the database, which ours never hold for long.
const BUSY: Duration = Duration::from_secs(5);
const READERS: u32 = 4;
/// Pages that the writer keeps in memory, as KiB below zero: 16 MiB, for the indexes of a large fleet.
const WRITER_CACHE: &str = "-16384";
/// How many pages of 4 KiB the log grows to before they are moved into the database: 16 MiB. A page that many turns
/// change, as most indexes' are, is then moved once for all of them.
const CHECKPOINT: &str = "4000";

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("./migrations/sqlite");
    migrations.dangerous_set_table_name(TABLE);
    migrations
});

/// The open connections on one database file.
#[derive(Debug)]
pub(super) struct Connections {
    identity: Identity,
    pub(super) readers: SqlitePool,
    /// Taken out for a turn, and put back only in good order. Empty means: open another.
    pub(super) writer: Mutex<Option<SqliteConnection>>,
}

/// Which file a path leads to.
#[derive(Debug, PartialEq, Eq)]
struct Identity(u64, u64);

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        #[cfg(unix)]
        return {
            use std::os::unix::fs::MetadataExt;
            Ok(Identity(metadata.dev(), metadata.ino()))
        };
        #[cfg(not(unix))]
        return {
            let _ = metadata;
            Ok(Identity(0, 0))
        };
    }
}

impl Connections {
    /// Open a database that is there, and see to its schema. Whoever lets it be changed has the turn: SQLite lets nobody
    /// else change the schema or the journal mode meanwhile, but does not wait for it either.
    pub(super) async fn open(path: &Path, schema: Schema) -> Result<Self, ConnectError> {
        let away = |error: io::Error| ConnectError::Store(StoreError::unavailable("open", error));
        let identity = Identity::of(path).map_err(away)?;
        let unopened = |error| unopened(path, error);
        let writer = match schema {
            Schema::Migrate => {
                let mut writer = writer(path).await.map_err(unopened)?;
                migrate(&mut writer).await?;
                Some(writer)
            }
            Schema::AsItIs => {
                let mut reader = long_reader(path).await.map_err(unopened)?;
                let applied = applied(&mut reader).await.map_err(unopened)?;
                close(reader).await;
                as_it_is(&applied, &MIGRATIONS)?;
                None
            }
        };
        let log_of = path.to_owned();
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(BUSY)
            .after_connect(move |_, _| {
                let path = log_of.clone();
                Box::pin(async move { flush_log(&path).await })
            })
            .connect_lazy_with(options(path).pragma("query_only", "ON"));
        Ok(Connections { identity, readers, writer: Mutex::new(writer) })
    }

    /// Whether the path still leads to the file that these are connected to. A file that was removed or replaced
    /// would go on taking writes that nobody else sees.
    pub(super) fn are_of(&self, path: &Path) -> io::Result<bool> {
        Ok(Identity::of(path)? == self.identity)
    }
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY)
        .foreign_keys(true)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging()
}

/// A process that died while it flushed the log has left what SQLite's recovery takes for committed, and does not flush:
/// it would be read, and answered by, and be gone after a power cut. So this comes before the first read of a connection.
async fn flush_log(path: &Path) -> Result<(), sqlx::Error> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let flushed = tokio::task::spawn_blocking(move || match File::open(log) {
        Ok(log) => log.sync_all(),
        // It is not there, or SQLite says better what is wrong.
        Err(_) => Ok(()),
    });
    flushed.await.map_err(io::Error::other)?.map_err(sqlx::Error::Io)
}

/// A connection that commits durably.
pub(super) async fn writer(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    flush_log(path).await?;
    options(path)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("cache_size", WRITER_CACHE)
        .pragma("wal_autocheckpoint", CHECKPOINT)
        .statement_cache_capacity(STATEMENTS_KEPT)
        .connect()
        .await
}

/// A connection of its own for one long read: a transaction on it ends with it, whatever becomes of the reader.
pub(super) async fn long_reader(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    flush_log(path).await?;
    options(path).pragma("query_only", "ON").connect().await
}

/// What stands in the way of opening it. SQLite says neither of which file nor why.
pub(super) fn unopened(path: &Path, error: sqlx::Error) -> ConnectError {
    if may_not_use(&error) {
        let source = File::open(path).err().unwrap_or_else(|| {
            let files = "also who only reads writes to the -wal and -shm files beside it, and may have to make them. Run \
                         this as the file's owner";
            io::Error::new(io::ErrorKind::PermissionDenied, format!("{error}: {files}"))
        });
        return ConnectError::File { path: path.to_owned(), source };
    }
    ConnectError::Store(failure(error).reading("open"))
}

/// The migrations that were made; none where their table is not there.
pub(super) async fn applied(connection: &mut SqliteConnection) -> Result<Vec<Applied>, sqlx::Error> {
    let table = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)";
    if !sqlx::query_scalar(table).bind(TABLE).fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_as(AssertSqlSafe(migrate::applied())).fetch_all(connection).await
}

/// The version of SQLite and the file's settings, for people to read.
pub(super) async fn settings(connection: &mut SqliteConnection) -> Result<String, sqlx::Error> {
    let shown = "SELECT sqlite_version() || ', journal_mode ' || (SELECT journal_mode FROM pragma_journal_mode) \
                 || ', page_size ' || (SELECT page_size FROM pragma_page_size)";
    sqlx::query_scalar(shown).fetch_one(connection).await
}

async fn migrate(connection: &mut SqliteConnection) -> Result<(), ConnectError> {
    // A table that others refer to can be made anew only while references are not looked at; they are afterwards.
    let failed = |error: sqlx::Error| ConnectError::Store(failure(error).reading("migrate"));
    let before = schema_version(connection).await.map_err(failed)?;
    sqlx::query("PRAGMA foreign_keys = OFF").execute(&mut *connection).await.map_err(failed)?;
    // sqlx's own lock does nothing on SQLite: the caller's turn is the lock.
    // `run` takes an `Acquire`, with which the future is not `Send` for every lifetime; this is what it calls.
    let migrated = MIGRATIONS.run_direct(None, &mut *connection, false).await;
    migrated.map_err(|error| refused(error, &MIGRATIONS, failure))?;
    if schema_version(connection).await.map_err(failed)? != before {
        let broken = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut *connection).await;
        if broken.map_err(failed)?.is_some() {
            let why = "a row refers to another that is not there";
            return Err(ConnectError::Store(StoreError::corrupt("migrate", why)));
        }
    }
    sqlx::query("PRAGMA foreign_keys = ON").execute(connection).await.map_err(failed)?;
    Ok(())
}

/// Counts the changes of the schema.
async fn schema_version(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("PRAGMA schema_version").fetch_one(connection).await
}

/// Where the file is for good, if there is one.
pub(super) fn find(path: &Path) -> Result<PathBuf, ConnectError> {
    let failed = |source: io::Error| ConnectError::File { path: path.to_owned(), source };
    let found = std::fs::canonicalize(path).map_err(|error| match (error.kind(), directory(path)) {
        (io::ErrorKind::NotFound, directory) if directory.is_dir() => ConnectError::NoLedger,
        (io::ErrorKind::NotFound, directory) => ConnectError::NoDirectory(directory.to_owned()),
        _ => failed(error),
    })?;
    if found.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    Ok(found)
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(directory) if directory != Path::new("") => directory,
        _ => Path::new("."),
    }
}

/// Create the file where there is none, readable by its owner only, and say where it is for good.
pub(super) fn create(path: &Path) -> Result<PathBuf, ConnectError> {
    let failed = |source: io::Error| ConnectError::File { path: path.to_owned(), source };
    let directory = directory(path);
    if !directory.is_dir() {
        return Err(ConnectError::NoDirectory(directory.to_owned()));
    }
    match private().write(true).create_new(true).open(path) {
        // The directory's entry has to outlast a power cut as well.
        Ok(file) => file.sync_all().and_then(|()| File::open(directory)?.sync_all()).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    find(path)
}

/// What the settings of a connection say about what it acknowledges.
pub(super) async fn findings(
    connection: &mut SqliteConnection,
    schema: Schema,
) -> Result<Vec<Finding>, sqlx::Error> {
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
    let foreign_keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(&mut *connection).await?;
    Ok(judge(&journal, synchronous, foreign_keys, schema))
}

fn judge(journal: &str, synchronous: i64, foreign_keys: i64, schema: Schema) -> Vec<Finding> {
    let refuse = |setting: &str, is: &str, needed: &str, how: &str| Finding {
        severity: Severity::Refuse,
        code: format!("sqlite.{setting}"),
        message: format!("{setting} is {is}, {needed} is needed: {how}"),
    };
    let mut findings = Vec::new();
    if !journal.eq_ignore_ascii_case("wal") {
        let how = "put the database on a local file system, which write-ahead logging needs, and run \
                   PRAGMA journal_mode = WAL while no other program has it open";
        let refused = refuse("journal_mode", journal, "wal", how);
        findings.push(match schema {
            Schema::Migrate => refused,
            // Whoever only looks has not tried to switch it.
            Schema::AsItIs => Finding {
                severity: Severity::Note,
                message: format!(
                    "journal_mode is {journal}, wal is needed: opening a fleet on it switches it, and is refused if that cannot \
                     be done"
                ),
                ..refused
            },
        });
    }
    // OFF, NORMAL, FULL, EXTRA: <https://www.sqlite.org/pragma.html#pragma_synchronous>
    if synchronous < 2 {
        let how = "it is set on every connection, so SQLite was built to ignore it: use the one this program brings";
        findings.push(refuse("synchronous", &synchronous.to_string(), "2 (FULL)", how));
    }
    if foreign_keys != 1 {
        let how = "it is set on every connection, so SQLite was built without foreign keys: use the one this \
                   program brings";
        findings.push(refuse("foreign_keys", &foreign_keys.to_string(), "1 (ON)", how));
    }
    findings
}

pub(super) async fn close(connection: SqliteConnection) {
    // Whatever is wrong with it, it is not used again.
    let _ = connection.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_settings_are_refused_by_name() {
        let judge = |journal, synchronous, keys| judge(journal, synchronous, keys, Schema::Migrate);
        assert_eq!(judge("wal", 2, 1), []);
        assert_eq!(judge("WAL", 3, 1), []);
        let codes: Vec<_> = judge("delete", 1, 0).into_iter().map(|it| (it.severity, it.code)).collect();
        let refused = |code: &str| (Severity::Refuse, code.to_owned());
        assert_eq!(
            codes,
            [refused("sqlite.journal_mode"), refused("sqlite.synchronous"), refused("sqlite.foreign_keys")]
        );
    }
}
