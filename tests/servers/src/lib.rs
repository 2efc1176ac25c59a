//! Private database servers for tests: on the loopback interface, on a free port, in a temporary directory; each ends,
//! and its directory goes, when its [`Server`] is dropped. What is missing fails the test that needs it.
//!
//! Programs are found in `PATH` and where Debian puts them; `scripts/lib/install-store-deps.sh` installs them.

#![allow(clippy::expect_used, clippy::panic)] // tests fail by panicking

mod authority;
mod process;
mod template;
mod turns;

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub use authority::Authority;
pub use turns::{Others, assert_fair};

/// Only here; and checkpoints as rare as they are usually, although the log's files are small.
const POSTGRES: [&str; 4] =
    ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB", "max_wal_size=1GB"];

/// How long a server may take to start, to recover or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// PostgreSQL, with the superuser `memc` and the database `memc`.
#[derive(Debug, Clone, Copy)]
pub struct Postgres;

/// MariaDB, with the user `root` and the database `memc`.
#[derive(Debug, Clone, Copy)]
pub struct MariaDb;

/// Redis that appends every write to its file, and flushes it.
#[derive(Debug, Clone, Copy)]
pub struct Redis;

impl Postgres {
    /// Start one with these settings beside its defaults (`fsync`, …).
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Server {
        Server::start(Kind::Postgres, settings)
    }
}

impl MariaDb {
    /// Start one with these settings beside its defaults (`innodb_doublewrite`, …).
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Server {
        Server::start(Kind::MariaDb, settings)
    }
}

impl Redis {
    /// Start one with these settings beside its defaults (`appendfsync`, …).
    #[must_use]
    pub fn start(settings: &[(&str, &str)]) -> Server {
        Server::start(Kind::Redis, settings)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    MariaDb,
    Redis,
}

/// A server that is running, or was killed and may be started again.
#[derive(Debug)]
pub struct Server {
    kind: Kind,
    directory: TempDir,
    settings: Vec<(String, String)>,
    port: u16,
    child: Option<Child>,
}

impl Server {
    fn start(kind: Kind, settings: &[(&str, &str)]) -> Self {
        let directory = tempfile::Builder::new().prefix("memc-").tempdir().expect("a temporary directory");
        template::prepare(kind, directory.path());
        let settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let mut server = Server { kind, directory, settings, port: 0, child: None };
        for _ in 0..5 {
            // Free now; should another program take it meanwhile, the next one will do.
            server.port =
                TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
            match server.run() {
                Ok(()) => return server,
                Err(log) if log.contains("ddress already in use") => {}
                Err(log) => panic!("{kind:?} does not start:\n{log}"),
            }
        }
        panic!("{kind:?} found no free port")
    }

    /// How a client connects.
    #[must_use]
    pub fn url(&self) -> String {
        let port = self.port;
        match self.kind {
            Kind::Postgres => format!("postgres://memc@127.0.0.1:{port}/memc"),
            Kind::MariaDb => format!("mysql://root@127.0.0.1:{port}/memc"),
            Kind::Redis => format!("redis://127.0.0.1:{port}"),
        }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its main process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server was killed").id()
    }

    /// Where its data is.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// What it has written since it was started last.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// End all its processes at once, without a chance to put anything in order.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let all = process::stop(child.id());
            process::signal("KILL", &all);
            let _ = child.wait();
            process::wait_for_end(&all);
        }
    }

    /// Start it again on the same port and data, after killing it if it runs.
    pub fn restart(&mut self) {
        self.kill9();
        if let Err(log) = self.run() {
            panic!("{:?} does not start again:\n{log}", self.kind);
        }
    }

    /// Start it again with other settings.
    pub fn restart_with(&mut self, settings: &[(&str, &str)]) {
        self.settings = settings.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        self.restart();
    }

    /// Stop all its processes where they are: connections stay open, nothing answers.
    pub fn stop_process(&self) {
        process::stop(self.pid());
    }

    /// Let its processes go on.
    pub fn continue_process(&self) {
        process::signal("CONT", &process::family(self.pid()));
    }

    fn run(&mut self) -> Result<(), String> {
        let log = self.log();
        let output = File::create(&log).expect("a log file");
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("a log file")).stderr(output);
        let mut child = command.spawn().expect("the server's program can be started");
        let ready = match self.kind {
            Kind::Postgres => "ready to accept connections",
            Kind::MariaDb => "ready for connections",
            Kind::Redis => "eady to accept connections",
        };
        let since = Instant::now();
        loop {
            let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
            let ended = child.try_wait().expect("the server's state").is_some();
            let standby = self.kind == Kind::Postgres && text.contains("accept read-only connections");
            if !ended && (text.contains(ready) || standby) {
                self.child = Some(child);
                return Ok(());
            }
            if ended || since.elapsed() > PATIENCE {
                process::signal("KILL", &process::family(child.id()));
                let _ = child.wait();
                return Err(text);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn command(&self) -> Command {
        let (data, port) = (self.data(), self.port.to_string());
        let settings = self.settings.iter();
        match self.kind {
            Kind::Postgres => {
                let mut command = template::as_user_of_postgres(&template::postgres_program("postgres"));
                command.arg("-D").arg(&data).args(["-p", &port]);
                for setting in POSTGRES {
                    command.args(["-c", setting]);
                }
                settings.for_each(|(name, value)| {
                    command.args(["-c", &format!("{name}={value}")]);
                });
                command
            }
            Kind::MariaDb => {
                let mut command = Command::new(program("mariadbd"));
                command.arg("--no-defaults").arg(argument("--datadir", &data)).args(template::as_this_user());
                command.arg(argument("--socket", &self.directory.path().join("socket")));
                // Each has its own: one that starts deletes what it takes for left over from another run.
                command.arg(argument("--tmpdir", self.directory.path()));
                command.arg(argument("--pid-file", &self.directory.path().join("pid")));
                command.arg(argument("--init-file", &template::mariadb_init_file(self.directory.path())));
                command.args(["--bind-address=127.0.0.1", &format!("--port={port}")]);
                command.args(template::MARIADB_FILES);
                command.args(settings.map(|(name, value)| format!("--{name}={value}")));
                command
            }
            Kind::Redis => {
                let mut command = Command::new(program("redis-server"));
                command.args(["--bind", "127.0.0.1", "--port", &port, "--dir"]).arg(&data);
                command.args(["--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
                settings.for_each(|(name, value)| {
                    command.args([&format!("--{name}"), value]);
                });
                command
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn argument(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// A program of this name.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    found(name, places)
}

fn found(name: &str, places: impl Iterator<Item = PathBuf>) -> PathBuf {
    let mut programs = places.map(|place| place.join(name)).filter(|program| program.is_file());
    programs
        .next()
        .unwrap_or_else(|| panic!("{name} is not installed: run scripts/lib/install-store-deps.sh"))
}
