-- One row: gateways that know at least this migration may run on this database, also when it has newer ones. A migration
-- that breaks older gateways raises it.
CREATE TABLE bridge_auth.compatible (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    since integer NOT NULL
);

INSERT INTO bridge_auth.compatible (since) VALUES (13);
