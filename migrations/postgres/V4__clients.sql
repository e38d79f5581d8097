-- Inserts a hook client or adds a secret to it; returns the outcome. `p_overlap` is in microseconds.
CREATE FUNCTION bridge_auth.provision_client(
    p_client text, p_owner text, p_session_key uuid, p_session_id text,
    p_hash bytea, p_scopes text, p_overlap bigint, p_max_devices bigint
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
        DELETE FROM bridge_auth.client_secrets WHERE id IN (
            SELECT id FROM bridge_auth.client_secrets
            WHERE client_id = p_client AND session_key = ANY (gone) ORDER BY id FOR UPDATE
        );
    END IF;

    INSERT INTO bridge_auth.clients (id, owner, scopes) VALUES (p_client, p_owner, p_scopes)
    ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes;
    UPDATE bridge_auth.client_secrets SET expires_at = at + p_overlap * interval '1 microsecond'
    WHERE id = ANY (replaced) AND expires_at IS NULL;
    INSERT INTO bridge_auth.client_secrets (client_id, session_key, hash)
    VALUES (p_client, p_session_key, p_hash);
    RETURN 'provisioned';
END
$$;

-- The device of the live secret with this hash. Compares salted digests, all of them: the time it
-- takes tells nothing of the stored ones.
CREATE FUNCTION bridge_auth.device_of_secret(p_client text, p_hash bytea) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    salt bytea := uuid_send(gen_random_uuid());
BEGIN
    RETURN (
        SELECT (array_agg(session_key ORDER BY id) FILTER (WHERE sha256(salt || hash) = sha256(salt || p_hash)))[1]
        FROM bridge_auth.client_secrets
        WHERE client_id = p_client AND (expires_at IS NULL OR expires_at > clock_timestamp())
    );
END
$$;

-- Opens a session for a hook client that proves itself with its secret.
CREATE FUNCTION bridge_auth.open_for_client(p_session bridge_auth.new_session, p_hash bytea, p_scopes text)
RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    client bridge_auth.clients;
    holder bridge_auth.users;
    device uuid := bridge_auth.device_of_secret(p_session.client_id, p_hash);
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
    device := bridge_auth.device_of_secret(p_session.client_id, p_hash);
    IF device IS NULL THEN
        result.outcome := 'wrong_secret';
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSE
        -- Whoever revokes the device's session waits for this one, and then takes it along.
        PERFORM FROM bridge_auth.sessions WHERE key = device FOR SHARE;
        result := bridge_auth.admit_session(
            p_session, holder.id, bridge_auth.shared_scopes(p_scopes, client.scopes), device, clock_timestamp());
    END IF;
    RETURN result;
END
$$;
