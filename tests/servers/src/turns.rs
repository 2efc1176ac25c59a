//! Whether processes that want a turn all the time get their share of them, as counts.

use std::collections::BTreeSet;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How long the others are waited for, so that a test does not end only because one of them did.
const AT_MOST: Duration = Duration::from_secs(1);

/// Lets whoever has a turn wait until all others are in the queue for theirs, as the store's server tells: then the order
/// of turns is the store's doing, and not that of a busy machine, which does not run them all.
#[derive(Debug)]
pub struct Others {
    /// Whom to tell that they are there.
    wait: Sender<Sender<()>>,
}

impl Others {
    /// So many others; `queue` makes, on a thread of its own, what counts those who wait.
    #[must_use]
    pub fn wait_in<Q: FnMut() -> usize>(others: usize, queue: impl FnOnce() -> Q + Send + 'static) -> Self {
        let (wait, asked) = channel::<Sender<()>>();
        thread::spawn(move || {
            let mut count = queue();
            for there in asked {
                let since = Instant::now();
                while count() < others && since.elapsed() < AT_MOST {
                    sleep(Duration::from_micros(200));
                }
                let _ = there.send(());
            }
        });
        Others { wait }
    }

    /// In a turn: wait for them.
    pub fn are_there(&self) {
        let (say, there) = channel();
        self.wait.send(say).expect("the thread that counts is there");
        there.recv().expect("the thread that counts is there");
    }
}

/// Fail unless each of so many processes had at least 80 % of its even share of these turns, and at most 2 × processes
/// foreign turns passed between two of its own. Whose the turns were, in order; only those count that were taken while all
/// processes were at it.
pub fn assert_fair(turns: &[&str], processes: usize) {
    let names: BTreeSet<&str> = turns.iter().copied().collect();
    assert_eq!(names.len(), processes, "{names:?}");
    let from =
        names.iter().filter_map(|name| turns.iter().position(|of| of == name)).max().unwrap_or_default();
    let to =
        names.iter().filter_map(|name| turns.iter().rposition(|of| of == name)).min().unwrap_or_default();
    let turns = &turns[from..=to];
    let (mut shares, mut foreign) = (Vec::new(), 0);
    for name in &names {
        let own: Vec<usize> = (0..turns.len()).filter(|place| turns[*place] == *name).collect();
        foreign = foreign.max(own.windows(2).map(|pair| pair[1] - pair[0] - 1).max().unwrap_or_default());
        shares.push(own.len());
    }
    eprintln!("turns by process: {shares:?}; foreign turns waited for: {foreign} at worst");
    let even = turns.len() / processes;
    assert!(
        shares.iter().all(|share| share * 10 >= even * 8),
        "uneven shares of {}: {shares:?}",
        turns.len()
    );
    assert!(foreign <= 2 * processes, "{foreign} foreign turns passed");
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn unfair_turns_are_found() {
        let fair: Vec<&str> = (0..400).map(|turn| ["a", "b"][turn % 2]).collect();
        assert_fair(&fair, 2);
        let starved: Vec<&str> = (0..400).map(|turn| if turn % 4 == 0 { "a" } else { "b" }).collect();
        assert!(catch_unwind(|| assert_fair(&starved, 2)).is_err());
        // Even shares, and long waits for each tenth turn.
        let waits: Vec<&str> = (0..400).map(|turn| ["a", "b"][turn / 10 % 2]).collect();
        assert!(catch_unwind(|| assert_fair(&waits, 2)).is_err());
        assert!(catch_unwind(|| assert_fair(&fair, 3)).is_err());
        // A single long wait.
        let once = [&fair[..], &["a"; 5], &fair].concat();
        assert!(catch_unwind(|| assert_fair(&once, 2)).is_err());
    }
}
