//! Bearer tokens: personal ones for the API, and ones for Salt masters that read pillars.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use subtle::{Choice, ConstantTimeEq};

use super::{Accounts, AccountsError, User, UserName, now, secret};

/// How old the pillar tokens in memory may be: a revoked one is refused after this long.
const REMEMBERED: Duration = Duration::from_secs(2);

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenKind {
    /// To act as a user through the API.
    User(UserName),
    /// To read pillars.
    Pillar,
}

/// A token that was just made.
#[derive(Clone)]
pub struct NewToken {
    /// What names it from now on.
    pub id: String,
    /// The token. It is kept nowhere else: show it once.
    pub token: String,
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenInfo {
    /// What names it.
    pub id: String,
    /// What it is for.
    pub kind: TokenKind,
    /// What its owner calls it; may be empty.
    pub label: String,
    /// When it was made, seconds since 1970.
    pub created_at: i64,
}

/// The hashes of pillar tokens, so that a fetch does not ask the database.
#[derive(Debug, Default)]
pub(super) struct PillarTokens(Mutex<Option<(Instant, Vec<[u8; 32]>)>>);

impl Accounts {
    /// Make a token with which a program acts as this user.
    ///
    /// # Errors
    /// Nobody has that name, or the label is longer than 100 characters.
    pub async fn create_user_token(&self, user: &UserName, label: &str) -> Result<NewToken, AccountsError> {
        self.create_token("memcu_", Some(user), label).await
    }

    /// Make a token with which a Salt master reads pillars.
    ///
    /// # Errors
    /// The label is longer than 100 characters.
    pub async fn create_pillar_token(&self, label: &str) -> Result<NewToken, AccountsError> {
        let made = self.create_token("memcp_", None, label).await;
        self.pillar_tokens.forget();
        made
    }

    async fn create_token(
        &self,
        prefix: &str,
        user: Option<&UserName>,
        label: &str,
    ) -> Result<NewToken, AccountsError> {
        if label.chars().count() > 100 || label.chars().any(char::is_control) {
            return Err(AccountsError::Label);
        }
        let token = secret::random_token(prefix)?;
        let id: String = secret::random_token("")?.chars().take(12).collect();
        let made = sqlx::query(
            "INSERT INTO api_tokens (id, token_hash, kind, user_name, label, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&id)
        .bind(&secret::hash(&token)[..])
        .bind(if user.is_some() { "user" } else { "pillar" })
        .bind(user.map(UserName::as_str))
        .bind(label)
        .bind(now())
        .execute(&self.pool)
        .await;
        match (made, user) {
            (Err(sqlx::Error::Database(error)), Some(user)) if error.is_foreign_key_violation() => {
                Err(AccountsError::NoSuchUser(user.clone()))
            }
            (made, _) => made.map(|_| NewToken { id, token }).map_err(AccountsError::from),
        }
    }

    /// A user's tokens, newest first; everyone's and the pillar's for `None`.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn tokens_of(&self, user: Option<&UserName>) -> Result<Vec<TokenInfo>, AccountsError> {
        let rows: Vec<(String, Option<String>, String, i64)> = sqlx::query_as(
            "SELECT id, user_name, label, created_at FROM api_tokens \
             WHERE ?1 IS NULL OR user_name = ?1 ORDER BY created_at DESC, id",
        )
        .bind(user.map(UserName::as_str))
        .fetch_all(&self.pool)
        .await?;
        let info = |(id, user, label, created_at): (String, Option<String>, String, i64)| {
            let kind = match user {
                Some(user) => {
                    TokenKind::User(UserName::new(&user).map_err(|error| sqlx::Error::Decode(error.into()))?)
                }
                None => TokenKind::Pillar,
            };
            Ok(TokenInfo { id, kind, label, created_at })
        };
        rows.into_iter().map(info).collect()
    }

    /// Revoke a token by its id: only this user's, or anyone's for `None`. Whether there was one.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn revoke_token(&self, user: Option<&UserName>, id: &str) -> Result<bool, AccountsError> {
        let revoked = sqlx::query("DELETE FROM api_tokens WHERE id = ?1 AND (?2 IS NULL OR user_name = ?2)")
            .bind(id)
            .bind(user.map(UserName::as_str))
            .execute(&self.pool)
            .await?;
        self.pillar_tokens.forget();
        Ok(revoked.rows_affected() > 0)
    }

    /// The user that a token lets act; `None` if it is not valid.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn user_of_token(&self, token: &str) -> Result<Option<User>, AccountsError> {
        // Found by its hash: how long the search takes says nothing about a token that is not known already.
        let row = sqlx::query_as(
            "SELECT users.name, users.admin, users.language \
             FROM api_tokens JOIN users ON users.name = api_tokens.user_name \
             WHERE token_hash = ? AND kind = 'user'",
        )
        .bind(&secret::hash(token)[..])
        .fetch_optional(&self.pool)
        .await?;
        match row {
            Some(row) => Ok(Some(self.with_teams(row).await?)),
            None => Ok(None),
        }
    }

    /// Whether a token lets its bearer read pillars. The answer may be 2 seconds old.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn is_pillar_token(&self, token: &str) -> Result<bool, AccountsError> {
        let given = secret::hash(token);
        if let Some(valid) = self.pillar_tokens.find(&given) {
            return Ok(valid);
        }
        let hashes: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT token_hash FROM api_tokens WHERE kind = 'pillar'")
                .fetch_all(&self.pool)
                .await?;
        let hashes = hashes.into_iter().filter_map(|hash| hash.try_into().ok()).collect();
        Ok(self.pillar_tokens.remember(hashes, &given))
    }
}

impl PillarTokens {
    /// Whether a hash is among those remembered; `None` if they are too old to say.
    fn find(&self, given: &[u8; 32]) -> Option<bool> {
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, hashes) = remembered.as_ref()?;
        (at.elapsed() < REMEMBERED).then(|| contains(hashes, given))
    }

    fn remember(&self, hashes: Vec<[u8; 32]>, given: &[u8; 32]) -> bool {
        let valid = contains(&hashes, given);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), hashes));
        valid
    }

    fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Every hash is compared, whichever fits.
fn contains(hashes: &[[u8; 32]], given: &[u8; 32]) -> bool {
    hashes.iter().fold(Choice::from(0), |found, hash| found | hash.ct_eq(given)).into()
}
