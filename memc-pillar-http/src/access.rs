//! Who may read pillars.

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use axum::http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::problem::Problem;

/// The verifier could not tell (its database is away, say); the request is answered 503.
#[derive(Debug, thiserror::Error)]
#[error("the token could not be checked: {0}")]
pub struct VerifyError(pub Box<dyn std::error::Error + Send + Sync>);

/// Says whether a bearer token may read pillars.
pub trait Verify: Send + Sync + 'static {
    /// Whether this token is valid now. Compare hashes, in constant time.
    fn verify<'a>(
        &'a self,
        token: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<bool, VerifyError>> + Send + 'a>>;
}

/// A token that could be guessed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pillar token must have at least 20 printable ASCII characters")]
pub struct WeakToken;

/// A fixed set of tokens, kept as SHA-256 hashes. Several are valid at once, so that they can be changed one place at
/// a time.
#[derive(Clone)]
pub struct Tokens(Vec<[u8; 32]>);

impl Tokens {
    /// # Errors
    /// [`WeakToken`] if one is shorter than 20 characters or has others than printable ASCII.
    pub fn new<T: AsRef<str>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, WeakToken> {
        let hash = |token: T| {
            let token = token.as_ref();
            let strong = token.len() >= 20 && token.bytes().all(|byte| (0x20..=0x7e).contains(&byte));
            strong.then(|| Sha256::digest(token.as_bytes()).into()).ok_or(WeakToken)
        };
        tokens.into_iter().map(hash).collect::<Result<_, _>>().map(Tokens)
    }

    /// From the SHA-256 hashes of tokens.
    #[must_use]
    pub fn from_hashes(hashes: Vec<[u8; 32]>) -> Self {
        Tokens(hashes)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Verify for Tokens {
    fn verify<'a>(
        &'a self,
        token: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<bool, VerifyError>> + Send + 'a>> {
        let given: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        // Every hash is compared, whichever fits.
        let valid = self.0.iter().fold(Choice::from(0), |valid, hash| valid | hash.ct_eq(&given));
        Box::pin(std::future::ready(Ok(valid.into())))
    }
}

/// The address is not of this machine alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pillars without a token are for loopback only, and {0} can be reached from elsewhere: use a token")]
pub struct NotLoopback(pub SocketAddr);

/// Who may read pillars.
#[derive(Clone)]
pub struct Access(Option<Arc<dyn Verify>>);

impl Access {
    /// Who has a token that this verifier accepts.
    pub fn tokens(verifier: impl Verify) -> Self {
        Access(Some(Arc::new(verifier)))
    }

    /// Everyone, on a server that listens on loopback.
    ///
    /// # Errors
    /// [`NotLoopback`] if others could connect to that address.
    pub fn open_on_loopback(listen: SocketAddr) -> Result<Self, NotLoopback> {
        if listen.ip().to_canonical().is_loopback() { Ok(Access(None)) } else { Err(NotLoopback(listen)) }
    }

    /// Everyone who can connect, from wherever. Pillars name hosts, ports and sizes.
    #[must_use]
    pub fn open_to_everyone() -> Self {
        Access(None)
    }

    pub(crate) async fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let Some(verifier) = &self.0 else { return Ok(()) };
        let denied = || {
            let detail = "send a valid pillar token: Authorization: Bearer TOKEN";
            Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
        };
        let value =
            headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(denied)?;
        let (scheme, token) = value.split_once(' ').ok_or_else(denied)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(denied());
        }
        match verifier.verify(token.trim()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(denied()),
            Err(error) => {
                tracing::warn!(%error, "a pillar token could not be checked");
                let detail = "the token could not be checked: ask again";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
            }
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Access(tokens)" } else { "Access(open)" })
    }
}
