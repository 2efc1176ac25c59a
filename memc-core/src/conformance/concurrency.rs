//! Several handles at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::Fixture;
use super::process::{
    Answer, Follow, Records, all_commits, append_at_the_end, assert_sound, commit, fold, load, team,
};
use crate::Fleet;
use crate::fleet::{Options, SubmitError};
use crate::ledger::{Change, ClusterSpec, Command, Commit, Head, HostSpec, Order};
use crate::model::{
    CacheName, ClusterName, HostName, Key, Mib, Policy, Port, PortRange, Principal, Record, RequestId,
    TeamName, Timestamp,
};
use crate::store::{Decide, TurnError};

const TASKS: usize = 8;
const TURNS: usize = 25;

/// Eight tasks on two handles append what they were told is the end, over and over: each commit is there once, in an
/// order that every task's own answers agree with.
pub async fn concurrent_turns_neither_lose_nor_double(fixture: &dyn Fixture) {
    let handles = [fixture.open().await, fixture.open().await];
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = Arc::clone(&handles[task % 2]);
            tokio::spawn(async move {
                let (mut at, mut own) = (Head::EMPTY, Vec::new());
                for number in 0..TURNS {
                    let detail = format!("{task}/{number}");
                    at = append_at_the_end(&*store, at, &[&detail]).await;
                    own.push((at.revision, detail));
                }
                own
            })
        })
        .collect();
    let mut expected = BTreeMap::new();
    for task in tasks {
        let own = task.await.expect("a task ended badly");
        assert!(own.is_sorted_by(|(before, _), (after, _)| before < after), "revisions went back: {own:?}");
        for (revision, detail) in own {
            assert!(
                expected.insert(revision, detail).is_none(),
                "two commits were given revision {revision}"
            );
        }
    }
    assert_eq!(expected.len(), TASKS * TURNS);
    let there = all_commits(&*handles[0]).await;
    let there: BTreeMap<_, _> =
        there.into_iter().map(|commit| (commit.revision, commit.action.detail)).collect();
    assert_eq!(there, expected);
    assert_sound(&*handles[1]).await;
}

/// Four handles that want a turn all the time: each gets at least four fifths of its even share.
pub async fn turns_are_fair(fixture: &dyn Fixture) {
    const HANDLES: usize = 4;
    const IN_ALL: usize = 600;
    let (taken, start) = (Arc::new(AtomicUsize::new(0)), Arc::new(tokio::sync::Barrier::new(HANDLES)));
    let mut tasks = Vec::new();
    for _ in 0..HANDLES {
        let (store, taken, start) = (fixture.open().await, Arc::clone(&taken), Arc::clone(&start));
        tasks.push(tokio::spawn(async move {
            start.wait().await;
            let (mut at, mut own) = (Head::EMPTY, 0);
            while taken.fetch_add(1, Ordering::Relaxed) < IN_ALL {
                at = loop {
                    match store.turn(at, &mut Unhurried(Follow { at, details: &["turn"] })).await {
                        Ok(head) => break head,
                        // It waited for that long.
                        Err(TurnError::Behind) => at = store.head().await.expect("head"),
                        Err(error) => panic!("a turn failed: {error}"),
                    }
                };
                own += 1;
            }
            own
        }));
    }
    let mut shares: Vec<usize> = Vec::new();
    for task in tasks {
        shares.push(task.await.expect("a handle ended badly"));
    }
    let even = IN_ALL / HANDLES;
    assert!(shares.iter().all(|share| share * 5 >= even * 4), "uneven shares of {IN_ALL} turns: {shares:?}");
}

/// Takes long enough that the order of turns is the store's doing, and not that of this machine's scheduler.
struct Unhurried<'a>(Follow<'a>);

impl Decide for Unhurried<'_> {
    fn decide(&mut self, missed: Vec<Commit>, now: Timestamp) -> Vec<Commit> {
        std::thread::sleep(Duration::from_millis(1));
        self.0.decide(missed, now)
    }
}

/// Loads while others write: each is the fold of the commits up to the head that came with it.
pub async fn loads_are_of_one_moment(fixture: &dyn Fixture) {
    let (store, writer) = (fixture.open().await, fixture.open().await);
    // Each commit changes all of these, so that a load of two moments shows; more than fit one page of most stores.
    let teams = 3000;
    let all = move |round: u64, head: Head| -> Vec<Change> {
        let spread = if round == 0 { (1..=teams).collect::<Vec<_>>() } else { vec![1, teams / 2, teams] };
        spread.into_iter().map(|number| Change::Put(team(number, head.revision.next()))).collect()
    };
    let over = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let over = Arc::clone(&over);
        async move {
            let (mut head, mut round) = (Head::EMPTY, 0);
            while !over.load(Ordering::Relaxed) {
                let mut answer = Answer::new(|now| vec![commit(head, now, "", all(round, head))]);
                head = writer.turn(head, &mut answer).await.expect("turn");
                round += 1;
                tokio::task::yield_now().await;
            }
        }
    });
    let (mut loads, mut last) = (0, Head::EMPTY);
    while loads < 10 {
        let (records, head) = load(&*store).await;
        assert!(head.revision >= last.revision, "a later load is not of an earlier moment");
        let (mut folded, mut end) = (Records::new(), Head::EMPTY);
        let commits = all_commits(&*store).await;
        let until = commits.iter().take_while(|commit| commit.revision <= head.revision).count();
        fold(&mut folded, &mut end, &commits[..until]);
        assert_eq!(end, head);
        assert!(records == folded, "the load at revision {} is of several moments", head.revision);
        loads += usize::from(head.revision > last.revision);
        last = head;
    }
    over.store(true, Ordering::Relaxed);
    writing.await.expect("the writer ended badly");
}

