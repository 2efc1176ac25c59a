-- Hosts that wait after the fleet was set back to a backup: the epoch in which a host's ports were looked at, and those
-- of them that something unknown was found on. Format 3: a program that does not know of this
-- stops appending.

UPDATE ledger SET format = 3;

ALTER TABLE hosts ADD COLUMN found_ports json NOT NULL DEFAULT '[]';
ALTER TABLE hosts ADD COLUMN observed_epoch bigint NOT NULL DEFAULT 1 CHECK (observed_epoch >= 1);
