-- Times are milliseconds since 1970-01-01 UTC, memory is in MiB, `revision` is the last commit that changed the row.
-- Names, ranges and references are checked here a second time: the rules are kept by memc-core before it commits.
-- Names compare byte by byte (COLLATE "C") whatever the database's language.

-- One row: what the ledger as a whole is. It is read in every turn and never written.
CREATE TABLE ledger (
    only_row bigint PRIMARY KEY CHECK (only_row = 1),
    format   bigint NOT NULL CHECK (format >= 1)
);

INSERT INTO ledger (only_row, format) VALUES (1, 2);

CREATE TABLE commits (
    revision bigint PRIMARY KEY CHECK (revision >= 1),
    id       bytea  NOT NULL UNIQUE CHECK (octet_length(id) = 16),
    previous bytea  NOT NULL UNIQUE CHECK (octet_length(previous) = 16),
    at_ms    bigint NOT NULL CHECK (at_ms >= 0),
    actor    text   NOT NULL,
    action   text   NOT NULL,
    target   text   COLLATE "C" NOT NULL,
    detail   text   NOT NULL,
    request  text,
    changes  json   NOT NULL
);

CREATE INDEX commits_of_target ON commits (target, revision);

-- One row: the fleet.
CREATE TABLE fleet (
    only_row bigint PRIMARY KEY CHECK (only_row = 1),
    id       text   NOT NULL CHECK (length(id) = 36),
    epoch    bigint NOT NULL CHECK (epoch >= 0),
    last_id  bigint NOT NULL CHECK (last_id >= 0)
);

CREATE TABLE clusters (
    id         bigint PRIMARY KEY,
    name       text   COLLATE "C" NOT NULL UNIQUE,
    first_port bigint NOT NULL CHECK (first_port >= 1024),
    last_port  bigint NOT NULL CHECK (last_port BETWEEN first_port AND 65535),
    policy     json   NOT NULL,
    revision   bigint NOT NULL
);

CREATE TABLE hosts (
    id            bigint PRIMARY KEY,
    name          text   COLLATE "C" NOT NULL,
    cluster       bigint NOT NULL REFERENCES clusters (id),
    address       text   NOT NULL,
    memory_mib    bigint NOT NULL CHECK (memory_mib BETWEEN 0 AND 16777216),
    rack          text   COLLATE "C",
    status        text   NOT NULL CHECK (status IN ('active', 'cordoned', 'draining', 'lost', 'removed')),
    blocked_ports json   NOT NULL,
    served        bigint NOT NULL,
    served_at_ms  bigint,
    revision      bigint NOT NULL
);

CREATE UNIQUE INDEX host_of_name ON hosts (lower(name));
CREATE INDEX hosts_of_cluster ON hosts (cluster);

CREATE TABLE teams (
    id       bigint PRIMARY KEY,
    name     text   COLLATE "C" NOT NULL UNIQUE,
    revision bigint NOT NULL
);

CREATE TABLE quotas (
    cluster    bigint NOT NULL REFERENCES clusters (id),
    team       bigint NOT NULL REFERENCES teams (id),
    memory_mib bigint NOT NULL CHECK (memory_mib >= 0),
    revision   bigint NOT NULL,
    PRIMARY KEY (cluster, team)
);

CREATE INDEX quotas_of_team ON quotas (team);

CREATE TABLE caches (
    id            bigint PRIMARY KEY,
    team          bigint NOT NULL REFERENCES teams (id),
    name          text   COLLATE "C" NOT NULL,
    cluster       bigint NOT NULL REFERENCES clusters (id),
    memory_mib    bigint NOT NULL CHECK (memory_mib >= 1),
    instances     bigint NOT NULL CHECK (instances >= 1),
    max_per_rack  bigint CHECK (max_per_rack >= 1),
    releasing     bigint NOT NULL CHECK (releasing IN (0, 1)),
    created_at_ms bigint NOT NULL,
    created_by    text   NOT NULL,
    revision      bigint NOT NULL,
    UNIQUE (team, name)
);

CREATE INDEX caches_of_cluster ON caches (cluster);

CREATE TABLE instances (
    id           bigint PRIMARY KEY,
    cache        bigint NOT NULL REFERENCES caches (id),
    place        bigint NOT NULL CHECK (place >= 0),
    host         bigint NOT NULL REFERENCES hosts (id),
    port         bigint NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    memory_mib   bigint NOT NULL CHECK (memory_mib >= 1),
    booked_mib   bigint NOT NULL CHECK (booked_mib >= memory_mib),
    phase        text   NOT NULL CHECK (phase IN ('kept', 'shrinking', 'releasing')),
    -- The copy that takes its place.
    moved_to     bigint,
    observed_mib bigint,
    seen_by      bigint,
    revision     bigint NOT NULL,
    UNIQUE (host, port)
);

CREATE UNIQUE INDEX instance_of_place ON instances (cache, place) WHERE moved_to IS NULL;
CREATE INDEX instances_of_cache ON instances (cache);

CREATE TABLE retired_ports (
    host           bigint NOT NULL REFERENCES hosts (id),
    port           bigint NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    instance       bigint NOT NULL,
    reusable_at_ms bigint NOT NULL,
    revision       bigint NOT NULL,
    PRIMARY KEY (host, port)
);

CREATE TABLE plans (
    id              bigint PRIMARY KEY,
    cluster         bigint NOT NULL REFERENCES clusters (id),
    goal            text   NOT NULL CHECK (goal IN ('drain', 'make_room', 'rebalance')),
    -- Numbers of the hosts that it empties.
    empties         json   NOT NULL,
    -- The moves in their order: instance, from, port, memory, to.
    steps           json   NOT NULL,
    begun           bigint NOT NULL CHECK (begun >= 0),
    status          text   NOT NULL CHECK (status IN ('running', 'done', 'stopped')),
    stopped_because text,
    revision        bigint NOT NULL
);

CREATE INDEX plans_of_cluster ON plans (cluster);

CREATE TABLE requests (
    principal text   COLLATE "C" NOT NULL,
    id        text   COLLATE "C" NOT NULL,
    digest    text   NOT NULL,
    revision  bigint NOT NULL,
    at_ms     bigint NOT NULL,
    subject   json   NOT NULL,
    PRIMARY KEY (principal, id)
);

-- A port has one owner: an instance, or the memory of its last one.
CREATE FUNCTION port_has_one_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'instances' THEN
        IF EXISTS (SELECT FROM retired_ports WHERE host = NEW.host AND port = NEW.port) THEN
            RAISE 'the port is retired' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF EXISTS (SELECT FROM instances WHERE host = NEW.host AND port = NEW.port) THEN
        RAISE 'the port belongs to an instance' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER instance_on_retired_port BEFORE INSERT ON instances
FOR EACH ROW EXECUTE FUNCTION port_has_one_owner();

CREATE TRIGGER retired_port_of_instance BEFORE INSERT ON retired_ports
FOR EACH ROW EXECUTE FUNCTION port_has_one_owner();
