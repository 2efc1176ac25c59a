//! The administration: what operators own.

mod audit;
mod clusters;
mod host_changes;
mod hosts;
mod teams;
mod users;

use axum::Router;
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::routing::{get, post};

use super::form::carry_out;
use crate::app::App;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/", get(|| async { Redirect::to("/admin/clusters") }))
        .route("/clusters", get(clusters::list))
        .route("/new-cluster", get(clusters::new_page).post(clusters::create))
        .route("/clusters/{name}", get(clusters::page).post(clusters::change))
        .route("/clusters/{name}/remove", get(clusters::remove_page).post(clusters::remove))
        .route("/hosts", get(hosts::list))
        .route("/new-host", get(hosts::new_page).post(hosts::add))
        .route("/hosts/{name}", get(hosts::page).post(hosts::change))
        .route("/hosts/{name}/cordon", post(host_changes::cordon))
        .route("/hosts/{name}/uncordon", post(host_changes::uncordon))
        .route("/hosts/{name}/lost", get(host_changes::lost_page).post(host_changes::lost))
        .route("/hosts/{name}/observed", get(host_changes::observed_page).post(host_changes::observed))
        .route("/hosts/{name}/remove", get(host_changes::remove_page).post(host_changes::remove))
        .route("/teams", get(teams::list).post(teams::create))
        .route("/teams/{name}", get(teams::page))
        .route("/teams/{name}/members", post(teams::add_member))
        .route("/teams/{name}/members/{user}/remove", post(teams::remove_member))
        .route("/teams/{name}/quotas", post(teams::set_quota))
        .route("/teams/{name}/remove", get(teams::remove_page).post(teams::remove))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{name}", get(users::page))
        .route("/users/{name}/password", post(users::reset_password))
        .route("/audit", get(audit::page))
        .route("/findings", get(audit::findings))
}

/// The status of a form that was not understood.
const INVALID: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
