//! Where the fleet and the accounts are kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use memc_core::Store;
use memc_core::fleet::Options;
use memc_core::ledger::FORMAT;
use memc_core::model::{Revision, Timestamp};
use memc_core::store::Finding;
use memc_store_sql::{ConnectError, Inspection};

use super::Failure;
use crate::accounts::Accounts;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So many days before now, by this machine's clock.
pub(super) fn ago(days: u32) -> Timestamp {
    Timestamp::of_this_machine().before(DAY * days)
}

#[derive(Debug, Clone, Args)]
pub(super) struct FleetPlace {
    /// Where the fleet is kept: sqlite:///path/memc.db, postgres://user:password@host/database,
    /// mariadb://user:password@host/database, redis://host:6379/0, or redis+cluster://host1:6379,host2:6379; rediss:// and
    /// rediss+cluster:// over TLS. Give a URL with a password by the environment variable: other users of the machine
    /// see arguments. In it %40 stands for an @, %3A, %2F, %3F, %23 and %25 for : / ? # and %.
    #[arg(long, env = "MEMC_STORE", value_name = "URL", hide_env_values = true)]
    store: String,
}

#[derive(Debug, Clone, Args)]
pub(super) struct Places {
    #[command(flatten)]
    pub(super) fleet: FleetPlace,
    /// Where users and tokens are kept: sqlite:///path/accounts.db. Without it, beside the fleet: for memc.db that is
    /// memc.accounts.db.
    #[arg(long, env = "MEMC_ACCOUNTS", value_name = "URL")]
    accounts: Option<String>,
}

/// Of what writes to the store.
#[derive(Debug, Clone, Args)]
pub(super) struct Risk {
    /// Write although the store could lose what it acknowledges (see `doctor`).
    #[arg(long, env = "MEMC_ACCEPT_UNSAFE_STORE", value_parser = FalseyValueParser::new())]
    accept_unsafe_store: bool,
}

impl Risk {
    pub(super) fn accepted(&self) -> bool {
        self.accept_unsafe_store
    }

    /// How the fleet is opened with it.
    pub(super) fn options(&self) -> Options {
        Options { accept_risks: self.accepted(), ..Options::default() }
    }
}

/// What a server or a file is like.
pub(super) struct Inspected {
    pub(super) kind: &'static str,
    /// Its version, and its settings.
    pub(super) settings: String,
    /// Of a SQL store.
    pub(super) schema: Option<i64>,
    /// What stands against it where there is no store to ask; those of Redis come from the store in any case.
    pub(super) findings: Vec<Finding>,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error("there is no fleet in {0}: check --store; `memc-portal serve` makes one")]
    NoFleet(String),
    #[error(
        "{store} has {what} {found}: `memc-portal serve` would bring it to {known}. Make a backup before, there is no other \
         way back"
    )]
    Older { store: String, what: &'static str, found: i64, known: i64 },
    #[error("{0}")]
    Other(Failure),
}

impl Unusable {
    fn other(error: impl Into<Failure>) -> Self {
        Unusable::Other(error.into())
    }

    /// What `doctor` calls it.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Unusable::NoFleet(_) => "store.missing",
            Unusable::Older { .. } => "store.older",
            Unusable::Other(_) => "store.unusable",
        }
    }
}

impl Places {
    /// The accounts' URL, as given or beside the store.
    pub(super) fn accounts_url(&self) -> Result<String, Failure> {
        let store = &self.fleet.store;
        match (&self.accounts, store.strip_prefix("sqlite:")) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(_)) => {
                let stem = store.strip_suffix(".db").unwrap_or(store);
                Ok(format!("{stem}.accounts.db"))
            }
            (None, None) => Err("say where users are kept: --accounts sqlite:///path/accounts.db".into()),
        }
    }

    /// The accounts; a file that is not there is created.
    pub(super) async fn create_accounts(&self) -> Result<Accounts, Failure> {
        Ok(Accounts::open(&self.accounts_url()?).await?)
    }

    /// The accounts that are there.
    pub(super) async fn open_accounts(&self) -> Result<Accounts, Failure> {
        let url = self.accounts_url()?;
        if let Some(path) = crate::accounts::file_of(&url) {
            let exists = path.try_exists();
            let path = path.display();
            match exists {
                Ok(true) => {}
                Ok(false) => {
                    return Err(format!(
                        "there is no accounts file {path}: check --store and --accounts, or make it with \
                         `memc-portal user add`"
                    )
                    .into());
                }
                Err(error) => return Err(format!("the accounts file {path} cannot be read: {error}").into()),
            }
        }
        self.create_accounts().await
    }
}

