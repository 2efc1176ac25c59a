//! Where the fleet and the accounts are kept.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::FalseyValueParser;
use memc_core::Store;
use memc_core::fleet::Options;
use memc_core::model::Timestamp;

use super::Failure;
use crate::accounts::Accounts;

pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// So many days before now, by this machine's clock.
pub(super) fn ago(days: u32) -> Timestamp {
    Timestamp::of_this_machine().before(DAY * days)
}

#[derive(Debug, Clone, Args)]
pub(super) struct Places {
    /// Where the fleet is kept: sqlite:///path/memc.db, postgres://user:password@host/database,
    /// mysql://user:password@host/database, redis://host:6379/0, or redis+cluster://host1:6379,host2:6379; rediss:// and
    /// rediss+cluster:// over TLS. Give a URL with a password by the environment variable: other users of the machine
    /// see arguments.
    #[arg(long, env = "MEMC_STORE", value_name = "URL", hide_env_values = true)]
    store: String,
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

impl Places {
    /// The accounts' URL, as given or beside the store.
    pub(super) fn accounts_url(&self) -> Result<String, Failure> {
        match (&self.accounts, self.store.strip_prefix("sqlite:")) {
            (Some(url), _) => Ok(url.clone()),
            (None, Some(_)) => {
                let stem = self.store.strip_suffix(".db").unwrap_or(&self.store);
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
        match crate::accounts::file_of(&url) {
            Some(path) if !path.exists() => Err(format!(
                "there is no accounts file {}: check --store and --accounts, or make it with `memc-portal user add`",
                path.display()
            )
            .into()),
            _ => self.create_accounts().await,
        }
    }

    /// The store that the URL names, of whatever kind it is.
    pub(super) async fn open_store(&self) -> Result<Arc<dyn Store>, Failure> {
        open(&self.store).await
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
        if !self.store_exists() {
            return Err(format!("there is no store {}", self.shown()).into());
        }
        self.keeps_history()?;
        Ok(memc_store_sql::forget_history(&self.store, ago(days)).await?)
    }

    /// The store's URL, for people: without a password.
    pub(super) fn shown(&self) -> String {
        without_password(&self.store)
    }

    /// The file that keeps the fleet, if one does.
    pub(super) fn store_file(&self) -> Option<PathBuf> {
        crate::accounts::file_of(&self.store)
    }

    /// Whether there is a store already. Asking must not create it.
    pub(super) fn store_exists(&self) -> bool {
        self.store_file().is_none_or(|path| path.exists())
    }
}

async fn open(url: &str) -> Result<Arc<dyn Store>, Failure> {
    Ok(if is_redis(url) {
        memc_store_redis::connect(url).await?
    } else {
        memc_store_sql::connect(url).await?
    })
}

fn is_redis(url: &str) -> bool {
    matches!(url.split(':').next(), Some("redis" | "rediss" | "redis+cluster" | "rediss+cluster"))
}

fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    // Whatever characters are in it: Redis takes a '/' in a password, and a wrong URL is shown as well.
    let (before, parameters) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    match before.rsplit_once('@') {
        Some((who, host)) if scheme != "sqlite" => {
            let user = who.split(':').next().unwrap_or_default();
            format!("{scheme}://{user}@{host}{parameters}")
        }
        _ => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_beside_the_store() {
        let beside = |store: &str| Places { store: store.into(), accounts: None }.accounts_url().ok();
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
            ("sqlite:///a/memc@2.db", "sqlite:///a/memc@2.db"),
            ("sqlite:fleet", "sqlite:fleet"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
