//! What stands against trusting a server with what it acknowledges.

use std::collections::HashMap;
use std::time::Duration;

use memc_core::store::{Finding, Severity};
use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use crate::error::Failure;
use crate::link::Link;
use crate::reply;
use crate::url::{Address, Target};

/// The oldest version with everything the scripts use: streams trimmed by id, blocking by fractions of a second.
const OLDEST: (u64, u64) = (6, 2);
/// How long another node may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// Look at one server's role and settings.
pub(crate) async fn findings(connection: &mut MultiplexedConnection) -> Result<Vec<Finding>, RedisError> {
    let info: String = redis::cmd("INFO").query_async(connection).await?;
    let info: HashMap<&str, &str> = info.lines().filter_map(|line| line.trim_end().split_once(':')).collect();
    let mut findings = of_info(&info);
    for setting in &SETTINGS {
        let asked: Result<Value, RedisError> =
            redis::cmd("CONFIG").arg("GET").arg(setting.name).query_async(connection).await;
        match asked {
            Ok(value) => findings.extend(setting.judge(value_of(value).as_deref())),
            Err(error) if error.is_io_error() => return Err(error),
            Err(error) => {
                findings.push(refuse(
                    "redis.settings",
                    format!(
                        "the server's settings cannot be read ({error}), so nobody knows whether it keeps what it \
                         acknowledges: let this user run CONFIG GET (ACL SETUSER … +config|get), and do not rename \
                         CONFIG"
                    ),
                ));
                break;
            }
        }
    }
    let limited = findings.iter().any(|it| it.code == LIMIT);
    findings.retain(|it| it.code != LIMIT && (limited || it.code != "redis.maxmemory_policy"));
    Ok(findings)
}

fn value_of(answer: Value) -> Option<String> {
    let [_, value] = reply::tuple(answer).ok()?;
    reply::text(value).ok()
}

fn refuse(code: &str, message: String) -> Finding {
    Finding { severity: Severity::Refuse, code: code.into(), message }
}

fn note(code: &str, message: &str) -> Finding {
    Finding { severity: Severity::Note, code: code.into(), message: message.into() }
}

fn of_info(info: &HashMap<&str, &str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let version = info.get("redis_version").copied().unwrap_or("unknown");
    let mut numbers = version.split('.').map(|part| part.parse::<u64>().unwrap_or(0));
    if (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < OLDEST {
        let (major, minor) = OLDEST;
        findings.push(refuse(
            "redis.version",
            format!("the server's version is {version}, needed is {major}.{minor} or newer: upgrade it"),
        ));
    }
    let role = info.get("role").copied().unwrap_or("unknown");
    if role != "master" {
        findings.push(refuse(
            "redis.role",
            format!("the server's role is {role}, needed is master: write the master's address into the URL"),
        ));
    }
    if info.get("connected_slaves").is_some_and(|count| *count != "0") {
        findings.push(note(
            "redis.failover",
            "the server has replicas, and Redis acknowledges before they have a write: after a fail-over the last \
             acknowledged changes may be gone. It is noticed, and said as ledger.reloaded, but not prevented",
        ));
    }
    findings
}

fn of_connection(target: &Target, address: &Address) -> Option<Finding> {
    let plain = target.tls.is_none();
    plain.then(|| Finding::plaintext("redis", &address.host, &address.to_string(), "rediss://")).flatten()
}

/// Not a finding: there is a limit, so the policy matters.
const LIMIT: &str = "maxmemory";

struct Setting {
    name: &'static str,
    code: &'static str,
    needed: &'static str,
    why: &'static str,
}

const SETTINGS: [Setting; 5] = [
    Setting {
        name: "appendonly",
        code: "redis.appendonly",
        needed: "yes",
        why: "without it everything since the last snapshot is lost when the server ends",
    },
    Setting {
        name: "appendfsync",
        code: "redis.appendfsync",
        needed: "always",
        why: "otherwise the last second's acknowledged changes, or more, are lost in a power cut",
    },
    Setting {
        name: "no-appendfsync-on-rewrite",
        code: "redis.no_appendfsync_on_rewrite",
        needed: "no",
        why: "otherwise nothing is flushed to disk while the log is rewritten",
    },
    Setting { name: "maxmemory", code: LIMIT, needed: "0", why: "" },
    Setting {
        name: "maxmemory-policy",
        code: "redis.maxmemory_policy",
        needed: "noeviction",
        why: "any other silently throws away what was acknowledged once memory is full",
    },
];

impl Setting {
    fn judge(&self, value: Option<&str>) -> Option<Finding> {
        let value = value.unwrap_or("unknown");
        let (name, needed, why) = (self.name, self.needed, self.why);
        (value != needed).then(|| {
            refuse(
                self.code,
                format!(
                    "{name} is {value}, needed is {needed}: {why}. Set it with CONFIG SET {name} {needed} and in \
                     redis.conf"
                ),
            )
        })
    }
}

/// How long a word of a command may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Longest {
    pub(crate) bytes: u64,
    pub(crate) setting: &'static str,
}

