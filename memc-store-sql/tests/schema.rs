//! The page about the schema says what the migrated databases have, and its queries run on each of them.
//!
//! To make it anew: `MEMC_WRITE_SCHEMA=1 cargo test -p memc-store-sql --test schema`.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests fail by panicking

#[path = "common/fleet.rs"]
mod fleet;

use std::collections::BTreeMap;
use std::fmt::Write;

use memc_core::Fleet;
use memc_core::fleet::Options;
use memc_store_sql::connect;
use memc_test_servers::{MariaDb, Postgres, Server};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection, SqliteConnection};
use tempfile::TempDir;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema.md");

const HEADER: &str = "# The tables of a SQL store

Made from migrated databases by a test of `memc-store-sql`, which fails when this page is out of date
(`MEMC_WRITE_SCHEMA=1 cargo test -p memc-store-sql --test schema` makes it anew).

PostgreSQL, MariaDB and SQLite have the same tables. Read them as you like, with `SELECT` alone: programs keep the state in
memory and decide on it, so that a row changed by hand is seen by none of them until it is started again, and the ledger
in `commits` then says something else. Rules are kept by the program before it commits; keys, references and checks are a
second line, and one that fires stops the change and raises a finding. A long `SELECT` or a dump is in nobody's way.

Times (`…_ms`) are milliseconds since 1970-01-01 UTC, memory (`…_mib`) is in MiB, `revision` is the last commit that
changed the row. Numbers (`id`) are never given out twice.

## Useful queries

Each is run by the test on all three databases.
";

/// What it answers, the query, and how many rows it finds in the test's fleet.
const QUERIES: [(&str, &str, usize); 6] = [
    (
        "Who has what on a host",
        "SELECT instances.port, teams.name AS team, caches.name AS cache, instances.place,
       instances.memory_mib, instances.booked_mib, instances.phase, instances.observed_mib
FROM instances
JOIN hosts ON hosts.id = instances.host
JOIN caches ON caches.id = instances.cache
JOIN teams ON teams.id = caches.team
WHERE hosts.name = 'm1.example.com'
ORDER BY instances.port",
        3,
    ),
    (
        "Where a cache runs",
        "SELECT instances.place, hosts.name AS host, hosts.address, instances.port, instances.memory_mib
FROM caches
JOIN teams ON teams.id = caches.team
JOIN instances ON instances.cache = caches.id
JOIN hosts ON hosts.id = instances.host
WHERE teams.name = 'shop' AND caches.name = 'cache-1' AND instances.moved_to IS NULL
ORDER BY instances.place",
        5,
    ),
    (
        "Memory of each cluster: what its hosts have, and what is booked",
        "SELECT clusters.name AS cluster,
       (SELECT count(*) FROM hosts WHERE cluster = clusters.id AND status <> 'removed') AS hosts,
       (SELECT sum(memory_mib) FROM hosts WHERE cluster = clusters.id AND status <> 'removed') AS has_mib,
       (SELECT sum(booked_mib) FROM instances JOIN hosts ON hosts.id = instances.host
        WHERE hosts.cluster = clusters.id) AS booked_mib
FROM clusters
ORDER BY clusters.name",
        1,
    ),
    (
        "The hosts that are fullest",
        "SELECT hosts.name AS host, hosts.status, hosts.memory_mib, sum(instances.booked_mib) AS booked_mib,
       count(*) AS instances
FROM hosts
JOIN instances ON instances.host = hosts.id
GROUP BY hosts.id, hosts.name, hosts.status, hosts.memory_mib
ORDER BY 1.0 * sum(instances.booked_mib) / hosts.memory_mib DESC, hosts.name
LIMIT 20",
        5,
    ),
    (
        "The history of a cache, newest first",
        "SELECT revision, at_ms, actor, action, detail
FROM commits
WHERE target = 'cache:shop/cache-1'
ORDER BY revision DESC
LIMIT 50",
        1,
    ),
    (
        "What waits for a host: not seen running yet, shrinking, or told to stop",
        "SELECT hosts.name AS host, instances.port, instances.phase, instances.memory_mib, instances.observed_mib
FROM instances
JOIN hosts ON hosts.id = instances.host
WHERE instances.phase <> 'kept' OR instances.observed_mib IS NULL OR instances.observed_mib <> instances.memory_mib
ORDER BY hosts.name, instances.port",
        15,
    ),
];

