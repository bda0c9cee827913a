-- The request to Apple that a task follows to its end: licence_event.id or user_event.id.
ALTER TABLE task ADD COLUMN request TEXT;
CREATE INDEX task_request ON task (request) WHERE request IS NOT NULL;
