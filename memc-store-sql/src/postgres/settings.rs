//! What a PostgreSQL server's settings say about what it acknowledges.

use memc_core::store::Finding;
use sqlx::PgConnection;

use super::Postgres;
use crate::server::{Server, refuse};

#[derive(Debug, Clone, sqlx::FromRow)]
struct Settings {
    fsync: String,
    full_page_writes: String,
    synchronous_commit: String,
    in_recovery: bool,
    default_transaction_read_only: String,
    transaction_read_only: String,
}

pub(super) async fn findings(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let settings = "SELECT current_setting('fsync') AS fsync, \
         current_setting('full_page_writes') AS full_page_writes, \
         current_setting('synchronous_commit') AS synchronous_commit, \
         pg_is_in_recovery() AS in_recovery, \
         current_setting('default_transaction_read_only') AS default_transaction_read_only, \
         current_setting('transaction_read_only') AS transaction_read_only";
    Ok(judge(&sqlx::query_as(settings).fetch_one(connection).await?))
}

pub(super) async fn shown(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let shown = "SELECT concat(current_setting('server_version'), ', fsync ', current_setting('fsync'), \
         ', full_page_writes ', current_setting('full_page_writes'), \
         ', synchronous_commit ', current_setting('synchronous_commit'))";
    sqlx::query_scalar(shown).fetch_one(connection).await
}

fn judge(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut refuse = |setting: &str, is: &str, needed: &str, how: &str| {
        findings.push(refuse(Postgres::KIND, setting, is, needed, how));
    };
    let how = "set it in postgresql.conf, or ALTER SYSTEM, and reload";
    if settings.fsync != "on" {
        refuse("fsync", &settings.fsync, "on", how);
    }
    if settings.full_page_writes != "on" {
        refuse("full_page_writes", &settings.full_page_writes, "on", how);
    }
    if settings.synchronous_commit == "off" {
        let how = "it is set in every session that writes, so something between here and the server drops SET: \
                   connect to the server itself";
        refuse("synchronous_commit", "off", "on", how);
    }
    if settings.in_recovery {
        refuse("in_recovery", "true", "false", "this is a standby: connect to the primary");
    } else if settings.transaction_read_only != "off" || settings.default_transaction_read_only != "off" {
        let how = "ALTER DATABASE or ALTER ROLE … SET it, or set it in postgresql.conf";
        refuse("default_transaction_read_only", "on", "off", how);
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unsafe_setting_is_named() {
        let safe = Settings {
            fsync: "on".into(),
            full_page_writes: "on".into(),
            synchronous_commit: "on".into(),
            in_recovery: false,
            default_transaction_read_only: "off".into(),
            transaction_read_only: "off".into(),
        };
        let codes = |settings: &Settings| -> Vec<String> {
            judge(settings).into_iter().map(|finding| finding.code).collect()
        };
        assert_eq!(codes(&safe), [""; 0]);
        assert_eq!(codes(&Settings { fsync: "off".into(), ..safe.clone() }), ["postgres.fsync"]);
        assert_eq!(
            codes(&Settings {
                synchronous_commit: "off".into(),
                full_page_writes: "off".into(),
                ..safe.clone()
            }),
            ["postgres.full_page_writes", "postgres.synchronous_commit"]
        );
        let standby = Settings { in_recovery: true, transaction_read_only: "on".into(), ..safe.clone() };
        assert_eq!(codes(&standby), ["postgres.in_recovery"]);
        let read_only = Settings { default_transaction_read_only: "on".into(), ..safe };
        assert_eq!(codes(&read_only), ["postgres.default_transaction_read_only"]);
    }
}