impl FleetPlace {
    /// The store that the URL names, of whatever kind it is: made where there is none, and brought up to date.
    pub(super) async fn open_store(&self) -> Result<Arc<dyn Store>, Unusable> {
        if is_redis(&self.store) {
            return memc_store_redis::connect(&self.store).await.map_err(Unusable::other);
        }
        memc_store_sql::connect(&self.store).await.map_err(|error| self.unusable(error))
    }

    /// The store that is there, as it is: nothing is made, and nothing brought up to date.
    pub(super) async fn find_store(&self) -> Result<Arc<dyn Store>, Unusable> {
        if is_redis(&self.store) {
            return memc_store_redis::connect_existing(&self.store).await.map_err(Unusable::other);
        }
        let found = memc_store_sql::connect_existing(&self.store, memc_store_sql::Options::default()).await;
        found.map_err(|error| self.unusable(error))
    }

    /// As [`FleetPlace::find_store`], with a fleet in it.
    pub(super) async fn find_fleet(&self) -> Result<Arc<dyn Store>, Unusable> {
        let store = self.find_store().await?;
        match self.format(&*store).await? {
            // A schema says its format by its version.
            found if found < FORMAT => {
                let (found, known) = (found.into(), FORMAT.into());
                Err(Unusable::Older { store: self.shown(), what: "ledger format", found, known })
            }
            _ => Ok(store),
        }
    }

    /// The store with a fleet in it, to be set on a new epoch. It has to have that before it is served, so that an older one
    /// is brought up to date here.
    pub(super) async fn restore_fleet(&self) -> Result<Arc<dyn Store>, Unusable> {
        match self.find_fleet().await {
            Err(Unusable::Older { .. }) => {
                let store = self.open_store().await?;
                self.format(&*store).await?;
                Ok(store)
            }
            found => found,
        }
    }

    /// The format of the fleet's ledger.
    async fn format(&self, store: &dyn Store) -> Result<u32, Unusable> {
        let head = store.head().await.map_err(Unusable::other)?;
        match head.revision == Revision::default() {
            true => Err(Unusable::NoFleet(self.shown())),
            false => Ok(head.format),
        }
    }

    /// What the server or the file is like, whatever is in it.
    pub(super) async fn inspect(&self) -> Result<Inspected, Unusable> {
        if is_redis(&self.store) {
            let settings = memc_store_redis::settings(&self.store).await.map_err(Unusable::other)?;
            return Ok(Inspected { kind: "redis", settings, schema: None, findings: Vec::new() });
        }
        let inspected = memc_store_sql::inspect(&self.store, memc_store_sql::Options::default()).await;
        let Inspection { kind, settings, schema, findings, .. } =
            inspected.map_err(|error| self.unusable(error))?;
        Ok(Inspected { kind, settings, schema, findings })
    }

    fn unusable(&self, error: ConnectError) -> Unusable {
        match error {
            ConnectError::NoLedger => Unusable::NoFleet(self.shown()),
            ConnectError::OlderSchema { found, known } => {
                Unusable::Older { store: self.shown(), what: "schema version", found, known }
            }
            ConnectError::Scheme => Unusable::Other(
                "--store begins with none of sqlite:, postgres:, mariadb:, mysql:, redis:, rediss:, redis+cluster: and \
                 rediss+cluster:. Write sqlite:///path/to/memc.db, or as `memc-portal serve --help` shows"
                    .into(),
            ),
            error => Unusable::other(error),
        }
    }

    /// Whether old history is forgotten when somebody says so.
    pub(super) fn keeps_history(&self) -> Result<(), Failure> {
        match is_redis(&self.store) {
            true => Err("Redis keeps as many commits as ?history= in its URL says, by itself".into()),
            false => Ok(()),
        }
    }

