//! What a MariaDB server's settings say about what it acknowledges.

use std::collections::HashMap;

use memc_core::store::{Finding, Severity};
use sqlx::{AssertSqlSafe, MySqlConnection};

use super::MySql;
use crate::server::{Server, refuse};
use crate::table::TABLES;

/// Those that are looked at. Not every server has every one.
const NAMES: &str = "'innodb_flush_log_at_trx_commit', 'innodb_doublewrite', 'sql_mode', 'wsrep_on', 'log_bin', \
                     'sync_binlog', 'read_only', 'super_read_only', 'innodb_read_only', 'max_allowed_packet'";

/// In bytes; what servers have where nothing else is said. A commit is at most a little smaller.
const PACKET: u64 = 16 << 20;

#[derive(Debug, Clone, Default)]
struct Settings {
    variables: HashMap<String, String>,
    /// Tables of the ledger that another engine keeps.
    other_engines: Vec<(String, String)>,
}

pub(super) async fn findings(connection: &mut MySqlConnection) -> Result<Vec<Finding>, sqlx::Error> {
    let variables = format!("SHOW VARIABLES WHERE variable_name IN ({NAMES})");
    let variables: Vec<(String, String)> =
        sqlx::query_as(AssertSqlSafe(variables)).fetch_all(&mut *connection).await?;
    let engines = "SELECT table_name, coalesce(engine, 'none') FROM information_schema.tables \
                   WHERE table_schema = database() AND coalesce(engine, 'none') <> 'InnoDB'";
    let engines: Vec<(String, String)> = sqlx::query_as(engines).fetch_all(connection).await?;
    let ours =
        |table: &str| ["ledger", "commits"].contains(&table) || TABLES.iter().any(|it| it.name == table);
    Ok(judge(&Settings {
        variables: variables.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect(),
        other_engines: engines.into_iter().filter(|(table, _)| ours(table)).collect(),
    }))
}

pub(super) async fn shown(connection: &mut MySqlConnection) -> Result<String, sqlx::Error> {
    let shown = "SELECT CAST(concat(version(), \
         ', innodb_flush_log_at_trx_commit ', @@global.innodb_flush_log_at_trx_commit, \
         ', innodb_doublewrite ', @@global.innodb_doublewrite, ', log_bin ', @@global.log_bin, \
         ', sync_binlog ', @@global.sync_binlog) AS CHAR)";
    sqlx::query_scalar(shown).fetch_one(connection).await
}

