//! A portal in this process: the router as it is served, without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use memc_core::fleet::Options;
use memc_core::ledger::{Command, Order, Seen};
use memc_core::model::{CacheName, ObserverId, Principal, TeamName};
use memc_core::observe::{Observations, Observer};
use memc_core::{Fleet, Store};
use memc_pillar_http::{Access, Fetches};
use memc_portal::accounts::{Accounts, UserName};
use memc_portal::app::{App, Settings};
use memc_portal::serve::{PillarTokens, router};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Portal {
    pub(crate) app: App,
    /// The administrator's token.
    pub(crate) ada: String,
    router: Router,
    _directory: TempDir,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body as JSON; null where it is none.
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The status and the problem's code.
    pub(crate) fn problem(&self) -> (u16, &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        assert!(self.body["type"].is_string() && self.body["title"].is_string(), "{self:?}");
        assert!(!self.body["detail"].as_str().unwrap().is_empty(), "{self:?}");
        (self.status, self.body["code"].as_str().unwrap())
    }
}

/// A request to be sent.
pub(crate) struct Call<'a> {
    portal: &'a Portal,
    request: axum::http::request::Builder,
    body: Body,
}

impl Call<'_> {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub(crate) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.text("application/json", &body.to_string())
    }

    pub(crate) fn text(self, content_type: &str, body: &str) -> Self {
        let mut call = self.header("content-type", content_type);
        call.body = Body::from(body.to_owned());
        call
    }

    pub(crate) async fn send(self) -> Answer {
        let request = self.request.body(self.body).unwrap();
        let response = self.portal.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }
}

impl Portal {
    /// On a SQLite store of its own, with an administrator.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/memc.db", directory.path().display());
        let store = memc_store_sql::connect(&url).await.unwrap();
        Self::over(store, Options::default(), directory).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>, options: Options, directory: TempDir) -> Self {
        let accounts =
            Accounts::open(&format!("sqlite://{}/accounts.db", directory.path().display())).await.unwrap();
        let app = App {
            fleet: Fleet::open(store, options).await.unwrap(),
            accounts: accounts.clone(),
            settings: Arc::new(Settings::default()),
            pillar_log: Fetches::default(),
            observations: Observations::default(),
        };
        let router = router(app.clone(), Access::tokens(PillarTokens(accounts)));
        let mut portal = Portal { app, ada: String::new(), router, _directory: directory };
        portal.ada = portal.user("ada", true, &[]).await;
        portal
    }

    /// A new user's personal token.
    pub(crate) async fn user(&self, name: &str, admin: bool, teams: &[&str]) -> String {
        let name = UserName::new(name).unwrap();
        self.app.accounts.create_user(&name, PASSWORD, admin).await.unwrap();
        for team in teams {
            self.app.accounts.add_member(&TeamName::new(team).unwrap(), &name).await.unwrap();
        }
        self.app.accounts.create_user_token(&name, "test").await.unwrap().token
    }

    pub(crate) fn call(&self, method: &str, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "portal.test");
        Call { portal: self, request, body: Body::empty() }
    }

    /// A call to the API with a token.
    pub(crate) fn api(&self, token: &str, method: &str, path: &str) -> Call<'_> {
        self.call(method, &format!("/api/v1{path}")).header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.api(token, "GET", path).send().await
    }

    pub(crate) async fn send(&self, token: &str, method: &str, path: &str, body: Value) -> Answer {
        self.api(token, method, path).json(&body).send().await
    }

    /// By the administrator; has to succeed.
    pub(crate) async fn done(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.send(&self.ada, method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {answer:?}");
        answer.body
    }

    /// Cluster `web` of three hosts with 1 GiB, ten ports each; team `shop` with a quota of 1 GiB.
    pub(crate) async fn with_hosts(self) -> Self {
        self.done("POST", "/clusters", json!({"name": "web", "first_port": 11210, "last_port": 11219})).await;
        for number in 1..=3 {
            let body = json!({"name": format!("m{number}.example.com"), "cluster": "web", "memory_mib": 1024,
                              "address": format!("127.0.1.{number}"), "rack": format!("r{number}")});
            self.done("POST", "/hosts", body).await;
        }
        self.done("POST", "/teams", json!({"name": "shop"})).await;
        self.done("PUT", "/clusters/web/quotas/shop", json!({"memory_mib": 1024})).await;
        self
    }

    /// The same portal, showing what this observer sees.
    pub(crate) fn watched_by(mut self, observer: &Observer) -> Self {
        self.app.observations = observer.observations();
        self.router = router(self.app.clone(), Access::tokens(PillarTokens(self.app.accounts.clone())));
        self
    }

    /// Confirm that every instance of a cache runs as it should, as an observer does.
    pub(crate) async fn observe(&self, team: &str, name: &str) {
        let (team, name) = (TeamName::new(team).unwrap(), CacheName::new(name).unwrap());
        let seen: Vec<Command> = self.app.fleet.read(|state| {
            let cache = state.cache_named(&team, &name).unwrap().id;
            let instances = state.instances_of(cache);
            instances
                .map(|it| Command::Confirm {
                    instance: it.id,
                    revision: it.revision,
                    seen: Seen::Running { memory: it.memory, within: true, observer: ObserverId::of("test") },
                })
                .collect()
        });
        for command in seen {
            let actor = Principal::new("observer:test").unwrap();
            self.app.fleet.submit(Order { actor, request: None, command }).await.unwrap();
        }
    }
}

pub(crate) fn cache(name: &str, memory: u64, instances: u64) -> Value {
    json!({"team": "shop", "name": name, "cluster": "web", "memory_mib": memory, "instances": instances})
}
