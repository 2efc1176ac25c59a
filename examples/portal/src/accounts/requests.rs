//! Request ids of changes to the accounts, so that a retry has no second effect. The fleet's own are in its ledger.

use super::{Accounts, AccountsError, UserName, now};

/// How long an id is remembered, as in the ledger: 7 days.
const REMEMBERED_SECONDS: i64 = 7 * 24 * 60 * 60;

/// Whether a request came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// It did not.
    First,
    /// It did, and was this one.
    Again,
    /// Its id came with another change.
    Other,
}

impl Accounts {
    /// Note that a user asks for a change under an id, and say whether that is new.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn request(&self, user: &UserName, id: &str, change: &str) -> Result<Asked, AccountsError> {
        let expired = now() - REMEMBERED_SECONDS;
        sqlx::query("DELETE FROM requests WHERE asked_at < ?").bind(expired).execute(&self.pool).await?;
        let noted = sqlx::query(
            "INSERT INTO requests (user_name, id, change, asked_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(user.as_str())
        .bind(id)
        .bind(change)
        .bind(now())
        .execute(&self.pool)
        .await?;
        if noted.rows_affected() > 0 {
            return Ok(Asked::First);
        }
        let before: Option<String> =
            sqlx::query_scalar("SELECT change FROM requests WHERE user_name = ? AND id = ?")
                .bind(user.as_str())
                .bind(id)
                .fetch_optional(&self.pool)
                .await?;
        Ok(if before.as_deref() == Some(change) { Asked::Again } else { Asked::Other })
    }
}
