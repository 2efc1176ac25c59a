//! Many clients whose questions and answers are written down, in several handles and in several processes: one history
//! has to explain them all.

mod ask;
mod check;
mod clients;
mod journal;
mod worker;

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use self::check::{Counts, check};
use self::clients::{ASKS, Again, CLIENTS};
use self::journal::{Directory, Journal, Line, lines};
use self::worker::{GO, Task};
use super::process::{all_commits, assert_sound};
use super::{Fixture, not_tested};
use crate::Fleet;
use crate::fleet::Options;

pub(super) use self::worker::die_in_a_turn;
pub use self::worker::{process, this_program};

/// Handles, or processes, that ask at the same time.
const PROCESSES: usize = 3;

/// Three fleets on handles of their own, of one process, with four clients each on a fleet that is nearly full, while
/// connections break in the middle of turns and clients give up waiting: one history explains every answer.
///
/// That is: deciding each request again in the order of revisions gives the same changes and receipts; who asked after
/// something had been told comes after it; each refusal was right at some moment of its call; what nobody got an answer
/// to was done whole or not at all, and once however often it was asked; and reads never go back.
pub async fn handles_agree_on_one_history(fixture: &dyn Fixture) {
    let begun = prepare(fixture).await;
    let directory = Directory::new();
    let journal = Arc::new(Journal::open(directory.path()));
    let mut tasks = Vec::new();
    for process in 0..PROCESSES {
        let fleet = clients::open(fixture.open().await).await;
        let journal = Arc::clone(&journal);
        tasks.push(tokio::spawn(
            async move { clients::ask(&fleet, &journal, process, ASKS, Vec::new()).await },
        ));
    }
    for task in tasks {
        task.await.expect("a handle ended badly");
    }
    audit(fixture, &directory, begun).await;
}

/// The same with three processes, of which one is killed (`kill -9`) amidst its questions and another one goes on with
/// those that it left.
pub async fn processes_agree_on_one_history(fixture: &dyn Fixture) {
    if fixture.process().is_none() {
        return not_tested("several processes: the fixture does not say how to start one");
    }
    let start = |directory: &Directory, process: usize, again: Vec<Again>| {
        let command = fixture.process().expect("the fixture starts processes");
        // The first goes on asking until it is killed.
        let asks = if process == 0 { usize::MAX } else { ASKS };
        worker::start(command, directory, Task::Clients { process, asks, again })
    };
    let begun = prepare(fixture).await;
    let directory = Directory::new();
    let _journal = Journal::open(directory.path());
    let mut running: Vec<_> = (0..PROCESSES).map(|process| start(&directory, process, Vec::new())).collect();
    let until = async |what: &str, reached: &dyn Fn(&[Line]) -> bool, running: &mut [worker::Running]| {
        while !reached(&lines(directory.path())) {
            running.iter_mut().for_each(|process| process.assert_well(what));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let opened =
        |lines: &[Line]| lines.iter().filter(|line| matches!(line, Line::Opened { .. })).count() == PROCESSES;
    until("opening its fleet", &opened, &mut running).await;
    File::create(directory.path().join(GO)).expect("a file");
    let asked = |line: &&Line| matches!(line, Line::Asked { process: 0, .. });
    let amidst = |lines: &[Line]| lines.iter().filter(asked).count() >= ASKS * CLIENTS / 3;
    until("asking", &amidst, &mut running).await;
    running.remove(0).kill();
    let left = unanswered(&lines(directory.path()));
    running.push(start(&directory, PROCESSES, left));
    for process in running {
        process.assert_ends_well().await;
    }
    audit(fixture, &directory, begun).await;
}

/// What the first process asked and got no answer to.
fn unanswered(lines: &[Line]) -> Vec<Again> {
    let mut left: Vec<Again> = Vec::new();
    for line in lines {
        match line {
            Line::Asked { process: 0, actor, request, ask } => {
                left.push((actor.clone(), request.clone(), ask.clone()))
            }
            Line::Got { process: 0, actor, .. } => left.retain(|(of, ..)| of != actor),
            _ => {}
        }
    }
    left
}

/// The revision from which the clients begin.
async fn prepare(fixture: &dyn Fixture) -> u64 {
    let options = Options { accept_risks: true, ..Options::default() };
    let fleet = Fleet::open(fixture.open().await, options).await.expect("open");
    ask::prepare(&fleet).await;
    fleet.status().revision.get()
}

async fn audit(fixture: &dyn Fixture, directory: &Directory, begun: u64) {
    let store = fixture.open().await;
    let counts = check(&lines(directory.path()), &all_commits(&*store).await, begun);
    assert_sound(&*store).await;
    eprintln!("{counts:?}");
    let Counts { acknowledged, refused, unknown, reads } = counts;
    assert!(
        acknowledged > 100 && refused > 100 && unknown > 10 && reads > 100,
        "{counts:?}: too few to tell"
    );
}
