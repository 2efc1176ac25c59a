//! The statements, made once from the description of the tables.

use std::sync::Arc;

use crate::table::{TABLES, Table};
use crate::value::{Type, Value};

/// How many rows a page of a load has.
pub(crate) const PAGE: usize = 2000;

/// The columns of `commits`, in the order in which they are written and read.
pub(crate) const COMMIT: [(&str, Type); 10] = [
    ("revision", Type::Integer),
    ("id", Type::Bytes),
    ("previous", Type::Bytes),
    ("at_ms", Type::Integer),
    ("actor", Type::Text),
    ("action", Type::Text),
    ("target", Type::Text),
    ("detail", Type::Text),
    ("request", Type::Text),
    ("changes", Type::Text),
];

/// What [`Statements::head`] answers with.
pub(crate) const HEAD: [Type; 4] = [Type::Integer, Type::Integer, Type::Bytes, Type::Integer];

/// The statements of one table of records.
#[derive(Debug)]
pub(crate) struct OfTable {
    /// Updates the row of the key, or inserts it; of all columns. Changes one row.
    pub(crate) put: Arc<str>,
    pub(crate) delete: Arc<str>,
    pub(crate) first_page: Arc<str>,
    /// After the row of this key.
    pub(crate) next_page: Arc<str>,
}

/// How a database writes what is not the same everywhere.
#[derive(Debug)]
pub(crate) struct Dialect {
    /// The n-th parameter, from 1.
    pub(crate) placeholder: fn(usize) -> String,
    /// An UPDATE, or if it finds no row, an INSERT of values (the part before VALUES, and the values).
    ///
    /// No upsert: on a table with two unique keys that may take the row of the other key, and give one instance's port
    /// to another.
    pub(crate) update_or_insert: fn(update: &str, insert: &str, values: &str) -> String,
    /// The parameters of that, from a row and the number of its key columns, which come first in it.
    pub(crate) put_values: fn(row: Vec<Value>, key: usize) -> Vec<Value>,
}

/// Every statement the ledger needs.
#[derive(Debug)]
pub(crate) struct Statements {
    /// Format, then revision, id and time of the last commit, all three null in an empty ledger.
    pub(crate) head: Arc<str>,
    pub(crate) append: Arc<str>,
    pub(crate) commits: Arc<str>,
    pub(crate) history: Arc<str>,
    pub(crate) history_of_target: Arc<str>,
    pub(crate) put_values: fn(row: Vec<Value>, key: usize) -> Vec<Value>,
    pub(crate) tables: Vec<OfTable>,
}

impl Statements {
    pub(crate) fn new(dialect: &Dialect) -> Self {
        let p = dialect.placeholder;
        let commit = names(&COMMIT);
        Statements {
            head: "SELECT ledger.format, commits.revision, commits.id, commits.at_ms FROM ledger \
                   LEFT JOIN commits ON commits.revision = (SELECT max(revision) FROM commits)"
                .into(),
            append: format!("INSERT INTO commits ({commit}) VALUES ({})", list(p, 1, COMMIT.len())).into(),
            commits: format!(
                "SELECT {commit} FROM commits WHERE revision > {} ORDER BY revision LIMIT {}",
                p(1),
                p(2)
            )
            .into(),
            history: format!(
                "SELECT {commit} FROM commits WHERE revision < {} ORDER BY revision DESC LIMIT {}",
                p(1),
                p(2)
            )
            .into(),
            history_of_target: format!(
                "SELECT {commit} FROM commits WHERE target = {} AND revision < {} ORDER BY revision DESC LIMIT {}",
                p(1),
                p(2),
                p(3)
            )
            .into(),
            put_values: dialect.put_values,
            tables: TABLES.iter().map(|table| OfTable::new(table, dialect)).collect(),
        }
    }
}

impl OfTable {
    fn new(table: &Table, dialect: &Dialect) -> Self {
        let p = dialect.placeholder;
        let (name, all) = (table.name, names(table.columns));
        let (key, rest) = table.columns.split_at(table.key);
        let equal = |from: usize, columns: &[(&str, Type)], between: &str| -> String {
            let terms = (from..).zip(columns).map(|(n, (column, _))| format!("{column} = {}", p(n)));
            terms.collect::<Vec<_>>().join(between)
        };
        let this = equal(1, key, " AND ");
        let update = format!("UPDATE {name} SET {} WHERE {this}", equal(table.key + 1, rest, ", "));
        let insert = format!("INSERT INTO {name} ({all})");
        let order = names(key);
        OfTable {
            put: (dialect.update_or_insert)(&update, &insert, &list(p, 1, table.columns.len())).into(),
            delete: format!("DELETE FROM {name} WHERE {this}").into(),
            first_page: format!("SELECT {all} FROM {name} ORDER BY {order} LIMIT {PAGE}").into(),
            next_page: format!(
                "SELECT {all} FROM {name} WHERE ({order}) > ({}) ORDER BY {order} LIMIT {PAGE}",
                list(p, 1, key.len())
            )
            .into(),
        }
    }
}

fn names(columns: &[(&str, Type)]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

fn list(p: fn(usize) -> String, from: usize, count: usize) -> String {
    (from..from + count).map(p).collect::<Vec<_>>().join(", ")
}
