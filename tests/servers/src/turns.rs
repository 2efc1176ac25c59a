//! Whether processes that want a turn all the time get their share of them, as counts.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the others are waited for, so that a test does not end only because one of them did.
const AT_MOST: Duration = Duration::from_secs(1);
/// For what they asked to arrive.
const ARRIVAL: Duration = Duration::from_millis(2);

/// Tells the processes of a test whether all of them want a turn. Whoever has one waits until the others want theirs:
/// then the order of turns is the store's doing, and not that of a busy machine, which does not run them all.
#[derive(Debug)]
pub struct Wanting {
    /// A byte for each process.
    file: File,
    number: u64,
    processes: usize,
}

impl Wanting {
    /// For the process of this number, beginning with 0. All of them name the same file.
    #[must_use]
    pub fn among(processes: usize, number: usize, path: &Path) -> Self {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
        Wanting { file: file.expect("a file"), number: number as u64, processes }
    }

    /// This process is about to ask for a turn.
    pub fn asks(&self) {
        self.say(1);
    }

    /// This process has its turn.
    pub fn has_it(&self) {
        self.say(0);
        let since = Instant::now();
        while !self.others_ask() && since.elapsed() < AT_MOST {
            sleep(Duration::from_micros(200));
        }
        sleep(ARRIVAL);
    }

    fn say(&self, byte: u8) {
        self.file.write_all_at(&[byte], self.number).expect("the file can be written");
    }

    fn others_ask(&self) -> bool {
        let mut all = vec![0; self.processes];
        let there = self.file.read_at(&mut all, 0).expect("the file can be read");
        all[..there].iter().map(|byte| usize::from(*byte)).sum::<usize>() + 1 >= self.processes
    }
}

impl Drop for Wanting {
    /// Nobody waits for a process that has ended.
    fn drop(&mut self) {
        self.say(1);
    }
}

/// Fail unless each of so many processes had at least 80 % of its even share of these turns, and at most 2 × processes
/// foreign turns passed between two of its own in 99 of 100 cases. Whose the turns were, in order; only those count
/// that were taken while all processes were at it.
pub fn assert_fair(turns: &[&str], processes: usize) {
    let names: BTreeSet<&str> = turns.iter().copied().collect();
    assert_eq!(names.len(), processes, "{names:?}");
    let from =
        names.iter().filter_map(|name| turns.iter().position(|of| of == name)).max().unwrap_or_default();
    let to =
        names.iter().filter_map(|name| turns.iter().rposition(|of| of == name)).min().unwrap_or_default();
    let turns = &turns[from..=to];
    let (mut shares, mut foreign) = (Vec::new(), Vec::new());
    for name in &names {
        let own: Vec<usize> = (0..turns.len()).filter(|place| turns[*place] == *name).collect();
        foreign.extend(own.windows(2).map(|pair| pair[1] - pair[0] - 1));
        shares.push(own.len());
    }
    foreign.sort_unstable();
    let (nearly_always, worst) = (foreign[foreign.len() * 99 / 100], foreign[foreign.len() - 1]);
    eprintln!("turns by process: {shares:?}; foreign turns waited for: {nearly_always}, at worst {worst}");
    let even = turns.len() / processes;
    assert!(
        shares.iter().all(|share| share * 10 >= even * 8),
        "uneven shares of {}: {shares:?}",
        turns.len()
    );
    assert!(nearly_always <= 2 * processes, "{nearly_always} foreign turns passed, at worst {worst}");
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
    }
}
