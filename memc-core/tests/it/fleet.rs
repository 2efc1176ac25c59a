//! The fleet over a store: group commit, following, stores that fail.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use memc_core::fleet::{Options, SubmitError};
use memc_core::ledger::{Command, Order, Seen};
use memc_core::model::*;
use memc_core::store::{self, MemoryStore};
use memc_core::{Fleet, Store};

use crate::flaky::{Fault, Flaky};
use crate::world::*;

/// Polls so seldom that only what a test does moves anything.
fn quiet() -> Options {
    Options { poll: Duration::from_secs(3600), ..Options::default() }
}

async fn open(store: &Arc<Flaky>) -> Fleet {
    Fleet::open(store.clone() as Arc<dyn Store>, quiet()).await.unwrap()
}

async fn submit(fleet: &Fleet, command: Command) -> Result<(), SubmitError> {
    fleet.submit(order(command)).await.map(|_| ())
}

async fn furnish(fleet: &Fleet, hosts: u64, memory: u64, quota: u64) {
    let spec = spec(11211, 11214, Policy::default());
    submit(fleet, Command::CreateCluster { name: name("web"), spec }).await.unwrap();
    for host in 0..hosts {
        submit(fleet, add_host(&format!("m{host}"), memory, None)).await.unwrap();
    }
    submit(fleet, Command::CreateTeam { name: name("shop") }).await.unwrap();
    let quota = Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(quota) };
    submit(fleet, quota).await.unwrap();
}

fn caches(fleet: &Fleet) -> BTreeSet<String> {
    fleet.read(|state| state.caches().map(|cache| cache.name.to_string()).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_fill_a_fleet_without_double_booking() {
    let store = MemoryStore::new();
    let one = Fleet::open(Arc::new(store.clone()), Options::default()).await.unwrap();
    let two = Fleet::open(Arc::new(store.clone()), Options::default()).await.unwrap();
    furnish(&one, 20, 500, 1_000_000).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..64 {
        let fleet = if client % 2 == 0 { one.clone() } else { two.clone() };
        clients.spawn(async move {
            let mut mine = Vec::new();
            for number in 0.. {
                let cache = format!("c{client}-{number}");
                match submit(&fleet, allocate(&cache, 8 + client % 40, 1)).await {
                    Ok(()) => mine.push(cache),
                    Err(SubmitError::Refused(refusal)) if refusal.code() == "no_room" => return mine,
                    Err(error) => panic!("{error}"),
                }
            }
            mine
        });
    }
    let acknowledged: BTreeSet<String> = clients.join_all().await.into_iter().flatten().collect();
    let fresh = Fleet::open(Arc::new(store), Options::default()).await.unwrap();
    for fleet in [&one, &two] {
        fleet.refresh().await.unwrap();
        assert!(fleet.read(|mine| fresh.read(|loaded| mine == loaded)));
    }
    assert_eq!(caches(&fresh), acknowledged);
    fresh.read(|state| {
        for view in state.hosts() {
            let booked: u64 =
                state.instances().filter(|it| it.host == view.host.id).map(|it| it.booked.get()).sum();
            assert!(booked <= 450, "no more than is open to new instances");
        }
        let ports: BTreeSet<_> = state.instances().map(|it| (it.host, it.port)).collect();
        assert_eq!(ports.len(), state.instances().count());
    });
    assert!(acknowledged.len() >= 20);
}

#[tokio::test]
async fn what_waits_together_is_committed_together() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    let before = store.turns.load(Ordering::SeqCst);
    let permits = store.gate.forget_permits(usize::MAX);
    let commands: Vec<_> = (0..70)
        .map(|number| Command::CreateTeam { name: TeamName::new(&format!("t{number}")).unwrap() })
        .collect();
    let tasks: Vec<_> = (commands.into_iter())
        .map(|command| {
            tokio::spawn({
                let fleet = fleet.clone();
                async move { submit(&fleet, command).await }
            })
        })
        .collect();
    while store.turns.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(fleet.read(|state| state.teams().count()), 0, "nothing is shown before it is acknowledged");
    store.gate.add_permits(permits);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(fleet.read(|state| state.teams().count()), 70);
    // The first went ahead alone: what came until its turn began joined it, up to 64.
    assert_eq!(store.turns.load(Ordering::SeqCst) - before, 2);
}

/// Commands that are tried alone, since one among them may have broken their turn, do not wait for a store that is away one
/// after the other.
#[tokio::test(start_paused = true)]
async fn who_is_tried_alone_does_not_wait_for_a_store_that_is_away() {
    use Fault::{Conflict, Slow, TooLong, Unavailable, UnknownNotDone};
    for (first, away, turns) in [
        (Conflict, &[Unavailable][..], 3),
        (TooLong, &[UnknownNotDone, Unavailable, Unavailable, Unavailable, Unavailable], 7),
    ] {
        let store = Flaky::new();
        let fleet = open(&store).await;
        let before = store.turns.load(Ordering::SeqCst);
        let permits = store.gate.forget_permits(usize::MAX);
        [first, Slow].iter().chain(away).for_each(|fault| store.next(*fault));
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let (fleet, command) =
                    (fleet.clone(), Command::CreateTeam { name: name(&format!("t{number}")) });
                tokio::spawn(async move { submit(&fleet, command).await })
            })
            .collect();
        while store.turns.load(Ordering::SeqCst) == before {
            tokio::task::yield_now().await;
        }
        store.gate.add_permits(permits);
        let mut told = Vec::new();
        for task in tasks {
            told.push(task.await.unwrap());
        }
        assert_eq!(store.turns.load(Ordering::SeqCst) - before, turns);
        assert!(told[0].is_ok(), "{told:?}");
        assert_eq!(matches!(told[1], Err(SubmitError::OutcomeUnknown)), first == TooLong, "{told:?}");
        assert!(told[2..].iter().all(|it| matches!(it, Err(SubmitError::Unavailable(_)))), "{told:?}");
        let fresh = open(&store).await;
        assert_eq!(fresh.read(|state| state.teams().count()), 1, "nothing was changed");
    }
}

