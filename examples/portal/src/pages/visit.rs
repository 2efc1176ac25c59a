//! Who is looking, in which language, and what they may see.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request, State};
use axum::http::header::{self, HeaderMap};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use memc_core::model::{CacheName, Principal, TeamName};
use serde::de::DeserializeOwned;
use std::time::Duration;

use super::failure::{Failure, render};
use super::form::Fields;
use crate::accounts::{Session, User};
use crate::app::App;
use crate::auth;
use crate::locale::{Language, Translator};

/// The cookie that keeps the language somebody chose before they signed in.
pub(super) const LANGUAGE_COOKIE: &str = "memc_language";

/// How long a page waits for the store before it shows what memory has.
const PATIENCE: Duration = Duration::from_secs(1);

/// One request for a page.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) app: App,
    pub(super) session: Option<Session>,
    pub(super) t: Translator,
    /// Path and query, to come back to.
    pub(super) here: String,
    /// The `done` of the query.
    pub(super) done: Option<String>,
}

/// Work out who is looking, let the page be made, and write a page for what failed.
pub(super) async fn enter(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let session = match auth::session_token(request.headers(), &app.settings) {
        Some(token) => app.accounts.session(&token).await.map_err(Failure::accounts),
        None => Ok(None),
    };
    let failure = session.as_ref().err().copied();
    let session = session.unwrap_or_default();
    let uri = request.uri();
    let visit = Visit {
        t: Translator { language: language(request.headers(), session.as_ref()) },
        here: here(&request),
        done: uri
            .query()
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("done=")))
            .map(Into::into),
        app,
        session,
    };
    if let Some(failure) = failure {
        return render(&visit, failure);
    }
    // What another process has just acknowledged is to be seen here. If the store is away the page says so.
    let _ = tokio::time::timeout(PATIENCE, visit.app.fleet.refresh()).await;
    request.extensions_mut().insert(visit.clone());
    let response = next.run(request).await;
    match response.extensions().get::<Failure>() {
        Some(failure) => render(&visit, *failure),
        None => response,
    }
}

/// The page that somebody is on: for a form, the one that it was sent from.
fn here(request: &Request) -> String {
    if request.method().is_safe() {
        return request.uri().path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    }
    let referrer = request.headers().get(header::REFERER).and_then(|value| value.to_str().ok());
    let path = referrer
        .and_then(|page| page.split_once("://")?.1.split_once('/'))
        .map(|(_, path)| format!("/{path}"));
    path.unwrap_or_else(|| "/".to_owned())
}

fn language(headers: &HeaderMap, session: Option<&Session>) -> Language {
    let chosen = session.and_then(|session| session.user.language.as_deref()).and_then(Language::of_code);
    let cookie = || {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs =
            cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == LANGUAGE_COOKIE).and_then(|(_, code)| Language::of_code(code))
    };
    let accepted = || {
        let header = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Language::accepted(header.unwrap_or_default())
    };
    chosen.or_else(cookie).unwrap_or_else(accepted)
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        parts
            .extensions
            .get::<Visit>()
            .cloned()
            .ok_or_else(|| Failure::internal(&"a page outside its router"))
    }
}

/// Somebody who has signed in.
#[derive(Clone)]
pub(super) struct Member {
    pub(super) visit: Visit,
    pub(super) session: Session,
}

impl Member {
    pub(super) fn user(&self) -> &User {
        &self.session.user
    }

    pub(super) fn principal(&self) -> Principal {
        self.user().name.principal()
    }

    /// Whether they may see and change what this team has.
    pub(super) fn may_use(&self, team: &TeamName) -> bool {
        auth::may_use_team(self.user(), team)
    }

    /// They may act for the team. Others are told that there is nothing.
    pub(super) fn check_team(&self, team: &TeamName) -> Result<(), Failure> {
        if self.may_use(team) { Ok(()) } else { Err(Failure::NotFound) }
    }

    /// The cache is there and they may see it. Others' caches are answered like ones that do not exist.
    pub(super) fn check_cache(&self, team: &TeamName, name: &CacheName) -> Result<(), Failure> {
        let there = self.visit.app.fleet.read(|state| state.cache_named(team, name).is_some());
        if there && self.may_use(team) { Ok(()) } else { Err(Failure::NotFound) }
    }
}

impl<S: Sync> FromRequestParts<S> for Member {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let visit = Visit::from_request_parts(parts, state).await?;
        let session = visit.session.clone().ok_or(Failure::SignIn)?;
        Ok(Member { visit, session })
    }
}

/// An administrator.
#[derive(Clone)]
pub(super) struct Admin(pub(super) Member);

impl<S: Sync> FromRequestParts<S> for Admin {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let member = Member::from_request_parts(parts, state).await?;
        if member.user().admin { Ok(Admin(member)) } else { Err(Failure::Forbidden) }
    }
}

/// Names in the address. What cannot be a name is the name of nothing.
pub(super) struct At<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, state).await;
        path.map(|Path(names)| At(names)).map_err(|_| Failure::NotFound)
    }
}

/// What the query says; one that cannot be read says nothing.
pub(super) struct Asked(pub(super) Fields);

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        Ok(Asked(pairs.map(|Query(pairs)| pairs.into()).unwrap_or_default()))
    }
}

/// A form that somebody signed in has sent, with its token checked.
pub(super) struct Sent(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let session = request.extensions().get::<Visit>().and_then(|visit| visit.session.clone());
        let session = session.ok_or(Failure::SignIn)?;
        let fields = Fields::read(request, state).await?;
        if auth::csrf_matches(&session, fields.get("csrf")) {
            Ok(Sent(fields))
        } else {
            Err(Failure::Expired)
        }
    }
}

/// A form that anyone can send, with no session to check it against: the server's guard has refused other sites'.
pub(super) struct SentByAnyone(pub(super) Fields);

impl<S: Send + Sync> FromRequest<S> for SentByAnyone {
    type Rejection = Failure;
    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        Ok(SentByAnyone(Fields::read(request, state).await?))
    }
}
