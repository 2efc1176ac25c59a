//! What is kept where.
//!
//! Every key begins with the same hash tag, so that all of them are in one slot and one script can change them
//! together. Records are in hashes of bounded size, so that reading one never blocks the server for long.

use std::fmt::Write;
use std::net::IpAddr;

use memc_core::model::{HostStatus, Key, Record};

/// Records of a hash at most, for kinds that are numbered.
const NUMBERED: u64 = 512;
/// Plans may be long.
const PLANS: u64 = 8;
/// Requests are spread over this many hashes: up to four million of them, a hash has a thousand.
const REQUESTS: u64 = 4096;
/// Hashes of the index of claims and references. Nobody reads one whole.
const INDEXES: usize = 64;

/// The kinds of records, in the order in which they are loaded.
pub(crate) const KINDS: [&str; 10] =
    ["fleet", "cluster", "host", "team", "quota", "cache", "instance", "retired_port", "plan", "request"];

/// The names of this ledger's keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) head: String,
    pub(crate) commits: String,
    pub(crate) turn: String,
    pub(crate) queue: String,
    pub(crate) buckets: String,
    pub(crate) indexes: Vec<String>,
    pub(crate) wake: String,
    pub(crate) flushed: String,
    base: String,
}

impl Keys {
    pub(crate) fn new(prefix: &str) -> Self {
        let base = format!("{{{prefix}}}:");
        Keys {
            head: format!("{base}head"),
            commits: format!("{base}commits"),
            turn: format!("{base}turn"),
            queue: format!("{base}queue"),
            buckets: format!("{base}buckets"),
            indexes: (0..INDEXES).map(|number| format!("{base}index:{number}")).collect(),
            wake: format!("{base}wake:"),
            flushed: format!("{base}flushed"),
            base,
        }
    }

    /// The sorted set of the revisions of an action's target.
    pub(crate) fn of_target(&self, target: &str) -> String {
        format!("{}of:{target}", self.base)
    }

    /// The hash that a record is in.
    pub(crate) fn bucket(&self, key: &Key) -> String {
        let mut name = format!("{}{}:", self.base, kind(key));
        // Writing to a String cannot fail.
        let _ = match key {
            Key::Fleet => write!(name, "0"),
            Key::Cluster { id } => write!(name, "{}", id.get() / NUMBERED),
            Key::Host { id } => write!(name, "{}", id.get() / NUMBERED),
            Key::Team { id } => write!(name, "{}", id.get() / NUMBERED),
            Key::Quota { cluster, team } => write!(name, "{cluster}/{}", team.get() / NUMBERED),
            Key::Cache { id } => write!(name, "{}", id.get() / NUMBERED),
            Key::Instance { id } => write!(name, "{}", id.get() / NUMBERED),
            Key::RetiredPort { host, port } => write!(name, "{}/{}", host.get() / 8, port.get() / 64),
            Key::Plan { id } => write!(name, "{}", id.get() / PLANS),
            Key::Request { .. } => write!(name, "{}", fnv1a(field(key).as_bytes()) % REQUESTS),
        };
        name
    }

    /// The kind whose records a hash holds.
    pub(crate) fn kind_of_bucket(&self, bucket: &str) -> Option<usize> {
        let (kind, _) = bucket.strip_prefix(&self.base)?.split_once(':')?;
        KINDS.iter().position(|known| *known == kind)
    }
}

pub(crate) fn kind(key: &Key) -> &'static str {
    KINDS[kind_number(key)]
}

pub(crate) fn kind_number(key: &Key) -> usize {
    match key {
        Key::Fleet => 0,
        Key::Cluster { .. } => 1,
        Key::Host { .. } => 2,
        Key::Team { .. } => 3,
        Key::Quota { .. } => 4,
        Key::Cache { .. } => 5,
        Key::Instance { .. } => 6,
        Key::RetiredPort { .. } => 7,
        Key::Plan { .. } => 8,
        Key::Request { .. } => 9,
    }
}