/// Whatever a turn comes to, and however many have joined it: each caller gets the answer to its own command.
#[tokio::test(start_paused = true)]
async fn answers_are_to_those_who_asked() {
    use Fault::{Behind, Conflict, Slow, TooLong, Twice, Unavailable, UnknownDone, UnknownNotDone};
    let faults = [Slow, Twice, Behind, Conflict, TooLong, UnknownDone, UnknownNotDone, Unavailable];
    let store = Flaky::new();
    let fleets = [open(&store).await, open(&store).await];
    let (mut told, mut left) = ([0; 4], 0);
    for (first, second) in faults.iter().flat_map(|first| faults.map(|second| (*first, second))) {
        for fault in [Slow, first, second, Slow] {
            store.next(fault);
        }
        let mut tasks = Vec::new();
        for number in 0..40 {
            // Every fourth asks for what somebody has asked for before.
            let team =
                format!("{first:?}-{second:?}-{}", number - usize::from(number % 4 == 3)).to_lowercase();
            let (fleet, command) = (fleets[number % 2].clone(), Command::CreateTeam { name: name(&team) });
            tasks.push((team, tokio::spawn(async move { fleet.submit(order(command)).await })));
            if number % 5 == 0 {
                tokio::task::yield_now().await;
            }
            if number % 10 == 9 {
                // Who goes away takes no other's answer.
                tasks.pop().unwrap().1.abort();
            }
        }
        let mut given = Vec::new();
        for (team, task) in tasks {
            given.push((team, task.await.unwrap()));
        }
        let fresh = open(&store).await;
        for (team, answer) in given {
            let is_there = fresh.read(|state| state.teams().any(|it| it.name.as_str() == team));
            match answer {
                Ok(receipt) => {
                    let before = Revision::new(receipt.revision.get() - 1);
                    let commit = store.commits(before, 1).await.unwrap().remove(0);
                    assert!(commit.action.target.ends_with(&team), "{team}: {commit:?}");
                    told[0] += 1;
                }
                Err(SubmitError::Refused(refusal)) => {
                    assert!(is_there && refusal.to_string().contains(&team), "{team}: {refusal}");
                    told[1] += 1;
                }
                // Its double may have come later, and been carried out.
                Err(SubmitError::Unavailable(_)) => told[2] += 1,
                Err(SubmitError::TooLong(_) | SubmitError::Internal) => told[3] += 1,
                Err(error) => panic!("{team}: {error}"),
            }
        }
        // Where all have joined, fewer turns were taken.
        left += std::mem::take(&mut *store.faults.lock().unwrap()).len();
        fleets[0].refresh().await.unwrap();
        assert!(fleets[0].read(|mine| fresh.read(|loaded| mine == loaded)));
    }
    assert!(left < 64 && told.iter().all(|told| *told > 0), "{left} {told:?}");
}

