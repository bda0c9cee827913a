-- People whom vppd registers at Apple. One GUID for each, the same under every location.
CREATE TABLE person (
    id INTEGER PRIMARY KEY,
    client_user_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    email TEXT NOT NULL UNIQUE COLLATE NOCASE,
    managed_account TEXT,                -- Managed Apple Account, to be linked without an invitation
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

-- Registered users of a location: what is wanted of them, and how Apple has them.
CREATE TABLE user (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    client_user_id TEXT NOT NULL,
    person_id INTEGER REFERENCES person (id), -- NULL: another MDM's
    wanted TEXT NOT NULL CHECK (wanted IN ('as-is', 'registered', 'retired')),
    wanted_at INTEGER NOT NULL,
    status TEXT NOT NULL DEFAULT '',     -- Apple's word; empty: Apple has no such user
    email TEXT NOT NULL DEFAULT '',      -- as Apple lists it
    id_hash TEXT,
    invite_code TEXT,
    told_email TEXT,                     -- what Apple was told last
    told_account TEXT,                   -- the same; Apple never tells it back
    registered_at INTEGER,
    associated_at INTEGER,
    retired_at INTEGER,
    -- What Apple refused.
    problem_number INTEGER,
    problem TEXT NOT NULL DEFAULT '',
    refused INTEGER NOT NULL DEFAULT 0 CHECK (refused IN (0, 1)), -- not asked again until something else is wanted
    apart INTEGER NOT NULL DEFAULT 0 CHECK (apart IN (0, 1)),     -- sent alone: it may spoil a request for all others in it
    tries INTEGER NOT NULL DEFAULT 0,
    not_before INTEGER,
    PRIMARY KEY (location_id, client_user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_person ON user (person_id) WHERE person_id IS NOT NULL;

-- What users hold: few rows beside those of devices.
CREATE INDEX assignment_user ON assignment (location_id, holder) WHERE holder_kind = 'user';

-- Where the next read of changed users starts.
CREATE TABLE users_read (
    location_id INTEGER PRIMARY KEY REFERENCES location (id) ON DELETE CASCADE,
    version TEXT,
    read_at INTEGER NOT NULL
) STRICT;

-- A request to Apple about users; the states are those of licence_event.
CREATE TABLE user_event (
    id TEXT PRIMARY KEY,
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    verb TEXT NOT NULL CHECK (verb IN ('create', 'update', 'retire')),
    state TEXT NOT NULL CHECK (state IN ('intended', 'sending', 'unknown', 'accepted', 'settled')),
    users INTEGER NOT NULL,
    event_id TEXT,
    intended_at INTEGER NOT NULL,
    sent_at INTEGER,
    next_look_at INTEGER,
    looks INTEGER NOT NULL DEFAULT 0,
    settled_at INTEGER,
    done INTEGER                         -- users for whom it went through
) STRICT;
CREATE INDEX user_event_open ON user_event (location_id) WHERE state <> 'settled';

-- Who is in a request that is under way, with what Apple is told: at most one for a user.
CREATE TABLE user_change (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    client_user_id TEXT NOT NULL,
    event TEXT NOT NULL REFERENCES user_event (id) ON DELETE CASCADE,
    email TEXT,
    managed_account TEXT,
    PRIMARY KEY (location_id, client_user_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX user_change_event ON user_change (event);
