-- How often a location is synced, in seconds; NULL: as the settings say.
ALTER TABLE location ADD COLUMN sync_interval INTEGER CHECK (sync_interval > 0);
ALTER TABLE location ADD COLUMN full_sync_interval INTEGER CHECK (full_sync_interval > 0);

-- Asked for by a person: a sync that reads everything.
ALTER TABLE task ADD COLUMN whole INTEGER NOT NULL DEFAULT 0 CHECK (whole IN (0, 1));
-- What came out, for programs (JSON).
ALTER TABLE task ADD COLUMN outcome TEXT;

-- What a sync found changed in how many licences a location owns: bought, refunded, or moved to another location.
CREATE TABLE count_change (
    id INTEGER PRIMARY KEY,
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    delta INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
CREATE INDEX count_change_seen ON count_change (seen_at);

-- Licences that a sync found taken back though vppd had not asked for it.
CREATE TABLE taken_back (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    holder_kind TEXT NOT NULL CHECK (holder_kind IN ('serial', 'user')),
    holder TEXT NOT NULL,
    seen_at INTEGER NOT NULL,
    PRIMARY KEY (location_id, adam_id, pricing_param, holder_kind, holder)
) STRICT, WITHOUT ROWID;
