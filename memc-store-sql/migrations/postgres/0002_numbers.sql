-- The last number that the fleet has given out moves from its row to the commits: it changes in nearly every turn, and
-- updating one row again and again becomes slow while a dump or another long snapshot keeps its old versions. Format 3:
-- a program that does not know of this stops appending.

-- In this order, so that a turn that has begun ends first and no other begins.
LOCK TABLE ledger, commits, fleet, instances, retired_ports IN ACCESS EXCLUSIVE MODE;

UPDATE ledger SET format = 3;

-- The last number that was given out until then; 0 in commits from before this was kept.
ALTER TABLE commits ADD COLUMN last_id bigint NOT NULL DEFAULT 0 CHECK (last_id >= 0);
UPDATE commits SET last_id = (SELECT last_id FROM fleet)
WHERE revision = (SELECT max(revision) FROM commits) AND EXISTS (SELECT FROM fleet);
ALTER TABLE commits ALTER COLUMN last_id DROP DEFAULT;
ALTER TABLE fleet DROP COLUMN last_id;

-- A port has one owner: an instance, or the memory of its last one. Looked at once for all rows of a statement, after it.
DROP TRIGGER instance_on_retired_port ON instances;
DROP TRIGGER retired_port_of_instance ON retired_ports;
DROP FUNCTION port_has_one_owner;

CREATE FUNCTION port_has_one_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_TABLE_NAME = 'instances' THEN
        IF EXISTS (SELECT FROM added JOIN retired_ports USING (host, port)) THEN
            RAISE 'the port is retired' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
    ELSIF EXISTS (SELECT FROM added JOIN instances USING (host, port)) THEN
        RAISE 'the port belongs to an instance' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER instance_on_retired_port AFTER INSERT ON instances
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION port_has_one_owner();

CREATE TRIGGER retired_port_of_instance AFTER INSERT ON retired_ports
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION port_has_one_owner();
