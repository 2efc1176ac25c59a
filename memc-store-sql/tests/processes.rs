//! Several processes on one store. The children are this test binary itself, started again for its test `child`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use memc_core::fleet::{Options, SubmitError};
use memc_core::ledger::{
    Action, Change, ClusterSpec, Command, Commit, FORMAT, Head, HostSpec, Order, Receipt,
};
use memc_core::model::{
    CacheName, ClusterName, CommitId, HostName, Mib, Policy, Port, PortRange, Principal, Record, Revision,
    Team, TeamId, TeamName, Timestamp,
};
use memc_core::store::{Decide, Load, Store};
use memc_core::{Fleet, store::TurnError};
use memc_test_servers::{MariaDb, Postgres, Server};
use tempfile::TempDir;

const HOSTS: u8 = 30;
const PORTS: u16 = 60;
const CAPACITY: usize = HOSTS as usize * PORTS as usize;
const PATIENCE: Duration = Duration::from_secs(100);

/// Not a test: what a child does.
#[test]
#[ignore = "run by the other tests in processes of their own"]
fn child() {
    let Ok(role) = std::env::var("MEMC_CHILD") else {
        return;
    };
    let url = std::env::var("MEMC_URL").unwrap();
    let place = Place { directory: std::env::var_os("MEMC_PLACE").unwrap().into(), url };
    let number: usize = std::env::var("MEMC_NUMBER").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "fill" => fill(&place, number).await,
            "turns" => turns(&place, number).await,
            "full" => full(&place, number).await,
            other => panic!("no role {other}"),
        }
    });
}

/// The store that parent and children share, and a directory in which they tell each other how far they are.
struct Place {
    directory: PathBuf,
    url: String,
}

/// A place of the parent's, and what it takes.
struct World {
    place: Place,
    _server: Option<Server>,
    _directory: TempDir,
}

impl World {
    fn with(server: Option<Server>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let url = server.as_ref().map_or_else(|| format!("sqlite://{}/memc.db", path.display()), Server::url);
        World { place: Place { directory: path, url }, _server: server, _directory: directory }
    }

    fn sqlite() -> Self {
        Self::with(None)
    }

    fn postgres() -> Self {
        Self::with(Some(Postgres::start(&[])))
    }

    fn mariadb() -> Self {
        Self::with(Some(MariaDb::start(&[])))
    }
}

