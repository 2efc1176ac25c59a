//! Redis servers of a test's own: on the loopback interface, in a temporary directory, ended with the test.

#![allow(dead_code)] // each test uses some of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::{Client, Connection, Value};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);
const MISSING: &str = "redis-server is needed for these tests: apt-get install redis-server";

/// Safe settings: what `check` asks for.
pub(crate) const SAFE: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A server, its port and its directory.
pub(crate) struct Server {
    process: Option<Child>,
    pub(crate) port: u16,
    /// The port for encrypted connections, if its settings name certificates.
    encrypted_port: Option<u16>,
    directory: TempDir,
    settings: Vec<String>,
}

impl Server {
    /// With safe settings.
    pub(crate) fn start() -> Self {
        Self::start_with(&SAFE)
    }

    pub(crate) fn start_with(settings: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings: Vec<String> = settings.iter().map(|it| (*it).to_owned()).collect();
        let encrypted = settings.iter().any(|it| it == "--tls-cert-file");
        // Another test may take the free port first: then this one's server ends at once.
        let mut server = Server { process: None, port: 0, encrypted_port: None, directory, settings };
        for _ in 0..5 {
            server.port = free_port();
            server.encrypted_port = encrypted.then(free_port);
            server.run();
            if server.is_up() {
                return server;
            }
        }
        panic!("redis-server does not start: {}", server.log());
    }

    fn run(&mut self) {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--daemonize", "no", "--logfile", "redis.log"])
            .args(["--port", &self.port.to_string()])
            .args(["--dir", self.path().to_str().unwrap()])
            .args(self.encrypted_port.iter().flat_map(|port| ["--tls-port".to_owned(), port.to_string()]))
            .args(&self.settings)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.process = Some(command.spawn().expect(MISSING));
    }

    /// Wait until it answers, or has ended.
    fn is_up(&mut self) -> bool {
        let since = Instant::now();
        loop {
            if self.process.as_mut().is_some_and(|it| it.try_wait().unwrap().is_some()) {
                return false;
            }
            if let Ok(mut connection) = client(self.port).get_connection()
                && redis::cmd("PING").query::<String>(&mut connection).is_ok()
            {
                return true;
            }
            assert!(since.elapsed() < PATIENCE, "no answer: {}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.path().join("redis.log")).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn encrypted_address(&self) -> String {
        format!("127.0.0.1:{}", self.encrypted_port.unwrap())
    }

    /// As another program would connect.
    pub(crate) fn raw(&self) -> Connection {
        client(self.port).get_connection().unwrap()
    }

    pub(crate) fn call(&self, words: &[&str]) -> Value {
        self.try_call(words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    pub(crate) fn try_call(&self, words: &[&str]) -> redis::RedisResult<Value> {
        redis::cmd(words[0]).arg(&words[1..]).query(&mut self.raw())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Start again on the same port and directory.
    pub(crate) fn start_again(&mut self) {
        self.kill();
        self.run();
        assert!(self.is_up(), "redis-server does not start again: {}", self.log());
    }

    /// Where its log of writes is.
    pub(crate) fn appendonly(&self) -> PathBuf {
        self.path().join("appendonlydir")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn client(port: u16) -> Client {
    Client::open(format!("redis://127.0.0.1:{port}/")).unwrap()
}

/// Free now, and with room for a cluster's second port, which is 10,000 higher.
fn free_port() -> u16 {
    for _ in 0..1000 {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Below the range of ports that the system hands out to clients, so that none of them takes it meanwhile.
        let port = 10_000 + port % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok()
            && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok()
        {
            return port;
        }
    }
    panic!("no free port");
}

/// `SIGSTOP`, `SIGCONT`, …
pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Three masters, each with a third of the slots.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    fn node(more: &[&str]) -> Server {
        let cluster = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"];
        Server::start_with(&[&SAFE, &cluster[..], more].concat())
    }

    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With settings that name certificates: nodes talk to each other over TLS, too.
    pub(crate) fn start_encrypted(settings: &[&str]) -> Self {
        Self::start_with(&[&["--tls-cluster", "yes"], settings].concat())
    }

    fn start_with(settings: &[&str]) -> Self {
        let nodes: Vec<Server> = (0..3).map(|_| Self::node(settings)).collect();
        for (node, (first, last)) in nodes.iter().zip([(0, 5460), (5461, 10922), (10923, 16383)]) {
            node.call(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
        }
        for node in &nodes[1..] {
            let first = nodes[0].encrypted_port.unwrap_or(nodes[0].port);
            node.call(&["CLUSTER", "MEET", "127.0.0.1", &first.to_string()]);
        }
        let cluster = Cluster { nodes };
        cluster.wait_until_whole();
        cluster
    }

    pub(crate) fn wait_until_whole(&self) {
        let since = Instant::now();
        let whole = |node: &Server| {
            let Ok(Value::BulkString(info)) = node.try_call(&["CLUSTER", "INFO"]) else {
                return false;
            };
            let info = String::from_utf8(info).unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
        };
        while !self.nodes.iter().all(whole) {
            assert!(since.elapsed() < PATIENCE, "the cluster does not become whole");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9` of all nodes.
    pub(crate) fn kill(&mut self) {
        self.nodes.iter_mut().for_each(Server::kill);
    }

    /// Start them all again on the same ports and directories.
    pub(crate) fn start_again(&mut self) {
        self.nodes.iter_mut().for_each(Server::start_again);
        self.wait_until_whole();
    }

    /// One more node, which follows one of the masters and has what it has.
    pub(crate) fn replica_of(&self, master: usize) -> Server {
        let (replica, master) = (Self::node(&[]), &self.nodes[master]);
        replica.call(&["CLUSTER", "MEET", "127.0.0.1", &master.port.to_string()]);
        let Value::BulkString(id) = master.call(&["CLUSTER", "MYID"]) else { panic!("a node's id") };
        let (id, since) = (String::from_utf8(id).unwrap(), Instant::now());
        // Once it has heard of its master.
        while replica.try_call(&["CLUSTER", "REPLICATE", &id]).is_err() {
            assert!(since.elapsed() < PATIENCE, "it does not become a replica");
            std::thread::sleep(Duration::from_millis(20));
        }
        let follows = |info: Value| {
            matches!(info, Value::BulkString(info)
            if String::from_utf8_lossy(&info).contains("master_link_status:up"))
        };
        while !follows(replica.call(&["INFO", "replication"])) {
            assert!(since.elapsed() < PATIENCE, "it does not follow");
            std::thread::sleep(Duration::from_millis(20));
        }
        replica
    }

    pub(crate) fn url(&self) -> String {
        let nodes: Vec<String> = self.nodes.iter().map(Server::address).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }

    pub(crate) fn slot_of(&self, prefix: &str) -> u16 {
        redis::cmd("CLUSTER")
            .arg("KEYSLOT")
            .arg(format!("{{{prefix}}}:head"))
            .query(&mut self.nodes[0].raw())
            .unwrap()
    }

    /// Which node has a slot.
    pub(crate) fn owner_of(&self, slot: u16) -> usize {
        usize::from(slot > 5460) + usize::from(slot > 10922)
    }
}

/// Whether anything listens there.
pub(crate) fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}
