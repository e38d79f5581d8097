-- Two functions that read too much on a database that nobody has analysed: each row is found by its own key, and where many keys
-- are asked for, one after the other.

-- As in V11.
CREATE OR REPLACE FUNCTION bridge_auth.end_sessions_of(p_user text, p_keys uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    dead_since timestamptz := bridge_auth.dead_since();
    -- Each device by itself: for many at once an index of all that are live might be read from end to end.
    all_keys   uuid[] := p_keys || ARRAY(
        SELECT hook.key FROM unnest(p_keys) AS device (key) CROSS JOIN LATERAL (
            SELECT key FROM bridge_auth.sessions
            WHERE parent = device.key AND revoked_at IS NULL AND expires_at > dead_since
            OFFSET 0
        ) AS hook
    );
    ended      uuid[];
BEGIN
    -- For no key at all the index of the person would be read.
    IF cardinality(all_keys) = 0 THEN
        RETURN '{}';
    END IF;
    -- By their keys alone, for the same reason as above.
    SELECT coalesce(array_agg(key) FILTER (WHERE revoked_at IS NULL), '{}') INTO ended
    FROM (
        SELECT key, revoked_at FROM bridge_auth.sessions WHERE key = ANY (all_keys) AND user_id = p_user
        ORDER BY parent IS NOT NULL, key FOR NO KEY UPDATE
    ) AS locked;
    UPDATE bridge_auth.sessions SET revoked_at = clock_timestamp() WHERE key = ANY (ended);
    -- Most sessions have none, and a look is cheaper. None is added meanwhile: for that the person's row must be locked.
    IF EXISTS (SELECT FROM bridge_auth.client_secrets WHERE session_key = ANY (p_keys)) THEN
        DELETE FROM bridge_auth.client_secrets WHERE id IN (
            SELECT secret.id
            FROM bridge_auth.client_secrets AS secret
            JOIN bridge_auth.clients AS client ON client.id = secret.client_id
            WHERE secret.session_key = ANY (p_keys) AND client.owner = p_user
            ORDER BY secret.id FOR UPDATE OF secret
        );
    END IF;
    RETURN ended;
END
$$;

-- As in V11.
CREATE OR REPLACE FUNCTION bridge_auth.sweep(
    p_limit bigint, OUT codes bigint, OUT sessions bigint, OUT secrets bigint, OUT revocations bigint,
    OUT refresh_tokens bigint, OUT assertions bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    swept_at      timestamptz := clock_timestamp();
    dead          uuid[];
    with_sessions bigint;
    last_swept    xid8;
BEGIN
    PERFORM bridge_auth.begin_write();
    DELETE FROM bridge_auth.codes WHERE hash IN (
        SELECT hash FROM bridge_auth.codes WHERE expires_at <= swept_at - interval '1 day'
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS codes = ROW_COUNT;
    dead := ARRAY(
        SELECT key FROM bridge_auth.sessions WHERE expires_at <= swept_at - interval '1 hour'
        ORDER BY expires_at LIMIT p_limit
    );
    -- First, because they may be many to a session, and would all go with it at once. Of those that are dead still: another
    -- sweep may have been here, and an id been taken again.
    DELETE FROM bridge_auth.refresh_tokens WHERE hash IN (
        SELECT token.hash
        FROM unnest(dead) AS ripe (key)
        JOIN bridge_auth.sessions AS session ON session.key = ripe.key
        CROSS JOIN LATERAL (
            SELECT hash FROM bridge_auth.refresh_tokens WHERE session_key = session.key
            LIMIT p_limit FOR UPDATE SKIP LOCKED
        ) AS token
        WHERE session.expires_at <= swept_at - interval '1 hour'
        LIMIT p_limit
    );
    GET DIAGNOSTICS refresh_tokens = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE expires_at <= swept_at
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS secrets = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT secret.id
        FROM unnest(dead) AS ripe (key)
        JOIN bridge_auth.sessions AS session ON session.key = ripe.key
        CROSS JOIN LATERAL (
            SELECT id FROM bridge_auth.client_secrets WHERE session_key = session.key
            LIMIT p_limit FOR UPDATE SKIP LOCKED
        ) AS secret
        WHERE session.expires_at <= swept_at - interval '1 hour'
        LIMIT p_limit - secrets
    );
    GET DIAGNOSTICS with_sessions = ROW_COUNT;
    secrets := secrets + with_sessions;
    DELETE FROM bridge_auth.sessions WHERE key IN (
        SELECT session.key FROM unnest(dead) AS ripe (key)
        JOIN bridge_auth.sessions AS session ON session.key = ripe.key
        WHERE expires_at <= swept_at - interval '1 hour'
            AND NOT EXISTS (SELECT FROM bridge_auth.refresh_tokens WHERE session_key = session.key)
            AND NOT EXISTS (SELECT FROM bridge_auth.client_secrets WHERE session_key = session.key)
        FOR UPDATE OF session SKIP LOCKED
    );
    GET DIAGNOSTICS sessions = ROW_COUNT;
    DELETE FROM bridge_auth.used_assertions WHERE hash IN (
        SELECT hash FROM bridge_auth.used_assertions WHERE expires_at <= swept_at
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS assertions = ROW_COUNT;
    -- The leases of gateways that are gone for a day, uncounted. An old one may be of a gateway that still runs.
    DELETE FROM bridge_auth.ticks WHERE lease IN (
        SELECT lease FROM bridge_auth.ticks
        WHERE begun_at < swept_at - interval '1 day' AND at < swept_at - interval '1 day'
        ORDER BY begun_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    WITH gone AS (
        DELETE FROM bridge_auth.revocations WHERE id IN (
            SELECT id FROM bridge_auth.revocations WHERE at <= swept_at - interval '1 day'
            ORDER BY at LIMIT p_limit FOR UPDATE SKIP LOCKED
        )
        RETURNING xid
    )
    SELECT count(*), (SELECT xid FROM gone ORDER BY xid DESC LIMIT 1) INTO revocations, last_swept FROM gone;
    UPDATE bridge_auth.swept_log SET newest = last_swept WHERE last_swept > coalesce(newest, '0');
END
$$;
