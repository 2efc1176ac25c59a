//! What pages load: embedded, so that the program is one file.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

pub(super) async fn file(Path(name): Path<String>) -> Response {
    let (kind, body) = match name.as_str() {
        "portal.css" => ("text/css; charset=utf-8", include_str!("../../assets/portal.css")),
        "portal.js" => ("text/javascript; charset=utf-8", include_str!("../../assets/portal.js")),
        "icon.svg" => ("image/svg+xml", include_str!("../../assets/icon.svg")),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    // Short: a new version of the program may bring another file under the same name.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")], body).into_response()
}
