-- The functions of bounded revocation. The order of locks is that of V2: the user, the code or the client, the sessions
-- (those without a parent first, each by key), the secrets (by id).
--
-- A gateway of the version before may run on: its calls find these functions, and what it does not say has a default.
-- `enable_seqscan` is off in them, and each statement is planned for what it is called with: a plan that was made while a
-- table was empty is kept for long after, and reads an index from end to end.

DROP FUNCTION bridge_auth.open_vouched(bridge_auth.new_session, text, text, bigint, bytea);
DROP FUNCTION bridge_auth.redeem_code(text, text, bridge_auth.new_session, bigint, bytea);
DROP FUNCTION bridge_auth.refresh_session(bytea, bytea, text, text, text, inet, text, bigint, bigint);
DROP FUNCTION bridge_auth.open_for_client(bridge_auth.new_session, bytea, text, bigint, bytea, boolean);
DROP FUNCTION bridge_auth.admit_session(bridge_auth.new_session, text, text, uuid, timestamptz, timestamptz, bigint, bytea);
DROP FUNCTION bridge_auth.opened_as(bridge_auth.sessions, text, timestamptz, boolean);
DROP FUNCTION bridge_auth.issue_code(text, text, text, text, bigint, bigint);
DROP FUNCTION bridge_auth.provision_client(text, text, uuid, text, bytea, text, bigint, bigint, text);
DROP FUNCTION bridge_auth.device_of(text, bytea, boolean);
DROP FUNCTION bridge_auth.revoke_session(uuid, text, text);
DROP FUNCTION bridge_auth.revoke_user(text, boolean);
DROP FUNCTION bridge_auth.revoke_client(text);
DROP FUNCTION bridge_auth.end_and_log_sessions(uuid[]);
DROP FUNCTION bridge_auth.end_sessions(uuid[]);
DROP FUNCTION bridge_auth.sweep(bigint);

-- Since when something is dead for those who end what is live. What expired a moment ago is ended too: a clock may be set
-- back, and that of a server that takes over may be behind.
CREATE FUNCTION bridge_auth.dead_since() RETURNS timestamptz
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT clock_timestamp() - interval '1 minute'
$$;

-- What a person's hooks may ask for of `p_scopes`.
CREATE FUNCTION bridge_auth.allowed_to_hooks(p_scopes text, p_owner bridge_auth.users) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN p_owner.hook_scopes IS NULL THEN p_scopes
        ELSE bridge_auth.shared_scopes(p_scopes, p_owner.hook_scopes)
    END
$$;

-- Makes a person known. Writes nothing when nothing changes: hosts call it at every login.
CREATE FUNCTION bridge_auth.put_user(p_user text, p_scopes text, p_hook_scopes text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    PERFORM FROM bridge_auth.users
    WHERE id = p_user AND scopes = p_scopes AND hook_scopes IS NOT DISTINCT FROM p_hook_scopes;
    IF NOT FOUND THEN
        PERFORM bridge_auth.begin_write();
        INSERT INTO bridge_auth.users (id, scopes, hook_scopes) VALUES (p_user, p_scopes, p_hook_scopes)
        ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes, hook_scopes = excluded.hook_scopes;
    END IF;
END
$$;

-- Enables a person again; false when nobody is called so.
CREATE FUNCTION bridge_auth.enable_user(p_user text) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    PERFORM bridge_auth.begin_write();
    UPDATE bridge_auth.users SET disabled = false WHERE id = p_user;
    RETURN FOUND;
END
$$;

-- Revokes those of the sessions that are the person's, whose row the caller has locked, with the hook sessions and the
-- credentials that hang on them, and returns those that were not revoked before.
CREATE FUNCTION bridge_auth.end_sessions_of(p_user text, p_keys uuid[]) RETURNS uuid[]
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
    -- By their keys alone, for the same reason.
    SELECT coalesce(array_agg(key) FILTER (WHERE revoked_at IS NULL), '{}') INTO ended
    FROM (
        SELECT key, revoked_at FROM bridge_auth.sessions WHERE key = ANY (all_keys) AND user_id = p_user
        ORDER BY parent IS NOT NULL, key FOR NO KEY UPDATE
    ) AS locked;
    UPDATE bridge_auth.sessions SET revoked_at = clock_timestamp() WHERE key = ANY (ended);
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT secret.id
        FROM bridge_auth.client_secrets AS secret
        JOIN bridge_auth.clients AS client ON client.id = secret.client_id
        WHERE secret.session_key = ANY (p_keys) AND client.owner = p_user
        ORDER BY secret.id FOR UPDATE OF secret
    );
    RETURN ended;
