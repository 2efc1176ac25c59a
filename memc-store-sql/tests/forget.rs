//! History of bounded length, on each kind of database.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests fail by panicking

mod common;

use common::{Then, append, append_changes, load};
use memc_core::ledger::{Commit, Head};
use memc_core::model::{Revision, Timestamp};
use memc_core::store::TurnError;
use memc_store_sql::{connect, forget_history};
use memc_test_servers::{MariaDb, Postgres};

const KEPT: u64 = 5_000;

#[tokio::test]
async fn sqlite() {
    let directory = tempfile::tempdir().unwrap();
    forget(&format!("sqlite://{}/memc.db", directory.path().display())).await;
}

#[tokio::test]
async fn postgres() {
    forget(&Postgres::start(&[]).url()).await;
}

#[tokio::test]
async fn mariadb() {
    forget(&MariaDb::start(&[]).url()).await;
}

async fn forget(url: &str) {
    let store = connect(url).await.expect("connect");
    let first = append(&*store, Head::EMPTY).await.unwrap();
    let mut at = first;
    for _ in 0..75 {
        at = append_changes(&*store, at, vec![Vec::new(); 100]).await.expect("append");
    }
    at = append(&*store, at).await.unwrap();
    let records = load(&*store).await;
    assert_eq!((at.revision.get(), records.len()), (7_502, 2));

    // Nothing is so old.
    assert_eq!(forget_history(url, Timestamp::from_millis(1)).await.unwrap(), 0);
    let moments: Vec<Commit> = store.commits(Revision::default(), 10_000).await.unwrap();
    let middle = moments[1_500].at;
    let older = moments.iter().filter(|commit| commit.at < middle).count() as u64;
    assert!(older > 0 && older <= 1_500);
    assert_eq!(forget_history(url, middle).await.unwrap(), older);
    assert_eq!(store.commits(Revision::default(), 10_000).await.unwrap(), moments[older as usize..]);

    // However old they are, the newest stay, while others go on.
    let appending = {
        let store = std::sync::Arc::clone(&store);
        tokio::spawn(async move {
            for _ in 0..20 {
                at = append(&*store, at).await.expect("append");
            }
            at
        })
    };
    let forgotten =
        older + forget_history(url, at.at.max(Timestamp::from_millis(i64::MAX as u64))).await.unwrap();
    let at = appending.await.unwrap();
    assert!((7_502 - KEPT..=7_522 - KEPT).contains(&forgotten), "{forgotten}");
    assert_eq!(store.head().await.unwrap(), at);
    assert_eq!(load(&*store).await.len(), records.len() + 20);
    let kept = store.history(None, Revision::new(i64::MAX as u64), 10_000).await.unwrap();
    assert_eq!(kept.len() as u64, 7_522 - forgotten);
    assert!(kept.windows(2).all(|pair| pair[0].previous == pair[1].id));

    // Who was away for longer is told that it is behind, and sees by itself that something is missing.
    assert!(matches!(append(&*store, first).await, Err(TurnError::Behind)));
    let next = store.commits(first.revision, 1).await.unwrap();
    assert_eq!(next[0].revision.get(), forgotten + 1);
    store.turn(at, &mut Then(at, |_, _| Vec::new())).await.expect("a turn goes on");
}
