-- Licences that a person told vppd to take back, until they are back: whoever gave them.
CREATE TABLE reclaim (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    holder_kind TEXT NOT NULL CHECK (holder_kind IN ('serial', 'user')),
    holder TEXT NOT NULL,
    task_id INTEGER NOT NULL REFERENCES task (id) ON DELETE CASCADE,
    tries INTEGER NOT NULL DEFAULT 0,    -- requests that Apple refused
    due INTEGER,                         -- not before
    reason TEXT NOT NULL DEFAULT '',     -- of the last refusal
    PRIMARY KEY (location_id, adam_id, pricing_param, holder_kind, holder)
) STRICT, WITHOUT ROWID;
CREATE INDEX reclaim_task ON reclaim (task_id);

-- Licences that are held while the app is not there, and since when vppd has seen that.
CREATE TABLE unused_licence (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    holder_kind TEXT NOT NULL CHECK (holder_kind IN ('serial', 'user')),
    holder TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (location_id, adam_id, pricing_param, holder_kind, holder)
) STRICT, WITHOUT ROWID;

ALTER TABLE own_licence ADD COLUMN adopted INTEGER NOT NULL DEFAULT 0 CHECK (adopted IN (0, 1)); -- not given by vppd
ALTER TABLE device ADD COLUMN removed_at INTEGER;  -- an administrator says that it is gone
