//! Taking turns, one after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Fixture;
use super::process::{Answer, append, assert_sound, commit, team};
use crate::ledger::{Change, Commit, Head};
use crate::model::{CommitId, Revision, Timestamp};
use crate::store::{Decide, MOST_MISSED, TurnError};

/// The commits of one turn are appended together, in their order.
pub async fn a_batch_is_appended_whole(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let details: Vec<String> = (0..64).map(|number| number.to_string()).collect();
    let details: Vec<&str> = details.iter().map(String::as_str).collect();
    let head = append(&*store, Head::EMPTY, &details).await.expect("append");
    assert_eq!(head.revision, Revision::new(64));
    let commits = store.commits(Revision::default(), 100).await.expect("commits");
    let there: Vec<&str> = commits.iter().map(|commit| commit.action.detail.as_str()).collect();
    assert_eq!(there, details);
    assert_sound(&*store).await;
}

/// A turn without commits is a confirmed read of the head.
pub async fn an_empty_turn_changes_nothing(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let nothing = |at: Head| {
        let store = store.clone();
        async move { store.turn(at, &mut Answer::new(|_| Vec::new())).await.expect("turn") }
    };
    assert_eq!(nothing(Head::EMPTY).await, Head::EMPTY);
    let head = append(&*store, Head::EMPTY, &["a", "b"]).await.expect("append");
    assert_eq!(nothing(head).await, head);
    assert_eq!(nothing(Head::EMPTY).await, head, "also for one who missed something");
    assert_eq!(store.head().await.expect("head"), head);
    assert_sound(&*store).await;
}

/// A turn from an older head is told exactly what came after it, in order.
pub async fn a_stale_turn_gets_what_it_missed(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let old = append(&*store, Head::EMPTY, &["a", "b"]).await.expect("append");
    let head = append(&*other, old, &["c", "d", "e"]).await.expect("append");
    for (at, count) in [(Head::EMPTY, 5), (old, 3), (head, 0)] {
        let mut answer = Answer::new(|_| Vec::new());
        assert_eq!(store.turn(at, &mut answer).await.expect("turn"), head);
        assert_eq!(answer.missed, store.commits(at.revision, 100).await.expect("commits"));
        assert_eq!(answer.missed.len(), count);
    }
    // One who has read on meanwhile is told all of that, or what came after what it has read.
    let known = store.commits(old.revision, 2).await.expect("commits").last().expect("a commit").head();
    let mut reader = Reader { known, missed: Vec::new() };
    assert_eq!(store.turn(old, &mut reader).await.expect("turn"), head);
    let all = store.commits(old.revision, 100).await.expect("commits");
    let rest = store.commits(known.revision, 100).await.expect("commits");
    assert!(reader.missed == all || reader.missed == rest, "{:?}", reader.missed);
    // And what it appends continues that.
    let made = commit(head, head.at, "f", vec![Change::Put(team(6, head.revision.next()))]);
    let end = made.head();
    let mut answer = Answer::new(move |_| vec![made.clone()]);
    assert_eq!(store.turn(old, &mut answer).await.expect("turn"), end);
    assert_eq!(other.head().await.expect("head"), end);
    assert_sound(&*other).await;
}

/// A caller that has read on while it waited.
struct Reader {
    known: Head,
    missed: Vec<Commit>,
}

impl Decide for Reader {
    fn reached(&self, _at: Head) -> Head {
        self.known
    }

    fn decide(&mut self, missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        self.missed = missed;
        Vec::new()
    }
}

/// Whoever is held up while it decides is not told of an end that is none any more: refusals rest on it, also of commands
/// that came meanwhile. A store keeps the others out for so long, or has it decide again, or says that it is too late.
pub async fn a_turn_that_is_held_up_ends_at_the_end(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let head = append(&*store, Head::EMPTY, &["a"]).await.expect("append");
    let (begun, begins) = tokio::sync::oneshot::channel();
    let overtaken = Arc::new(AtomicBool::new(false));
    let others = Arc::clone(&overtaken);
    let writing = tokio::spawn(async move {
        begins.await.expect("the first turn begins");
        if append(&*other, head, &["b"]).await.is_ok() {
            others.store(true, Ordering::SeqCst);
        }
    });
    let mut held_up = HeldUp { begun: Some(begun), overtaken, known: head, before: false };
    match store.turn(head, &mut held_up).await {
        Ok(end) => {
            assert_eq!(end, held_up.known, "the end is what it has decided on");
            assert!(!held_up.before || end != head, "others had appended before it decided");
        }
        Err(TurnError::Store(_) | TurnError::Unknown(_)) => {}
        Err(error) => panic!("{error:?}"),
    }
    writing.await.expect("the other turn ends");
    assert_sound(&*store).await;
}

