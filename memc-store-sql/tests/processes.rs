//! Several processes on one store. The children are this test binary itself, started again for its test `child`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
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
use memc_store_sql::Options as Limits;
use memc_test_servers::{MariaDb, Others, Postgres, Server, assert_fair};
use sqlx::{Connection, Database, Executor, FromRow, IntoArguments, MySqlConnection, PgConnection};
use tempfile::TempDir;

const HOSTS: u8 = 30;
const PORTS: u16 = 60;
const CAPACITY: usize = HOSTS as usize * PORTS as usize;
const PATIENCE: Duration = Duration::from_secs(100);
/// Turns that the shares of are looked at.
const TURNS: u64 = 800;

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
            "slow" => slow(&place, number).await,
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

    /// The other processes, in the database's own queue.
    fn others(&self, others: usize) -> Others {
        let url = self.url.clone();
        match self.url.split_once(':').map_or("", |(scheme, _)| scheme) {
            "postgres" => Others::wait_in(others, || {
                let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
                counting::<PgConnection>(url, waiting)
            }),
            "mysql" => Others::wait_in(others, || {
                let waiting = "SELECT count(*) FROM information_schema.processlist WHERE state = 'User lock'";
                counting::<MySqlConnection>(url, waiting)
            }),
            _ => Others::wait_in(others, self.flocks()),
        }
    }

    /// Those that the kernel says wait for one of the queue's files.
    fn flocks(&self) -> impl FnOnce() -> Box<dyn FnMut() -> usize> + Send + 'static {
        let files =
            ["wait3", "wait2", "wait1", "next", "turn"].map(|name| self.file(&format!("memc.db.{name}")));
        move || {
            Box::new(move || {
                let inodes: Vec<String> = files
                    .iter()
                    .filter_map(|file| Some(format!(":{} ", file.metadata().ok()?.ino())))
                    .collect();
                let locks = std::fs::read_to_string("/proc/locks").unwrap();
                let waits = |line: &&str| {
                    line.contains("-> FLOCK") && inodes.iter().any(|inode| line.contains(inode))
                };
                // By process: it is not read at one moment, and who goes on to the next file meanwhile is there twice.
                let process = |line| str::split_whitespace(line).nth(5);
                locks.lines().filter(waits).filter_map(process).collect::<BTreeSet<_>>().len()
            })
        }
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

/// What a query counts, on a connection and in a runtime of its own.
fn counting<C: Connection>(url: String, query: &'static str) -> impl FnMut() -> usize
where
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
    for<'q> <C::Database as Database>::Arguments: IntoArguments<C::Database>,
    (i64,): for<'r> FromRow<'r, <C::Database as Database>::Row>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut connection = runtime.block_on(C::connect(&url)).unwrap();
    move || {
        let counted =
            runtime.block_on(sqlx::query_as::<_, (i64,)>(query).fetch_one(&mut connection)).unwrap();
        usize::try_from(counted.0).unwrap()
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

/// Takes turns, each with one commit, until told to stop. Where the shares count, each waits for the others to ask.
async fn turns(place: &Place, number: usize) {
    let fair = std::env::var("MEMC_FAIR").ok().map(|count| count.parse::<usize>().unwrap());
    let others = fair.map(|count| place.others(count - 1));
    let store = place.store().await;
    place.signal(&format!("opened-{number}"));
    place.wait_for("go").await;
    let mut at = Head::EMPTY;
    while !place.file("stop").exists() {
        let mut turn = InTurn { others: others.as_ref(), one: One { at, number } };
        at = match store.turn(at, &mut turn).await {
            Ok(head) => head,
            Err(TurnError::Behind) => {
                store.commits(at.revision, 10_000).await.unwrap().last().unwrap().head()
            }
            Err(error) => panic!("{error}"),
        };
    }
}

struct InTurn<'a> {
    others: Option<&'a Others>,
    one: One,
}

impl Decide for InTurn<'_> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        if let Some(others) = self.others {
            others.are_there();
        }
        self.one.decide(missed, now)
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

/// Under constant load each of the processes gets its share of the turns, and none is passed over.
async fn share_among(world: World, children: usize) {
    let place = &world.place;
    let fair = |number: usize| {
        let mut process = Process::new(std::env::current_exe().unwrap());
        process.env("MEMC_FAIR", children.to_string());
        place.start_by(process, "turns", number)
    };
    let mut running: Vec<Child> = (0..children).map(fair).collect();
    for number in 0..children {
        place.wait_for(&format!("opened-{number}")).await;
    }
    place.signal("go");
    let store = place.store().await;
    let (mut taken, mut since) = (0, Instant::now());
    while taken < TURNS {
        // However slow a busy machine is, somebody has a turn.
        assert!(since.elapsed() < PATIENCE, "nobody has a turn after {taken}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = store.head().await.unwrap().revision.get();
        if now > taken {
            (taken, since) = (now, Instant::now());
        }
    }
    place.signal("stop");
    running.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));

    let commits = store.commits(Revision::default(), usize::MAX).await.unwrap();
    assert_eq!(commits.last().unwrap().head().format, FORMAT);
    let actors: Vec<&str> = commits.iter().map(|commit| commit.actor.as_str()).collect();
    assert_fair(&actors, children);
}