END
$$;

-- The same, and logs each.
CREATE FUNCTION bridge_auth.end_and_log_sessions_of(p_user text, p_keys uuid[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    ended uuid[] := bridge_auth.end_sessions_of(p_user, p_keys);
BEGIN
    PERFORM bridge_auth.log_revocations(
        'session', ARRAY(SELECT id FROM bridge_auth.sessions WHERE key = ANY (ended)));
    RETURN cardinality(ended);
END
$$;

-- Revokes one session, if it is `p_user`'s where that is given. Returns how many sessions that were
-- not revoked before are now, nothing when there is no such session.
CREATE FUNCTION bridge_auth.revoke_session(p_key uuid, p_id text, p_user text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    held bridge_auth.sessions;
BEGIN
    SELECT * INTO held FROM bridge_auth.sessions
    WHERE key = p_key AND id = p_id AND user_id = coalesce(p_user, user_id);
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM bridge_auth.lock_user(held.user_id);
    -- And again: while this waited it may have been swept, and its id taken by another.
    PERFORM FROM bridge_auth.sessions
    WHERE key = p_key AND id = p_id AND user_id = held.user_id AND created_at = held.created_at
    FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    RETURN bridge_auth.end_and_log_sessions_of(held.user_id, ARRAY[p_key]);
END
$$;

-- Revokes all of a user, and disables them if asked. Returns as above.
CREATE FUNCTION bridge_auth.revoke_user(p_user text, p_disable boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder     bridge_auth.users := bridge_auth.lock_user(p_user);
    at         timestamptz := clock_timestamp();
    dead_since timestamptz := bridge_auth.dead_since();
    ended      uuid[];
BEGIN
    IF holder.id IS NULL THEN
        RETURN NULL;
    END IF;
    UPDATE bridge_auth.users SET not_before = at, disabled = disabled OR p_disable WHERE id = p_user;
    UPDATE bridge_auth.codes SET expires_at = at
    WHERE user_id = p_user AND spent_at IS NULL AND expires_at > at;
    ended := bridge_auth.end_sessions_of(p_user, ARRAY(
        SELECT key FROM bridge_auth.sessions
        WHERE user_id = p_user AND revoked_at IS NULL AND expires_at > dead_since));
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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    dead_since timestamptz;
    keys       uuid[];
    hooks      uuid[];
    ended      uuid[];
BEGIN
    PERFORM bridge_auth.begin_write();
    PERFORM FROM bridge_auth.clients WHERE id = p_client FOR NO KEY UPDATE;
    dead_since := bridge_auth.dead_since();
    keys := ARRAY(
        SELECT key FROM bridge_auth.sessions
        WHERE client_id = p_client AND revoked_at IS NULL AND expires_at > dead_since
        ORDER BY parent IS NOT NULL, key FOR NO KEY UPDATE);
    -- After the wait for those: what hung itself on one meanwhile ends with it.
    hooks := ARRAY(
        SELECT hook.key
        FROM unnest(keys) AS held (key)
        JOIN bridge_auth.sessions AS device ON device.key = held.key
        CROSS JOIN LATERAL (
            SELECT key FROM bridge_auth.sessions
            WHERE parent = device.key AND user_id = device.user_id AND revoked_at IS NULL AND expires_at > dead_since
            OFFSET 0
        ) AS hook
    );
    SELECT keys || coalesce(array_agg(key) FILTER (WHERE parent = ANY (keys) AND revoked_at IS NULL), '{}') INTO ended
    FROM (
        SELECT key, parent, revoked_at FROM bridge_auth.sessions WHERE key = ANY (hooks)
        ORDER BY key FOR NO KEY UPDATE
    ) AS locked;
    UPDATE bridge_auth.sessions SET revoked_at = clock_timestamp() WHERE key = ANY (ended);
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE client_id = p_client ORDER BY id FOR UPDATE
    );
    -- And those that hung on its sessions.
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE session_key = ANY (ended) ORDER BY id FOR UPDATE
    );
    PERFORM bridge_auth.log_revocations('client', ARRAY[p_client]);
    -- Sessions of hooks that hung on those of this client go by their own names.
    PERFORM bridge_auth.log_revocations('session', ARRAY(
        SELECT id FROM bridge_auth.sessions WHERE key = ANY (ended) AND client_id <> p_client));
    RETURN cardinality(ended);
END
$$;

-- What is answered of a session that was just opened, renewed or refreshed.
CREATE FUNCTION bridge_auth.opened_as(
    p_session bridge_auth.sessions, p_scopes text, p_at timestamptz, p_renewed boolean
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    result bridge_auth.opened;
BEGIN
    result.outcome := 'opened';
    result.user_id := p_session.user_id;
    result.session_id := p_session.id;
    result.call_source := p_session.call_source;
    result.scopes := p_scopes;
    result.resource := p_session.resource;
    result.authenticated_at := coalesce(p_session.authenticated_at, p_session.created_at);
    result.expires_in := extract(epoch FROM p_session.expires_at - p_at) * 1000000;
    result.renewed := p_renewed;
    RETURN result;
END
$$;

-- Opens or renews a session of a user whose row the caller has locked. Unless the outcome is `opened`, nothing was
-- written. Its refresh tokens from before are forgotten; `p_refresh` is its new one's hash.
CREATE FUNCTION bridge_auth.admit_session(
    p_session bridge_auth.new_session, p_user text, p_scopes text, p_at timestamptz,
    p_authenticated_at timestamptz, p_max_life bigint, p_refresh bytea, p_resource text
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    held     bridge_auth.sessions;
    admitted bridge_auth.sessions;
    live     uuid[] := '{}';
    evicted  uuid[] := '{}';
    last     timestamptz := p_at + p_max_life * interval '1 microsecond';
    expiry   timestamptz := least(last, p_at + p_session.life * interval '1 microsecond');
    result   bridge_auth.opened;
BEGIN
    SELECT * INTO held FROM bridge_auth.sessions WHERE key = p_session.key;
    result.renewed := held.key IS NOT NULL;
    IF result.renewed THEN
        -- A hook's session is its device's, and nobody else's to keep alive.
        IF NOT p_session.declared OR held.id <> p_session.id OR held.user_id <> p_user
            OR held.client_id <> p_session.client_id OR held.parent IS NOT NULL OR held.expires_at <= p_at
        THEN
            result.outcome := 'session_taken';
            RETURN result;
        END IF;
        -- Revoking a client does not lock its users, so the row itself has the last word. It is found by its key: with
        -- another comparison of the person an index would do that is read past all that has expired of them.
        UPDATE bridge_auth.sessions
        SET scopes = p_scopes, renewed_at = p_at, user_agent = p_session.user_agent,
            address = p_session.address, device_name = p_session.device_name, resource = p_resource,
            expires_at = greatest(expires_at, expiry), ends_at = greatest(expires_at, ends_at, last),
            -- Of two codes the one that was issued first may be redeemed last.
            authenticated_at = greatest(authenticated_at, p_authenticated_at),
            generation = generation + 1, first_generation = generation + 1
        WHERE key = p_session.key AND user_id IS NOT DISTINCT FROM p_user AND revoked_at IS NULL
        RETURNING * INTO admitted;
    ELSE
        live := ARRAY(
            SELECT key FROM bridge_auth.sessions
            WHERE user_id = p_user AND parent IS NULL AND revoked_at IS NULL AND expires_at > p_at
            ORDER BY renewed_at, key
        );
        IF cardinality(live) >= p_session.max_live THEN
            IF NOT p_session.end_oldest THEN
                result.outcome := 'too_many_sessions';
                RETURN result;
            END IF;
            evicted := live[:cardinality(live) - p_session.max_live + 1];
        END IF;
        INSERT INTO bridge_auth.sessions (
            key, id, user_id, client_id, call_source, scopes, user_agent, address, device_name,
            created_at, renewed_at, expires_at, ends_at, authenticated_at, resource
        ) VALUES (
            p_session.key, p_session.id, p_user, p_session.client_id, p_session.call_source, p_scopes,
            p_session.user_agent, p_session.address, p_session.device_name,
            p_at, p_at, expiry, last, p_authenticated_at, p_resource
        ) ON CONFLICT DO NOTHING
        RETURNING * INTO admitted;
    END IF;
    IF admitted.key IS NULL THEN
        result.outcome := 'session_taken';
        RETURN result;
    END IF;
    IF p_refresh IS NOT NULL THEN
        INSERT INTO bridge_auth.refresh_tokens (hash, session_key, generation, issued_at, rounds, is_followed)
        VALUES (p_refresh, admitted.key, admitted.generation, p_at, 0, false);
    END IF;
    result := bridge_auth.opened_as(admitted, p_scopes, p_at, result.renewed);
    IF cardinality(evicted) > 0 THEN
        result.evicted := ARRAY(SELECT id FROM bridge_auth.sessions WHERE key = ANY (evicted) ORDER BY renewed_at, key);
        PERFORM bridge_auth.end_and_log_sessions_of(p_user, evicted);
    END IF;
    RETURN result;
END
$$;

-- Opens a session for a user for whom the host vouches.
CREATE FUNCTION bridge_auth.open_vouched(
    p_session bridge_auth.new_session, p_user text, p_scopes text,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder bridge_auth.users := bridge_auth.lock_user(p_user);
    at     timestamptz := clock_timestamp();
    result bridge_auth.opened;
BEGIN
    IF holder.id IS NULL THEN
        result.outcome := 'unknown_user';
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSE
        result := bridge_auth.admit_session(
            p_session, p_user, bridge_auth.shared_scopes(p_scopes, holder.scopes), at, at, p_max_life, p_refresh, NULL);
    END IF;
    RETURN result;
END
$$;

-- Stores a code; the outcome is `issued` with its expiry, or a refusal. `p_life` is in microseconds.
CREATE FUNCTION bridge_auth.issue_code(
    p_hash text, p_user text, p_scopes text, p_challenge text, p_life bigint, p_max_open bigint,
    p_resource text DEFAULT NULL, OUT outcome text, OUT ends_at timestamptz
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder bridge_auth.users := bridge_auth.lock_user(p_user);
    at     timestamptz := clock_timestamp();
BEGIN
    IF holder.id IS NULL THEN
        outcome := 'unknown_user';
        RETURN;
    ELSIF holder.disabled THEN
        outcome := 'user_disabled';
        RETURN;
    END IF;

    DELETE FROM bridge_auth.codes WHERE hash IN (
        SELECT hash FROM bridge_auth.codes
        WHERE user_id = p_user AND spent_at IS NULL AND expires_at > at
        ORDER BY issued_at DESC, hash OFFSET p_max_open - 1
    );
    INSERT INTO bridge_auth.codes (hash, user_id, scopes, challenge, resource, issued_at, expires_at)
    VALUES (p_hash, p_user, p_scopes, p_challenge, p_resource, at, at + p_life * interval '1 microsecond')
    RETURNING expires_at INTO ends_at;
    outcome := 'issued';
END
$$;

-- Spends a code and opens a session, or neither.
CREATE FUNCTION bridge_auth.redeem_code(
    p_hash text, p_challenge text, p_session bridge_auth.new_session,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL,
    p_resource text DEFAULT NULL
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    code   bridge_auth.codes;
    holder bridge_auth.users;
    at     timestamptz;
    result bridge_auth.opened;
BEGIN
    -- An unknown code locks nothing: guessing must not cost more than a look.
    SELECT * INTO code FROM bridge_auth.codes WHERE hash = p_hash;
    IF FOUND THEN
        holder := bridge_auth.lock_user(code.user_id);
        SELECT * INTO code FROM bridge_auth.codes WHERE hash = p_hash AND user_id = holder.id FOR UPDATE;
    END IF;
    IF NOT FOUND THEN
        result.outcome := 'unknown';
        RETURN result;
    END IF;

    at := clock_timestamp();
    IF code.spent_at IS NOT NULL THEN
        -- The id may stand for a younger session by now, when the first was swept.
        PERFORM bridge_auth.end_and_log_sessions_of(code.user_id, ARRAY(
            SELECT key FROM bridge_auth.sessions
            WHERE key = code.session_key AND user_id = code.user_id AND created_at <= code.spent_at
        ));
        result.outcome := 'replayed';
        result.user_id := code.user_id;
        result.session_id := code.session_id;
        result.first_used_at := code.spent_at;
    ELSIF code.expires_at <= at OR code.issued_at <= holder.not_before THEN
        result.outcome := 'expired';
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSIF code.challenge IS DISTINCT FROM p_challenge THEN
        result.outcome := 'wrong_verifier';
    ELSIF code.resource <> p_resource THEN
        result.outcome := 'wrong_resource';
    ELSE
        result := bridge_auth.admit_session(
            p_session, code.user_id, bridge_auth.shared_scopes(code.scopes, holder.scopes), at,
            code.issued_at, p_max_life, p_refresh, code.resource);
        IF result.outcome = 'opened' THEN
            UPDATE bridge_auth.codes
            SET spent_at = at, session_key = p_session.key, session_id = p_session.id
            WHERE hash = p_hash;
        END IF;
    END IF;
    RETURN result;
END
$$;

-- The device of the live secret with this hash, or of the live key with this thumbprint. One is live only while its
-- device's session is. Compares salted digests, all of them: the time it takes tells nothing of the stored ones.
CREATE FUNCTION bridge_auth.device_of(p_client text, p_hash bytea, p_is_key boolean) RETURNS uuid
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    device_key uuid := bridge_auth.device_of(p_client, p_hash, p_is_key);
    -- No index is read from a time that may change while it is read.
    at         timestamptz := clock_timestamp();
BEGIN
    IF device_key IS NOT NULL THEN
        SELECT * INTO client FROM bridge_auth.clients WHERE id = p_client;
        SELECT * INTO holder FROM bridge_auth.users WHERE id = client.owner;
        SELECT * INTO device FROM bridge_auth.sessions WHERE key = device_key AND user_id = client.owner;
        SELECT * INTO hook FROM bridge_auth.sessions
        WHERE parent = device.key AND user_id = client.owner AND client_id = client.id
            AND revoked_at IS NULL AND expires_at > at
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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    found      record;
    device_key uuid;
    admitted   bridge_auth.sessions;
    allowed    text;
    renewed    boolean;
    at         timestamptz;
    result     bridge_auth.opened;
BEGIN
    FOR is_locked IN 0..1 LOOP
        IF is_locked = 1 THEN
            PERFORM bridge_auth.lock_user((found.holder).id);
            PERFORM FROM bridge_auth.clients WHERE id = p_session.client_id FOR SHARE;
            -- Looked up again, because a key may have become another device's while this waited.
            device_key := bridge_auth.device_of(p_session.client_id, p_hash, p_is_key);
            -- Whoever revokes the device's session waits for this one, and then takes it along.
            PERFORM FROM bridge_auth.sessions WHERE key = device_key FOR SHARE;
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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
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
    WHERE key = p_session_key AND id = p_session_id AND user_id IS NOT DISTINCT FROM p_owner FOR SHARE;
    at := clock_timestamp();
    IF device.key IS NULL OR device.revoked_at IS NOT NULL OR device.expires_at <= at THEN
        outcome := 'session_not_live';
        RETURN;
    END IF;

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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
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
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
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
        FROM bridge_auth.sessions AS session
        JOIN bridge_auth.refresh_tokens AS token ON token.session_key = session.key
        WHERE session.key = ANY (dead) AND session.expires_at <= swept_at - interval '1 hour'
        LIMIT p_limit FOR UPDATE OF token SKIP LOCKED
    );
    GET DIAGNOSTICS refresh_tokens = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE expires_at <= swept_at
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS secrets = ROW_COUNT;
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT secret.id
        FROM bridge_auth.sessions AS session
        JOIN bridge_auth.client_secrets AS secret ON secret.session_key = session.key
        WHERE session.key = ANY (dead) AND session.expires_at <= swept_at - interval '1 hour'
        ORDER BY secret.id LIMIT p_limit - secrets FOR UPDATE OF secret SKIP LOCKED
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
