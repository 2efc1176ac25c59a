-- Less to do for each row that is written. Programs of before go on writing as they did: the format stays.

-- In this order, so that a turn that has begun ends first and no other begins.
LOCK TABLE ledger, commits, clusters, hosts, teams, caches, instances, retired_ports IN ACCESS EXCLUSIVE MODE;

-- What every allocation writes refers to is looked up once a statement. A foreign key asks for each row by itself, and
-- locks the row that is referred to, which takes as long as writing the row did. Tables that are rarely written have
-- foreign keys as before.
--
-- Without such a lock two transactions that do not see each other could leave a reference to a row that the other has
-- deleted. Turns cannot: they have the ledger's lock, one at a time. A change by hand at the same moment can, and is
-- found by `doctor --deep` as any by hand, since the history says something else.
ALTER TABLE caches DROP CONSTRAINT caches_team_fkey, DROP CONSTRAINT caches_cluster_fkey;
ALTER TABLE instances DROP CONSTRAINT instances_cache_fkey, DROP CONSTRAINT instances_host_fkey;
ALTER TABLE retired_ports DROP CONSTRAINT retired_ports_host_fkey;
DROP TRIGGER instance_on_retired_port ON instances;
DROP TRIGGER retired_port_of_instance ON retired_ports;
DROP FUNCTION port_has_one_owner;

-- Made anew where they are there: when a dump of the schema before is restored over this one, they stay. Each looks in the
-- schema that these tables are in, whatever the session's path is.
--
-- Sessions keep the plans of these queries while tables grow from nothing to millions of rows. Each look is a query in
-- brackets, which is made for one row at a time, along an index: as a join it could be planned, once and for long, as
-- reading a table whole that was small then.
CREATE OR REPLACE FUNCTION refers() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_TABLE_NAME = 'caches' THEN
        IF EXISTS (
            SELECT FROM added
            WHERE (SELECT id FROM teams WHERE id = added.team) IS NULL
            OR (SELECT id FROM clusters WHERE id = added.cluster) IS NULL
        ) THEN
            RAISE 'the team or the cluster of a cache is not there' USING ERRCODE = 'foreign_key_violation';
        END IF;
    ELSIF TG_TABLE_NAME = 'instances' THEN
        IF EXISTS (
            SELECT FROM added
            WHERE (SELECT id FROM caches WHERE id = added.cache) IS NULL
            OR (SELECT id FROM hosts WHERE id = added.host) IS NULL
        ) THEN
            RAISE 'the cache or the host of an instance is not there' USING ERRCODE = 'foreign_key_violation';
        END IF;
        -- A port has one owner: an instance, or the memory of its last one.
        IF EXISTS (
            SELECT FROM added
            WHERE (SELECT host FROM retired_ports WHERE host = added.host AND port = added.port) IS NOT NULL
        ) THEN
            RAISE 'the port is retired' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSE
        IF EXISTS (SELECT FROM added WHERE (SELECT id FROM hosts WHERE id = added.host) IS NULL) THEN
            RAISE 'the host of a retired port is not there' USING ERRCODE = 'foreign_key_violation';
        END IF;
        IF EXISTS (
            SELECT FROM added
            WHERE (SELECT id FROM instances WHERE host = added.host AND port = added.port) IS NOT NULL
        ) THEN
            RAISE 'the port belongs to an instance' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION is_referred_to() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    refused boolean;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        refused := CASE TG_TABLE_NAME
            WHEN 'hosts' THEN EXISTS (SELECT FROM instances) OR EXISTS (SELECT FROM retired_ports)
            WHEN 'caches' THEN EXISTS (SELECT FROM instances)
            ELSE EXISTS (SELECT FROM caches)
        END;
    ELSIF TG_TABLE_NAME = 'clusters' THEN
        -- Without an index: clusters are hardly ever removed.
        refused := EXISTS (SELECT FROM caches WHERE cluster IN (SELECT id FROM gone));
    ELSIF TG_TABLE_NAME = 'teams' THEN
        refused := EXISTS (SELECT FROM gone WHERE (SELECT id FROM caches WHERE team = gone.id LIMIT 1) IS NOT NULL);
    ELSIF TG_TABLE_NAME = 'hosts' THEN
        refused := EXISTS (
            SELECT FROM gone
            WHERE (SELECT id FROM instances WHERE host = gone.id LIMIT 1) IS NOT NULL
            OR (SELECT host FROM retired_ports WHERE host = gone.id LIMIT 1) IS NOT NULL
        );
    ELSE
        -- Along one index each.
        refused := EXISTS (
            SELECT FROM gone
            WHERE (SELECT id FROM instances WHERE cache = gone.id AND moved_to IS NULL LIMIT 1) IS NOT NULL
            OR (SELECT id FROM instances WHERE cache = gone.id AND moved_to IS NOT NULL LIMIT 1) IS NOT NULL
        );
    END IF;
    IF refused THEN
        RAISE 'table % is referred to', TG_TABLE_NAME USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION number_stays() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    RAISE 'numbers in table % stay as they are: others refer to them', TG_TABLE_NAME
    USING ERRCODE = 'foreign_key_violation';
END
$$;

CREATE TRIGGER added_refers AFTER INSERT ON caches
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refers();
CREATE TRIGGER changed_refers AFTER UPDATE ON caches
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refers();
CREATE TRIGGER added_refers AFTER INSERT ON instances
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refers();
CREATE TRIGGER changed_refers AFTER UPDATE ON instances
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refers();
CREATE TRIGGER added_refers AFTER INSERT ON retired_ports
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refers();
CREATE TRIGGER changed_refers AFTER UPDATE ON retired_ports
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refers();

CREATE TRIGGER is_referred_to AFTER DELETE ON clusters
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER is_referred_to_at_all AFTER TRUNCATE ON clusters FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER number_stays BEFORE UPDATE OF id ON clusters FOR EACH STATEMENT EXECUTE FUNCTION number_stays();

CREATE TRIGGER is_referred_to AFTER DELETE ON hosts
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER is_referred_to_at_all AFTER TRUNCATE ON hosts FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER number_stays BEFORE UPDATE OF id ON hosts FOR EACH STATEMENT EXECUTE FUNCTION number_stays();

CREATE TRIGGER is_referred_to AFTER DELETE ON teams
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER is_referred_to_at_all AFTER TRUNCATE ON teams FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER number_stays BEFORE UPDATE OF id ON teams FOR EACH STATEMENT EXECUTE FUNCTION number_stays();

CREATE TRIGGER is_referred_to AFTER DELETE ON caches
REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER is_referred_to_at_all AFTER TRUNCATE ON caches FOR EACH STATEMENT EXECUTE FUNCTION is_referred_to();
CREATE TRIGGER number_stays BEFORE UPDATE OF id ON caches FOR EACH STATEMENT EXECUTE FUNCTION number_stays();

-- Nothing looks a commit up by its id or by that of the one before: revisions are dense, every turn compares the last
-- commit's id before it continues it, and whoever reads on compares each with the one before.
ALTER TABLE commits DROP CONSTRAINT commits_id_key, DROP CONSTRAINT commits_previous_key;

-- Instances of a cache are found by `instance_of_place`, but for those that are being moved.
DROP INDEX instances_of_cache;
CREATE INDEX instances_moving ON instances (cache) WHERE moved_to IS NOT NULL;

-- Only removing a cluster looked for its caches.
DROP INDEX caches_of_cluster;

-- What the program writes is JSON; the server read every character of it to see that.
ALTER TABLE commits ALTER COLUMN changes TYPE text;
