-- Licences that vppd has asked for, or adopted: only these are taken back without being told to. A device may hold the same
-- app under two locations, of which one licence is somebody else's.
CREATE TABLE own_licence (
    location_id INTEGER NOT NULL REFERENCES location (id) ON DELETE CASCADE,
    adam_id TEXT NOT NULL,
    pricing_param TEXT NOT NULL,
    serial TEXT NOT NULL,
    PRIMARY KEY (location_id, adam_id, pricing_param, serial)
) STRICT, WITHOUT ROWID;
CREATE INDEX own_licence_holder ON own_licence (serial, adam_id);

INSERT INTO own_licence (location_id, adam_id, pricing_param, serial)
    SELECT a.location_id, a.adam_id, a.pricing_param, a.holder
    FROM assignment a
        JOIN location l ON l.id = a.location_id AND l.generation = a.generation
        JOIN device d ON d.serial = a.holder
        JOIN pair p ON p.device_id = d.id AND p.adam_id = a.adam_id
    WHERE a.holder_kind = 'serial' AND p.ours = 1
    UNION
    SELECT r.location_id, r.adam_id, r.pricing_param, r.serial
    FROM reservation r JOIN licence_event e ON e.id = r.event
    WHERE e.verb = 'associate';
