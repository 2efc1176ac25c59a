//! Taking a turn: a place in the queue, what was missed, the decision, and one script that appends.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use memc_core::ledger::{Commit, FORMAT, Head};
use memc_core::model::Timestamp;
use memc_core::store::{Decide, MOST_MISSED, StoreError, TurnError};
use redis::Value;
use redis::aio::MultiplexedConnection;
use tokio::time::Instant;

use crate::Inner;
use crate::append::{Append, Unfit};
use crate::error::Failure;
use crate::link::Repeat;
use crate::read::{commits_of, first_after, head_of};
use crate::reply::{list, number, text};
use crate::safety::Longest;
use crate::trim;

/// How long a turn may last, in milliseconds: whoever is paused in its turn keeps the others for so long.
const LEASE: &str = "2000";
/// How long whoever's turn has come may take to begin it, in milliseconds.
const GRACE: &str = "500";
/// How long the wake-up is waited for before the queue is asked again: it may be lost, and whoever has the turn too.
const DOZE: Duration = Duration::from_millis(250);
/// How often an append whose answer was lost is sent again, and how far apart.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_millis(500)];

/// A server closes the connection on a command of more than 1,048,576 words. Whoever batches then tries each alone.
const MOST_ARGUMENTS: usize = 1_000_000;

/// The connections on which a handle waits for its turn, while none waits on them.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Mutex<Vec<MultiplexedConnection>>);

/// Connections kept at most: callers who go away leave theirs busy for a moment.
const KEPT: usize = 4;

/// A place in the queue, or the turn; given back when it is dropped.
struct Ticket<'a> {
    inner: &'a Arc<Inner>,
    name: String,
    held: bool,
}

impl<'a> Ticket<'a> {
    fn new(inner: &'a Arc<Inner>) -> Self {
        Ticket { inner, name: inner.ticket(), held: false }
    }

    async fn leave(mut self) {
        if std::mem::take(&mut self.held) {
            // If that fails, its time runs out.
            let _ = leave(self.inner, &self.name, Head::EMPTY).await;
        }
    }

    /// Leave, and learn whether the turn was this ticket's until then, and the ledger's end this one.
    async fn leave_at(mut self, head: Head) -> Result<bool, Failure> {
        self.held = false;
        leave(self.inner, &self.name, head).await
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.held
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (inner, name) = (Arc::clone(self.inner), std::mem::take(&mut self.name));
            runtime.spawn(async move {
                let _ = leave(&inner, &name, Head::EMPTY).await;
            });
        }
    }
}

/// Whether the turn was this ticket's until now, and the ledger's end this one.
async fn leave(inner: &Inner, ticket: &str, head: Head) -> Result<bool, Failure> {
    let keys = [inner.keys.turn.as_str(), &inner.keys.queue, &inner.keys.head];
    let (revision, id) = (head.revision.to_string(), head.id.to_string());
    let arguments =
        [ticket.as_bytes(), GRACE.as_bytes(), inner.keys.wake.as_bytes(), revision.as_bytes(), id.as_bytes()];
    Ok(text(inner.scripts.leave.run(&inner.link, &keys, &arguments, Repeat::Once).await?)? == "held")
}

/// What a turn begins with.
struct Opening {
    head: Head,
    missed: Vec<Commit>,
    now: Timestamp,
}

/// What became of an append.
enum Appended {
    Done,
    /// Somebody else appended, or has the turn: surely nothing was appended.
    Lost,
}

