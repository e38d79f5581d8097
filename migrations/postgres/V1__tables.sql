-- Ids are compared byte for byte. Scopes are separated by spaces.

CREATE TABLE bridge_auth.users (
    id         text COLLATE "C" PRIMARY KEY,
    scopes     text NOT NULL,
    disabled   boolean NOT NULL DEFAULT false,
    -- The last revoke-all: a code issued at or before it is dead.
    not_before timestamptz NOT NULL DEFAULT '-infinity'
);

-- `key` is the first half of the SHA-256 of `id`: look-ups of many are faster by uuid than by text.
CREATE TABLE bridge_auth.sessions (
    key         uuid PRIMARY KEY,
    id          text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL REFERENCES bridge_auth.users,
    client_id   text COLLATE "C" NOT NULL,
    -- The session that provisioned the hook secret this one was opened with. It may be swept before
    -- this one, so it is no foreign key.
    parent      uuid,
    call_source text NOT NULL,
    scopes      text NOT NULL,
    user_agent  text,
    address     inet,
    device_name text,
    created_at  timestamptz NOT NULL,
    renewed_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    revoked_at  timestamptz
);

CREATE INDEX sessions_by_user ON bridge_auth.sessions (user_id, created_at) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_client ON bridge_auth.sessions (client_id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_parent ON bridge_auth.sessions (parent) WHERE revoked_at IS NULL AND parent IS NOT NULL;
CREATE INDEX sessions_by_expiry ON bridge_auth.sessions (expires_at);

CREATE TABLE bridge_auth.codes (
    hash        text COLLATE "C" PRIMARY KEY,
    user_id     text COLLATE "C" NOT NULL REFERENCES bridge_auth.users,
    scopes      text NOT NULL,
    challenge   text,
    issued_at   timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    spent_at    timestamptz,
    -- The session its first use opened.
    session_key uuid,
    session_id  text
);

CREATE INDEX codes_unspent ON bridge_auth.codes (user_id, issued_at) WHERE spent_at IS NULL;
CREATE INDEX codes_by_expiry ON bridge_auth.codes (expires_at);

CREATE TABLE bridge_auth.clients (
    id     text COLLATE "C" PRIMARY KEY,
    owner  text COLLATE "C" NOT NULL REFERENCES bridge_auth.users,
    scopes text NOT NULL
);

CREATE INDEX clients_by_owner ON bridge_auth.clients (owner);

CREATE TABLE bridge_auth.client_secrets (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    client_id   text COLLATE "C" NOT NULL REFERENCES bridge_auth.clients,
    -- The session that provisioned it: one for each device.
    session_key uuid NOT NULL,
    hash        bytea NOT NULL,
    -- Nothing until a newer one replaces it.
    expires_at  timestamptz
);

CREATE INDEX client_secrets_by_client ON bridge_auth.client_secrets (client_id, session_key);
CREATE INDEX client_secrets_by_session ON bridge_auth.client_secrets (session_key);
CREATE INDEX client_secrets_by_expiry ON bridge_auth.client_secrets (expires_at) WHERE expires_at IS NOT NULL;

-- `xid` tells which entries a snapshot could not see; the order of `id` is not the order of commits.
CREATE TABLE bridge_auth.revocations (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
    kind    text NOT NULL CHECK (kind IN ('session', 'user', 'client')),
    subject text NOT NULL,
    at      timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX revocations_by_xid ON bridge_auth.revocations (xid);
CREATE INDEX revocations_by_time ON bridge_auth.revocations (at);

-- One row: the newest transaction whose entry was swept. A reader from before it may have missed one.
CREATE TABLE bridge_auth.swept_log (
    newest xid8
);

INSERT INTO bridge_auth.swept_log VALUES (NULL);
