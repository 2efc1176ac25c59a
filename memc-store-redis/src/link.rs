//! The connection to the server that has this ledger's keys: opened when it is needed, and again after it broke.
//!
//! All keys of a ledger are in one slot, so one connection is enough in a cluster too: to the slot's owner, which
//! redirections lead to.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use memc_core::store::{Finding, Severity};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError, ServerErrorKind,
    Value,
};
use tokio::time::Instant;

use crate::error::Failure;
use crate::keys::Keys;
use crate::safety::{self, Longest};
use crate::tls;
use crate::url::{Address, Target};

const CONNECT: Duration = Duration::from_secs(2);
/// How long a command is tried again while its keys move from one node to another.
const MOVING: Duration = Duration::from_secs(20);
const MOVING_PAUSE: Duration = Duration::from_millis(20);
/// Redirections followed in a row.
const HOPS: usize = 8;

/// Answers of a server that has surely not carried out what it was asked: it says so before it begins.
const TURNED_AWAY: [&str; 10] = [
    "LOADING",
    "CLUSTERDOWN",
    "MASTERDOWN",
    "READONLY",
    "OOM",
    "MISCONF",
    "NOREPLICAS",
    "BUSY",
    "NOAUTH",
    "NOPERM",
];

/// How a lost answer is dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It does no harm to ask a second time.
    Once,
    /// It may have been carried out: the caller decides.
    Never,
}

/// A connection, and to which node.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) address: Address,
    pub(crate) connection: MultiplexedConnection,
    /// Of the server's settings the one that limits the words of a command most, as far as they may be read.
    pub(crate) longest: Option<Longest>,
    number: u64,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// Where to look first.
    last: Option<Address>,
}

pub(crate) struct Link {
    pub(crate) target: Target,
    /// Any key of the ledger: its owner is looked for.
    key: String,
    answer: Duration,
    state: tokio::sync::Mutex<State>,
    /// How many connections there were.
    opened: AtomicU64,
    /// How many questions were asked of another node than the one that is connected to.
    elsewhere: AtomicU64,
    /// Logged by the server, so that what it has is on its disk.
    flushed: String,
    /// The codes of what stood against the server when somebody last looked, and went on.
    accepted: Mutex<Option<BTreeSet<String>>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.target.fmt(f)
    }
}

impl Link {
    pub(crate) fn new(target: Target, keys: &Keys, answer: Duration) -> Self {
        let (key, flushed) = (keys.head.clone(), keys.flushed.clone());
        let (state, accepted) = (tokio::sync::Mutex::default(), Mutex::default());
        let (opened, elsewhere) = (AtomicU64::new(0), AtomicU64::new(0));
        Link { target, key, answer, state, opened, elsewhere, flushed, accepted }
    }

    /// How many connections there were: answers of two are not of one server's memory.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    /// How many questions another node was asked, while keys were on their way to it.
    pub(crate) fn elsewhere(&self) -> u64 {
        self.elsewhere.load(Ordering::SeqCst)
    }

