//! The handle people use: commands in, receipts out, reads from memory, following the ledger.

mod committer;
mod follower;
mod shared;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::ledger::{
    Command, Commit, Decision, FORMAT, Inconsistent, Order, Receipt, Refusal, State, Survey, decide,
};
use crate::model::{HostName, Instance, Phase, Principal, Revision, Timestamp};
use crate::pillar::{Document, document};
use crate::store::{Finding, Store, StoreError};
use follower::Following;
use shared::Shared;

/// How a [`Fleet`] is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the ledger's end is asked for when nobody asks; default 150 ms.
    pub poll: Duration,
    /// How many commands may wait before more are turned away with [`SubmitError::Busy`]; default 4,096.
    pub queue: usize,
    /// How often [`Store::check`] is asked whether the server can still be trusted; default one minute. While it
    /// cannot, writes fail.
    pub check_every: Duration,
    /// Write although [`Store::check`] found that acknowledged changes could be lost; default false.
    pub accept_risks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            poll: Duration::from_millis(150),
            queue: 4096,
            check_every: Duration::from_secs(60),
            accept_risks: false,
        }
    }
}

/// A fleet could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The store does not answer, or holds what cannot be.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The records contradict each other.
    #[error(transparent)]
    Inconsistent(#[from] Inconsistent),
    /// The ledger is kept in another format.
    #[error("the ledger has format {0}, this program writes {FORMAT}: install the version that migrated it")]
    Format(u32),
    /// The store's server could lose what it acknowledges.
    #[error("this store cannot be trusted with what it acknowledges: {}", .0.iter().map(|it| it.message.as_str()).collect::<Vec<_>>().join("; "))]
    Unsafe(Vec<Finding>),
    /// The fleet record could not be written.
    #[error("the fleet could not be founded: {0}")]
    Found(SubmitError),
}

/// A command was not carried out, or perhaps was.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// A rule is in the way; nothing has changed.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// The store could not do it; nothing has changed. Try again later.
    #[error("nothing was changed, try again: {0}")]
    Unavailable(String),
    /// The store's server could lose what it acknowledges since its settings were changed; nothing has changed.
    #[error("nothing was changed, writes are stopped until the store's settings are safe again: {0}")]
    Unsafe(String),
    /// The store broke off while it acknowledged. Ask again with the same request id: the answer is the receipt if it
    /// was carried out, and it is carried out once if it was not.
    #[error("whether this was carried out is not known yet: ask again with the same request id")]
    OutcomeUnknown,
    /// Too many commands are waiting; nothing has changed. Try again later.
    #[error("too many requests are waiting: try again")]
    Busy,
    /// What this alone comes to is more than the store takes in one commit; nothing has changed. Says how much, what the
    /// limit is, and how to raise it.
    #[error("nothing was changed, this is more than the store takes at once: {0}. Or ask for less at a time")]
    TooLong(String),
    /// The command brought out a bug of ours and was set aside; nothing has changed.
    #[error("this request could not be decided, and nothing was changed: please report it")]
    Internal,
    /// The fleet's tasks have ended.
    #[error("the fleet is closed")]
    Closed,
}

impl From<Refusal> for SubmitError {
    fn from(refusal: Refusal) -> Self {
        SubmitError::Refused(Box::new(refusal))
    }
}

/// What is so about this process's view of the fleet.
#[derive(Debug, Clone)]
pub struct Status {
    /// The last commit known here.
    pub revision: Revision,
    /// Whether the store could not be asked for anything newer: reads are of an older moment, writes fail.
    pub stale: bool,
    /// What operators should know.
    pub findings: Vec<Finding>,
}

/// A fleet, opened in this process. Clones are handles on the same one; its tasks end with the last handle.
#[derive(Debug, Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
    queue: mpsc::Sender<committer::Waiting>,
    refresh: Following,
}

