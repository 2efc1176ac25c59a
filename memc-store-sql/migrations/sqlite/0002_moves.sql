-- Instances that move from host to host: plans, hosts that are being emptied, and the copy that takes an instance's
-- place. Commits and records of format 2 say so; a process that writes format 1 stops appending.
--
-- Tables are made anew where a CHECK or a UNIQUE changes, in the way that SQLite's documentation of ALTER TABLE
-- describes. Whoever runs this has foreign keys off, and checks them afterwards.

UPDATE ledger SET format = 2;

DROP TRIGGER instance_on_retired_port;
DROP TRIGGER retired_port_of_instance;

CREATE TABLE new_hosts (
    id            INTEGER PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE COLLATE NOCASE,
    cluster       INTEGER NOT NULL REFERENCES clusters (id),
    address       TEXT    NOT NULL,
    memory_mib    INTEGER NOT NULL CHECK (memory_mib BETWEEN 0 AND 16777216),
    rack          TEXT,
    status        TEXT    NOT NULL CHECK (status IN ('active', 'cordoned', 'draining', 'lost', 'removed')),
    blocked_ports TEXT    NOT NULL CHECK (json_valid(blocked_ports)),
    served        INTEGER NOT NULL,
    served_at_ms  INTEGER,
    revision      INTEGER NOT NULL
) STRICT;

INSERT INTO new_hosts
SELECT id, name, cluster, address, memory_mib, rack, status, blocked_ports, served, served_at_ms, revision FROM hosts;
DROP TABLE hosts;
ALTER TABLE new_hosts RENAME TO hosts;
CREATE INDEX hosts_of_cluster ON hosts (cluster);

ALTER TABLE caches ADD COLUMN max_per_rack INTEGER CHECK (max_per_rack >= 1);

CREATE TABLE new_instances (
    id           INTEGER PRIMARY KEY,
    cache        INTEGER NOT NULL REFERENCES caches (id),
    place        INTEGER NOT NULL CHECK (place >= 0),
    host         INTEGER NOT NULL REFERENCES hosts (id),
    port         INTEGER NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    memory_mib   INTEGER NOT NULL CHECK (memory_mib >= 1),
    booked_mib   INTEGER NOT NULL CHECK (booked_mib >= memory_mib),
    phase        TEXT    NOT NULL CHECK (phase IN ('kept', 'shrinking', 'releasing')),
    -- The copy that takes its place.
    moved_to     INTEGER,
    observed_mib INTEGER,
    seen_by      INTEGER,
    revision     INTEGER NOT NULL,
    UNIQUE (host, port)
) STRICT;

INSERT INTO new_instances
SELECT id, cache, place, host, port, memory_mib, booked_mib, phase, NULL, observed_mib, seen_by, revision
FROM instances;
DROP TABLE instances;
ALTER TABLE new_instances RENAME TO instances;
CREATE UNIQUE INDEX instance_of_place ON instances (cache, place) WHERE moved_to IS NULL;
CREATE INDEX instances_of_cache ON instances (cache);

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

CREATE TABLE plans (
    id              INTEGER PRIMARY KEY,
    cluster         INTEGER NOT NULL REFERENCES clusters (id),
    goal            TEXT    NOT NULL CHECK (goal IN ('drain', 'make_room', 'rebalance')),
    -- Numbers of the hosts that it empties.
    empties         TEXT    NOT NULL CHECK (json_valid(empties)),
    -- The moves in their order: instance, from, port, memory, to.
    steps           TEXT    NOT NULL CHECK (json_valid(steps)),
    begun           INTEGER NOT NULL CHECK (begun >= 0),
    status          TEXT    NOT NULL CHECK (status IN ('running', 'done', 'stopped')),
    stopped_because TEXT,
    revision        INTEGER NOT NULL
) STRICT;

CREATE INDEX plans_of_cluster ON plans (cluster);
