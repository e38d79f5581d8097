-- Public keys as client credentials, and the assertions that they were used for.

ALTER TABLE bridge_auth.client_secrets
    -- Of a public key; then `hash` is its thumbprint and not the hash of a secret.
    ADD COLUMN jwk text;

-- `hash` is of the client and the `jti` of an assertion that may not be used again before `expires_at`.
CREATE TABLE bridge_auth.used_assertions (
    hash       bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);

CREATE INDEX used_assertions_by_expiry ON bridge_auth.used_assertions (expires_at);

DROP FUNCTION bridge_auth.provision_client(text, text, uuid, text, bytea, text, bigint, bigint);
DROP FUNCTION bridge_auth.open_for_client(bridge_auth.new_session, bytea, text);
DROP FUNCTION bridge_auth.device_of_secret(text, bytea);
DROP FUNCTION bridge_auth.sweep(bigint);

-- Inserts a hook client or adds a secret to it, or with `p_jwk` a public key; returns the outcome. `p_overlap` is in
-- microseconds.
CREATE FUNCTION bridge_auth.provision_client(
    p_client text, p_owner text, p_session_key uuid, p_session_id text,
    p_hash bytea, p_scopes text, p_overlap bigint, p_max_devices bigint, p_jwk text DEFAULT NULL
) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    -- Read before the lock: what a call that overlaps this one adds meanwhile stays as it is.
    replaced bigint[] := ARRAY(
        SELECT id FROM bridge_auth.client_secrets
        WHERE client_id = p_client AND session_key = p_session_key AND expires_at IS NULL
    );
    holder bridge_auth.users := bridge_auth.lock_user(p_owner);
    client bridge_auth.clients;
    excess bigint;
    gone   uuid[];
    at     timestamptz;
BEGIN
    IF holder.disabled THEN
        RETURN 'user_disabled';
    END IF;
    SELECT * INTO client FROM bridge_auth.clients WHERE id = p_client FOR NO KEY UPDATE;
    IF client.owner <> p_owner THEN
        RAISE EXCEPTION 'the client belongs to another user' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    PERFORM FROM bridge_auth.sessions
    WHERE key = p_session_key AND id = p_session_id AND user_id = p_owner
        AND revoked_at IS NULL AND expires_at > clock_timestamp()
    FOR SHARE;
    IF NOT FOUND THEN
        RETURN 'session_not_live';
    END IF;

    at := clock_timestamp();
    excess := 1 - p_max_devices + (
        SELECT count(DISTINCT session_key) FROM bridge_auth.client_secrets
        WHERE client_id = p_client AND session_key <> p_session_key AND (expires_at IS NULL OR expires_at > at)
    );
    IF excess > 0 THEN
        gone := ARRAY(
            SELECT secret.session_key
            FROM bridge_auth.client_secrets AS secret
            LEFT JOIN bridge_auth.sessions AS device
                ON device.key = secret.session_key AND device.user_id = p_owner
                AND device.revoked_at IS NULL AND device.expires_at > at
            WHERE secret.client_id = p_client AND device.key IS NULL AND secret.session_key <> p_session_key
                AND (secret.expires_at IS NULL OR secret.expires_at > at)
            GROUP BY secret.session_key ORDER BY max(secret.id) LIMIT excess
        );
        IF cardinality(gone) < excess THEN
            RETURN 'too_many_devices';
        END IF;
    END IF;
    -- A key is the device's that brought it last: with the session of an earlier one it would not end.
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets
        WHERE client_id = p_client AND (session_key = ANY (gone) OR (p_jwk IS NOT NULL AND hash = p_hash))
        ORDER BY id FOR UPDATE
    );

    INSERT INTO bridge_auth.clients (id, owner, scopes) VALUES (p_client, p_owner, p_scopes)
    ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes;
    UPDATE bridge_auth.client_secrets SET expires_at = at + p_overlap * interval '1 microsecond'
    WHERE id = ANY (replaced) AND expires_at IS NULL;
    INSERT INTO bridge_auth.client_secrets (client_id, session_key, hash, jwk)
    VALUES (p_client, p_session_key, p_hash, p_jwk);
    RETURN 'provisioned';
END
$$;

-- The device of the live secret with this hash, or of the live key with this thumbprint. Compares salted digests, all
-- of them: the time it takes tells nothing of the stored ones.
CREATE FUNCTION bridge_auth.device_of(p_client text, p_hash bytea, p_is_key boolean) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    salt bytea := uuid_send(gen_random_uuid());
BEGIN
    RETURN (
        SELECT (array_agg(session_key ORDER BY id) FILTER (WHERE sha256(salt || hash) = sha256(salt || p_hash)))[1]
        FROM bridge_auth.client_secrets
        WHERE client_id = p_client AND (jwk IS NOT NULL) = p_is_key
            AND (expires_at IS NULL OR expires_at > clock_timestamp())
    );
