//! Instances of bin packing in two lines: `name capacity n LB UB`, then the n item sizes.

use memc_core::placement::packing::Problem;

/// An instance of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Instance {
    /// As it stands in the file.
    pub(crate) name: String,
    /// Its capacity and sizes.
    pub(crate) problem: Problem,
}

/// The instances of a file, or the line (from 1) of what is wrong, and the reason.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Instance>, (usize, String)> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        (1 + before.iter().filter(|&&byte| byte == b'\n').count(), "this is not UTF-8".to_owned())
    })?;
    let mut lines: Vec<&str> = text.lines().collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    let mut instances = Vec::with_capacity(lines.len() / 2);
    for (at, pair) in lines.chunks(2).enumerate() {
        let line = 2 * at + 1;
        let (name, capacity, count) = header(pair[0]).map_err(|reason| (line, reason))?;
        let sizes = match pair.get(1) {
            Some(sizes) => numbers(sizes).map_err(|reason| (line + 1, reason))?,
            None if count == 0 => Vec::new(),
            None => return Err((line + 1, format!("the {count} sizes of {name} are missing"))),
        };
        if sizes.len() as u64 != count {
            return Err((line + 1, format!("{name} has {count} items, and here are {} sizes", sizes.len())));
        }
        let problem = Problem::new(capacity, sizes).map_err(|error| (line + 1, error.to_string()))?;
        instances.push(Instance { name: name.to_owned(), problem });
    }
    Ok(instances)
}

/// Name, capacity and number of items; the bounds are read, and left aside.
fn header(line: &str) -> Result<(&str, u64, u64), String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [name, capacity, count, lower, upper] = fields[..] else {
        return Err(format!("expected `name capacity n LB UB`, found {} fields", fields.len()));
    };
    number(lower)?;
    number(upper)?;
    Ok((name, number(capacity)?, number(count)?))
}

fn numbers(line: &str) -> Result<Vec<u64>, String> {
    line.split_whitespace().map(number).collect()
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|error| {
        let word: String = word.chars().take(40).collect();
        format!("`{word}` is no number from 0 to 2^64 - 1: {error}")
    })
}
