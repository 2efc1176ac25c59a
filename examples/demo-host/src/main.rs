//! For trials without Salt: follows one host's pillar on this machine with real memcached processes.
//!
//! It reads the document that a Salt master would read and does what the states would do: start what is listed, resize
//! what runs with `cache_memlimit`, stop what has a tombstone, and nothing else. Unlike real hosts, its processes end
//! with it, even when it is killed: `setpriv --pdeathsig KILL` asks the kernel for that. Single-threaded on purpose:
//! the kernel sends that signal when the *thread* that started a process ends.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use clap::Parser;
use serde::Deserialize;

/// The longest document that is read: 200 ports need about 15 KiB.
const LONGEST_DOCUMENT: u64 = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(3);

/// Follow one host's pillar on this machine with real memcached processes, for trials without Salt.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the pillar of this host is: http://127.0.0.1:8080/salt/pillar/demo
    #[arg(long, env = "MEMC_PILLAR_URL")]
    pillar: String,
    /// A file with the pillar token
    #[arg(long, env = "MEMC_TOKEN_FILE")]
    token_file: PathBuf,
    /// The memcached to run
    #[arg(long, env = "MEMC_MEMCACHED", default_value = "memcached")]
    memcached: PathBuf,
    /// Seconds between looks at the pillar
    #[arg(long, env = "MEMC_EVERY", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

/// The part of a pillar document that is needed here; see memc_core::pillar::Document for all of it.
#[derive(Debug, Deserialize)]
struct Document {
    memc_items: BTreeMap<u16, u64>,
    memc_absent: Vec<u16>,
    memc_config: Config,
    memc_meta: Meta,
}

#[derive(Debug, Deserialize)]
struct Config {
    listen: IpAddr,
    max_connections: u32,
}

#[derive(Debug, Deserialize)]
struct Meta {
    revision: u64,
    count: usize,
    complete: bool,
    stale: bool,
}

struct Process {
    child: Child,
    mib: u64,
}

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let mut host = Host { arguments, running: BTreeMap::new(), revision: 0, trouble: None };
    loop {
        host.bury();
        let trouble = match host.fetch() {
            Ok(document) => host.follow(&document).err(),
            Err(error) => Some(format!("the pillar cannot be read, everything stays as it is: {error}")),
        };
        if trouble != host.trouble
            && let Some(trouble) = &trouble
        {
            eprintln!("demo host: {trouble}");
        }
        host.trouble = trouble;
        sleep(Duration::from_secs(host.arguments.every));
    }
}

struct Host {
    arguments: Arguments,
    running: BTreeMap<u16, Process>,
    revision: u64,
    trouble: Option<String>,
}

impl Host {
    fn fetch(&self) -> Result<Document, Box<dyn std::error::Error>> {
        let token = std::fs::read_to_string(&self.arguments.token_file)?;
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).proxy(None).build().into();
        let answer = agent
            .get(&self.arguments.pillar)
            .header("authorization", format!("Bearer {}", token.trim()))
            .call()?;
        let text = answer.into_body().into_with_config().limit(LONGEST_DOCUMENT).read_to_string()?;
        Ok(serde_json::from_str(&text)?)
    }

    fn follow(&mut self, document: &Document) -> Result<(), String> {
        let meta = &document.memc_meta;
        if meta.stale
            || !meta.complete
            || meta.count != document.memc_items.len()
            || meta.revision < self.revision
        {
            return Err("the pillar is not fresh and complete: everything stays as it is".into());
        }
        self.revision = meta.revision;
        for port in &document.memc_absent {
            if let Some(mut process) = self.running.remove(port) {
                process.end();
                println!("demo host: port {port} stopped");
            }
        }
        let mut trouble = Ok(());
        for (&port, &mib) in &document.memc_items {
            let done = match self.running.get_mut(&port) {
                None => self.start(port, mib, &document.memc_config),
                Some(process) if process.mib != mib => process.resize(port, mib),
                Some(_) => Ok(()),
            };
            trouble = trouble.and(done.map_err(|error| format!("port {port}: {error}")));
        }
        trouble
    }

    fn start(&mut self, port: u16, mib: u64, config: &Config) -> Result<(), String> {
        let listen = match config.listen {
            address if address.is_loopback() => address.to_string(),
            address => format!("{address},{}", Ipv4Addr::LOCALHOST),
        };
        // A demo needs no 30,240 file descriptors.
        let connections = config.max_connections.min(512).to_string();
        let (port_text, mib_text) = (port.to_string(), mib.to_string());
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if is_root() {
            // memcached refuses to be root, and dropping root by itself would clear the signal asked for above.
            command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]);
        }
        command.arg("--").arg(&self.arguments.memcached).args(["-U", "0", "-l", &listen, "-p", &port_text]);
        command.args(["-m", &mib_text, "-c", &connections]).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().map_err(|error| format!("memcached cannot be started: {error}"))?;
        self.running.insert(port, Process { child, mib });
        println!("demo host: port {port} started with {mib} MiB");
        Ok(())
    }

    /// Let go of processes that ended by themselves, to be started again.
    fn bury(&mut self) {
        self.running.retain(|port, process| match process.child.try_wait() {
            Ok(None) => true,
            ended => {
                eprintln!("demo host: port {port} ended by itself: {ended:?}");
                false
            }
        });
    }
}

impl Process {
    fn resize(&mut self, port: u16, mib: u64) -> Result<(), String> {
        let told = tell(port, &format!("cache_memlimit {mib}\r\n")).map_err(|error| error.to_string())?;
        if told != "OK" {
            return Err(format!("memcached does not take {mib} MiB: {told}"));
        }
        self.mib = mib;
        println!("demo host: port {port} now has {mib} MiB");
        Ok(())
    }

    fn end(&mut self) {
        // Not there any more is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tell(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(command.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
