//! Why a store could not be opened, and what can become of a command.

use std::error::Error;

use memc_core::store::StoreError;

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL names no server that this crate can keep a ledger on. Says nothing of what the URL contains.
    #[error("the store's URL is not usable: {0}")]
    Url(&'static str),
    /// No server answers, or what it holds is not what it should be.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What became of a command that has no answer to show.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was surely not carried out: nobody could be reached, or the server turned it away.
    Away(Box<dyn Error + Send + Sync>),
    /// The connection broke, or the answer did not come in time: perhaps it was carried out.
    Lost(Box<dyn Error + Send + Sync>),
    /// The server answered with an error that is none of those.
    Refused(redis::RedisError),
    /// The answer, or what is stored, cannot be.
    Corrupt(Box<dyn Error + Send + Sync>),
}

impl Failure {
    /// For operations that append nothing.
    pub(crate) fn reading(self, operation: &'static str) -> StoreError {
        match self {
            Failure::Away(source) | Failure::Lost(source) => StoreError::unavailable(operation, source),
            Failure::Refused(source) => StoreError::corrupt(operation, source),
            Failure::Corrupt(source) => StoreError::corrupt(operation, source),
        }
    }

    pub(crate) fn corrupt(what: impl Into<String>) -> Self {
        Failure::Corrupt(what.into().into())
    }
}
