//! The cases that every [`Store`] must pass: plain functions, each its own named test.
//!
//! For authors of stores, behind the feature `conformance`: put `memc-core` with it among the development dependencies,
//! and `async-trait`. A backend says how to open a handle, and runs them all:
//!
//! ```
//! use std::sync::Arc;
//!
//! use memc_core::Store;
//! use memc_core::conformance::Fixture;
//! use memc_core::store::MemoryStore;
//!
//! struct Memory(MemoryStore);
//!
//! #[async_trait::async_trait]
//! impl Fixture for Memory {
//!     async fn open(&self) -> Arc<dyn Store> {
//!         Arc::new(self.0.clone())
//!     }
//! }
//!
//! # mod tests { use super::*;
//! // In a module of tests: one `#[test]` for each case, each with a fixture of its own.
//! memc_core::store_conformance!(Memory(MemoryStore::new()));
//! # }
//! ```
//!
//! A store that several processes share says in a few lines more how to start one; here one on a directory, with a
//! backup as well:
//!
//! ```
//! use std::fs;
//! use std::path::PathBuf;
//! use std::process::Command;
//! use std::sync::Arc;
//!
//! use memc_core::Store;
//! use memc_core::conformance::{self, Fixture};
//! # use memc_core::store::MemoryStore as MyStore;
//! # trait Open { async fn open(_: String) -> MyStore { MyStore::new() } }
//! # impl Open for MyStore {}
//!
//! struct Place(PathBuf);
//!
//! async fn open(place: String) -> Arc<dyn Store> {
//!     Arc::new(MyStore::open(place).await)
//! }
//!
//! // To be marked `#[test]` and `#[ignore]`, though it is no test: the cases start this program again for it, in
//! // processes of their own.
//! fn process() {
//!     conformance::process(open);
//! }
//!
//! #[async_trait::async_trait]
//! impl Fixture for Place {
//!     async fn open(&self) -> Arc<dyn Store> {
//!         open(self.0.display().to_string()).await
//!     }
//!
//!     // With its modules: `sqlite::process`.
//!     fn process(&self) -> Option<Command> {
//!         Some(conformance::this_program("process", &self.0.display().to_string()))
//!     }
//!
//!     // Instead of the default, `kill -9` of such a process in the middle of a turn, where a server can be killed.
//!     async fn crash(&self) -> Result<(), &'static str> {
//!         Err("nothing here kills the server")
//!     }
//!
//!     async fn back_up(&self) -> Result<(), &'static str> {
//!         fs::copy(self.0.join("ledger"), self.0.join("copy")).map_err(|_| "the ledger cannot be copied")?;
//!         Ok(())
//!     }
//!
//!     async fn restore(&self) {
//!         fs::rename(self.0.join("copy"), self.0.join("ledger")).expect("the copy is there");
//!     }
//! }
//! ```
//!
//! The cases write whatever they like into the ledger they are given. Cases may be added in any version.
//!
//! **A case whose means a fixture does not supply passes**, and prints "not tested" and why: look for that once with
//! `cargo test -- --nocapture`. Nothing here can tell whether a store really syncs: for that, [`Fixture::crash`] has to
//! take away what it did not. Nor do the cases change the ledger's format, make commits that do not continue it, or
//! damage what is stored: authors write tests of those.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a case fails by panicking, as tests do

mod concurrency;
mod crash;
mod dropped;
mod golden;
mod history;
mod poison;
mod process;
mod random;
mod recorded;
mod records;
mod turns;

use std::process::Command;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;

use crate::Store;

pub use concurrency::{
    concurrent_turns_neither_lose_nor_double, fleets_share_a_ledger, loads_are_of_one_moment, turns_are_fair,
};
pub use crash::{a_rewound_ledger_is_found, acknowledged_outlasts_a_crash};
pub use dropped::dropped_turns_are_all_or_nothing;
pub use golden::{archives_of_earlier_formats_are_imported, commits_of_earlier_formats_are_taken};
pub use history::{commits_come_back_as_they_were, commits_come_in_pages, history_is_newest_first};
pub use poison::a_poisoned_command_harms_only_itself;
pub use random::random_commands_match_the_reference;
pub use recorded::{handles_agree_on_one_history, process, processes_agree_on_one_history, this_program};
pub use records::{an_empty_ledger, constraints_are_a_second_line, every_kind_of_record};
pub use turns::{
    a_batch_is_appended_whole, a_stale_turn_gets_what_it_missed, a_turn_that_is_held_up_ends_at_the_end,
    an_empty_turn_changes_nothing, another_history_is_diverged, handles_see_each_other, time_never_goes_back,
    too_many_missed_is_behind,
};