fn judge(settings: &Settings) -> Vec<Finding> {
    let variable = |name: &str| settings.variables.get(name).map(String::as_str);
    let mut findings = Vec::new();
    let finding = refuse;
    let mut refuse = |setting: &str, is: Option<&str>, needed: &str, how: &str| {
        findings.push(finding(MySql::KIND, setting, is.unwrap_or("not to be read"), needed, how));
    };
    let how = "set it in the [mysqld] section of the server's configuration, or with SET GLOBAL";
    let flush = variable("innodb_flush_log_at_trx_commit");
    if !matches!(flush, Some("1" | "3")) {
        refuse("innodb_flush_log_at_trx_commit", flush, "1 or 3", how);
    }
    let doublewrite = variable("innodb_doublewrite");
    if !matches!(doublewrite, Some("ON" | "1" | "DETECT_AND_RECOVER" | "fast")) {
        let how = "set it in the [mysqld] section of the server's configuration and start it again";
        refuse("innodb_doublewrite", doublewrite, "ON", how);
    }
    let mode = variable("sql_mode");
    if !mode.is_some_and(|mode| mode.split(',').any(|mode| mode == "STRICT_TRANS_TABLES")) {
        let how = "it is set in every session, so something between here and the server drops SET: connect to the \
                   server itself";
        refuse("sql_mode", mode, "STRICT_TRANS_TABLES", how);
    }
    if variable("wsrep_on") == Some("ON") {
        let how = "Galera with several writers loses transactions that were acknowledged: use one server, with \
                   replicas if need be";
        refuse("wsrep_on", Some("ON"), "OFF", how);
    }
    // With a binary log, recovery takes back what is not in it, whatever InnoDB has flushed.
    if variable("log_bin") == Some("ON") && variable("sync_binlog") != Some("1") {
        refuse("sync_binlog", variable("sync_binlog"), "1, as there is a binary log,", how);
    }
    for name in ["read_only", "super_read_only", "innodb_read_only"] {
        if variable(name).is_some_and(|value| !matches!(value, "OFF" | "0")) {
            let how = "connect to the primary, or SET GLOBAL it on this one";
            refuse(name, variable(name), "OFF", how);
        }
    }
    for (table, engine) in &settings.other_engines {
        let how = format!("ALTER TABLE {table} ENGINE = InnoDB");
        refuse("engine", Some(&format!("{engine} for table {table}")), "InnoDB", &how);
    }
    if let Some(packet) =
        variable("max_allowed_packet").filter(|it| it.parse().is_ok_and(|it: u64| it < PACKET))
    {
        let how = "a change that takes a longer message is refused. Set it in the [mysqld] section of the server's \
                   configuration, or with SET GLOBAL";
        let small = finding(MySql::KIND, "max_allowed_packet", packet, &PACKET.to_string(), how);
        // Nothing is lost by it.
        findings.push(Finding { severity: Severity::Note, ..small });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(changed: &[(&str, &str)]) -> Settings {
        let safe = [
            ("innodb_flush_log_at_trx_commit", "1"),
            ("innodb_doublewrite", "ON"),
            ("sql_mode", "A,STRICT_TRANS_TABLES"),
            ("wsrep_on", "OFF"),
            ("log_bin", "OFF"),
            ("sync_binlog", "0"),
            ("read_only", "OFF"),
        ];
        let all = safe.iter().chain(changed).map(|(name, value)| ((*name).into(), (*value).into()));
        Settings { variables: all.collect(), other_engines: Vec::new() }
    }

    #[test]
    fn each_unsafe_setting_is_named() {
        let codes = |changed: &[(&str, &str)]| -> Vec<String> {
            judge(&settings(changed)).into_iter().map(|finding| finding.code).collect()
        };
        assert_eq!(codes(&[]), [""; 0]);
        assert_eq!(codes(&[("innodb_flush_log_at_trx_commit", "3")]), [""; 0]);
        for (name, value) in [
            ("innodb_flush_log_at_trx_commit", "0"),
            ("innodb_flush_log_at_trx_commit", "2"),
            ("innodb_doublewrite", "OFF"),
            ("sql_mode", ""),
            ("sql_mode", "NOT_STRICT_TRANS_TABLES"),
            ("wsrep_on", "ON"),
            ("read_only", "ON"),
        ] {
            assert_eq!(codes(&[(name, value)]), [format!("mariadb.{name}")], "{value}");
        }
        assert_eq!(codes(&[("log_bin", "ON")]), ["mariadb.sync_binlog"]);
        assert_eq!(codes(&[("log_bin", "ON"), ("sync_binlog", "1")]), [""; 0]);
        assert_eq!(codes(&[("max_allowed_packet", "16777216")]), [""; 0]);
        let small = judge(&settings(&[("max_allowed_packet", "1048576")]));
        assert_eq!((small.len(), small[0].severity), (1, Severity::Note), "{small:?}");
        let told = "max_allowed_packet is 1048576, 16777216 is needed";
        assert!(small[0].message.starts_with(told), "{small:?}");
        let unknown = judge(&Settings::default());
        assert_eq!(unknown.len(), 3, "{unknown:?}");
        assert!(unknown.iter().all(|finding| finding.message.contains("not to be read")), "{unknown:?}");
        let mut other = settings(&[]);
        other.other_engines.push(("hosts".into(), "Aria".into()));
        assert_eq!(judge(&other)[0].code, "mariadb.engine");
    }
}
