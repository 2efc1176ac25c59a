//! A store on a database server: a connection for turns, and some for reads.

mod readers;
mod turn;

use std::error::Error;
use std::fmt::{self, Debug};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use memc_core::ledger::{Commit, Head};
use memc_core::model::{Revision, Timestamp};
use memc_core::store::{Decide, Finding, Load, Severity, Store, StoreError, TurnError};
use sqlx::Connection;
use sqlx::migrate::Migrator;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::ledger::End;
use crate::load::load;
use crate::migrate::{Applied, Schema, as_it_is, version};
use crate::session::{Failure, Session};
use crate::statement::Statements;
use crate::turn::in_a_task;
use crate::value::Unreadable;
use crate::{ConnectError, Inspection, Options, forget, ledger};
use readers::Readers;

/// An answer that is being waited for.
type Asked<'c, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'c>>;

/// What is particular to one kind of database server. What it shows for debugging has no password in it.
pub(crate) trait Server: Debug + Send + Sync + Sized + 'static {
    /// What its findings' codes begin with.
    const KIND: &'static str;

    type Connection: Session + Connection;

    /// How an encrypted connection is asked for.
    const ENCRYPTED: &'static str;

    fn statements() -> &'static Statements;

    /// Where it is and how to get in; not to be shown to anyone.
    fn address(&self) -> &<Self::Connection as Connection>::Options;

    /// Settings of every session that the ledger's promises rest on.
    fn set_up(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Settings of a session that takes turns: how long it waits for them, and how long the server bears with it.
    fn set_up_for_turns(
        connection: &mut Self::Connection,
        options: &Options,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// What the schema is made by.
    fn migrations() -> &'static Migrator;

    /// The migrations that were made; none where their table is not there.
    fn applied(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Vec<Applied>, sqlx::Error>> + Send;

    /// Bring the schema up to date, alone.
    fn migrate(connection: &mut Self::Connection) -> impl Future<Output = Result<(), ConnectError>> + Send;

    /// Begin a transaction, set the savepoint that [`Session::undo`] goes back to, take the ledger's lock, and see where
    /// the ledger ends: in one round trip. Of the lock's waiters the one that has waited longest is next.
    fn begin(
        connection: &mut Self::Connection,
        options: &Options,
    ) -> impl Future<Output = Result<Began, sqlx::Error>> + Send;

    /// Commit, durably, then let go of the lock.
    fn commit(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// End the transaction without a change, and let go of the lock.
    fn roll_back(connection: &mut Self::Connection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// Begin a transaction that sees one moment and changes nothing.
    fn begin_reading(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    /// The host and port that a connection goes to, unless it is a socket of this machine.
    fn host(&self) -> Option<(&str, u16)>;

    /// Whether this connection is encrypted.
    fn is_encrypted(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// What the server's settings say about what it acknowledges.
    fn findings(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<Vec<Finding>, sqlx::Error>> + Send;

    /// The server's version and the most important of those settings, for people to read.
    fn settings(
        connection: &mut Self::Connection,
    ) -> impl Future<Output = Result<String, sqlx::Error>> + Send;
}

/// How a turn began.
pub(crate) enum Began {
    /// With the lock, and with where the ledger ended under it.
    Alone(Result<End, Unreadable>),
    /// Not at all: the lock was another's all the time, who is named.
    Locked(String),
}

/// A ledger on a database server. Clones share their connections.
pub(crate) struct ServerStore<S: Server> {
    inner: Arc<Inner<S>>,
}

struct Inner<S: Server> {
    server: S,
    options: Options,
    readers: Readers<S::Connection>,
    /// What stood against trusting the server when it was opened, by code: whoever opened it has accepted that.
    accepted: Vec<String>,
    /// Taken out for a turn, and put back only in good order. Empty means: open another.
    writer: Mutex<Option<S::Connection>>,
}

impl<S: Server> Debug for ServerStore<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerStore").field("server", &self.inner.server).finish_non_exhaustive()
    }
}

impl<S: Server> ServerStore<S> {
    /// Connect, and see to the schema.
    pub(crate) async fn open(server: S, options: Options, schema: Schema) -> Result<Self, ConnectError> {
        let mut inner = Inner::new(server, options);
        let reading = |failure: Failure| failure.reading("open");
        let mut connection = inner.connect().await.map_err(reading)?;
        match schema {
            Schema::Migrate => S::migrate(&mut connection).await?,
            Schema::AsItIs => {
                let applied = inner.in_time(S::applied(&mut connection)).await.map_err(reading)?;
                as_it_is(&applied, S::migrations())?;
            }
        }
        let findings = inner.findings(&mut connection).await.map_err(reading)?;
        inner.accepted = refusing(&findings).map(|finding| finding.code.clone()).collect();
        inner.readers.keep(connection);
        Ok(ServerStore { inner: Arc::new(inner) })
    }
}

/// See [`crate::inspect`].
pub(crate) async fn inspect<S: Server>(server: S, options: Options) -> Result<Inspection, ConnectError> {
    let inner = Inner::new(server, options);
    let reading = |failure: Failure| failure.reading("open");
    let mut connection = inner.connect().await.map_err(reading)?;
    let settings = inner.in_time(S::settings(&mut connection)).await.map_err(reading)?;
    let applied = inner.in_time(S::applied(&mut connection)).await.map_err(reading)?;
    let mut findings = inner.findings(&mut connection).await.map_err(reading)?;
    findings.extend(inner.plaintext(&mut connection).await.map_err(reading)?);
    close(connection).await;
    Ok(Inspection { kind: S::KIND, settings, schema: version(&applied), findings })
}

impl<S: Server> ServerStore<S> {
    /// See [`crate::forget_history`].
    pub(crate) async fn forget(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let step = self
                .inner
                .read("forget", |connection| Box::pin(forget::step(connection, S::statements(), before)));
            let count = step.await?;
            forgotten += count as u64;
            if count < forget::STEP {
                return Ok(forgotten);
            }
        }
    }
}

impl<S: Server> Inner<S> {
    fn new(server: S, options: Options) -> Self {
        let (readers, writer) = (Readers::default(), Mutex::new(None));
        Inner { server, options, readers, accepted: Vec::new(), writer }
    }

    /// A new connection.
    async fn connect(&self) -> Result<S::Connection, Failure> {
        self.in_time(async {
            let mut connection = S::Connection::connect_with(self.server.address()).await?;
            S::set_up(&mut connection).await?;
            Ok(connection)
        })
        .await
    }

    /// What the server's settings say about what it acknowledges; that they cannot be read is a finding as well.
    async fn findings(&self, connection: &mut S::Connection) -> Result<Vec<Finding>, Failure> {
        match self.in_time(S::findings(connection)).await {
            // It answers, but not this.
            Err(Failure::Corrupt(error)) => Ok(vec![Finding {
                severity: Severity::Refuse,
                code: format!("{}.settings", S::KIND),
                message: format!(
                    "the server's settings cannot be read, so that nothing is known of them: {error}"
                ),
            }]),
            findings => findings,
        }
    }

    async fn plaintext(&self, connection: &mut S::Connection) -> Result<Option<Finding>, Failure> {
        let Some((host, port)) = self.server.host() else { return Ok(None) };
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let note = Finding::plaintext(S::KIND, host, &address, S::ENCRYPTED);
        // By what the connection is: most parameters ask for an encrypted one only where the server offers it.
        match note {
            Some(note) => Ok((!self.in_time(S::is_encrypted(connection)).await?).then_some(note)),
            None => Ok(None),
        }
    }

    /// What the server has to answer in time. What it does not leaves the connection in no known state.
    async fn in_time<T>(&self, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
        match tokio::time::timeout(self.options.patience, answer).await {
            Ok(answer) => answer.map_err(S::Connection::failure),
            Err(_) => Err(Failure::Unavailable(silent(self.options.patience))),
        }
    }

    /// Ask something outside any transaction.
    async fn read<T: Send>(
        &self,
        operation: &'static str,
        mut ask: impl for<'c> FnMut(&'c mut S::Connection) -> Asked<'c, T> + Send,
    ) -> Result<T, StoreError> {
        let reading = |failure: Failure| failure.reading(operation);
        let patience = self.options.patience;
        let silent = |_| StoreError::unavailable(operation, silent(patience));
        let _permit = timeout(patience, self.readers.permit()).await.map_err(silent)?;
        if let Some(mut kept) = self.readers.take() {
            match timeout(patience, ask(&mut kept)).await.map_err(silent)? {
                // The server may have been started again since it was last used, and it is not the only one.
                Err(Failure::Unavailable(_)) => self.readers.forget(),
                answer => {
                    self.readers.keep(kept);
                    return answer.map_err(reading);
                }
            }
        }
        let mut fresh = self.connect().await.map_err(reading)?;
        let answer = timeout(patience, ask(&mut fresh)).await.map_err(silent)?;
        if !matches!(answer, Err(Failure::Unavailable(_))) {
            self.readers.keep(fresh);
        }
        answer.map_err(reading)
    }
}

fn refusing(findings: &[Finding]) -> impl Iterator<Item = &Finding> {
    findings.iter().filter(|finding| finding.severity == Severity::Refuse)
}

fn silent(patience: Duration) -> Box<dyn Error + Send + Sync> {
    format!("the server has not answered for {patience:?}").into()
}

/// Tell the server, so that it need not find out by itself; whatever is wrong with it, it is not used again.
async fn close<C: Connection>(connection: C) {
    let _ = timeout(Duration::from_secs(1), connection.close()).await;
}

#[async_trait]
impl<S: Server> Store for ServerStore<S> {
    async fn head(&self) -> Result<Head, StoreError> {
        self.inner.read("head", |connection| Box::pin(ledger::head(connection, S::statements()))).await
    }

    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        // One of its own: a transaction on it ends with it, whatever becomes of the reader.
        let inner = &self.inner;
        let mut connection = inner.connect().await.map_err(|failure| failure.reading("load"))?;
        let began = inner.in_time(S::begin_reading(&mut connection)).await;
        began.map_err(|failure| failure.reading("load"))?;
        load(connection, S::statements(), inner.options.patience, into).await
    }

    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        let sql = S::statements();
        let read =
            self.inner.read("commits", |connection| Box::pin(ledger::commits(connection, sql, after, limit)));
        read.await
    }

    async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        let target = target.map(str::to_owned);
        let read = self.inner.read("history", |connection| {
            let target = target.clone();
            Box::pin(async move {
                ledger::history(connection, S::statements(), target.as_deref(), before, limit).await
            })
        });
        read.await
    }

    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        in_a_task(by, |caller| turn::run(Arc::clone(&self.inner), at, caller)).await
    }

    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        // As those that take turns.
        let inner = &self.inner;
        let reading = |failure: Failure| failure.reading("check");
        let mut connection = inner.connect().await.map_err(reading)?;
        let set_up = inner.in_time(S::set_up_for_turns(&mut connection, &inner.options)).await;
        let findings = match set_up {
            Ok(()) => inner.findings(&mut connection).await,
            Err(failure) => Err(failure),
        };
        let plaintext = inner.plaintext(&mut connection).await;
        close(connection).await;
        let mut findings = findings.map_err(reading)?;
        findings.extend(plaintext.map_err(reading)?);
        Ok(findings)
    }
}

/// A setting that must not be as it is. The code has the server's kind before the setting's name.
pub(crate) fn refuse(kind: &str, setting: &str, is: &str, needed: &str, how: &str) -> Finding {
    Finding {
        severity: Severity::Refuse,
        code: format!("{kind}.{setting}"),
        message: format!("{setting} is {is}, {needed} is needed: {how}"),
    }
}
