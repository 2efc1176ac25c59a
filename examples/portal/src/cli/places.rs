//! Where the fleet and the accounts are kept.

use clap::Args;

use super::Failure;
use crate::accounts::Accounts;

#[derive(Debug, Clone, Args)]
pub(super) struct Places {
    /// Where the fleet is kept: sqlite:///path/memc.db.
    #[arg(long, env = "MEMC_STORE", value_name = "URL")]
    pub(super) store: String,
    /// Where users and tokens are kept: sqlite:///path/accounts.db. Without it, beside the fleet: for memc.db that is
    /// memc.accounts.db.
    #[arg(long, env = "MEMC_ACCOUNTS", value_name = "URL")]
    accounts: Option<String>,
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

    /// Whether there is a store already. Asking must not create it.
    pub(super) fn store_exists(&self) -> bool {
        crate::accounts::file_of(&self.store).is_none_or(|path| path.exists())
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
}
