-- The last number that the fleet has given out moves from its row to the commits, as with the other databases. Format 3: a
-- program that does not know of this stops appending.

UPDATE ledger SET format = 3;

-- The last number that was given out until then; 0 in commits from before this was kept.
ALTER TABLE commits ADD COLUMN last_id INTEGER NOT NULL DEFAULT 0 CHECK (last_id >= 0);
UPDATE commits SET last_id = (SELECT last_id FROM fleet)
WHERE revision = (SELECT max(revision) FROM commits) AND EXISTS (SELECT 1 FROM fleet);
ALTER TABLE fleet DROP COLUMN last_id;