/// The lock of a process that was killed is free at once.
async fn kill_the_holder(world: World) {
    let place = &world.place;
    let mut child = place.start("turns", 0);
    place.wait_for("opened-0").await;
    place.signal("go");
    // Its waiting ends before any limit on how long somebody else may have the turn.
    let limits = Limits { lock_wait: Duration::from_secs(10), ..Limits::default() };
    let store = memc_store_sql::connect_with(&place.url, limits).await.expect("connect");
    while store.head().await.unwrap().revision.get() < 50 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = store.head().await.unwrap();
    let head = store.turn(before, &mut One { at: before, number: 1 }).await.expect("turn");
    // The server may have been at the COMMIT that the process had sent.
    let since = store.commits(before.revision, 10).await.unwrap();
    assert!(since.len() <= 2, "{since:?}");
    let last = since.last().unwrap();
    assert_eq!((last.head(), last.actor.as_str()), (head, "process:1"));
}

// ---- A holder that stands still

/// How long a server waits for the holder of a turn here.
fn impatient() -> Limits {
    Limits { patience: Duration::from_secs(1), ..Limits::default() }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    assert!(Process::new("kill").arg(format!("-{name}")).arg(pid).status().unwrap().success());
}

/// Takes a turn and is slow to decide; says what came of it, and takes another.
async fn slow(place: &Place, number: usize) {
    struct Slow<'a> {
        place: &'a Place,
        one: One,
    }
    impl Decide for Slow<'_> {
        fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
            self.place.signal("deciding");
            // In this time it is stopped.
            std::thread::sleep(Duration::from_millis(500));
            self.one.decide(missed, now)
        }
    }
    let store = memc_store_sql::connect_with(&place.url, impatient()).await.expect("connect");
    let at = store.head().await.unwrap();
    let mut slow = Slow { place, one: One { at, number } };
    let outcome = match store.turn(at, &mut slow).await {
        Ok(head) => format!("appended {}", head.revision),
        Err(TurnError::Store(error)) if error.is_temporary() => "nothing was appended".into(),
        Err(error) => format!("{error:?}"),
    };
    std::fs::write(place.file("outcome"), outcome).unwrap();
    let at = store.head().await.unwrap();
    store.turn(at, &mut One { at, number }).await.expect("goes on");
}

/// The commits of a ledger, each of which follows the one before, and whose they are.
async fn sound(store: &dyn Store) -> Vec<String> {
    let commits = store.commits(Revision::default(), usize::MAX).await.unwrap();
    let mut head = Head::EMPTY;
    for commit in &commits {
        assert_eq!((commit.revision, commit.previous), (head.revision.next(), head.id));
        head = commit.head();
    }
    assert_eq!(store.head().await.unwrap(), head);
    commits.into_iter().map(|commit| commit.actor.to_string()).collect()
}

/// The server ends the session of a holder that says nothing for longer than its patience, and the others go on. What
/// the holder had decided comes to nothing, it is told so, and its next turn is as any other.
async fn pause_the_holder(world: World) {
    let place = &world.place;
    // Longer than the patience, shorter than it is by default: whoever is not let in by then fails.
    let limits = Limits { lock_wait: Duration::from_secs(10), ..impatient() };
    let store = memc_store_sql::connect_with(&place.url, limits).await.expect("connect");
    let mut head = store.turn(Head::EMPTY, &mut One { at: Head::EMPTY, number: 1 }).await.expect("turn");
    let mut child = place.start("slow", 0);
    place.wait_for("deciding").await;
    signal(&child, "STOP");
    for _ in 0..10 {
        head = store.turn(head, &mut One { at: head, number: 1 }).await.expect("a turn");
    }
    signal(&child, "CONT");
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(place.file("outcome")).unwrap(), "nothing was appended");
    let actors = sound(&*store).await;
    assert_eq!(
        actors.iter().map(String::as_str).collect::<Vec<_>>(),
        [&["process:1"; 11][..], &["process:0"]].concat()
    );
}

#[tokio::test]
async fn a_paused_holder_is_cut_off_and_does_no_harm_postgres() {
    pause_the_holder(World::postgres()).await;
}

#[tokio::test]
async fn a_paused_holder_is_cut_off_and_does_no_harm_mariadb() {
    pause_the_holder(World::mariadb()).await;
}

/// Nothing can end a SQLite transaction from outside: the others say whose it is, reads go on, and so does everybody once
/// the holder does.
#[tokio::test]
async fn a_paused_holder_is_named_sqlite() {
    let world = World::sqlite();
    let place = &world.place;
    let limits = Limits { lock_wait: Duration::from_millis(300), ..impatient() };
    let store = memc_store_sql::connect_with(&place.url, limits).await.expect("connect");
    let head = store.turn(Head::EMPTY, &mut One { at: Head::EMPTY, number: 1 }).await.expect("turn");
    let mut child = place.start("slow", 0);
    place.wait_for("deciding").await;
    signal(&child, "STOP");
    for _ in 0..3 {
        let error = store.turn(head, &mut One { at: head, number: 1 }).await.unwrap_err();
        assert!(matches!(&error, TurnError::Store(error) if error.is_temporary()), "{error:?}");
        let holder = format!("store locked: process {} (", child.id());
        assert!(error.to_string().contains(&holder), "{error}");
        assert_eq!(store.head().await.unwrap(), head);
    }
    signal(&child, "CONT");
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_to_string(place.file("outcome")).unwrap(), "appended 2");
    let end = store.head().await.unwrap();
    store.turn(head, &mut One { at: head, number: 1 }).await.expect("a turn");
    assert_eq!(end.revision.get(), 3);
    assert_eq!(sound(&*store).await, ["process:1", "process:0", "process:0", "process:1"]);
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