END
$$;

-- Opens a session for a hook client that proves itself with its secret, or with its key.
CREATE FUNCTION bridge_auth.open_for_client(
    p_session bridge_auth.new_session, p_hash bytea, p_scopes text,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL,
    p_is_key boolean DEFAULT false
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    client bridge_auth.clients;
    holder bridge_auth.users;
    device uuid := bridge_auth.device_of(p_session.client_id, p_hash, p_is_key);
    at     timestamptz;
    result bridge_auth.opened;
BEGIN
    -- Looked at before any lock: a wrong secret must not hold up the owner.
    IF device IS NULL THEN
        result.outcome := 'wrong_secret';
        RETURN result;
    END IF;
    holder := bridge_auth.lock_user((SELECT owner FROM bridge_auth.clients WHERE id = p_session.client_id));
    SELECT * INTO client FROM bridge_auth.clients WHERE id = p_session.client_id FOR SHARE;
    -- And again: it may have been revoked while this waited.
    device := bridge_auth.device_of(p_session.client_id, p_hash, p_is_key);
    IF device IS NULL THEN
        result.outcome := 'wrong_secret';
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSE
        -- Whoever revokes the device's session waits for this one, and then takes it along.
        PERFORM FROM bridge_auth.sessions WHERE key = device FOR SHARE;
        at := clock_timestamp();
        result := bridge_auth.admit_session(
            p_session, holder.id, bridge_auth.shared_scopes(p_scopes, client.scopes), device, at, at,
            p_max_life, p_refresh);
    END IF;
    RETURN result;
END
$$;

-- Remembers an assertion for `p_life` microseconds; false when it is remembered already.
CREATE FUNCTION bridge_auth.spend_assertion(p_hash bytea, p_life bigint) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM bridge_auth.begin_write();
    INSERT INTO bridge_auth.used_assertions AS used (hash, expires_at)
    VALUES (p_hash, clock_timestamp() + p_life * interval '1 microsecond')
    ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at WHERE used.expires_at <= clock_timestamp();
    RETURN FOUND;
END
$$;

-- Deletes at most `p_limit` dead rows of each table. Rows that are being used are left for the next sweep.
CREATE FUNCTION bridge_auth.sweep(
    p_limit bigint, OUT codes bigint, OUT sessions bigint, OUT secrets bigint, OUT revocations bigint,
    OUT refresh_tokens bigint, OUT assertions bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    swept_at   timestamptz := clock_timestamp();
    last_swept xid8;
BEGIN
    DELETE FROM bridge_auth.codes WHERE hash IN (
        SELECT hash FROM bridge_auth.codes WHERE expires_at <= swept_at - interval '1 day'
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS codes = ROW_COUNT;
    -- First, because they may be many to a session, and would all go with it at once.
    DELETE FROM bridge_auth.refresh_tokens WHERE hash IN (
        SELECT token.hash
        FROM (
            SELECT key FROM bridge_auth.sessions WHERE expires_at <= swept_at - interval '1 hour'
            ORDER BY expires_at LIMIT p_limit
        ) AS dead
        JOIN bridge_auth.refresh_tokens AS token ON token.session_key = dead.key
        LIMIT p_limit FOR UPDATE OF token SKIP LOCKED
    );
    GET DIAGNOSTICS refresh_tokens = ROW_COUNT;
    DELETE FROM bridge_auth.sessions WHERE key IN (
        SELECT key FROM bridge_auth.sessions AS session
        WHERE expires_at <= swept_at - interval '1 hour'
            AND NOT EXISTS (SELECT FROM bridge_auth.refresh_tokens WHERE session_key = session.key)
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS sessions = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE expires_at <= swept_at
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS secrets = ROW_COUNT;
    DELETE FROM bridge_auth.used_assertions WHERE hash IN (
        SELECT hash FROM bridge_auth.used_assertions WHERE expires_at <= swept_at
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS assertions = ROW_COUNT;
    WITH gone AS (
        DELETE FROM bridge_auth.revocations WHERE id IN (
            SELECT id FROM bridge_auth.revocations WHERE at <= swept_at - interval '1 day'
            ORDER BY id LIMIT p_limit FOR UPDATE SKIP LOCKED
        )
        RETURNING xid
    )
    SELECT count(*), (SELECT xid FROM gone ORDER BY xid DESC LIMIT 1) INTO revocations, last_swept FROM gone;
    UPDATE bridge_auth.swept_log SET newest = last_swept WHERE last_swept > coalesce(newest, '0');
END
$$;
