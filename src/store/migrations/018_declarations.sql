-- How the app of a deployment comes to devices that know declarations (Apple: Declarative Management).
ALTER TABLE deployment ADD COLUMN delivery TEXT NOT NULL DEFAULT 'auto' CHECK (delivery IN ('auto', 'command', 'declarative'));
-- The device offers the app, instead of installing it.
ALTER TABLE deployment ADD COLUMN offered INTEGER NOT NULL DEFAULT 0;
-- The App Store's number of the build that is wanted.
ALTER TABLE deployment ADD COLUMN build INTEGER CHECK (build > 0);

-- Devices that were asked to speak declarations.
CREATE TABLE declaring_device (
    device_id INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    -- asked: the command waits; on: it was accepted; refused: the device does not know it.
    state TEXT NOT NULL CHECK (state IN ('asked', 'on', 'refused')),
    since INTEGER NOT NULL,
    -- The system with which it refused: a newer one is asked again.
    os_version TEXT NOT NULL DEFAULT '',
    capabilities TEXT,                   -- JSON, as the device told them; NULL: not yet
    token TEXT NOT NULL DEFAULT '',      -- of the declarations that it should have
    fetched TEXT NOT NULL DEFAULT '',    -- of those that it has fetched
    called_at INTEGER NOT NULL,          -- when it was last told to fetch
    told_at INTEGER                      -- when it last reported its status
) STRICT;

CREATE INDEX declaring_device_untold ON declaring_device (since) WHERE capabilities IS NULL AND state <> 'refused';

-- Apps that devices get by declaration.
CREATE TABLE declared_app (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    terms TEXT NOT NULL,                 -- JSON: what the declaration says
    declared_at INTEGER NOT NULL,
    withdrawn_at INTEGER,                -- it is declared no more, and the device has not confirmed that the app is gone
    PRIMARY KEY (device_id, adam_id)
) STRICT, WITHOUT ROWID;
