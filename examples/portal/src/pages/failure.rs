//! What is answered in place of a page.

use std::fmt::Display;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use memc_core::fleet::SubmitError;

use super::page::{Page, Section, html};
use super::visit::Visit;
use crate::locale::{Text, text};

/// A page, or why there is none.
pub(super) type Answer = Result<Response, Failure>;

/// Why there is no page. Written by [`render`] once the visit is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing there, or nothing this person may know of.
    NotFound,
    /// For administrators.
    Forbidden,
    /// The form's token is not the session's.
    Expired,
    /// The request is no form of ours.
    Malformed,
    /// Sign in first.
    SignIn,
    /// The store or the accounts are away.
    Unavailable,
    /// A bug; the log says which.
    Internal,
}

impl Failure {
    /// Something that should not happen.
    pub(super) fn internal(error: &dyn Display) -> Failure {
        tracing::error!(%error, "a page could not be written");
        Failure::Internal
    }

    /// The accounts' database did not do it.
    pub(super) fn accounts(error: impl Display) -> Failure {
        tracing::warn!(%error, "the accounts' database did not answer");
        Failure::Unavailable
    }

    fn status(self) -> StatusCode {
        match self {
            Failure::NotFound => StatusCode::NOT_FOUND,
            Failure::Forbidden | Failure::Expired => StatusCode::FORBIDDEN,
            Failure::Malformed => StatusCode::BAD_REQUEST,
            Failure::SignIn => StatusCode::SEE_OTHER,
            Failure::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn words(self) -> (Text, Text) {
        match self {
            Failure::NotFound => (text("error-not-found"), text("error-not-found-todo")),
            Failure::Forbidden => (text("error-forbidden"), text("error-forbidden-todo")),
            Failure::Expired => (text("error-expired"), text("error-expired-todo")),
            Failure::Malformed => (text("error-malformed"), text("error-malformed-todo")),
            Failure::SignIn => (text("login-title"), text("login-title")),
            Failure::Unavailable => (text("error-unavailable"), text("error-unavailable-todo")),
            Failure::Internal => (text("error-internal"), text("error-internal-todo")),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    title: Text,
    todo: Text,
}

/// The page for a failure, in the visitor's language.
pub(super) fn render(visit: &Visit, failure: Failure) -> Response {
    if failure == Failure::SignIn {
        let to = super::session::login_path(&visit.here);
        return super::page::go(&to).unwrap_or_else(|failure| failure.status().into_response());
    }
    let (title, todo) = failure.words();
    let template = ErrorPage { page: Page::new(visit, Section::Outside), title, todo };
    html(failure.status(), &template).unwrap_or_else(|failure| failure.status().into_response())
}

/// The status that a page with this refusal is answered with.
pub(super) fn status_of(error: &SubmitError) -> StatusCode {
    match error {
        SubmitError::Refused(_) => StatusCode::CONFLICT,
        SubmitError::TooLong(_) => StatusCode::INSUFFICIENT_STORAGE,
        SubmitError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}
