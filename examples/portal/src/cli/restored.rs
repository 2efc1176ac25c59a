//! `memc-portal restored`

use clap::Args;
use memc_core::Fleet;
use memc_core::ledger::{Command, Order};
use memc_core::model::Reason;

use super::Failure;
use super::places::{FleetPlace, Risk};

#[derive(Debug, Args)]
pub(super) struct Restored {
    /// Which backup, and why; for the history.
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    #[command(flatten)]
    risk: Risk,
    #[command(flatten)]
    place: FleetPlace,
}

impl Restored {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let fleet = Fleet::open(self.place.restore_fleet().await?, self.risk.options()).await?;
        let command = Command::StartEpoch { reason: self.reason };
        let order = Order { actor: "operator:command-line".parse()?, request: None, command };
        fleet.submit(order).await?;
        let epoch = fleet.read(|state| state.fleet().map_or(0, |fleet| fleet.epoch));
        say!("epoch {epoch}: hosts follow this store from their next pillar on");
        say!(
            "No host takes anything new until a portal has looked at its ports: Administration, Hosts says which wait."
        );
        Ok(())
    }
}
