//! What the script that appends is given.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, hash_map};

use memc_core::ledger::{Change, Commit, FORMAT, Head};
use memc_core::model::{Key, Record};
use serde::Serialize;

use crate::keys::{Keys, claims, field, indexed, name, needs, references};
use crate::read::LAYOUT;

/// Why commits cannot be appended, whatever is in the server.
pub(crate) enum Unfit {
    /// They contradict each other.
    Conflict(String),
    Unwritable(serde_json::Error),
}

impl From<serde_json::Error> for Unfit {
    fn from(error: serde_json::Error) -> Self {
        Unfit::Unwritable(error)
    }
}

/// What a record's field holds. The script that appends looks at the beginning of it.
#[derive(Serialize)]
struct Stored<'a, T> {
    /// What only it may have: hashes of the index and their fields.
    claims: &'a [(usize, String)],
    /// Where its references are counted.
    needs: &'a [(usize, String)],
    record: &'a T,
}

/// What becomes of a record.
struct Fate<'a> {
    /// The first change removes it, so that it has to be there.
    was_there: bool,
    record: Option<&'a Record>,
}

/// A record that is removed.
struct Removed {
    field: String,
    name: String,
    was_there: bool,
    /// Where its references are counted.
    count: (usize, String),
}

/// The keys and arguments of the script that appends: what the commits come to, since the fewer words it has to look
/// at, the shorter the server is busy with it. Grouped by hash, as its commands take them.
pub(crate) struct Append<'a> {
    pub(crate) keys: Vec<String>,
    pub(crate) arguments: Vec<Vec<u8>>,
    names: &'a Keys,
    numbers: HashMap<String, usize>,
    /// Fields and values, by the number of their hash in `keys`, as all that follow.
    puts: BTreeMap<usize, Vec<(String, Vec<u8>)>>,
    removed: BTreeMap<usize, Vec<Removed>>,
    /// Who claims what.
    claims: BTreeMap<usize, BTreeMap<String, String>>,
    /// What has to be there before.
    needed: BTreeMap<usize, BTreeMap<String, String>>,
    /// By how much references increase.
    counts: BTreeMap<usize, BTreeMap<String, u64>>,
}

impl<'a> Append<'a> {
    pub(crate) fn new(
        names: &'a Keys,
        [ticket, grace]: [&str; 2],
        head: Head,
        commits: &[Commit],
    ) -> Result<Self, Unfit> {
        let mut keys = vec![
            names.head.clone(),
            names.commits.clone(),
            names.turn.clone(),
            names.queue.clone(),
            names.buckets.clone(),
        ];
        keys.extend(names.indexes.iter().cloned());
        let mut append = Append {
            keys,
            arguments: Vec::new(),
            names,
            numbers: HashMap::new(),
            puts: BTreeMap::new(),
            removed: BTreeMap::new(),
            claims: BTreeMap::new(),
            needed: BTreeMap::new(),
            counts: BTreeMap::new(),
        };
        let fates = fates(commits)?;
        for (key, fate) in &fates {
            append.fate(key, fate, &fates)?;
        }
        append.text(ticket);
        append.text(grace);
        append.text(&names.wake);
        append.text(LAYOUT);
        append.text(FORMAT);
        append.text(names.indexes.len());
        append.text(head.revision);
        append.text(head.id);
        append.text(head.revision.next());
        append.text(commits.first().map_or(head.id, |first| first.id));
        append.text(commits.last().map_or(head.at, |last| last.at).as_millis());
        append.changes();
        append.text(commits.len());
        for commit in commits {
            append.text(commit.revision);
            append.text(commit.id);
            append.arguments.push(serde_json::to_vec(commit)?);
            let target = match commit.action.target.as_str() {
                "" => 0,
                target => append.key(names.of_target(target)),
            };
            append.text(target);
        }
        Ok(append)
    }

