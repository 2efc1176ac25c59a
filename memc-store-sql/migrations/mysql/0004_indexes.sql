-- Indexes that nothing looks into. Programs of before go on writing as they did: the format stays.
--
-- A change of the schema is no transaction here: every statement can be made again, in case this breaks off half way.
-- MySQL has no DROP INDEX IF EXISTS.

-- Nothing looks a commit up by its id or by that of the one before: revisions are dense, every turn compares the last
-- commit's id before it continues it, and whoever reads on compares each with the one before.
SET @memc_indexes = (
    SELECT count(*) FROM information_schema.statistics
    WHERE table_schema = database() AND table_name = 'commits' AND index_name IN ('id', 'previous')
);
SET @memc_change = if(@memc_indexes = 2, 'ALTER TABLE commits DROP INDEX id, DROP INDEX previous', 'DO 0');
PREPARE memc_change FROM @memc_change;
EXECUTE memc_change;

-- `instance_of_place` begins with the cache as well, and MariaDB takes that for the foreign key. Whether MySQL does, with
-- its generated column, was not tried.
SET @memc_indexes = (
    SELECT count(*) FROM information_schema.statistics
    WHERE table_schema = database() AND table_name = 'instances' AND index_name = 'instances_of_cache'
);
SET @memc_change = if(
    @memc_indexes > 0 AND version() LIKE '%MariaDB%', 'ALTER TABLE instances DROP INDEX instances_of_cache', 'DO 0'
);
PREPARE memc_change FROM @memc_change;
EXECUTE memc_change;
DEALLOCATE PREPARE memc_change;
