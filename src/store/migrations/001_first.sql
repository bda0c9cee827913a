-- Times are microseconds since 1970, in UTC. Names of columns are Apple's words in snake_case.

-- The appliance itself: one row.
CREATE TABLE appliance (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    mdm_id TEXT NOT NULL,                -- our mdmInfo.id at Apple
    created_at INTEGER NOT NULL,
    device_url TEXT,                     -- written into every enrolment: can never change
    paused_at INTEGER,
    paused_by TEXT,
    pause_reason TEXT
) STRICT;

-- Keys and certificates made by the appliance. The secret half is sealed.
CREATE TABLE keeping (
    name TEXT PRIMARY KEY,
    certificate_pem TEXT NOT NULL,
    sealed_key BLOB NOT NULL
) STRICT;

CREATE TABLE location (
    id INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    position INTEGER NOT NULL,           -- whose licences are used first
    location_name TEXT NOT NULL,
    organisation TEXT NOT NULL,
    country TEXT NOT NULL,
    platform TEXT NOT NULL,
    website TEXT NOT NULL,
    sealed_token BLOB NOT NULL,
    token_fingerprint TEXT NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL,
    token_state TEXT NOT NULL CHECK (token_state IN
        ('valid', 'expired', 'revoked', 'rejected', 'read-only', 'wrong-kind', 'unreachable')),
    claim_wanted INTEGER NOT NULL CHECK (claim_wanted IN (0, 1)),
    owner_id TEXT,                       -- mdmInfo.id as last seen; NULL when nobody holds it
    owner_name TEXT,
    added_at INTEGER NOT NULL,
    generation INTEGER NOT NULL,         -- the assignments that count
    assignments_version TEXT,            -- versionId for reading only what changed
    last_synced INTEGER,
    last_full_sync INTEGER,
    -- What the administrator noted.
    description TEXT NOT NULL DEFAULT '',
    account_email TEXT NOT NULL DEFAULT '', -- of the account that made the token
    categories TEXT NOT NULL DEFAULT '[]', -- JSON array
    contacts TEXT NOT NULL DEFAULT '[]',   -- JSON array: who knows the account
    -- It is to go, its licences first: nothing is assigned any more.
    leaving INTEGER NOT NULL DEFAULT 0 CHECK (leaving IN (0, 1))
) STRICT;

