//! `memc-portal accounts …`: users, memberships and tokens as a file.

use std::io::Read;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use memc_core::model::Counted;

use super::Failure;
use super::archive::{Unfinished, read};
use super::places::Places;
use crate::accounts::{self, Moved};

#[derive(Debug, Subcommand)]
pub(super) enum Accounts {
    /// Write users, memberships and tokens to a file that only its owner may read: hashes, no passwords and no tokens.
    /// Sessions are left out.
    Export(InFile),
    /// Take such a file in where there are no users and no tokens yet.
    Import(InFile),
}

#[derive(Debug, Args)]
pub(super) struct InFile {
    /// JSON lines with a checksum at their end.
    #[arg(long, value_name = "PATH")]
    file: PathBuf,
    #[command(flatten)]
    places: Places,
}

impl Accounts {
    pub(super) async fn run(self) -> Result<(), Failure> {
        match self {
            Accounts::Export(InFile { file, places }) => {
                let accounts = places.open_accounts().await?;
                let mut to = Unfinished::new(&file)?;
                let moved = accounts.export(&mut to.to).await?;
                to.finish()?;
                say("written", moved);
            }
            Accounts::Import(InFile { file, places }) => {
                let fleet = "an export of a fleet: `memc-portal import` takes it in";
                let mut text = Vec::new();
                read(&file, "{\"memc_archive\"", fleet)?.read_to_end(&mut text)?;
                // No file is created for what is not taken in.
                accounts::verify(&text[..])?;
                say("taken in", places.create_accounts().await?.import(&text[..]).await?);
            }
        }
        Ok(())
    }
}

fn say(done: &str, Moved { users, members, tokens }: Moved) {
    say!(
        "{done}: {}, {}, {}",
        Counted(users, "user"),
        Counted(members, "membership"),
        Counted(tokens, "token")
    );
}
