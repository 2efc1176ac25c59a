//! Statements with their values in them, so that many can be sent in one message: prepared ones go one by one.

use std::fmt::Write;

use crate::statement::{Columns, Kind, Step, each, names};
use crate::value::Value;

/// Whether a step is made by one UPDATE for each row. An upsert takes whichever row is in the way by any of the unique
/// keys, and tables of numbered records have more than one.
pub(super) fn is_update(step: &Step) -> bool {
    step.kind == Kind::Put && step.columns[0].0 == "id"
}

/// A message that is longer is sent before it becomes longer still; servers take 16 MiB unless they were told otherwise.
pub(super) const MOST_BYTES: usize = 1 << 20;
const MOST_ROWS: usize = 256;

/// How many bytes a row's texts have. In a statement they take two digits each.
pub(super) fn bytes(row: &[Value]) -> usize {
    let bytes = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Bytes(bytes) => bytes.len(),
        Value::Null | Value::Integer(_) => 0,
    };
    row.iter().map(bytes).sum()
}

/// How many of the rows one statement of at most so many digits takes; none if the first is longer.
pub(super) fn few(rows: &[Vec<Value>], digits: usize) -> usize {
    let mut length = 0;
    let fit = rows.iter().take(MOST_ROWS).take_while(|row| {
        length += 2 * bytes(row);
        length <= digits
    });
    fit.count()
}

/// The statement for one row with its values apart: they go as they are, in half the bytes, but alone.
pub(super) fn apart(step: &Step, row: &Vec<Value>) -> (String, Vec<Value>) {
    let (mut statement, mut values) = (String::new(), Vec::new());
    write_with(&mut statement, step, std::slice::from_ref(row), &mut |out, value| {
        out.push('?');
        values.push(value.clone());
    });
    (statement, values)
}

/// Write the statement for some rows of a step; for one row if it is an update.
pub(super) fn write(out: &mut String, step: &Step, rows: &[Vec<Value>]) {
    write_with(out, step, rows, &mut literal);
}

fn write_with(
    out: &mut String,
    step: &Step,
    rows: &[Vec<Value>],
    literal: &mut impl FnMut(&mut String, &Value),
) {
    let (table, columns) = (step.table, names(step.columns));
    // Writing to a string does not fail.
    let _ = match step.kind {
        Kind::Delete => write!(out, "DELETE FROM {table} WHERE ({columns}) IN ("),
        Kind::Put if is_update(step) => {
            let (key, set) = rows.first().map_or((&[][..], &[][..]), |row| row.split_at(step.key));
            let _ = write!(out, "UPDATE {table} SET ");
            assignments(out, ", ", &step.columns[step.key..], set, literal);
            let _ = write!(out, " WHERE ");
            assignments(out, " AND ", &step.columns[..step.key], key, literal);
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

fn assignments(
    out: &mut String,
    between: &str,
    columns: Columns,
    values: &[Value],
    literal: &mut impl FnMut(&mut String, &Value),
) {
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
    fn long_rows_are_sent_apart() {
        let row = |length: usize| vec![Value::Integer(1), Value::Text("x".repeat(length))];
        assert_eq!(few(&vec![row(10); 1000], MOST_BYTES), MOST_ROWS);
        assert_eq!(few(&vec![row(MOST_BYTES / 8); 10], MOST_BYTES), 4);
        assert_eq!(few(&[row(50), row(1)], 100), 1);
        assert_eq!(few(&[row(51), row(1)], 100), 0);
    }

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
            text(&step, std::slice::from_ref(&row)),
            format!("UPDATE teams SET name = {name}, revision = NULL WHERE id = 7;")
        );
        let (statement, values) = apart(&step, &row);
        assert_eq!(statement, "UPDATE teams SET name = ?, revision = ? WHERE id = ?;");
        assert_eq!(values, [row[1].clone(), Value::Null, Value::Integer(7)]);
        step = Step { kind: Kind::Delete, columns: &teams.columns[..1], ..step };
        assert_eq!(text(&step, &[vec![Value::Integer(-7)]]), "DELETE FROM teams WHERE (id) IN ((-7));");
    }
}