/// Settings by which a server closes the connection on a word that is longer, without an answer that says so.
const WORD: [&str; 2] = ["client-query-buffer-limit", "proto-max-bulk-len"];

/// The lower of the two; none that cannot be read.
pub(crate) async fn longest(connection: &mut MultiplexedConnection) -> Option<Longest> {
    let mut longest = None;
    for setting in WORD {
        let asked: Result<Value, RedisError> =
            redis::cmd("CONFIG").arg("GET").arg(setting).query_async(connection).await;
        let bytes = asked.ok().and_then(value_of).and_then(|value| value.parse().ok());
        let found = bytes.map(|bytes| Longest { bytes, setting });
        longest = longest.into_iter().chain(found).min();
    }
    longest
}

/// The version of the server that owns the ledger's keys, and its settings, for people to read.
pub(crate) async fn settings(link: &Link) -> Result<String, Failure> {
    let away = |error: RedisError| Failure::Away(error.into());
    let mut connection = link.current().await?.connection;
    let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(away)?;
    let version = info.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("unknown");
    let mut shown = version.trim_end().to_owned();
    for Setting { name, .. } in &SETTINGS {
        // One that may not be read is a finding.
        let asked: Result<Value, RedisError> =
            redis::cmd("CONFIG").arg("GET").arg(name).query_async(&mut connection).await;
        let value = asked.ok().and_then(value_of);
        shown += &format!(", {name} {}", value.as_deref().unwrap_or("unknown"));
    }
    Ok(shown)
}

/// Look at the server that owns the ledger's keys, and at the others that could come to.
pub(crate) async fn check(link: &Link) -> Result<Vec<Finding>, Failure> {
    let away = |error: RedisError| Failure::Away(error.into());
    let mut current = match link.current().await {
        Ok(current) => current,
        // One that came back unsafe: nobody is let to it, but whoever looks is told why.
        Err(failure) => {
            let Some(mut connection) = link.unaccepted().await else {
                return Err(failure);
            };
            let findings = findings(&mut connection).await.map_err(away)?;
            let refuses = findings.iter().any(|it| it.severity == Severity::Refuse);
            return if refuses { Ok(findings) } else { Err(failure) };
        }
    };
    let mut findings = findings(&mut current.connection).await.map_err(away)?;
    link.accept(&findings);
    findings.extend(of_connection(&link.target, &current.address));
    if link.target.cluster {
        let nodes: String =
            redis::cmd("CLUSTER").arg("NODES").query_async(&mut current.connection).await.map_err(away)?;
        for node in others(&nodes, &current.address) {
            findings.extend(of_other(link, &node).await);
        }
    }
    Ok(findings)
}

/// The other nodes that are up, from lines of `id host:port@bus,name flags …`.
fn others(nodes: &str, answered: &Address) -> Vec<Address> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (address, flags) = (words.next()?, words.next()?);
        if flags.contains("fail") || flags.contains("noaddr") || flags.contains("myself") {
            return None;
        }
        Address::of_redirection(address.split(['@', ',']).next()?, answered)
    };
    nodes.lines().filter_map(address).collect()
}

/// What would refuse another node is worth knowing: the ledger's keys may be moved there, or it may take over.
async fn of_other(link: &Link, node: &Address) -> Option<Finding> {
    let message = match link.open(node, ANSWER).await {
        Err(error) => format!("cannot be reached ({error})"),
        Ok(mut connection) => match findings(&mut connection).await {
            Err(error) => format!("does not answer ({error})"),
            Ok(findings) => {
                let refusing = findings
                    .iter()
                    .filter(|it| it.severity == Severity::Refuse && it.code != "redis.role")
                    .map(|it| it.message.as_str());
                let refusing: Vec<&str> = refusing.collect();
                if refusing.is_empty() {
                    return None;
                }
                refusing.join("; ")
            }
        },
    };
    let message = format!("the cluster's node {node}, which may come to hold the ledger: {message}");
    Some(note("redis.other_node", &message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RedisOptions;

    #[test]
    fn what_leaves_this_machine_unencrypted_is_said() {
        let found = |url: &str| {
            let target = crate::url::read(url, &mut RedisOptions::default()).unwrap();
            of_connection(&target, &target.addresses[0]).map(|it| (it.severity, it.code))
        };
        let said = Some((Severity::Note, "redis.plaintext".to_owned()));
        for url in ["redis://10.0.0.5", "redis://db.example.com", "redis+cluster://[fd00::1]:7000"] {
            assert_eq!(found(url), said, "{url}");
        }
        for url in ["redis://127.0.0.1", "redis://[::1]", "redis://localhost:7000"] {
            assert_eq!(found(url), None, "{url}");
        }
        #[cfg(feature = "tls")]
        assert_eq!(found("rediss://10.0.0.5"), None);
    }
}
