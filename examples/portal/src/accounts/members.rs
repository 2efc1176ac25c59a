//! Who is in which team.

use memc_core::model::TeamName;

use super::{Accounts, AccountsError, UserName};

impl Accounts {
    /// The teams that a user is in, by name.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn teams_of(&self, user: &UserName) -> Result<Vec<TeamName>, AccountsError> {
        let teams: Vec<String> =
            sqlx::query_scalar("SELECT team FROM members WHERE user_name = ? ORDER BY team")
                .bind(user.as_str())
                .fetch_all(&self.pool)
                .await?;
        Ok(teams.iter().filter_map(|team| TeamName::new(team).ok()).collect())
    }

    /// The users in a team, by name.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn members_of(&self, team: &TeamName) -> Result<Vec<UserName>, AccountsError> {
        let users: Vec<String> =
            sqlx::query_scalar("SELECT user_name FROM members WHERE team = ? ORDER BY user_name")
                .bind(team.as_str())
                .fetch_all(&self.pool)
                .await?;
        Ok(users.iter().filter_map(|user| UserName::new(user).ok()).collect())
    }

    /// Put a user in a team; nothing happens if they are in it. The team need not exist in the fleet.
    ///
    /// # Errors
    /// Nobody has that name.
    pub async fn add_member(&self, team: &TeamName, user: &UserName) -> Result<(), AccountsError> {
        let added = sqlx::query("INSERT INTO members (team, user_name) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(team.as_str())
            .bind(user.as_str())
            .execute(&self.pool)
            .await;
        match added {
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                Err(AccountsError::NoSuchUser(user.clone()))
            }
            added => added.map(|_| ()).map_err(AccountsError::from),
        }
    }

    /// Take a user out of a team. Whether they were in it.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn remove_member(&self, team: &TeamName, user: &UserName) -> Result<bool, AccountsError> {
        let removed = sqlx::query("DELETE FROM members WHERE team = ? AND user_name = ?")
            .bind(team.as_str())
            .bind(user.as_str())
            .execute(&self.pool)
            .await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Take everyone out of a team that was removed from the fleet: a later team of that name is another one.
    ///
    /// # Errors
    /// The database did not answer.
    pub async fn remove_members_of(&self, team: &TeamName) -> Result<(), AccountsError> {
        sqlx::query("DELETE FROM members WHERE team = ?").bind(team.as_str()).execute(&self.pool).await?;
        Ok(())
    }
}
