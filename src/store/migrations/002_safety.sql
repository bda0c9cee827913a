-- After a restored backup nothing is written to a location before everything was read anew.
ALTER TABLE location ADD COLUMN full_sync_first INTEGER NOT NULL DEFAULT 0 CHECK (full_sync_first IN (0, 1));

-- When a backup was put in place of what was here; NULL again once devices were asked what they have.
ALTER TABLE appliance ADD COLUMN restored_at INTEGER;

-- The last hour in which vppd ran: a clock that shows an earlier time has been put back.
ALTER TABLE appliance ADD COLUMN alive_at INTEGER;
