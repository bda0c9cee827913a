-- What Apple's stores tell of an app or book, by country and kind of store. Old words stay when a store tells nothing any
-- more: an app that is missing in the store of a new country keeps its name.
CREATE TABLE app_info (
    adam_id TEXT NOT NULL,
    storefront TEXT NOT NULL,            -- two letters, lower case
    platform TEXT NOT NULL,              -- defaultPlatform of the location
    info TEXT,                           -- JSON; NULL while nothing was told
    asked_at INTEGER NOT NULL,
    misses INTEGER NOT NULL,             -- answers without it in a row
    PRIMARY KEY (adam_id, storefront, platform)
) STRICT, WITHOUT ROWID;

CREATE TABLE app_icon (
    adam_id TEXT PRIMARY KEY,
    url TEXT NOT NULL,                   -- where the picture was
    asked_at INTEGER NOT NULL,
    media_type TEXT,                     -- NULL while there is no picture
    picture BLOB
) STRICT;

-- Whether the store itself has told the bundle id: then no device's word changes it.
ALTER TABLE product ADD COLUMN by_store INTEGER NOT NULL DEFAULT 0 CHECK (by_store IN (0, 1));

-- Subscriptions as Apple counts them. Seats renew at the end of the period, or expire then.
CREATE TABLE subscription (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    parent_adam_id TEXT,                 -- the app it belongs to
    status TEXT NOT NULL,
    period_end TEXT NOT NULL,            -- as Apple writes it: a day
    assigned_renewing INTEGER NOT NULL,
    assigned_expiring INTEGER NOT NULL,
    available_renewing INTEGER NOT NULL,
    available_expiring INTEGER NOT NULL,
    total_renewing INTEGER NOT NULL,
    total_expiring INTEGER NOT NULL,
    PRIMARY KEY (location_id, adam_id)
) STRICT, WITHOUT ROWID;
