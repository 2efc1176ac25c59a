//! Which servers a URL means.

use std::fmt;
use std::path::PathBuf;

use crate::{ConnectError, LEAST_HISTORY, RedisOptions};

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl Address {
    /// Reads `host`, `host:port`, `[v6]` and `[v6]:port`; the port is 6379 where none is given.
    fn read(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']')?;
                (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map_or(Some(6379), |port| port.parse().ok())?;
        (!host.is_empty()).then(|| Address { host: host.to_owned(), port })
    }

    /// The node that a redirection names, `host:port` with nothing around an IPv6 address. Without a host it is the
    /// one that answered.
    pub(crate) fn of_redirection(text: &str, answered: &Address) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = if host.is_empty() { &answered.host } else { host };
        Some(Address { host: host.to_owned(), port: port.parse().ok()? })
    }
}

/// What a connection is encrypted with; the server's certificate is checked in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// A file with the only authorities that are trusted; those of the system where none is given.
    pub(crate) authorities: Option<PathBuf>,
    /// Files with this program's certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// The servers, how to log in, and whose keys. Shown without the password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) cluster: bool,
    pub(crate) tls: Option<Tls>,
    /// One server, or some nodes of the cluster.
    pub(crate) addresses: Vec<Address>,
    pub(crate) database: i64,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// The hash tag of every key.
    pub(crate) prefix: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, secure) = (if self.cluster { "+cluster" } else { "" }, self.tls.is_some());
        write!(f, "redis{}{kind}://", if secure { "s" } else { "" })?;
        for (number, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if number == 0 { "" } else { "," })?;
        }
        if !self.cluster {
            write!(f, "/{}", self.database)?;
        }
        write!(f, "?prefix={}", self.prefix)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const CHARACTERS: &str = "?prefix= takes 1 to 64 letters, digits, '.', '-' and '_'";

