//! Bodies, paths and queries, with problems for what cannot be read.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use axum::Json;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::from_request(request, state).await {
            Ok(Json(Object(body))) => Ok(Body(body)),
            Err(rejection) => Err(explain(rejection)),
        }
    }
}

/// A JSON object. Derived types would take an array of their fields as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(fields))
            }
        }
        deserializer.deserialize_map(Fields(PhantomData)).map(Object)
    }
}

fn explain(rejection: JsonRejection) -> Problem {
    match rejection {
        // JSON, but not what this path takes: a field too many or too few, or a value outside its range.
        JsonRejection::JsonDataError(error) => Problem::invalid(cause(&error)),
        JsonRejection::MissingJsonContentType(_) => Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send JSON, with Content-Type: application/json",
        ),
        JsonRejection::BytesRejection(BytesRejection::FailedToBufferBody(error))
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE =>
        {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the body is too long")
        }
        JsonRejection::JsonSyntaxError(error) => {
            Problem::malformed(format!("this is no JSON: {}", cause(&error)))
        }
        other => Problem::malformed(other.body_text()),
    }
}

/// The innermost error: what serde_json says about the place and the value.
fn cause(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A query string.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Params(params)),
            Err(rejection) => {
                Err(Problem::malformed(format!("the query cannot be read: {}", cause(&rejection))))
            }
        }
    }
}

/// The names in a path. What cannot be a name is the name of nothing.
pub(super) struct Names<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Names<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(names)) => Ok(Names(names)),
            Err(_) => Err(Problem::not_found("such object: its name could not be one")),
        }
    }
}

/// A value in a query, where there is one.
pub(super) fn parse<T>(field: &str, text: Option<&str>) -> Result<Option<T>, Problem>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let parsed = text.map(T::from_str).transpose();
    parsed.map_err(|error| Problem::invalid(format!("{field}: {error}")))
}

/// A field that tells "set it to nothing" from "leave it as it is".
pub(super) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}
