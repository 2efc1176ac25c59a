//! The server: everything under one router, with what every answer needs.

mod guard;

use std::future::{Future, IntoFuture};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::serve::ListenerExt;
use memc_pillar_http::{Access, Verify, VerifyError};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::accounts::Accounts;
use crate::app::App;
use crate::problem::Problem;
use crate::{api, pages};

/// The longest request body: 64 KiB.
const LONGEST_BODY: usize = 64 * 1024;
/// How long requests in progress may take once the server is to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Pages, API, pillar and health under one router.
pub fn router(app: App, pillar: Access) -> Router {
    let salt = memc_pillar_http::router(app.fleet.clone(), pillar, app.pillar_log.clone());
    Router::new()
        .merge(pages::router(&app))
        .nest("/api/v1", api::router())
        // A nested router is not asked about its prefix with a slash at the end.
        .route("/api/v1/", any(api::unknown_path))
        .nest("/salt", salt)
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .layer(from_fn(guard::limit_time))
        .layer(from_fn_with_state(app.clone(), guard::refuse_other_sites))
        .layer(from_fn_with_state(app.clone(), guard::add_headers))
        .layer(from_fn(guard::log))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(app)
}

/// Whether requests can be answered: the store and the accounts are there.
async fn ready(State(app): State<App>) -> Response {
    if let Err(error) = app.fleet.refresh().await {
        tracing::warn!(%error, "not ready");
        return Problem::unavailable("the store does not answer").into_response();
    }
    match app.accounts.ping().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => Problem::from(error).into_response(),
    }
}

/// Checks pillar tokens against the accounts.
#[derive(Debug, Clone)]
pub struct PillarTokens(pub Accounts);

impl Verify for PillarTokens {
    fn verify<'a>(
        &'a self,
        token: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<bool, VerifyError>> + Send + 'a>> {
        Box::pin(
            async move { self.0.is_pillar_token(token).await.map_err(|error| VerifyError(error.into())) },
        )
    }
}

/// Serve until SIGTERM or SIGINT; requests in progress are then given 10 seconds.
///
/// # Errors
/// Signals cannot be listened for.
pub async fn run(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let stopped = |mut stopping: tokio::sync::watch::Receiver<bool>| async move {
        // An error means that nobody can say stop any more: then it is time, too.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    // Answers are small: waiting to fill a packet only delays them.
    let listener = listener.tap_io(|connection| {
        let _ = connection.set_nodelay(true);
    });
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving =
        axum::serve(listener, service).with_graceful_shutdown(stopped(stopping.clone())).into_future();
    let out_of_patience = async {
        stopped(stopping).await;
        tokio::time::sleep(GRACE).await;
    };
    let told = async {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        let _ = stop.send(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        served = serving => served,
        () = out_of_patience => Ok(()),
        () = told => Ok(()),
    }
}
