//! MariaDB, and MySQL as far as it is alike.

mod session;
mod settings;
mod text;

use std::fmt::{self, Debug};
use std::str::FromStr;
use std::sync::LazyLock;

use memc_core::store::{Finding, StoreError};
use sqlx::migrate::Migrator;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, raw_sql};

use crate::ledger::read_end;
use crate::migrate::{Applied, TABLE, applied, refused, up_to_date};
use crate::server::{Began, Server};
use crate::statement::{Dialect, Statements};
use crate::table::TABLES;
use crate::url::{parameters, with_host, without_brackets};
use crate::{ConnectError, Options};
use session::{failure, number};

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(&Dialect {
        placeholder: |_| "?".into(),
        clock: "CAST(unix_timestamp(now(3)) * 1000 AS SIGNED)",
        selected: |name, _| name.into(),
    })
});

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("./migrations/mysql");
    migrations.dangerous_set_table_name(TABLE);
    // sqlx's lock waits for -1 seconds, which MariaDB takes for none.
    migrations.set_locking(false);
    migrations
});

/// The name of the lock: those of one server's databases are in one place, and may not be longer than 64.
const LOCK: &str = "concat('memc.', md5(database()))";

/// How long a process waits for others that bring the schema up to date.
const MIGRATION: u32 = 120;

/// Those that sqlx reads, under its names.
const PARAMETERS: [&str; 14] = [
    "sslmode",
    "ssl-mode",
    "sslca",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "charset",
    "collation",
    "statement-cache-capacity",
    "socket",
    "timezone",
    "time-zone",
];

pub(crate) fn server(url: &str) -> Result<MySql, ConnectError> {
    let told = "it has a parameter that is not known. Those that are: ssl-mode=, ssl-ca=, ssl-cert=, ssl-key=, socket=";
    parameters(url, &PARAMETERS, told)?;
    let unusable = |why| ConnectError::Url(why);
    let rest = url.split_once(':').map_or(url, |(_, rest)| rest);
    let address =
        MySqlConnectOptions::from_str(&with_host(&format!("mysql:{rest}"), "localhost")).map_err(|_| {
            unusable(
                "it cannot be read: write mysql://user:password@host:port/database, \
             with %40 for an @ in the password, and the like for any of :/?#%",
            )
        })?;
    if address.get_database().is_none() {
        return Err(unusable("it names no database: write mysql://user:password@host:port/database"));
    }
    let host = without_brackets(address.get_host()).to_owned();
    let address = address.host(&host);
    // What names compare by, also where they come from parameters.
    let address = address.charset("utf8mb4").collation("utf8mb4_bin").disable_statement_logging();
    Ok(MySql { address })
}

pub(crate) struct MySql {
    address: MySqlConnectOptions,
}

impl Debug for MySql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        f.debug_struct("MySql")
            .field("host", &address.get_host())
            .field("port", &address.get_port())
            .field("database", &address.get_database())
            .finish_non_exhaustive()
    }
}

impl Server for MySql {
    const KIND: &'static str = "mariadb";

    const ENCRYPTED: &'static str = "?ssl-mode=VERIFY_IDENTITY";

    type Connection = MySqlConnection;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn address(&self) -> &MySqlConnectOptions {
        &self.address
    }

    async fn set_up(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        // READ COMMITTED: under REPEATABLE READ an UPDATE acts on a new row while a SELECT still shows the old one.
        let set = "SET SESSION sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,\
                   NO_ENGINE_SUBSTITUTION,STRICT_TRANS_TABLES', autocommit = 1, foreign_key_checks = 1, \
                   unique_checks = 1; \
                   SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
        raw_sql(set).execute(connection).await.map(|_| ())
    }

    async fn set_up_for_turns(
        connection: &mut MySqlConnection,
        options: &Options,
    ) -> Result<(), sqlx::Error> {
        let patience = options.patience.as_secs().max(1);
        // An idle holder of the lock is ended. MySQL has no such setting for transactions alone: there a connection is
        // made anew whenever nobody has taken a turn for this long.
        let version: String = sqlx::query_scalar("SELECT version()").fetch_one(&mut *connection).await?;
        let idle = if version.contains("MariaDB") { "idle_transaction_timeout" } else { "wait_timeout" };
        let set = format!(
            "SET SESSION {idle} = {patience}, innodb_lock_wait_timeout = {patience}, \
             lock_wait_timeout = {patience}, net_write_timeout = {patience}"
        );
        raw_sql(AssertSqlSafe(set)).execute(connection).await.map(|_| ())
    }

