-- Device grants (RFC 8628), exchange codes of any client, and people who are found by what operators call them.

-- `label_key` is the label without letter case. An empty label is none.
ALTER TABLE users ADD COLUMN label TEXT;
ALTER TABLE users ADD COLUMN label_key TEXT;

CREATE INDEX users_by_label ON users (label_key, id) WHERE label_key IS NOT NULL;

-- The only client that may redeem it. NULL in rows from before: there it may be any.
ALTER TABLE codes ADD COLUMN client_id TEXT;
-- Where it was sent. NULL where it was sent nowhere.
ALTER TABLE codes ADD COLUMN redirect_uri TEXT;

CREATE TABLE device_grants (
    -- The SHA-256 of the device code.
    device_code   BLOB PRIMARY KEY,
    -- What the person types. NULL once another grant has the same, which may be after this one expired.
    user_code     TEXT UNIQUE,
    client_id     TEXT NOT NULL,
    -- What the client asks for. NULL is all.
    scopes        TEXT,
    resource      TEXT,
    user_agent    TEXT,
    address       TEXT,
    device_name   TEXT,
    created_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL,
    -- Milliseconds between two polls.
    poll_interval INTEGER NOT NULL,
    -- The end of the present interval, and whether a poll came before it.
    next_poll_at  INTEGER NOT NULL DEFAULT 0,
    is_slowed     INTEGER NOT NULL DEFAULT FALSE,
    -- `void`: allowed, and then all of the person was revoked.
    state         TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'allowed', 'denied', 'void', 'spent')),
    -- Who decided, when, and what the session may do.
    user_id       TEXT REFERENCES users,
    decided_at    INTEGER,
    granted       TEXT
) STRICT;

CREATE INDEX allowed_device_grants_by_user ON device_grants (user_id, expires_at) WHERE state = 'allowed';
CREATE INDEX allowed_device_grants_by_client ON device_grants (client_id, expires_at) WHERE state = 'allowed';
CREATE INDEX device_grants_by_expiry ON device_grants (expires_at);
CREATE INDEX open_codes_by_client ON codes (client_id, expires_at) WHERE spent_at IS NULL;