/// How the cases get at a store. Each case has a fixture of its own.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Another handle on this fixture's ledger, as another process would open it. The ledger is empty at first, and
    /// shared with no other fixture.
    async fn open(&self) -> Arc<dyn Store>;

    /// Whether the store keeps keys and references itself, as a second line behind the rules: one owner a port, unique
    /// names, nothing that refers to what is not there. Without them [`constraints_are_a_second_line`] is not tested.
    fn has_constraints(&self) -> bool {
        false
    }

    /// A command that starts another process, which opens this ledger at once and calls [`process`]; each call makes
    /// one. [`this_program`] makes one of a test. None if that is not supplied.
    fn process(&self) -> Option<Command> {
        None
    }

    /// Take away what is not durable and bring the store back: kill the server with no warning, or cut its power.
    /// Handles that were opened before may be of no use afterwards: the cases open new ones. No turn is under way.
    ///
    /// For a store without a server that is a process that dies in the middle of a turn, which is what happens by
    /// itself where [`Fixture::process`] is supplied.
    ///
    /// # Errors
    /// Why that is not tested.
    async fn crash(&self) -> Result<(), &'static str> {
        let process = self.process().ok_or("the fixture supplies neither a crash nor a process to kill")?;
        recorded::die_in_a_turn(process).await;
        Ok(())
    }

    /// Keep a copy of the ledger as it is, in place of any earlier one.
    ///
    /// # Errors
    /// Why that is not tested.
    async fn back_up(&self) -> Result<(), &'static str> {
        Err("the fixture supplies no backup")
    }

    /// Put the copy in place of the ledger, as a restore or a fail-over to a lagging replica does. Handles that were
    /// opened before have to go on, on the ledger as it is then: a store that keeps some of it in memory has to notice,
    /// also when the ledger has grown to the same revision again. Called only after [`Fixture::back_up`] was.
    async fn restore(&self) {}
}

/// Make a `#[test]` of every case. The expression makes a [`Fixture`](crate::conformance::Fixture); it is evaluated
/// once for each, in an `async` block of a Tokio runtime. With `; case case …` after it, of these cases only.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr) => {
        $crate::store_conformance! { $fixture;
            an_empty_ledger
            every_kind_of_record
            constraints_are_a_second_line
            commits_come_back_as_they_were
            commits_come_in_pages
            history_is_newest_first
            commits_of_earlier_formats_are_taken
            archives_of_earlier_formats_are_imported
            a_batch_is_appended_whole
            an_empty_turn_changes_nothing
            a_stale_turn_gets_what_it_missed
            a_turn_that_is_held_up_ends_at_the_end
            too_many_missed_is_behind
            another_history_is_diverged
            time_never_goes_back
            handles_see_each_other
            concurrent_turns_neither_lose_nor_double
            loads_are_of_one_moment
            fleets_share_a_ledger
            handles_agree_on_one_history
            processes_agree_on_one_history
            a_poisoned_command_harms_only_itself
            dropped_turns_are_all_or_nothing
            random_commands_match_the_reference
            turns_are_fair
            acknowledged_outlasts_a_crash
            a_rewound_ledger_is_found
        }
    };
    ($fixture:expr; $($case:ident)+) => {
        $(
            #[test]
            fn $case() {
                $crate::conformance::run(async {
                    let fixture = $fixture;
                    $crate::conformance::$case(&fixture).await;
                });
            }
        )+
    };
}

/// How long a case may take.
const AT_MOST: Duration = Duration::from_secs(120);

/// Run a case on a runtime with several threads. One that takes longer than two minutes has failed; one that does not let
/// go of its thread even then ends the whole process.
pub fn run(case: impl Future<Output = ()>) {
    let (ends, ended) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if ended.recv_timeout(AT_MOST + Duration::from_secs(10)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!(
                "a case did not end within two minutes, and blocks its thread: a store waits with `.await`, for locks as \
                 well (tokio::sync::Mutex instead of std::sync::Mutex in `turn`)"
            );
            std::process::exit(101);
        }
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let ended = runtime.block_on(async { tokio::time::timeout(AT_MOST, case).await });
    drop(ends);
    assert!(ended.is_ok(), "the case did not end within two minutes");
}

fn not_tested(what: &str) {
    eprintln!("not tested: {what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    struct Memory(MemoryStore);

    #[async_trait]
    impl Fixture for Memory {
        async fn open(&self) -> Arc<dyn Store> {
            Arc::new(self.0.clone())
        }
    }

    crate::store_conformance!(Memory(MemoryStore::new()));
}
