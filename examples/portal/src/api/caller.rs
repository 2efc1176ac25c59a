//! Who calls the API, and under which request id.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use memc_core::fleet::SubmitError;
use memc_core::ledger::{Command, Decision, Order, Receipt, Refusal};
use memc_core::model::{RequestId, TeamName};

use super::view::WhyView;
use crate::accounts::{Asked, User};
use crate::app::App;
use crate::auth::{ApiUser, may_use_team, require_admin};
use crate::problem::Problem;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The user whose token came with the request, and the request's `Idempotency-Key`.
pub(super) struct Caller {
    pub(super) user: User,
    request: Option<RequestId>,
}

impl FromRequestParts<App> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let ApiUser(user) = ApiUser::from_request_parts(parts, app).await?;
        let mut keys = parts.headers.get_all(IDEMPOTENCY_KEY).iter();
        let request = match (keys.next(), keys.next()) {
            (None, _) => None,
            (Some(key), None) => {
                let id = key.to_str().ok().and_then(|text| RequestId::new(text).ok());
                let detail = "Idempotency-Key must be 1 to 128 printable ASCII characters without spaces: send one, such as \
                              a fresh UUID, or leave the header out";
                Some(id.ok_or_else(|| Problem::invalid(detail))?)
            }
            (Some(_), Some(_)) => return Err(Problem::invalid("send one Idempotency-Key")),
        };
        Ok(Caller { user, request })
    }
}

impl Caller {
    /// Only administrators go on.
    pub(super) fn require_admin(&self) -> Result<(), Problem> {
        require_admin(&self.user)
    }

    /// Only who may act for this team goes on; for others `what` does not exist.
    pub(super) fn require_team(&self, team: &TeamName, what: impl std::fmt::Display) -> Result<(), Problem> {
        if may_use_team(&self.user, team) { Ok(()) } else { Err(Problem::not_found(what)) }
    }

    /// The order that this command is, under the request's id.
    pub(super) fn order(&self, command: Command) -> Order {
        Order { actor: self.user.name.principal(), request: self.request.clone(), command }
    }

    /// Whether a change of the accounts is to be made: not if it was under the same id.
    pub(super) async fn is_first(&self, app: &App, change: String) -> Result<bool, Problem> {
        let Some(request) = &self.request else { return Ok(true) };
        match app.accounts.request(&self.user.name, request.as_str(), &change).await? {
            Asked::First => Ok(true),
            Asked::Again => Ok(false),
            Asked::Other => Err(Refusal::RequestIdReused.into()),
        }
    }

    /// Carry out a command under the request's id.
    pub(super) async fn submit(&self, app: &App, command: Command) -> Result<Receipt, Problem> {
        app.fleet.submit(self.order(command)).await.map_err(|error| self.problem(error))
    }

    /// What a command would come to.
    pub(super) fn preview(&self, app: &App, command: Command) -> Result<Decision, Problem> {
        let order = Order { request: None, ..self.order(command) };
        app.fleet.preview(&order).map_err(|refusal| self.problem(refusal.into()))
    }

    /// The problem with the explanation that this user may see: members are told nothing of hosts.
    fn problem(&self, error: SubmitError) -> Problem {
        let why = match &error {
            SubmitError::Refused(refusal) => refusal.why().cloned(),
            _ => None,
        };
        let why = why.map(|why| if self.user.admin { why } else { why.for_member() });
        let why = why.and_then(|why| serde_json::to_value(WhyView::from(why)).ok());
        Problem { why, ..error.into() }
    }
}
