-- The functions of hook clients and of refresh tokens, and the broom, after the tables of V10.

-- The device of the live secret with this hash, or of the live key with this thumbprint. One is live only while its
-- device's session is. Compares salted digests, all of them: the time it takes tells nothing of the stored ones.
CREATE FUNCTION bridge_auth.device_of(p_client text, p_hash bytea, p_is_key boolean) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    salt bytea := uuid_send(gen_random_uuid());
    at   timestamptz := clock_timestamp();
BEGIN
    RETURN (
        SELECT (array_agg(secret.session_key ORDER BY secret.id)
            FILTER (WHERE sha256(salt || secret.hash) = sha256(salt || p_hash)))[1]
        FROM bridge_auth.clients AS client
        JOIN bridge_auth.client_secrets AS secret ON secret.client_id = client.id
        JOIN bridge_auth.sessions AS device ON device.key = secret.session_key AND device.user_id = client.owner
        WHERE client.id = p_client AND (secret.jwk IS NOT NULL) = p_is_key
            AND (secret.expires_at IS NULL OR secret.expires_at > at)
            AND device.revoked_at IS NULL AND device.expires_at > at
    );
END
$$;

-- Who a hook client is, when the credential with this hash is good: the client, its owner, its device's session and, when
-- there is one, its own. Locks nothing.
CREATE FUNCTION bridge_auth.hook_client(
    p_client text, p_hash bytea, p_is_key boolean,
    OUT client bridge_auth.clients, OUT holder bridge_auth.users,
    OUT device bridge_auth.sessions, OUT hook bridge_auth.sessions
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    device_key uuid := bridge_auth.device_of(p_client, p_hash, p_is_key);
BEGIN
    IF device_key IS NOT NULL THEN
        SELECT * INTO client FROM bridge_auth.clients WHERE id = p_client;
        SELECT * INTO holder FROM bridge_auth.users WHERE id = client.owner;
        SELECT * INTO device FROM bridge_auth.sessions WHERE key = device_key AND user_id = client.owner;
        SELECT * INTO hook FROM bridge_auth.sessions
        WHERE parent = device.key AND user_id = client.owner AND client_id = client.id
            AND revoked_at IS NULL AND expires_at > clock_timestamp()
        ORDER BY renewed_at DESC LIMIT 1;
    END IF;
END
$$;

-- Opens or renews the session of a hook client that proves itself with its secret, or with its key: a device's has one.
--
-- It lives as long as its device's session, and a token of it for as long as that token says. So most calls have nothing
-- to write, and lock nothing.
CREATE FUNCTION bridge_auth.open_for_client(
    p_session bridge_auth.new_session, p_hash bytea, p_scopes text,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL,
    p_is_key boolean DEFAULT false
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    found    record;
    admitted bridge_auth.sessions;
    allowed  text;
    renewed  boolean;
    at       timestamptz;
    result   bridge_auth.opened;
BEGIN
    FOR is_locked IN 0..1 LOOP
        IF is_locked = 1 THEN
            PERFORM bridge_auth.lock_user((found.holder).id);
            PERFORM FROM bridge_auth.clients WHERE id = p_session.client_id FOR SHARE;
            -- Whoever revokes the device's session waits for this one, and then takes it along.
            PERFORM FROM bridge_auth.sessions WHERE key = (found.device).key FOR SHARE;
        END IF;
        SELECT * INTO found FROM bridge_auth.hook_client(p_session.client_id, p_hash, p_is_key);
        at := clock_timestamp();
        IF (found.device).key IS NULL THEN
            result.outcome := 'wrong_secret';
            RETURN result;
        ELSIF (found.holder).disabled THEN
            result.outcome := 'user_disabled';
            RETURN result;
        END IF;
        allowed := bridge_auth.allowed_to_hooks((found.client).scopes, found.holder);
        admitted := found.hook;
        renewed := admitted.key IS NOT NULL;
        IF renewed AND admitted.renewed_at > at - interval '1 minute'
            AND admitted.expires_at >= (found.device).expires_at
            AND (admitted.scopes, admitted.user_agent, admitted.address, admitted.device_name)
                IS NOT DISTINCT FROM (allowed, p_session.user_agent, p_session.address, p_session.device_name)
        THEN
            -- Its tokens may be for what those of its device may be for.
            admitted.resource := (found.device).resource;
            RETURN bridge_auth.opened_as(admitted, bridge_auth.shared_scopes(p_scopes, allowed), at, true);
        END IF;
    END LOOP;

    IF renewed THEN
        UPDATE bridge_auth.sessions
        SET scopes = allowed, renewed_at = at, authenticated_at = at, user_agent = p_session.user_agent,
            address = p_session.address, device_name = p_session.device_name,
            expires_at = greatest(expires_at, (found.device).expires_at),
            ends_at = greatest(ends_at, (found.device).ends_at, (found.device).expires_at)
        WHERE key = admitted.key AND revoked_at IS NULL
        RETURNING * INTO admitted;
    ELSE
        INSERT INTO bridge_auth.sessions (
            key, id, user_id, client_id, parent, call_source, scopes, user_agent, address, device_name,
            created_at, renewed_at, expires_at, ends_at, authenticated_at
        ) VALUES (
            p_session.key, p_session.id, (found.holder).id, (found.client).id, (found.device).key, p_session.call_source,
            allowed, p_session.user_agent, p_session.address, p_session.device_name, at, at,
            (found.device).expires_at, coalesce((found.device).ends_at, (found.device).expires_at), at
        ) ON CONFLICT DO NOTHING
        RETURNING * INTO admitted;
    END IF;
    IF admitted.key IS NULL THEN
        result.outcome := 'session_taken';
        RETURN result;
    END IF;
    admitted.resource := (found.device).resource;
    RETURN bridge_auth.opened_as(admitted, bridge_auth.shared_scopes(p_scopes, allowed), at, renewed);
END
$$;

-- Inserts a hook client or adds a secret to it, or with `p_jwk` a public key. `p_overlap` is in microseconds.
CREATE FUNCTION bridge_auth.provision(
    p_client text, p_owner text, p_session_key uuid, p_session_id text,
    p_hash bytea, p_scopes text, p_overlap bigint, p_max_devices bigint, p_jwk text,
    OUT outcome text, OUT scopes text, OUT ends_at timestamptz
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    -- Read before the lock: what a call that overlaps this one adds meanwhile is not replaced.
    last_seen bigint := coalesce((
        SELECT max(id) FROM bridge_auth.client_secrets WHERE client_id = p_client AND session_key = p_session_key
    ), 0);
    holder bridge_auth.users := bridge_auth.lock_user(p_owner);
    client bridge_auth.clients;
    device bridge_auth.sessions;
    at     timestamptz;
BEGIN
    IF holder.id IS NULL OR holder.disabled THEN
        outcome := 'user_disabled';
        RETURN;
    END IF;
    SELECT * INTO client FROM bridge_auth.clients WHERE id = p_client FOR NO KEY UPDATE;
    IF client.owner <> p_owner THEN
        RAISE EXCEPTION 'the client belongs to another user' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    SELECT * INTO device FROM bridge_auth.sessions
    WHERE key = p_session_key AND id = p_session_id AND user_id = p_owner
        AND revoked_at IS NULL AND expires_at > clock_timestamp()
    FOR SHARE;
    IF NOT FOUND THEN
        outcome := 'session_not_live';
        RETURN;
    END IF;

    at := clock_timestamp();
    -- A third live one would end one of two that nobody was told of yet.
    IF (
        SELECT count(*) FROM bridge_auth.client_secrets
        WHERE client_id = p_client AND session_key = p_session_key AND id > last_seen
    ) > 1 THEN
        outcome := 'overlapped';
        RETURN;
    END IF;
    IF (
        SELECT count(DISTINCT secret.session_key)
        FROM bridge_auth.client_secrets AS secret
        JOIN bridge_auth.sessions AS other ON other.key = secret.session_key AND other.user_id = p_owner
        WHERE secret.client_id = p_client AND secret.session_key <> p_session_key
            AND (secret.expires_at IS NULL OR secret.expires_at > at)
            AND other.revoked_at IS NULL AND other.expires_at > at
    ) >= p_max_devices THEN
        outcome := 'too_many_devices';
        RETURN;
    END IF;

    -- What is dead goes, so that a client never has more rows than its devices may have. A key is the device's that brought
    -- it last: with the session of an earlier one it would not end.
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT secret.id
        FROM bridge_auth.client_secrets AS secret
        JOIN bridge_auth.sessions AS other ON other.key = secret.session_key
        WHERE secret.client_id = p_client AND (
            secret.expires_at <= at OR other.user_id <> p_owner OR other.revoked_at IS NOT NULL
            OR other.expires_at <= at OR (p_jwk IS NOT NULL AND secret.hash = p_hash)
        )
        ORDER BY secret.id FOR UPDATE OF secret
    );
    -- Of this device only the newest stays beside the new one.
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets
        WHERE client_id = p_client AND session_key = p_session_key
        ORDER BY id DESC OFFSET 1 FOR UPDATE
    );
    UPDATE bridge_auth.client_secrets
    SET expires_at = least(coalesce(expires_at, 'infinity'), at + p_overlap * interval '1 microsecond')
    WHERE client_id = p_client AND session_key = p_session_key AND id <= last_seen;

    provision.scopes := bridge_auth.allowed_to_hooks(p_scopes, holder);
    INSERT INTO bridge_auth.clients (id, owner, scopes) VALUES (p_client, p_owner, provision.scopes)
    ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes;
    INSERT INTO bridge_auth.client_secrets (client_id, session_key, hash, jwk, created_at)
    VALUES (p_client, p_session_key, p_hash, p_jwk, at);
    outcome := 'provisioned';
    provision.ends_at := coalesce(device.ends_at, device.expires_at);
END
$$;

-- As gateways of the version before call it.
CREATE FUNCTION bridge_auth.provision_client(
    p_client text, p_owner text, p_session_key uuid, p_session_id text,
    p_hash bytea, p_scopes text, p_overlap bigint, p_max_devices bigint, p_jwk text DEFAULT NULL
) RETURNS text
LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT outcome FROM bridge_auth.provision(
        p_client, p_owner, p_session_key, p_session_id, p_hash, p_scopes, p_overlap, p_max_devices, p_jwk)
$$;

-- A refresh token with its rounds and its parent. Those of a token from before V10 are told by the generations beside it:
-- the next one was made when it was used first, and what was made before V10 has no parent.
CREATE FUNCTION bridge_auth.refresh_uses(p_token bridge_auth.refresh_tokens) RETURNS bridge_auth.refresh_tokens
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
BEGIN
    IF p_token.rounds IS NULL THEN
        SELECT min(issued_at) INTO p_token.round_at FROM bridge_auth.refresh_tokens
        WHERE session_key = p_token.session_key AND generation = p_token.generation + 1 AND parent IS NULL;
        p_token.rounds := (p_token.round_at IS NOT NULL)::int;
        p_token.is_followed := EXISTS (
            SELECT FROM bridge_auth.refresh_tokens
            WHERE session_key = p_token.session_key AND generation > p_token.generation + 1
        );
        -- If one of those that it may have been given for was answered again since, it is retired.
        SELECT hash, 1 INTO p_token.parent, p_token.parent_round FROM bridge_auth.refresh_tokens
        WHERE session_key = p_token.session_key AND generation = p_token.generation - 1 AND rounds > 0
        ORDER BY rounds DESC LIMIT 1;
    END IF;
    RETURN p_token;
END
$$;

-- Answers a refresh token with a successor and extends its session, or neither. `p_life` and `p_grace` are in
-- microseconds; without `p_scopes` the answer has all that the session keeps.
CREATE FUNCTION bridge_auth.refresh_session(
    p_presented bytea, p_successor bytea, p_client text, p_scopes text,
    p_user_agent text, p_address inet, p_device_name text, p_life bigint, p_grace bigint,
    p_resource text DEFAULT NULL
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    token      bridge_auth.refresh_tokens;
    parent     bridge_auth.refresh_tokens;
    held       bridge_auth.sessions;
    holder     bridge_auth.users;
    kept       text;
    at         timestamptz;
    is_beside  boolean;
    is_retired boolean;
    result     bridge_auth.opened;
BEGIN
    -- As with codes, what is unknown locks nothing.
    SELECT session.* INTO held
    FROM bridge_auth.refresh_tokens AS presented
    JOIN bridge_auth.sessions AS session ON session.key = presented.session_key
    WHERE presented.hash = p_presented AND presented.generation >= session.first_generation;
    IF FOUND THEN
        holder := bridge_auth.lock_user(held.user_id);
        -- And again: the session may have been renewed meanwhile, or swept, and its id taken by another.
        SELECT * INTO held FROM bridge_auth.sessions WHERE key = held.key AND user_id = holder.id FOR NO KEY UPDATE;
        SELECT * INTO token FROM bridge_auth.refresh_tokens
        WHERE hash = p_presented AND session_key = held.key AND generation >= held.first_generation;
    END IF;
    IF NOT FOUND THEN
        result.outcome := 'unknown';
        RETURN result;
    END IF;

    at := clock_timestamp();
    kept := bridge_auth.shared_scopes(held.scopes, holder.scopes);
    token := bridge_auth.refresh_uses(token);
    SELECT * INTO parent FROM bridge_auth.refresh_tokens WHERE hash = token.parent;
    is_retired := coalesce(token.parent_round < parent.rounds, false);
    -- Beside a use of the same token by another program that shares it.
    is_beside := token.rounds > 0 AND at < token.round_at + p_grace * interval '1 microsecond';
    IF held.revoked_at IS NOT NULL OR held.expires_at <= at THEN
        result.outcome := 'session_ended';
    ELSIF held.client_id <> p_client THEN
        result.outcome := 'wrong_client';
    ELSIF is_retired OR (token.rounds > 0 AND NOT is_beside AND token.is_followed) THEN
        PERFORM bridge_auth.end_and_log_sessions_of(held.user_id, ARRAY[held.key]);
        result.outcome := 'reused';
        result.user_id := held.user_id;
        result.session_id := held.id;
        result.rotated_at := coalesce(token.round_at, parent.round_at, token.issued_at);
        result.used_from := CASE WHEN token.rounds > 0 THEN token.round_from ELSE parent.round_from END;
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSIF NOT string_to_array(coalesce(p_scopes, ''), ' ') <@ string_to_array(kept, ' ') THEN
        result.outcome := 'scopes';
    ELSIF held.resource <> p_resource THEN
        result.outcome := 'wrong_resource';
    ELSE
        UPDATE bridge_auth.sessions
        SET scopes = kept, renewed_at = at, user_agent = p_user_agent, address = p_address,
            device_name = coalesce(p_device_name, device_name),
            expires_at = greatest(expires_at, least(coalesce(ends_at, expires_at), at + p_life * interval '1 microsecond')),
            generation = greatest(generation, token.generation + 1)
        WHERE key = held.key
        RETURNING * INTO held;
        -- A new round retires what the rounds before were answered with.
        IF NOT is_beside THEN
            token.rounds := token.rounds + 1;
            UPDATE bridge_auth.refresh_tokens
            SET rounds = token.rounds, round_at = at, round_from = p_address, is_followed = token.is_followed,
                parent = token.parent, parent_round = token.parent_round
            WHERE hash = p_presented;
        END IF;
        UPDATE bridge_auth.refresh_tokens SET is_followed = true WHERE hash = token.parent AND NOT is_followed;
        INSERT INTO bridge_auth.refresh_tokens (
            hash, session_key, generation, issued_at, parent, parent_round, rounds, is_followed
        ) VALUES (p_successor, held.key, token.generation + 1, at, p_presented, token.rounds, 0, false);
        result := bridge_auth.opened_as(held, coalesce(p_scopes, kept), at, true);
    END IF;
    RETURN result;
END
$$;

-- Deletes at most `p_limit` dead rows of each table. Rows that are being used are left for the next sweep.
CREATE FUNCTION bridge_auth.sweep(
    p_limit bigint, OUT codes bigint, OUT sessions bigint, OUT secrets bigint, OUT revocations bigint,
    OUT refresh_tokens bigint, OUT assertions bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
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
    -- First, because they may be many to a session, and would all go with it at once.
    DELETE FROM bridge_auth.refresh_tokens WHERE hash IN (
        SELECT hash FROM bridge_auth.refresh_tokens WHERE session_key = ANY (dead) LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS refresh_tokens = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE expires_at <= swept_at
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS secrets = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE session_key = ANY (dead)
        ORDER BY id LIMIT p_limit - secrets FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS with_sessions = ROW_COUNT;
    secrets := secrets + with_sessions;
    DELETE FROM bridge_auth.sessions WHERE key IN (
        SELECT key FROM bridge_auth.sessions AS session
        WHERE key = ANY (dead) AND expires_at <= swept_at - interval '1 hour'
            AND NOT EXISTS (SELECT FROM bridge_auth.refresh_tokens WHERE session_key = session.key)
            AND NOT EXISTS (SELECT FROM bridge_auth.client_secrets WHERE session_key = session.key)
        FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS sessions = ROW_COUNT;
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
