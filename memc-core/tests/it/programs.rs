//! The example programs, run as people run them: what they print, what they write, and how they end.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// Cargo builds examples together with tests, and puts them beside them.
fn run(example: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Output {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join("examples").join(example);
    let built = "build it first: cargo build -p memc-core --examples";
    Command::new(&program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; {built}", program.display()))
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Files of one test, gone with it.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("memc-programs-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Files(folder)
    }

    fn write(&self, file: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(file);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// First-fit decreasing takes three hosts for the first, and two are enough; four of the second need dual weights or a
/// search, and what the header says of bounds is wrong everywhere.
const TWO: &str = "pairs 10 6 9 0\n5 3 2 4 3 3\nlarge 100 3 0 77\n60 60 60\n";
const ONE: &str = "  \u{9}thirds-of-7\u{9}7 6 0 0 \n2 3 2 3 2 2\n\n";

/// Every item once, no host over its capacity, and the bound by the argument that is named.
fn check(line: &str, name: &str, capacity: u64, sizes: &[u64]) -> (usize, u64) {
    let answer: Value = serde_json::from_str(line).unwrap();
    assert_eq!(answer["name"], name);
    let hosts: Vec<Vec<usize>> = serde_json::from_value(answer["hosts"].clone()).unwrap();
    for host in &hosts {
        assert!(host.iter().map(|item| sizes[*item]).sum::<u64>() <= capacity, "{answer}");
    }
    let mut items: Vec<usize> = hosts.iter().flatten().copied().collect();
    items.sort_unstable();
    assert_eq!(items, Vec::from_iter(0..sizes.len()), "{answer}");
    let bound = answer["bound"].as_u64().unwrap();
    let shown = match answer["argument"].as_str().unwrap() {
        "sum" => sizes.iter().sum::<u64>().div_ceil(capacity),
        // Items above half of the capacity are enough for these instances.
        "l2" => sizes.iter().filter(|size| 2 * **size > capacity).count() as u64,
        "dual" => {
            let weights = &answer["weights"];
            let by_size: Vec<(u64, u64)> = serde_json::from_value(weights["by_size"].clone()).unwrap();
            let weight =
                |size: u64| by_size.iter().find(|(other, _)| *other == size).map_or(0, |(_, weight)| *weight);
            let scale = weights["scale"].as_u64().unwrap();
            // No set of items that fits weighs more than a host.
            for set in 0..1u32 << sizes.len() {
                let chosen = || (0..sizes.len()).filter(|at| set >> at & 1 == 1).map(|at| sizes[at]);
                assert!(chosen().sum::<u64>() > capacity || chosen().map(weight).sum::<u64>() <= scale);
            }
            sizes.iter().map(|size| weight(*size)).sum::<u64>().div_ceil(scale)
        }
        other => panic!("{other}"),
    };
    assert_eq!(bound, shown, "{answer}");
    (hosts.len(), bound)
}

#[test]
fn pack_says_what_it_packed_and_proves_it() {
    let files = Files::new("pack");
    let (two, one) = (files.write("two.txt", TWO.as_bytes()), files.write("one.txt", ONE.as_bytes()));
    let assigned = files.0.join("assigned.jsonl");
    let output = run(
        "pack",
        ["--seconds".as_ref(), "5".as_ref(), "--assign".as_ref(), assigned.as_os_str(), two.as_os_str()]
            .into_iter()
            .chain([one.as_os_str()]),
    );
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    let assigned = std::fs::read_to_string(assigned).unwrap();
    let assigned: Vec<&str> = assigned.lines().collect();
    let lines: Vec<Vec<&str>> = out(&output).lines().map(|line| line.split(' ').collect()).collect();
    let instances: [(&str, u64, &[u64]); 3] = [
        ("pairs", 10, &[5, 3, 2, 4, 3, 3]),
        ("large", 100, &[60, 60, 60]),
        ("thirds-of-7", 7, &[2, 3, 2, 3, 2, 2]),
    ];
    assert_eq!((lines.len(), assigned.len()), (4, 3));
    let (mut all_hosts, mut all_bounds) = (0, 0);
    for ((line, assigned), (name, capacity, sizes)) in lines.iter().zip(assigned).zip(instances) {
        let (hosts, bound) = check(assigned, name, capacity, sizes);
        assert_eq!(line[..3], [name, &hosts.to_string(), &bound.to_string()]);
        assert_eq!((hosts as u64, line[3]), (bound, "proved"), "{line:?}");
        assert!(line[4].parse::<f64>().unwrap() >= 0.0);
        all_hosts += hosts;
        all_bounds += bound;
    }
    assert_eq!(lines[3][..5], ["total", "3", &all_hosts.to_string(), &all_bounds.to_string(), "3"]);
    assert!(lines[3][5].parse::<f64>().is_ok() && lines[3].len() == 6);
}

/// What is not proved is said to be open, which is no failure.
#[test]
fn pack_says_what_stays_open() {
    let files = Files::new("open");
    // Without time for a search it is first-fit decreasing: 5 4, 3 3 3, 2, where 5 3 2 and 4 3 3 would do.
    let file = files.write("one.txt", b"pairs 10 6 0 0\n5 3 2 4 3 3\n");
    let output = run("pack", ["--seconds=0".as_ref(), file.as_os_str()]);
    assert_eq!((output.status.code(), err(&output)), (Some(0), ""));
    let lines: Vec<&str> = out(&output).lines().collect();
    assert!(lines[0].starts_with("pairs 3 2 open ") && lines[1].starts_with("total 1 3 2 0 "), "{lines:?}");
}

/// All files are read before anything is solved, so that standard output stays empty.
#[test]
fn pack_refuses_what_is_wrong_by_file_and_line() {
    let files = Files::new("wrong");
    let fine = files.write("fine.txt", TWO.as_bytes());
    for (number, (content, line, says)) in [
        (&b"a 10 2 0 0\n5 11\n"[..], 2, "1..=10"),
        (b"a 10 2 0 0\n5 0\n", 2, "1..=10"),
        (b"a 10 2 0 0\n5\n", 2, "2 items"),
        (b"a 10 1 0 0\n5\nb 10 1 0\n5\n", 3, "name capacity n LB UB"),
        (b"a 10 1 0 0\n", 2, "missing"),
        (b"a 10 1 0 0\nfive\n", 2, "five"),
        (b"a 10 1 x 0\n5\n", 1, "x"),
        (b"a 10 1 0 0\n\xff\n", 2, "UTF-8"),
    ]
    .into_iter()
    .enumerate()
    {
        let file = files.write(&format!("wrong-{number}.txt"), content);
        let output = run("pack", [fine.as_os_str(), file.as_os_str()]);
        assert_eq!((output.status.code(), out(&output)), (Some(2), ""), "{number}");
        let expected = format!("{}:{line}: ", file.display());
        assert!(err(&output).starts_with(&expected) && err(&output).contains(says), "{}", err(&output));
    }
    for arguments in [&[][..], &["--seconds", "-1", "x"], &["--fast", "x"], &["/nowhere/at/all"]] {
        let output = run("pack", arguments);
        assert_eq!((output.status.code(), out(&output)), (Some(2), ""), "{arguments:?}");
        assert!(!err(&output).is_empty());
    }
    assert!(out(&run("pack", ["--help"])).starts_with("Usage: pack"));
}

#[test]
fn simulate_prints_the_same_for_the_same_arguments() {
    let live = |seed: &str| {
        let output = run("simulate", ["--hosts", "20", "--instances", "120", "--seed", seed]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        output
    };
    let (one, other) = (live("1"), live("2"));
    assert_eq!(one.stdout, live("1").stdout);
    assert_ne!(one.stdout, other.stdout);
    let lines: Vec<(&str, &str)> = out(&one).lines().map(|line| line.split_once(' ').unwrap()).collect();
    let keys: Vec<&str> = lines.iter().map(|(key, _)| *key).collect();
    let expected = "hosts instances operations refused wrongly_refused violations fill_percent grow_in_place_percent \
                    largest_fit_mib moved_mib drains_undecided";
    assert_eq!(keys, Vec::from_iter(expected.split(' ')));
    assert!(lines.contains(&("violations", "0")) && lines.contains(&("wrongly_refused", "0")));
    for arguments in [&["--hosts", "5"][..], &["--hosts", "0", "--instances", "1", "--seed", "1"], &["--all"]]
    {
        let output = run("simulate", arguments);
        assert_eq!((output.status.code(), out(&output)), (Some(2), ""), "{arguments:?}");
        assert!(err(&output).contains("Usage: simulate"));
    }
}