/// A record's field in its hash.
pub(crate) fn field(key: &Key) -> String {
    match key {
        Key::Fleet => "0".into(),
        Key::Cluster { id } => id.to_string(),
        Key::Host { id } => id.to_string(),
        Key::Team { id } => id.to_string(),
        Key::Quota { cluster, team } => format!("{cluster}/{team}"),
        Key::Cache { id } => id.to_string(),
        Key::Instance { id } => id.to_string(),
        Key::RetiredPort { host, port } => format!("{host}/{}", port.get()),
        Key::Plan { id } => id.to_string(),
        // A principal has no space.
        Key::Request { principal, id } => format!("{} {}", principal.as_str(), id.as_str()),
    }
}

/// What only one record at a time may have.
pub(crate) fn claims(record: &Record) -> Vec<String> {
    match record {
        Record::Cluster(it) => vec![format!("cluster-name/{}", it.name)],
        // A removed host is remembered for its ports only.
        Record::Host(it) if it.status == HostStatus::Removed => Vec::new(),
        Record::Host(it) => {
            let address: IpAddr = it.address.to_canonical();
            vec![
                format!("host-name/{}", it.name.as_str().to_ascii_lowercase()),
                format!("host-address/{address}"),
            ]
        }
        Record::Team(it) => vec![format!("team-name/{}", it.name)],
        Record::Cache(it) => vec![format!("cache-name/{}/{}", it.team, it.name)],
        Record::Instance(it) => {
            let mut claims = vec![format!("port/{}/{}", it.host, it.port.get())];
            // One that is moving away leaves its place to its copy.
            if it.moved_to.is_none() {
                claims.push(format!("place/{}/{}", it.cache, it.index));
            }
            claims
        }
        Record::RetiredPort(it) => vec![format!("port/{}/{}", it.host, it.port.get())],
        Record::Fleet(_) | Record::Quota(_) | Record::Plan(_) | Record::Request(_) => Vec::new(),
    }
}

/// The records without which this one cannot be.
pub(crate) fn needs(record: &Record) -> Vec<Key> {
    match record {
        Record::Host(it) => vec![Key::Cluster { id: it.cluster }],
        Record::Quota(it) => vec![Key::Cluster { id: it.cluster }, Key::Team { id: it.team }],
        Record::Cache(it) => vec![Key::Cluster { id: it.cluster }, Key::Team { id: it.team }],
        Record::Instance(it) => vec![Key::Cache { id: it.cache }, Key::Host { id: it.host }],
        Record::RetiredPort(it) => vec![Key::Host { id: it.host }],
        Record::Plan(it) => vec![Key::Cluster { id: it.cluster }],
        Record::Fleet(_) | Record::Cluster(_) | Record::Team(_) | Record::Request(_) => Vec::new(),
    }
}

/// A field of the index, and the number of its hash.
pub(crate) fn indexed(field: String) -> (usize, String) {
    // Less than INDEXES.
    ((fnv1a(field.as_bytes()) % INDEXES as u64) as usize, field)
}

/// Where the index counts the records that refer to this one.
pub(crate) fn references(key: &Key) -> (usize, String) {
    indexed(format!("of:{}", name(key)))
}

/// What a record is called in the index: its kind and its field.
pub(crate) fn name(key: &Key) -> String {
    format!("{}/{}", kind(key), field(key))
}

/// Fowler, Noll and Vo's hash, 64 bits: the same on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use memc_core::model::{HostId, InstanceId, Port, Principal, RequestId};

    use super::*;

    #[test]
    fn names() {
        let keys = Keys::new("memc");
        let instance = Key::Instance { id: InstanceId::new(1025) };
        assert_eq!(keys.bucket(&instance), "{memc}:instance:2");
        assert_eq!((field(&instance), name(&instance)), ("1025".into(), "instance/1025".into()));
        let port = Key::RetiredPort { host: HostId::new(17), port: Port::new(11300).unwrap() };
        assert_eq!(keys.bucket(&port), "{memc}:retired_port:2/176");
        assert_eq!(keys.kind_of_bucket(&keys.bucket(&port)), Some(7));
        assert_eq!(keys.kind_of_bucket("{memc}:of:x"), None);
        assert_eq!(keys.kind_of_bucket("other:instance:1"), None);
        let request =
            Key::Request { principal: Principal::new("user:a").unwrap(), id: RequestId::new("r").unwrap() };
        assert_eq!(field(&request), "user:a r");
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        // http://www.isthe.com/chongo/tech/comp/fnv/: test vectors.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
