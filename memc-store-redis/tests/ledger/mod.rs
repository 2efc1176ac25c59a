//! What the tests do with a ledger, and what has to be true of it afterwards.

#![allow(dead_code)] // each test uses some of it
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // tests fail by panicking

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_core::ledger::{Action, Change, Command, Commit, Head, Order};
use memc_core::model::{
    CommitId, Key, Principal, Record, RequestId, Revision, Team, TeamId, TeamName, Timestamp,
};
use memc_core::store::{Decide, Load, Store, TurnError};
use memc_store_redis::{RedisOptions, RedisStore};
use tokio::task::JoinHandle;

pub(crate) async fn open(url: &str) -> RedisStore {
    RedisStore::open(url, RedisOptions::default()).await.expect("open")
}

/// Appends one commit, which puts a team of its revision's number, after whatever was missed.
pub(crate) struct One {
    pub(crate) at: Head,
    pub(crate) who: String,
}

impl One {
    pub(crate) fn new(at: Head) -> Self {
        One { at, who: "user:test".into() }
    }
}

impl Decide for One {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        self.at = missed.last().map_or(self.at, Commit::head);
        let revision = self.at.revision.next();
        let name = TeamName::new(&format!("t{revision}")).unwrap();
        let team = Team { id: TeamId::new(revision.get()), name, revision };
        vec![Commit {
            revision,
            id: CommitId::fresh(),
            previous: self.at.id,
            at: now,
            actor: Principal::new(&self.who).unwrap(),
            action: Action {
                name: "test".into(),
                target: format!("team:t{}", revision.get() % 7),
                detail: String::new(),
            },
            request: None,
            changes: vec![Change::Put(Record::Team(team))],
        }]
    }
}

pub(crate) async fn append(store: &dyn Store, at: Head) -> Result<Head, TurnError> {
    store.turn(at, &mut One::new(at)).await
}

/// Append at the end, catching up where that takes more than a turn reads.
pub(crate) async fn append_at_the_end(store: &dyn Store, mut at: Head, who: &str) -> Head {
    loop {
        match store.turn(at, &mut One { at, who: who.into() }).await {
            Ok(head) => return head,
            Err(TurnError::Behind) => {
                at = store.commits(at.revision, 10_000).await.unwrap().last().unwrap().head();
            }
            Err(error) => panic!("a turn failed: {error}"),
        }
    }
}

pub(crate) async fn load(store: &dyn Store) -> (BTreeMap<Key, Record>, Head) {
    struct Collect(BTreeMap<Key, Record>);
    impl Load for Collect {
        fn take(&mut self, records: Vec<Record>) -> Result<(), String> {
            for record in records {
                assert!(self.0.insert(record.key(), record).is_none(), "a record came twice");
            }
            Ok(())
        }
    }
    let mut into = Collect(BTreeMap::new());
    let head = store.load(&mut into).await.expect("load");
    (into.0, head)
}

/// The commits continue each other, and what is loaded is their fold.
pub(crate) async fn assert_sound(store: &dyn Store) -> (BTreeMap<Key, Record>, Head) {
    let commits = store.commits(Revision::default(), usize::MAX).await.expect("commits");
    let (mut folded, mut head) = (BTreeMap::new(), Head::EMPTY);
    for commit in commits {
        assert_eq!(commit.revision, head.revision.next());
        assert_eq!(commit.previous, head.id);
        head = commit.head();
        for change in commit.changes {
            match change {
                Change::Put(record) => folded.insert(record.key(), record),
                Change::Remove(key) => folded.remove(&key),
            };
        }
    }
    let loaded = load(store).await;
    assert_eq!(loaded.1, head);
    assert!(loaded.0 == folded, "what is loaded is not what the commits fold to");
    loaded
}

/// Clients who create teams on several [`Fleet`]s until they are told to stop, asking again for what failed.
pub(crate) struct Clients {
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Vec<(String, u64)>>>,
    acknowledged: Arc<std::sync::atomic::AtomicU64>,
}

impl Clients {
    pub(crate) async fn start(url: &str, fleets: usize, each: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let mut clients = Vec::new();
        for number in 0..fleets {
            let fleet =
                Fleet::open(Arc::new(open(url).await), Options::default()).await.expect("open a fleet");
            for client in 0..each {
                let (fleet, over) = (fleet.clone(), Arc::clone(&over));
                let acknowledged = Arc::clone(&acknowledged);
                clients.push(tokio::spawn(async move {
                    let mut told = Vec::new();
                    for round in 0.. {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        let name = format!("t{number}-{client}-{round}");
                        // Asked again until it is clear what became of it.
                        let receipt = loop {
                            match fleet.submit(create(&name)).await {
                                Ok(receipt) => break receipt,
                                Err(error) if is_for_good(&error) => panic!("{error}"),
                                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                            }
                        };
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                        told.push((name, receipt.revision.get()));
                    }
                    told
                }));
            }
        }
        Clients { over, clients, acknowledged }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Wait until so many more were acknowledged.
    pub(crate) async fn more(&self, count: u64) -> Duration {
        let (since, until) = (Instant::now(), self.acknowledged() + count);
        while self.acknowledged() < until {
            assert!(since.elapsed() < Duration::from_secs(60), "it does not go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        since.elapsed()
    }

    /// End them, and see that everything they were told is there, once.
    pub(crate) async fn end(self, url: &str) -> usize {
        let (told, teams) = self.compare(url).await;
        for (name, revision) in &told {
            assert_eq!(teams.get(name), Some(revision), "{name} was acknowledged");
        }
        assert_eq!(teams.len(), told.len(), "everything that is there was acknowledged in the end");
        told.len()
    }

    /// End them: what they were told, and what is there, in a ledger that agrees with itself.
    pub(crate) async fn compare(self, url: &str) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        self.over.store(true, Ordering::Relaxed);
        let mut told = BTreeMap::new();
        for client in self.clients {
            told.extend(client.await.expect("a client ended badly"));
        }
        let (records, _) = assert_sound(&open(url).await).await;
        let mut teams = BTreeMap::new();
        for record in records.into_values() {
            if let Record::Team(team) = record {
                assert_eq!(
                    teams.insert(team.name.to_string(), team.revision.get()),
                    None,
                    "{} twice",
                    team.name
                );
            }
        }
        (told, teams)
    }
}

fn is_for_good(error: &memc_core::fleet::SubmitError) -> bool {
    use memc_core::fleet::SubmitError::{Busy, OutcomeUnknown, Unavailable};
    !matches!(error, Unavailable(_) | OutcomeUnknown | Busy)
}

fn create(name: &str) -> Order {
    Order {
        actor: Principal::new("user:test").unwrap(),
        request: Some(RequestId::new(name).unwrap()),
        command: Command::CreateTeam { name: TeamName::new(name).unwrap() },
    }
}
