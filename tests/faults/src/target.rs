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
}

/// These settings beside what a campaign needs: PostgreSQL on a small disk, and quick to flush all it has before it recovers;
/// MariaDB with writes that are seen.
pub(crate) fn settings<'a>(kind: Kind, settings: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own: &[_] = match kind {
        Kind::Postgres => &[("max_wal_size", "128MB"), ("recovery_init_sync_method", "syncfs")],
        Kind::Mariadb => &[("innodb_use_native_aio", "0")],
        _ => &[],
    };
    [own, settings].concat()
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
