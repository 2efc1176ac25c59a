//! `memc-portal export`, `import`: a fleet as a file, from any store into any other.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

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
    /// Others may go on using the store meanwhile.
    pub(super) async fn export(self) -> Result<(), Failure> {
        if !self.places.store_exists() {
            return Err(format!("there is no store {}", self.places.shown()).into());
        }
        let mut file = Unfinished::new(&self.file)?;
        let store = self.places.open_store().await?;
        let moved = archive::export(&*store, &mut file.to).await?;
        file.finish()?;
        say("written", &moved);
        Ok(())
    }

    pub(super) async fn import(self) -> Result<(), Failure> {
        let open = || read(&self.file);
        // Nothing is taken in from an archive that is not whole.
        archive::verify(open()?)?;
        let store = self.places.open_store().await?;
        let moved = archive::import(&*store, open()?).await?;
        say("taken in and compared", &moved);
        println!("Users and tokens are kept apart: `memc-portal accounts export` and `accounts import`.");
        Ok(())
    }
}

/// A file that appears under its name once it is whole; for its owner alone to read.
pub(super) struct Unfinished<'a> {
    pub(super) to: BufWriter<File>,
    unfinished: PathBuf,
    name: &'a Path,
}

impl<'a> Unfinished<'a> {
    pub(super) fn new(name: &'a Path) -> Result<Self, Failure> {
        if name.exists() {
            return Err(format!("{} is there already: give another name", name.display()).into());
        }
        let mut unfinished = name.to_owned().into_os_string();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let cannot = |error: std::io::Error| format!("cannot write {}: {error}", name.display());
        // One that broke off is nobody's; its mode may be anyone's.
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot(error).into()),
            _ => {}
        }
        let file = OpenOptions::new().mode(0o600).write(true).create_new(true).open(&unfinished);
        Ok(Unfinished { to: BufWriter::new(file.map_err(cannot)?), unfinished, name })
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        let done = self.to.flush().and_then(|()| self.to.get_ref().sync_all());
        let done = done.and_then(|()| std::fs::rename(&self.unfinished, self.name));
        done.map_err(|error| format!("cannot write {}: {error}", self.name.display()).into())
    }
}

pub(super) fn read(name: &Path) -> Result<BufReader<File>, Failure> {
    let file = File::open(name).map_err(|error| format!("cannot read {}: {error}", name.display()))?;
    Ok(BufReader::new(file))
}

fn say(done: &str, moved: &Moved) {
    let revision = moved.head.revision;
    match moved.commits {
        0 => println!("{done}: {} records as of revision {revision}, without history", moved.records),
        commits => println!("{done}: {commits} commits, up to revision {revision}"),
    }
}
