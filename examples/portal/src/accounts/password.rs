//! Passwords: argon2id, off the runtime's threads.

use std::sync::OnceLock;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

use super::{Accounts, AccountsError};

pub(super) const SHORTEST: usize = 8;
pub(super) const LONGEST: usize = 1024;

impl Accounts {
    /// The argon2id hash of a password, as a PHC string.
    pub(super) async fn hash_password(&self, password: &str) -> Result<String, AccountsError> {
        if !(SHORTEST..=LONGEST).contains(&password.len()) {
            return Err(AccountsError::Password);
        }
        let password = password.to_owned();
        self.off_thread(move || hash(&password)).await?
    }

    /// Whether this is the password of that hash. Without a hash (nobody has that name) the same work is done and the
    /// answer is no, so that the time taken does not tell which names exist.
    pub(super) async fn password_fits(
        &self,
        password: &str,
        hash: Option<String>,
    ) -> Result<bool, AccountsError> {
        let known = hash.is_some();
        let password: String = password.chars().take(LONGEST).collect();
        self.off_thread(move || {
            let hash = hash.map_or_else(nobodys_hash, Ok)?;
            Ok(Argon2::default().verify_password(password.as_bytes(), hash.as_str()).is_ok() && known)
        })
        .await?
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AccountsError> {
        let failed = |error: &dyn std::fmt::Display| AccountsError::Secret(error.to_string());
        let permit = self.hashing.clone().acquire_owned().await.map_err(|error| failed(&error))?;
        // The permit goes along: a caller that gives up does not make room for another while this still computes.
        let work = move || {
            let result = work();
            drop(permit);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))
    }
}

fn hash(password: &str) -> Result<String, AccountsError> {
    match Argon2::default().hash_password(password.as_bytes()) {
        Ok(hash) => Ok(hash.to_string()),
        Err(error) => Err(AccountsError::Secret(error.to_string())),
    }
}

fn nobodys_hash() -> Result<String, AccountsError> {
    static HASH: OnceLock<String> = OnceLock::new();
    if let Some(hash) = HASH.get() {
        return Ok(hash.clone());
    }
    let fresh = hash(&super::secret::random_token("")?)?;
    Ok(HASH.get_or_init(|| fresh).clone())
}
