//! SQLite: the embedded default, for the processes of one machine.

mod connection;
mod file_system;
mod lock;
mod session;
mod turn;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use memc_core::ledger::{Commit, Head};
use memc_core::model::{Revision, Timestamp};
use memc_core::store::{Decide, Finding, Load, Store, StoreError, TurnError};
use sqlx::Sqlite;
use sqlx::pool::PoolConnection;
use tokio::sync::RwLock;

use crate::load::load;
use crate::migrate::{Schema, version};
use crate::statement::{Dialect, Statements};
use crate::turn::in_a_task;
use crate::{ConnectError, Inspection, Options, forget, ledger};
use connection::Connections;
use session::failure;

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(&Dialect {
        placeholder: |n| format!("?{n}"),
        clock: "CAST(round(unixepoch('subsec') * 1000) AS INTEGER)",
        selected: |name, _| name.into(),
    })
});

/// A ledger in a SQLite file. Any number of handles in any number of processes of one machine may be open on it.
///
/// Clones share one writer connection and one pool of readers. Beside `memc.db` there are SQLite's own `memc.db-wal`
/// and `memc.db-shm`, and `memc.db.wait3`, `.wait2`, `.wait1`, `.next` and `.turn`, through which processes take turns.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    options: Options,
    /// What is done about that of a file which replaces this one.
    schema: Schema,
    turns: lock::Turns,
    connections: RwLock<Arc<Connections>>,
    /// A commit failed in a way that a crash could turn into success: the next transaction has to write something.
    unsettled: AtomicBool,
}

impl SqliteStore {
    /// Open a ledger. Where there is no such file it is created, readable by its owner only; its directory has to be
    /// there. An older schema is brought up to date.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, ConnectError> {
        Self::open_as(path.as_ref(), options, Schema::Migrate).await
    }

    pub(crate) async fn open_as(path: &Path, options: Options, schema: Schema) -> Result<Self, ConnectError> {
        let path = match schema {
            Schema::Migrate => connection::create(path)?,
            Schema::AsItIs => connection::find(path)?,
        };
        let file = |source| ConnectError::File { path: path.clone(), source };
        let turns = lock::Turns::of(&path).map_err(file)?;
        let connections = open(&path, &turns, &options, schema).await?;
        let connections = RwLock::new(Arc::new(connections));
        let unsettled = AtomicBool::new(false);
        let inner = Inner { path, options, schema, turns, connections, unsettled };
        Ok(SqliteStore { inner: Arc::new(inner) })
    }

    /// See [`crate::forget_history`].
    pub(crate) async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let reading = |error| failure(error).reading("forget");
        let away = |error| StoreError::unavailable("forget", error);
        let mut writer = connection::writer(&self.inner.path).await.map_err(reading)?;
        let mut forgotten = 0;
        loop {
            // In turns, since a writer who only tries again is not served in any order.
            let _turn = self.inner.turns.take(self.inner.options.lock_wait).await.map_err(away)?;
            // In a transaction, so that no older ledger takes this one's place between a look and what is deleted.
            sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut writer).await.map_err(reading)?;
            let step = forget::step(&mut writer, &STATEMENTS, before).await;
            let count = step.map_err(|failure| failure.reading("forget"))?;
            sqlx::raw_sql("COMMIT").execute(&mut writer).await.map_err(reading)?;
            forgotten += count as u64;
            if count < forget::STEP {
                connection::close(writer).await;
                return Ok(forgotten);
            }
        }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }
}

async fn open(
    path: &Path,
    turns: &lock::Turns,
    options: &Options,
    schema: Schema,
) -> Result<Connections, ConnectError> {
    let away = |error| ConnectError::Store(StoreError::unavailable("open", error));
    // Its files are made where there are none, so that whoever only looks goes without.
    let _turn = match schema {
        Schema::Migrate => Some(turns.take(options.lock_wait).await.map_err(away)?),
        Schema::AsItIs => None,
    };
    Connections::open(path, schema).await
}

/// See [`crate::inspect`].
pub(crate) async fn inspect(path: &Path) -> Result<Inspection, ConnectError> {
    let path = connection::find(path)?;
    let unopened = |error| connection::unopened(&path, error);
    let mut connection = connection::long_reader(&path).await.map_err(unopened)?;
    let settings = connection::settings(&mut connection).await.map_err(unopened)?;
    let schema = version(&connection::applied(&mut connection).await.map_err(unopened)?);
    connection::close(connection).await;
    let findings = file_system::finding(&path).into_iter().collect();
    Ok(Inspection { kind: "sqlite", settings, schema, findings })
}

impl Inner {
    /// The connections on the file that the path leads to now: it may have been replaced, by a backup say.
    async fn connections(&self) -> Result<Arc<Connections>, StoreError> {
        let away = |error: std::io::Error| {
            StoreError::unavailable("open", format!("{} cannot be reached: {error}", self.path.display()))
        };
        let connections = Arc::clone(&*self.connections.read().await);
        if connections.are_of(&self.path).map_err(away)? {
            return Ok(connections);
        }
        drop(connections);
        let mut current = self.connections.write().await;
        if !current.are_of(&self.path).map_err(away)? {
            tracing::warn!(path = %self.path.display(), "the database file was replaced: it is opened anew");
            // SQLite leaves the new file's log alone when the last connection to the old one closes.
            current.readers.close().await;
            let opened = open(&self.path, &self.turns, &self.options, self.schema).await;
            *current = Arc::new(opened.map_err(|error| match error {
                ConnectError::Store(error) => error,
                error => StoreError::corrupt("open", error),
            })?);
        }
        Ok(Arc::clone(&current))
    }

    /// A connection for one statement, outside any transaction.
    async fn reader(&self, operation: &'static str) -> Result<PoolConnection<Sqlite>, StoreError> {
        let connections = self.connections().await?;
        connections.readers.acquire().await.map_err(|error| failure(error).reading(operation))
    }

    fn is_unsettled(&self) -> bool {
        self.unsettled.load(Ordering::Acquire)
    }

    fn set_unsettled(&self, unsettled: bool) {
        self.unsettled.store(unsettled, Ordering::Release);
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn head(&self) -> Result<Head, StoreError> {
        let mut reader = self.inner.reader("head").await?;
        ledger::head(&mut *reader, &STATEMENTS).await.map_err(|failure| failure.reading("head"))
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        // For its check of the file.
        self.inner.connections().await?;
        let reading = |error| failure(error).reading("load");
        let mut reader = connection::long_reader(&self.inner.path).await.map_err(reading)?;
        sqlx::raw_sql("BEGIN").execute(&mut reader).await.map_err(reading)?;
        load(reader, &STATEMENTS, self.inner.options.patience, into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        let mut reader = self.inner.reader("commits").await?;
        let commits = ledger::commits(&mut *reader, &STATEMENTS, after, limit).await;
        commits.map_err(|failure| failure.reading("commits"))
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        let mut reader = self.inner.reader("history").await?;
        let commits = ledger::history(&mut *reader, &STATEMENTS, target, before, limit).await;
        commits.map_err(|failure| failure.reading("history"))
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        in_a_task(by, |caller| turn::run(Arc::clone(&self.inner), at, caller)).await
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.inner.connections().await?;
        let reading = |error| failure(error).reading("check");
        // Not as a writer, which switches the file to write-ahead logging: looking changes nothing.
        let mut connection = connection::long_reader(&self.inner.path).await.map_err(reading)?;
        let mut findings = connection::findings(&mut connection, self.inner.schema).await.map_err(reading)?;
        connection::close(connection).await;
        findings.extend(file_system::finding(&self.inner.path));
        Ok(findings)
    }
}
