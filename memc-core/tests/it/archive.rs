//! Ledgers as files.

use std::sync::Arc;

use async_trait::async_trait;
use memc_core::archive::{ArchiveError, Since, export, export_since, import, verify};
use memc_core::fleet::Options;
use memc_core::ledger::{Command, Commit, FORMAT, Head, State};
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

async fn archive_since(
    store: &dyn Store,
    since: Since,
    earlier: Option<&[u8]>,
) -> Result<Vec<u8>, ArchiveError> {
    let mut file = Vec::new();
    export_since(store, since, earlier, &mut file).await?;
    Ok(file)
}

/// Taken into another store, which then has all that the archive says.
async fn arrives(file: &[u8], source: &MemoryStore) {
    let target = MemoryStore::new();
    let moved = import(&target, file).await.unwrap();
    let commits = async |store: &MemoryStore| store.commits(moved.base.revision, 1000).await.unwrap();
    assert_eq!(commits(&target).await, commits(source).await);
    assert_eq!(moved.commits, commits(source).await.len() as u64);
    assert!(state(&target).await == state(source).await);
}

async fn state(store: &MemoryStore) -> State {
    let fleet = Fleet::open(Arc::new(store.clone()), Options::default()).await.unwrap();
    fleet.read(State::clone)
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
    let since = archive_since(&source, Since::Revision(Revision::new(6)), None).await.unwrap();
    for file in [archive(&source).await, archive(&Trimmed(source.clone())).await, since] {
        verify(&file[..]).unwrap();
        // Two in one, or half of another.
        for more in [&file[..], b"{}\n", b"\n"] {
            assert!(verify(&[&file[..], more].concat()[..]).is_err());
        }
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
    let head = r#"{"revision":0,"id":"00000000-0000-0000-0000-000000000000","at":0,"format":2}"#;
    let elsewhere = head.replace("0-0000-000000000000", "0-0000-000000000001");
    let cases = [
        (3, head, "later version"),
        (2, "false", "begins"),
        (1, head, "begins"),
        (2, &elsewhere, "nothing yet"),
    ];
    for (version, base, told) in cases {
        let first = format!(r#"{{"memc_archive":{version},"format":2,"head":{head},"base":{base}}}"#);
        let error = verify(first.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(told), "{first}: {error}");
    }
}

#[tokio::test]
async fn an_archive_may_begin_at_any_revision() {
    let source = furnished().await;
    let head = source.head().await.unwrap();
    let commits = source.commits(Revision::default(), 1000).await.unwrap();
    let ahead = archive_since(&source, Since::Revision(head.revision.next()), None).await;
    assert!(matches!(ahead, Err(ArchiveError::Ahead(last)) if last == head.revision));
    for revision in 0..=head.revision.get() {
        let since = Since::Revision(Revision::new(revision));
        let file = archive_since(&source, since, None).await.unwrap();
        let moved = verify(&file[..]).unwrap();
        assert_eq!((moved.base.revision.get(), moved.head), (revision, head));
        arrives(&file, &source).await;
    }
    for commit in commits {
        let file = archive_since(&source, Since::Time(commit.at), None).await.unwrap();
        let moved = verify(&file[..]).unwrap();
        assert!(moved.base.revision < commit.revision && moved.base.at < commit.at);
        arrives(&file, &source).await;
    }
    let file = archive_since(&source, Since::Time(Timestamp::from_millis(0)), None).await.unwrap();
    assert_eq!(file, archive(&source).await);
}

/// Of a store that has forgotten its beginning, with what an earlier archive has of it.
#[tokio::test]
async fn an_earlier_archive_has_what_was_forgotten() {
    let source = furnished().await;
    let earlier = archive(&source).await;
    let fleet = Fleet::open(Arc::new(source.clone()), Options::default()).await.unwrap();
    let until = fleet.submit(order(release("a"))).await.unwrap().revision;
    let trimmed = Trimmed(source.clone());
    assert_eq!(
        archive_since(&trimmed, Since::Beginning, Some(&earlier)).await.unwrap(),
        archive(&source).await
    );
    // An archive goes on from one that begins late as well, and a later beginning may be in either.
    let late = archive_since(&source, Since::Revision(Revision::new(3)), None).await.unwrap();
    for revision in 3..=until.get() {
        let since = Since::Revision(Revision::new(revision));
        let file = archive_since(&trimmed, since, Some(&late)).await.unwrap();
        assert_eq!(verify(&file[..]).unwrap().base.revision.get(), revision);
        arrives(&file, &source).await;
    }
    let file = archive_since(&trimmed, Since::Beginning, Some(&late)).await.unwrap();
    assert_eq!(verify(&file[..]).unwrap().base.revision.get(), 3);
    // More was asked for than either knows.
    let base = verify(&late[..]).unwrap().base;
    for since in [Since::Revision(Revision::new(2)), Since::Time(base.at)] {
        let short = archive_since(&trimmed, since, Some(&late)).await;
        assert!(matches!(short, Err(ArchiveError::Forgotten(first)) if first.get() == 4));
    }
    // A store that has forgotten nothing has no less for an archive that begins late.
    for since in [Since::Beginning, Since::Revision(Revision::new(2)), Since::Time(base.at)] {
        let with = archive_since(&source, since, Some(&late)).await.unwrap();
        assert_eq!(with, archive_since(&source, since, None).await.unwrap());
    }
    // Nothing new since.
    let now = archive(&source).await;
    assert_eq!(archive_since(&trimmed, Since::Beginning, Some(&now)).await.unwrap(), now);

    // What is not known is not made up.
    let short = archive_since(&Trimmed(source.clone()), Since::Revision(Revision::new(9)), None).await;
    assert!(matches!(short, Err(ArchiveError::Forgotten(first)) if first.get() == 6));
    let few = MemoryStore::new();
    let two = Fleet::open(Arc::new(few.clone()), Options::default()).await.unwrap();
    let elsewhere = archive(&few).await;
    let short = archive_since(&trimmed, Since::Beginning, Some(&elsewhere)).await;
    assert!(matches!(short, Err(ArchiveError::Forgotten(first)) if first.get() == 6));
    // Another ledger, which has come as far, or is not as far yet.
    let other = archive_since(&furnished().await, Since::Beginning, Some(&earlier)).await;
    assert!(matches!(other, Err(ArchiveError::Other)));
    two.submit(order(Command::CreateTeam { name: name("ads") })).await.unwrap();
    let other = archive_since(&few, Since::Beginning, Some(&earlier)).await;
    assert!(matches!(other, Err(ArchiveError::Other)));
    let broken = archive_since(&trimmed, Since::Beginning, Some(&earlier[..earlier.len() - 10])).await;
    assert!(matches!(broken, Err(ArchiveError::Line { .. })));
}

/// As version 1 of the file, which a portal wrote before there was another.
#[tokio::test]
async fn archives_of_version_1_are_taken_in() {
    let whole = include_bytes!("../data/archives/1-whole.jsonl");
    let records = include_bytes!("../data/archives/1-records.jsonl");
    let (one, two) = (MemoryStore::new(), MemoryStore::new());
    let moved = import(&one, &whole[..]).await.unwrap();
    assert_eq!((moved.base, moved.head.revision.get(), moved.records, moved.commits), (Head::EMPTY, 8, 0, 8));
    let moved = import(&two, &records[..]).await.unwrap();
    assert_eq!((moved.base, moved.records, moved.commits), (moved.head, 18, 0));
    assert!(state(&one).await == state(&two).await);
    let fleet = Fleet::open(Arc::new(one.clone()), Options::default()).await.unwrap();
    let facts =
        fleet.read(|state| (state.hosts().count(), state.caches().count(), state.instances().count()));
    assert_eq!(facts, (2, 2, 3));
    // Its records are of an older format, and so are those in its commits.
    let older = MemoryStore::new();
    let moved = import(&older, &include_bytes!("../data/archives/1-format-2.jsonl")[..]).await.unwrap();
    assert_eq!((moved.head.revision.get(), moved.head.format, moved.commits), (9, FORMAT, 9));
    let looked_at = state(&older).await.hosts().map(|view| view.host.observed_epoch).collect::<Vec<_>>();
    assert_eq!(looked_at, [1; 2]);
    // An archive of today goes on where one of version 1 ended.
    fleet.submit(order(Command::CreateTeam { name: name("ads") })).await.unwrap();
    let file = archive_since(&Trimmed(one.clone()), Since::Beginning, Some(&whole[..])).await.unwrap();
    assert_eq!(file, archive(&one).await);
}
