//! Emptying a host.

use memc_core::ledger::{Command, Inconsistent};

use crate::agree::host_name;
use crate::ledger::name;
use crate::life::Life;

/// What it came to.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    /// Memory of the instances that were moved, MiB.
    pub(crate) moved_mib: u64,
    /// Hosts for which it was not decided within the limit of work whether they can be emptied.
    pub(crate) undecided: u64,
}

/// Empty a host. Without plans of moves, that is to close it to new instances: nothing is moved, and nothing is left to be
/// decided.
pub(crate) fn drain(life: &mut Life, at: usize) -> Result<Drained, Inconsistent> {
    life.must(Command::CordonHost { name: name(&host_name(at)) })?;
    life.second.cordon(at);
    life.check(&[at]);
    Ok(Drained::default())
}
