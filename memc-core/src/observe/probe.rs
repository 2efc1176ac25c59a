//! Asking one memcached, in its own protocol.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::model::Mib;

/// The most that is read of an answer: statistics of memcached are a few KiB.
const LONGEST_ANSWER: u64 = 256 * 1024;

/// What a port answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It is a memcached.
    Answered(Stats),
    /// Nothing listens there: the host itself said so.
    Refused,
    /// No answer in time, no way there, or not a memcached: evidence of nothing.
    Unclear(String),
}

/// What a memcached says of itself. Names come and go between versions: what is missing is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    /// Its process id on its host.
    pub pid: Option<u32>,
    /// Seconds since it started.
    pub uptime_seconds: Option<u64>,
    /// Its version.
    pub version: Option<String>,
    /// The memory it may use for items, MiB (`limit_maxbytes`).
    pub limit: Option<Mib>,
    /// The memory it has taken for items, in bytes (`total_malloced`).
    pub held_bytes: Option<u64>,
    /// Bytes in items.
    pub item_bytes: Option<u64>,
    /// Items.
    pub items: Option<u64>,
    /// Connections now.
    pub connections: Option<u64>,
    /// Connections it accepts.
    pub max_connections: Option<u64>,
    /// Reads that found an item.
    pub hits: Option<u64>,
    /// Reads that did not.
    pub misses: Option<u64>,
    /// Items dropped for room.
    pub evictions: Option<u64>,
}

impl Stats {
    /// Whether it holds no more memory than its limit.
    #[must_use]
    pub fn is_within_limit(&self) -> bool {
        match (self.held_bytes, self.limit) {
            (Some(held), Some(limit)) => held <= limit.get() << 20,
            _ => false,
        }
    }
}

/// Ask what listens on a port.
pub async fn probe(address: SocketAddr, within: Duration) -> Probe {
    match tokio::time::timeout(within, ask(address)).await {
        Ok(Ok(stats)) => Probe::Answered(stats),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Probe::Refused,
        Ok(Err(error)) => Probe::Unclear(error.to_string()),
        Err(_) => Probe::Unclear(format!("no answer within {} ms", within.as_millis())),
    }
}

/// Whether something accepts connections on a port, whatever it speaks; `None` where the host did not say.
pub(super) async fn listens(address: SocketAddr, within: Duration) -> Option<bool> {
    match tokio::time::timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Some(true),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Some(false),
        _ => None,
    }
}

async fn ask(address: SocketAddr) -> io::Result<Stats> {
    let stream = TcpStream::connect(address).await?;
    // Refused means refused to connect. A connection reset later is no evidence.
    talk(stream).await.map_err(|error| io::Error::other(error.to_string()))
}

async fn talk(mut stream: TcpStream) -> io::Result<Stats> {
    stream.write_all(b"stats\r\nstats settings\r\nstats slabs\r\n").await?;
    let (reading, _writing) = stream.split();
    let mut lines = BufReader::new(reading.take(LONGEST_ANSWER)).lines();
    let mut said = HashMap::new();
    let mut ends = 0;
    while ends < 3 {
        let line = lines.next_line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut words = line.splitn(3, ' ');
        match (words.next(), words.next(), words.next()) {
            (Some("END"), None, None) => ends += 1,
            (Some("STAT"), Some(name), Some(value)) => {
                said.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(io::Error::other("what listens there is not memcached")),
        }
    }
    fn number<T: std::str::FromStr>(said: &HashMap<String, String>, name: &str) -> Option<T> {
        said.get(name)?.parse().ok()
    }
    Ok(Stats {
        pid: number(&said, "pid"),
        uptime_seconds: number(&said, "uptime"),
        version: said.get("version").cloned(),
        limit: number(&said, "limit_maxbytes").map(|bytes: u64| Mib::capped(bytes >> 20)),
        held_bytes: number(&said, "total_malloced"),
        item_bytes: number(&said, "bytes"),
        items: number(&said, "curr_items"),
        connections: number(&said, "curr_connections"),
        max_connections: number(&said, "maxconns"),
        hits: number(&said, "get_hits"),
        misses: number(&said, "get_misses"),
        evictions: number(&said, "evictions"),
    })
}
