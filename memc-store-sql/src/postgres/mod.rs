//! PostgreSQL.

mod session;
mod settings;

use std::fmt::{self, Debug};
use std::str::FromStr;
use std::sync::LazyLock;

use memc_core::store::Finding;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, raw_sql};

use crate::ledger::read_end;
use crate::migrate::{Applied, TABLE, applied, refused, up_to_date};
use crate::server::{Began, Server};
use crate::statement::{Dialect, Statements};
use crate::url::{parameters, with_host, without_brackets};
use crate::value::Type;
use crate::{ConnectError, Options};
use session::{code, failure};

static STATEMENTS: LazyLock<Statements> = LazyLock::new(|| {
    Statements::new(&Dialect {
        placeholder: |n| format!("${n}"),
        clock: "(extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        selected: |name, kind| if kind == Type::Json { format!("{name}::text") } else { name.into() },
    })
});

static MIGRATIONS: LazyLock<Migrator> = LazyLock::new(|| {
    let mut migrations = sqlx::migrate!("./migrations/postgres");
    migrations.dangerous_set_table_name(TABLE);
    migrations
});

/// The two numbers of the advisory lock: "memc", and the table of the ledger, since others may be in other schemas.
const LOCK: &str = "1835363683, 'ledger'::regclass::oid::integer";

/// The name of [`Statements::head`] in sessions that take turns.
const PREPARED_HEAD: &str = "memc_head";

/// Who has that lock, as far as this user may know.
const HOLDER: &str = "SELECT concat_ws(' ', 'server process', pid, '(' || application_name || ')', 'from ' || host(client_addr), \
     'which is ' || state) \
     FROM pg_locks JOIN pg_stat_activity USING (pid) \
     WHERE locktype = 'advisory' AND granted AND classid = 1835363683 AND objid = 'ledger'::regclass";

/// Those that sqlx reads, under its names.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

pub(crate) fn server(url: &str) -> Result<Postgres, ConnectError> {
    let told = "it has a parameter that is not known. Those that are: sslmode=, sslrootcert=, sslcert=, sslkey=, \
                application_name=, options=, host=, hostaddr=, port=, dbname=, user=, password=";
    parameters(url, &PARAMETERS, told)?;
    // Where a server of this machine usually has its socket, or localhost.
    let usual = PgConnectOptions::new_without_pgpass();
    let address = PgConnectOptions::from_str(&with_host(url, usual.get_host())).map_err(|_| {
        ConnectError::Url(
            "it cannot be read: write postgres://user:password@host:port/database, \
             with %40 for an @ in the password, and the like for any of :/?#%",
        )
    })?;
    let host = without_brackets(address.get_host()).to_owned();
    let address = address.host(&host);
    let address = match address.get_application_name() {
        None => address.application_name("memc"),
        Some(_) => address,
    };
    Ok(Postgres { address: address.disable_statement_logging() })
}

pub(crate) struct Postgres {
    address: PgConnectOptions,
}

impl Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        f.debug_struct("Postgres")
            .field("host", &address.get_host())
            .field("port", &address.get_port())
            .field("database", &address.get_database())
            .finish_non_exhaustive()
    }
}

impl Server for Postgres {
    const KIND: &'static str = "postgres";

    const ENCRYPTED: &'static str = "?sslmode=verify-full";

    type Connection = PgConnection;

    fn statements() -> &'static Statements {
        &STATEMENTS
    }

    fn address(&self) -> &PgConnectOptions {
        &self.address
    }

    async fn set_up(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // Everything is found along an index; a table without statistics would be read whole, or sorted instead. One plan
        // will do for any number of rows. Nothing here is worth compiling.
        let set = "SET enable_sort = off; SET enable_bitmapscan = off; SET enable_seqscan = off; \
                   SET enable_hashjoin = off; SET enable_mergejoin = off; SET plan_cache_mode = force_generic_plan; \
                   SET jit = off; SET synchronous_commit = on";
        raw_sql(set).execute(connection).await.map(|_| ())
    }

    async fn set_up_for_turns(connection: &mut PgConnection, options: &Options) -> Result<(), sqlx::Error> {
        let (wait, patience) = (options.lock_wait.as_millis(), options.patience.as_millis());
        // What every turn begins with is planned once, also in one message with other statements.
        let set = format!(
            "PREPARE {PREPARED_HEAD} AS {}; \
             SET lock_timeout = {wait}; \
             SET statement_timeout = {}; \
             SET idle_in_transaction_session_timeout = {patience}; \
             SET tcp_user_timeout = {patience}",
            STATEMENTS.head,
            wait + patience
        );
        raw_sql(AssertSqlSafe(set)).execute(connection).await.map(|_| ())
    }

    fn migrations() -> &'static Migrator {
        &MIGRATIONS
    }

    async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>, sqlx::Error> {
        match sqlx::query_as(AssertSqlSafe(applied())).fetch_all(connection).await {
            Err(error) if code(&error).as_deref() == Some(session::UNDEFINED_TABLE) => Ok(Vec::new()),
            applied => applied,
        }
    }

    async fn migrate(connection: &mut PgConnection) -> Result<(), ConnectError> {
        let failed = |error| ConnectError::Store(failure(error).reading("migrate"));
        // Without the lock, and without a write, where there is nothing to do: the server may be read-only.
        if up_to_date(&Self::applied(connection).await.map_err(failed)?, &MIGRATIONS)? {
            return Ok(());
        }
        // Under an advisory lock of sqlx's; each migration is a transaction.
        let migrated = MIGRATIONS.run_direct(None, connection, false).await;
        migrated.map_err(|error| refused(error, &MIGRATIONS, failure))
    }

    async fn begin(connection: &mut PgConnection, _: &Options) -> Result<Began, sqlx::Error> {
        // Statements of one message see each what was committed before it: the last what was before the lock was let go. That
        // is so at this level of isolation only, whatever the server's default is.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({LOCK}); SAVEPOINT appending; \
             EXECUTE {PREPARED_HEAD}"
        );
        match raw_sql(AssertSqlSafe(begin)).fetch_all(&mut *connection).await {
            // After that of the lock.
            Ok(rows) => Ok(Began::Alone(read_end(rows.get(1)))),
            Err(error) if code(&error).as_deref() == Some(session::LOCK_NOT_AVAILABLE) => {
                raw_sql("ROLLBACK").execute(&mut *connection).await?;
                let holder: Option<String> = sqlx::query_scalar(HOLDER).fetch_optional(connection).await?;
                Ok(Began::Locked(holder.unwrap_or_else(|| "another".into())))
            }
            Err(error) => Err(error),
        }
    }

    async fn commit(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // The lock goes with the transaction, after its record was flushed.
        raw_sql("COMMIT").execute(connection).await.map(|_| ())
    }

    async fn roll_back(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        raw_sql("ROLLBACK").execute(connection).await.map(|_| ())
    }

    async fn begin_reading(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        // A table is one statement, which takes as long as it is long: each page of it has to come in time.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0";
        raw_sql(begin).execute(connection).await.map(|_| ())
    }

    fn host(&self) -> Option<(&str, u16)> {
        let (host, socket) = (self.address.get_host(), self.address.get_socket());
        (socket.is_none() && !host.starts_with('/')).then(|| (host, self.address.get_port()))
    }

    async fn is_encrypted(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        sqlx::query_scalar(encrypted).fetch_one(connection).await
    }

    async fn findings(connection: &mut PgConnection) -> Result<Vec<Finding>, sqlx::Error> {
        settings::findings(connection).await
    }

    async fn settings(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
        settings::shown(connection).await
    }
}
