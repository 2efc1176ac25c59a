//! Processes that begin together: what the parent and they tell each other.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A process with a role; killed if it is dropped before it has answered.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Start this program with a role and its arguments, and wait until it is ready.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut process = Process { child, input, output: BufReader::new(output) };
        assert_eq!(process.line(), "ready");
        process
    }

    pub(crate) fn go(&mut self) {
        self.input.write_all(b"go\n").unwrap();
    }

    /// Its answer: numbers.
    pub(crate) fn answer(&mut self) -> Vec<u64> {
        self.line().split(' ').map(|number| number.parse().unwrap()).collect()
    }

    /// What it has answered by its end.
    pub(crate) fn finish(mut self) -> Vec<u64> {
        let answer = self.answer();
        assert!(self.child.wait().unwrap().success());
        answer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "a process ended early");
        line.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In a process with a role: say that it is ready, and wait until it is told to begin.
pub(crate) fn ready() {
    println!("ready");
    wait();
}

/// Wait for another word of the parent's.
pub(crate) fn wait() {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    assert_eq!(line, "go\n", "the parent is gone");
}

/// Answer the parent.
pub(crate) fn answer(numbers: &[u64]) {
    let words: Vec<String> = numbers.iter().map(u64::to_string).collect();
    println!("{}", words.join(" "));
}
