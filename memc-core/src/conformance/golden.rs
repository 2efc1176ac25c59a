//! Commits of earlier formats, as the versions that had those formats wrote them.
//!
//! They are one ledger, which each version went on with: format 1 as plain commits, since it had no archives; the later
//! ones as archives of the whole ledger so far. Frozen: whoever raises the format adds a file and changes none.

use serde::Deserialize;

use super::Fixture;
use super::process::{Answer, all_commits, assert_sound, load};
use crate::Fleet;
use crate::archive::{export, import, verify};
use crate::fleet::Options;
use crate::ledger::{Change, Command, Commit, Head, Order, State, decide};
use crate::model::{CacheName, ClusterName, Mib, Principal, Record, RequestId, TeamName};

const FIRST: &str = include_str!("golden/format-1.jsonl");
const SECOND: &str = include_str!("golden/format-2.jsonl");
const THIRD: &str = include_str!("golden/format-3.jsonl");

/// Each has the whole ledger up to the end of its format.
const GOLDEN: [(u32, &str); 3] = [(1, FIRST), (2, SECOND), (3, THIRD)];
/// What each line of the first file is, and a line of a commit in the others.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    OfArchive { commit: Commit },
    Plain(Commit),
    Other(serde::de::IgnoredAny),
}

fn commits(text: &str) -> Vec<Commit> {
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    let commits = lines.filter_map(|line| match line {
        Line::OfArchive { commit } | Line::Plain(commit) => Some(commit),
        Line::Other(_) => None,
    });
    commits.collect()
}

/// Commits of every format so far are taken, come back and are loaded as they were, mean the same as before, and the
/// ledger goes on from there; a request id that an earlier version kept still tells a retry.
pub async fn commits_of_earlier_formats_are_taken(fixture: &dyn Fixture) {
    let (store, other) = (fixture.open().await, fixture.open().await);
    let (mut head, mut taken, mut state) = (Head::EMPTY, Vec::new(), State::default());
    for (format, text) in GOLDEN {
        let commits = commits(text);
        assert!(commits.starts_with(&taken), "format {format} has other commits than the one before");
        let added = commits[taken.len()..].to_vec();
        assert!(added.len() > 10, "format {format} has {} commits", added.len());
        for commit in &added {
            state
                .fold(commit)
                .unwrap_or_else(|error| panic!("format {format}, {}: {error}", commit.revision));
        }
        head = store.turn(head, &mut Answer::new(|_| added.clone())).await.expect("turn");
        taken = commits;
        assert_eq!(all_commits(&*other).await, taken, "format {format}");
        let (records, end) = assert_sound(&*other).await;
        assert_eq!((head, end), (state.head(), state.head()));
        let mut loaded = State::default();
        for record in records.values() {
            loaded.apply(Change::Put(record.clone())).expect("the records fit together");
        }
        loaded.loaded(end);
        assert_eq!(
            loaded, state,
            "format {format}: what is loaded is another state than the commits come to"
        );
        if format < 3 {
            let unknown_then = |record: &Record| match record {
                Record::Host(it) => it.observed_epoch == 1 && it.found_ports.is_empty(),
                Record::Cache(it) => format == 2 || it.max_per_rack.is_none(),
                Record::Instance(it) => format == 2 || it.moved_to.is_none(),
                _ => true,
            };
            assert!(records.values().all(unknown_then), "format {format} says what it had no word for");
        }
    }
    for (id, command) in requests() {
        let order = order(Some(id), command);
        let kept = state.request(&order.actor, &RequestId::new(id).unwrap()).expect("a request is kept");
        let decided = decide(&state, &order, head.at).unwrap_or_else(|refusal| panic!("{id}: {refusal}"));
        assert!(decided.changes.is_empty(), "{id}: carried out a second time");
        assert_eq!(decided.receipt, kept.receipt, "{id}");
    }
    go_on(fixture).await;
}

/// What the versions that wrote the ledger were asked under a request id.
fn requests() -> [(&'static str, Command); 4] {
    [
        ("first-request", allocate("sessions", 64, 2, None)),
        ("fourth-request", release("brief")),
        ("sixth-request", allocate("pages", 128, 3, Some(1))),
        ("eighth-request", allocate("after", 80, 2, Some(2))),
    ]
}

fn allocate(name: &str, memory: u64, instances: u16, max_per_rack: Option<u16>) -> Command {
    Command::Allocate {
        team: TeamName::new("shop").unwrap(),
        name: CacheName::new(name).unwrap(),
        cluster: ClusterName::new("web").unwrap(),
        memory: Mib::new(memory).unwrap(),
        instances,
        max_per_rack,
    }
}

fn release(name: &str) -> Command {
    Command::Release { team: TeamName::new("shop").unwrap(), name: CacheName::new(name).unwrap() }
}

fn order(request: Option<&str>, command: Command) -> Order {
    let request = request.map(|id| RequestId::new(id).unwrap());
    Order { actor: Principal::new("user:ann").unwrap(), request, command }
}

/// A fleet opens what there is, and carries out something.
async fn go_on(fixture: &dyn Fixture) {
    let options = Options { accept_risks: true, ..Options::default() };
    let fleet = Fleet::open(fixture.open().await, options).await.expect("open");
    fleet.submit(order(None, allocate("further", 16, 1, None))).await.expect("it can go on");
    assert_sound(&*fixture.open().await).await;
}

/// The archive of an earlier version is imported, into any store, and is what it was: also when written again.
pub async fn archives_of_earlier_formats_are_imported(fixture: &dyn Fixture) {
    for (format, text) in &GOLDEN[1..] {
        let moved = verify(text.as_bytes()).unwrap_or_else(|error| panic!("format {format}: {error}"));
        assert_eq!(moved.commits, commits(text).len() as u64);
    }
    let store = fixture.open().await;
    import(&*store, SECOND.as_bytes()).await.expect("import");
    assert_eq!(all_commits(&*store).await, commits(SECOND));
    assert_sound(&*store).await;
    let mut again = Vec::new();
    export(&*fixture.open().await, &mut again).await.expect("export");
    assert_eq!(commits(std::str::from_utf8(&again).unwrap()), commits(SECOND));
    let (_, head) = load(&*store).await;
    let later = commits(THIRD).split_off(commits(SECOND).len());
    store.turn(head, &mut Answer::new(|_| later.clone())).await.expect("turn");
    assert_eq!(all_commits(&*store).await, commits(THIRD));
    go_on(fixture).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::FORMAT;

    #[test]
    fn there_are_commits_of_each_format() {
        assert!(GOLDEN.iter().map(|(format, _)| *format).eq(1..=FORMAT));
    }
}
