//! What goes into columns and comes out of them, alike for every database.

use std::fmt::Display;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A column's value. JSON is a text here.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// What a column holds, so that a driver knows how to read it.
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

/// Reads a row's values in the order of its columns.
#[derive(Debug)]
pub(crate) struct Fields(std::vec::IntoIter<Value>);

impl Fields {
    pub(crate) fn new(row: Vec<Value>) -> Self {
        Fields(row.into_iter())
    }

    fn next(&mut self) -> Value {
        self.0.next().unwrap_or(Value::Null)
    }

    pub(crate) fn number(&mut self) -> Result<u64, Unreadable> {
        self.optional_number()?.ok_or_else(|| Unreadable("a number is missing".into()))
    }

    pub(crate) fn optional_number(&mut self) -> Result<Option<u64>, Unreadable> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Integer(number) => {
                u64::try_from(number).map(Some).map_err(|_| Unreadable(format!("{number} is below zero")))
            }
            other => Err(Unreadable(format!("{other:?} is no number"))),
        }
    }

    /// A number of a narrower type: a port, a size, a count.
    pub(crate) fn narrow<T: TryFrom<u64, Error: Display>>(&mut self) -> Result<T, Unreadable> {
        T::try_from(self.number()?).map_err(|error| Unreadable(error.to_string()))
    }

    pub(crate) fn text(&mut self) -> Result<String, Unreadable> {
        self.optional_text()?.ok_or_else(|| Unreadable("a text is missing".into()))
    }

    pub(crate) fn optional_text(&mut self) -> Result<Option<String>, Unreadable> {
        match self.next() {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(Unreadable(format!("{other:?} is no text"))),
        }
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
        serde_json::from_str(&self.text()?).map_err(|error| Unreadable(error.to_string()))
    }

    pub(crate) fn word<T: DeserializeOwned>(&mut self) -> Result<T, Unreadable> {
        let word = serde_json::Value::String(self.text()?);
        serde_json::from_value(word).map_err(|error| Unreadable(error.to_string()))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        match self.next() {
            Value::Bytes(bytes) => <[u8; N]>::try_from(bytes)
                .map_err(|bytes| Unreadable(format!("{} bytes, not {N}", bytes.len()))),
            other => Err(Unreadable(format!("{other:?} are no bytes"))),
        }
    }
}
