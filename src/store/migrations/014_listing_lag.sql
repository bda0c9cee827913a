-- What Apple lists may be older than what it has done. When vppd saw that a licence was given; NULL: not seen, or long ago.
ALTER TABLE own_licence ADD COLUMN given_at INTEGER;
-- When vppd saw that a licence was back.
ALTER TABLE returning_licence ADD COLUMN returned_at INTEGER;
-- When Apple was first seen to have ended a request, of which it is not known for every pair how.
ALTER TABLE licence_event ADD COLUMN final_at INTEGER;