#[tokio::test]
async fn a_refusal_is_of_the_ledgers_end_not_of_what_is_known_here() {
    let store = Flaky::new();
    let (one, two) = (open(&store).await, open(&store).await);
    furnish(&one, 1, 500, 10_000).await;
    submit(&one, allocate("a", 300, 1)).await.unwrap();
    // `two` has not asked since it was opened: its own view has no cluster at all.
    assert!(two.read(|state| state.clusters().next().is_none()));
    let refused = submit(&two, allocate("b", 300, 1)).await.unwrap_err();
    assert!(matches!(&refused, SubmitError::Refused(refusal) if refusal.code() == "no_room"), "{refused}");
}

/// A turn by a clock that is ahead comes to nothing, and then the clock is right again: ports that have cooled down by the
/// one and not by the other are in nobody's way.
#[tokio::test]
async fn a_clock_that_is_set_back_refuses_nothing() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 400, 10_000).await;
    let names = ["a", "b", "c", "d"];
    for cache in names {
        submit(&fleet, allocate(cache, 8, 1)).await.unwrap();
    }
    for cache in names {
        submit(&fleet, release(cache)).await.unwrap();
    }
    let document = served(&fleet).await.meta.revision;
    submit(&fleet, Command::NoteServed { host: name("m0"), document }).await.unwrap();
    for it in fleet.read(|state| state.instances().cloned().collect::<Vec<_>>()) {
        let command = Command::Confirm { instance: it.id, revision: it.revision, seen: Seen::Stopped };
        submit(&fleet, command).await.unwrap();
    }
    submit(&fleet, add_host("m1", 4096, None)).await.unwrap();
    store.next(Fault::Ahead);
    let error = submit(&fleet, allocate("e", 8, 1)).await.unwrap_err();
    assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
    submit(&fleet, allocate("e", 8, 1)).await.unwrap();
    // It goes by the ledger's time, and so to the host that has a port.
    let hosts = fleet.read(|state| {
        state.instances().map(|it| state.host(it.host).unwrap().host.name.to_string()).collect::<Vec<_>>()
    });
    assert_eq!(hosts, ["m1"]);
}

#[tokio::test(start_paused = true)]
async fn what_others_append_is_read_while_waiting_for_a_turn() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 4096, 10_000).await;
    for name in ["a", "b"] {
        store.next(Fault::Waits);
        submit(&fleet, allocate(name, 8, 1)).await.unwrap();
    }
    // Not in a new state that a reload has made.
    assert!(fleet.status().findings.is_empty(), "{:?}", fleet.status().findings);
}

