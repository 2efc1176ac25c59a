//! What one would write without a ledger: row guards on PostgreSQL, one allocation a transaction, in one round trip.
//!
//! Nothing here is slower than it has to be: the function is prepared, the host is found along an index and not one
//! that another transaction has, rows are updated in place (no index on what changes, room in each page), and what all
//! transactions wait for is locked last. What it does not do is look for the best host, keep instances of a cache
//! apart, or remember what was asked.

use clap::ValueEnum;
use memc_test_servers::Postgres;
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::process::{self, Process};
use crate::throughput::{Figures, clients_of};
use crate::world::{HOST_MIB, INSTANCE_MIB, PORTS};

const HOSTS: i32 = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Baseline {
    /// The rows of the host and of the quota are guarded, the instance is inserted.
    Guards,
    /// The same, and a commit with the next number.
    Log,
}

impl Baseline {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Baseline::Guards => "row guards",
            Baseline::Log => "row guards and an ordered log",
        }
    }

    fn schema(self, teams: i32) -> String {
        let (first_port, last_port) = (PORTS.start(), PORTS.end());
        let log = match self {
            Baseline::Guards => "",
            Baseline::Log => {
                "UPDATE head SET revision = revision + 1 RETURNING revision INTO next;
                 INSERT INTO commits VALUES (next, clock_timestamp(), json_build_object('allocated', its_name,
                     'team', its_team, 'host', chosen, 'port', its_port, 'mib', its_mib));"
            }
        };
        format!(
            "CREATE TABLE hosts (id integer PRIMARY KEY, free_mib integer NOT NULL CHECK (free_mib >= 0),
                 next_port integer NOT NULL CHECK (next_port <= {last_port} + 1)) WITH (fillfactor = 50);
             CREATE TABLE quotas (team integer PRIMARY KEY, free_mib bigint NOT NULL CHECK (free_mib >= 0))
                 WITH (fillfactor = 10);
             CREATE TABLE instances (team integer NOT NULL REFERENCES quotas, name text NOT NULL,
                 host integer NOT NULL REFERENCES hosts, port integer NOT NULL, mib integer NOT NULL,
                 PRIMARY KEY (team, name), UNIQUE (host, port));
             CREATE TABLE head (revision bigint NOT NULL) WITH (fillfactor = 10);
             CREATE TABLE commits (revision bigint PRIMARY KEY, at timestamptz NOT NULL, change json NOT NULL);
             INSERT INTO hosts SELECT id, {HOST_MIB}, {first_port} FROM generate_series(1, {HOSTS}) AS id;
             INSERT INTO quotas SELECT team, 1000000000000 FROM generate_series(1, {teams}) AS team;
             INSERT INTO head VALUES (0);
             ANALYZE;
             CREATE FUNCTION allocate(its_team integer, its_name text, its_mib integer) RETURNS integer
             LANGUAGE plpgsql AS $$
             DECLARE chosen integer; its_port integer; next bigint; first integer := 1 + random() * ({HOSTS} - 1);
             BEGIN
                 SELECT id INTO chosen FROM hosts
                     WHERE id >= first AND free_mib >= its_mib AND next_port <= {last_port}
                     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
                 IF chosen IS NULL THEN
                     SELECT id INTO chosen FROM hosts WHERE free_mib >= its_mib AND next_port <= {last_port}
                         ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED;
                     IF chosen IS NULL THEN
                         RAISE EXCEPTION 'no host has room';
                     END IF;
                 END IF;
                 UPDATE hosts SET free_mib = free_mib - its_mib, next_port = next_port + 1 WHERE id = chosen
                     RETURNING next_port - 1 INTO its_port;
                 INSERT INTO instances VALUES (its_team, its_name, chosen, its_port, its_mib);
                 UPDATE quotas SET free_mib = free_mib - its_mib WHERE team = its_team AND free_mib >= its_mib;
                 IF NOT FOUND THEN
                     RAISE EXCEPTION 'the quota is used up';
                 END IF;
                 {log}
                 RETURN chosen;
             END $$;"
        )
    }
}

/// What must be so at the end: nobody got more than there is, and every allocation is in the log.
const WRONG: &str = "SELECT
     (SELECT count(*) FROM hosts LEFT JOIN (SELECT host, sum(mib) AS used, count(*) AS ports FROM instances GROUP BY host)
          AS it ON host = id WHERE free_mib < 0 OR free_mib + coalesce(used, 0) <> $1
          OR next_port - $2 <> coalesce(ports, 0))
     + (SELECT count(*) FROM quotas LEFT JOIN (SELECT team AS its, sum(mib) AS used FROM instances GROUP BY team) AS it
          ON its = team WHERE free_mib + coalesce(used, 0) <> 1000000000000)";

pub(crate) async fn measure(kind: Baseline, teams: i32, connections: usize, seconds: u64) -> Figures {
    let server = Postgres::start(&[("shared_buffers", "256MB"), ("max_wal_size", "4GB")]);
    let mut connection = PgConnection::connect(&server.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(kind.schema(teams))).execute(&mut connection).await.unwrap();
    let role = kind.to_possible_value().unwrap();
    let arguments = [
        "baseline-role",
        &server.url(),
        role.get_name(),
        &teams.to_string(),
        &connections.to_string(),
        &seconds.to_string(),
    ];
    let figures = Figures::of(vec![Process::start(&arguments)], seconds);
    let (first_port, host_mib) = (i32::from(*PORTS.start()), i64::from(HOST_MIB));
    let wrong =
        sqlx::query_scalar::<_, i64>(WRONG).bind(host_mib).bind(first_port).fetch_one(&mut connection);
    assert_eq!(wrong.await.unwrap(), 0, "the baseline books what is not there");
    let counts = "SELECT (SELECT count(*) FROM instances), (SELECT count(*) FROM commits), (SELECT revision FROM head)";
    let (instances, commits, head): (i64, i64, i64) =
        sqlx::query_as(counts).fetch_one(&mut connection).await.unwrap();
    assert!(instances as f64 >= figures.rate() * seconds as f64, "acknowledged allocations are missing");
    let logged = if kind == Baseline::Log { instances } else { 0 };
    assert_eq!((commits, head), (logged, logged));
    figures
}

/// A process with a connection for each client.
pub(crate) async fn allocate(url: &str, _kind: Baseline, teams: i32, clients: usize, seconds: u64) {
    let options = PgPoolOptions::new().min_connections(clients as u32).max_connections(clients as u32);
    let pool = options.test_before_acquire(false).connect(url).await.unwrap();
    let durable: String =
        sqlx::query_scalar("SELECT current_setting('synchronous_commit') || current_setting('fsync')")
            .fetch_one(&pool)
            .await
            .unwrap();
    assert_eq!(durable, "onon");
    process::ready();
    let mib = i32::try_from(INSTANCE_MIB).unwrap();
    let ask = move |client: usize, turn: usize| {
        let pool = pool.clone();
        async move {
            let team = 1 + client as i32 % teams;
            let allocate = sqlx::query_scalar("SELECT allocate($1, $2, $3)");
            let name = format!("cache-0-{client}-{turn}");
            let _: i32 = allocate.bind(team).bind(name).bind(mib).fetch_one(&pool).await.unwrap();
        }
    };
    clients_of(clients, seconds, ask).await;
}
