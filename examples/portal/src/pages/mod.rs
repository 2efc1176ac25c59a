//! The pages: written by the server, usable without scripts.
//!
//! Every form is sent with POST, carries the session's CSRF token and an id of its own, and is answered with a
//! redirect to a page that may be reloaded. What is refused comes back as the same form with the reason.

mod account;
mod admin;
mod assets;
mod cache;
mod caches;
mod change;
mod create;
mod explanation;
mod failure;
mod form;
mod history;
mod page;
mod refusal;
mod session;
mod visit;
mod why;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Redirect;
use axum::routing::{get, post};

use crate::app::App;
use failure::Failure;
use visit::Visit;

/// Every page and what pages load. Addresses that are nobody's get a page that says so.
pub fn router(app: &App) -> Router<App> {
    let pages = Router::new()
        .route("/", get(|| async { Redirect::to("/caches") }))
        .route("/login", get(session::login_page).post(session::login))
        .route("/logout", post(session::logout))
        .route("/language/{code}", get(session::choose_language))
        .route("/account", get(account::page))
        .route("/account/password", post(account::change_password))
        .route("/account/language", post(account::set_language))
        .route("/account/tokens", post(account::create_token))
        .route("/account/tokens/{id}/revoke", post(account::revoke_token))
        .route("/caches", get(caches::page).post(create::create))
        .route("/caches/new", get(create::page))
        .route("/caches/preview", get(create::preview))
        .route("/caches/{team}/{name}", get(cache::page))
        .route("/caches/{team}/{name}/resize", get(change::resize_page).post(change::resize))
        .route("/caches/{team}/{name}/release", get(change::release_page).post(change::release))
        .route("/caches/{team}/{name}/replace", get(change::replace_page).post(change::replace))
        .route(
            "/caches/{team}/{name}/instances/{index}/confirm-stopped",
            get(change::stopped_page).post(change::stopped),
        )
        .nest("/admin", admin::router())
        .fallback(|_: Visit| async { Failure::NotFound })
        .method_not_allowed_fallback(|| async { Failure::NotFound })
        .layer(from_fn_with_state(app.clone(), visit::enter));
    pages.route("/assets/{file}", get(assets::file))
}