#[tokio::test]
async fn who_gives_up_waiting_still_has_the_command_carried_out() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 4096, 10_000).await;
    let permits = store.gate.forget_permits(usize::MAX);
    let before = store.turns.load(Ordering::SeqCst);
    let task = tokio::spawn({
        let fleet = fleet.clone();
        async move { submit(&fleet, allocate("a", 8, 1)).await }
    });
    while store.turns.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    task.abort();
    store.gate.add_permits(permits);
    submit(&fleet, allocate("b", 8, 1)).await.unwrap();
    assert_eq!(caches(&fleet), ["a".to_owned(), "b".to_owned()].into());
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_found_out() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 4096, 10_000).await;
    store.next(Fault::UnknownDone);
    submit(&fleet, allocate("a", 8, 1)).await.unwrap();
    store.next(Fault::UnknownNotDone);
    let error = submit(&fleet, allocate("b", 8, 1)).await.unwrap_err();
    assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
    assert_eq!(caches(&fleet), ["a".to_owned()].into());
    submit(&fleet, allocate("b", 8, 1)).await.unwrap();

    // A refusal rests on the ledger's end, which a turn that broke off has not confirmed.
    for fault in [Fault::UnknownDone, Fault::UnknownNotDone] {
        store.next(fault);
        let error = submit(&fleet, allocate("b", 8, 1)).await.unwrap_err();
        assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
        let error = submit(&fleet, allocate("b", 8, 1)).await.unwrap_err();
        assert!(matches!(error, SubmitError::Refused(_)), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_found_out_is_said_to_be_unknown() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 4096, 10_000).await;
    let asked = |cache| Order { request: Some(name("r-1")), ..order(allocate(cache, 8, 1)) };
    store.next(Fault::UnknownDone);
    for _ in 0..4 {
        store.next(Fault::Unavailable);
    }
    let error = fleet.submit(asked("a")).await.unwrap_err();
    assert!(matches!(error, SubmitError::OutcomeUnknown), "{error}");
    // Asking again with the same request id: the receipt of what was carried out, and no second effect.
    fleet.submit(asked("a")).await.unwrap();
    assert_eq!(caches(&fleet), ["a".to_owned()].into());
}

/// A store that hangs is worse than one that is away: hosts ask for three seconds in all.
#[tokio::test(start_paused = true)]
async fn a_document_does_not_wait_for_a_store_that_hangs() {
    let store = Arc::new(store::FaultyStore::default());
    let fleet = Fleet::open(store.clone(), Options::default()).await.unwrap();
    furnish(&fleet, 1, 4096, 10_000).await;
    assert!(!fleet.pillar(&name("m0")).await.unwrap().unwrap().meta.stale);
    store.be(store::Fault::Hangs);
    let asked = tokio::time::Instant::now();
    assert!(fleet.pillar(&name("m0")).await.unwrap().unwrap().meta.stale);
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?} on a clock that only waits move",
        asked.elapsed()
    );
    store.be(store::Fault::None);
}

#[tokio::test]
async fn while_the_store_is_away_reads_go_on_and_say_so() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 4096, 10_000).await;
    store.away.store(true, Ordering::SeqCst);
    let error = submit(&fleet, allocate("a", 8, 1)).await.unwrap_err();
    assert!(matches!(error, SubmitError::Unavailable(_)), "{error}");
    assert!(fleet.refresh().await.is_err());
    assert!(fleet.status().stale);
    let document = fleet.pillar(&name("m0")).await.unwrap().unwrap();
    assert!(document.meta.stale);
    assert!(fleet.pillar(&name("unknown")).await.is_err(), "it may have been added meanwhile");
    store.away.store(false, Ordering::SeqCst);
    let document = fleet.pillar(&name("m0")).await.unwrap().unwrap();
    assert!(!document.meta.stale && !fleet.status().stale);
    assert!(fleet.pillar(&name("unknown")).await.unwrap().is_none());
}

