//! The statements, made once from the description of the tables.

use std::sync::Arc;

use crate::table::{COMMIT, TABLES};
use crate::value::{Type, Value};

/// How many rows a page of a load has.
pub(crate) const PAGE: usize = 2000;

/// What [`Statements::head`] answers with.
pub(crate) const HEAD: [Type; 5] = [Type::Integer, Type::Integer, Type::Integer, Type::Bytes, Type::Integer];

/// Columns' names and types.
pub(crate) type Columns = &'static [(&'static str, Type)];

/// The rows that a statement over many of them is given stand here in its text.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) const ROWS: &str = "{rows}";

/// How many rows a statement names at most, where it names each, as a power of two.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
const MOST_ROWS: u32 = 6;

/// How many statements a connection keeps prepared: those that change rows, each in a few sizes, and the others.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(crate) const STATEMENTS_KEPT: usize = 200;

/// A statement over any number of rows.
#[derive(Debug)]
pub(crate) struct Many {
    /// With `{rows}` where as many rows have to be written as there are, without where parameters hold them all.
    pub(crate) sql: Arc<str>,
    pub(crate) columns: Columns,
}

#[cfg(any(feature = "sqlite", feature = "mysql"))]
impl Many {
    /// The statement for as many of the rows as one statement names, and the rows that are left. Drivers keep
    /// statements prepared, so these are of few sizes.
    pub(crate) fn next<'a>(&self, rows: &'a [Vec<Value>]) -> (Arc<str>, &'a [Vec<Value>], &'a [Vec<Value>]) {
        let (these, left) = rows.split_at(1 << rows.len().max(1).ilog2().min(MOST_ROWS));
        let row = format!("({})", vec!["?"; self.columns.len()].join(", "));
        (self.sql.replace(ROWS, &vec![row; these.len()].join(", ")).into(), these, left)
    }
}

/// The statements of one table of records.
#[derive(Debug)]
pub(crate) struct OfTable {
    /// Inserts rows, or updates those that are there, whole.
    pub(crate) put: Many,
    /// Deletes the rows of these keys.
    pub(crate) delete: Many,
    pub(crate) first_page: Arc<str>,
    /// After the row of this key.
    pub(crate) next_page: Arc<str>,
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
    /// Inserts rows.
    pub(crate) insert: fn(table: &str, columns: Columns) -> String,
    /// See [`OfTable::put`]. It has to fail where a row is in the way by another key than the primary one: an upsert
    /// that takes that row would give one instance's port to another.
    pub(crate) put: fn(table: &str, columns: Columns, key: Columns) -> String,
    /// See [`OfTable::delete`].
    pub(crate) delete: fn(table: &str, key: Columns) -> String,
    /// The condition that a row comes after that of a key, with its parameters.
    pub(crate) after: fn(key: Columns) -> String,
    pub(crate) after_values: fn(key: Vec<Value>) -> Vec<Value>,
}

/// Every statement the ledger needs.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Format and clock, then revision, id and time of the last commit, all three null in an empty ledger.
    pub(crate) head: Arc<str>,
    pub(crate) append: Many,
    pub(crate) commits: Arc<str>,
    pub(crate) history: Arc<str>,
    pub(crate) history_of_target: Arc<str>,
    pub(crate) after_values: fn(key: Vec<Value>) -> Vec<Value>,
    pub(crate) tables: Vec<OfTable>,
}

impl Statements {
    pub(crate) fn new(dialect: &Dialect) -> Self {
        let p = dialect.placeholder;
        let commits = format!("SELECT {} FROM commits", selected(dialect, &COMMIT));
        Statements {
            head: format!(
                "SELECT ledger.format, {}, commits.revision, commits.id, commits.at_ms FROM ledger \
                 LEFT JOIN commits ON commits.revision = (SELECT max(revision) FROM commits)",
                dialect.clock
            )
            .into(),
            append: Many { sql: (dialect.insert)("commits", &COMMIT).into(), columns: &COMMIT },
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
            after_values: dialect.after_values,
            tables: TABLES
                .iter()
                .map(|table| OfTable::new(table.name, table.columns, &table.columns[..table.key], dialect))
                .collect(),
        }
    }
}

impl OfTable {
    fn new(name: &str, columns: Columns, key: Columns, dialect: &Dialect) -> Self {
        let (all, order) = (selected(dialect, columns), names(key));
        OfTable {
            put: Many { sql: (dialect.put)(name, columns, key).into(), columns },
            delete: Many { sql: (dialect.delete)(name, key).into(), columns: key },
            first_page: format!("SELECT {all} FROM {name} ORDER BY {order} LIMIT {PAGE}").into(),
            next_page: format!(
                "SELECT {all} FROM {name} WHERE {} ORDER BY {order} LIMIT {PAGE}",
                (dialect.after)(key)
            )
            .into(),
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
pub(crate) fn on_conflict(columns: Columns, key: Columns) -> String {
    let set = each(&columns[key.len()..], ", ", |name| format!("{name} = excluded.{name}"));
    format!("ON CONFLICT ({}) DO UPDATE SET {set}", names(key))
}
