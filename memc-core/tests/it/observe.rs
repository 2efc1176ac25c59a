//! Looking at real memcached processes.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{Command, HostSpec};
use memc_core::model::*;
use memc_core::observe::{self, Hindrance, Observer, Probe, probe};
use memc_core::store::MemoryStore;

use crate::world::*;

/// A real memcached on loopback, stopped with the test.
struct Memcached(Child, u16);

impl Memcached {
    fn start(port: u16, mib: u64) -> Self {
        let (port_text, mib) = (port.to_string(), mib.to_string());
        let args = ["-l", "127.0.0.1", "-U", "0", "-p", &port_text, "-m", &mib, "-u", "nobody"];
        let child = Process::new("memcached").args(args).stderr(Stdio::null()).spawn();
        let child = child.expect("memcached is installed (scripts/test does that)");
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "memcached did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        Memcached(child, port)
    }

    fn tell(&self, command: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.1)).unwrap();
        stream.write_all(command.as_bytes()).unwrap();
        let mut answer = [0; 64];
        let read = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    }
}

impl Drop for Memcached {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A fleet whose one host is this machine, with one cache `a` on it.
async fn fleet(port: u16) -> (Fleet, Observer) {
    let fleet = Fleet::open(Arc::new(MemoryStore::new()), Options::default()).await.unwrap();
    let spec_of_host = HostSpec {
        cluster: name("web"),
        address: "127.0.0.1".parse().unwrap(),
        memory: mib(4096),
        rack: None,
        blocked_ports: Default::default(),
    };
    for command in [
        Command::CreateCluster { name: name("web"), spec: spec(port, port, Policy::default()) },
        Command::AddHost { name: name("m1"), spec: spec_of_host },
        Command::CreateTeam { name: name("shop") },
        Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(10_000) },
        allocate("a", 64, 1),
    ] {
        fleet.submit(order(command)).await.unwrap();
    }
    let options = observe::Options { timeout: Duration::from_secs(5), ..observe::Options::default() };
    let observer = Observer::new(fleet.clone(), "here", options).unwrap();
    (fleet, observer)
}

fn instance(fleet: &Fleet) -> Option<Instance> {
    fleet.read(|state| state.instances().next().cloned())
}

fn state(fleet: &Fleet) -> InstanceState {
    instance(fleet).unwrap().state()
}

/// The host's pillar was handed out, and that is in the ledger.
async fn served(fleet: &Fleet) {
    fleet.note_served(&fleet.pillar(&name("m1")).await.unwrap().unwrap());
    fleet.submit(order(Command::CordonHost { name: name("m1") })).await.unwrap();
}

#[tokio::test]
async fn the_life_of_an_instance() {
    let port = free_port();
    let (fleet, observer) = fleet(port).await;
    observer.look(false).await;
    assert_eq!(state(&fleet), InstanceState::Pending, "nothing runs yet");

    let memcached = Memcached::start(port, 64);
    observer.look(false).await;
    assert_eq!(state(&fleet), InstanceState::Running);
    let observation = observer.observations().of(instance(&fleet).unwrap().id).unwrap();
    assert!(matches!(observation.probe, Probe::Answered(ref stats) if stats.pid == Some(memcached.0.id())));

    fleet.submit(order(resize("a", 128))).await.unwrap();
    observer.look(false).await;
    assert_eq!(state(&fleet), InstanceState::Pending, "it still has its old size");
    assert_eq!(memcached.tell("cache_memlimit 128\r\n"), "OK\r\n");
    observer.look(false).await;
    assert_eq!(state(&fleet), InstanceState::Running);

    fleet.submit(order(resize("a", 100))).await.unwrap();
    observer.look(false).await;
    assert_eq!(state(&fleet), InstanceState::Shrinking);
    assert_eq!(memcached.tell("cache_memlimit 100\r\n"), "OK\r\n");
    observer.look(false).await;
    assert_eq!(state(&fleet), InstanceState::Running, "it holds next to nothing");

    fleet.submit(order(release("a"))).await.unwrap();
    drop(memcached);
    for _ in 0..5 {
        observer.look(false).await;
    }
    assert_eq!(state(&fleet), InstanceState::Releasing, "no pillar told the host to stop it");
    served(&fleet).await;
    observer.look(false).await;
    assert_eq!(instance(&fleet), None, "refused many times in a row by now");
    assert!(fleet.read(|state| state.caches().next().is_none()));
}

#[tokio::test]
async fn a_refusal_from_what_was_never_reached_is_no_evidence() {
    let port = free_port();
    let (fleet, observer) = fleet(port).await;
    fleet.submit(order(release("a"))).await.unwrap();
    served(&fleet).await;
    for _ in 0..5 {
        observer.look(true).await;
    }
    assert_eq!(state(&fleet), InstanceState::Releasing);
}

#[tokio::test]
async fn after_a_restart_an_observer_knows_what_it_had_seen_and_another_does_not() {
    let port = free_port();
    let (fleet, observer) = fleet(port).await;
    let memcached = Memcached::start(port, 64);
    observer.look(false).await;
    drop((memcached, observer));
    fleet.submit(order(release("a"))).await.unwrap();
    served(&fleet).await;
    let stranger = Observer::new(fleet.clone(), "elsewhere", observe::Options::default()).unwrap();
    for _ in 0..5 {
        stranger.look(false).await;
    }
    assert_eq!(state(&fleet), InstanceState::Releasing);
    let again = Observer::new(fleet.clone(), "here", observe::Options::default()).unwrap();
    for _ in 0..3 {
        assert_eq!(state(&fleet), InstanceState::Releasing);
        again.look(false).await;
    }
    assert_eq!(instance(&fleet), None);
}

