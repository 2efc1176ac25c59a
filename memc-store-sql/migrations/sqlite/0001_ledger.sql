-- Times are milliseconds since 1970-01-01 UTC, memory is in MiB, `revision` is the last commit that changed the row.
-- Names, ranges and references are checked here a second time: the rules are kept by memc-core before it commits.

-- One row: what the ledger as a whole is.
CREATE TABLE ledger (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    format   INTEGER NOT NULL CHECK (format >= 1),
    -- Grows when a commit whose fate was unknown has been settled; see the crate's documentation.
    settled  INTEGER NOT NULL DEFAULT 0
) STRICT;

INSERT INTO ledger (only_row, format) VALUES (1, 1);

CREATE TABLE commits (
    revision    INTEGER PRIMARY KEY CHECK (revision >= 1),
    id          BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    previous    BLOB    NOT NULL UNIQUE CHECK (length(previous) = 16),
    at_ms       INTEGER NOT NULL CHECK (at_ms >= 0),
    actor       TEXT    NOT NULL,
    action      TEXT    NOT NULL,
    target      TEXT    NOT NULL,
    detail      TEXT    NOT NULL,
    request     TEXT,
    changes     TEXT    NOT NULL CHECK (json_valid(changes))
) STRICT;

CREATE INDEX commits_of_target ON commits (target, revision);

-- One row: the fleet.
CREATE TABLE fleet (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    id       TEXT    NOT NULL CHECK (length(id) = 36),
    epoch    INTEGER NOT NULL CHECK (epoch >= 0),
    last_id  INTEGER NOT NULL CHECK (last_id >= 0)
) STRICT;

CREATE TABLE clusters (
    id         INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL UNIQUE,
    first_port INTEGER NOT NULL CHECK (first_port >= 1024),
    last_port  INTEGER NOT NULL CHECK (last_port BETWEEN first_port AND 65535),
    policy     TEXT    NOT NULL CHECK (json_valid(policy)),
    revision   INTEGER NOT NULL
) STRICT;

CREATE TABLE hosts (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    cluster       INTEGER NOT NULL REFERENCES clusters (id),
    address       TEXT    NOT NULL,
    memory_mib    INTEGER NOT NULL CHECK (memory_mib BETWEEN 0 AND 16777216),
    rack          TEXT,
    status        TEXT    NOT NULL CHECK (status IN ('active', 'cordoned', 'lost', 'removed')),
    blocked_ports TEXT    NOT NULL CHECK (json_valid(blocked_ports)),
    served        INTEGER NOT NULL,
    served_at_ms  INTEGER,
    revision      INTEGER NOT NULL
) STRICT;

CREATE INDEX hosts_of_cluster ON hosts (cluster);

CREATE TABLE teams (
    id       INTEGER PRIMARY KEY,
    name     TEXT    NOT NULL UNIQUE,
    revision INTEGER NOT NULL
) STRICT;

CREATE TABLE quotas (
    cluster    INTEGER NOT NULL REFERENCES clusters (id),
    team       INTEGER NOT NULL REFERENCES teams (id),
    memory_mib INTEGER NOT NULL CHECK (memory_mib >= 0),
    revision   INTEGER NOT NULL,
    PRIMARY KEY (cluster, team)
) STRICT, WITHOUT ROWID;

CREATE INDEX quotas_of_team ON quotas (team);

CREATE TABLE caches (
    id            INTEGER PRIMARY KEY,
    team          INTEGER NOT NULL REFERENCES teams (id),
    name          TEXT    NOT NULL,
    cluster       INTEGER NOT NULL REFERENCES clusters (id),
    memory_mib    INTEGER NOT NULL CHECK (memory_mib >= 1),
    instances     INTEGER NOT NULL CHECK (instances >= 1),
    releasing     INTEGER NOT NULL CHECK (releasing IN (0, 1)),
    created_at_ms INTEGER NOT NULL,
    created_by    TEXT    NOT NULL,
    revision      INTEGER NOT NULL,
    UNIQUE (team, name)
) STRICT;

CREATE INDEX caches_of_cluster ON caches (cluster);

CREATE TABLE instances (
    id           INTEGER PRIMARY KEY,
    cache        INTEGER NOT NULL REFERENCES caches (id),
    place        INTEGER NOT NULL CHECK (place >= 0),
    host         INTEGER NOT NULL REFERENCES hosts (id),
    port         INTEGER NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    memory_mib   INTEGER NOT NULL CHECK (memory_mib >= 1),
    booked_mib   INTEGER NOT NULL CHECK (booked_mib >= memory_mib),
    phase        TEXT    NOT NULL CHECK (phase IN ('kept', 'shrinking', 'releasing')),
    observed_mib INTEGER,
    seen_by      INTEGER,
    revision     INTEGER NOT NULL,
    UNIQUE (host, port),
    UNIQUE (cache, place)
) STRICT;

CREATE TABLE retired_ports (
    host           INTEGER NOT NULL REFERENCES hosts (id),
    port           INTEGER NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    instance       INTEGER NOT NULL,
    reusable_at_ms INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    PRIMARY KEY (host, port)
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    principal TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    digest    TEXT    NOT NULL,
    revision  INTEGER NOT NULL,
    at_ms     INTEGER NOT NULL,
    subject   TEXT    NOT NULL CHECK (json_valid(subject)),
    PRIMARY KEY (principal, id)
) STRICT, WITHOUT ROWID;

-- A port has one owner: an instance, or the memory of its last one.
CREATE TRIGGER instance_on_retired_port BEFORE INSERT ON instances
WHEN EXISTS (SELECT 1 FROM retired_ports WHERE host = NEW.host AND port = NEW.port)
BEGIN
    SELECT raise(ABORT, 'the port is retired');
END;

CREATE TRIGGER retired_port_of_instance BEFORE INSERT ON retired_ports
WHEN EXISTS (SELECT 1 FROM instances WHERE host = NEW.host AND port = NEW.port)
BEGIN
    SELECT raise(ABORT, 'the port belongs to an instance');
END;
