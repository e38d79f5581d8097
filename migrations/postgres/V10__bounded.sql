-- What bounded revocation, forgiving refresh tokens and bound codes need of the tables. No large table is rewritten.

-- As in V7: everything that is locked here, before anything else, and half a second at a time.
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR attempt IN 1..300 LOOP
        BEGIN
            LOCK TABLE bridge_auth.users, bridge_auth.codes, bridge_auth.client_secrets, bridge_auth.sessions,
                bridge_auth.refresh_tokens IN ACCESS EXCLUSIVE MODE;
            PERFORM set_config('lock_timeout', '0', true);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.2);
        END;
    END LOOP;
    RAISE EXCEPTION 'bridge_auth.sessions is in use' USING ERRCODE = 'lock_not_available';
END
$$;

DROP INDEX bridge_auth.sessions_by_user;
DROP INDEX bridge_auth.sessions_by_client;
DROP INDEX bridge_auth.sessions_by_parent;
DROP INDEX bridge_auth.codes_unspent;
DROP INDEX bridge_auth.refresh_tokens_by_session;

-- What the person's hooks may ask for; nothing where that is all that the host lets any hook ask for.
ALTER TABLE bridge_auth.users ADD COLUMN hook_scopes text;

-- The one resource that the tokens may be for; nothing where that is open.
ALTER TABLE bridge_auth.codes ADD COLUMN resource text;
ALTER TABLE bridge_auth.sessions ADD COLUMN resource text;

-- A credential is dead once its device's session is.
DELETE FROM bridge_auth.client_secrets AS secret
WHERE NOT EXISTS (
    SELECT FROM bridge_auth.clients AS client
    JOIN bridge_auth.sessions AS device ON device.user_id = client.owner
    WHERE client.id = secret.client_id AND device.key = secret.session_key
        AND device.revoked_at IS NULL AND device.expires_at > now()
);
-- And a device has two at most.
DELETE FROM bridge_auth.client_secrets
WHERE id IN (
    SELECT id FROM (
        SELECT id, row_number() OVER (PARTITION BY client_id, session_key ORDER BY id DESC) AS place
        FROM bridge_auth.client_secrets
    ) AS ranked
    WHERE place > 2
);
ALTER TABLE bridge_auth.client_secrets
    ADD FOREIGN KEY (session_key) REFERENCES bridge_auth.sessions ON DELETE CASCADE,
    -- Of the rows from before: when this column was added.
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE bridge_auth.client_secrets ALTER COLUMN created_at SET DEFAULT clock_timestamp();

-- A round is a use of a token, and its uses again within the grace. Rows from before know no rounds: `refresh_uses` tells
-- what is to be thought of them.
ALTER TABLE bridge_auth.refresh_tokens
    -- The token that it was given for, and in which of its rounds. In an earlier one than the last: it is retired.
    ADD COLUMN parent       bytea,
    ADD COLUMN parent_round integer,
    -- 0 is never used.
    ADD COLUMN rounds       integer,
    -- When the last round began, and from where.
    ADD COLUMN round_at     timestamptz,
    ADD COLUMN round_from   inet,
    -- Whether anything that it was answered with was ever used.
    ADD COLUMN is_followed  boolean;

ALTER TYPE bridge_auth.opened
    ADD ATTRIBUTE resource text,
    ADD ATTRIBUTE evicted text[],
    ADD ATTRIBUTE used_from inet;
