//! How often somebody may try to log in.
//!
//! An attempt is counted before the password is looked at, so that a burst at once gets no further than one after the
//! other. Counters are kept by name and address together (few), by address and by name (more: whoever shares an
//! address, or is attacked from elsewhere, should still get in). They are in the database, so that all processes
//! count together and a restart forgives nothing.

use std::net::IpAddr;
use std::time::Duration;

use super::{Accounts, AccountsError, LoginError, UserName, now};

/// Seconds for which attempts are counted together.
const WINDOW: i64 = 15 * 60;
const MOST_BY_PAIR: i64 = 10;
const MOST_BY_ADDRESS: i64 = 100;
const MOST_BY_NAME: i64 = 200;
/// Counters kept at most: beyond that the ones that end first make room.
const MOST_COUNTERS: i64 = 100_000;

impl Accounts {
    /// Count an attempt, or say that there were too many.
    pub(super) async fn count_attempt(
        &self,
        name: Option<&UserName>,
        client: IpAddr,
    ) -> Result<(), LoginError> {
        let now = now();
        let mut wait = 0;
        for (subject, most) in subjects(name, client) {
            let (attempts, until) = self.count(&subject, now).await?;
            if attempts > most {
                wait = wait.max(until - now);
            }
        }
        if wait > 0 {
            let retry_after = Duration::from_secs(u64::try_from(wait).unwrap_or(1));
            return Err(LoginError::Throttled { retry_after });
        }
        Ok(())
    }

    async fn count(&self, subject: &str, now: i64) -> Result<(i64, i64), AccountsError> {
        // Attempts beyond the limit do not lengthen the wait.
        let counted = sqlx::query_as(
            "INSERT INTO login_attempts (subject, attempts, until) VALUES (?1, 1, ?2 + ?3) \
             ON CONFLICT (subject) DO UPDATE SET \
                 attempts = CASE WHEN until <= ?2 THEN 1 ELSE attempts + 1 END, \
                 until = CASE WHEN until <= ?2 THEN ?2 + ?3 ELSE until END \
             RETURNING attempts, until",
        )
        .bind(subject)
        .bind(now)
        .bind(WINDOW)
        .fetch_one(&self.pool)
        .await?;
        if counted == (1, now + WINDOW) {
            self.make_room(now).await?;
        }
        Ok(counted)
    }

    async fn make_room(&self, now: i64) -> Result<(), AccountsError> {
        sqlx::query(
            "DELETE FROM login_attempts WHERE until <= ?1 OR subject IN ( \
                 SELECT subject FROM login_attempts ORDER BY until \
                 LIMIT max(0, (SELECT count(*) FROM login_attempts) - ?2))",
        )
        .bind(now)
        .bind(MOST_COUNTERS)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Who got in has not been guessing: take back what their attempts counted.
    pub(super) async fn forget_attempts(&self, name: &UserName, client: IpAddr) -> Result<(), AccountsError> {
        let [(pair, _), (address, _), (by_name, _)] = subjects(Some(name), client);
        sqlx::query("DELETE FROM login_attempts WHERE subject = ?").bind(pair).execute(&self.pool).await?;
        sqlx::query("UPDATE login_attempts SET attempts = max(0, attempts - 1) WHERE subject IN (?, ?)")
            .bind(address)
            .bind(by_name)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// What an attempt counts for, and how many of it there may be.
fn subjects(name: Option<&UserName>, client: IpAddr) -> [(String, i64); 3] {
    // Texts that cannot be a name are one subject: there is nobody to guess.
    let name = name.map_or("?", UserName::as_str);
    let client = neighbourhood(client);
    [
        (format!("pair:{name}@{client}"), MOST_BY_PAIR),
        (format!("address:{client}"), MOST_BY_ADDRESS),
        (format!("name:{name}"), if name == "?" { i64::MAX } else { MOST_BY_NAME }),
    ]
}

/// One client: an IPv4 address, or the /64 that an IPv6 client has to itself.
fn neighbourhood(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_client_is_one_neighbourhood() {
        let of = |text: &str| neighbourhood(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3::1"), of("2001:db8:1:2:ffff::2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    }
}
