//! `memc-portal serve`

use std::io::IsTerminal;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use memc_core::Fleet;
use memc_core::observe::{self, Observations, Observer};
use memc_pillar_http::{Access, Fetches};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use super::Failure;
use super::history::Days;
use super::places::{DAY, FleetPlace, Places, Risk};
use crate::app::{App, Settings};
use crate::serve::{self, PillarTokens};

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Where to listen. Port 0 takes a free one; the first line of output names it.
    #[arg(long, env = "MEMC_LISTEN", value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    places: Places,
    /// Where users reach the portal. With https:, cookies are for encrypted connections only.
    #[arg(long, env = "MEMC_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    public_url: Option<String>,
    /// A reverse proxy whose X-Forwarded-For is believed; may be given several times.
    #[arg(long, env = "MEMC_TRUSTED_PROXY", value_name = "IP", value_delimiter = ',')]
    trusted_proxy: Vec<IpAddr>,
    /// Who may read pillars: holders of a pillar token, or everyone who can connect (on loopback only).
    #[arg(long, env = "MEMC_PILLAR_AUTH", value_enum, default_value_t = PillarAuth::Token)]
    pillar_auth: PillarAuth,
    /// With --pillar-auth none: allow that on an address that others can reach.
    #[arg(long, env = "MEMC_PILLAR_OPEN", value_parser = FalseyValueParser::new())]
    pillar_open: bool,
    /// Do not ask instances for their state from here; another process has to.
    #[arg(long, env = "MEMC_NO_OBSERVE", value_parser = FalseyValueParser::new())]
    no_observe: bool,
    /// Which place observations are made from; the machine's name by default. Keep it over restarts.
    #[arg(long, env = "MEMC_OBSERVER_NAME", value_name = "NAME")]
    observer_name: Option<String>,
    #[command(flatten)]
    risk: Risk,
    /// Delete what happened more than so many days ago from the history, now and once a day; without it, all is kept.
    /// The newest 5,000 commits stay in any case. Redis keeps as many as ?history= in its URL says.
    #[arg(long, env = "MEMC_HISTORY_DAYS", value_name = "DAYS", value_parser = history_days)]
    history_days: Option<Days>,
    /// What to log, in the syntax of RUST_LOG, which is taken where this is not given; `info` by default.
    #[arg(long, env = "MEMC_LOG", value_name = "FILTER")]
    log: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PillarAuth {
    /// A token made with `token create --pillar`.
    Token,
    /// No token: whoever can connect.
    None,
}

fn history_days(text: &str) -> Result<Days, &'static str> {
    match text.parse()? {
        Days(0) => Err("at least 1 day is kept"),
        days => Ok(days),
    }
}

fn public_url(text: &str) -> Result<String, &'static str> {
    let url = text.trim_end_matches('/');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ']) => Ok(url.to_owned()),
        _ => Err("write it like https://memc.example.com, without a path"),
    }
}

impl Serve {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let filter = match (self.log.as_deref(), std::env::var("RUST_LOG").ok()) {
            (Some(filter), _) => filter.to_owned(),
            (None, Some(filter)) if !filter.is_empty() => filter,
            _ => "info,sqlx=warn".to_owned(),
        };
        let filter = EnvFilter::try_new(&filter).map_err(|error| format!("--log {filter:?}: {error}"))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();

        // First, so that a port in use is found out before anything is created.
        let listener = TcpListener::bind(self.listen)
            .await
            .map_err(|error| format!("cannot listen on {}: {error}", self.listen))?;
        let listen = listener.local_addr()?;
        let access_without_token = self.access_without_token(listen)?;
        if self.history_days.is_some() {
            self.places.fleet.keeps_history()?;
        }

        let accounts = self.places.create_accounts().await?;
        let store = self.places.fleet.open_store().await?;
        let fleet = Fleet::open(store, self.risk.options()).await?;
        for finding in fleet.status().findings {
            tracing::warn!(code = finding.code, "{}", finding.message);
        }
        if !accounts.users().await?.iter().any(|user| user.admin) {
            let hint = "memc-portal user add NAME --admin --password-stdin --store";
            tracing::warn!("nobody can log in as administrator yet: {hint} {}", self.places.fleet.shown());
        }

        let access = access_without_token.unwrap_or_else(|| Access::tokens(PillarTokens(accounts.clone())));
        let observer = self.observer(&fleet)?;
        let app = App {
            fleet,
            accounts: accounts.clone(),
            settings: Arc::new(Settings { public_url: self.public_url, trusted_proxies: self.trusted_proxy }),
            pillar_log: Fetches::default(),
            observations: observer.as_ref().map_or_else(Observations::default, Observer::observations),
        };
        let observing = observer.map(|observer| tokio::spawn(observer.run()));
        let forgetting =
            self.history_days.map(|Days(days)| tokio::spawn(forget(self.places.fleet.clone(), days)));

        say!("listening on http://{listen}");
        let served = serve::run(listener, serve::router(app, access)).await;
        if let Some(observing) = observing {
            observing.abort();
        }
        // It is done in steps, each durable by itself.
        if let Some(forgetting) = forgetting {
            forgetting.abort();
        }
        accounts.close().await;
        tracing::info!("stopped");
        Ok(served?)
    }

    fn access_without_token(&self, listen: SocketAddr) -> Result<Option<Access>, Failure> {
        match (self.pillar_auth, self.pillar_open) {
            (PillarAuth::Token, false) => Ok(None),
            (PillarAuth::Token, true) => Err("--pillar-open is for --pillar-auth none".into()),
            (PillarAuth::None, true) => Ok(Some(Access::open_to_everyone())),
            (PillarAuth::None, false) => {
                let open = Access::open_on_loopback(listen);
                Ok(Some(open.map_err(|error| format!("{error}, or add --pillar-open if you mean it"))?))
            }
        }
    }

    fn observer(&self, fleet: &Fleet) -> Result<Option<Observer>, Failure> {
        if self.no_observe {
            return Ok(None);
        }
        let name = match &self.observer_name {
            Some(name) => name.clone(),
            None => machine_name(),
        };
        Ok(Some(Observer::new(fleet.clone(), &name, observe::Options::default())?))
    }
}

/// Look for old history once a day. Of several processes, those that come later find none.
async fn forget(place: FleetPlace, days: u32) {
    let mut daily = tokio::time::interval(DAY);
    loop {
        daily.tick().await;
        match place.forget_history(days).await {
            Ok(commits) => tracing::info!(commits, days, "old history was forgotten"),
            Err(error) => {
                tracing::warn!(%error, "old history could not be forgotten; tomorrow it is tried again")
            }
        }
    }
}

/// What this machine calls itself.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(100).collect();
    if name.is_empty() { "portal".into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_history() {
        assert_eq!((history_days("7d"), history_days("7")), (Ok(Days(7)), Ok(Days(7))));
        for bad in ["0", "0d", "", "1w"] {
            assert!(history_days(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn public_urls() {
        assert_eq!(public_url("https://memc.example.com/").as_deref(), Ok("https://memc.example.com"));
        assert_eq!(public_url("http://127.0.0.1:8080").as_deref(), Ok("http://127.0.0.1:8080"));
        for bad in ["memc.example.com", "https://", "ftp://x", "https://x/portal", "https://a b"] {
            assert!(public_url(bad).is_err(), "{bad}");
        }
    }
}
