//! `memc-portal export`, `import`: a fleet as a file, from any store into any other.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use clap::Args;
use memc_core::archive::{self, Moved};

use super::Failure;
use super::places::Places;

#[derive(Debug, Args)]
pub(super) struct Archive {
    /// The archive: JSON lines with a checksum at its end.
    #[arg(long, env = "MEMC_FILE", value_name = "PATH")]
    file: PathBuf,
    #[command(flatten)]
    places: Places,
}

impl Archive {
    /// The file appears under its name once it is whole. Others may go on using the store meanwhile.
    pub(super) async fn export(self) -> Result<(), Failure> {
        if !self.places.store_exists() {
            return Err(format!("there is no store {}", self.places.shown()).into());
        }
        if self.file.exists() {
            return Err(format!("{} is there already: give another name", self.file.display()).into());
        }
        let store = self.places.open_store().await?;
        let mut unfinished = self.file.clone().into_os_string();
        unfinished.push(".unfinished");
        let cannot = |error: std::io::Error| format!("cannot write {}: {error}", self.file.display());
        // Every cache's name and place: for its owner alone.
        let mut options = OpenOptions::new();
        let file = options.mode(0o600).write(true).create(true).truncate(true).open(&unfinished);
        let mut to = BufWriter::new(file.map_err(cannot)?);
        let moved = archive::export(&*store, &mut to).await?;
        to.flush().and_then(|()| to.get_ref().sync_all()).map_err(cannot)?;
        std::fs::rename(&unfinished, &self.file).map_err(cannot)?;
        say("written", &moved);
        Ok(())
    }

    pub(super) async fn import(self) -> Result<(), Failure> {
        let open = || {
            let file = File::open(&self.file);
            let file = file.map_err(|error| format!("cannot read {}: {error}", self.file.display()));
            file.map(BufReader::new)
        };
        // Nothing is taken in from an archive that is not whole.
        archive::verify(open()?)?;
        let store = self.places.open_store().await?;
        let moved = archive::import(&*store, open()?).await?;
        say("taken in and compared", &moved);
        println!("Users and tokens are kept apart: copy the accounts file, or make them anew.");
        Ok(())
    }
}

fn say(done: &str, moved: &Moved) {
    let revision = moved.head.revision;
    match moved.commits {
        0 => println!("{done}: {} records as of revision {revision}, without history", moved.records),
        commits => println!("{done}: {commits} commits, up to revision {revision}"),
    }
}
