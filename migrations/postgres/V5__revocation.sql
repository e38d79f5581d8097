-- Revokes one session, if it is `p_user`'s where that is given. Returns how many sessions that were
-- not revoked before are now, nothing when there is no such session.
CREATE FUNCTION bridge_auth.revoke_session(p_key uuid, p_id text, p_user text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder text;
BEGIN
    SELECT user_id INTO holder FROM bridge_auth.sessions
    WHERE key = p_key AND id = p_id AND user_id = coalesce(p_user, user_id);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM bridge_auth.lock_user(holder);
    RETURN bridge_auth.end_and_log_sessions(ARRAY[p_key]);
END
$$;

-- Revokes all of a user, and disables them if asked. Returns as above.
CREATE FUNCTION bridge_auth.revoke_user(p_user text, p_disable boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder bridge_auth.users := bridge_auth.lock_user(p_user);
    at     timestamptz := clock_timestamp();
    ended  uuid[];
BEGIN
    IF holder.id IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE bridge_auth.users SET not_before = at, disabled = disabled OR p_disable WHERE id = p_user;
    UPDATE bridge_auth.codes SET expires_at = at
    WHERE user_id = p_user AND spent_at IS NULL AND expires_at > at;
    ended := bridge_auth.end_sessions(ARRAY(
        SELECT key FROM bridge_auth.sessions WHERE user_id = p_user AND revoked_at IS NULL));
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT secret.id
        FROM bridge_auth.client_secrets AS secret
        JOIN bridge_auth.clients AS client ON client.id = secret.client_id
        WHERE client.owner = p_user ORDER BY secret.id FOR UPDATE OF secret
    );
    PERFORM bridge_auth.log_revocations('user', ARRAY[p_user]);
    RETURN cardinality(ended);
END
$$;

-- Revokes all of a client, known or not.
CREATE FUNCTION bridge_auth.revoke_client(p_client text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended uuid[];
BEGIN
    PERFORM bridge_auth.begin_write();
    PERFORM FROM bridge_auth.clients WHERE id = p_client FOR NO KEY UPDATE;
    ended := bridge_auth.end_sessions(ARRAY(
        SELECT key FROM bridge_auth.sessions WHERE client_id = p_client AND revoked_at IS NULL));
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE client_id = p_client ORDER BY id FOR UPDATE
    );
    PERFORM bridge_auth.log_revocations('client', ARRAY[p_client]);
    -- Sessions of hooks that hung on those of this client go by their own names.
    PERFORM bridge_auth.log_revocations('session', ARRAY(
        SELECT id FROM bridge_auth.sessions WHERE key = ANY (ended) AND client_id <> p_client));
    RETURN cardinality(ended);
END
$$;

-- Deletes at most `p_limit` dead rows of each table. Rows that are being used are left for the next sweep.
CREATE FUNCTION bridge_auth.sweep(
    p_limit bigint, OUT codes bigint, OUT sessions bigint, OUT secrets bigint, OUT revocations bigint
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
    DELETE FROM bridge_auth.sessions WHERE key IN (
        SELECT key FROM bridge_auth.sessions WHERE expires_at <= swept_at - interval '1 hour'
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS sessions = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE expires_at <= swept_at
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS secrets = ROW_COUNT;
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