/// The tables, and what is in them where the migrations do not say so.
const TABLES: [(&str, &str); 12] = [
    ("ledger", ""),
    (
        "commits",
        "The history: each commit with who did what to what, and in `changes` the whole records as they were afterwards, or \
         the keys of those that went, as JSON (`changes::json` on PostgreSQL). `previous` is the `id` of the commit before. \
         The oldest may have been deleted.",
    ),
    ("fleet", ""),
    ("clusters", "Sets of hosts that users choose from, with the ports that instances get and the policy."),
    (
        "hosts",
        "Machines, by their Salt minion ids. `served` is the last revision whose document was fetched as evidence. After a \
         restore a host takes nothing new until its ports were looked at: `observed_epoch` is the epoch in which they were, \
         `found_ports` are those that something unknown was found on, which are not given out.",
    ),
    ("teams", "Owners of caches."),
    ("quotas", "How much memory a team may have in a cluster."),
    ("caches", "What users asked for: so many instances of so much memory."),
    ("instances", "One memcached process each: its cache and place in it, its host and port, its memory."),
    ("retired_ports", "Ports that had an instance and still belong to no other: tombstones, then cool-down."),
    ("plans", "Plans of moves."),
    ("requests", "Commands' request ids with their receipts, for 7 days."),
];

/// A column as each of the databases has it.
#[derive(Default)]
struct Column {
    postgres: Option<String>,
    mariadb: Option<String>,
    sqlite: Option<String>,
    nullable: bool,
}

/// One of each kind, with a small fleet.
struct Databases {
    postgres: Server,
    mariadb: Server,
    directory: TempDir,
}

impl Databases {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let databases = Databases { postgres: Postgres::start(&[]), mariadb: MariaDb::start(&[]), directory };
        for url in [databases.postgres.url(), databases.mariadb.url(), databases.sqlite()] {
            let fleet = Fleet::open(connect(&url).await.unwrap(), Options::default()).await.unwrap();
            fleet::found(&fleet).await;
            fleet::allocate(&fleet, 0..3).await;
        }
        databases
    }

    fn sqlite(&self) -> String {
        format!("sqlite://{}/memc.db", self.directory.path().display())
    }
}

