//! What the API answers with.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::App;

/// A body with its status; from memory while the store is away, and then it says so in a header.
pub(super) struct Answer<T> {
    status: StatusCode,
    body: T,
    stale: bool,
}

impl<T> Answer<T> {
    pub(super) fn ok(body: T) -> Self {
        Answer { status: StatusCode::OK, body, stale: false }
    }

    pub(super) fn created(body: T) -> Self {
        Answer { status: StatusCode::CREATED, body, stale: false }
    }

    pub(super) fn accepted(body: T) -> Self {
        Answer { status: StatusCode::ACCEPTED, body, stale: false }
    }

    /// A body that was read after [`refresh`].
    pub(super) fn read(body: T, stale: Stale) -> Self {
        Answer { status: StatusCode::OK, body, stale: stale.0 }
    }
}

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        if self.stale {
            response.headers_mut().insert(memc_pillar_http::STALE, HeaderValue::from_static("true"));
        }
        response
    }
}

/// Whether memory may be behind the store.
#[derive(Clone, Copy)]
pub(super) struct Stale(bool);

/// Bring memory up to date before it is read.
pub(super) async fn refresh(app: &App) -> Stale {
    Stale(app.fleet.refresh_soon().await.is_err())
}
