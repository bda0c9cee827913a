-- What devices tell of themselves beside what the table device keeps, and when they were asked and have answered.
CREATE TABLE inventory (
    device_id INTEGER PRIMARY KEY REFERENCES device (id) ON DELETE CASCADE,
    asked_at INTEGER NOT NULL,
    told_at INTEGER,
    apps_at INTEGER,                     -- when it last listed its apps
    managed_only INTEGER NOT NULL DEFAULT 0 CHECK (managed_only IN (0, 1)), -- that list had managed apps only
    capacity INTEGER,                    -- bytes
    available INTEGER,                   -- bytes
    store_account INTEGER CHECK (store_account IN (0, 1)),
    store_account_hash TEXT,
    multi_user INTEGER CHECK (multi_user IN (0, 1)),
    apple_silicon INTEGER CHECK (apple_silicon IN (0, 1)),
    awaiting_configuration INTEGER CHECK (awaiting_configuration IN (0, 1)),
    time_zone TEXT
) STRICT;

CREATE TABLE installed_app (
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    bundle_id TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,               -- as people know it
    external_version INTEGER,            -- the App Store's number of the build
    size INTEGER,                        -- bytes, with its data
    update_available INTEGER CHECK (update_available IN (0, 1)),
    PRIMARY KEY (device_id, bundle_id)
) STRICT, WITHOUT ROWID;
