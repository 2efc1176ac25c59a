//! What every page has: language, who is looking, banners, tokens for its forms.

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use memc_core::fleet::Status;
use memc_core::model::Timestamp;
use memc_core::store::Severity;
use uuid::Uuid;

use super::failure::{Answer, Failure};
use super::visit::Visit;
use crate::locale::{Language, Text, Translator, text};

/// The part of the portal that a page belongs to, for the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    /// Outside: login, errors.
    Outside,
    Caches,
    Account,
    Clusters,
    Hosts,
    Teams,
    Users,
    Audit,
    Findings,
}

/// What the frame of every page shows.
pub(super) struct Page {
    pub(super) t: Translator,
    /// Where we are, to come back to after choosing a language.
    pub(super) here: String,
    /// Who is signed in.
    pub(super) user: Option<String>,
    pub(super) admin: bool,
    pub(super) csrf: String,
    pub(super) section: Section,
    /// Set while the store is away: of when everything on the page is.
    pub(super) stale: Option<When>,
    /// How many findings operators should look at; zero for everyone else.
    pub(super) findings: usize,
    /// Why the store could lose what it acknowledged; empty for everyone but operators.
    pub(super) risks: Vec<String>,
    /// What was just done.
    pub(super) done: Option<Text>,
    /// Whether something on the page is about to change, so that it should be asked for again.
    pub(super) live: bool,
}

impl Page {
    pub(super) fn new(visit: &Visit, section: Section) -> Page {
        let status = visit.app.fleet.status();
        let session = visit.session.as_ref();
        let admin = session.is_some_and(|session| session.user.admin);
        let at = visit.app.fleet.read(|state| state.head().at);
        Page {
            t: visit.t,
            here: visit.here.clone(),
            user: session.map(|session| session.user.name.to_string()),
            admin,
            csrf: session.map(|session| session.csrf.clone()).unwrap_or_default(),
            section,
            stale: (status.stale && session.is_some()).then(|| When::new(at)),
            risks: if admin { risks(&status) } else { Vec::new() },
            findings: if admin { status.findings.len() } else { 0 },
            done: visit.done.as_deref().and_then(done),
            live: false,
        }
    }

    /// Whether the page belongs there: for `aria-current`.
    pub(super) fn is(&self, section: &str) -> bool {
        let own = match self.section {
            Section::Outside => "",
            Section::Caches => "caches",
            Section::Account => "account",
            Section::Clusters => "clusters",
            Section::Hosts => "hosts",
            Section::Teams => "teams",
            Section::Users => "users",
            Section::Audit => "audit",
            Section::Findings => "findings",
        };
        own == section
    }

    /// Whether it is one of the administration's pages.
    pub(super) fn in_administration(&self) -> bool {
        !matches!(self.section, Section::Outside | Section::Caches | Section::Account)
    }

    /// A fresh id for one form: sent twice, it has one effect.
    pub(super) fn request_id(&self) -> String {
        Uuid::now_v7().to_string()
    }

    /// This page's address as a value in a query.
    pub(super) fn back_here(&self) -> String {
        super::session::encoded(&self.here)
    }

    pub(super) fn languages(&self) -> [Language; 2] {
        Language::ALL
    }
}

/// The settings that make the store unsafe, each with its value and the one that is needed.
fn risks(status: &Status) -> Vec<String> {
    let grave = status.findings.iter().filter(|finding| finding.severity == Severity::Refuse);
    grave.map(|finding| finding.message.clone()).collect()
}

/// What `?done=` says: only words of ours become a message.
fn done(word: &str) -> Option<Text> {
    Some(match word {
        "created" => text("done-created"),
        "resized" => text("done-resized"),
        "unchanged" => text("done-unchanged"),
        "released" => text("done-released"),
        "gone" => text("done-gone"),
        "replaced" => text("done-replaced"),
        "stopped" => text("done-stopped"),
        "saved" => text("done-saved"),
        "added" => text("done-added"),
        "removed" => text("done-removed"),
        "password" => text("done-password"),
        "revoked" => text("done-revoked"),
        _ => return None,
    })
}

/// A moment, for a `<time>` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct When {
    /// For machines.
    pub(super) iso: String,
    /// For people, in UTC: the server does not know the reader's zone. The script turns it into that.
    pub(super) absolute: String,
    /// How long ago.
    pub(super) ago: Text,
}

impl When {
    pub(super) fn new(at: Timestamp) -> When {
        let age = Timestamp::of_this_machine().as_millis().saturating_sub(at.as_millis()) / 1000;
        let moment = i64::try_from(at.as_millis())
            .ok()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        let moment = moment.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        When {
            iso: moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            absolute: moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            ago: ago(age),
        }
    }
}

fn ago(seconds: u64) -> Text {
    match seconds {
        0..60 => text("ago-seconds").arg("n", seconds),
        60..3_600 => text("ago-minutes").arg("n", seconds / 60),
        3_600..86_400 => text("ago-hours").arg("n", seconds / 3_600),
        _ => text("ago-days").arg("n", seconds / 86_400),
    }
}

/// A bar: how much of a whole is used, and how much a change would add or free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bar {
    /// Where the used part ends, percent.
    pub(super) used: u64,
    /// How wide the part is that comes on top, percent.
    pub(super) added: u64,
    /// Whether it is more than the whole.
    pub(super) over: bool,
}

impl Bar {
    pub(super) fn new(used: u64, added: u64, whole: u64) -> Bar {
        let percent = |part: u64| part.saturating_mul(100).checked_div(whole).unwrap_or_default().min(100);
        let end = percent(used.saturating_add(added));
        // Something is never drawn as nothing.
        let first = if used > 0 && whole > 0 { percent(used).max(1) } else { 0 };
        Bar { used: first, added: end.saturating_sub(first), over: used.saturating_add(added) > whole }
    }
}

/// A page as an answer.
pub(super) fn html(status: StatusCode, template: &impl Template) -> Answer {
    let body = template.render().map_err(|error| Failure::internal(&error))?;
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Pages are one person's and of one moment.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// A page as the usual answer.
pub(super) fn ok(template: &impl Template) -> Answer {
    html(StatusCode::OK, template)
}

/// After a form was carried out: on to a page that may be reloaded.
pub(super) fn go(to: &str) -> Answer {
    let location = HeaderValue::from_str(to).map_err(|error| Failure::internal(&error))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response() as Response)
}
