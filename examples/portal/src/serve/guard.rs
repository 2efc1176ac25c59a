//! What every request passes: a log line, headers for browsers, a time limit, and no forms from other sites.

use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::app::{App, Settings};
use crate::problem::Problem;

/// Longer than a store waits for its lock, so that its own answer comes first.
const LONGEST: Duration = Duration::from_secs(40);

const HEADERS: [(HeaderName, HeaderValue); 4] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
];

pub(super) async fn add_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.extend(HEADERS);
    if app.settings.secure_cookies() {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    // What is somebody's own is kept by no cache; what may be says so itself.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

pub(super) async fn log(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = Instant::now();
    let response = next.run(request).await;
    let (status, ms) = (response.status().as_u16(), began.elapsed().as_millis());
    // Masters and probes ask all day long.
    if path.starts_with("/salt/") || path == "/healthz" || path == "/readyz" {
        tracing::debug!(%method, path, status, ms, "answered");
    } else {
        tracing::info!(%method, path, status, ms, "answered");
    }
    response
}

pub(super) async fn limit_time(request: Request, next: Next) -> Response {
    let reads = is_safe(request.method());
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) if reads => Problem::unavailable("this took too long: try again").into_response(),
        Err(_) => {
            let detail = "this took too long, and whether it was carried out is not known: ask again with the same request id";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown", detail).into_response()
        }
    }
}

fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Browsers say where a form comes from. The forms' own tokens are the defence; this one also covers the login, which
/// has no session yet. The API is left out: it knows no cookies, only tokens that a site would have to know.
pub(super) async fn refuse_other_sites(State(app): State<App>, request: Request, next: Next) -> Response {
    let with_token = request.uri().path().starts_with("/api/") || request.uri().path().starts_with("/salt/");
    if with_token || is_safe(request.method()) || is_same_site(request.headers(), &app.settings) {
        return next.run(request).await;
    }
    (StatusCode::FORBIDDEN, "this form was sent from another site: open the portal and try again there\n")
        .into_response()
}

fn is_same_site(headers: &HeaderMap, settings: &Settings) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin" || site == "none",
        (None, Some(origin)) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            settings.public_url.as_deref() == Some(origin) || (host.is_some() && host == text("host"))
        }
        // No browser.
        (None, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_come_from_here() {
        let settings =
            Settings { public_url: Some("https://memc.example.com".into()), ..Settings::default() };
        let same = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
            is_same_site(&headers.collect(), &settings)
        };
        assert!(same(&[("host", "10.0.0.1:8080")]));
        assert!(same(&[("host", "10.0.0.1:8080"), ("origin", "http://10.0.0.1:8080")]));
        assert!(same(&[("host", "inside:8080"), ("origin", "https://memc.example.com")]));
        assert!(same(&[("sec-fetch-site", "same-origin"), ("origin", "https://memc.example.com")]));
        assert!(!same(&[("host", "10.0.0.1:8080"), ("origin", "http://evil.example")]));
        assert!(!same(&[("host", "10.0.0.1:8080"), ("origin", "null")]));
        assert!(!same(&[("sec-fetch-site", "cross-site"), ("origin", "https://memc.example.com")]));
        assert!(!same(&[("sec-fetch-site", "same-site")]));
    }
}