    /// Delete what happened so many days ago from the history, and say how many commits that were.
    pub(super) async fn forget_history(&self, days: u32) -> Result<u64, Failure> {
        self.keeps_history()?;
        let forgotten = memc_store_sql::forget_history(&self.store, ago(days)).await;
        Ok(forgotten.map_err(|error| self.unusable(error))?)
    }

    /// The store's URL, for people: without a password.
    pub(super) fn shown(&self) -> String {
        without_password(&self.store)
    }

    /// The file that keeps the fleet, if one does.
    pub(super) fn store_file(&self) -> Option<PathBuf> {
        crate::accounts::file_of(&self.store)
    }
}

fn is_redis(url: &str) -> bool {
    matches!(url.split(':').next(), Some("redis" | "rediss" | "redis+cluster" | "rediss+cluster"))
}

/// The parameters of a URL that are no secret. Of all others, also of what only looks like one, no more is shown than that
/// they are there.
const SHOWN: [&str; 18] = [
    "prefix",
    "history",
    "host",
    "port",
    "dbname",
    "user",
    "application_name",
    "options",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "ssl-mode",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "socket",
    "cacert",
];

/// Whatever characters are in the password: Redis takes a '/' in it, somebody leaves a '?' as it is, and a wrong URL is
/// shown as well.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| *scheme != "sqlite") else {
        return url.to_owned();
    };
    let slashes = if rest.starts_with("//") { "//" } else { "" };
    let rest = &rest[slashes.len()..];
    let question = rest.find('?').unwrap_or(rest.len());
    let (who, place) = match rest[..question].rsplit_once('@') {
        Some((who, _)) => (who.split(':').next(), &rest[who.len() + 1..]),
        // Perhaps a password with a '?'.
        None => match rest.rsplit_once('@') {
            Some((_, place)) => (Some("…"), place),
            None => (None, rest),
        },
    };
    let (place, parameters) = place.split_once('?').map_or((place, None), |(place, all)| (place, Some(all)));
    let of = |parameter: &str| match parameter.split('=').next() {
        Some(name) if SHOWN.contains(&name) => parameter.to_owned(),
        _ => "…".to_owned(),
    };
    let parameters = parameters.map(|all| all.split('&').map(of).collect::<Vec<_>>().join("&"));
    let who = who.map(|who| format!("{who}@")).unwrap_or_default();
    let parameters = parameters.map(|all| format!("?{all}")).unwrap_or_default();
    format!("{scheme}:{slashes}{who}{place}{parameters}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_beside_the_store() {
        let beside = |store: &str| {
            let fleet = FleetPlace { store: store.into() };
            Places { fleet, accounts: None }.accounts_url().ok()
        };
        assert_eq!(beside("sqlite:///a/memc.db").as_deref(), Some("sqlite:///a/memc.accounts.db"));
        assert_eq!(beside("sqlite:fleet").as_deref(), Some("sqlite:fleet.accounts.db"));
        assert_eq!(beside("postgres://db/memc"), None);
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("postgres://memc:s3cret@db:5432/memc", "postgres://memc@db:5432/memc"),
            ("redis://:s3cret@db/0", "redis://@db/0"),
            ("redis://u:p@ss@db", "redis://u@db"),
            ("rediss://u:sec/ret@db:1/0?prefix=a@b", "rediss://u@db:1/0?prefix=a@b"),
            ("postgres://db/memc?user=memc&password=s3cret", "postgres://db/memc?user=memc&…"),
            ("postgres://db/memc?password=s3cret&user=a@b", "postgres://…@b"),
            (
                "mariadb://memc:p?w@db:3306/memc?ssl-mode=required",
                "mariadb://…@db:3306/memc?ssl-mode=required",
            ),
            ("redis://:a@b?c@db", "redis://@b?…"),
            ("postgres:memc:secret@db/memc", "postgres:memc@db/memc"),
            ("postgres:memc:sec?ret@db/memc", "postgres:…@db/memc"),
            ("sqlite:///a/memc@2.db", "sqlite:///a/memc@2.db"),
            ("fleet.db", "fleet.db"),
            ("sqlite:fleet", "sqlite:fleet"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