/// Takes its time to decide, and then appends nothing.
struct HeldUp {
    begun: Option<tokio::sync::oneshot::Sender<()>>,
    overtaken: Arc<AtomicBool>,
    known: Head,
    /// Whether others appended before it had decided.
    before: bool,
}

impl Decide for HeldUp {
    fn decide(&mut self, missed: Vec<Commit>, _now: Timestamp) -> Vec<Commit> {
        self.known = missed.last().map_or(self.known, Commit::head);
        if let Some(begun) = self.begun.take() {
            begun.send(()).expect("the other waits");
            let since = Instant::now();
            while !self.overtaken.load(Ordering::SeqCst) && since.elapsed() < Duration::from_secs(4) {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.before = self.overtaken.load(Ordering::SeqCst);
        }
        Vec::new()
    }
}

/// A turn reads a bounded number of missed commits; beyond that the caller has to catch up first.
pub async fn too_many_missed_is_behind(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let details = vec![""; MOST_MISSED];
    let mut head = append(&*store, Head::EMPTY, &details).await.expect("append");
    let mut answer = Answer::new(|_| Vec::new());
    assert_eq!(store.turn(Head::EMPTY, &mut answer).await.expect("turn"), head);
    assert_eq!(answer.missed.len(), MOST_MISSED);
    head = append(&*store, head, &["one more"]).await.expect("append");
    let mut answer = Answer::new(|_| panic!("asked to decide although it is behind"));
    let taken = store.turn(Head::EMPTY, &mut answer).await;
    assert!(matches!(taken, Err(TurnError::Behind)), "{taken:?}");
    assert_eq!(store.head().await.expect("head"), head);
    append(&*store, head, &["still usable"]).await.expect("append");
}

/// A head that this ledger never had is found out, whatever its revision.
pub async fn another_history_is_diverged(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    let old = append(&*store, Head::EMPTY, &["a", "b"]).await.expect("append");
    let head = append(&*store, old, &["c"]).await.expect("append");
    let foreign = |head: Head| Head { id: CommitId::fresh(), ..head };
    let ahead = Head { revision: head.revision.next(), ..foreign(head) };
    let mut from = vec![foreign(head), ahead, foreign(old), Head { revision: Revision::new(1000), ..head }];
    from.push(Head { revision: Revision::default(), ..foreign(Head::EMPTY) });
    for at in from {
        let mut answer = Answer::new(|_| panic!("asked to decide on another history"));
        match store.turn(at, &mut answer).await {
            Err(TurnError::Diverged(found)) => assert_eq!(found, head),
            other => panic!("{other:?} at {at:?}"),
        }
    }
    assert_eq!(store.head().await.expect("head"), head);
    append(&*store, head, &["still usable"]).await.expect("append");
}

/// The time a turn is given is not before the last commit's, though that were in the future, and it passes.
pub async fn time_never_goes_back(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let now = async |at: Head| {
        let mut answer = Answer::new(|_| Vec::new());
        other.turn(at, &mut answer).await.expect("turn");
        answer.now.expect("asked to decide")
    };
    let first = now(Head::EMPTY).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(now(Head::EMPTY).await > first, "time passes");
    let future = first.after(Duration::from_secs(3600));
    let made = commit(Head::EMPTY, future, "", vec![Change::Put(team(1, Revision::new(1)))]);
    let answer = made.clone();
    let head = store.turn(Head::EMPTY, &mut Answer::new(move |_| vec![answer.clone()])).await.expect("turn");
    assert_eq!(head.at, future);
    assert!(now(head).await >= future);
    assert!(now(Head::EMPTY).await >= future, "also for one who missed something");
    assert!(future > Timestamp::default());
}

/// What one handle was told is appended, every other shows from then on, also one opened before, and one opened anew.
pub async fn handles_see_each_other(fixture: &dyn Fixture) {
    let (one, two) = (fixture.open().await, fixture.open().await);
    let mut head = Head::EMPTY;
    for round in 0..20 {
        let (writer, reader) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        head = append(&**writer, head, &["x"]).await.expect("append");
        assert_eq!(reader.head().await.expect("head"), head, "round {round}: the other handle's head");
        let last = reader.history(None, Revision::new(u64::MAX), 1).await.expect("history");
        assert_eq!(last.first().map(|commit| commit.head()), Some(head));
    }
    let three = fixture.open().await;
    assert_eq!(assert_sound(&*three).await.1, head);
}
