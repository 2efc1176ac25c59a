//! Logging in, and what follows from it.

use std::net::IpAddr;
use std::time::Duration;

use super::{Accounts, AccountsError, User, UserName, now, secret};

/// A session that is not used for this long ends: 12 hours.
const IDLE: i64 = 12 * 60 * 60;
/// A session ends after this long however it is used: 7 days.
const LONGEST: i64 = 7 * 24 * 60 * 60;
/// How exactly the last use is kept: writing at each request would make reads into writes.
const USE_NOTED_EVERY: i64 = 60;

/// A session that was just begun.
#[derive(Clone)]
pub struct NewSession {
    /// For the browser's cookie. It is kept nowhere else.
    pub token: String,
    /// Whose.
    pub user: User,
}

/// A session in use.
#[derive(Clone)]
pub struct Session {
    /// Whose.
    pub user: User,
    /// What each form of this session carries.
    pub csrf: String,
    /// The session's own token, for ending it.
    pub(crate) token: String,
}

/// No session was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Nobody has that name, or it is not their password: which one is not said.
    #[error("the name or the password is wrong")]
    Wrong,
    /// Too many attempts.
    #[error("too many attempts: try again in {} s", .retry_after.as_secs())]
    Throttled {
        /// When the next attempt may be made.
        retry_after: Duration,
    },
    /// The accounts could not be asked.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
}

impl Accounts {
    /// Begin a session.
    ///
    /// # Errors
    /// See [`LoginError`].
    pub async fn login(&self, name: &str, password: &str, client: IpAddr) -> Result<NewSession, LoginError> {
        // A text that cannot be a name is counted like a wrong name, and costs the same.
        let name = UserName::new(name).ok();
        self.count_attempt(name.as_ref(), client).await?;
        let hash: Option<String> = match &name {
            Some(name) => sqlx::query_scalar("SELECT password_hash FROM users WHERE name = ?")
                .bind(name.as_str())
                .fetch_optional(&self.pool)
                .await
                .map_err(AccountsError::from)?,
            None => None,
        };
        let fits = self.password_fits(password, hash).await?;
        let user = match &name {
            Some(name) if fits => self.user(name).await?,
            _ => None,
        };
        let user = user.ok_or(LoginError::Wrong)?;
        self.forget_attempts(&user.name, client).await?;
        let token = self.begin_session(&user.name).await?;
        Ok(NewSession { token, user })
    }

    async fn begin_session(&self, user: &UserName) -> Result<String, AccountsError> {
        let (token, now) = (secret::random_token("")?, now());
        sqlx::query("DELETE FROM sessions WHERE used_at < ? OR created_at < ?")
            .bind(now - IDLE)
            .bind(now - LONGEST)
            .execute(&self.pool)
            .await?;
        sqlx::query("INSERT INTO sessions (token_hash, user_name, created_at, used_at) VALUES (?, ?, ?, ?)")
            .bind(&secret::hash(&token)[..])
            .bind(user.as_str())
            .bind(now)
            .bind(now)
            .execute(&self.pool)
            .await?;
        Ok(token)
    }

    /// The session of a token; `None` if there is none, or it has ended.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, AccountsError> {
        let (hash, now) = (secret::hash(token), now());
        let row: Option<(String, bool, Option<String>, i64)> = sqlx::query_as(
            "SELECT users.name, users.admin, users.language, sessions.used_at \
             FROM sessions JOIN users ON users.name = sessions.user_name \
             WHERE token_hash = ? AND used_at >= ? AND sessions.created_at >= ?",
        )
        .bind(&hash[..])
        .bind(now - IDLE)
        .bind(now - LONGEST)
        .fetch_optional(&self.pool)
        .await?;
        let Some((name, admin, language, used_at)) = row else {
            return Ok(None);
        };
        if now - used_at >= USE_NOTED_EVERY {
            sqlx::query("UPDATE sessions SET used_at = ? WHERE token_hash = ?")
                .bind(now)
                .bind(&hash[..])
                .execute(&self.pool)
                .await?;
        }
        let user = self.with_teams((name, admin, language)).await?;
        Ok(Some(Session { user, csrf: secret::csrf_of(token), token: token.to_owned() }))
    }

    /// End a session.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn end_session(&self, session: &Session) -> Result<(), AccountsError> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = ?")
            .bind(&secret::hash(&session.token)[..])
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
