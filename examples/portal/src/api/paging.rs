//! Lists come in pages: `?limit=` items at a time, from `?cursor=` on.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::input::parse;
use crate::problem::Problem;

const LONGEST: u16 = 1000;
const USUAL: u16 = 100;

/// A page of a list.
#[derive(Serialize)]
pub(super) struct Listing<T> {
    items: Vec<T>,
    /// Give this as `cursor` to get the next page; none after the last.
    next_cursor: Option<String>,
}

impl<T> Listing<T> {
    pub(super) fn items_mut(&mut self) -> &mut [T] {
        &mut self.items
    }
}

/// Which page is wanted, where a list has no other parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<u16>,
    cursor: Option<String>,
}

impl Page {
    pub(super) fn wanted<K>(&self) -> Result<Wanted<K>, Problem>
    where
        K: FromStr<Err: std::fmt::Display>,
    {
        Wanted::new(self.limit, self.cursor.as_deref())
    }
}

/// Which page is wanted: how many items, and the key of the one before it.
pub(super) struct Wanted<K> {
    pub(super) limit: usize,
    pub(super) after: Option<K>,
}

impl<K> Wanted<K> {
    pub(super) fn new(limit: Option<u16>, cursor: Option<&str>) -> Result<Self, Problem>
    where
        K: FromStr<Err: std::fmt::Display>,
    {
        let limit = limit.unwrap_or(USUAL);
        if !(1..=LONGEST).contains(&limit) {
            return Err(Problem::invalid(format!("limit must be from 1 to {LONGEST}")));
        }
        Ok(Wanted { limit: limit.into(), after: parse("cursor", cursor)? })
    }

    /// The wanted page of `items`, which are in the order of their keys and begin after the wanted one.
    pub(super) fn of<I, T>(
        &self,
        items: impl Iterator<Item = I>,
        key: impl Fn(&I) -> String,
        show: impl Fn(I) -> T,
    ) -> Listing<T> {
        let mut found: Vec<I> = items.take(self.limit + 1).collect();
        let more = found.len() > self.limit;
        found.truncate(self.limit);
        let next_cursor = found.last().filter(|_| more).map(key);
        Listing { items: found.into_iter().map(show).collect(), next_cursor }
    }
}