    fn fate(&mut self, key: &Key, fate: &Fate<'_>, fates: &HashMap<Key, Fate<'_>>) -> Result<(), Unfit> {
        let bucket = self.key(self.names.bucket(key));
        let Some(record) = fate.record else {
            let (was_there, count) = (fate.was_there, plus_keys(references(key)));
            let removed = Removed { field: field(key), name: name(key), was_there, count };
            self.removed.entry(bucket).or_default().push(removed);
            return Ok(());
        };
        if fate.was_there {
            self.needed.entry(bucket).or_default().insert(field(key), name(key));
        }
        let claims: Vec<(usize, String)> = claims(record).into_iter().map(indexed).collect();
        let needs = needs(record);
        let counts: Vec<(usize, String)> = needs.iter().map(references).collect();
        let stored = serde_json::to_vec(&Stored { claims: &claims, needs: &counts, record })?;
        self.puts.entry(bucket).or_default().push((field(key), stored));
        for (hash, claim) in claims.into_iter().map(plus_keys) {
            match self.claims.entry(hash).or_default().entry(claim) {
                Entry::Vacant(entry) => {
                    entry.insert(name(key));
                }
                Entry::Occupied(entry) => {
                    let (claim, other) = (entry.key(), entry.get());
                    let why = format!("{} cannot have {claim}: {other} has it", name(key));
                    return Err(Unfit::Conflict(why));
                }
            }
        }
        for (need, (hash, count)) in needs.iter().zip(counts.into_iter().map(plus_keys)) {
            *self.counts.entry(hash).or_default().entry(count).or_default() += 1;
            match fates.get(need) {
                None => {
                    let bucket = self.key(self.names.bucket(need));
                    self.needed.entry(bucket).or_default().insert(field(need), name(need));
                }
                Some(Fate { record: Some(_), .. }) => {}
                Some(_) => {
                    let why = format!("{} cannot be removed: {} refers to it", name(need), name(key));
                    return Err(Unfit::Conflict(why));
                }
            }
        }
        Ok(())
    }

    fn changes(&mut self) {
        let puts = std::mem::take(&mut self.puts);
        self.text(puts.len());
        for (bucket, puts) in puts {
            self.group(bucket, puts.iter().map(|(field, _)| field));
            self.arguments.extend(puts.into_iter().flat_map(|(field, value)| [field.into_bytes(), value]));
        }
        let removed = std::mem::take(&mut self.removed);
        self.text(removed.len());
        for (bucket, removed) in removed {
            self.group(bucket, removed.iter().map(|it| &it.field));
            for Removed { name, was_there, count: (hash, count), .. } in removed {
                self.text(name);
                self.text(u8::from(was_there));
                self.text(hash);
                self.text(count);
            }
        }
        let claims = std::mem::take(&mut self.claims);
        self.text(claims.len());
        for (hash, claims) in claims {
            self.group(hash, claims.keys());
            let pairs = claims.into_iter().flat_map(|(claim, name)| [claim.into_bytes(), name.into_bytes()]);
            self.arguments.extend(pairs);
        }
        let needed = std::mem::take(&mut self.needed);
        self.text(needed.len());
        for (bucket, needed) in needed {
            self.group(bucket, needed.keys());
            needed.values().for_each(|name| self.text(name));
        }
        let counts = std::mem::take(&mut self.counts);
        self.text(counts.len());
        for (hash, counts) in counts {
            self.group(hash, counts.keys());
            counts.values().for_each(|count| self.text(count));
        }
    }

    /// A hash, and which fields of it.
    fn group<'b>(&mut self, key: usize, fields: impl ExactSizeIterator<Item = &'b String>) {
        self.text(key);
        self.text(fields.len());
        self.arguments.extend(fields.map(|field| field.clone().into_bytes()));
    }

    fn text(&mut self, value: impl ToString) {
        self.arguments.push(value.to_string().into_bytes());
    }

    /// A key's number in KEYS.
    fn key(&mut self, key: String) -> usize {
        let next = self.keys.len() + 1;
        *self.numbers.entry(key).or_insert_with_key(|key| {
            self.keys.push(key.clone());
            next
        })
    }
}

/// A place in the index by the number of its hash in KEYS, where the hashes of the index follow five other keys.
fn plus_keys((hash, field): (usize, String)) -> (usize, String) {
    (6 + hash, field)
}

fn fates(commits: &[Commit]) -> Result<HashMap<Key, Fate<'_>>, Unfit> {
    let mut fates: HashMap<Key, Fate<'_>> = HashMap::new();
    for change in commits.iter().flat_map(|commit| &commit.changes) {
        let (key, record) = match change {
            Change::Put(record) => (record.key(), Some(record)),
            Change::Remove(key) => (key.clone(), None),
        };
        match fates.entry(key) {
            hash_map::Entry::Vacant(entry) => {
                entry.insert(Fate { was_there: record.is_none(), record });
            }
            hash_map::Entry::Occupied(entry) if record.is_none() && entry.get().record.is_none() => {
                return Err(Unfit::Conflict(format!("{} is not there to be removed", name(entry.key()))));
            }
            hash_map::Entry::Occupied(mut entry) => entry.get_mut().record = record,
        }
    }
    Ok(fates)
}
