//! Who may use the portal: users, their teams, sessions and tokens, in a SQLite file of their own.
//!
//! Any store can keep a fleet; people are this application's own business, and small.

mod archive;
mod database;
mod members;
mod name;
mod password;
mod requests;
mod secret;
mod sessions;
mod throttle;
mod tokens;
mod users;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use memc_core::model::TeamName;
use sqlx::SqlitePool;
use tokio::sync::Semaphore;

pub use archive::{MoveError, Moved, verify};
pub(crate) use database::file_of;
pub use name::{InvalidUserName, UserName};
pub use requests::Asked;
pub use sessions::{LoginError, NewSession, Session};
pub use tokens::{NewToken, TokenInfo, TokenKind};

/// A user, with the teams they are in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// What they log in with.
    pub name: UserName,
    /// Whether they may do everything.
    pub admin: bool,
    /// The language they chose, as a tag such as `zh`; the browser's where none was chosen.
    pub language: Option<String>,
    /// The teams they are in. A team may not exist (yet, or any more) in the fleet.
    pub teams: BTreeSet<TeamName>,
}

/// The accounts could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The database did not answer, or is not one of ours.
    #[error("the accounts database: {0}")]
    Database(#[from] sqlx::Error),
    /// The address of the database is not understood.
    #[error("{0:?} is no accounts database: give sqlite:///path/to/accounts.db")]
    Url(String),
    /// The file cannot be used.
    #[error("the accounts file {path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A newer version has changed the tables.
    #[error(
        "the accounts database has version {0}, newer than this program: install the version that wrote it"
    )]
    TooNew(i64),
    /// There is a user of that name.
    #[error("there is a user {0} already")]
    UserExists(UserName),
    /// There is no user of that name.
    #[error("there is no user {0}")]
    NoSuchUser(UserName),
    /// A password that is no use.
    #[error("a password must have from {min} to {max} bytes", min = password::SHORTEST, max = password::LONGEST)]
    Password,
    /// A label that is no use.
    #[error("a label must have at most 100 characters, on one line")]
    Label,
    /// The operating system gave no randomness, or hashing had no memory.
    #[error("no secret could be made: {0}")]
    Secret(String),
}

/// The accounts, opened in this process. Clones are handles on the same ones.
#[derive(Debug, Clone)]
pub struct Accounts {
    pool: SqlitePool,
    /// Password hashing takes 19 MiB and a core each time: as many at once as there are cores.
    hashing: Arc<Semaphore>,
    pillar_tokens: Arc<tokens::PillarTokens>,
}

impl Accounts {
    /// Open the accounts in `sqlite:///path/to/file`; a file that is not there is created, for its owner alone to
    /// read.
    ///
    /// # Errors
    /// The address is not understood, the file cannot be used, or it is of a newer version.
    pub async fn open(url: &str) -> Result<Self, AccountsError> {
        let pool = database::open(url).await?;
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Accounts { pool, hashing: Arc::new(Semaphore::new(cores)), pillar_tokens: Arc::default() })
    }

    /// The version of the tables.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn schema_version(&self) -> Result<i64, AccountsError> {
        Ok(sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await?)
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn ping(&self) -> Result<(), AccountsError> {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM users").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// Finish what is being written and close the file.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