impl Place {
    async fn store(&self) -> Arc<dyn Store> {
        memc_store_sql::connect(&self.url).await.expect("connect")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn start(&self, role: &str, number: usize) -> Child {
        self.start_by(Process::new(std::env::current_exe().unwrap()), role, number)
    }

    fn start_by(&self, mut process: Process, role: &str, number: usize) -> Child {
        process
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env("MEMC_CHILD", role)
            .env("MEMC_PLACE", &self.directory)
            .env("MEMC_URL", &self.url)
            .env("MEMC_NUMBER", number.to_string())
            .stdout(Stdio::null())
            .spawn()
            .expect("start a child")
    }

    fn signal(&self, name: &str) {
        File::create(self.file(name)).unwrap();
    }

    async fn wait_for(&self, name: &str) {
        let since = Instant::now();
        while !self.file(name).exists() {
            assert!(since.elapsed() < PATIENCE, "waited too long for {name}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What the children were told: complete lines only, since one may have been killed while it wrote.
    fn acknowledged(&self, number: usize) -> Vec<(String, u64)> {
        let text = std::fs::read_to_string(self.file(&format!("acknowledged-{number}"))).unwrap_or_default();
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let pair = |line: &str| {
            line.split_once(' ').map(|(name, revision)| (name.into(), revision.parse().unwrap()))
        };
        lines.filter_map(pair).collect()
    }
}

// ---- Filling a fleet

/// Sixteen clients ask for caches until nothing fits, and write down what they were told.
async fn fill(place: &Place, number: usize) {
    let fleet = Fleet::open(place.store().await, Options::default()).await.expect("open");
    place.signal(&format!("opened-{number}"));
    place.wait_for("go").await;
    fleet.refresh().await.expect("refresh");
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let fleet = fleet.clone();
            let path = place.file(&format!("acknowledged-{number}"));
            tokio::spawn(async move {
                let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
                for round in 0.. {
                    let name = format!("p{number}-{client}-{round}");
                    match fleet.submit(allocate(&name)).await {
                        // One write for the whole line, since all clients append to one file.
                        Ok(Receipt { revision, .. }) => {
                            file.write_all(format!("{name} {revision}\n").as_bytes()).unwrap();
                        }
                        Err(SubmitError::Refused(refusal)) => {
                            assert_eq!(refusal.code(), "no_room");
                            return;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
}

fn order(command: Command) -> Order {
    Order { actor: Principal::new("user:test").unwrap(), request: None, command }
}

fn allocate(name: &str) -> Order {
    let (team, cluster) = (TeamName::new("shop").unwrap(), ClusterName::new("web").unwrap());
    let name = CacheName::new(name).unwrap();
    order(Command::Allocate {
        team,
        name,
        cluster,
        memory: Mib::MIN_INSTANCE,
        instances: 1,
        max_per_rack: None,
    })
}

async fn found(fleet: &Fleet) {
    let (team, cluster) = (TeamName::new("shop").unwrap(), ClusterName::new("web").unwrap());
    let first = Port::new(11210).unwrap();
    let ports = PortRange { first, last: Port::new(11210 + PORTS - 1).unwrap() };
    let spec = ClusterSpec { ports, policy: Policy::default() };
    let mut commands = vec![
        Command::CreateCluster { name: cluster.clone(), spec },
        Command::CreateTeam { name: team.clone() },
        Command::SetQuota { cluster: cluster.clone(), team, memory: Mib::MAX },
    ];
    for host in 1..=HOSTS {
        let spec = HostSpec {
            cluster: cluster.clone(),
            address: IpAddr::from([127, 0, 0, host]),
            memory: Mib::MAX_HOST,
            rack: None,
            blocked_ports: BTreeSet::new(),
        };
        commands.push(Command::AddHost { name: HostName::new(&format!("m{host}")).unwrap(), spec });
    }
    for command in commands {
        fleet.submit(order(command)).await.expect("found");
    }
}

/// Start children that open, and create, one new ledger at once; let them fill the fleet; kill as many of them half way.
async fn fill_with(world: World, children: usize, killed: usize) {
    let place = &world.place;
    let mut running: Vec<Child> = (0..children).map(|number| place.start("fill", number)).collect();
    for number in 0..children {
        place.wait_for(&format!("opened-{number}")).await;
    }
    found(&Fleet::open(place.store().await, Options::default()).await.expect("open")).await;
    place.signal("go");
    let since = Instant::now();
    for (number, child) in running.iter_mut().enumerate().take(killed) {
        while place.acknowledged(number).len() < CAPACITY / 4 / children {
            assert!(since.elapsed() < PATIENCE, "child {number} is too slow");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
    }
    for (number, child) in running.iter_mut().enumerate() {
        let status = child.wait().unwrap();
        assert_eq!(status.success(), number >= killed, "child {number}: {status}");
    }
    let shares: Vec<usize> = (0..children).map(|number| place.acknowledged(number).len()).collect();
    eprintln!("{CAPACITY} places, acknowledged by process: {shares:?}, {:?}", since.elapsed());

    let records = load(&*place.store().await).await;
    let mut caches = BTreeMap::new();
    let mut ports = BTreeSet::new();
    for record in &records {
        match record {
            Record::Cache(cache) => {
                caches.insert(cache.name.to_string(), cache.revision.get());
            }
            Record::Instance(it) => {
                assert!(ports.insert((it.host, it.port)), "one port, two instances: {it:?}")
            }
            _ => {}
        }
    }
    assert_eq!((caches.len(), ports.len()), (CAPACITY, CAPACITY), "the refusals came when it was full");
    for (name, revision) in (0..children).flat_map(|number| place.acknowledged(number)) {
        assert_eq!(caches.get(&name), Some(&revision), "{name} was acknowledged");
    }
    if killed == 0 {
        assert_eq!(shares.iter().sum::<usize>(), CAPACITY, "everything that is there was acknowledged");
    }
}

async fn load(store: &dyn Store) -> Vec<Record> {
    struct Collect(Vec<Record>);
    impl Load for Collect {
        fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
            self.0.extend(records);
            Ok(())
        }
    }
    let mut into = Collect(Vec::new());
    store.load(&mut into).await.expect("load");
    into.0
}

/// Tests on each kind of store.
macro_rules! on_each {
    ($($name:ident: $run:expr;)*) => {
        $(
            mod $name {
                use super::*;

                #[tokio::test]
                async fn sqlite() {
                    ($run)(World::sqlite()).await;
                }

                #[tokio::test]
                async fn postgres() {
                    ($run)(World::postgres()).await;
                }

                #[tokio::test]
                async fn mariadb() {
                    ($run)(World::mariadb()).await;
                }
            }
        )*
    };
}

on_each! {
    four_processes_fill_a_new_fleet: |world| fill_with(world, 4, 0);
    what_a_killed_process_acknowledged_is_there: |world| fill_with(world, 4, 2);
    two_processes_share_the_turns: |world| share_among(world, 2);
    four_processes_share_the_turns: |world| share_among(world, 4);
    a_killed_process_does_not_block_the_others: kill_the_holder;
}

// ---- Fairness

/// Takes turns as fast as it can, each with one commit, until told to stop.
async fn turns(place: &Place, number: usize) {
    let store = place.store().await;
    place.signal(&format!("opened-{number}"));
    place.wait_for("go").await;
    let mut at = Head::EMPTY;
    while !place.file("stop").exists() {
        at = match store.turn(at, &mut One { at, number }).await {
            Ok(head) => head,
            Err(TurnError::Behind) => {
                store.commits(at.revision, 10_000).await.unwrap().last().unwrap().head()
            }
            Err(error) => panic!("{error}"),
        };
    }
}

struct One {
    at: Head,
    number: usize,
}

impl Decide for One {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        let at = missed.last().map_or(self.at, Commit::head);
        let team = Team {
            id: TeamId::new(self.number as u64),
            name: TeamName::new(&format!("p{}", self.number)).unwrap(),
            revision: at.revision.next(),
        };
        vec![Commit {
            revision: at.revision.next(),
            id: CommitId::fresh(),
            previous: at.id,
            at: now,
            actor: Principal::new(&format!("process:{}", self.number)).unwrap(),
            action: Action { name: "test".into(), target: String::new(), detail: String::new() },
            request: None,
            changes: vec![Change::Put(Record::Team(team))],
        }]
    }
}

/// Under constant load each of the processes gets its share of the turns, and none waits for long.
async fn share_among(world: World, children: usize) {
    let place = &world.place;
    let mut running: Vec<Child> = (0..children).map(|number| place.start("turns", number)).collect();
    for number in 0..children {
        place.wait_for(&format!("opened-{number}")).await;
    }
    place.signal("go");
    let store = place.store().await;
    let since = Instant::now();
    while store.head().await.unwrap().revision.get() < 2000 {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.signal("stop");
    let took = since.elapsed();
    running.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));

    let commits = store.commits(Revision::default(), usize::MAX).await.unwrap();
    assert_eq!(commits.last().unwrap().head().format, FORMAT);
    let actors: Vec<&str> = commits.iter().map(|commit| commit.actor.as_str()).collect();
    let names: BTreeSet<&str> = actors.iter().copied().collect();
    assert_eq!(names.len(), children);
    // While all of them were at it.
    let from = names.iter().filter_map(|name| actors.iter().position(|actor| actor == name)).max().unwrap();
    let to = names.iter().filter_map(|name| actors.iter().rposition(|actor| actor == name)).min().unwrap();
    let window = &actors[from..=to];
    let shares: Vec<usize> =
        names.iter().map(|name| window.iter().filter(|actor| *actor == name).count()).collect();
    // Foreign turns between two of one's own, nearly always: a process that the system did not run was not waiting.
    let mut waits: Vec<usize> = Vec::new();
    for name in &names {
        let own: Vec<usize> = (0..window.len()).filter(|place| window[*place] == *name).collect();
        waits.extend(own.windows(2).map(|pair| pair[1] - pair[0] - 1));
    }
    waits.sort_unstable();
    let (nearly_always, worst) = (waits[waits.len() * 99 / 100], waits[waits.len() - 1]);
    eprintln!(
        "turns by process: {shares:?}; foreign turns waited for: {nearly_always}, worst {worst}; {took:?}"
    );
    let even = window.len() / children;
    assert!(shares.iter().all(|share| share * 10 >= even * 8), "{shares:?}");
    assert!(nearly_always <= 2 * children, "{nearly_always}");
}

/// The lock of a process that was killed is free at once.
async fn kill_the_holder(world: World) {
    let place = &world.place;
    let mut child = place.start("turns", 0);
    place.wait_for("opened-0").await;
    place.signal("go");
    let store = place.store().await;
    while store.head().await.unwrap().revision.get() < 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let since = Instant::now();
    let before = store.head().await.unwrap();
    let head = store.turn(before, &mut One { at: before, number: 1 }).await.expect("turn");
    // Its last COMMIT may have been on its way still.
    assert!(head.revision > before.revision);
    assert!(since.elapsed() < Duration::from_secs(5));
}

// ---- No room on the disk

/// Appends until a write fails, waits for room, and goes on.
async fn full(place: &Place, number: usize) {
    let store = place.store().await;
    let mut at = Head::EMPTY;
    let error = loop {
        match store.turn(at, &mut One { at, number }).await {
            Ok(head) => at = head,
            Err(error) => break error,
        }
    };
    let unknown = match &error {
        TurnError::Store(error) if error.is_temporary() => false,
        TurnError::Unknown(error) if error.is_temporary() => true,
        error => panic!("{error:?}"),
    };
    eprintln!("after {} commits: {error}", at.revision);
    let found = store.head().await.expect("reads go on");
    assert!(found == at || (unknown && found.revision == at.revision.next()));
    place.signal("full");
    place.wait_for("room").await;
    let head = store.turn(at, &mut One { at, number }).await.expect("goes on");
    assert!(unknown || head.revision == at.revision.next());
    assert_eq!(place.store().await.head().await.unwrap(), head);
}

/// A write that fails in the middle of a COMMIT, here by the process's limit on the size of its files, fails the
/// turn, and nothing else: reads go on, and so do turns once there is room.
#[tokio::test]
async fn a_write_that_fails_takes_nothing_with_it() {
    // So that the write fails at other places of a commit.
    for kib in [300, 303, 306, 309] {
        let world = World::sqlite();
        let place = &world.place;
        let mut shell = Process::new("sh");
        // In blocks of 512 bytes; the signal would end the process.
        let limited = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"", 2 * kib);
        shell.args(["-c", &limited]).arg(std::env::current_exe().unwrap());
        let mut child = place.start_by(shell, "full", 0);
        place.wait_for("full").await;
        let pid = child.id().to_string();
        let lifted = Process::new("prlimit").args(["--pid", &pid, "--fsize=unlimited"]).status().unwrap();
        assert!(lifted.success());
        place.signal("room");
        assert!(child.wait().unwrap().success());
    }
}