/// Two [`Fleet`]s on one ledger, sixteen clients, until nothing fits any more: everything acknowledged is there, no
/// port has two owners, and what was refused did not fit.
pub async fn fleets_share_a_ledger(fixture: &dyn Fixture) {
    let options = Options { accept_risks: true, ..Options::default() };
    let mut fleets = Vec::new();
    for _ in 0..2 {
        fleets.push(Fleet::open(fixture.open().await, options.clone()).await.expect("open"));
    }
    prepare(&fleets[0]).await;
    fleets[1].refresh().await.expect("refresh");
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let fleet = fleets[client % 2].clone();
            tokio::spawn(async move {
                let mut acknowledged = Vec::new();
                for number in 0.. {
                    let name = format!("c{client}-{number}");
                    match fleet.submit(allocate(&name)).await {
                        Ok(receipt) => {
                            let again = fleet.submit(allocate(&name)).await.expect("the same request again");
                            assert_eq!(again, receipt, "a request is carried out once");
                            acknowledged.push((name, receipt));
                        }
                        Err(SubmitError::Refused(refusal)) => {
                            assert_eq!(refusal.code(), "no_room");
                            return acknowledged;
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
                unreachable!()
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for client in clients {
        acknowledged.extend(client.await.expect("a client ended badly"));
    }
    // 4 hosts with room for 5 instances of 8 + 40 MiB each.
    assert_eq!(acknowledged.len(), 20);
    let store = fixture.open().await;
    let (records, _) = assert_sound(&*store).await;
    let mut ports = BTreeSet::new();
    for record in records.values() {
        if let Record::Instance(instance) = record {
            assert!(ports.insert((instance.host, instance.port)), "one port, two instances");
        }
    }
    assert_eq!(ports.len(), 20);
    for (name, receipt) in acknowledged {
        let Key::Cache { id } = receipt.subject else { panic!("a cache was asked for") };
        let Some(Record::Cache(cache)) = records.get(&Key::Cache { id }) else {
            panic!("{name} is not there")
        };
        assert_eq!((cache.name.as_str(), cache.revision), (name.as_str(), receipt.revision));
    }
    for fleet in &fleets {
        assert!(fleet.status().findings.iter().all(|finding| !finding.code.starts_with("ledger.")));
    }
}

fn order(command: Command, request: Option<RequestId>) -> Order {
    Order { actor: Principal::new("user:conformance").unwrap(), request, command }
}

fn allocate(name: &str) -> Order {
    let (team, cluster) = (TeamName::new("shop").unwrap(), ClusterName::new("web").unwrap());
    let command = Command::Allocate {
        team,
        name: CacheName::new(name).unwrap(),
        cluster,
        memory: Mib::MIN_INSTANCE,
        instances: 1,
        max_per_rack: None,
    };
    order(command, Some(RequestId::new(name).unwrap()))
}

async fn prepare(fleet: &Fleet) {
    let (team, cluster) = (TeamName::new("shop").unwrap(), ClusterName::new("web").unwrap());
    let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(11214).unwrap() };
    let mut policy = Policy { grow_headroom_percent: 0, ..Policy::default() };
    policy.overhead.floor_mib = 24;
    let mut commands = vec![
        Command::CreateCluster { name: cluster.clone(), spec: ClusterSpec { ports, policy } },
        Command::CreateTeam { name: team.clone() },
        Command::SetQuota { cluster: cluster.clone(), team, memory: Mib::MAX },
    ];
    for host in 1..=4 {
        let spec = HostSpec {
            cluster: cluster.clone(),
            address: std::net::IpAddr::from([127, 0, 0, host]),
            memory: Mib::new(5 * (8 + 24 + 16)).unwrap(),
            rack: None,
            blocked_ports: BTreeSet::new(),
        };
        commands.push(Command::AddHost { name: HostName::new(&format!("m{host}")).unwrap(), spec });
    }
    for command in commands {
        fleet.submit(order(command, None)).await.expect("prepare");
    }
}
