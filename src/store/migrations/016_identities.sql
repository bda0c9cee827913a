-- What a renewed profile must repeat: Apple refuses one with another address. NULL in profiles of before.
ALTER TABLE enrolment_profile ADD COLUMN server_url TEXT;
ALTER TABLE enrolment_profile ADD COLUMN check_in_url TEXT;
ALTER TABLE enrolment_profile ADD COLUMN sign_message INTEGER CHECK (sign_message IN (0, 1));
ALTER TABLE enrolment_profile ADD COLUMN access_rights INTEGER;
-- The device whose identity this profile renews; its challenge is made anew each time it is handed out.
ALTER TABLE enrolment_profile ADD COLUMN renews INTEGER REFERENCES device (id) ON DELETE CASCADE;

ALTER TABLE identity ADD COLUMN kind TEXT NOT NULL DEFAULT 'scep' CHECK (kind IN ('scep', 'acme', 'site'));
ALTER TABLE identity ADD COLUMN revoked_at INTEGER;
UPDATE identity SET kind = 'site' WHERE reference LIKE 'x-%';
CREATE INDEX identity_device ON identity (device_id);

-- The identity before a renewal that has not come to its end: the device may still go back to it.
ALTER TABLE device ADD COLUMN former_fingerprint BLOB;
ALTER TABLE device ADD COLUMN renewal_at INTEGER; -- when it was last asked to renew

CREATE INDEX device_former ON device (former_fingerprint) WHERE former_fingerprint IS NOT NULL;

-- ACME: who asks, known by the key with which each message is signed, and what is asked for.
CREATE TABLE acme_account (
    id TEXT PRIMARY KEY,                 -- thumbprint of the key
    jwk TEXT NOT NULL,                   -- JSON
    made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE acme_order (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES acme_account (id) ON DELETE CASCADE,
    profile_id INTEGER NOT NULL REFERENCES enrolment_profile (id) ON DELETE CASCADE,
    identifier TEXT NOT NULL,            -- hex of the hash of what the profile gave as ClientIdentifier
    token TEXT NOT NULL,                 -- what the device must have attested
    state TEXT NOT NULL CHECK (state IN ('pending', 'ready', 'valid', 'invalid')),
    attested_key BLOB,                   -- SHA-256 of the public key that was attested
    certificate BLOB,
    problem TEXT NOT NULL DEFAULT '',
    made_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