    fn migrations() -> &'static Migrator {
        &MIGRATIONS
    }

    async fn applied(connection: &mut MySqlConnection) -> Result<Vec<Applied>, sqlx::Error> {
        match sqlx::query_as(AssertSqlSafe(applied())).fetch_all(connection).await {
            Err(error) if number(&error) == Some(session::NO_SUCH_TABLE) => Ok(Vec::new()),
            applied => applied,
        }
    }

    async fn migrate(connection: &mut MySqlConnection) -> Result<(), ConnectError> {
        let failed = |error| ConnectError::Store(failure(error).reading("migrate"));
        if up_to_date(&Self::applied(connection).await.map_err(failed)?, &MIGRATIONS)? {
            return Ok(());
        }
        let lock = format!("SELECT get_lock(concat('migrate.', {LOCK}), {MIGRATION})");
        let locked: Option<i64> =
            sqlx::query_scalar(AssertSqlSafe(lock)).fetch_one(&mut *connection).await.map_err(failed)?;
        if locked != Some(1) {
            let why = format!("another process has been changing the schema for {MIGRATION} s");
            return Err(ConnectError::Store(StoreError::unavailable("migrate", why)));
        }
        // A change of the schema is no transaction. One that broke off is made again: each statement of a migration
        // can be.
        let broken_off = format!("DELETE FROM {TABLE} WHERE NOT success");
        match raw_sql(AssertSqlSafe(broken_off)).execute(&mut *connection).await {
            Err(error) if number(&error) == Some(session::NO_SUCH_TABLE) => empty(connection).await?,
            Err(error) => return Err(failed(error)),
            Ok(_) => {}
        }
        let migrated = MIGRATIONS.run_direct(None, &mut *connection, false).await;
        raw_sql("DO release_all_locks()").execute(connection).await.map_err(failed)?;
        migrated.map_err(|error| refused(error, &MIGRATIONS, failure))
    }

    async fn begin(connection: &mut MySqlConnection, options: &Options) -> Result<Began, sqlx::Error> {
        // Not a row that is locked: InnoDB lets go of rows before the commit is on disk, and the next in turn would
        // read what a crash can still take back. This lock is let go when COMMIT has been answered, or when the server
        // has ended the session. Its waiters are served in their order.
        let begin = format!(
            "START TRANSACTION; SAVEPOINT appending; SELECT get_lock({LOCK}, {}); {}",
            options.lock_wait.as_secs_f32().ceil(),
            STATEMENTS.head
        );
        let rows = raw_sql(AssertSqlSafe(begin)).fetch_all(&mut *connection).await?;
        let (locked, end) = (rows.first(), rows.get(1));
        if locked.map(|row| sqlx::Row::try_get::<Option<i64>, _>(row, 0)).transpose()? == Some(Some(1)) {
            return Ok(Began::Alone(read_end(end)));
        }
        Self::roll_back(connection).await?;
        let holder = format!(
            "SELECT concat('connection ', id, ' of ', user, ' from ', host) FROM information_schema.processlist \
             WHERE id = is_used_lock({LOCK})"
        );
        let holder: Option<String> =
            sqlx::query_scalar(AssertSqlSafe(holder)).fetch_optional(connection).await?;
        Ok(Began::Locked(holder.unwrap_or_else(|| "another".into())))
    }

    async fn commit(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        raw_sql("COMMIT; DO release_all_locks()").execute(connection).await.map(|_| ())
    }

    async fn roll_back(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        raw_sql("ROLLBACK; DO release_all_locks()").execute(connection).await.map(|_| ())
    }

    async fn begin_reading(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
        // A table is one statement, which takes as long as it is long: each page of it has to come in time. The limit has a
        // name of its own on either server, which the other takes for a comment.
        let begin = "SET SESSION net_write_timeout = 3600 /*M!100100 , max_statement_time = 0 */ \
                     /*!50708 , max_execution_time = 0 */; \
                     SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
                     START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
        raw_sql(begin).execute(connection).await.map(|_| ())
    }

    fn host(&self) -> Option<(&str, u16)> {
        self.address.get_socket().is_none().then(|| (self.address.get_host(), self.address.get_port()))
    }

    async fn is_encrypted(connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
        let cipher: (String, String) =
            sqlx::query_as("SHOW SESSION STATUS LIKE 'Ssl_cipher'").fetch_one(connection).await?;
        Ok(!cipher.1.is_empty())
    }

    async fn findings(connection: &mut MySqlConnection) -> Result<Vec<Finding>, sqlx::Error> {
        settings::findings(connection).await
    }

    async fn settings(connection: &mut MySqlConnection) -> Result<String, sqlx::Error> {
        settings::shown(connection).await
    }
}

/// A migration passes over tables that are there, so that one that broke off can be made again: those of somebody else
/// would be taken for ours.
async fn empty(connection: &mut MySqlConnection) -> Result<(), ConnectError> {
    let failed = |error| ConnectError::Store(failure(error).reading("migrate"));
    let there =
        "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = database()";
    let there: Vec<String> = sqlx::query_scalar(there).fetch_all(connection).await.map_err(failed)?;
    let ours = |name: &str| ["ledger", "commits"].contains(&name) || TABLES.iter().any(|it| it.name == name);
    match there.iter().find(|name| ours(name)) {
        None => Ok(()),
        Some(name) => {
            let why =
                format!("the database has a table {name} that is not this program's: name an empty database");
            Err(ConnectError::Store(StoreError::corrupt("migrate", why)))
        }
    }
}
