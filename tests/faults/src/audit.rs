//! The check at the end: the store alone, and what clients were told.

use std::ops::RangeInclusive;
use std::path::Path;

use memc_core::ledger::{Change, Head, State};
use memc_core::model::{Record, Timestamp};
use memc_core::store::{Load, Store};

use crate::book::Book;
use crate::journal;
use crate::records::{Folded, Issued, Records, flaws};
use crate::target::Kind;

/// How many commits are read at once, and how often invariants are checked on the way.
const STEP: usize = 1000;

/// What a check has come to.
pub(crate) struct Audit {
    pub(crate) book: Book,
    pub(crate) head: Head,
    pub(crate) ports: Issued,
}

/// Read the journal, then the ledger from its first commit, then what it loads. All commits have to be of this time, by
/// the store's clock.
pub(crate) async fn audit(
    journal: &Path,
    store: &dyn Store,
    kind: Kind,
    time: RangeInclusive<Timestamp>,
) -> Audit {
    let mut book = Book::new(kind.shows_early());
    journal::lines(journal).for_each(|line| book.read(line));
    let (mut folded, mut state) = (Folded::new(), State::default());
    book.state(&state);
    loop {
        let commits = store.commits(folded.head.revision, STEP).await.expect("commits");
        if commits.is_empty() {
            break;
        }
        for commit in &commits {
            book.commit(commit, &state);
            folded.fold(commit).into_iter().for_each(|wrong| book.violation(wrong));
            if !time.contains(&commit.at) {
                book.violation(format!(
                    "commit {} is of {:?}, not within {time:?}",
                    commit.revision, commit.at
                ));
            }
            if let Err(error) = state.fold(commit) {
                book.violation(format!("at {}: {error}", commit.revision));
            }
            book.state(&state);
        }
        let at = folded.head.revision;
        flaws(&folded.records).into_iter().for_each(|wrong| book.violation(format!("at {at}: {wrong}")));
        if book.faults.violations.len() > 10_000 {
            book.violation("too many violations: the rest of the ledger was not read".into());
            break;
        }
    }
    let mut loaded = Loaded::default();
    let head = store.load(&mut loaded).await.expect("load");
    loaded.state.loaded(head);
    if book.known() > folded.head.revision.get() {
        book.violation(format!("{} was known, the last commit is {:?}", book.known(), folded.head));
    }
    if head != folded.head {
        book.violation(format!("loaded as of {head:?}, the last commit is {:?}", folded.head));
    }
    if loaded.records != folded.records {
        book.violation("what is loaded is not what the commits come to".into());
    }
    if loaded.state != state {
        book.violation("the state that is loaded is not the state that the commits come to".into());
    }
    book.close();
    Audit { book, head, ports: folded.issued }
}

#[derive(Default)]
struct Loaded {
    records: Records,
    state: State,
}

impl Load for Loaded {
    fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
        for record in records {
            self.state.apply(Change::Put(record.clone())).map_err(|error| error.to_string())?;
            if self.records.insert(record.key(), record).is_some() {
                return Err("a record came twice".into());
            }
        }
        Ok(())
    }
}
