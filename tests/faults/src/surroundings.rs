//! What a campaign has around it: a library preloaded into every process, and, where that is allowed, a file system of
//! its own that can be filled up. Both are there for programs that are started anew: so the campaign starts itself.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::campaign::Arguments;
use crate::target::Kind;

const DIRECTORY: &str = "MEMC_FAULTS_DIRECTORY";
const SOURCES: [(&str, &str); 2] = [
    ("power-cut.c", include_str!("../preload/power-cut.c")),
    ("clock.c", include_str!("../preload/clock.c")),
];

#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Where the library keeps what was not flushed.
    pub(crate) logs: PathBuf,
    /// The file system that can be filled up: the data is in it, for servers by way of TMPDIR.
    pub(crate) disk: Option<PathBuf>,
    /// For what is no data: beside this program, or in memory as well.
    pub(crate) beside: PathBuf,
}

impl Surroundings {
    /// Those of this process; `None` if it has none yet.
    pub(crate) fn of_this_process() -> Option<Self> {
        let directory = PathBuf::from(std::env::var_os(DIRECTORY)?);
        let disk = Some(directory.join("disk")).filter(|disk| disk.exists());
        let program = std::env::current_exe().expect("this program");
        let beside = match disk {
            Some(_) => directory.join("beside"),
            None => program.parent().expect("a directory").to_owned(),
        };
        Some(Surroundings { logs: directory.join("logs"), disk, beside })
    }

    /// Run this program with the same arguments in surroundings of its own.
    pub(crate) fn make(arguments: &Arguments) -> ExitCode {
        let Arguments { store, operations, ignore_flushes, .. } = arguments;
        let directory = tempfile::Builder::new().prefix("faults-").tempdir().expect("a temporary directory");
        let directory = directory.path();
        let (logs, disk, beside) = (directory.join("logs"), directory.join("disk"), directory.join("beside"));
        fs::create_dir(&logs).expect("a directory");
        // Servers may run as another user.
        for (path, mode) in [(directory, 0o755), (&logs, 0o777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("permissions can be set");
        }
        let library = build(directory);
        let program = std::env::current_exe().expect("this program");
        let mut command = if may_mount() {
            fs::create_dir(&disk).expect("a directory");
            fs::create_dir(&beside).expect("a directory");
            let mut command = Command::new("unshare");
            let mount =
                |size: &str, at: &str| format!("mount -t tmpfs -o size={size},mode=755 tmpfs \"{at}\"");
            let (small, large) = (mount(&disk_size(*operations), "$1"), mount("75%", "$2"));
            command.args(["--mount", "sh", "-c", &format!("{small} && {large} && shift 2 && exec \"$@\"")]);
            command.arg("sh").args([&disk, &beside]).arg(program).env("TMPDIR", &disk);
            command
        } else {
            eprintln!("not tested: a full disk; a small file system needs root");
            Command::new(program)
        };
        let files = if *store == Kind::Sqlite { "/memc.db" } else { "/data/" };
        if let Some(ignored) = ignore_flushes {
            command.env("POWER_CUT_IGNORED", ignored);
        }
        let ended = command
            .args(std::env::args_os().skip(1))
            .env(DIRECTORY, directory)
            .env("LD_PRELOAD", library)
            .env("POWER_CUT_LOG", logs)
            .env("POWER_CUT_FILES", files)
            .status()
            .expect("this program can be started");
        if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

/// In bytes: room for a server and its log of changes, and for the ledger.
pub(crate) fn disk_size(operations: u64) -> String {
    ((512 << 20) + (operations << 12)).to_string()
}

/// The library to preload.
pub(crate) fn build(directory: &Path) -> PathBuf {
    let library = directory.join("preload.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library);
    for (name, source) in SOURCES {
        let path = directory.join(name);
        fs::write(&path, source).expect("a file");
        compiler.arg(path);
    }
    assert!(compiler.arg("-ldl").status().expect("cc").success(), "the library cannot be built");
    library
}

/// Whether this is root, with all that is root's.
fn may_mount() -> bool {
    let mount = ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"].map(OsStr::new);
    Command::new("unshare").args(mount).output().is_ok_and(|tried| tried.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `date` tells the time of its own clock.
    #[test]
    fn a_clock_can_be_moved() {
        let directory = tempfile::tempdir().unwrap();
        let (library, clock) = (build(directory.path()), directory.path().join("clock"));
        let time = |offset: i64| -> i64 {
            fs::write(&clock, offset.to_ne_bytes()).unwrap();
            let mut date = Command::new("date");
            let told =
                date.arg("+%s").env("LD_PRELOAD", &library).env("MOVED_CLOCK", &clock).output().unwrap();
            String::from_utf8(told.stdout).unwrap().trim().parse().unwrap()
        };
        let before = time(0);
        for offset in [7200, -7200] {
            let moved = time(offset) - offset;
            assert!(before <= moved && moved <= time(0), "{before} {moved}");
        }
    }
}
