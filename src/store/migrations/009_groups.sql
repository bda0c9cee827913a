-- Groups of devices and of people. Their names are what people use; deployments keep the number.
CREATE TABLE member_group (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    kind TEXT NOT NULL CHECK (kind IN ('devices', 'rule', 'people')),
    rule TEXT NOT NULL DEFAULT '',       -- of kind 'rule': which devices are in it
    source TEXT NOT NULL DEFAULT 'hand' CHECK (source IN ('hand', 'file', 'ldap')),
    external_id TEXT,                    -- in the directory
    description TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL
) STRICT;

-- Members of kind 'devices', enrolled or not yet.
CREATE TABLE group_serial (
    group_id INTEGER NOT NULL REFERENCES member_group (id) ON DELETE CASCADE,
    serial TEXT NOT NULL,
    PRIMARY KEY (group_id, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_serial_serial ON group_serial (serial);

-- Members of kind 'people'.
CREATE TABLE group_person (
    group_id INTEGER NOT NULL REFERENCES member_group (id) ON DELETE CASCADE,
    person_id INTEGER NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    PRIMARY KEY (group_id, person_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX group_person_person ON group_person (person_id);

-- What administrators and the directory say of a device, enrolled or not yet.
CREATE TABLE device_note (
    serial TEXT PRIMARY KEY,
    person_id INTEGER REFERENCES person (id) ON DELETE SET NULL,
    ownership TEXT NOT NULL DEFAULT 'organisation' CHECK (ownership IN ('organisation', 'personal', 'kiosk')),
    tags TEXT NOT NULL DEFAULT '[]'      -- JSON array, sorted
) STRICT, WITHOUT ROWID;
CREATE INDEX device_note_person ON device_note (person_id) WHERE person_id IS NOT NULL;

ALTER TABLE person ADD COLUMN source TEXT NOT NULL DEFAULT 'hand' CHECK (source IN ('hand', 'file', 'ldap'));
ALTER TABLE person ADD COLUMN external_id TEXT;
ALTER TABLE person ADD COLUMN gone_at INTEGER;     -- since when the directory does not know the person
ALTER TABLE person ADD COLUMN retired_at INTEGER;  -- an administrator retired the person: gets nothing any more
CREATE UNIQUE INDEX person_external ON person (source, external_id) WHERE external_id IS NOT NULL;

CREATE TABLE deployment_2 (
    id INTEGER PRIMARY KEY,
    adam_id TEXT NOT NULL,
    target TEXT NOT NULL,                -- model::Target
    purpose TEXT NOT NULL CHECK (purpose IN ('required', 'available', 'uninstall')),
    licence TEXT NOT NULL DEFAULT 'device' CHECK (licence IN ('device', 'user', 'device-if-possible')),
    updates TEXT NOT NULL DEFAULT 'inherit' CHECK (updates IN ('inherit', 'immediately', 'scheduled', 'never')),
    priority INTEGER NOT NULL DEFAULT 0, -- higher goes first
    quota INTEGER CHECK (quota >= 0),    -- licences at most through this deployment
    wave INTEGER CHECK (wave > 0),       -- first installs under way at once at most
    licence_only INTEGER NOT NULL DEFAULT 0 CHECK (licence_only IN (0, 1)),
    configuration TEXT,                  -- managed app configuration: a property list
    attributes TEXT NOT NULL DEFAULT '{}', -- JSON object
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    UNIQUE (adam_id, target, purpose)
) STRICT;
INSERT INTO deployment_2 (id, adam_id, target, purpose, created_at, created_by)
    SELECT id, adam_id, target, purpose, created_at, created_by FROM deployment;
DROP TABLE deployment;
ALTER TABLE deployment_2 RENAME TO deployment;

-- Groups of which a deployment does not speak.
CREATE TABLE deployment_excluded (
    deployment_id INTEGER NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    group_id INTEGER NOT NULL REFERENCES member_group (id) ON DELETE CASCADE,
    PRIMARY KEY (deployment_id, group_id)
) STRICT, WITHOUT ROWID;

-- Locations whose licences a deployment may use; none: all.
CREATE TABLE deployment_location (
    deployment_id INTEGER NOT NULL REFERENCES deployment (id) ON DELETE CASCADE,
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    PRIMARY KEY (deployment_id, location_id)
) STRICT, WITHOUT ROWID;

-- Groups that may draw licences from a location; none: everybody.
CREATE TABLE location_group (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    group_id INTEGER NOT NULL REFERENCES member_group (id) ON DELETE CASCADE,
    PRIMARY KEY (location_id, group_id)
) STRICT, WITHOUT ROWID;

-- What was decided by hand beats every deployment until it is released.
CREATE TABLE by_hand (
    adam_id TEXT NOT NULL,
    holder_kind TEXT NOT NULL CHECK (holder_kind IN ('serial', 'user')),
    holder TEXT NOT NULL,                -- serial number, or the person's clientUserId
    decision TEXT NOT NULL CHECK (decision IN ('assigned', 'revoked')),
    location_id INTEGER REFERENCES location (id) ON DELETE SET NULL, -- whose licence; NULL: as always
    install INTEGER NOT NULL DEFAULT 1 CHECK (install IN (0, 1)),
    decided_at INTEGER NOT NULL,
    decided_by TEXT NOT NULL,
    PRIMARY KEY (adam_id, holder_kind, holder)
) STRICT, WITHOUT ROWID;

-- Licences go to serial numbers or to registered users (clientUserId).
ALTER TABLE licence_event ADD COLUMN holder_kind TEXT NOT NULL DEFAULT 'serial' CHECK (holder_kind IN ('serial', 'user'));
ALTER TABLE reservation RENAME COLUMN serial TO holder;
ALTER TABLE reservation ADD COLUMN holder_kind TEXT NOT NULL DEFAULT 'serial' CHECK (holder_kind IN ('serial', 'user'));
ALTER TABLE own_licence RENAME COLUMN serial TO holder;
ALTER TABLE own_licence ADD COLUMN holder_kind TEXT NOT NULL DEFAULT 'serial' CHECK (holder_kind IN ('serial', 'user'));
ALTER TABLE returning_licence RENAME COLUMN serial TO holder;
ALTER TABLE returning_licence ADD COLUMN holder_kind TEXT NOT NULL DEFAULT 'serial' CHECK (holder_kind IN ('serial', 'user'));
