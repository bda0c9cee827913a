-- Since when an app is declined or failed for good; in any other state, since when it is on its way out. NULL: neither.
ALTER TABLE pair ADD COLUMN since INTEGER;
UPDATE pair SET since = changed_at WHERE app IN (5, 7); -- model::App::Rejected, Failed

-- What Apple refused for a user and an app: asked again after a pause.
CREATE TABLE seat_refusal (
    client_user_id TEXT NOT NULL,
    adam_id TEXT NOT NULL,
    tries INTEGER NOT NULL,
    due INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (client_user_id, adam_id)
) STRICT, WITHOUT ROWID;
