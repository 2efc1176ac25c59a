//! The statements, made once from the description of the tables.

use std::sync::Arc;

use crate::table::{COMMIT, COMMIT_READ, TABLES};
use crate::value::{Type, Value};

/// Columns' names and types.
pub(crate) type Columns = &'static [(&'static str, Type)];

/// How many rows a statement names at most, where it names each, as a power of two.
#[cfg(feature = "sqlite")]
const MOST_ROWS: u32 = 6;

/// How many statements a connection keeps prepared: those that change rows, each in a few sizes, and the others.
#[cfg(feature = "sqlite")]
pub(crate) const STATEMENTS_KEPT: usize = 300;

/// A part of what is written in a turn: rows of one table.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) table: &'static str,
    /// Those of a row's values.
    pub(crate) columns: Columns,
    /// How many of the columns, from the first, are the primary key.
    pub(crate) key: usize,
    /// At least one.
    pub(crate) rows: Vec<Vec<Value>>,
    /// Whether it has to be of as many rows.
    pub(crate) exact: bool,
}

/// What is done with the rows of a [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Deletes the rows of these keys.
    Delete,
    /// Inserts rows, which are not there.
    Insert,
    /// Inserts rows, or updates those that are there, whole. It has to fail where a row is in the way by another key than
    /// the primary one: an upsert that takes that row would give one instance's port to another. A database that has no
    /// such upsert only updates.
    Put,
}

#[cfg(feature = "sqlite")]
/// As many of the rows as one statement names, and the rows that are left. Drivers keep statements prepared, so these
/// are of few sizes.
pub(crate) fn next(rows: &[Vec<Value>]) -> (&[Vec<Value>], &[Vec<Value>]) {
    rows.split_at(1 << rows.len().max(1).ilog2().min(MOST_ROWS))
}

/// How a database writes what is not the same everywhere.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The n-th parameter, from 1.
    pub(crate) placeholder: fn(usize) -> String,
    /// Milliseconds since 1970 by the database's clock.
    pub(crate) clock: &'static str,
    /// A column as it is selected.
    pub(crate) selected: fn(&str, Type) -> String,
}

/// Every statement the ledger needs.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Format and clock, then the last commit's revision, id, time and numbers given out, all null in an empty ledger, then
    /// the fleet's id and epoch, null where there is none.
    pub(crate) head: Arc<str>,
    pub(crate) commits: Arc<str>,
    pub(crate) history: Arc<str>,
    pub(crate) history_of_target: Arc<str>,
    /// Revision and time of the oldest commits, without as many of the newest as the first parameter says.
    pub(crate) oldest: Arc<str>,
    /// Deletes the commits up to a revision.
    pub(crate) forget: Arc<str>,
    /// All rows of each of [`TABLES`], in any order: as they lie in the table.
    pub(crate) tables: Vec<Arc<str>>,
}

impl Statements {
    pub(crate) fn new(dialect: &Dialect) -> Self {
        let p = dialect.placeholder;
        let commits = format!("SELECT {} FROM commits", selected(dialect, &COMMIT[..COMMIT_READ]));
        Statements {
            head: format!(
                "SELECT ledger.format, {}, commits.revision, commits.id, commits.at_ms, commits.last_id, \
                 fleet.id AS fleet, fleet.epoch FROM ledger \
                 LEFT JOIN commits ON commits.revision = (SELECT max(revision) FROM commits) \
                 LEFT JOIN fleet ON fleet.only_row = 1",
                dialect.clock
            )
            .into(),
            commits: format!("{commits} WHERE revision > {} ORDER BY revision LIMIT {}", p(1), p(2)).into(),
            history: format!("{commits} WHERE revision < {} ORDER BY revision DESC LIMIT {}", p(1), p(2))
                .into(),
            history_of_target: format!(
                "{commits} WHERE target = {} AND revision < {} ORDER BY revision DESC LIMIT {}",
                p(1),
                p(2),
                p(3)
            )
            .into(),
            oldest: format!(
                "SELECT revision, at_ms FROM commits \
                 WHERE revision <= (SELECT max(revision) FROM commits) - {} ORDER BY revision LIMIT {}",
                p(1),
                p(2)
            )
            .into(),
            forget: format!("DELETE FROM commits WHERE revision <= {}", p(1)).into(),
            tables: (TABLES.iter())
                .map(|table| {
                    format!("SELECT {} FROM {}", selected(dialect, table.columns), table.name).into()
                })
                .collect(),
        }
    }
}

pub(crate) fn names(columns: Columns) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// Something about each column, with something between.
pub(crate) fn each(columns: Columns, between: &str, what: impl Fn(&str) -> String) -> String {
    columns.iter().map(|(name, _)| what(name)).collect::<Vec<_>>().join(between)
}

fn selected(dialect: &Dialect, columns: Columns) -> String {
    columns.iter().map(|(name, kind)| (dialect.selected)(name, *kind)).collect::<Vec<_>>().join(", ")
}

/// Where an upsert names the one key that it may take a row by: every other that is in the way is an error.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn on_conflict(step: &Step) -> String {
    let set = each(&step.columns[step.key..], ", ", |name| format!("{name} = excluded.{name}"));
    format!("ON CONFLICT ({}) DO UPDATE SET {set}", names(&step.columns[..step.key]))
}