#[tokio::test]
async fn a_ledger_that_was_set_back_is_loaded_anew() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 4096, 10_000).await;
    let other = Fleet::open(Arc::new(MemoryStore::new()), quiet()).await.unwrap();
    drop(other);
    let replaced = MemoryStore::new();
    *store.inner.lock().unwrap() = replaced.clone();
    Fleet::open(Arc::new(replaced), quiet()).await.unwrap();
    fleet.refresh().await.unwrap();
    assert!(fleet.read(|state| state.clusters().next().is_none()));
    assert!(fleet.status().findings.iter().any(|finding| finding.code == "ledger.reloaded"));
    furnish(&fleet, 1, 4096, 10_000).await;
}

#[tokio::test]
async fn nobody_is_answered_from_before_they_asked() {
    let store = Flaky::new();
    let (one, two) = (open(&store).await, open(&store).await);
    let before = store.heads.load(Ordering::SeqCst);
    let permits = store.gate.forget_permits(usize::MAX);
    let early = tokio::spawn({
        let two = two.clone();
        async move { two.refresh().await.map(|it| it.get()) }
    });
    while store.heads.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    // The check of `early` is under way; these ask after it was sent and share the next one.
    let late: Vec<_> = (0..10)
        .map(|_| {
            tokio::spawn({
                let two = two.clone();
                async move { two.refresh().await.map(|it| it.get()) }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    store.gate.add_permits(permits);
    early.await.unwrap().unwrap();
    for task in late {
        task.await.unwrap().unwrap();
    }
    assert_eq!(store.heads.load(Ordering::SeqCst) - before, 2);
    furnish(&one, 1, 4096, 10_000).await;
    two.refresh().await.unwrap();
    assert!(two.read(|state| state.clusters().next().is_some()));
}

async fn served(fleet: &Fleet) -> memc_core::pillar::Document {
    let document = fleet.pillar(&name("m0")).await.unwrap().unwrap();
    fleet.note_served(&document);
    document
}

#[tokio::test]
async fn a_fetch_is_noted_while_something_waits_to_be_stopped() {
    let store = Flaky::new();
    let fleet = open(&store).await;
    furnish(&fleet, 1, 4096, 10_000).await;
    submit(&fleet, allocate("a", 8, 1)).await.unwrap();
    let before = fleet.status().revision;
    served(&fleet).await;
    submit(&fleet, Command::CordonHost { name: name("unknown") }).await.unwrap_err();
    assert_eq!(fleet.status().revision, before, "a fetch alone is no commit");
    submit(&fleet, Command::Release { team: name("shop"), name: name("a") }).await.unwrap();
    for _ in 0..3 {
        let document = served(&fleet).await;
        assert_eq!(document.meta.revision, before.next());
        assert_eq!(document.absent, [port(11211)]);
        submit(&fleet, Command::CordonHost { name: name("unknown") }).await.unwrap_err();
    }
    assert_eq!(fleet.status().revision, before.next().next(), "and one is enough");
    let commits = fleet.history(Some("host:m0"), Revision::new(u64::MAX), 10).await.unwrap();
    assert_eq!(commits[0].action.name, "host.served");
}

#[tokio::test]
async fn a_store_that_becomes_unsafe_stops_writes_until_it_is_safe_again() {
    let faulty = Arc::new(store::FaultyStore::default());
    let open = |accept_risks| {
        let check_every = Duration::from_millis(5);
        Fleet::open(faulty.clone(), Options { check_every, accept_risks, ..Options::default() })
    };
    let (careful, daring) = (open(false).await.unwrap(), open(true).await.unwrap());
    let create = |number: usize| order(Command::CreateTeam { name: name(&format!("t{number}")) });
    careful.submit(create(0)).await.unwrap();
    faulty.be(store::Fault::Unsafe);
    let mut number = 0;
    let why = loop {
        number += 1;
        match careful.submit(create(number)).await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(SubmitError::Unsafe(why)) => break why,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(why, "the store was told to be unsafe");
    assert!(careful.status().findings.iter().any(|finding| finding.code == "test.unsafe"));
    daring.submit(create(1000)).await.unwrap();
    faulty.be(store::Fault::None);
    while careful.submit(create(2000)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(careful.status().findings.is_empty());
}
