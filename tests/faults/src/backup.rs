//! A copy of the data from earlier, and putting it back.
//!
//! A server's is a copy of its files while it is dead. SQLite's is taken and put back by its own means, while processes
//! have the database open.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the copy is.
#[derive(Debug)]
pub(crate) struct Backup(PathBuf);

impl Backup {
    /// None yet; beside other files of the campaign.
    pub(crate) fn within(directory: &Path) -> Self {
        Backup(directory.join("backup"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// Copy the files of a server that is dead, in place of an earlier copy.
    pub(crate) fn copy(&self, data: &Path) {
        copy(data, &self.0);
    }

    /// Put the copy in place of the files of a server that is dead.
    pub(crate) fn put_back(&self, data: &Path) {
        copy(&self.0, data);
    }

    /// Copy a SQLite database that is in use, as of one moment: `.backup` begins anew whenever another process has
    /// written, and never ends where several do all the time.
    pub(crate) fn copy_database(&self, database: &Path) {
        let fresh = self.0.with_extension("new");
        run(sqlite3(database).arg(format!("VACUUM INTO '{}'", fresh.display())));
        std::fs::rename(&fresh, &self.0).expect("the copy can be renamed");
    }

    /// Put the copy in place of what a SQLite database holds that is in use.
    pub(crate) fn put_back_database(&self, database: &Path) {
        run(sqlite3(database).arg(format!(".restore '{}'", self.0.display())));
    }
}

/// In place of what is there; with no account of what was not flushed, since all of it counts as flushed.
fn copy(from: &Path, to: &Path) {
    run(Command::new("rm").arg("-rf").arg(to).env_remove("LD_PRELOAD"));
    run(Command::new("cp").arg("-a").arg(from).arg(to).env_remove("LD_PRELOAD"));
}

/// Waits for locks of others, and stops at an error.
fn sqlite3(database: &Path) -> Command {
    let mut command = Command::new("sqlite3");
    command.args(["-bail", "-cmd", ".timeout 30000"]).arg(database);
    command
}

fn run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    // sqlite3 may tell of an error and end well.
    let right = output.status.success() && output.stderr.is_empty();
    assert!(right, "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
