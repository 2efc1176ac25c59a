//! `memc-portal doctor`

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use memc_core::ledger::{FORMAT, State};
use memc_core::model::{Counted, Revision, Timestamp};
use memc_core::store::{Finding, Severity, Store};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use super::inspect::Comparison;
use super::places::{FleetPlace, Inspected, Places, Unusable};
use super::{Failure, inspect};
use crate::accounts::{Accounts, TokenKind};

/// What was found; how many of it is wrong.
#[derive(Default)]
struct Report {
    wrong: usize,
    notes: usize,
}

impl Report {
    fn wrong(&mut self, code: &str, message: impl std::fmt::Display) {
        self.wrong += 1;
        say!("WRONG     {code}: {message}");
    }

    fn note(&mut self, code: &str, message: impl std::fmt::Display) {
        self.notes += 1;
        say!("note      {code}: {message}");
    }

    fn finding(&mut self, Finding { severity, code, message }: Finding) {
        match severity {
            Severity::Refuse => self.wrong(&code, message),
            Severity::Note => self.note(&code, message),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Read everything as well, and compare every record with what the history beside it comes to.
    #[arg(long)]
    deep: bool,
    #[command(flatten)]
    places: Places,
}

pub(super) async fn run(Doctor { deep, places }: &Doctor) -> Result<ExitCode, Failure> {
    let mut report = Report::default();
    say!("program   memc-portal {}, ledger format {FORMAT}", env!("CARGO_PKG_VERSION"));
    say!("store     {}", places.fleet.shown());
    let state = store(*deep, &places.fleet, &mut report).await;
    accounts(places, state.as_ref(), &mut report).await;
    say!("result    {} wrong, {}", report.wrong, Counted(report.notes, "note"));
    Ok(if report.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The store, and what is in it where all of it is read. Whatever is found, it is left as it is.
async fn store(deep: bool, place: &FleetPlace, report: &mut Report) -> Option<State> {
    let Inspected { kind, settings, schema, findings } = match place.inspect().await {
        Ok(inspected) => inspected,
        Err(error) => {
            report.wrong(error.code(), error);
            return None;
        }
    };
    say!("{kind:<10}{settings}");
    if let Some(schema) = schema {
        say!("schema    version {schema}");
    }
    let store = match place.find_store().await {
        Ok(store) => store,
        Err(error) => {
            report.wrong(error.code(), error);
            // What `serve` would refuse, it refuses in any case.
            findings.into_iter().for_each(|it| report.finding(it));
            return None;
        }
    };
    // This one reads the whole file.
    if deep && let Some(path) = place.store_file() {
        integrity(&path, report).await;
    }
    ledger(place, &*store, report).await;
    if deep { fleet(&*store, report).await } else { None }
}

/// What SQLite says of the file.
async fn integrity(path: &Path, report: &mut Report) {
    let asked = async {
        let options = SqliteConnectOptions::new().filename(path).read_only(true);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let check = "PRAGMA integrity_check(10)";
        let verdict: Vec<String> = sqlx::query_scalar(check).fetch_all(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(verdict)
    };
    match asked.await {
        Ok(verdict) if verdict == ["ok"] => {}
        Ok(verdict) => report.wrong("sqlite.damaged", verdict.join("; ")),
        Err(error) => report.wrong("sqlite.unreadable", error),
    }
}

/// What the store says of itself: quick.
async fn ledger(place: &FleetPlace, store: &dyn Store, report: &mut Report) {
    match store.check().await {
        Ok(findings) => findings.into_iter().for_each(|it| report.finding(it)),
        Err(error) => report.wrong("store.check", error),
    }
    let head = match store.head().await {
        Ok(head) => head,
        Err(error) => return report.wrong("ledger.head", error),
    };
    say!("ledger    revision {}, format {}", head.revision, head.format);
    if head.format != FORMAT {
        report.wrong(
            "ledger.format",
            format_args!("the ledger has format {}, this program writes {FORMAT}", head.format),
        );
    }
    if head.revision == Revision::default() {
        let missing = Unusable::NoFleet(place.shown());
        report.wrong(missing.code(), missing);
    }
    let now = Timestamp::of_this_machine();
    if head.at > now.after(Duration::from_secs(60)) {
        let ahead = (head.at.as_millis() - now.as_millis()) / 1000;
        let detail = format_args!(
            "the last change is {ahead} s in the future: ports that cool down wait for that, set the clock"
        );
        report.wrong("ledger.clock", detail);
    }
}

/// The records, and whether they are what the history comes to: the two are written together, so that each says whether
/// the other was touched. Reads all of both.
async fn fleet(store: &dyn Store, report: &mut Report) -> Option<State> {
    let compared = match inspect::compare(store).await {
        Ok(compared) => compared,
        Err(error) => {
            report.wrong("ledger.inconsistent", error);
            return None;
        }
    };
    said(&compared, report);
    let state = compared.state;
    let head = state.head();
    match state.fleet() {
        Some(fleet) => say!("fleet     {}, epoch {}, revision {}", fleet.id, fleet.epoch, head.revision),
        None => say!("fleet     none yet"),
    }
    say!(
        "holds     {}, {}, {}, {}, {}",
        Counted(state.clusters().count(), "cluster"),
        Counted(state.hosts().count(), "host"),
        Counted(state.teams().count(), "team"),
        Counted(state.caches().count(), "cache"),
        Counted(state.instances().count(), "instance"),
    );
    for view in state.hosts().filter(|view| view.booked > view.host.memory) {
        // Allowed when an operator took memory away: it stops growth until enough was released.
        let name = &view.host.name;
        report.note(
            "host.over",
            format_args!("{name} has {} and {} are booked", view.host.memory, view.booked),
        );
    }
    waiting(&state, report);
    Some(state)
}

/// Hosts that take nothing new since a restore.
fn waiting(state: &State, report: &mut Report) {
    let clusters = state.clusters().map(|it| (state.unobserved(it.id), it.name.as_str()));
    let mut waiting: Vec<(u32, &str)> = clusters.filter(|(hosts, _)| *hosts > 0).collect();
    if waiting.is_empty() {
        return;
    }
    waiting.sort_unstable_by(|one, other| other.cmp(one));
    let hosts: u32 = waiting.iter().map(|(hosts, _)| hosts).sum();
    let named: Vec<String> =
        waiting.iter().take(5).map(|(hosts, cluster)| format!("{hosts} in {cluster}")).collect();
    let more = if waiting.len() > named.len() { ", …" } else { "" };
    report.note(
        "host.waiting",
        format_args!(
            "nothing new goes to {} since the restore, because of ports that were not looked at yet ({}{more}). It \
             ends by itself, host by host, once a portal that observes finds that every port of the cluster's range \
             accepts or refuses a connection, and that every instance it knew as running there accepts one. \
             Administration, Hosts says which wait; state a host that is gone lost",
            Counted(hosts, "host"),
            named.join(", ")
        ),
    );
}

/// What was compared, and what came of it.
fn said(compared: &Comparison, report: &mut Report) {
    let Comparison { records, commits, first, older, different, broken, .. } = compared;
    let kept = Counted(*commits, "commit");
    if compared.is_whole() {
        say!("compared  {} with the {kept} that made them", Counted(*records, "record"));
    } else {
        let newer = records - older;
        say!(
            "compared  {newer} of {} with the {kept} kept, from revision {first} on: what made the other {older} \
             was forgotten",
            Counted(*records, "record")
        );
    }
    if let Some(why) = broken {
        report.wrong("ledger.history", format_args!("the history is not in one piece: {why}"));
    }
    if !different.is_empty() {
        let named: Vec<String> =
            different.iter().take(5).map(|key| serde_json::to_string(key).unwrap_or_default()).collect();
        report.wrong(
            "ledger.tables",
            format_args!(
                "the history made something else of {}: restore a backup. Among them: {}",
                Counted(different.len(), "record"),
                named.join(", ")
            ),
        );
    }
}

/// Who may use the portal.
async fn accounts(places: &Places, state: Option<&State>, report: &mut Report) {
    let url = match places.accounts_url() {
        Ok(url) => url,
        Err(error) => return report.wrong("accounts.unnamed", error),
    };
    say!("accounts  {url}");
    let path = crate::accounts::file_of(&url);
    match path.as_deref().map_or(Ok(true), Path::try_exists) {
        Ok(true) => {}
        Ok(false) => {
            let how = "there is no such file: `memc-portal user add` creates it";
            return report.wrong("accounts.missing", how);
        }
        Err(error) => return report.wrong("accounts.unreadable", error),
    }
    let looked = async { people(&Accounts::open(&url).await?, state, &mut *report).await };
    if let Err(error) = looked.await {
        return report.wrong("accounts.unreadable", error);
    }
    if let Some(mode) = path.and_then(|path| path.metadata().ok()).map(|it| it.permissions().mode() & 0o777)
        && mode & 0o077 != 0
    {
        let how = format_args!("others may read or write the file: chmod 600 (it is {mode:o})");
        report.note("accounts.mode", how);
    }
}

async fn people(accounts: &Accounts, state: Option<&State>, report: &mut Report) -> Result<(), Failure> {
    let (users, tokens) = (accounts.users().await?, accounts.tokens_of(None).await?);
    let admins = users.iter().filter(|user| user.admin).count();
    let pillar = tokens.iter().filter(|token| token.kind == TokenKind::Pillar).count();
    say!(
        "people    {}, {} among them; {} and {}; schema version {}",
        Counted(users.len(), "user"),
        Counted(admins, "administrator"),
        Counted(tokens.len() - pillar, "personal token"),
        Counted(pillar, "pillar token"),
        accounts.schema_version().await?,
    );
    if admins == 0 {
        report.note(
            "accounts.no_admin",
            "nobody can administer: memc-portal user add NAME --admin --password-stdin",
        );
    }
    let Some(state) = state else { return Ok(()) };
    for user in users {
        for team in user.teams.iter().filter(|team| state.team_named(team).is_none()) {
            report.note(
                "accounts.no_team",
                format_args!("{} is in team {team}, which does not exist", user.name),
            );
        }
    }
    Ok(())
}
