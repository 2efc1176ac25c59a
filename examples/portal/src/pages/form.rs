//! Forms: what was typed, what is wrong with it, and the message beside the field.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::str::FromStr;

use axum::Form as UrlEncoded;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use memc_core::fleet::SubmitError;
use memc_core::ledger::{Command, Order, WhyNot};
use memc_core::model::{Mib, RequestId};

use super::failure::{Failure, status_of};
use super::refusal::{field_of, submit_error};
use super::visit::Member;
use crate::locale::{Text, grouped, text};

/// The fields of a form as they were sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields(BTreeMap<String, String>);

impl Fields {
    pub(super) async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Self, Failure> {
        let fields = UrlEncoded::<Vec<(String, String)>>::from_request(request, state).await;
        fields.map(|UrlEncoded(fields)| fields.into()).map_err(|_| Failure::Malformed)
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Fill a field in.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// The id that the form was written with, so that sending it twice has one effect.
    pub(super) fn request_id(&self) -> Option<RequestId> {
        RequestId::new(self.get("request_id")).ok()
    }
}

impl From<Vec<(String, String)>> for Fields {
    fn from(fields: Vec<(String, String)>) -> Self {
        Fields(fields.into_iter().collect())
    }
}

/// A form as a page shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct Form {
    fields: Fields,
    errors: BTreeMap<&'static str, Text>,
    /// What is wrong, if it is not one field.
    pub(super) error: Option<Text>,
    /// What was in the way, as far as this person may know.
    pub(super) why: Option<WhyNot>,
    /// To be sent again with the same id: it may have been carried out already.
    again: bool,
}

impl Form {
    /// A form filled in with these.
    pub(super) fn of<V: ToString>(values: impl IntoIterator<Item = (&'static str, V)>) -> Form {
        let fields = values.into_iter().map(|(name, value)| (name.to_owned(), value.to_string()));
        Form { fields: Fields(fields.collect()), ..Form::default() }
    }

    /// A form as it was sent.
    pub(super) fn sent(fields: Fields) -> Form {
        Form { fields, ..Form::default() }
    }

    /// Whether a field was part of the form, filled in or not.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.0.contains_key(name)
    }

    pub(super) fn value(&self, name: &str) -> &str {
        self.fields.get(name)
    }

    /// What is wrong with a field.
    pub(super) fn error_of(&self, name: &str) -> Option<&Text> {
        self.errors.get(name)
    }

    /// Whether nothing is wrong so far.
    pub(super) fn is_fine(&self) -> bool {
        self.errors.is_empty() && self.error.is_none()
    }

    /// The id to send this form with.
    pub(super) fn request_id(&self) -> String {
        match self.fields.request_id() {
            Some(id) if self.again => id.as_str().to_owned(),
            _ => uuid::Uuid::now_v7().to_string(),
        }
    }

    /// Fill a field in.
    pub(super) fn fill(&mut self, name: &str, value: &str) {
        self.fields.set(name, value);
    }

    /// The id it was sent with.
    pub(super) fn sent_id(&self) -> Option<RequestId> {
        self.fields.request_id()
    }

    /// Take one field's value for another.
    pub(super) fn copy(&mut self, from: &str, to: &str) {
        let value = self.fields.get(from).to_owned();
        self.fields.set(to, &value);
    }

    /// Note what is wrong with a field.
    pub(super) fn reject(&mut self, name: &'static str, why: Text) {
        self.errors.entry(name).or_insert(why);
    }

    /// A field's value by its type, or the message beside it.
    pub(super) fn parse<T: FromStr>(&mut self, name: &'static str, rule: &'static str) -> Option<T> {
        let value = self.value(name).trim().parse().ok();
        if value.is_none() {
            let why = if self.value(name).trim().is_empty() { text("field-empty") } else { text(rule) };
            self.reject(name, why);
        }
        value
    }

    /// The same for a field that may stay empty.
    pub(super) fn parse_optional<T: FromStr>(&mut self, name: &'static str, rule: &'static str) -> Option<T> {
        if self.value(name).trim().is_empty() { None } else { self.parse(name, rule) }
    }

    /// A whole number in a range.
    pub(super) fn number(&mut self, name: &'static str, range: RangeInclusive<u64>) -> Option<u64> {
        let number = self.value(name).trim().parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let why = if self.value(name).trim().is_empty() {
                text("field-empty")
            } else {
                text("field-range").arg("least", grouped(*range.start())).arg("most", grouped(*range.end()))
            };
            self.reject(name, why);
        }
        number
    }

    /// A size in a range, MiB.
    pub(super) fn size(&mut self, name: &'static str, range: RangeInclusive<Mib>) -> Option<Mib> {
        let number = self.number(name, range.start().get()..=range.end().get())?;
        Mib::new(number).ok()
    }

    /// A whole number in a range, or nothing; `None` if it is neither.
    pub(super) fn optional_number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<Option<u64>> {
        if self.value(name).trim().is_empty() { Some(None) } else { self.number(name, range).map(Some) }
    }

    /// Why the member's command was not carried out: beside the field it is about, if it is about one.
    pub(super) fn refuse(&mut self, member: &Member, error: &SubmitError) {
        let why = submit_error(error);
        self.again = matches!(error, SubmitError::OutcomeUnknown);
        let SubmitError::Refused(refusal) = error else {
            self.error = Some(why);
            return;
        };
        let admin = member.user().admin;
        self.why = refusal.why().cloned().map(|why| if admin { why } else { why.for_member() });
        match field_of(refusal) {
            Some(field) => self.reject(field, why),
            None if refusal.asks_for_room() && self.why.is_none() => {
                self.error = Some(text("refusal-try-again").arg("refusal", why));
            }
            None => self.error = Some(why),
        }
    }
}

/// Carry a form's command out; where that is refused, the form says why.
pub(super) async fn carry_out(member: &Member, form: &mut Form, command: Command) -> Result<(), StatusCode> {
    let order = Order { actor: member.principal(), request: form.sent_id(), command };
    let submitted: Result<_, SubmitError> = member.visit.app.fleet.submit(order).await;
    submitted.map(|_| ()).map_err(|error| {
        form.refuse(member, &error);
        status_of(&error)
    })
}
