//! The JSON API under `/api/v1`: JSON in and out, problems as `application/problem+json`, personal bearer tokens.

mod answer;
mod audit;
mod caches;
mod caller;
mod clusters;
mod hosts;
mod input;
mod paging;
mod quotas;
mod teams;
mod view;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post, put};

use crate::app::App;
use crate::problem::Problem;

/// Everything under `/api/v1`.
pub fn router() -> Router<App> {
    Router::new()
        .route("/clusters", get(clusters::list).post(clusters::create))
        .route("/clusters/{cluster}", get(clusters::one).patch(clusters::change).delete(clusters::remove))
        .route("/clusters/{cluster}/quotas", get(quotas::list))
        .route("/clusters/{cluster}/quotas/{team}", get(quotas::one).put(quotas::set))
        .route("/hosts", get(hosts::list).post(hosts::create))
        .route("/hosts/{host}", get(hosts::one).patch(hosts::change).delete(hosts::remove))
        .route("/hosts/{host}/cordon", post(hosts::cordon))
        .route("/hosts/{host}/uncordon", post(hosts::uncordon))
        .route("/hosts/{host}/lost", post(hosts::lost))
        .route("/hosts/{host}/observed", post(hosts::observed))
        .route("/teams", get(teams::list).post(teams::create))
        .route("/teams/{team}", get(teams::one).delete(teams::remove))
        .route("/teams/{team}/members/{user}", put(teams::add_member).delete(teams::remove_member))
        .route("/caches", get(caches::list).post(caches::create))
        .route("/caches/preview", post(caches::preview))
        .route("/caches/{team}/{name}", get(caches::one).patch(caches::resize).delete(caches::release))
        .route("/caches/{team}/{name}/replace", post(caches::replace))
        .route("/caches/{team}/{name}/instances/{instance}/confirm-stopped", post(caches::confirm_stopped))
        .route("/audit", get(audit::list))
        .method_not_allowed_fallback(async |method: Method| {
            let detail = format!("{method} is not for this path: see the Allow header");
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .fallback(unknown_path)
}

/// The answer to what is below `/api/v1` and none of it.
pub async fn unknown_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path")
}
