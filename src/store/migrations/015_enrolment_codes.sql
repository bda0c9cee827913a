-- Enrolments that begin with a code, a link or a sign-in. Of a code only the hash of its challenge is kept, as of any other.
ALTER TABLE enrolment_profile ADD COLUMN kind TEXT NOT NULL DEFAULT 'profile'
    CHECK (kind IN ('profile', 'code', 'link', 'person'));
ALTER TABLE enrolment_profile ADD COLUMN batch TEXT NOT NULL DEFAULT '';  -- of codes that were made together
ALTER TABLE enrolment_profile ADD COLUMN label TEXT NOT NULL DEFAULT '';  -- what an administrator calls it
ALTER TABLE enrolment_profile ADD COLUMN person_id INTEGER REFERENCES person (id) ON DELETE SET NULL; -- who signed in
ALTER TABLE enrolment_profile ADD COLUMN revoked_at INTEGER;
CREATE INDEX enrolment_profile_batch ON enrolment_profile (batch) WHERE batch <> '';

-- With what people of a directory that is a file sign in: argon2id, in the form $argon2id$v=19$...
CREATE TABLE person_password (
    person_id INTEGER PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;