/// What operators should know of a store before anything is written to it.
///
/// # Errors
/// [`OpenError::Unsafe`] if its server could lose what it acknowledges, unless that is accepted.
pub async fn trust(store: &dyn Store, accept_risks: bool) -> Result<Vec<Finding>, OpenError> {
    let findings = store.check().await?;
    let refusing: Vec<Finding> = watch::refusing(&findings).cloned().collect();
    if refusing.is_empty() || accept_risks { Ok(findings) } else { Err(OpenError::Unsafe(refusing)) }
}

impl Fleet {
    /// Open the fleet that this store keeps; an empty store becomes a new fleet. Needs a tokio runtime, on which its
    /// committer and its follower run.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(store: Arc<dyn Store>, options: Options) -> Result<Fleet, OpenError> {
        let findings = trust(&*store, options.accept_risks).await?;
        let state = shared::load(&*store).await?;
        if state.head().format != FORMAT {
            return Err(OpenError::Format(state.head().format));
        }
        let shared = Arc::new(Shared::new(store, state, findings));
        let (queue, waiting) = mpsc::channel(options.queue.max(1));
        let (refresh, asked) = mpsc::unbounded_channel();
        tokio::spawn(committer::run(shared.clone(), waiting, refresh.clone()));
        tokio::spawn(follower::run(shared.clone(), asked, options.poll));
        tokio::spawn(watch::run(Arc::downgrade(&shared), options.check_every, options.accept_risks));
        let fleet = Fleet { shared, queue, refresh };
        fleet.found().await?;
        Ok(fleet)
    }

    async fn found(&self) -> Result<(), OpenError> {
        if self.read(|state| state.fleet().is_some()) {
            return Ok(());
        }
        let command = Command::Found { id: uuid::Uuid::now_v7() };
        match self.submit(Order { actor: system(), request: None, command }).await {
            Ok(_) => Ok(()),
            // Another process was first.
            Err(SubmitError::Refused(refusal)) if *refusal == Refusal::Founded => Ok(()),
            Err(error) => Err(OpenError::Found(error)),
        }
    }

    /// Carry out a command. The answer comes once it is durable, and memory shows it by then.
    ///
    /// Dropping the future gives up the waiting, not the command.
    ///
    /// # Errors
    /// See [`SubmitError`].
    pub async fn submit(&self, order: Order) -> Result<Receipt, SubmitError> {
        let (answer, answered) = oneshot::channel();
        let order = Arc::new(order);
        let waiting = committer::Waiting { order: Arc::clone(&order), answer };
        self.queue.try_send(waiting).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => SubmitError::Busy,
            mpsc::error::TrySendError::Closed(_) => SubmitError::Closed,
        })?;
        match answered.await.unwrap_or(Err(SubmitError::Closed)) {
            Err(SubmitError::Refused(refusal)) if refusal.asks_for_room() => {
                // Where there are many hosts that takes a while, and other tasks have to go on.
                let (fleet, plain) = (self.clone(), refusal.clone());
                let explained = tokio::task::spawn_blocking(move || fleet.explain(&order, *refusal)).await;
                Err(SubmitError::Refused(explained.map_or(plain, Box::new)))
            }
            answer => answer,
        }
    }

    /// Work out what stood in the way, outside any turn, and without keeping writers waiting. By now others may have
    /// changed it: then the state as it is now counts, at the revision that the explanation names; and if nothing is in
    /// the way any more, it says no more than the refusal.
    fn explain(&self, order: &Order, refusal: Refusal) -> Refusal {
        if !refusal.asks_for_room() {
            return refusal;
        }
        let mut survey = Survey::new(order, self.read(|state| self.now(state)));
        while !self.read(|state| survey.read(state)) {}
        match survey.facts() {
            Some(facts) => refusal.with(facts),
            None => refusal,
        }
    }

    /// Judges cool-downs where nothing is committed: close enough, and the real decision asks the store's clock.
    fn now(&self, state: &State) -> Timestamp {
        Timestamp::of_this_machine().max(state.head().at).max(state.index().clock())
    }

    /// What a command would come to now, by what is known here; nothing changes.
    ///
    /// # Errors
    /// The [`Refusal`] it would meet.
    pub fn preview(&self, order: &Order) -> Result<Decision, Refusal> {
        let decided = self.read(|state| decide(state, order, self.now(state)));
        decided.map_err(|refusal| self.explain(order, refusal))
    }

    /// Read memory. Only acknowledged commits are in it. Keep the closure short: commits wait for it.
    pub fn read<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.shared.state())
    }

    /// Bring memory up to the ledger's end as of this call, or later.
    ///
    /// # Errors
    /// The store did not answer; memory is as it was, and marked stale.
    pub async fn refresh(&self) -> Result<Revision, Arc<StoreError>> {
        let (answer, answered) = oneshot::channel();
        let closed = || Arc::new(StoreError::unavailable("refresh", "the fleet is closed"));
        self.refresh.send(answer).map_err(|_| closed())?;
        answered.await.unwrap_or_else(|_| Err(closed()))
    }

    /// As [`refresh`](Fleet::refresh), for an answer that had better be from memory than late: two seconds are waited at
    /// most, and a quarter of one while the store is known to be away.
    ///
    /// # Errors
    /// The store has not answered so far.
    pub async fn refresh_soon(&self) -> Result<Revision, Arc<StoreError>> {
        let patience = Duration::from_millis(if self.shared.is_stale() { 250 } else { 2000 });
        let late = |_| Arc::new(StoreError::unavailable("refresh", format!("no answer within {patience:?}")));
        tokio::time::timeout(patience, self.refresh()).await.map_err(late)?
    }

    /// The pillar document of a minion, as new as the ledger is at this call; from memory and marked stale while the
    /// store is away. `None` if the fleet has no such host. Whoever hands it out says so with
    /// [`note_served`](Fleet::note_served).
    ///
    /// # Errors
    /// The store is away and the host is not known here: it may be new.
    pub async fn pillar(&self, minion: &HostName) -> Result<Option<Document>, Arc<StoreError>> {
        let refreshed = self.refresh_soon().await;
        match (self.read(|state| document(state, minion, refreshed.is_err())), refreshed) {
            (None, Err(error)) => Err(error),
            (document, _) => Ok(document),
        }
    }

    /// The whole of this document was handed to whoever asks for the host: evidence that the host could know what to
    /// stop. Kept in the ledger if something on the host waits to be stopped, otherwise forgotten.
    pub fn note_served(&self, document: &Document) {
        let minion = &document.meta.minion;
        let waits = self.read(|state| {
            let served = state.host_named(minion).map(|view| view.host.served);
            let waits = |instance: &Instance| {
                instance.phase == Phase::Releasing && served.is_some_and(|served| served < instance.revision)
            };
            document.meta.absent_ids.values().filter_map(|id| state.instance(*id)).any(waits)
        });
        if !document.meta.stale && waits {
            let command = Command::NoteServed { host: minion.clone(), document: document.meta.revision };
            let (answer, _) = oneshot::channel();
            let order = Arc::new(Order { actor: system(), request: None, command });
            // Whoever asked for the document does not wait for this; a lost note is made good by the next fetch.
            let _ = self.queue.try_send(committer::Waiting { order, answer });
        }
    }

    /// Commits before a revision, newest first; of one [`target`](crate::ledger::Action::target) where one is given.
    ///
    /// # Errors
    /// The store did not answer.
    pub async fn history(
        &self,
        target: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.shared.store().history(target, before, limit).await
    }

    /// What is so about this process's view.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            revision: self.read(|state| state.head().revision),
            stale: self.shared.is_stale(),
            findings: self.shared.findings(),
        }
    }
}

/// Who acts when the platform does something by itself.
fn system() -> Principal {
    // A constant that keeps the rule; the test below says so.
    Principal::new("system").unwrap_or_else(|_| unreachable!())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_system_has_a_name() {
        assert_eq!(super::system().as_str(), "system");
    }
}