pub(crate) async fn turn(inner: &Arc<Inner>, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
    let since = Instant::now();
    let late = || since.elapsed() > inner.options.turn_wait;
    // In the order of the callers of this handle; then among processes.
    let own = tokio::time::timeout(inner.options.turn_wait, inner.turns.lock()).await;
    let _own = own.map_err(|_| too_late("the turns before it took too long"))?;
    let (mut known, mut ticket) = (at, Ticket::new(inner));
    loop {
        // While others had the turn the caller has read what they appended.
        known = by.reached(known);
        let begun = begin(inner, &mut ticket, known).await;
        let Some(answer) = begun.map_err(|failure| failure.reading("turn"))? else {
            if late() {
                ticket.leave().await;
                return Err(too_late("other processes had their turns all the time"));
            }
            doze(inner, &ticket.name).await;
            continue;
        };
        let opened = match open(answer, known) {
            Ok(opened) => opened,
            Err(error) => {
                ticket.leave().await;
                return Err(error);
            }
        };
        let Opening { head, missed, now } = opened;
        let commits = by.decide(missed, now.max(head.at));
        known = head;
        let Some(last) = commits.last() else {
            // Whoever was held up for longer than a turn may last has decided on an end that may be none any more.
            let left = std::mem::replace(&mut ticket, Ticket::new(inner));
            if left.leave_at(head).await.map_err(|failure| failure.reading("turn"))? {
                return Ok(head);
            }
            if late() {
                return Err(too_late("this process was held up in its turn"));
            }
            continue;
        };
        let end = last.head();
        let appended = match follow(head, &commits) {
            Ok(()) => append(inner, &mut ticket, head, &commits).await,
            Err(why) => Err(TurnError::Conflict(StoreError::corrupt("append", why))),
        };
        match appended {
            Ok(Appended::Done) => {
                trim::after_append(inner, head.revision, end.revision);
                return Ok(end);
            }
            Ok(Appended::Lost) if late() => {
                ticket.leave().await;
                return Err(too_late("others appended all the time"));
            }
            Ok(Appended::Lost) => {}
            Err(error) => {
                ticket.leave().await;
                return Err(error);
            }
        }
    }
}

fn too_late(why: &str) -> TurnError {
    TurnError::Store(StoreError::unavailable("turn", why.to_owned()))
}

/// Ask for the turn; nothing if it is another's.
async fn begin(inner: &Inner, ticket: &mut Ticket<'_>, known: Head) -> Result<Option<Vec<Value>>, Failure> {
    let keys = &inner.keys;
    let names = [keys.head.as_str(), &keys.commits, &keys.turn, &keys.queue];
    let (from, limit) = (first_after(known.revision), (MOST_MISSED + 1).to_string());
    let arguments = [ticket.name.as_bytes(), from.as_bytes(), limit.as_bytes(), LEASE.as_bytes()];
    let arguments = [&arguments[..], &[GRACE.as_bytes(), keys.wake.as_bytes()]].concat();
    ticket.held = true;
    let answer = list(inner.scripts.begin.run(&inner.link, &names, &arguments, Repeat::Once).await?)?;
    Ok((answer.len() > 1).then_some(answer))
}

/// Compare the ledger's end with what the caller knows.
fn open(answer: Vec<Value>, known: Head) -> Result<Opening, TurnError> {
    let reading = |failure: Failure| failure.reading("turn");
    let [_, now, head, missed]: [Value; 4] =
        answer.try_into().map_err(|_| reading(Failure::corrupt("the server's answer is incomplete")))?;
    let head = head_of(head).map_err(reading)?;
    if head.revision < known.revision || (head.revision == known.revision && head.id != known.id) {
        return Err(TurnError::Diverged(head));
    }
    if head.format != FORMAT {
        return Err(TurnError::Format(head.format));
    }
    let missed = commits_of(missed).map_err(reading)?;
    // History before some revision may have been forgotten or replaced: what follows has to name what is known.
    if head.revision > known.revision && missed.first().is_none_or(|first| first.previous != known.id) {
        return Err(TurnError::Diverged(head));
    }
    if missed.len() > MOST_MISSED {
        return Err(TurnError::Behind);
    }
    let now = text(now).and_then(|now| number(&now)).map_err(reading)?;
    Ok(Opening { head, missed, now: Timestamp::from_millis(now) })
}

/// Whether commits continue the ledger's end. The script compares that end with what is there.
fn follow(mut head: Head, commits: &[Commit]) -> Result<(), String> {
    for commit in commits {
        if commit.revision != head.revision.next() || commit.previous != head.id || commit.at < head.at {
            return Err(format!("commit {} does not continue revision {}", commit.revision, head.revision));
        }
        head = commit.head();
    }
    Ok(())
}