-- What an administrator should know, once for each occasion.
CREATE TABLE alert (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    location_id INTEGER REFERENCES location (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,               -- its name then
    occasion TEXT NOT NULL,              -- the threshold, or who it was: the same one is told once
    grave INTEGER NOT NULL CHECK (grave IN (0, 1)),
    message TEXT NOT NULL,
    advice TEXT NOT NULL,
    raised_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX alert_open ON alert (kind, coalesce(location_id, 0), occasion) WHERE ended_at IS NULL;

CREATE TABLE asset (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    product_type TEXT NOT NULL,
    device_assignable INTEGER NOT NULL CHECK (device_assignable IN (0, 1)),
    revocable INTEGER NOT NULL CHECK (revocable IN (0, 1)),
    unlimited INTEGER NOT NULL CHECK (unlimited IN (0, 1)),
    platforms TEXT NOT NULL,             -- JSON array
    total_count INTEGER NOT NULL CHECK (total_count >= 0),
    assigned_count INTEGER NOT NULL CHECK (assigned_count >= 0),
    available_count INTEGER NOT NULL CHECK (available_count >= 0),
    retired_count INTEGER NOT NULL CHECK (retired_count >= 0),
    -- Assigned at Apple beyond what our assignments explain, as seen at the last read.
    elsewhere_count INTEGER NOT NULL CHECK (elsewhere_count >= 0),
    read_at INTEGER NOT NULL,
    PRIMARY KEY (location_id, adam_id, pricing_param)
) STRICT, WITHOUT ROWID;

-- What devices have told of an app.
CREATE TABLE product (
    adam_id TEXT PRIMARY KEY,
    bundle_id TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Who holds what at Apple. A full sync stages a new generation and makes it visible by changing location.generation.
CREATE TABLE assignment (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    holder_kind TEXT NOT NULL CHECK (holder_kind IN ('serial', 'user')),
    holder TEXT NOT NULL,
    PRIMARY KEY (location_id, generation, adam_id, pricing_param, holder_kind, holder)
) STRICT, WITHOUT ROWID;

-- A request to Apple: intended, sending, then accepted (Apple gave an eventId), then settled. Whoever finds one
-- 'sending' after a crash does not know whether it arrived: it becomes 'unknown', and a listing tells.
CREATE TABLE licence_event (
    id TEXT PRIMARY KEY,
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    verb TEXT NOT NULL CHECK (verb IN ('associate', 'disassociate')),
    state TEXT NOT NULL CHECK (state IN ('intended', 'sending', 'unknown', 'accepted', 'settled')),
    adam_ids TEXT NOT NULL,              -- JSON array, with pricing_params beside it
    pricing_params TEXT NOT NULL,
    pairs INTEGER NOT NULL,
    event_id TEXT,
    intended_at INTEGER NOT NULL,
    sent_at INTEGER,
    next_look_at INTEGER,
    looks INTEGER NOT NULL DEFAULT 0,
    settled_at INTEGER,
    done INTEGER,                        -- pairs that ended well
    error_number INTEGER,
    outcome TEXT
) STRICT;
CREATE INDEX licence_event_open ON licence_event (location_id) WHERE state <> 'settled';

-- Pairs on which a request is under way: at most one for a pair, so never two opposite ones.
CREATE TABLE reservation (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    serial TEXT NOT NULL,
    event TEXT NOT NULL REFERENCES licence_event (id) ON DELETE CASCADE,
    PRIMARY KEY (location_id, adam_id, pricing_param, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX reservation_event ON reservation (event);

-- Licences given back a moment ago: not usable again at Apple yet.
CREATE TABLE returning_licence (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    serial TEXT NOT NULL,
    usable_at INTEGER NOT NULL,
    PRIMARY KEY (location_id, adam_id, pricing_param, serial)
) STRICT, WITHOUT ROWID;

CREATE TABLE enrolment_profile (
    id INTEGER PRIMARY KEY,
    reference TEXT NOT NULL UNIQUE,
    challenge_hash BLOB NOT NULL UNIQUE, -- SHA-256
    serial TEXT,
    uses INTEGER NOT NULL CHECK (uses > 0),
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
    expires_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

-- Certificates issued to devices. A repeated request with the same key gets the same certificate.
CREATE TABLE identity (
    fingerprint BLOB PRIMARY KEY,        -- SHA-256 of the certificate
    reference TEXT NOT NULL UNIQUE,      -- the subject's CN
    profile_id INTEGER NOT NULL REFERENCES enrolment_profile (id),
    key_hash BLOB NOT NULL,              -- SHA-256 of the public key
    certificate BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    not_after INTEGER NOT NULL,
    device_id INTEGER REFERENCES device (id)
) STRICT;
CREATE INDEX identity_key ON identity (profile_id, key_hash);

CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    udid TEXT NOT NULL UNIQUE,           -- UDID, or EnrollmentID in User Enrollment
    user_enrolment INTEGER NOT NULL CHECK (user_enrolment IN (0, 1)),
    serial TEXT NOT NULL,                -- empty when not told
    state TEXT NOT NULL CHECK (state IN ('enrolling', 'enrolled', 'checked-out')),
    fingerprint BLOB NOT NULL,           -- the pinned identity
    topic TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT '',
    model TEXT NOT NULL DEFAULT '',
    product_name TEXT NOT NULL DEFAULT '',
    os_version TEXT NOT NULL DEFAULT '',
    build_version TEXT NOT NULL DEFAULT '',
    supervised INTEGER CHECK (supervised IN (0, 1)),
    push_token BLOB,
    push_magic TEXT,
    token_updated_at INTEGER,
    push_dead_since INTEGER,
    push_problem TEXT NOT NULL DEFAULT '',
    pushed_at INTEGER,
    pushes INTEGER NOT NULL DEFAULT 0,   -- since the device was last seen
    push_throttled INTEGER NOT NULL DEFAULT 0, -- 429s in a row
    push_after INTEGER,                  -- no push before that
    authenticated_at INTEGER NOT NULL,
    enrolled_at INTEGER,
    checked_out_at INTEGER,
    last_seen INTEGER
) STRICT;
CREATE UNIQUE INDEX device_serial ON device (serial) WHERE serial <> '';
CREATE UNIQUE INDEX device_fingerprint ON device (fingerprint);

CREATE TABLE command (
    id INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    request_type TEXT NOT NULL,
    adam_id TEXT,                        -- the pair it is about, if any
    body TEXT NOT NULL,                  -- JSON
    priority INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'sent', 'not-now', 'acknowledged', 'error', 'format-error', 'withdrawn')),
    queued_at INTEGER NOT NULL,
    sent_at INTEGER,
    answered_at INTEGER,
    error TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX command_open ON command (device_id, priority, id) WHERE state IN ('queued', 'sent', 'not-now');
CREATE INDEX command_answered ON command (answered_at) WHERE answered_at IS NOT NULL;
CREATE INDEX command_device ON command (device_id, id);

-- One app on one device: what is known, and what is being done.
CREATE TABLE pair (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    app INTEGER NOT NULL,                -- model::App
    app_status TEXT NOT NULL DEFAULT '', -- the device's last word
    reason TEXT NOT NULL DEFAULT '',     -- of the last failure
    ours INTEGER NOT NULL DEFAULT 0 CHECK (ours IN (0, 1)),
    command TEXT,                        -- CommandUUID that waits
    tries INTEGER NOT NULL DEFAULT 0,
    looks INTEGER NOT NULL DEFAULT 0,
    due INTEGER,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (device_id, adam_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE deployment (
    id INTEGER PRIMARY KEY,
    adam_id TEXT NOT NULL,
    target TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('required', 'uninstall')),
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    UNIQUE (adam_id, target, purpose)
) STRICT;

CREATE TABLE task (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    location_id INTEGER REFERENCES location (id) ON DELETE SET NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'cancelled')),
    done INTEGER NOT NULL DEFAULT 0,
    total INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    error TEXT,                          -- JSON
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER
) STRICT;
CREATE INDEX task_open ON task (state) WHERE state IN ('waiting', 'running');

-- Who did what.
CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    what TEXT NOT NULL,
    subject TEXT NOT NULL
) STRICT;
