-- Indexes that nothing looks into. Programs of before go on writing as they did: the format stays.

-- Nothing looks a commit up by its id or by that of the one before: revisions are dense, every turn compares the last
-- commit's id before it continues it, and whoever reads on compares each with the one before. A UNIQUE goes only with
-- its table.
CREATE TABLE new_commits (
    revision INTEGER PRIMARY KEY CHECK (revision >= 1),
    id       BLOB    NOT NULL CHECK (length(id) = 16),
    previous BLOB    NOT NULL CHECK (length(previous) = 16),
    at_ms    INTEGER NOT NULL CHECK (at_ms >= 0),
    actor    TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    target   TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    request  TEXT,
    changes  TEXT    NOT NULL CHECK (json_valid(changes)),
    last_id  INTEGER NOT NULL CHECK (last_id >= 0)
) STRICT;

INSERT INTO new_commits
SELECT revision, id, previous, at_ms, actor, action, target, detail, request, changes, last_id
FROM commits ORDER BY revision;
DROP TABLE commits;
ALTER TABLE new_commits RENAME TO commits;
CREATE INDEX commits_of_target ON commits (target, revision);

-- Only removing a cluster looked for its caches. `instances_of_cache` stays: a foreign key does not look into indexes of
-- some of the rows.
DROP INDEX caches_of_cluster;
