//! `memc-portal export`, `import`: a fleet as a file, from any store into any other.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::Args;
use memc_core::archive::{self, Moved, Since};
use memc_core::fleet::trust;
use memc_core::ledger::Head;
use memc_core::model::{Counted, Revision};

use super::Failure;
use super::history::Days;
use super::places::{FleetPlace, Risk};

#[derive(Debug, Args)]
pub(super) struct Archive {
    /// The archive: JSON lines with a checksum at its end.
    #[arg(long, value_name = "PATH")]
    file: PathBuf,
    #[command(flatten)]
    place: FleetPlace,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Where history begins: the last so many days, as in 90d, or what came after a revision. Records are as of then.
    /// Without it, all is written that the store still has.
    #[arg(long, value_name = "DAYS|REVISION", value_parser = since)]
    since: Option<Since>,
    /// An archive made earlier: what the store has forgotten is taken from there.
    #[arg(long, value_name = "PATH")]
    earlier: Option<PathBuf>,
    #[command(flatten)]
    to: Archive,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(flatten)]
    risk: Risk,
    #[command(flatten)]
    from: Archive,
}

fn since(text: &str) -> Result<Since, &'static str> {
    if let Ok(revision) = text.parse() {
        return Ok(Since::Revision(Revision::new(revision)));
    }
    // A bare number is a revision here.
    let days: Days = text.parse().map_err(|_| "write days like 90d, or a revision")?;
    Ok(Since::Time(days.ago()))
}

impl Export {
    /// Others may go on using the store meanwhile.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Export { since, earlier, to: Archive { file, place } } = self;
        let store = place.find_fleet().await?;
        let earlier = earlier.as_deref().map(read_fleet).transpose()?;
        let mut file = Unfinished::new(&file)?;
        let moved = archive::export_since(&*store, since.unwrap_or_default(), earlier, &mut file.to).await?;
        file.finish()?;
        say("written", &moved);
        Ok(())
    }
}

impl Import {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let Import { risk, from: Archive { file, place } } = self;
        let open = || read_fleet(&file);
        // Nothing is taken in from an archive that is not whole.
        if archive::verify(open()?)?.head == Head::EMPTY {
            let why = "holds no fleet: it was made of an empty store, with 0 records and 0 commits";
            return Err(format!("{} {why}", file.display()).into());
        }
        let store = place.open_store().await?;
        trust(&*store, risk.accepted()).await?;
        let moved = archive::import(&*store, open()?).await?;
        say("taken in and compared", &moved);
        say!("Users and tokens are kept apart: `memc-portal accounts export` and `accounts import`.");
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

fn read_fleet(name: &Path) -> Result<BufReader<File>, Failure> {
    read(name, "{\"memc_accounts\"", "an export of accounts: `memc-portal accounts import` takes it in")
}

/// Open an export that does not begin as the other kind does.
pub(super) fn read(name: &Path, other: &str, what: &str) -> Result<BufReader<File>, Failure> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", name.display());
    let mut file = BufReader::new(File::open(name).map_err(cannot)?);
    match file.fill_buf().map_err(cannot)?.starts_with(other.as_bytes()) {
        true => Err(format!("{} is {what}", name.display()).into()),
        false => Ok(file),
    }
}

fn say(done: &str, moved: &Moved) {
    let Moved { head, base, records, commits } = moved;
    match (records, commits) {
        (0, _) => say!("{done}: {}, up to revision {}", Counted(*commits, "commit"), head.revision),
        (_, 0) => {
            say!("{done}: {} as of revision {}, without history", Counted(*records, "record"), head.revision);
        }
        _ => say!(
            "{done}: {} as of revision {}, and {} from there up to revision {}",
            Counted(*records, "record"),
            base.revision,
            Counted(*commits, "commit"),
            head.revision
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_history_begins() {
        assert_eq!(since("841"), Ok(Since::Revision(Revision::new(841))));
        assert!(matches!(since("90d"), Ok(Since::Time(_))));
        for bad in ["", "-1", "1w", "1.5d"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
