-- Why a pair got no further (model::Cause), when the device accepted the install that is under way, and when it is over.
ALTER TABLE pair ADD COLUMN cause TEXT NOT NULL DEFAULT '';
ALTER TABLE pair ADD COLUMN began INTEGER;
ALTER TABLE pair ADD COLUMN until INTEGER;

-- The terms (managed app configuration and so on) with which the device was last told to install the app, and the command that
-- brings it other ones.
ALTER TABLE pair ADD COLUMN terms TEXT NOT NULL DEFAULT '';
ALTER TABLE pair ADD COLUMN terms_command TEXT;
ALTER TABLE pair ADD COLUMN terms_due INTEGER;
CREATE INDEX pair_terms ON pair (device_id) WHERE terms <> '';
CREATE INDEX pair_given_up ON pair (cause) WHERE app = 7; -- model::App::Failed

-- What became of a pair: a row whenever its state, the device's word or the reason changed.
CREATE TABLE pair_history (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    app INTEGER NOT NULL,
    app_status TEXT NOT NULL,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX pair_history_pair ON pair_history (device_id, adam_id, id);
CREATE INDEX pair_history_time ON pair_history (at);

-- What became of a licence that vppd has asked for, or taken back.
CREATE TABLE licence_history (
    id INTEGER PRIMARY KEY,
    adam_id TEXT NOT NULL,
    holder_kind TEXT NOT NULL CHECK (holder_kind IN ('serial', 'user')),
    holder TEXT NOT NULL,
    at INTEGER NOT NULL,
    location TEXT NOT NULL,              -- its name then
    what TEXT NOT NULL CHECK (what IN ('asked', 'given', 'refused', 'asked-back', 'returned', 'kept')),
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX licence_history_holder ON licence_history (adam_id, holder_kind, holder, id);
CREATE INDEX licence_history_time ON licence_history (at);

-- How each push to a device went; empty: APNs took it.
CREATE TABLE push_history (
    id INTEGER PRIMARY KEY,
    device_id INTEGER NOT NULL REFERENCES device (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    problem TEXT NOT NULL
) STRICT;
CREATE INDEX push_history_device ON push_history (device_id, at);
CREATE INDEX push_history_time ON push_history (at);

-- The whole error chain of an answer (JSON), and how often the device put the command off.
ALTER TABLE command ADD COLUMN chain TEXT NOT NULL DEFAULT '[]';
ALTER TABLE command ADD COLUMN put_off_at INTEGER;
ALTER TABLE command ADD COLUMN put_offs INTEGER NOT NULL DEFAULT 0;
CREATE INDEX command_pair ON command (device_id, adam_id, id) WHERE adam_id IS NOT NULL;

-- The device refuses any install that would take a person's own copy over, as account-driven enrolments do.
ALTER TABLE device ADD COLUMN refuses_take_over INTEGER NOT NULL DEFAULT 0 CHECK (refuses_take_over IN (0, 1));
