//! Names: validated once, where they come in, and trusted from there on.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that is no name of its kind. The message says what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {kind}: {rule}")]
pub struct InvalidName {
    /// What it should have been: "host name", "cache name", …
    pub kind: &'static str,
    /// The first 80 characters of what was given.
    pub value: String,
    /// The rule, for people.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            #[doc = concat!("# Errors\n[`InvalidName`] unless it is ", $rule, ".")]
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok($name(text.into()))
                } else {
                    Err(InvalidName { kind: $kind, value: text.chars().take(80).collect(), rule: $rule })
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                $name::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                $name::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
    };
}

name! {
    /// A host: exactly its Salt minion id. Compared byte for byte; a fleet refuses a second name that differs from
    /// one it has only in case, since people and file systems would confuse the two.
    HostName, "host name", "1 to 253 of A-Z a-z 0-9 . _ - that start with a letter or digit", |text| {
        (1..=253).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    }
}

name! {
    /// A cluster that users choose from.
    ClusterName, "cluster name", "1 to 40 of a-z 0-9 - that start and end with a letter or digit", |text| slug(text, 40)
}

name! {
    /// A team.
    TeamName, "team name", "1 to 40 of a-z 0-9 - that start and end with a letter or digit", |text| slug(text, 40)
}

name! {
    /// A cache within its team.
    CacheName, "cache name", "1 to 40 of a-z 0-9 - that start and end with a letter or digit", |text| slug(text, 40)
}

name! {
    /// A rack, or whatever else fails as one: hosts with the same text fail together.
    Rack, "rack", "1 to 64 of A-Z a-z 0-9 . _ - / that start with a letter or digit", |text| {
        (1..=64).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
    }
}

name! {
    /// Who acts, for the record and for the scope of request ids: `user:alice`, `observer:portal-1`.
    Principal, "principal", "1 to 128 printable ASCII characters", |text| printable_ascii(text, 128)
}

name! {
    /// A caller's own id of a request, so that a retry has no second effect.
    RequestId, "request id", "1 to 128 printable ASCII characters", |text| printable_ascii(text, 128)
}

name! {
    /// Why an operator states something, for the record. Never reaches a host.
    Reason, "reason", "1 to 500 characters on one line, not only spaces", |text| {
        !text.trim().is_empty() && text.chars().count() <= 500 && !text.chars().any(char::is_control)
    }
}

fn slug(text: &str, longest: usize) -> bool {
    let outer = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=longest).contains(&text.len())
        && text.starts_with(outer)
        && text.ends_with(outer)
        && text.chars().all(|c| outer(c) || c == '-')
}

fn printable_ascii(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len()) && text.bytes().all(|b| (0x21..=0x7e).contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_minion_ids() {
        for good in ["m1.example.com", "M1", "10.0.0.1", "a_b-c"] {
            assert_eq!(HostName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-m", "a/b", "a b", "a\n", "ä", "$(x)", &"a".repeat(254)] {
            assert!(HostName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn slugs() {
        for good in ["a", "0", "web-1", &"a".repeat(40)] {
            assert!(CacheName::new(good).is_ok(), "{good:?}");
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "../x", &"a".repeat(41)] {
            assert!(CacheName::new(bad).is_err(), "{bad:?}");
        }
        assert!(serde_json::from_str::<TeamName>("\"a b\"").is_err());
    }

    #[test]
    fn reasons_are_one_line() {
        assert!(Reason::new("rack 3 lost power, 停电").is_ok());
        assert!(Reason::new("a\nb").is_err());
        assert!(Reason::new("   ").is_err());
    }
}