/// Wait until this ticket's turn has come, or a moment.
async fn doze(inner: &Arc<Inner>, ticket: &str) {
    let mut command = redis::cmd("BLPOP");
    command.arg(format!("{}{ticket}", inner.keys.wake)).arg(DOZE.as_secs_f64());
    let inner = Arc::clone(inner);
    // In a task of its own: a caller who goes away meanwhile leaves the connection to it.
    let woken = tokio::spawn(async move {
        let waiting = || inner.waiting.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = waiting().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => {
                let current = inner.link.current().await.ok()?;
                inner.link.open(&current.address, DOZE * 20).await.ok()?
            }
        };
        command.query_async::<Value>(&mut connection).await.ok()?;
        let mut waiting = waiting();
        if waiting.len() < KEPT {
            waiting.push(connection);
        }
        Some(())
    });
    if !matches!(woken.await, Ok(Some(()))) {
        tokio::time::sleep(DOZE / 10).await;
    }
}

/// Append, and find out what became of it if the answer is lost: the script knows these commits again.
async fn append<'a>(
    inner: &'a Arc<Inner>,
    ticket: &mut Ticket<'a>,
    head: Head,
    commits: &[Commit],
) -> Result<Appended, TurnError> {
    let append =
        Append::new(&inner.keys, [&ticket.name, GRACE], head, commits).map_err(|unfit| match unfit {
            Unfit::Conflict(why) => TurnError::Conflict(StoreError::corrupt("append", why)),
            Unfit::Unwritable(error) => TurnError::Store(StoreError::corrupt("append", error)),
        })?;
    if append.keys.len() + append.arguments.len() > MOST_ARGUMENTS {
        let why = format!(
            "{} changes are more than a script of Redis takes at once, which is {MOST_ARGUMENTS} keys and arguments",
            commits.iter().map(|commit| commit.changes.len()).sum::<usize>()
        );
        return Err(TurnError::TooLong(why));
    }
    let current = inner.link.current().await.map_err(|failure| failure.reading("append"))?;
    // With the line's end, as the server counts. It is asked when it is connected to.
    let needed = append.arguments.iter().map(|it| it.len() as u64 + 2).max().unwrap_or_default();
    if let Some(Longest { bytes, setting }) = current.longest.filter(|longest| longest.bytes < needed) {
        let why = format!(
            "the server's {setting} is {bytes}, {needed} is needed: set it with CONFIG SET {setting} {needed} and in \
             redis.conf"
        );
        return Err(TurnError::TooLong(why));
    }
    let keys: Vec<&str> = append.keys.iter().map(String::as_str).collect();
    let arguments: Vec<&[u8]> = append.arguments.iter().map(Vec::as_slice).collect();
    let run = || inner.scripts.append.run(&inner.link, &keys, &arguments, Repeat::Never);
    let lost = match run().await {
        Ok(answer) => {
            let appended = appended(answer)?;
            // It is the next one's turn.
            ticket.held &= !matches!(appended, Appended::Done);
            return Ok(appended);
        }
        Err(Failure::Lost(error)) => StoreError::unavailable("append", error),
        // It says so without having begun, but for an error that no rule of the script explains.
        Err(Failure::Refused(error)) => return Err(TurnError::Unknown(StoreError::corrupt("append", error))),
        Err(failure) => return Err(TurnError::Store(failure.reading("append"))),
    };
    for pause in AGAIN {
        tokio::time::sleep(pause).await;
        if let Ok(answer) = run().await {
            let appended = appended(answer)?;
            // A first copy of it that is still on its way finds that its ticket has no turn any more.
            let spent = std::mem::replace(ticket, Ticket::new(inner));
            spent.leave().await;
            return Ok(appended);
        }
    }
    Err(TurnError::Unknown(lost))
}

fn appended(answer: Value) -> Result<Appended, TurnError> {
    let corrupt = |why: String| StoreError::corrupt("append", why);
    let mut answer = list(answer).map_err(|failure| failure.reading("append"))?.into_iter();
    let mut next = || answer.next().and_then(|value| text(value).ok()).unwrap_or_default();
    match next().as_str() {
        "done" => Ok(Appended::Done),
        "lost" => Ok(Appended::Lost),
        "conflict" => Err(TurnError::Conflict(corrupt(next()))),
        "corrupt" => Err(TurnError::Store(corrupt(next()))),
        other => Err(TurnError::Unknown(corrupt(format!("the server answered {other:?}")))),
    }
}
