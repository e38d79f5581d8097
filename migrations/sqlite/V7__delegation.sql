-- Sessions that hang on another one, and sessions that an assertion of an external issuer opened.

-- The last revoke-all of the person: an assertion that was issued at or before it is worth nothing.
ALTER TABLE users ADD COLUMN not_before INTEGER NOT NULL DEFAULT 0;

-- How many delegated sessions the chain has up to this one. NULL where it is not delegated: a session that has a parent and no
-- depth is one of hooks.
ALTER TABLE sessions ADD COLUMN depth INTEGER;
-- Who acts: the claim `act` (RFC 8693), as JSON.
ALTER TABLE sessions ADD COLUMN actor TEXT;
-- The external issuer whose assertion opened it.
ALTER TABLE sessions ADD COLUMN issuer TEXT;
