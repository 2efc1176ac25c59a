//! Several processes on one server. The children are this test binary itself, started again for its test `child`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

mod ledger;
mod server;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::time::{Duration, Instant};

use ledger::{One, append, append_at_the_end, assert_sound, open};
use memc_core::ledger::{Commit, Head};
use memc_core::model::{Revision, Timestamp};
use memc_core::store::{Decide, Store, TurnError};
use memc_test_servers::{Others, assert_fair};
use server::{Server, signal};
use tempfile::TempDir;

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
    let place = Place {
        directory: std::env::var_os("MEMC_PLACE").unwrap().into(),
        url: std::env::var("MEMC_URL").unwrap(),
    };
    let number: usize = std::env::var("MEMC_NUMBER").unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        match role.as_str() {
            "turns" => turns(&place, number).await,
            "slow" => slow(&place).await,
            other => panic!("no role {other}"),
        }
    });
}

/// What parent and children share.
struct Place {
    directory: PathBuf,
    url: String,
}

impl Place {
    fn new(directory: &TempDir, server: &Server) -> Self {
        Place { directory: directory.path().to_owned(), url: server.url() }
    }

    fn start(&self, role: &str, number: usize) -> Child {
        self.start_among(role, number, None)
    }

    fn start_among(&self, role: &str, number: usize, fair: Option<usize>) -> Child {
        Process::new(std::env::current_exe().unwrap())
            .envs(fair.map(|count| ("MEMC_FAIR", count.to_string())))
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
        File::create(self.directory.join(name)).unwrap();
    }

    fn has(&self, name: &str) -> bool {
        self.directory.join(name).exists()
    }

    async fn wait_for(&self, name: &str) {
        let since = Instant::now();
        while !self.has(name) {
            assert!(since.elapsed() < PATIENCE, "waited too long for {name}");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Takes turns, each with one commit, until told to stop. Where the shares count, each waits for the others to ask.
async fn turns(place: &Place, number: usize) {
    let fair = std::env::var("MEMC_FAIR").ok().map(|count| count.parse::<usize>().unwrap());
    let others = fair.map(|count| {
        let url = place.url.clone();
        Others::wait_in(count - 1, move || {
            let mut connection = redis::Client::open(url).unwrap().get_connection().unwrap();
            move || redis::cmd("ZCARD").arg("{memc}:queue").query(&mut connection).unwrap()
        })
    });
    let store = open(&place.url).await;
    place.signal(&format!("opened-{number}"));
    place.wait_for("go").await;
    let mut at = Head::EMPTY;
    while !place.has("stop") {
        let mut turn = InTurn { others: others.as_ref(), one: One { at, who: format!("process:{number}") } };
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

/// Under constant load each of the processes gets its share of the turns, and none is passed over.
async fn share_among(children: usize) {
    let (server, directory) = (Server::start(), tempfile::tempdir().unwrap());
    let place = Place::new(&directory, &server);
    let fair = Some(children);
    let mut running: Vec<Child> =
        (0..children).map(|number| place.start_among("turns", number, fair)).collect();
    for number in 0..children {
        place.wait_for(&format!("opened-{number}")).await;
    }
    place.signal("go");
    let store = open(&place.url).await;
    let since = Instant::now();
    while store.head().await.unwrap().revision.get() < TURNS {
        assert!(since.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.signal("stop");
    running.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));

    assert_sound(&store).await;
    let commits = store.commits(Revision::default(), usize::MAX).await.unwrap();
    let actors: Vec<&str> = commits.iter().map(|commit| commit.actor.as_str()).collect();
    assert_fair(&actors, children);
}

#[tokio::test]
async fn two_processes_share_the_turns() {
    share_among(2).await;
}

#[tokio::test]
async fn four_processes_share_the_turns() {
    share_among(4).await;
}

/// A process that is killed keeps the others for a part of the time that they wait at most.
#[tokio::test]
async fn a_killed_process_does_not_block_the_others() {
    let (server, directory) = (Server::start(), tempfile::tempdir().unwrap());
    let place = Place::new(&directory, &server);
    let mut running: Vec<Child> = (0..3).map(|number| place.start("turns", number)).collect();
    for number in 0..3 {
        place.wait_for(&format!("opened-{number}")).await;
    }
    place.signal("go");
    let store = open(&place.url).await;
    while store.head().await.unwrap().revision.get() < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // One had the turn, the others waited for it.
    for child in &mut running {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let since = Instant::now();
    let before = store.head().await.unwrap();
    // Fails when it has waited for as long as a turn may.
    let head = append_at_the_end(&store, before, "process:9").await;
    append(&store, head).await.unwrap();
    eprintln!("waited {:?} for three that were killed", since.elapsed());
    assert_sound(&store).await;
}

/// Takes one turn, and is slow to decide.
async fn slow(place: &Place) {
    struct Slow<'a> {
        place: &'a Place,
        one: One,
        decided: usize,
    }
    impl Decide for Slow<'_> {
        fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
            self.decided += 1;
            self.place.signal(&format!("deciding-{}", self.decided));
            if self.decided == 1 {
                // In this time it is stopped.
                std::thread::sleep(Duration::from_millis(500));
            }
            self.one.decide(missed, now)
        }
    }
    let store = open(&place.url).await;
    let at = store.head().await.unwrap();
    let mut slow = Slow { place, one: One { at, who: "process:slow".into() }, decided: 0 };
    store.turn(at, &mut slow).await.unwrap();
}

/// One that is stopped in its turn keeps the others for its two seconds; when it goes on, what it had decided is void,
/// and it decides again on what it missed.
#[tokio::test]
async fn a_paused_process_does_no_harm() {
    let (server, directory) = (Server::start(), tempfile::tempdir().unwrap());
    let place = Place::new(&directory, &server);
    let store = open(&place.url).await;
    let mut head = append(&store, Head::EMPTY).await.unwrap();
    let mut child = place.start("slow", 0);
    place.wait_for("deciding-1").await;
    signal(child.id(), "STOP");
    let since = Instant::now();
    // Fails when it has waited for as long as a turn may.
    head = append(&store, head).await.unwrap();
    eprintln!("waited {:?} for one that was stopped", since.elapsed());
    for _ in 0..10 {
        head = append(&store, head).await.unwrap();
    }
    signal(child.id(), "CONT");
    assert!(child.wait().unwrap().success());
    assert!(place.has("deciding-2"), "it decided again");
    let (_, end) = assert_sound(&store).await;
    assert_eq!(end.revision, head.revision.next());
    let last = store.commits(head.revision, 10).await.unwrap();
    assert_eq!(last[0].actor.as_str(), "process:slow");
    assert_eq!(last[0].previous, head.id);
}
