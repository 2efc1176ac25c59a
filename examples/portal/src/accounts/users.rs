//! Users.

use std::collections::{BTreeMap, BTreeSet};

use memc_core::model::TeamName;

use super::{Accounts, AccountsError, User, UserName, now};

type Row = (String, bool, Option<String>);

impl Accounts {
    /// Create a user.
    ///
    /// # Errors
    /// The name is taken, or the password too short or too long.
    pub async fn create_user(
        &self,
        name: &UserName,
        password: &str,
        admin: bool,
    ) -> Result<(), AccountsError> {
        let hash = self.hash_password(password).await?;
        let inserted = sqlx::query(
            "INSERT INTO users (name, password_hash, admin, created_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(name.as_str())
        .bind(hash)
        .bind(admin)
        .bind(now())
        .execute(&self.pool)
        .await?;
        if inserted.rows_affected() == 0 { Err(AccountsError::UserExists(name.clone())) } else { Ok(()) }
    }

    /// Give a user another password. Their sessions end; their tokens stay.
    ///
    /// # Errors
    /// Nobody has that name, or the password is too short or too long.
    pub async fn set_password(&self, name: &UserName, password: &str) -> Result<(), AccountsError> {
        let hash = self.hash_password(password).await?;
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let updated = sqlx::query("UPDATE users SET password_hash = ? WHERE name = ?")
            .bind(hash)
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await?;
        if updated.rows_affected() == 0 {
            return Err(AccountsError::NoSuchUser(name.clone()));
        }
        sqlx::query("DELETE FROM sessions WHERE user_name = ?")
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Note the language that a user chose; `None` for the browser's.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn set_language(&self, name: &UserName, language: Option<&str>) -> Result<(), AccountsError> {
        sqlx::query("UPDATE users SET language = ? WHERE name = ?")
            .bind(language)
            .bind(name.as_str())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Remove a user, their memberships, sessions and tokens.
    ///
    /// # Errors
    /// Nobody has that name.
    pub async fn remove_user(&self, name: &UserName) -> Result<(), AccountsError> {
        let removed =
            sqlx::query("DELETE FROM users WHERE name = ?").bind(name.as_str()).execute(&self.pool).await?;
        if removed.rows_affected() == 0 { Err(AccountsError::NoSuchUser(name.clone())) } else { Ok(()) }
    }

    /// A user; `None` if nobody has that name.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn user(&self, name: &UserName) -> Result<Option<User>, AccountsError> {
        let row: Option<Row> = sqlx::query_as("SELECT name, admin, language FROM users WHERE name = ?")
            .bind(name.as_str())
            .fetch_optional(&self.pool)
            .await?;
        match row {
            Some(row) => Ok(Some(self.with_teams(row).await?)),
            None => Ok(None),
        }
    }

    /// Every user, by name.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn users(&self) -> Result<Vec<User>, AccountsError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT name, admin, language FROM users ORDER BY name")
            .fetch_all(&self.pool)
            .await?;
        let members: Vec<(String, String)> =
            sqlx::query_as("SELECT user_name, team FROM members").fetch_all(&self.pool).await?;
        let mut teams: BTreeMap<String, BTreeSet<TeamName>> = BTreeMap::new();
        for (user, team) in members {
            if let Ok(team) = TeamName::new(&team) {
                teams.entry(user).or_default().insert(team);
            }
        }
        rows.into_iter().map(|row| user_of(row.clone(), teams.remove(&row.0).unwrap_or_default())).collect()
    }

    pub(super) async fn with_teams(&self, row: Row) -> Result<User, AccountsError> {
        let teams: Vec<String> = sqlx::query_scalar("SELECT team FROM members WHERE user_name = ?")
            .bind(&row.0)
            .fetch_all(&self.pool)
            .await?;
        user_of(row, teams.iter().filter_map(|team| TeamName::new(team).ok()).collect())
    }
}

fn user_of((name, admin, language): Row, teams: BTreeSet<TeamName>) -> Result<User, AccountsError> {
    let name = UserName::new(&name).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(User { name, admin, language, teams })
}
