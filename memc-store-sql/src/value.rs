//! What goes into columns and comes out of them, alike for every database.

use std::fmt::Display;

use serde::Serialize;
use serde::de::value::{Error as NoSuchWord, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use sqlx::{ColumnIndex, Decode, Row};

/// What is written into a column. JSON is a text here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a column holds, so that it is written and selected accordingly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Integer,
    Text,
    /// A text that is JSON, and as long as it takes.
    Json,
    Bytes,
}

/// A value in a table that no commit can have put there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(pub(crate) String);

impl Unreadable {
    pub(crate) fn in_table(self, name: &str) -> Self {
        Unreadable(format!("table {name}: {self}"))
    }
}

impl Value {
    pub(crate) fn text(text: impl Display) -> Self {
        Value::Text(text.to_string())
    }

    /// Every number of the model fits: sizes have bounds, ids, revisions and times end at `i64::MAX`.
    pub(crate) fn integer(number: impl TryInto<i64>) -> Self {
        Value::Integer(number.try_into().unwrap_or(i64::MAX))
    }

    pub(crate) fn optional(value: Option<Value>) -> Self {
        value.unwrap_or(Value::Null)
    }

    /// Records and their parts are plain data with string keys: this cannot fail, and an empty text would be refused
    /// by the column's check.
    pub(crate) fn json(value: &impl Serialize) -> Self {
        Value::Text(serde_json::to_string(value).unwrap_or_default())
    }

    /// The word that serde gives a variant without fields.
    pub(crate) fn word(value: &impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(word)) => Value::Text(word),
            _ => Value::Null,
        }
    }
}

/// A row as a driver has it, so that reading it copies no texts on the way into a record.
pub(crate) trait Columns {
    fn integer(&self, column: usize) -> Result<Option<i64>, sqlx::Error>;
    fn text(&self, column: usize) -> Result<Option<&str>, sqlx::Error>;
    /// A copy: PostgreSQL's answers to a message of several statements have them as text.
    fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>, sqlx::Error>;
}

impl<R: Row> Columns for R
where
    usize: ColumnIndex<R>,
    for<'r> i64: Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> &'r str: Decode<'r, R::Database> + sqlx::Type<R::Database>,
    for<'r> Vec<u8>: Decode<'r, R::Database> + sqlx::Type<R::Database>,
{
    fn integer(&self, column: usize) -> Result<Option<i64>, sqlx::Error> {
        self.try_get(column)
    }

    fn text(&self, column: usize) -> Result<Option<&str>, sqlx::Error> {
        self.try_get(column)
    }

    fn bytes(&self, column: usize) -> Result<Option<Vec<u8>>, sqlx::Error> {
        self.try_get(column)
    }
}

/// Reads a row's values in the order of its columns.
pub(crate) struct Fields<'r> {
    row: &'r dyn Columns,
    next: usize,
}

impl<'r> Fields<'r> {
    pub(crate) fn new(row: &'r dyn Columns) -> Self {
        Fields { row, next: 0 }
    }

    fn next<T>(
        &mut self,
        get: impl FnOnce(&'r dyn Columns, usize) -> Result<Option<T>, sqlx::Error>,
    ) -> Result<Option<T>, Unreadable> {
        let column = self.next;
        self.next += 1;
        get(self.row, column).map_err(|error| Unreadable(error.to_string()))
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        self.optional_number()?.ok_or_else(|| Unreadable("a number is missing".into()))
    }

    pub(crate) fn optional_number(&mut self) -> Result<Option<u64>, Unreadable> {
        let number = self.next(|row, column| row.integer(column))?;
        number
            .map(|number| u64::try_from(number).map_err(|_| Unreadable(format!("{number} is below zero"))))
            .transpose()
    }

    /// A number of a narrower type: a port, a size, a count.
    pub(crate) fn narrow<T: TryFrom<u64, Error: Display>>(&mut self) -> Result<T, Unreadable> {
        T::try_from(self.number()?).map_err(|error| Unreadable(error.to_string()))
    }

    pub(crate) fn text(&mut self) -> Result<&'r str, Unreadable> {
        self.optional_text()?.ok_or_else(|| Unreadable("a text is missing".into()))
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<&'r str>, Unreadable> {
        self.next(|row, column| row.text(column))
    }

    /// A text with rules: a name, an address, a UUID.
    pub(crate) fn parse<T: std::str::FromStr<Err: Display>>(&mut self) -> Result<T, Unreadable> {
        self.text()?.parse().map_err(|error: T::Err| Unreadable(error.to_string()))
    }

    pub(crate) fn optional_parse<T: std::str::FromStr<Err: Display>>(
        &mut self,
    ) -> Result<Option<T>, Unreadable> {
        let text = self.optional_text()?;
        text.map(|text| text.parse().map_err(|error: T::Err| Unreadable(error.to_string()))).transpose()
    }

    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Unreadable> {
        serde_json::from_str(self.text()?).map_err(|error| Unreadable(error.to_string()))
    }

    pub(crate) fn word<T: DeserializeOwned>(&mut self) -> Result<T, Unreadable> {
        let word: StrDeserializer<'_, NoSuchWord> = self.text()?.into_deserializer();
        T::deserialize(word).map_err(|error| Unreadable(error.to_string()))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let bytes = self.next(|row, column| row.bytes(column))?;
        let bytes = bytes.ok_or_else(|| Unreadable("bytes are missing".into()))?;
        bytes.try_into().map_err(|bytes: Vec<u8>| Unreadable(format!("{} bytes, not {N}", bytes.len())))
    }
}
