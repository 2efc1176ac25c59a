//! A power cut: what was written and not flushed is taken back while everything is dead. `preload/power-cut.c` keeps
//! the account of it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// The path at a log's beginning.
const PATH: usize = 4096;

/// Forget what was not flushed, as if all of it had been: whoever puts data in place, or turns flushing on again, has to
/// do that.
pub(crate) fn flush(logs: &Path) {
    for log in fs::read_dir(logs).expect("logs").flatten() {
        fs::remove_file(log.path()).expect("a log can be removed");
    }
}

/// Take back what these logs say was never flushed, and empty them. How many writes that were.
pub(crate) fn cut(logs: &Path) -> u64 {
    let mut undone = 0;
    for log in fs::read_dir(logs).expect("logs").flatten() {
        let bytes = fs::read(log.path()).expect("a log");
        fs::remove_file(log.path()).expect("a log can be removed");
        if bytes.len() < PATH {
            continue;
        }
        let (path, mut rest) = bytes.split_at(PATH);
        let path: Vec<u8> = path.iter().copied().take_while(|byte| *byte != 0).collect();
        let path = String::from_utf8(path).expect("a path");
        // The path of a file that was deleted meanwhile is no path; that of another file now is not this one's.
        let inode = log.file_name().to_string_lossy().parse();
        let Ok(file) = OpenOptions::new().write(true).open(&path) else {
            continue;
        };
        if file.metadata().map(|it| it.ino()).ok() != inode.ok() {
            continue;
        }
        let mut entries = Vec::new();
        while let Some((numbers, more)) = rest.split_at_checked(24) {
            let number =
                |at: usize| u64::from_ne_bytes(numbers[8 * at..8 * at + 8].try_into().expect("eight bytes"));
            let (offset, replaced, size) = (number(0), number(1), number(2));
            // The last entry may be cut short; then its write was not made.
            let Some((replaced, more)) = more.split_at_checked(replaced as usize) else {
                break;
            };
            entries.push((offset, replaced, size));
            rest = more;
        }
        for (offset, replaced, size) in entries.into_iter().rev() {
            file.write_all_at(replaced, offset).expect("the file can be written");
            file.set_len(size).expect("the file can be cut");
            undone += 1;
        }
        // So that this, too, is kept by the next one.
        file.sync_all().expect("the file can be flushed");
    }
    undone
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use memc_core::store::Store;
    use memc_store_sql::{Options, SqliteStore};
    use tempfile::TempDir;

    use super::*;
    use crate::surroundings::build;

    const FILE: &str = "MEMC_FAULTS_FILE";

    /// Not a test: what the next one starts.
    #[tokio::test]
    #[ignore = "started by a test, in a process of its own"]
    async fn reads_a_ledger() {
        let path = PathBuf::from(std::env::var_os(FILE).expect("a file"));
        let store = SqliteStore::open(&path, Options::default()).await.unwrap();
        store.head().await.unwrap();
        // No last connection closes, which would flush as well.
        std::process::abort();
    }

    struct Disk {
        directory: TempDir,
        library: PathBuf,
    }

    impl Disk {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let library = build(directory.path());
            fs::create_dir(directory.path().join("logs")).unwrap();
            Disk { directory, library }
        }

        fn file(&self) -> PathBuf {
            self.directory.path().join("memc.db")
        }

        fn logs(&self) -> PathBuf {
            self.directory.path().join("logs")
        }

        fn run(&self, command: &mut Command) {
            command.env("LD_PRELOAD", &self.library).env("POWER_CUT_LOG", self.logs());
            command.env("POWER_CUT_FILES", "/memc.db").env(FILE, self.file()).output().unwrap();
        }

        fn reads_a_ledger(&self) {
            let mut command = Command::new(std::env::current_exe().unwrap());
            self.run(command.args(["--ignored", "--exact", "power::tests::reads_a_ledger"]));
        }

        /// Writes to the log without flushing it, and dies.
        fn writes_and_dies(&self) {
            let write = "PRAGMA synchronous = OFF; UPDATE ledger SET settled = settled + 1;";
            self.run(Command::new("sqlite3").arg(self.file()).args([write, ".shell kill -9 $PPID"]));
        }

        fn settled(&self) -> String {
            let settled = Command::new("sqlite3").arg(self.file()).arg("SELECT settled FROM ledger").output();
            String::from_utf8(settled.unwrap().stdout).unwrap().trim().to_owned()
        }
    }

    /// What a process has left in the log that died before it was flushed, another reads, and could answer by.
    #[test]
    fn what_another_process_left_in_the_log_is_flushed_before_it_is_read() {
        let disk = Disk::new();
        disk.reads_a_ledger();
        flush(&disk.logs());
        disk.writes_and_dies();
        assert!(cut(&disk.logs()) > 0, "it would be lost");
        assert_eq!(disk.settled(), "0");
        disk.writes_and_dies();
        disk.reads_a_ledger();
        cut(&disk.logs());
        assert_eq!(disk.settled(), "1");
    }
}
