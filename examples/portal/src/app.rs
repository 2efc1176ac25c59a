//! What every handler has at hand.

use std::net::IpAddr;
use std::sync::Arc;

use memc_core::Fleet;
use memc_core::observe::Observations;
use memc_pillar_http::Fetches;

use crate::accounts::Accounts;

/// The running portal. Clones are handles on the same one.
#[derive(Debug, Clone)]
pub struct App {
    /// The fleet.
    pub fleet: Fleet,
    /// Who may use it.
    pub accounts: Accounts,
    /// How the portal is run.
    pub settings: Arc<Settings>,
    /// When each host's pillar was last asked for.
    pub pillar_log: Fetches,
    /// What this process last saw of each instance; nothing where it does not observe.
    pub observations: Observations,
}

/// How the portal is run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where users reach the portal, without a slash at its end: `https://memc.example.com`.
    pub public_url: Option<String>,
    /// Proxies whose word about the client's address is taken.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Settings {
    /// Whether cookies are for encrypted connections only.
    #[must_use]
    pub fn secure_cookies(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }
}
