//! What a campaign is run against: a private server, or a file.

use std::path::Path;

use clap::ValueEnum;
use memc_test_servers::{MariaDb, Postgres, Redis, Server};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
    Redis,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Sqlite => "sqlite",
            Kind::Postgres => "postgres",
            Kind::Mariadb => "mariadb",
            Kind::Redis => "redis",
        }
    }

    /// Whether others read a commit before it is on disk: InnoDB lets them as soon as it is in memory.
    pub(crate) fn shows_early(self) -> bool {
        self == Kind::Mariadb
    }

    /// A setting with which the server could lose what it acknowledges, in a power cut.
    pub(crate) fn unsafe_settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Sqlite => &[],
            Kind::Postgres => &[("fsync", "off")],
            Kind::Mariadb => &[("innodb_flush_log_at_trx_commit", "2")],
            Kind::Redis => &[("appendfsync", "everysec")],
        }
    }

    /// A setting with which the server loses what it acknowledged already when it is killed. The other two pass
    /// everything on to the kernel before they acknowledge, whatever is set.
    pub(crate) fn lossy_settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Mariadb => &[("innodb_flush_log_at_trx_commit", "0")],
            other => other.unsafe_settings(),
        }
    }
}

/// These settings beside what a server needs on a small disk.
pub(crate) fn settings(
    kind: Kind,
    settings: &[(&'static str, &'static str)],
) -> Vec<(&'static str, &'static str)> {
    let small: &[_] = if kind == Kind::Postgres { &[("max_wal_size", "128MB")] } else { &[] };
    [small, settings].concat()
}

/// A server that was started for this campaign; `None` for SQLite.
pub(crate) fn start(kind: Kind, settings: &[(&str, &str)]) -> Option<Server> {
    match kind {
        Kind::Sqlite => None,
        Kind::Postgres => Some(Postgres::start(settings)),
        Kind::Mariadb => Some(MariaDb::start(settings)),
        Kind::Redis => Some(Redis::start(settings)),
    }
}

/// Where the store is, with this port in place of the server's own.
pub(crate) fn url(kind: Kind, server: Option<&Server>, port: Option<u16>, database: &Path) -> String {
    let Some(server) = server else {
        return format!("sqlite://{}", database.display());
    };
    let own = format!(":{}", server.port());
    let url = server.url().replace(&own, &format!(":{}", port.unwrap_or_else(|| server.port())));
    // The whole history is kept, so that it can be checked.
    if kind == Kind::Redis { format!("{url}?history=1000000000") } else { url }
}
