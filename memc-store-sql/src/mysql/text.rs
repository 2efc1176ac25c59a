//! Statements with their values in them, so that many can be sent in one message: prepared ones go one by one.

use std::fmt::Write;

use crate::statement::{Columns, Kind, Step, each, names};
use crate::value::Value;

/// Whether a step is made by one UPDATE for each row. An upsert takes whichever row is in the way by any of the unique
/// keys, and tables of numbered records have more than one.
pub(super) fn is_update(step: &Step) -> bool {
    step.kind == Kind::Put && step.columns[0].0 == "id"
}

/// Write the statement for some rows of a step; for one row if it is an update.
pub(super) fn write(out: &mut String, step: &Step, rows: &[Vec<Value>]) {
    let (table, columns) = (step.table, names(step.columns));
    // Writing to a string does not fail.
    let _ = match step.kind {
        Kind::Delete => write!(out, "DELETE FROM {table} WHERE ({columns}) IN ("),
        Kind::Put if is_update(step) => {
            let (key, set) = rows.first().map_or((&[][..], &[][..]), |row| row.split_at(step.key));
            let _ = write!(out, "UPDATE {table} SET ");
            assignments(out, ", ", &step.columns[step.key..], set);
            let _ = write!(out, " WHERE ");
            assignments(out, " AND ", &step.columns[..step.key], key);
            out.push(';');
            return;
        }
        Kind::Insert | Kind::Put => write!(out, "INSERT INTO {table} ({columns}) VALUES "),
    };
    for (number, row) in rows.iter().enumerate() {
        out.push_str(if number == 0 { "(" } else { ", (" });
        for (column, value) in row.iter().enumerate() {
            if column > 0 {
                out.push_str(", ");
            }
            literal(out, value);
        }
        out.push(')');
    }
    match step.kind {
        Kind::Delete => out.push(')'),
        Kind::Insert => {}
        Kind::Put => {
            let set = each(&step.columns[step.key..], ", ", |name| format!("{name} = VALUES({name})"));
            let _ = write!(out, " ON DUPLICATE KEY UPDATE {set}");
        }
    }
    out.push(';');
}

fn assignments(out: &mut String, between: &str, columns: Columns, values: &[Value]) {
    for (number, ((name, _), value)) in columns.iter().zip(values).enumerate() {
        let _ = write!(out, "{}{name} = ", if number == 0 { "" } else { between });
        literal(out, value);
    }
}

/// Texts in hexadecimal digits: nothing in them can end a literal, whatever the session's mode.
fn literal(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("NULL"),
        Value::Integer(number) => {
            let _ = write!(out, "{number}");
        }
        Value::Text(text) => {
            out.push_str("_utf8mb4 ");
            hexadecimal(out, text.as_bytes());
        }
        Value::Bytes(bytes) => hexadecimal(out, bytes),
    }
}

fn hexadecimal(out: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(2 * bytes.len() + 3);
    out.push_str("x'");
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)].into());
        out.push(DIGITS[usize::from(byte & 15)].into());
    }
    out.push('\'');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TABLES;

    #[test]
    fn no_value_leaves_its_literal() {
        let teams = TABLES.iter().find(|table| table.name == "teams").unwrap();
        let row = vec![Value::Integer(7), Value::text("é'); DROP"), Value::Null];
        let mut step = Step {
            kind: Kind::Insert,
            table: teams.name,
            columns: teams.columns,
            key: 1,
            rows: Vec::new(),
            exact: true,
        };
        let text = |step: &Step, rows: &[Vec<Value>]| {
            let mut out = String::new();
            write(&mut out, step, rows);
            out
        };
        let name = "_utf8mb4 x'c3a927293b2044524f50'";
        assert_eq!(
            text(&step, &[row.clone(), row.clone()]),
            format!("INSERT INTO teams (id, name, revision) VALUES (7, {name}, NULL), (7, {name}, NULL);")
        );
        step.kind = Kind::Put;
        assert_eq!(
            text(&step, &[row]),
            format!("UPDATE teams SET name = {name}, revision = NULL WHERE id = 7;")
        );
        step = Step { kind: Kind::Delete, columns: &teams.columns[..1], ..step };
        assert_eq!(text(&step, &[vec![Value::Integer(-7)]]), "DELETE FROM teams WHERE (id) IN ((-7));");
    }
}