/// Read a URL, and into the options what it says about them.
pub(crate) fn read(url: &str, options: &mut RedisOptions) -> Result<Target, ConnectError> {
    let wrong = |why: &'static str| Err(ConnectError::Url(why));
    let (cluster, mut tls, rest) = match url.split_once("://") {
        Some(("redis", rest)) => (false, None, rest),
        Some(("redis+cluster", rest)) => (true, None, rest),
        Some(("rediss", rest)) => (false, Some(Tls::default()), rest),
        Some(("rediss+cluster", rest)) => (true, Some(Tls::default()), rest),
        _ => {
            return wrong(
                "write redis://host:6379/0 or redis+cluster://host1:6379,host2:6379,host3:6379; rediss:// and \
                 rediss+cluster:// where connections are to be encrypted",
            );
        }
    };
    if tls.is_some() && !cfg!(feature = "tls") {
        return wrong("this program was built without encrypted connections");
    }
    let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => (Some(login), rest),
        None => (None, rest),
    };
    let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(addresses) = hosts.split(',').map(Address::read).collect::<Option<Vec<Address>>>() else {
        return wrong("a server is written host:port or [IPv6]:port, the port from 1 to 65535");
    };
    if !cluster && addresses.len() > 1 {
        return wrong(
            "redis:// names one server; nodes of a cluster are written redis+cluster://host1:6379,host2:6379",
        );
    }
    let database = match path {
        "" => 0,
        digits => match digits.parse::<u16>() {
            Ok(0) => 0,
            Ok(_) if cluster => return wrong("Redis Cluster has database 0 only"),
            Ok(number) => i64::from(number),
            Err(_) => {
                return wrong("what follows the server is the number of a database: redis://host:6379/0");
            }
        },
    };
    let (mut user, mut password) = (None, None);
    if let Some(login) = login {
        let (name, secret) = login.split_once(':').unwrap_or((login, ""));
        let (Some(name), Some(secret)) = (decoded(name), decoded(secret)) else {
            return wrong("a % in user or password starts two hexadecimal digits");
        };
        user = Some(name).filter(|name| !name.is_empty());
        password = Some(secret).filter(|secret| !secret.is_empty());
        if user.is_some() && password.is_none() {
            return wrong(
                "a user without a password: write redis://user:password@host, or redis://:password@host",
            );
        }
    }
    let mut prefix = "memc".to_owned();
    let (mut certificate, mut key) = (None, None);
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("prefix", value)) => {
                let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
                if !(1..=64).contains(&value.len()) || !value.bytes().all(allowed) {
                    return wrong(CHARACTERS);
                }
                prefix = value.to_owned();
            }
            Some(("history", value)) => match value.parse() {
                Ok(commits) if commits >= LEAST_HISTORY => options.history = commits,
                _ => return wrong("?history= takes a number of commits, at least 1000"),
            },
            Some((name @ ("cacert" | "cert" | "key"), value)) => {
                let Some(tls) = &mut tls else {
                    return wrong(
                        "?cacert=, ?cert= and ?key= are for encrypted connections: write rediss://",
                    );
                };
                let Some(path) = decoded(value).filter(|path| !path.is_empty()).map(PathBuf::from) else {
                    return wrong("?cacert=, ?cert= and ?key= take the path of a file");
                };
                match name {
                    "cacert" => tls.authorities = Some(path),
                    "cert" => certificate = Some(path),
                    _ => key = Some(path),
                }
            }
            _ => return wrong("the parameters are ?prefix=, ?history=, ?cacert=, ?cert= and ?key="),
        }
    }
    if let Some(tls) = &mut tls {
        tls.identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return wrong("?cert= and ?key= go together"),
        };
    }
    Ok(Target { cluster, tls, addresses, database, user, password, prefix })
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next()?.bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        read(url, &mut RedisOptions::default()).unwrap()
    }

    fn address(host: &str, port: u16) -> Address {
        Address { host: host.into(), port }
    }

    #[test]
    fn one_server() {
        let it = target("redis://db.example.com/3");
        assert_eq!(
            (it.cluster, it.addresses, it.database),
            (false, vec![address("db.example.com", 6379)], 3)
        );
        assert_eq!((it.user, it.password, it.prefix.as_str()), (None, None, "memc"));
        let it = target("redis://memc:p%40ss%3A@[::1]:7000?prefix=fleet-2");
        assert_eq!((it.addresses, it.prefix.as_str()), (vec![address("::1", 7000)], "fleet-2"));
        assert_eq!((it.user.as_deref(), it.password.as_deref()), (Some("memc"), Some("p@ss:")));
        assert_eq!(target("redis://:secret@h").user, None);
    }

    #[test]
    fn nodes_of_a_cluster() {
        let it = target("redis+cluster://u:p@a:1,b,[fd00::1]:3/?prefix=x");
        assert!(it.cluster);
        assert_eq!(it.addresses, [address("a", 1), address("b", 6379), address("fd00::1", 3)]);
    }

    #[cfg(feature = "tls")]
    #[test]
    fn encrypted() {
        let it = target("rediss://memc:secret@h/1");
        assert_eq!((it.cluster, it.database, it.tls.clone()), (false, 1, Some(Tls::default())));
        assert_eq!(format!("{it}"), "rediss://h:6379/1?prefix=memc");
        let it = target("rediss+cluster://a,b?cacert=/etc/a%20b/ca.crt&cert=c.crt&key=c.key");
        assert_eq!(format!("{it}"), "rediss+cluster://a:6379,b:6379?prefix=memc");
        let tls = it.tls.unwrap();
        assert_eq!(tls.authorities, Some("/etc/a b/ca.crt".into()));
        assert_eq!(tls.identity, Some(("c.crt".into(), "c.key".into())));
    }

    #[test]
    fn history() {
        let mut options = RedisOptions::default();
        read("redis://h?history=5000&prefix=a", &mut options).unwrap();
        assert_eq!(options.history, 5000);
    }

    #[test]
    fn a_password_is_never_shown() {
        let it = target("redis+cluster://memc:secret@a:1,b:2");
        assert_eq!(format!("{it}"), "redis+cluster://a:1,b:2?prefix=memc");
        assert!(!format!("{it:?}").contains("secret"));
    }

    #[test]
    fn what_names_no_server_is_refused() {
        for url in [
            "sqlite://x",
            "redis://",
            "redis://a,b",
            "redis://h:0x",
            "redis://h:70000",
            "redis://h/one",
            "redis+cluster://a,b/1",
            "rediss://",
            "redis://h?cacert=ca.crt",
            "rediss://h?cacert=",
            "rediss://h?cert=c.crt",
            "rediss://h?key=c.key",
            "redis://user@h",
            "redis://u:%zz@h",
            "redis://h?prefix=",
            "redis://h?prefix={a}",
            "redis://h?history=many",
            "redis://h?history=999",
            "redis://h?tag=x",
        ] {
            assert!(read(url, &mut RedisOptions::default()).is_err(), "{url}");
        }
    }

    #[test]
    fn redirections() {
        let answered = address("10.0.0.1", 6379);
        let to = |text| Address::of_redirection(text, &answered);
        assert_eq!(to("10.0.0.2:7001"), Some(address("10.0.0.2", 7001)));
        assert_eq!(to(":7002"), Some(address("10.0.0.1", 7002)));
        assert_eq!(to("fd00::1:7003"), Some(address("fd00::1", 7003)));
        assert_eq!(to("nonsense"), None);
    }
}
