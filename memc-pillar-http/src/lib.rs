#![doc = include_str!("../README.md")]

mod access;
mod fetches;
mod problem;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use memc_core::Fleet;
use memc_core::model::HostName;

pub use access::{Access, NotLoopback, Tokens, Verify, VerifyError, WeakToken};
pub use fetches::{Fetch, Fetches};
use problem::Problem;

/// The response header of an answer from memory while the store is away.
pub const STALE: &str = "memc-stale";

#[derive(Clone)]
struct Pillar {
    fleet: Fleet,
    access: Access,
    fetches: Fetches,
}

/// Routes `/pillar/{minion}` for this fleet; mount it under a prefix of your choice with
/// [`nest`](axum::Router::nest). `fetches` notes what was answered to whom.
pub fn router<S: Clone + Send + Sync + 'static>(fleet: Fleet, access: Access, fetches: Fetches) -> Router<S> {
    let method_not_allowed =
        || async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "use GET") };
    Router::new().route("/pillar/{minion}", get(pillar).fallback(method_not_allowed)).with_state(Pillar {
        fleet,
        access,
        fetches,
    })
}

async fn pillar(
    State(Pillar { fleet, access, fetches }): State<Pillar>,
    method: Method,
    minion: Result<Path<String>, axum::extract::rejection::PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    access.check(&headers).await?;
    let items_only = match query.as_deref() {
        None | Some("") => false,
        Some("only=items") => true,
        Some(_) => {
            let detail = "the only query understood is ?only=items";
            return Err(Problem::new(StatusCode::BAD_REQUEST, "malformed", detail));
        }
    };
    let unknown =
        || Problem::new(StatusCode::NOT_FOUND, "not_found", "no host of this fleet has this minion id");
    // What cannot be a name is the name of no host.
    let minion = HostName::new(&minion.map_err(|_| unknown())?).map_err(|_| unknown())?;
    let document = fleet.pillar(&minion).await.map_err(|error| {
        tracing::warn!(%minion, %error, "pillar asked for while the store is away");
        let detail = "the store is away and this host is not known here: ask again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
    })?;
    let document = document.ok_or_else(unknown)?;
    tracing::debug!(%minion, revision = %document.meta.revision, stale = document.meta.stale, "pillar");
    let stale = document.meta.stale;
    // Who asks for the head or the items alone learns of nothing that is to be stopped.
    if method == Method::GET && !items_only {
        fleet.note_served(&document);
    }
    if method == Method::GET {
        fetches.note(&minion, document.meta.revision);
    }
    let body = if items_only {
        serde_json::to_vec(&serde_json::json!({ "memc_items": document.items }))
    } else {
        serde_json::to_vec(&document)
    };
    let body = body.map_err(|error| {
        tracing::error!(%error, "a pillar document could not be written");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the document could not be written")
    })?;
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if stale {
        headers.insert(STALE, HeaderValue::from_static("true"));
    }
    Ok(response)
}
