-- Times are milliseconds since 1970-01-01 UTC, memory is in MiB, `revision` is the last commit that changed the row.
-- Names, ranges and references are checked here a second time: the rules are kept by memc-core before it commits.
-- Names compare byte by byte, those of hosts without regard to case.
--
-- A change of the schema is no transaction here: every statement can be made again, in case this breaks off half way.

-- One row: what the ledger as a whole is. It is read in every turn and never written.
CREATE TABLE IF NOT EXISTS ledger (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    format   BIGINT NOT NULL CHECK (format >= 1)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

INSERT IGNORE INTO ledger (only_row, format) VALUES (1, 2);

CREATE TABLE IF NOT EXISTS commits (
    revision BIGINT PRIMARY KEY CHECK (revision >= 1),
    id       BINARY(16) NOT NULL UNIQUE,
    previous BINARY(16) NOT NULL UNIQUE,
    at_ms    BIGINT NOT NULL CHECK (at_ms >= 0),
    actor    VARCHAR(255) NOT NULL,
    action   VARCHAR(255) NOT NULL,
    target   VARCHAR(300) NOT NULL,
    detail   LONGTEXT NOT NULL,
    request  VARCHAR(255),
    changes  LONGTEXT NOT NULL CHECK (json_valid(changes)),
    INDEX commits_of_target (target, revision)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- One row: the fleet.
CREATE TABLE IF NOT EXISTS fleet (
    only_row BIGINT PRIMARY KEY CHECK (only_row = 1),
    id       VARCHAR(255) NOT NULL CHECK (length(id) = 36),
    epoch    BIGINT NOT NULL CHECK (epoch >= 0),
    last_id  BIGINT NOT NULL CHECK (last_id >= 0)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS clusters (
    id         BIGINT PRIMARY KEY,
    name       VARCHAR(255) NOT NULL UNIQUE,
    first_port BIGINT NOT NULL CHECK (first_port >= 1024),
    last_port  BIGINT NOT NULL CHECK (last_port BETWEEN first_port AND 65535),
    policy     LONGTEXT NOT NULL CHECK (json_valid(policy)),
    revision   BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS hosts (
    id            BIGINT PRIMARY KEY,
    name          VARCHAR(255) CHARACTER SET ascii COLLATE ascii_general_ci NOT NULL,
    cluster       BIGINT NOT NULL,
    address       VARCHAR(255) NOT NULL,
    memory_mib    BIGINT NOT NULL CHECK (memory_mib BETWEEN 0 AND 16777216),
    rack          VARCHAR(255),
    status        VARCHAR(255) NOT NULL CHECK (status IN ('active', 'cordoned', 'draining', 'lost', 'removed')),
    blocked_ports LONGTEXT NOT NULL CHECK (json_valid(blocked_ports)),
    served        BIGINT NOT NULL,
    served_at_ms  BIGINT,
    revision      BIGINT NOT NULL,
    FOREIGN KEY (cluster) REFERENCES clusters (id),
    INDEX hosts_of_cluster (cluster),
    UNIQUE INDEX host_of_name (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS teams (
    id       BIGINT PRIMARY KEY,
    name     VARCHAR(255) NOT NULL UNIQUE,
    revision BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS quotas (
    cluster    BIGINT NOT NULL,
    team       BIGINT NOT NULL,
    memory_mib BIGINT NOT NULL CHECK (memory_mib >= 0),
    revision   BIGINT NOT NULL,
    PRIMARY KEY (cluster, team),
    FOREIGN KEY (cluster) REFERENCES clusters (id),
    FOREIGN KEY (team) REFERENCES teams (id),
    INDEX quotas_of_team (team)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS caches (
    id            BIGINT PRIMARY KEY,
    team          BIGINT NOT NULL,
    name          VARCHAR(255) NOT NULL,
    cluster       BIGINT NOT NULL,
    memory_mib    BIGINT NOT NULL CHECK (memory_mib >= 1),
    instances     BIGINT NOT NULL CHECK (instances >= 1),
    max_per_rack  BIGINT CHECK (max_per_rack >= 1),
    releasing     BIGINT NOT NULL CHECK (releasing IN (0, 1)),
    created_at_ms BIGINT NOT NULL,
    created_by    VARCHAR(255) NOT NULL,
    revision      BIGINT NOT NULL,
    UNIQUE (team, name),
    FOREIGN KEY (team) REFERENCES teams (id),
    FOREIGN KEY (cluster) REFERENCES clusters (id),
    INDEX caches_of_cluster (cluster)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS instances (
    id           BIGINT PRIMARY KEY,
    cache        BIGINT NOT NULL,
    place        BIGINT NOT NULL CHECK (place >= 0),
    host         BIGINT NOT NULL,
    port         BIGINT NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    memory_mib   BIGINT NOT NULL CHECK (memory_mib >= 1),
    booked_mib   BIGINT NOT NULL CHECK (booked_mib >= memory_mib),
    phase        VARCHAR(255) NOT NULL CHECK (phase IN ('kept', 'shrinking', 'releasing')),
    -- The copy that takes its place.
    moved_to     BIGINT,
    -- Null in those that have a copy: a unique key does not compare nulls.
    kept_place   BIGINT GENERATED ALWAYS AS (IF(moved_to IS NULL, place, NULL)) VIRTUAL,
    observed_mib BIGINT,
    seen_by      BIGINT,
    revision     BIGINT NOT NULL,
    UNIQUE (host, port),
    UNIQUE INDEX instance_of_place (cache, kept_place),
    FOREIGN KEY (cache) REFERENCES caches (id),
    FOREIGN KEY (host) REFERENCES hosts (id),
    INDEX instances_of_cache (cache)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS retired_ports (
    host           BIGINT NOT NULL,
    port           BIGINT NOT NULL CHECK (port BETWEEN 1024 AND 65535),
    instance       BIGINT NOT NULL,
    reusable_at_ms BIGINT NOT NULL,
    revision       BIGINT NOT NULL,
    PRIMARY KEY (host, port),
    FOREIGN KEY (host) REFERENCES hosts (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS plans (
    id              BIGINT PRIMARY KEY,
    cluster         BIGINT NOT NULL,
    goal            VARCHAR(255) NOT NULL CHECK (goal IN ('drain', 'make_room', 'rebalance')),
    -- Numbers of the hosts that it empties.
    empties         LONGTEXT NOT NULL CHECK (json_valid(empties)),
    -- The moves in their order: instance, from, port, memory, to.
    steps           LONGTEXT NOT NULL CHECK (json_valid(steps)),
    begun           BIGINT NOT NULL CHECK (begun >= 0),
    status          VARCHAR(255) NOT NULL CHECK (status IN ('running', 'done', 'stopped')),
    stopped_because LONGTEXT,
    revision        BIGINT NOT NULL,
    FOREIGN KEY (cluster) REFERENCES clusters (id),
    INDEX plans_of_cluster (cluster)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS requests (
    principal VARCHAR(255) NOT NULL,
    id        VARCHAR(255) NOT NULL,
    digest    VARCHAR(255) NOT NULL,
    revision  BIGINT NOT NULL,
    at_ms     BIGINT NOT NULL,
    subject   LONGTEXT NOT NULL CHECK (json_valid(subject)),
    PRIMARY KEY (principal, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- A port has one owner: an instance, or the memory of its last one. CREATE TRIGGER IF NOT EXISTS would need MySQL 8.0.29.
DROP TRIGGER IF EXISTS instance_on_retired_port;
CREATE TRIGGER instance_on_retired_port BEFORE INSERT ON instances FOR EACH ROW
BEGIN
    IF EXISTS (SELECT 1 FROM retired_ports WHERE host = NEW.host AND port = NEW.port) THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the port is retired';
    END IF;
END;

DROP TRIGGER IF EXISTS retired_port_of_instance;
CREATE TRIGGER retired_port_of_instance BEFORE INSERT ON retired_ports FOR EACH ROW
BEGIN
    IF EXISTS (SELECT 1 FROM instances WHERE host = NEW.host AND port = NEW.port) THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the port belongs to an instance';
    END IF;
END;