#[tokio::test]
async fn what_is_no_memcached_is_unclear() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Accepts by the kernel and says nothing.
    let silent = probe(address, Duration::from_millis(100)).await;
    assert!(matches!(silent, Probe::Unclear(_)), "{silent:?}");
    let talker = std::thread::spawn(move || {
        for stream in listener.incoming().skip(1).take(1) {
            stream.unwrap().write_all(b"SSH-2.0-x\r\n").unwrap();
        }
    });
    let other = probe(address, Duration::from_secs(5)).await;
    assert!(matches!(other, Probe::Unclear(_)), "{other:?}");
    talker.join().unwrap();
    assert_eq!(probe(address, Duration::from_secs(5)).await, Probe::Refused);
}

/// The store as its backup was, as a file that takes the place of the newer one would be.
async fn copy(store: &MemoryStore) -> Arc<MemoryStore> {
    let mut archive = Vec::new();
    memc_core::archive::export(store, &mut archive).await.unwrap();
    let copy = Arc::new(MemoryStore::new());
    memc_core::archive::import(&*copy, &archive[..]).await.unwrap();
    copy
}

/// Three ports that are free and follow each other.
fn free_ports() -> u16 {
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = (0..1000).map(|_| free_port()).find(|first| (*first..*first + 3).all(free));
    first.expect("three free ports")
}

#[tokio::test]
async fn what_was_started_since_the_backup_is_found_and_its_port_not_given_out() {
    let first = free_ports();
    let store = Arc::new(MemoryStore::new());
    let fleet = Fleet::open(store.clone(), Options::default()).await.unwrap();
    let spec_of_host = HostSpec {
        cluster: name("web"),
        address: "127.0.0.1".parse().unwrap(),
        memory: mib(4096),
        rack: None,
        blocked_ports: Default::default(),
    };
    for command in [
        Command::CreateCluster { name: name("web"), spec: spec(first, first + 2, Policy::default()) },
        Command::AddHost { name: name("m1"), spec: spec_of_host },
        Command::CreateTeam { name: name("shop") },
        Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(10_000) },
        allocate("a", 64, 1),
    ] {
        fleet.submit(order(command)).await.unwrap();
    }
    let options = || observe::Options { timeout: Duration::from_secs(5), ..observe::Options::default() };
    let observer = Observer::new(fleet.clone(), "here", options()).unwrap();
    let known = Memcached::start(first, 64);
    observer.look(true).await;
    assert_eq!(state(&fleet), InstanceState::Running);

    let backup = copy(&store).await;
    fleet.submit(order(allocate("b", 64, 1))).await.unwrap();
    let _unknown = Memcached::start(first + 1, 64);
    drop((observer, fleet));

    let fleet = Fleet::open(backup, Options::default()).await.unwrap();
    let observer = Observer::new(fleet.clone(), "here", options()).unwrap();
    fleet.submit(order(Command::StartEpoch { reason: name("last night's backup") })).await.unwrap();
    let refused = fleet.submit(order(allocate("c", 64, 1))).await.unwrap_err();
    assert!(refused.to_string().contains("1 host still to be looked at"), "{refused}");

    // While what should run does not, the host is perhaps starting, and what is unknown on it not there yet.
    drop(known);
    observer.look_around().await;
    let host = || fleet.read(|state| state.host_named(&name("m1")).unwrap().host.clone());
    let waits = || fleet.read(|state| state.waits(&host()));
    assert!(waits());
    let hindrance = observer.observations().hindrance(host().id);
    assert_eq!(hindrance, Some(Hindrance::NotRunning(port(first))));

    let _known = Memcached::start(first, 64);
    observer.look_around().await;
    assert!(!waits());
    assert_eq!(host().found_ports, [port(first + 1)].into());
    fleet.submit(order(allocate("c", 64, 1))).await.unwrap();
    let ports: Vec<u16> =
        fleet.read(|state| state.instances().map(|it| it.port.get()).filter(|it| *it != first).collect());
    assert_eq!(ports, [first + 2]);
    let revision = fleet.read(|state| state.head().revision);
    observer.look_around().await;
    assert_eq!(observer.observations().hindrance(host().id), None);
    assert_eq!(fleet.read(|state| state.head().revision), revision, "nobody waits any more");
}

#[tokio::test]
async fn a_host_that_does_not_answer_waits_until_an_operator_says_otherwise() {
    let port = free_port();
    let (fleet, _) = fleet(port).await;
    // A queue for connections that is full: the kernel drops what comes on top.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], port).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut full = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(address)).await
    {
        full.push(stream);
    }
    fleet.submit(order(Command::StartEpoch { reason: name("last night's backup") })).await.unwrap();
    let options = observe::Options { timeout: Duration::from_millis(300), ..observe::Options::default() };
    let observer = Observer::new(fleet.clone(), "here", options).unwrap();
    observer.look_around().await;
    let host = || fleet.read(|state| state.host_named(&name("m1")).unwrap().host.clone());
    assert!(fleet.read(|state| state.waits(&host())));
    let hindrance = observer.observations().hindrance(host().id);
    assert_eq!(hindrance, Some(Hindrance::NoAnswer(Port::new(port).unwrap())));
    let word = Command::StateObserved { host: name("m1"), reason: name("its network is being repaired") };
    fleet.submit(order(word)).await.unwrap();
    assert!(!fleet.read(|state| state.waits(&host())));
}
