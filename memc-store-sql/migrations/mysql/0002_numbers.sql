-- The last number that the fleet has given out moves from its row to the commits: it changes in nearly every turn, and a
-- row that is updated again and again becomes slow while a dump or another long snapshot keeps its old versions. Format
-- 3: a program that does not know of this stops appending.
--
-- A change of the schema is no transaction here: every statement can be made again, in case this breaks off half way.

UPDATE ledger SET format = 3;

-- The last number that was given out until then; 0 in commits from before this was kept.
SET @last_id = (
    SELECT count(*) FROM information_schema.columns
    WHERE table_schema = database() AND table_name = 'commits' AND column_name = 'last_id'
);
SET @statement = IF(
    @last_id = 0, 'ALTER TABLE commits ADD COLUMN last_id BIGINT NOT NULL DEFAULT 0 CHECK (last_id >= 0)', 'DO 0'
);
PREPARE statement FROM @statement;
EXECUTE statement;

SET @last_id = (
    SELECT count(*) FROM information_schema.columns
    WHERE table_schema = database() AND table_name = 'fleet' AND column_name = 'last_id'
);
SET @statement = IF(
    @last_id = 1,
    'UPDATE commits JOIN (SELECT max(revision) AS newest FROM commits) AS ledgers_end ON revision = newest
     JOIN fleet ON only_row = 1 SET commits.last_id = fleet.last_id',
    'DO 0'
);
PREPARE statement FROM @statement;
EXECUTE statement;

SET @statement = IF(@last_id = 1, 'ALTER TABLE fleet DROP COLUMN last_id', 'DO 0');
PREPARE statement FROM @statement;
EXECUTE statement;
DEALLOCATE PREPARE statement;

ALTER TABLE commits ALTER COLUMN last_id DROP DEFAULT;
