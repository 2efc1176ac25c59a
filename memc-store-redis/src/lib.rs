#![doc = include_str!("../README.md")]

mod append;
mod error;
mod keys;
mod link;
mod load;
mod read;
mod reply;
mod safety;
mod script;
mod tls;
mod trim;
mod turn;
mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use memc_core::Store;
use memc_core::ledger::{Commit, FORMAT, Head};
use memc_core::model::Revision;
use memc_core::store::{Decide, Finding, Load, StoreError, TurnError};
use uuid::Uuid;

pub use error::ConnectError;
use error::Failure;
use keys::Keys;
use link::{Link, Repeat};
use script::Scripts;

/// Open the store that a URL names: `redis://host:6379/0` for one server, `redis+cluster://host1:6379,host2:6379` for
/// Redis Cluster, with some of its nodes. `user:password@` goes before the first host. `?prefix=memc` is the hash tag
/// of all keys, `?history=100000` how many commits are kept.
///
/// `rediss://` and `rediss+cluster://` encrypt connections and check the server's certificate, which has to be for the
/// host in the URL: by the authorities that the system trusts, or only by those of `?cacert=/path/ca.crt`.
/// `?cert=/path/client.crt&key=/path/client.key` is what the server knows this program by, where it asks.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect(url: &str) -> Result<Arc<dyn Store>, ConnectError> {
    Ok(Arc::new(RedisStore::open(url, RedisOptions::default()).await?))
}

/// Open the store that a URL names as it is: as [`connect`], but a ledger of an older format stays one.
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect_existing(url: &str) -> Result<Arc<dyn Store>, ConnectError> {
    Ok(Arc::new(RedisStore::new(url, RedisOptions::default())?))
}

/// The version of the server that a URL names, and the settings that promises rest on, for people to read.
///
/// # Errors
/// See [`ConnectError`].
pub async fn settings(url: &str) -> Result<String, ConnectError> {
    let store = RedisStore::new(url, RedisOptions::default())?;
    Ok(safety::settings(&store.inner.link).await.map_err(|failure| failure.reading("open"))?)
}

/// Commits that are kept in any case.
pub(crate) const LEAST_HISTORY: u64 = 1000;

/// How a Redis store is run.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// How many commits are kept at least, for readers that were away and for people who read the history; a reader
    /// further behind loads anew. At least 1,000; default 100,000. `?history=` in a URL takes precedence.
    pub history: u64,
    /// How long a turn waits for the other processes' before it fails; default 30 s.
    pub turn_wait: Duration,
    /// How long an answer is waited for; default 5 s.
    pub answer_wait: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        RedisOptions {
            history: 100_000,
            turn_wait: Duration::from_secs(30),
            answer_wait: Duration::from_secs(5),
        }
    }
}

/// A ledger on a Redis server or in a Redis Cluster. Any number of handles in any number of processes may be open on it.
///
/// Clones share one connection, and another on which they wait for their turn.
#[derive(Debug, Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    link: Link,
    keys: Keys,
    scripts: Scripts,
    options: RedisOptions,
    /// The turns of this handle, in the order of its callers.
    turns: tokio::sync::Mutex<()>,
    waiting: turn::Waiting,
    handle: Uuid,
    tickets: AtomicU64,
    trimming: AtomicBool,
}

impl RedisStore {
    /// Open a ledger. One that is not there yet begins with its first commit; nothing is written before that.
    ///
    /// # Errors
    /// See [`ConnectError`].
    pub async fn open(url: &str, options: RedisOptions) -> Result<Self, ConnectError> {
        let store = Self::new(url, options)?;
        store.inner.migrate().await.map_err(|failure| failure.reading("open"))?;
        Ok(store)
    }

    fn new(url: &str, mut options: RedisOptions) -> Result<Self, ConnectError> {
        let target = crate::url::read(url, &mut options)?;
        options.history = options.history.max(LEAST_HISTORY);
        let keys = Keys::new(&target.prefix);
        let link = Link::new(target, &keys, options.answer_wait);
        let inner = Inner {
            link,
            keys,
            scripts: Scripts::new(),
            options,
            turns: tokio::sync::Mutex::default(),
            waiting: turn::Waiting::default(),
            handle: Uuid::now_v7(),
            tickets: AtomicU64::new(0),
            trimming: AtomicBool::new(false),
        };
        Ok(RedisStore { inner: Arc::new(inner) })
    }
}

impl Inner {
    /// Bring a ledger of an older format up to date. Records of format 2 are read as they are: what they lack has a
    /// value that says so.
    async fn migrate(&self) -> Result<(), Failure> {
        const OLDER: u32 = 2;
        if self.head().await?.format != OLDER {
            return Ok(());
        }
        let (from, to) = (OLDER.to_string(), FORMAT.to_string());
        let keys = [self.keys.head.as_str(), self.keys.turn.as_str()];
        let arguments = [from.as_bytes(), to.as_bytes()];
        self.scripts.migrate.run(&self.link, &keys, &arguments, Repeat::Once).await?;
        tracing::info!(from, to, "the ledger's format is a newer one from now on");
        Ok(())
    }

    /// A name that no other turn has.
    fn ticket(&self) -> String {
        format!("{}.{}", self.handle, self.tickets.fetch_add(1, Ordering::Relaxed))
    }
}

#[async_trait]
impl Store for RedisStore {
    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.head().await.map_err(|failure| failure.reading("head"))
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        load::load(&self.inner, into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.inner.commits(after, limit).await.map_err(|failure| failure.reading("commits"))
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        let history = match target {
            None => self.inner.history(before, limit).await,
            Some(target) => self.inner.history_of(target, before, limit).await,
        };
        history.map_err(|failure| failure.reading("history"))
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        turn::turn(&self.inner, at, by).await
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        safety::check(&self.inner.link).await.map_err(|failure| failure.reading("check"))
    }
}