#[tokio::test]
async fn the_page_is_up_to_date_and_its_queries_run() {
    let databases = Databases::new().await;
    let mut postgres = PgConnection::connect(&databases.postgres.url()).await.unwrap();
    let mut mariadb = MySqlConnection::connect(&databases.mariadb.url()).await.unwrap();
    let mut sqlite = SqliteConnection::connect(&databases.sqlite()).await.unwrap();

    let mut page = HEADER.to_owned();
    for (title, query, expected) in QUERIES {
        let found = [
            sqlx::query(AssertSqlSafe(query)).fetch_all(&mut postgres).await.unwrap().len(),
            sqlx::query(AssertSqlSafe(query)).fetch_all(&mut mariadb).await.unwrap().len(),
            sqlx::query(AssertSqlSafe(query)).fetch_all(&mut sqlite).await.unwrap().len(),
        ];
        assert_eq!(found, [expected; 3], "{title}");
        writeln!(page, "\n{title}:\n\n```sql\n{query};\n```").unwrap();
    }

    let comments = comments();
    writeln!(page, "\n## Tables").unwrap();
    for (table, what) in TABLES {
        let columns = columns(table, &mut postgres, &mut mariadb, &mut sqlite).await;
        writeln!(page, "\n### {table}\n").unwrap();
        let comment = comments.get(table).map_or(what, String::as_str);
        writeln!(page, "{comment}\n").unwrap();
        writeln!(page, "| column | PostgreSQL | MariaDB | SQLite | null | |\n|---|---|---|---|---|---|")
            .unwrap();
        for (name, column) in &columns {
            let of = |kind: &Option<String>| kind.clone().unwrap_or_else(|| "–".into());
            let (null, comment) = (if column.nullable { "yes" } else { "" }, format!("{table}.{name}"));
            let comment = comments.get(&comment).map_or("", String::as_str);
            let kinds = [of(&column.postgres), of(&column.mariadb), of(&column.sqlite)].join(" | ");
            writeln!(page, "| `{name}` | {kinds} | {null} | {comment} |").unwrap();
        }
        let mut constraints = Vec::new();
        for kinds in [&["p", "u"][..], &["c"]] {
            let of_kinds: Vec<String> = sqlx::query_scalar(
                "SELECT pg_get_constraintdef(oid) FROM pg_constraint \
                 WHERE conrelid = $1::regclass AND contype::text = ANY ($2) \
                 ORDER BY array_position('{p,u,c}'::\"char\"[], contype), 1",
            )
            .bind(table)
            .bind(kinds)
            .fetch_all(&mut postgres)
            .await
            .unwrap();
            constraints.extend(of_kinds);
            if kinds.contains(&"u") {
                // PostgreSQL keeps some of them by triggers.
                let references: Vec<String> = sqlx::query_scalar(
                    "SELECT 'FOREIGN KEY (' || \"from\" || ') REFERENCES ' || \"table\" || '(' || \"to\" || ')' \
                     FROM pragma_foreign_key_list(?) ORDER BY 1",
                )
                .bind(table)
                .fetch_all(&mut sqlite)
                .await
                .unwrap();
                constraints.extend(references);
            }
        }
        let indexes: Vec<String> = sqlx::query_scalar(
            "SELECT regexp_replace(pg_get_indexdef(indexrelid), ' ON [a-z.]+_?[a-z.]* USING btree', ' on') \
             FROM pg_index WHERE indrelid = $1::regclass \
             AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u')) ORDER BY 1",
        )
        .bind(table)
        .fetch_all(&mut postgres)
        .await
        .unwrap();
        writeln!(page).unwrap();
        for line in constraints.iter().chain(&indexes) {
            writeln!(page, "- `{line}`").unwrap();
        }
    }
    let triggers: Vec<String> =
        sqlx::query_scalar("SELECT DISTINCT tgname::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1")
            .fetch_all(&mut postgres)
            .await
            .unwrap();
    writeln!(
        page,
        "\nKeys and checks are written as PostgreSQL has them, which keeps the references of `caches`, `instances` and\n\
         `retired_ports`, and to them, by triggers (`{}`),\n\
         once a statement. On all three, triggers see to it that a port is not both an instance's and retired.\n\
         `memc_migrations` beside these says which migrations were made.",
        triggers.join("`, `")
    )
    .unwrap();

    if std::env::var_os("MEMC_WRITE_SCHEMA").is_some() {
        std::fs::write(PAGE, &page).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(
        written == page,
        "docs/schema.md is out of date: MEMC_WRITE_SCHEMA=1 cargo test -p memc-store-sql --test schema makes it anew"
    );
}

/// In PostgreSQL's order, then what others have besides.
async fn columns(
    table: &str,
    postgres: &mut PgConnection,
    mariadb: &mut MySqlConnection,
    sqlite: &mut SqliteConnection,
) -> Vec<(String, Column)> {
    let mut columns: Vec<(String, Column)> = Vec::new();
    fn of<'a>(columns: &'a mut Vec<(String, Column)>, name: &str) -> &'a mut Column {
        let place = columns.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            columns.push((name.to_owned(), Column::default()));
            columns.len() - 1
        });
        &mut columns[place].1
    }
    let query = "SELECT attname::text, format_type(atttypid, atttypmod), NOT attnotnull FROM pg_attribute \
                 WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum";
    let found: Vec<(String, String, bool)> =
        sqlx::query_as(query).bind(table).fetch_all(postgres).await.unwrap();
    for (name, kind, nullable) in found {
        *of(&mut columns, &name) = Column { postgres: Some(kind), nullable, ..Column::default() };
    }
    let query = "SELECT CAST(column_name AS CHAR), CAST(column_type AS CHAR), is_nullable = 'YES' \
                 FROM information_schema.columns WHERE table_schema = database() AND table_name = ? \
                 ORDER BY ordinal_position";
    let found: Vec<(String, String, bool)> =
        sqlx::query_as(query).bind(table).fetch_all(mariadb).await.unwrap();
    for (name, kind, nullable) in found {
        let column = of(&mut columns, &name);
        column.nullable |= nullable;
        // How wide a number is shown.
        column.mariadb = Some(kind.split("(20)").collect());
    }
    let query = "SELECT name, lower(type) FROM pragma_table_info(?) ORDER BY cid";
    let found: Vec<(String, String)> = sqlx::query_as(query).bind(table).fetch_all(sqlite).await.unwrap();
    for (name, kind) in found {
        of(&mut columns, &name).sqlite = Some(kind);
    }
    columns
}

/// What PostgreSQL's migrations say about tables and columns, by `table` and `table.column`: the comment before each.
fn comments() -> BTreeMap<String, String> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres")).unwrap();
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let migrations: Vec<String> =
        files.into_iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let (mut comments, mut table, mut comment) = (BTreeMap::new(), String::new(), Vec::new());
    for line in migrations.iter().flat_map(|migration| migration.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let about = match &words[..] {
            ["--", said @ ..] => {
                comment.push(said.join(" "));
                continue;
            }
            ["CREATE", "TABLE", name, "("] => {
                table = (*name).to_owned();
                table.clone()
            }
            ["ALTER", "TABLE", name, "ADD", "COLUMN", column, ..] => format!("{name}.{column}"),
            [column, _, ..] if line.starts_with("    ") => format!("{table}.{column}"),
            _ => String::new(),
        };
        if !comment.is_empty() && !about.is_empty() {
            comments.insert(about, comment.join(" "));
        }
        comment.clear();
    }
    comments
}
