//! Data directories: made once for each kind of server, then copied.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Kind, argument, found, program};

/// Small files, so that copying them is quick. They are as large as they were made.
pub(crate) const MARIADB_FILES: [&str; 3] =
    ["--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M", "--skip-name-resolve"];

/// Fill `data` in a directory.
pub(crate) fn prepare(kind: Kind, directory: &Path) {
    let data = directory.join("data");
    if kind == Kind::Redis {
        return fs::create_dir(&data).expect("a directory for data");
    }
    if kind == Kind::Postgres {
        run(Command::new("chmod").arg("755").arg(directory));
    }
    let template = templates().join(format!("memc-test-{}", version(kind)));
    if !template.exists() {
        // Where its user can get at it; then to its place in one step, since other tests do the same.
        make(kind, directory, &data);
        let ours = template.with_extension(std::process::id().to_string());
        run(Command::new("cp").arg("-a").arg(&data).arg(&ours));
        if fs::rename(&ours, &template).is_err() {
            fs::remove_dir_all(&ours).expect("a second template can be removed");
        }
        return;
    }
    run(Command::new("cp").arg("-a").arg(&template).arg(&data));
}

/// The build's directory, which stays from run to run, or else one that goes with the machine.
fn templates() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let build = program.ancestors().find(|directory| directory.join("CACHEDIR.TAG").exists());
    build.map_or_else(std::env::temp_dir, Path::to_owned)
}

fn version(kind: Kind) -> String {
    let program = match kind {
        Kind::Postgres => postgres_program("postgres"),
        Kind::MariaDb | Kind::Redis => program("mariadbd"),
    };
    let said = Command::new(program).arg("--version").output().expect("a version");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let version = said.split(' ').find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let version: String = version.unwrap_or("unknown").chars().filter(|it| !"/\n".contains(*it)).collect();
    format!("{kind:?}-{version}").replace('.', "-")
}

fn make(kind: Kind, directory: &Path, data: &Path) {
    if kind == Kind::Postgres {
        fs::create_dir(data).expect("a directory for data");
        if is_root() {
            run(Command::new("chown").arg(postgres_user()).arg(data));
        }
        let mut command = as_user_of_postgres(&postgres_program("initdb"));
        command.arg("-D").arg(data).args(["-U", "memc", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]);
        run(command.arg("--wal-segsize=1"));
        let mut command = as_user_of_postgres(&postgres_program("postgres"));
        command.args(["--single", "-D"]).arg(data).arg("postgres");
        let sql = directory.join("create.sql");
        fs::write(&sql, "CREATE DATABASE memc\n").expect("a file");
        run(command.stdin(fs::File::open(&sql).expect("a file")));
    } else {
        let mut command = Command::new(program("mariadb-install-db"));
        command.arg("--no-defaults").arg(argument("--datadir", data)).args(as_this_user());
        command.args(["--auth-root-authentication-method=normal", "--skip-test-db"]).args(MARIADB_FILES);
        run(&mut command);
    }
}

/// Run at every start: the database is there from then on.
pub(crate) fn mariadb_init_file(directory: &Path) -> PathBuf {
    let file = directory.join("init.sql");
    fs::write(&file, "CREATE DATABASE IF NOT EXISTS memc;\n").expect("a file");
    file
}

/// MariaDB runs as root only if told to.
pub(crate) fn as_this_user() -> Option<&'static str> {
    is_root().then_some("--user=root")
}

pub(crate) fn postgres_program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
    places.sort();
    let path = std::env::var_os("PATH").unwrap_or_default();
    found(name, places.into_iter().rev().chain(std::env::split_paths(&path)))
}

/// PostgreSQL does not run as root: then it is another user's.
pub(crate) fn as_user_of_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new(crate::program("setpriv"));
    let user = postgres_user();
    command.args([format!("--reuid={user}"), format!("--regid={}", group_of(user)), "--clear-groups".into()]);
    command.arg("--").arg(program).current_dir("/");
    command
}

fn postgres_user() -> &'static str {
    if entry("postgres").is_some() { "postgres" } else { "nobody" }
}

fn group_of(user: &str) -> String {
    entry(user)
        .and_then(|entry| entry.split(':').nth(3).map(str::to_owned))
        .unwrap_or_else(|| user.to_owned())
}

fn entry(user: &str) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().find(|line| line.split(':').next() == Some(user)).map(str::to_owned)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}

fn run(command: &mut Command) {
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().expect("it can be started");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said));
}
