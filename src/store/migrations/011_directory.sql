-- Who said that a device is this person's: an administrator's word stays until it is taken back. NULL: nobody did.
ALTER TABLE device_note ADD COLUMN person_source TEXT CHECK (person_source IN ('hand', 'file', 'ldap'));

-- How the last look at each directory went.
CREATE TABLE directory (
    source TEXT PRIMARY KEY CHECK (source IN ('file', 'ldap')),
    looked_at INTEGER NOT NULL,
    taken_at INTEGER,                    -- when a listing was taken over last
    people INTEGER NOT NULL DEFAULT 0,   -- in that listing
    state TEXT NOT NULL CHECK (state IN ('taken-over', 'refused', 'held')),
    problems TEXT NOT NULL DEFAULT '[]'  -- JSON array: in words
) STRICT, WITHOUT ROWID;
