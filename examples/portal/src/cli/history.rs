//! `memc-portal history …`

use std::str::FromStr;

use clap::{Args, Subcommand};
use memc_core::model::{Counted, Timestamp};

use super::Failure;
use super::places::{FleetPlace, ago};

#[derive(Debug, Subcommand)]
pub(super) enum History {
    /// Delete what happened long ago from the history. Records stay as they are, and the newest 5,000 commits in any case.
    /// Portals may run meanwhile; once a day is often enough.
    Forget(Forget),
}

#[derive(Debug, Args)]
pub(super) struct Forget {
    /// How old: days, as in 365d.
    #[arg(long, value_name = "DAYS")]
    older_than: Days,
    #[command(flatten)]
    place: FleetPlace,
}

/// A number of days, written `365d` or `365`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Days(pub(super) u32);

impl Days {
    /// So many days before now, by this machine's clock.
    pub(super) fn ago(self) -> Timestamp {
        ago(self.0)
    }
}

impl FromStr for Days {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let days = text.strip_suffix('d').unwrap_or(text).parse();
        days.map(Days).map_err(|_| "write days like 365d")
    }
}

impl History {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let History::Forget(Forget { older_than: Days(days), place }) = self;
        let forgotten = place.forget_history(days).await?;
        let forgotten = Counted(forgotten, "commit");
        say!("forgotten: {forgotten}; the newest 5,000 stay, however old they are");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_days() {
        assert_eq!("365d".parse(), Ok(Days(365)));
        assert_eq!("365".parse(), Ok(Days(365)));
        for bad in ["", "d", "dd", "1w", "-1d", "1.5d", "99999999999d"] {
            assert!(bad.parse::<Days>().is_err(), "{bad}");
        }
    }
}
