//! Which database a URL means.

#[cfg(feature = "sqlite")]
use std::path::PathBuf;

use crate::ConnectError;

/// The kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Sqlite,
    Postgres,
    MySql,
}

impl Scheme {
    pub(crate) fn of(url: &str) -> Result<Self, ConnectError> {
        match url.split_once(':').map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Scheme::Sqlite),
            Some("postgres" | "postgresql") => Ok(Scheme::Postgres),
            Some("mysql" | "mariadb") => Ok(Scheme::MySql),
            _ => Err(ConnectError::Scheme),
        }
    }
}

/// Refuse parameters other than these: the drivers pass over what they do not know, and with a misspelt `sslmode` nothing
/// would be checked.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn parameters(url: &str, known: &[&str], told: &'static str) -> Result<(), ConnectError> {
    let url = url.split('#').next().unwrap_or_default();
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    let mut names =
        parameters.split('&').filter(|it| !it.is_empty()).map(|it| it.split('=').next().unwrap_or(it));
    // `options[search_path]=…`
    let of_session = |name: &str| name.starts_with("options[") || name.starts_with("options%5B");
    let is_known = |name| known.contains(&if of_session(name) { "options" } else { name });
    match names.all(is_known) {
        true => Ok(()),
        false => Err(ConnectError::Url(told)),
    }
}

/// With this host where a URL has a user or a port and no host, as in `postgres://memc@/memc?host=/run/postgresql`: the
/// servers' own programs take that, and a URL's parser does not.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn with_host(url: &str, host: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, place) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    if authority.is_empty() || !(place.is_empty() || place.starts_with(':')) {
        return url.to_owned();
    }
    format!("{scheme}://{user}{}{place}{path}", host.replace('/', "%2F"))
}

/// An IPv6 address as a resolver takes it: in a URL it is in brackets, and the drivers leave them.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(crate) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The file of `sqlite:///absolute`, `sqlite://relative` or `sqlite:either`; `%20` and the like stand for their bytes.
#[cfg(feature = "sqlite")]
pub(crate) fn sqlite_path(url: &str) -> Result<PathBuf, ConnectError> {
    let wrong = |why: &'static str| Err(ConnectError::Url(why));
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.contains(['?', '#']) {
        return wrong("a sqlite: URL takes no parameters here: the settings that matter are always set");
    }
    let Some(path) = decoded(path) else {
        return wrong("a % in a URL starts two hexadecimal digits, and the path has to be UTF-8");
    };
    if path.contains(":memory:") {
        return wrong(
            "a SQLite database in memory is lost with its process and seen by no other: name a file, or use \
             memc_core's MemoryStore for trials",
        );
    }
    if path.is_empty() || path.ends_with('/') {
        return wrong("the URL names no file: write sqlite:///path/to/memc.db");
    }
    Ok(path.into())
}

#[cfg(feature = "sqlite")]
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut parts = text.split('%');
    bytes.extend(parts.next()?.bytes());
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sqlite")]
    #[test]
    fn paths() {
        let path = |url: &str| sqlite_path(url).unwrap();
        assert_eq!(path("sqlite:///var/lib/memc.db"), PathBuf::from("/var/lib/memc.db"));
        assert_eq!(path("sqlite://data/memc.db"), PathBuf::from("data/memc.db"));
        assert_eq!(path("sqlite:memc.db"), PathBuf::from("memc.db"));
        assert_eq!(path("sqlite:/a%20b/%E4%B8%AD.db"), PathBuf::from("/a b/中.db"));
    }

    #[test]
    fn schemes() {
        let scheme = |url: &str| Scheme::of(url).ok();
        assert_eq!(scheme("sqlite:memc.db"), Some(Scheme::Sqlite));
        assert_eq!(scheme("postgresql://db/memc"), Some(Scheme::Postgres));
        assert_eq!(scheme("mariadb://db/memc"), Some(Scheme::MySql));
        for url in ["", "memc.db", "/a/memc.db", "redis://db", "Postgres"] {
            assert_eq!(scheme(url), None, "{url}");
        }
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn misspelt_parameters_are_refused() {
        let known = |url: &str| parameters(url, &["sslmode", "options"], "").is_ok();
        for url in
            ["postgres://h/d", "postgres://h/d?", "postgres://h/d?sslmode=require&", "x://h/d?sslmode=a#?b=c"]
        {
            assert!(known(url), "{url}");
        }
        assert!(known("x://h/d?options[search_path]=a") && known("x://h/d?options%5Bsearch_path%5D=a"));
        for url in
            ["postgres://h/d?sslmod=verify-full", "x://h/d?sslmode=a&foo=1", "x://h/d?SSLMODE=a", "x://h/d?a"]
        {
            assert!(!known(url), "{url}");
        }
    }

    #[cfg(any(feature = "postgres", feature = "mysql"))]
    #[test]
    fn hosts_that_are_left_out() {
        for (url, whole) in [
            ("postgres://memc@/memc?host=/run", "postgres://memc@%2Frun%2Fx/memc?host=/run"),
            ("postgres://memc:a%40b@:7000/memc", "postgres://memc:a%40b@%2Frun%2Fx:7000/memc"),
            ("postgres://:7000", "postgres://%2Frun%2Fx:7000"),
            // What the parser takes as it is, or refuses for another reason.
            ("postgres:///memc?user=a@b", "postgres:///memc?user=a@b"),
            ("postgres://memc@db/memc", "postgres://memc@db/memc"),
            ("postgres://[::1]:7000/memc?password=@", "postgres://[::1]:7000/memc?password=@"),
            ("postgres:memc", "postgres:memc"),
        ] {
            assert_eq!(with_host(url, "/run/x"), whole);
        }
    }

    #[cfg(all(feature = "postgres", feature = "mysql"))]
    #[test]
    fn an_address_of_ipv6_is_looked_up_without_its_brackets() {
        use crate::server::Server;

        for (host, meant) in
            [("[::1]", "::1"), ("[fd00::5]", "fd00::5"), ("10.0.0.5", "10.0.0.5"), ("db", "db")]
        {
            let postgres = crate::postgres::server(&format!("postgres://memc@{host}:7000/memc")).unwrap();
            assert_eq!(postgres.host(), Some((meant, 7000)));
            let mysql = crate::mysql::server(&format!("mariadb://memc@{host}:7000/memc")).unwrap();
            assert_eq!(mysql.host(), Some((meant, 7000)));
        }
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn what_is_no_file_is_refused() {
        for url in [
            "sqlite:",
            "sqlite://",
            "sqlite:///var/lib/",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:///x.db?mode=ro",
            "sqlite:///x%2",
            "sqlite:///x%zz",
            "sqlite:///x%00",
        ] {
            assert!(sqlite_path(url).is_err(), "{url}");
        }
        let reason = sqlite_path("sqlite::memory:").unwrap_err().to_string();
        assert!(reason.contains("MemoryStore"), "{reason}");
    }
}
