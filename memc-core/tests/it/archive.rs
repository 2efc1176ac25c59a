//! Ledgers as files.

use std::sync::Arc;

use async_trait::async_trait;
use memc_core::archive::{ArchiveError, export, import, verify};
use memc_core::fleet::Options;
use memc_core::ledger::{Command, Commit, Head};
use memc_core::model::*;
use memc_core::store::{Decide, Finding, Load, MemoryStore, StoreError, TurnError};
use memc_core::{Fleet, Store};

use crate::world::*;

async fn furnished() -> MemoryStore {
    let store = MemoryStore::new();
    let fleet = Fleet::open(Arc::new(store.clone()), Options::default()).await.unwrap();
    let submit = async |command| fleet.submit(order(command)).await.unwrap();
    submit(Command::CreateCluster { name: name("web"), spec: spec(11211, 11214, Policy::default()) }).await;
    submit(Command::CreateTeam { name: name("shop") }).await;
    submit(Command::SetQuota { cluster: name("web"), team: name("shop"), memory: mib(10_000) }).await;
    for host in ["m1", "m2"] {
        submit(add_host(host, 4096, Some("r1"))).await;
    }
    for cache in ["a", "b", "c"] {
        submit(allocate(cache, 64, 2)).await;
    }
    submit(release("b")).await;
    store
}

async fn archive(store: &dyn Store) -> Vec<u8> {
    let mut file = Vec::new();
    export(store, &mut file).await.unwrap();
    file
}

/// Keeps its last commits only, as a store with bounded history does.
#[derive(Debug)]
struct Trimmed(MemoryStore);

#[async_trait]
impl Store for Trimmed {
    async fn head(&self) -> Result<Head, StoreError> {
        self.0.head().await
    }
    async fn load(&self, into: &mut dyn Load) -> Result<Head, StoreError> {
        self.0.load(into).await
    }
    async fn commits(&self, after: Revision, limit: usize) -> Result<Vec<Commit>, StoreError> {
        self.0.commits(after.max(Revision::new(5)), limit).await
    }
    async fn history(
        &self,
        of: Option<&str>,
        before: Revision,
        limit: usize,
    ) -> Result<Vec<Commit>, StoreError> {
        self.0.history(of, before, limit).await
    }
    async fn turn(&self, at: Head, by: &mut dyn Decide) -> Result<Head, TurnError> {
        self.0.turn(at, by).await
    }
    async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        self.0.check().await
    }
}

#[tokio::test]
async fn a_ledger_moves_with_or_without_its_history_and_goes_on() {
    let source = furnished().await;
    let head = source.head().await.unwrap();
    for whole in [true, false] {
        let file = if whole { archive(&source).await } else { archive(&Trimmed(source.clone())).await };
        let checked = verify(&file[..]).unwrap();
        assert_eq!((checked.head, checked.commits > 0, checked.records > 0), (head, whole, !whole));
        let target = MemoryStore::new();
        assert_eq!(import(&target, &file[..]).await.unwrap(), checked);
        assert_eq!(target.head().await.unwrap(), head);
        let (old, new) = (
            Fleet::open(Arc::new(source.clone()), Options::default()).await.unwrap(),
            Fleet::open(Arc::new(target.clone()), Options::default()).await.unwrap(),
        );
        assert!(old.read(|old| new.read(|new| old == new)));
        let again = import(&target, &file[..]).await;
        assert!(matches!(again, Err(ArchiveError::NotEmpty(revision)) if revision == head.revision));
        let receipt = new.submit(order(allocate("after", 64, 1))).await.unwrap();
        assert_eq!(receipt.revision, head.revision.next());
        let history = target.history(None, receipt.revision, 1).await.unwrap();
        assert_eq!(history[0].head(), head);
    }
}

#[tokio::test]
async fn an_empty_ledger_moves_as_well() {
    let file = archive(&MemoryStore::new()).await;
    let target = MemoryStore::new();
    assert_eq!(import(&target, &file[..]).await.unwrap().head, Head::EMPTY);
}

#[tokio::test]
async fn whatever_is_wrong_with_an_archive_is_found() {
    let source = furnished().await;
    for file in [archive(&source).await, archive(&Trimmed(source.clone())).await] {
        verify(&file[..]).unwrap();
        // Cut short anywhere, also between lines.
        for length in (0..file.len()).step_by(97) {
            assert!(matches!(verify(&file[..length]), Err(ArchiveError::Line { .. })), "{length}");
        }
        // Any digit or letter another one.
        for at in (0..file.len()).step_by(41).filter(|at| file[*at].is_ascii_alphanumeric()) {
            let mut changed = file.clone();
            changed[at] = if changed[at] == b'7' { b'3' } else { b'7' };
            assert!(verify(&changed[..]).is_err(), "byte {at}");
        }
        let lines: Vec<&[u8]> = file.split_inclusive(|byte| *byte == b'\n').collect();
        for missing in 0..lines.len() {
            let mut fewer = lines.clone();
            fewer.remove(missing);
            assert!(verify(&fewer.concat()[..]).is_err(), "without line {missing}");
            let target = MemoryStore::new();
            assert!(import(&target, &fewer.concat()[..]).await.is_err());
            assert_eq!(
                target.head().await.unwrap(),
                Head::EMPTY,
                "nothing is taken in from a broken archive"
            );
        }
    }
    let later = r#"{"memc_archive":2,"format":2,"head":{"revision":0,"id":"00000000-0000-0000-0000-000000000000","at":0,"format":2},"base":false}"#;
    assert!(verify(later.as_bytes()).unwrap_err().to_string().contains("later version"));
}
