//! Reads never go back: what processes had in memory, in the journal's order.
//!
//! A line's read was made after its actor's line before, and before the line itself. So it is compared with what stood in
//! the journal by that line before, and what follows is compared with it.

use std::collections::{BTreeMap, HashMap};

use crate::journal::process_of;

/// What is known of a process's memory.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    /// It is of the ledger as it is now, and not of the one before a backup was put back.
    current: bool,
    /// The revision it had come to at least.
    revision: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// The server shows commits before they are on disk (InnoDB), so that a crash may take back what was read.
    early: bool,
    /// Another ledger is just taking the place of this one: nobody can tell of which a read is.
    restoring: bool,
    processes: BTreeMap<String, Memory>,
    /// What was known of its process at an actor's last line.
    actors: HashMap<String, Memory>,
    /// The highest revision that a process had in memory.
    highest: u64,
    /// Looks at the ledger's end that are under way, with what was known before.
    looking: HashMap<String, u64>,
    pub(crate) checked: u64,
    /// Reads that a crash took back.
    pub(crate) taken_back: u64,
}

impl Reads {
    pub(crate) fn new(early: bool) -> Self {
        Reads { early, ..Reads::default() }
    }

    /// A process has begun, and nobody knows yet with what.
    pub(crate) fn opened(&mut self, process: &str) {
        self.processes.insert(process.to_owned(), Memory::default());
        self.actors.retain(|actor, _| process_of(actor) != process);
        self.looking.retain(|actor, _| process_of(actor) != process);
    }

    /// Another ledger is about to take the place of this one.
    pub(crate) fn restoring(&mut self) {
        self.restoring = true;
        self.processes.values_mut().for_each(|it| *it = Memory::default());
        self.actors.clear();
        self.looking.clear();
    }

    /// It has, and ends at this revision.
    pub(crate) fn restored(&mut self, to: u64) {
        self.restoring();
        self.restoring = false;
        self.highest = self.highest.min(to);
    }

    /// The highest revision that a process had in memory, and no crash may take back.
    pub(crate) fn known(&self) -> u64 {
        self.highest
    }

    /// An actor's next line, with where its process's memory was; what is wrong.
    pub(crate) fn line(&mut self, actor: &str, seen: u64) -> Option<String> {
        let mut wrong = None;
        let memory = self.processes.entry(process_of(actor).to_owned()).or_default();
        let before = self.actors.get(actor).copied().unwrap_or_default();
        if before.current {
            self.checked += 1;
            if seen < before.revision {
                if self.early {
                    self.taken_back += 1;
                    memory.revision = seen;
                } else {
                    wrong = Some(format!("{actor}: memory went back from {} to {seen}", before.revision));
                }
            }
            memory.revision = memory.revision.max(seen);
            if !self.early {
                self.highest = self.highest.max(seen);
            }
        }
        self.actors.insert(actor.to_owned(), *memory);
        wrong
    }

    /// The store has answered a question that was asked of the ledger as it is now: memory is of that, and at this
    /// revision at least.
    pub(crate) fn answered(&mut self, actor: &str, revision: u64) {
        if self.restoring {
            return;
        }
        let memory = self.processes.entry(process_of(actor).to_owned()).or_default();
        *memory = Memory { current: true, revision: memory.revision.max(revision) };
        self.actors.insert(actor.to_owned(), *memory);
    }

    /// Somebody is about to look where the ledger ends, which is not before what is known.
    pub(crate) fn looks(&mut self, actor: &str, known: u64) {
        if !self.restoring {
            self.looking.insert(actor.to_owned(), known);
        }
    }

    /// And saw this; what is wrong.
    pub(crate) fn saw(&mut self, actor: &str, revision: u64) -> Option<String> {
        // Not one that began before another ledger took the place of the one it looked at.
        let known = self.looking.remove(actor)?;
        self.checked += 1;
        if !self.early {
            self.answered(actor, revision);
            self.highest = self.highest.max(revision);
        }
        let wrong = revision < known;
        wrong.then(|| format!("{actor}: looked after {known} was known, and saw {revision}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that has been answered at revision 10.
    fn begun(early: bool) -> Reads {
        let mut reads = Reads::new(early);
        reads.opened("user:w0");
        assert_eq!(reads.line("user:w0c0", 7), None);
        reads.answered("user:w0c0", 10);
        reads
    }

    #[test]
    fn memory_that_goes_back_is_found() {
        let mut reads = begun(false);
        assert_eq!(reads.line("user:w0c0", 12), None);
        assert!(reads.line("user:w0c0", 11).is_some());
        assert_eq!(reads.known(), 12);
        // Another client's read may have been made earlier, as its last line was.
        assert_eq!(reads.line("user:w0c1", 5), None);
        assert!(reads.line("user:w0c1", 11).is_some());
        // Another process's memory is its own, until it says otherwise; and a new run begins anew.
        assert_eq!(reads.line("user:w1c0", 3), None);
        reads.opened("user:w0");
        assert_eq!((reads.line("user:w0c0", 1), reads.line("user:w0c0", 1)), (None, None));
    }

    #[test]
    fn memory_of_a_ledger_that_was_replaced_is_not_compared() {
        let mut reads = begun(false);
        reads.restoring();
        assert_eq!((reads.line("user:w0c0", 3), reads.line("user:w0c0", 12)), (None, None));
        reads.restored(5);
        assert_eq!((reads.line("user:w0c0", 12), reads.line("user:w0c0", 3)), (None, None));
        reads.answered("user:w0c0", 6);
        assert!(reads.line("user:w0c0", 5).is_some());
    }

    #[test]
    fn a_look_that_misses_what_was_known_is_found() {
        let mut reads = begun(false);
        reads.looks("user:w1c0", 10);
        assert_eq!(reads.saw("user:w1c0", 10), None);
        reads.looks("user:w1c0", 10);
        assert!(reads.saw("user:w1c0", 9).is_some());
        reads.looks("user:w1c0", 10);
        reads.restored(4);
        assert_eq!(reads.saw("user:w1c0", 4), None);
    }

    #[test]
    fn what_is_shown_early_may_be_taken_back_and_is_counted() {
        let mut reads = begun(true);
        assert_eq!((reads.line("user:w0c0", 12), reads.line("user:w0c0", 11)), (None, None));
        assert_eq!((reads.taken_back, reads.known()), (1, 0));
        reads.looks("user:w1c0", 10);
        assert!(reads.saw("user:w1c0", 9).is_some());
    }
}
