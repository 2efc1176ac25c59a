//! Reading what a server answers.

use redis::Value;

use crate::error::Failure;

/// The text of a reply; none where it is nothing.
pub(crate) fn optional_text(value: Value) -> Result<Option<String>, Failure> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => {
            let text = String::from_utf8(bytes);
            text.map(Some).map_err(|_| Failure::corrupt("the server's answer is not UTF-8"))
        }
        Value::SimpleString(text) => Ok(Some(text)),
        Value::Int(number) => Ok(Some(number.to_string())),
        other => Err(unexpected("text", &other)),
    }
}

pub(crate) fn text(value: Value) -> Result<String, Failure> {
    optional_text(value)?
        .ok_or_else(|| Failure::corrupt("the server answered nothing where a text was expected"))
}

pub(crate) fn bytes(value: Value) -> Result<Vec<u8>, Failure> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => Err(unexpected("a string", &other)),
    }
}

pub(crate) fn list(value: Value) -> Result<Vec<Value>, Failure> {
    match value {
        Value::Array(values) | Value::Set(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        other => Err(unexpected("a list", &other)),
    }
}

/// A list of a known length.
pub(crate) fn tuple<const N: usize>(value: Value) -> Result<[Value; N], Failure> {
    let values = list(value)?;
    let length = values.len();
    values
        .try_into()
        .map_err(|_| Failure::corrupt(format!("the server answered {length} values instead of {N}")))
}

pub(crate) fn number(text: &str) -> Result<u64, Failure> {
    text.parse().map_err(|_| Failure::corrupt(format!("{text:?} is not a number")))
}

fn unexpected(what: &str, value: &Value) -> Failure {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "a number",
        Value::BulkString(_) | Value::SimpleString(_) => "text",
        Value::Array(_) | Value::Set(_) => "a list",
        _ => "something else",
    };
    Failure::corrupt(format!("the server answered {kind} where {what} was expected"))
}