    /// Ask the owner of the ledger's keys.
    pub(crate) async fn ask(&self, command: &Cmd, repeat: Repeat) -> Result<Value, Failure> {
        let since = Instant::now();
        let (mut hops, mut lost) = (0, false);
        loop {
            let mut current = self.current().await?;
            let mut asked = command.query_async::<Value>(&mut current.connection).await;
            // The key is on its way: another node is asked this once.
            if let Err(error) = &asked
                && error.kind() == ErrorKind::Server(ServerErrorKind::Ask)
                && let Some(address) = redirection(error, &current.address)
            {
                asked = self.ask_once(&address, command).await;
            }
            let error = match asked {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let ErrorKind::Server(kind) = error.kind() else {
                if let ErrorKind::Extension = error.kind() {
                    return Err(answered(error));
                }
                // The connection's state is not known any more.
                self.discard(current.number, None).await;
                if repeat == Repeat::Once && !lost && !error.is_timeout() {
                    lost = true;
                    continue;
                }
                return Err(Failure::Lost(format!("{}: {error}", current.address).into()));
            };
            match kind {
                ServerErrorKind::Moved | ServerErrorKind::Ask if hops < HOPS => {
                    hops += 1;
                    let to = redirection(&error, &current.address);
                    self.discard(current.number, to.filter(|_| kind == ServerErrorKind::Moved)).await;
                }
                ServerErrorKind::TryAgain if since.elapsed() < MOVING => {
                    tokio::time::sleep(MOVING_PAUSE).await;
                }
                ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain => {
                    return Err(Failure::Away(
                        format!("the ledger's keys are moving from node to node: {error}").into(),
                    ));
                }
                // A master no more, or one that was cut off from the others: one of them may have taken over.
                ServerErrorKind::ReadOnly | ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown => {
                    self.discard(current.number, None).await;
                    return Err(answered(error));
                }
                _ => return Err(answered(error)),
            }
        }
    }

    async fn ask_once(&self, address: &Address, command: &Cmd) -> Result<Value, RedisError> {
        self.elsewhere.fetch_add(1, Ordering::SeqCst);
        let mut connection = self.open(address, self.answer).await?;
        redis::cmd("ASKING").query_async::<()>(&mut connection).await?;
        command.query_async(&mut connection).await
    }

    /// The connection that is open, or a new one to the owner of the ledger's keys.
    pub(crate) async fn current(&self) -> Result<Current, Failure> {
        let mut state = self.state.lock().await;
        if let Some(current) = &state.current {
            return Ok(current.clone());
        }
        let mut addresses: Vec<Address> = state.last.iter().cloned().collect();
        addresses.extend(self.target.addresses.iter().filter(|it| state.last.as_ref() != Some(it)).cloned());
        let mut why: Vec<String> = Vec::new();
        for address in addresses {
            match self.owner_by(address.clone()).await {
                Ok((address, mut connection, there)) => {
                    self.accept_again(&connection, &address).await?;
                    if there && let Err(error) = self.flush(&mut connection).await {
                        why.push(format!("{address}: {error}"));
                        continue;
                    }
                    let longest = safety::longest(&mut connection).await;
                    let number = self.opened.fetch_add(1, Ordering::SeqCst) + 1;
                    let current = Current { address: address.clone(), connection, longest, number };
                    if number > 1 {
                        tracing::info!(%address, "connected again");
                    }
                    state.last = Some(address);
                    state.current = Some(current.clone());
                    return Ok(current);
                }
                Err(error) => why.push(format!("{address}: {error}")),
            }
        }
        Err(Failure::Away(why.join("; ").into()))
    }

    /// A server that died while it flushed and came back has in memory what may not be on its disk, and would answer as
    /// if it were. Whatever it logs and acknowledges now flushes the log with all of that.
    async fn flush(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let mut write = redis::cmd("SET");
        write.arg(&self.flushed).arg(1).arg("PX").arg(60_000);
        match write.query_async::<()>(connection).await {
            // One that takes no writes acknowledges none either.
            Err(error) if matches!(error.kind(), ErrorKind::Server(_) | ErrorKind::Extension) => Ok(()),
            written => written,
        }
    }

    /// A connection of its own to the owner of the ledger's keys, also if nothing may be asked of it as it is set.
    pub(crate) async fn unaccepted(&self) -> Option<MultiplexedConnection> {
        for address in &self.target.addresses {
            if let Ok((_, connection, _)) = self.owner_by(address.clone()).await {
                return Some(connection);
            }
        }
        None
    }

    /// Connect to a node, and go on to the one that it says owns the ledger's keys; whether there is a ledger.
    async fn owner_by(
        &self,
        mut address: Address,
    ) -> Result<(Address, MultiplexedConnection, bool), RedisError> {
        let mut hops = 0;
        loop {
            let mut connection = self.open(&address, self.answer).await?;
            let asked = redis::cmd("EXISTS").arg(&self.key).query_async::<bool>(&mut connection).await;
            match asked {
                Ok(there) => return Ok((address, connection, there)),
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) => {
                    return Ok((address, connection, true));
                }
                Err(error) => match redirection(&error, &address) {
                    Some(next) if hops < HOPS => {
                        hops += 1;
                        address = next;
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    pub(crate) async fn open(
        &self,
        address: &Address,
        answer: Duration,
    ) -> Result<MultiplexedConnection, RedisError> {
        let mut login = RedisConnectionInfo::default().set_db(self.target.database);
        login = login.set_protocol(ProtocolVersion::RESP2);
        if let Some(user) = &self.target.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.target.password {
            login = login.set_password(password);
        }
        let client = tls::client(&self.target, address, login)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(answer));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn discard(&self, number: u64, owner: Option<Address>) {
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_some_and(|current| current.number == number) {
            state.current = None;
            if owner.is_some() {
                state.last = owner;
            }
        }
    }

    /// A server that came back, or another one after a fail-over, may be set otherwise than the one that was looked at.
    async fn accept_again(
        &self,
        connection: &MultiplexedConnection,
        address: &Address,
    ) -> Result<(), Failure> {
        let findings = safety::findings(&mut connection.clone()).await;
        let findings = findings.map_err(|error| Failure::Away(format!("{address}: {error}").into()))?;
        let known = self.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(known) = known else {
            self.accept(&findings);
            return Ok(());
        };
        let is_new = |it: &&Finding| it.severity == Severity::Refuse && !known.contains(&it.code);
        let new: Vec<&str> = findings.iter().filter(is_new).map(|it| it.message.as_str()).collect();
        if new.is_empty() {
            Ok(())
        } else {
            Err(Failure::Away(format!("{address}: {}", new.join("; ")).into()))
        }
    }

    /// Somebody was told this, and goes on: it does not stand in the way of connecting again.
    pub(crate) fn accept(&self, findings: &[Finding]) {
        let refusing = findings.iter().filter(|it| it.severity == Severity::Refuse);
        let codes = refusing.map(|it| it.code.clone()).collect();
        *self.accepted.lock().unwrap_or_else(PoisonError::into_inner) = Some(codes);
    }
}

fn redirection(error: &RedisError, answered: &Address) -> Option<Address> {
    error.redirect_node().and_then(|(node, _)| Address::of_redirection(node, answered))
}

fn answered(error: RedisError) -> Failure {
    if error.code().is_some_and(|code| TURNED_AWAY.contains(&code)) {
        Failure::Away(error.into())
    } else {
        Failure::Refused(error)
    }
}
