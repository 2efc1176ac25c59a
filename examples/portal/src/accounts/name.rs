//! Names of users.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use memc_core::model::Principal;
use serde::{Deserialize, Serialize};

/// A text that is no user name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no user name: take 1 to 64 of a-z 0-9 . _ - that start with a letter or digit")]
pub struct InvalidUserName(String);

/// A user's name: 1 to 64 of `a-z 0-9 . _ -`, starting with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UserName(Arc<str>);

impl UserName {
    /// # Errors
    /// [`InvalidUserName`] unless it follows the rule.
    pub fn new(text: &str) -> Result<Self, InvalidUserName> {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        let starts =
            text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if starts && text.len() <= 64 && text.bytes().all(inner) {
            Ok(UserName(text.into()))
        } else {
            Err(InvalidUserName(text.chars().take(80).collect()))
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Who acts, as the ledger records it: `user:<name>`.
    #[must_use]
    pub fn principal(&self) -> Principal {
        // At most 69 printable ASCII characters, which a principal may have.
        Principal::new(&format!("user:{}", self.0)).unwrap_or_else(|_| unreachable!())
    }
}

impl FromStr for UserName {
    type Err = InvalidUserName;
    fn from_str(text: &str) -> Result<Self, InvalidUserName> {
        UserName::new(text)
    }
}

impl TryFrom<String> for UserName {
    type Error = InvalidUserName;
    fn try_from(text: String) -> Result<Self, InvalidUserName> {
        UserName::new(&text)
    }
}

impl From<UserName> for String {
    fn from(name: UserName) -> String {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_names() {
        let longest = "a".repeat(64);
        for good in ["a", "0", "li.wei", "o_brien-2", &longest] {
            assert_eq!(UserName::new(good).unwrap().principal().as_str(), format!("user:{good}"));
        }
        for bad in ["", ".a", "-a", "A", "a b", "a/b", "ä", "a\n", &"a".repeat(65)] {
            assert!(UserName::new(bad).is_err(), "{bad:?}");
        }
    }
}
