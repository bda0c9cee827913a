-- Where Apple's replies differ from what Apple describes: a place and a kind, and never a value.
CREATE TABLE contract_drift (
    endpoint TEXT NOT NULL,
    place TEXT NOT NULL,                 -- assets[].pricingParam
    kind TEXT NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    replies INTEGER NOT NULL,
    PRIMARY KEY (endpoint, place, kind)
) STRICT, WITHOUT ROWID;

-- How Apple is to notify us of a location. A secret is here before Apple is told of it.
CREATE TABLE notification_channel (
    location_id INTEGER PRIMARY KEY REFERENCES location (id) ON DELETE CASCADE,
    path_key TEXT NOT NULL UNIQUE,       -- the part of the address that nobody can guess
    sealed_secret BLOB,                  -- that Apple has confirmed
    sealed_next BLOB,                    -- that Apple is told of, or may have been: accepted as well
    told_url TEXT,                       -- where Apple sends to, as far as it is known; NULL: nowhere
    stale INTEGER NOT NULL DEFAULT 0 CHECK (stale IN (0, 1)), -- the secret is to be replaced
    confirmed_at INTEGER,
    failures INTEGER NOT NULL DEFAULT 0, -- attempts to tell Apple in a row
    failure TEXT NOT NULL DEFAULT '',
    try_at INTEGER,                      -- no other attempt before that
    heard_at INTEGER
) STRICT;

-- Notifications as they came: one that comes again changes nothing.
CREATE TABLE notification (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    notification_id TEXT NOT NULL,
    notification_type TEXT NOT NULL,
    event_id TEXT,
    received_at INTEGER NOT NULL,
    PRIMARY KEY (location_id, notification_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_event ON notification (location_id, event_id) WHERE event_id IS NOT NULL;
CREATE INDEX notification_time ON notification (received_at);

-- What notifications say is worth reading. A newer hint of the same kind takes the place of the older one.
CREATE TABLE hint (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('asset', 'assets', 'changes', 'users')),
    adam_id TEXT NOT NULL DEFAULT '',    -- of an asset
    UNIQUE (location_id, kind, adam_id) ON CONFLICT REPLACE
) STRICT;

-- When Apple was last asked how far an event is.
ALTER TABLE licence_event ADD COLUMN looked_at INTEGER;
