-- What is live of one person is bounded, and no statement takes longer for rows that are dead.

-- What a person's hooks may ask for. NULL sets no limit of its own.
ALTER TABLE users ADD COLUMN hook_scopes TEXT;

-- The one resource that the tokens of a code's session may be for. NULL leaves it open.
ALTER TABLE codes ADD COLUMN resource TEXT;
ALTER TABLE sessions ADD COLUMN resource TEXT;

-- Each refresh token knows the token that it was given for, and the round of that token.
-- A round begins when a token is used for the first time, or is answered again because the answer was lost.
-- A token is retired when its parent has begun a later round than `parent_round`.
-- The hash of the token that it was given for. NULL for the first token of a session, and in rows from before.
ALTER TABLE refresh_tokens ADD COLUMN parent BLOB;
ALTER TABLE refresh_tokens ADD COLUMN parent_round INTEGER;
-- 0 for a token that was never used. NULL in rows from before: there the generations say whether it was used.
ALTER TABLE refresh_tokens ADD COLUMN rounds INTEGER;
-- When its present round began, and from which address.
ALTER TABLE refresh_tokens ADD COLUMN round_at INTEGER;
ALTER TABLE refresh_tokens ADD COLUMN round_from TEXT;
-- Whether a token that it was answered with was ever used.
ALTER TABLE refresh_tokens ADD COLUMN is_followed INTEGER;

-- A session has as many rows as it was refreshed, and its newest generation is looked up without a look at the others.
DROP INDEX refresh_tokens_by_session;
CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id, generation);

-- A credential ends with the session of its device, so it hangs on that session's row.
-- SQLite cannot add a foreign key to a table, so the table is made anew.
ALTER TABLE client_secrets RENAME TO old_client_secrets;

CREATE TABLE client_secrets (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id  TEXT NOT NULL REFERENCES clients,
    -- The session that provisioned it: one for each device.
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    -- Of a secret its hash, of a public key its thumbprint.
    hash       BLOB NOT NULL,
    -- The end of its overlap, once another credential has replaced it.
    expires_at INTEGER,
    -- The public key, if it is one.
    jwk        TEXT,
    -- In rows from before, the time of this migration.
    created_at INTEGER NOT NULL
) STRICT;

-- A device has at most two live credentials: the newest two stay.
INSERT INTO client_secrets (id, client_id, session_id, hash, expires_at, jwk, created_at)
SELECT id, client_id, session_id, hash, expires_at, jwk, now FROM (
    SELECT secret.*, clock.now,
           row_number() OVER (PARTITION BY secret.client_id, secret.session_id ORDER BY secret.id DESC) AS place
    FROM (SELECT CAST(round(unixepoch('subsec') * 1000) AS INTEGER) AS now) AS clock
    CROSS JOIN old_client_secrets AS secret
    JOIN clients AS client ON client.id = secret.client_id
    -- An id may have come back as a session of another person.
    JOIN sessions AS device ON device.id = secret.session_id AND device.user_id = client.owner
    WHERE device.revoked_at IS NULL AND device.expires_at > clock.now
        AND (secret.expires_at IS NULL OR secret.expires_at > clock.now)
)
WHERE place <= 2
ORDER BY id;

-- Ids never come back, so the new table counts on where the old one was.
DELETE FROM sqlite_sequence WHERE name = 'client_secrets';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'client_secrets', seq FROM sqlite_sequence WHERE name = 'old_client_secrets';

-- Its indexes and its sequence go with it.
DROP TABLE old_client_secrets;

CREATE INDEX client_secrets_by_client ON client_secrets (client_id, session_id);
CREATE INDEX client_secrets_by_session ON client_secrets (session_id);
CREATE INDEX client_secrets_by_expiry ON client_secrets (expires_at) WHERE expires_at IS NOT NULL;

-- Rows stay for a while after they expired. These indexes step over them.
DROP INDEX sessions_by_user;
DROP INDEX sessions_by_client;
DROP INDEX sessions_by_parent;
DROP INDEX codes_unspent;
CREATE INDEX live_sessions_by_user ON sessions (user_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX live_sessions_by_client ON sessions (client_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX live_sessions_by_parent ON sessions (parent, expires_at)
    WHERE revoked_at IS NULL AND parent IS NOT NULL;
CREATE INDEX open_codes_by_user ON codes (user_id, expires_at) WHERE spent_at IS NULL;
