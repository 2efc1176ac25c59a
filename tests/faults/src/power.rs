//! A power cut: what was written and not flushed is taken back while everything is dead. `preload/power-cut.c` keeps
//! the account of it.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// The path at a log's beginning.
const PATH: usize = 4096;

/// Forget what was not flushed, as if all of it had been: whoever puts data in place, or turns flushing on again, has to
/// do that.
pub(crate) fn flush(logs: &Path) {
    for log in fs::read_dir(logs).expect("logs").flatten() {
        fs::remove_file(log.path()).expect("a log can be removed");
    }
}

/// Take back what these logs say was never flushed, and empty them. How many writes that were.
pub(crate) fn cut(logs: &Path) -> u64 {
    let mut undone = 0;
    for log in fs::read_dir(logs).expect("logs").flatten() {
        let bytes = fs::read(log.path()).expect("a log");
        fs::remove_file(log.path()).expect("a log can be removed");
        if bytes.len() < PATH {
            continue;
        }
        let (path, mut rest) = bytes.split_at(PATH);
        let path: Vec<u8> = path.iter().copied().take_while(|byte| *byte != 0).collect();
        let path = String::from_utf8(path).expect("a path");
        // The path of a file that was deleted meanwhile is no path; that of another file now is not this one's.
        let inode = log.file_name().to_string_lossy().parse();
        let Ok(file) = OpenOptions::new().write(true).open(&path) else {
            continue;
        };
        if file.metadata().map(|it| it.ino()).ok() != inode.ok() {
            continue;
        }
        let mut entries = Vec::new();
        while let Some((numbers, more)) = rest.split_at_checked(24) {
            let number =
                |at: usize| u64::from_ne_bytes(numbers[8 * at..8 * at + 8].try_into().expect("eight bytes"));
            let (offset, replaced, size) = (number(0), number(1), number(2));
            // The last entry may be cut short; then its write was not made.
            let Some((replaced, more)) = more.split_at_checked(replaced as usize) else {
                break;
            };
            entries.push((offset, replaced, size));
            rest = more;
        }
        for (offset, replaced, size) in entries.into_iter().rev() {
            file.write_all_at(replaced, offset).expect("the file can be written");
            file.set_len(size).expect("the file can be cut");
            undone += 1;
        }
        // So that this, too, is kept by the next one.
        file.sync_all().expect("the file can be flushed");
    }
    undone
}
