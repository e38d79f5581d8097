-- Refresh tokens, and the absolute end of a session.

-- The absolute end. Nothing where it was opened before there were refresh tokens: then it ends when it expires.
ALTER TABLE sessions ADD COLUMN ends_at INTEGER;
-- When the person last signed in. Nothing in the rows from before: then it was when it was opened.
ALTER TABLE sessions ADD COLUMN authenticated_at INTEGER;
-- The newest generation of its refresh tokens, and the oldest that is not forgotten.
ALTER TABLE sessions ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN first_generation INTEGER NOT NULL DEFAULT 0;
-- When a refresh made the newest one.
ALTER TABLE sessions ADD COLUMN rotated_at INTEGER;

-- `hash` is the SHA-256 of the token. A row never changes, and goes with its session: an id that comes back fits none.
CREATE TABLE refresh_tokens (
    hash       BLOB PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions ON DELETE CASCADE,
    generation INTEGER NOT NULL,
    issued_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_tokens_by_session ON refresh_tokens (session_id);
