//! Who is asking, and what they may do.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use memc_core::model::TeamName;
use subtle::ConstantTimeEq;

use crate::accounts::{Session, User};
use crate::app::{App, Settings};
use crate::problem::Problem;

/// Whether a user may act for a team: its members and administrators do. Others are told that there is no such team.
#[must_use]
pub fn may_use_team(user: &User, team: &TeamName) -> bool {
    user.admin || user.teams.contains(team)
}

/// Only administrators go on.
///
/// # Errors
/// A 403 for everyone else.
pub fn require_admin(user: &User) -> Result<(), Problem> {
    if user.admin { Ok(()) } else { Err(Problem::forbidden("this is for administrators: ask one of them")) }
}

/// Whether a form carries the CSRF token of its session.
#[must_use]
pub fn csrf_matches(session: &Session, given: &str) -> bool {
    session.csrf.as_bytes().ct_eq(given.as_bytes()).into()
}

/// For the API: the user of the personal token that came as `Authorization: Bearer …`.
#[derive(Debug, Clone)]
pub struct ApiUser(pub User);

impl FromRequestParts<App> for ApiUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = match value.and_then(|value| value.split_once(' ')) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
            _ => return Err(Problem::unauthorized()),
        };
        app.accounts.user_of_token(token).await?.map(ApiUser).ok_or_else(Problem::unauthorized)
    }
}

/// The client's address: the connection's, or what a trusted proxy says it is.
#[derive(Debug, Clone, Copy)]
pub struct ClientAddr(pub IpAddr);

impl FromRequestParts<App> for ClientAddr {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        let peer = peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let trusted = |address: &IpAddr| app.settings.trusted_proxies.contains(address);
        if !trusted(&peer) {
            return Ok(ClientAddr(peer));
        }
        // Each proxy appends whom it heard from: the last that is no proxy of ours is the client.
        let forwarded =
            parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let addresses: Vec<IpAddr> = forwarded
            .flat_map(|value| value.split(','))
            .filter_map(|text| text.trim().parse().ok())
            .collect();
        Ok(ClientAddr(addresses.into_iter().rev().find(|address| !trusted(address)).unwrap_or(peer)))
    }
}

// A name with this prefix is only accepted by browsers from this very host over an encrypted connection.
const SECURE_COOKIE: &str = "__Host-memc_session";
const PLAIN_COOKIE: &str = "memc_session";

fn cookie_name(settings: &Settings) -> &'static str {
    if settings.secure_cookies() { SECURE_COOKIE } else { PLAIN_COOKIE }
}

/// The token in the cookie of a session.
pub(crate) fn session_token(headers: &HeaderMap, settings: &Settings) -> Option<String> {
    let name = cookie_name(settings);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, token)| token.to_owned())
}

/// The `Set-Cookie` that begins a session in a browser.
#[must_use]
pub fn session_cookie(settings: &Settings, token: &str) -> HeaderValue {
    set_cookie(settings, token, "")
}

/// The `Set-Cookie` that ends it.
#[must_use]
pub fn ended_cookie(settings: &Settings) -> HeaderValue {
    set_cookie(settings, "", "; Max-Age=0")
}

fn set_cookie(settings: &Settings, token: &str, age: &str) -> HeaderValue {
    let secure = if settings.secure_cookies() { "; Secure" } else { "" };
    let name = cookie_name(settings);
    // Tokens are hexadecimal, so this is a valid header.
    HeaderValue::from_str(&format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{secure}{age}"))
        .unwrap_or_else(|_| unreachable!())
}
