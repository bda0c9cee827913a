-- Licences that a person has taken away knowingly and that have not all left yet. One row at most.
CREATE TABLE confirmed (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    licences INTEGER NOT NULL CHECK (licences >= 0),
    at INTEGER NOT NULL,
    by TEXT NOT NULL
) STRICT;

-- Why a plan takes nothing back now. One row while it is held.
CREATE TABLE held_plan (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    since INTEGER NOT NULL,
    leaving INTEGER NOT NULL,
    ours INTEGER NOT NULL
) STRICT;

-- Locations of which Apple's listing had suddenly shrunk: nothing is changed there until a person believes it, or until the
-- listing has grown again.
CREATE TABLE doubted_listing (
    location_id INTEGER PRIMARY KEY REFERENCES location (id) ON DELETE CASCADE,
    since INTEGER NOT NULL,
    before INTEGER NOT NULL,
    after INTEGER NOT NULL
) STRICT;

-- Licences in use at the end of each day, for the forecast.
CREATE TABLE licence_usage (
    adam_id TEXT NOT NULL,
    day TEXT NOT NULL,                   -- 2026-11-27, in UTC
    used INTEGER NOT NULL,
    PRIMARY KEY (adam_id, day)
) STRICT, WITHOUT ROWID;
