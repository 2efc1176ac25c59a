-- Hosts that wait after the fleet was set back to a backup: the epoch in which a host's ports were looked at, and those
-- of them that something unknown was found on. Format 3: a program that does not know of this
-- stops appending.
--
-- A change of the schema is no transaction here: every statement can be made again, in case this breaks off half way.
-- The format comes first, so that nobody appends any more who does not know the columns.

UPDATE ledger SET format = 3;

-- MySQL has no ADD COLUMN IF NOT EXISTS.
SET @memc_columns = (
    SELECT count(*) FROM information_schema.columns
    WHERE table_schema = database() AND table_name = 'hosts' AND column_name = 'observed_epoch'
);
SET @memc_change = if(
    @memc_columns > 0,
    'DO 0',
    'ALTER TABLE hosts
         ADD COLUMN found_ports LONGTEXT NOT NULL DEFAULT (''[]'') CHECK (json_valid(found_ports)),
         ADD COLUMN observed_epoch BIGINT NOT NULL DEFAULT 1 CHECK (observed_epoch >= 1)'
);
PREPARE memc_change FROM @memc_change;
EXECUTE memc_change;
DEALLOCATE PREPARE memc_change;
