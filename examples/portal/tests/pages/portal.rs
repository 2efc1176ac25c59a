//! A portal in this process, and browsers that ask it.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use memc_core::fleet::{Fleet, Options};
use memc_core::ledger::{ClusterSpec, Command, HostSpec, Order};
use memc_core::model::{Mib, Policy, Port, PortRange, Principal};
use memc_core::observe::Observations;
use memc_core::store::{MemoryStore, Store};
use memc_pillar_http::{Access, Fetches};
use memc_portal::accounts::{Accounts, UserName};
use memc_portal::app::{App, Settings};
use memc_portal::serve;
use tower::ServiceExt;

pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Portal {
    pub(crate) router: Router,
    pub(crate) fleet: Fleet,
    pub(crate) accounts: Accounts,
    _folder: tempfile::TempDir,
}

/// What came back.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) location: String,
    pub(crate) cookies: Vec<String>,
    pub(crate) body: String,
}

impl Portal {
    /// Ada administers, lin is in the team `shop`, eve in none.
    pub(crate) async fn new() -> Portal {
        Portal::on(Arc::new(MemoryStore::new())).await
    }

    /// The same on a store of the test's.
    pub(crate) async fn on(store: Arc<dyn Store>) -> Portal {
        Portal::with(store, Options::default()).await
    }

    pub(crate) async fn with(store: Arc<dyn Store>, options: Options) -> Portal {
        let folder = tempfile::tempdir().unwrap();
        let fleet = Fleet::open(store, options).await.unwrap();
        let accounts = Accounts::open(&format!("sqlite://{}", folder.path().join("accounts.db").display()))
            .await
            .unwrap();
        for (name, admin) in [("ada", true), ("lin", false), ("eve", false)] {
            accounts.create_user(&UserName::new(name).unwrap(), PASSWORD, admin).await.unwrap();
        }
        accounts.add_member(&"shop".parse().unwrap(), &"lin".parse().unwrap()).await.unwrap();
        let app = App {
            fleet: fleet.clone(),
            accounts: accounts.clone(),
            settings: Arc::new(Settings::default()),
            pillar_log: Fetches::default(),
            observations: Observations::default(),
        };
        let router = serve::router(app, Access::open_to_everyone());
        let portal = Portal { router, fleet, accounts, _folder: folder };
        portal.fill().await;
        portal
    }

    pub(crate) async fn submit(&self, command: Command) {
        let order = Order { actor: Principal::new("user:ada").unwrap(), request: None, command };
        self.fleet.submit(order).await.unwrap();
    }

    pub(crate) async fn fill(&self) {
        let ports = PortRange { first: Port::new(11210).unwrap(), last: Port::new(11299).unwrap() };
        let spec = ClusterSpec { ports, policy: Policy::default() };
        self.submit(Command::CreateCluster { name: "web".parse().unwrap(), spec }).await;
        for number in 1..=2_u8 {
            let spec = HostSpec {
                cluster: "web".parse().unwrap(),
                address: [127, 0, 0, number].into(),
                memory: Mib::new(2048).unwrap(),
                rack: None,
                blocked_ports: [].into(),
            };
            self.submit(Command::AddHost { name: format!("m{number}").parse().unwrap(), spec }).await;
        }
        self.submit(Command::CreateTeam { name: "shop".parse().unwrap() }).await;
        let (cluster, team) = ("web".parse().unwrap(), "shop".parse().unwrap());
        self.submit(Command::SetQuota { cluster, team, memory: Mib::new(1024).unwrap() }).await;
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Page {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text =
            |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let cookies =
            headers.get_all(header::SET_COOKIE).iter().map(|value| value.to_str().unwrap().to_owned());
        let (location, cookies) = (text(header::LOCATION), cookies.collect());
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Page { status, location, cookies, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) async fn login(&self, name: &str) -> Browser<'_> {
        let mut browser = Browser { portal: self, cookie: String::new(), language: "en" };
        let page = browser.send("/login", &[("name", name), ("password", PASSWORD)]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.body);
        browser.cookie = page.cookies[0].split(';').next().unwrap().to_owned();
        browser
    }
}

pub(crate) struct Browser<'a> {
    pub(crate) portal: &'a Portal,
    pub(crate) cookie: String,
    pub(crate) language: &'static str,
}

impl Browser<'_> {
    pub(crate) async fn get(&self, path: &str) -> Page {
        let request =
            Request::get(path).header("cookie", &self.cookie).header("accept-language", self.language);
        self.portal.ask(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let request = Request::post(path)
            .header("cookie", &self.cookie)
            .header("accept-language", self.language)
            .header("content-type", "application/x-www-form-urlencoded");
        self.portal.ask(request.body(Body::from(pairs.join("&"))).unwrap()).await
    }

    /// Fill in the form of a page that leads to `action`, as a browser would: with its hidden fields.
    pub(crate) async fn fill_in(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let page = self.get(page).await;
        let hidden = hidden(&page.body, action);
        let all: Vec<(&str, &str)> = hidden
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .chain(fields.iter().copied())
            .collect();
        self.send(action, &all).await
    }
}

pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The hidden fields of the form with this action.
pub(crate) fn hidden(body: &str, action: &str) -> Vec<(String, String)> {
    let start = body
        .find(&format!("method=\"post\" action=\"{action}\""))
        .unwrap_or_else(|| panic!("no form {action} in {body}"));
    let form = &body[start..start + body[start..].find("</form>").unwrap()];
    let value = |tag: &str, name: &str| {
        let rest = &tag[tag.find(&format!("{name}=\""))? + name.len() + 2..];
        Some(rest[..rest.find('"')?].to_owned())
    };
    let tags = form.split("<input type=\"hidden\"").skip(1).map(|tag| &tag[..tag.find('>').unwrap()]);
    tags.filter_map(|tag| Some((value(tag, "name")?, value(tag, "value")?))).collect()
}

pub(crate) const ADMINISTRATION: [&str; 15] = [
    "/admin/clusters",
    "/admin/new-cluster",
    "/admin/clusters/web",
    "/admin/clusters/web/remove",
    "/admin/hosts",
    "/admin/new-host",
    "/admin/hosts/m1",
    "/admin/hosts/m1/lost",
    "/admin/hosts/m1/remove",
    "/admin/teams",
    "/admin/teams/shop",
    "/admin/teams/shop/remove",
    "/admin/users",
    "/admin/users/lin",
    "/admin/audit",
];

pub(crate) const PREVIEW: &str =
    "/caches/preview?team=shop&cluster=web&name=sessions&memory_mib=64&instances=2";
