//! Errors of the API as `application/problem+json` (RFC 9457), with a stable `code`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use memc_core::fleet::SubmitError;
use memc_core::ledger::Refusal;
use serde_json::{Value, json};

use crate::accounts::AccountsError;

/// What went wrong: a status, a stable word for programs, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// For programs; never changes its meaning.
    pub code: &'static str,
    /// For people.
    pub detail: String,
    /// The largest memory of each instance that would be carried out now, MiB, where that is known.
    pub largest_fit_mib: Option<u64>,
    /// What is in the way and what would do instead, as far as the caller may know.
    pub why: Option<Value>,
}

impl Problem {
    /// A problem without a known fit.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem { status, code, detail: detail.into(), largest_fit_mib: None, why: None }
    }

    /// 400: the request cannot be read.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 401.
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "send a valid personal token: Authorization: Bearer TOKEN";
        Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: it is not there, or not for this user to see.
    pub fn not_found(what: impl std::fmt::Display) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is no {what}"))
    }

    /// 422: it can be read, and a value is outside its range.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", detail)
    }

    /// 503: nothing was changed; later it may work.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match &refusal {
            Refusal::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Refusal::OutOfRange { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_value"),
            Refusal::RequestIdReused => (StatusCode::UNPROCESSABLE_ENTITY, "request_id_reused"),
            other => (StatusCode::CONFLICT, other.code()),
        };
        Problem {
            largest_fit_mib: refusal.why().map(|why| why.largest.map_or(0, |fit| fit.get())),
            ..Problem::new(status, code, refusal.to_string())
        }
    }
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Self {
        let unavailable = |code| Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error.to_string());
        match &error {
            SubmitError::Refused(refusal) => (**refusal).clone().into(),
            SubmitError::OutcomeUnknown => unavailable("outcome_unknown"),
            SubmitError::Busy => unavailable("busy"),
            SubmitError::TooLong(_) => {
                Problem::new(StatusCode::INSUFFICIENT_STORAGE, "too_long_for_store", error.to_string())
            }
            SubmitError::Internal => {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", error.to_string())
            }
            SubmitError::Unavailable(why) => {
                tracing::warn!(why, "a command met a store that is away");
                Problem::unavailable("nothing was changed, the store is away: try again")
            }
            _ => unavailable("store_unavailable"),
        }
    }
}

impl From<AccountsError> for Problem {
    fn from(error: AccountsError) -> Self {
        match error {
            AccountsError::NoSuchUser(name) => Problem::not_found(format_args!("user {name}")),
            error => {
                tracing::error!(%error, "the accounts could not be asked");
                Problem::unavailable("the accounts database did not answer: try again")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Some(fit) = self.largest_fit_mib {
            body["largest_fit_mib"] = fit.into();
        }
        if let Some(why) = self.why {
            body["why"] = why;
        }
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}
