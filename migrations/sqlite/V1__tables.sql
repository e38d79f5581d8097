-- Times are Unix milliseconds by SQLite's clock. Scopes are separated by spaces.

CREATE TABLE users (
    id       TEXT PRIMARY KEY,
    scopes   TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT FALSE
) STRICT, WITHOUT ROWID;

-- The row number settles which of two rows of one millisecond is the older.
CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users,
    client_id   TEXT NOT NULL,
    -- The session that provisioned the hook secret this one was opened with. It may be swept before
    -- this one, so it is no foreign key.
    parent      TEXT,
    call_source TEXT NOT NULL,
    scopes      TEXT NOT NULL,
    user_agent  TEXT,
    address     TEXT,
    device_name TEXT,
    created_at  INTEGER NOT NULL,
    renewed_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    revoked_at  INTEGER
) STRICT;

CREATE INDEX sessions_by_user ON sessions (user_id, created_at) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_client ON sessions (client_id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_parent ON sessions (parent) WHERE revoked_at IS NULL AND parent IS NOT NULL;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

CREATE TABLE codes (
    hash       TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users,
    scopes     TEXT NOT NULL,
    challenge  TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    spent_at   INTEGER,
    -- The session its first use opened.
    session_id TEXT
) STRICT;

CREATE INDEX codes_unspent ON codes (user_id, created_at) WHERE spent_at IS NULL;
CREATE INDEX codes_by_expiry ON codes (expires_at);

CREATE TABLE clients (
    id     TEXT PRIMARY KEY,
    owner  TEXT NOT NULL REFERENCES users,
    scopes TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX clients_by_owner ON clients (owner);

-- AUTOINCREMENT, because provisioning names rows that may be gone by the time it acts on them.
CREATE TABLE client_secrets (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id  TEXT NOT NULL REFERENCES clients,
    -- The session that provisioned it: one for each device.
    session_id TEXT NOT NULL,
    hash       BLOB NOT NULL,
    expires_at INTEGER
) STRICT;

CREATE INDEX client_secrets_by_client ON client_secrets (client_id, session_id);
CREATE INDEX client_secrets_by_session ON client_secrets (session_id);
CREATE INDEX client_secrets_by_expiry ON client_secrets (expires_at) WHERE expires_at IS NOT NULL;

-- AUTOINCREMENT, so that the ids of what is not swept have no gap: a reader sees when it missed some.
CREATE TABLE revocations (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT NOT NULL CHECK (kind IN ('session', 'user', 'client')),
    subject TEXT NOT NULL,
    at      INTEGER NOT NULL
) STRICT;

CREATE INDEX revocations_by_time ON revocations (at);
