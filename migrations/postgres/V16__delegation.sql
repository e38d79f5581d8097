-- Delegation: sessions that hang on another one, assertions that are spent with a session, and events of external issuers that
-- are done once.
--
-- The order of locks is that of V2: the user, the assertion, the code or the client, the sessions, the secrets. Of the sessions
-- those come first that hang on none, then those that hang on these, and so on; each level by key.
--
-- A gateway of the version before may run on: its calls find these functions, and what it does not say has a default. It shows a
-- delegated session as a session of hooks in a list of devices.

-- As in V10. No row is written, and no index is made: what hangs on a session is found by `sessions_live_of_parent`.
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR attempt IN 1..300 LOOP
        BEGIN
            LOCK TABLE bridge_auth.sessions IN ACCESS EXCLUSIVE MODE;
            PERFORM set_config('lock_timeout', '0', true);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.2);
        END;
    END LOOP;
    RAISE EXCEPTION 'bridge_auth.sessions is in use' USING ERRCODE = 'lock_not_available';
END
$$;

ALTER TABLE bridge_auth.sessions
    -- How many delegated sessions the chain has up to this one; nothing where it is not delegated. A session that has a parent
    -- and no depth is one of hooks.
    ADD COLUMN depth  smallint,
    -- Who acts: the claim `act` (RFC 8693), as JSON.
    ADD COLUMN actor  text,
    -- The external issuer whose assertion opened it.
    ADD COLUMN issuer text;

DROP FUNCTION bridge_auth.open_vouched(bridge_auth.new_session, text, text, bigint, bytea);
DROP FUNCTION bridge_auth.admit_session(
    bridge_auth.new_session, text, text, timestamptz, timestamptz, bigint, bytea, text);

-- What hangs on these sessions of a person at any depth and was live at `p_since`: each with the one of them that it hangs on.
CREATE FUNCTION bridge_auth.hanging_on(p_user text, p_keys uuid[], p_since timestamptz)
RETURNS TABLE (top uuid, key uuid, depth smallint)
LANGUAGE plpgsql ROWS 100 SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    tops   uuid[] := p_keys;
    keys   uuid[] := p_keys;
    depths smallint[];
BEGIN
    WHILE cardinality(keys) > 0 LOOP
        -- Each parent by itself: for many at once an index of all that are live might be read from end to end. With another
        -- comparison of the person an index would do that has nothing of the parent.
        SELECT coalesce(array_agg(held.top), '{}'), coalesce(array_agg(child.key), '{}'), array_agg(child.depth)
        INTO tops, keys, depths
        FROM unnest(tops, keys) AS held (top, key) CROSS JOIN LATERAL (
            SELECT key, depth FROM bridge_auth.sessions
            WHERE parent = held.key AND user_id IS NOT DISTINCT FROM p_user
                AND revoked_at IS NULL AND expires_at > p_since
            OFFSET 0
        ) AS child;
        RETURN QUERY SELECT * FROM unnest(tops, keys, depths);
    END LOOP;
END
$$;

-- Revokes those of the sessions that are the person's, whose row the caller has locked, with all that hangs on them and their
-- credentials, and returns those that were not revoked before.
CREATE OR REPLACE FUNCTION bridge_auth.end_sessions_of(p_user text, p_keys uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    all_keys uuid[] := p_keys || ARRAY(
        SELECT key FROM bridge_auth.hanging_on(p_user, p_keys, bridge_auth.dead_since()));
    ended    uuid[];
BEGIN
    -- For no key at all the index of the person would be read.
    IF cardinality(all_keys) = 0 THEN
        RETURN '{}';
    END IF;
    -- By their keys alone: for many at once an index of all that are live might be read from end to end.
    SELECT coalesce(array_agg(key) FILTER (WHERE revoked_at IS NULL), '{}') INTO ended
    FROM (
        SELECT key, revoked_at FROM bridge_auth.sessions WHERE key = ANY (all_keys) AND user_id = p_user
        ORDER BY coalesce(depth, (parent IS NOT NULL)::integer), key FOR NO KEY UPDATE
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

-- Revokes all of a client, known or not, with what hangs on its sessions.
CREATE OR REPLACE FUNCTION bridge_auth.end_sessions_of_client(p_client text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    dead_since timestamptz;
    -- Those that hang on another one, whoever's that is. They are locked with their level.
    hanging    uuid[];
    own        uuid[];
    -- What was locked last, and what is to be locked next.
    level      uuid[];
    below      uuid[];
    place      integer := 0;
    ended      uuid[];
BEGIN
    PERFORM bridge_auth.begin_write();
    PERFORM FROM bridge_auth.clients WHERE id = p_client FOR NO KEY UPDATE;
    dead_since := bridge_auth.dead_since();
    hanging := ARRAY(
        SELECT key FROM bridge_auth.sessions
        WHERE client_id = p_client AND revoked_at IS NULL AND expires_at > dead_since AND parent IS NOT NULL);
    level := ARRAY(
        SELECT key FROM bridge_auth.sessions
        WHERE client_id = p_client AND revoked_at IS NULL AND expires_at > dead_since AND parent IS NULL
        ORDER BY key FOR NO KEY UPDATE);
    ended := level;
    WHILE cardinality(level) > 0 OR cardinality(hanging) > 0 LOOP
        place := place + 1;
        -- After the wait for those above: what hung itself on one meanwhile ends with it.
        below := ARRAY(
            SELECT child.key
            FROM unnest(level) AS held (key)
            JOIN bridge_auth.sessions AS above ON above.key = held.key
            CROSS JOIN LATERAL (
                SELECT key FROM bridge_auth.sessions
                WHERE parent = above.key AND user_id = above.user_id AND revoked_at IS NULL AND expires_at > dead_since
                OFFSET 0
            ) AS child
        );
        SELECT coalesce(array_agg(key) FILTER (WHERE coalesce(depth, 1) = place), '{}'),
            coalesce(array_agg(key) FILTER (WHERE depth > place), '{}') INTO own, hanging
        FROM bridge_auth.sessions WHERE key = ANY (hanging);
        below := below || own;
        SELECT coalesce(array_agg(key) FILTER (WHERE revoked_at IS NULL), '{}') INTO level
        FROM (
            SELECT key, revoked_at FROM bridge_auth.sessions WHERE key = ANY (below) ORDER BY key FOR NO KEY UPDATE
        ) AS locked;
        ended := ended || level;
    END LOOP;
    UPDATE bridge_auth.sessions SET revoked_at = clock_timestamp() WHERE key = ANY (ended);
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE client_id = p_client ORDER BY id FOR UPDATE
    );
    -- And those that hung on its sessions.
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT id FROM bridge_auth.client_secrets WHERE session_key = ANY (ended) ORDER BY id FOR UPDATE
    );
    PERFORM bridge_auth.log_revocations('client', ARRAY[p_client]);
    -- What other clients had on the sessions of this client goes by its own name.
    PERFORM bridge_auth.log_revocations('session', ARRAY(
        SELECT id FROM bridge_auth.sessions WHERE key = ANY (ended) AND client_id <> p_client));
    RETURN cardinality(ended);
END
$$;

-- Revokes all of a user but one live session, and what hangs on it. Returns as `revoke_user`. Each session is in the log by itself,
-- because an entry for the user would say that the one which stays has ended too.
CREATE OR REPLACE FUNCTION bridge_auth.revoke_others(p_user text, p_keep uuid, p_keep_id text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder     bridge_auth.users := bridge_auth.lock_user(p_user);
    at         timestamptz := clock_timestamp();
    dead_since timestamptz := bridge_auth.dead_since();
    held       bridge_auth.sessions;
    kept       uuid;
    stays      uuid[];
    ended      bigint;
BEGIN
    IF holder.id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT * INTO held FROM bridge_auth.sessions WHERE key = p_keep AND id = p_keep_id;
    IF held.user_id = p_user AND held.revoked_at IS NULL AND held.expires_at > at THEN
        kept := held.key;
    END IF;
    stays := array_append(ARRAY(SELECT key FROM bridge_auth.hanging_on(p_user, ARRAY[kept], dead_since)), kept);
    -- It is asked for codes and device grants alone: the session that stays knows nothing of it.
    UPDATE bridge_auth.users SET not_before = at WHERE id = p_user;
    UPDATE bridge_auth.codes SET expires_at = at
    WHERE user_id = p_user AND spent_at IS NULL AND expires_at > at;
    UPDATE bridge_auth.device_grants SET state = 'void'
    WHERE user_id = p_user AND state = 'allowed' AND expires_at > dead_since;
    ended := bridge_auth.end_and_log_sessions_of(p_user, ARRAY(
        SELECT key FROM bridge_auth.sessions
        WHERE user_id = p_user AND revoked_at IS NULL AND expires_at > dead_since
            AND (kept IS NULL OR key <> ALL (stays))));
    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT secret.id
        FROM bridge_auth.client_secrets AS secret
        JOIN bridge_auth.clients AS client ON client.id = secret.client_id
        WHERE client.owner = p_user AND secret.session_key IS DISTINCT FROM kept
        ORDER BY secret.id FOR UPDATE OF secret
    );
    RETURN ended;
END
$$;

-- As in V11: of the sessions that hang on the device, one that a client exchanged a token for is no hook's.
CREATE OR REPLACE FUNCTION bridge_auth.hook_client(
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
            AND depth IS NULL AND revoked_at IS NULL AND expires_at > at
        ORDER BY renewed_at DESC LIMIT 1;
    END IF;
END
$$;

-- As in V11: a session that hangs on another one has no credential.
CREATE OR REPLACE FUNCTION bridge_auth.provision(
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
    WHERE key = p_session_key AND id = p_session_id AND user_id IS NOT DISTINCT FROM p_owner AND parent IS NULL FOR SHARE;
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

-- As in V11, and keeps the issuer that opened it.
CREATE FUNCTION bridge_auth.admit_session(
    p_session bridge_auth.new_session, p_user text, p_scopes text, p_at timestamptz,
    p_authenticated_at timestamptz, p_max_life bigint, p_refresh bytea, p_resource text,
    p_issuer text DEFAULT NULL
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
            issuer = coalesce(p_issuer, issuer),
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
            -- What assertions opened goes first: an agent that sends one for each call signs no bridge out.
            ORDER BY issuer IS NULL, renewed_at, key
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
            created_at, renewed_at, expires_at, ends_at, authenticated_at, resource, issuer
        ) VALUES (
            p_session.key, p_session.id, p_user, p_session.client_id, p_session.call_source, p_scopes,
            p_session.user_agent, p_session.address, p_session.device_name,
            p_at, p_at, expiry, last, p_authenticated_at, p_resource, p_issuer
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
        result.evicted := ARRAY(
            SELECT id FROM bridge_auth.sessions WHERE key = ANY (evicted) ORDER BY issuer IS NULL, renewed_at, key
        );
        PERFORM bridge_auth.end_and_log_sessions_of(p_user, evicted);
    END IF;
    RETURN result;
END
$$;

-- Spends the assertion that a session of a person is opened with, if there is one to spend. One from before the last revoke-all of
-- the person is as good as used.
CREATE FUNCTION bridge_auth.spend_with_session(
    p_holder bridge_auth.users, p_assertion bytea, p_life bigint, p_issued_at bigint
) RETURNS boolean
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (p_issued_at IS NULL OR p_issued_at > extract(epoch FROM p_holder.not_before) * 1000000)
        AND (p_assertion IS NULL OR bridge_auth.spend_assertion(p_assertion, p_life));
END
$$;

-- Opens a session for a user for whom the host vouches, and spends the assertion that vouches for them, or neither.
-- `p_assertion_life` is in microseconds, and `p_issued_at` in microseconds since 1970.
CREATE FUNCTION bridge_auth.open_vouched(
    p_session bridge_auth.new_session, p_user text, p_scopes text,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL, p_resource text DEFAULT NULL,
    p_issuer text DEFAULT NULL, p_assertion bytea DEFAULT NULL, p_assertion_life bigint DEFAULT NULL,
    p_issued_at bigint DEFAULT NULL
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder bridge_auth.users := bridge_auth.lock_user(p_user);
    at     timestamptz;
    result bridge_auth.opened;
BEGIN
    IF holder.id IS NULL THEN
        result.outcome := 'unknown_user';
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSIF NOT bridge_auth.spend_with_session(holder, p_assertion, p_assertion_life, p_issued_at) THEN
        result.outcome := 'assertion_used';
    ELSE
        at := clock_timestamp();
        result := bridge_auth.admit_session(
            p_session, p_user, bridge_auth.shared_scopes(p_scopes, holder.scopes), at, at, p_max_life, p_refresh,
            p_resource, p_issuer);
        IF result.outcome <> 'opened' THEN
            DELETE FROM bridge_auth.used_assertions WHERE hash = p_assertion;
        END IF;
    END IF;
    RETURN result;
END
$$;

-- Opens a session that hangs on another one of the same user, whose row the caller has locked. It is never wider than its
-- parent, and never lives longer. Unless the outcome is `opened`, nothing was written.
CREATE FUNCTION bridge_auth.admit_delegated(
    p_session bridge_auth.new_session, p_holder bridge_auth.users, p_scopes text, p_parent uuid, p_parent_id text,
    p_actor text, p_max_depth bigint, p_resource text, p_issuer text
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    above    bridge_auth.sessions;
    device   uuid;
    admitted bridge_auth.sessions;
    at       timestamptz;
    expiry   timestamptz;
    allowed  text;
    result   bridge_auth.opened;
BEGIN
    -- Whoever revokes the parent without the user's row waits for this, and then takes the new session along.
    SELECT * INTO above FROM bridge_auth.sessions
    WHERE key = p_parent AND id = p_parent_id AND user_id IS NOT DISTINCT FROM p_holder.id FOR SHARE;
    at := clock_timestamp();
    -- A session of hooks is no parent.
    IF above.key IS NULL OR above.revoked_at IS NOT NULL OR above.expires_at <= at
        OR (above.parent IS NOT NULL AND above.depth IS NULL)
    THEN
        result.outcome := 'parent_ended';
        RETURN result;
    ELSIF coalesce(above.depth, 0) >= p_max_depth THEN
        result.outcome := 'too_deep';
        RETURN result;
    END IF;
    device := above.key;
    FOR step IN 1..coalesce(above.depth, 0) LOOP
        SELECT parent INTO device FROM bridge_auth.sessions WHERE key = device;
    END LOOP;
    IF p_session.max_live <= (
        SELECT count(*) FROM bridge_auth.hanging_on(p_holder.id, ARRAY[device], at) WHERE depth IS NOT NULL
    ) THEN
        result.outcome := 'too_many_sessions';
        RETURN result;
    END IF;

    expiry := least(above.expires_at, at + p_session.life * interval '1 microsecond');
    allowed := bridge_auth.shared_scopes(bridge_auth.shared_scopes(p_scopes, p_holder.scopes), above.scopes);
    IF NOT p_session.declared THEN
        INSERT INTO bridge_auth.sessions (
            key, id, user_id, client_id, parent, depth, actor, call_source, scopes, user_agent, address, device_name, issuer,
            created_at, renewed_at, expires_at, ends_at, authenticated_at, resource
        ) VALUES (
            p_session.key, p_session.id, p_holder.id, p_session.client_id, above.key, coalesce(above.depth, 0) + 1, p_actor,
            p_session.call_source, allowed, p_session.user_agent, p_session.address, p_session.device_name, p_issuer,
            at, at, expiry, expiry, coalesce(above.authenticated_at, above.created_at), coalesce(above.resource, p_resource)
        ) ON CONFLICT DO NOTHING
        RETURNING * INTO admitted;
    END IF;
    IF admitted.key IS NULL THEN
        result.outcome := 'session_taken';
        RETURN result;
    END IF;
    RETURN bridge_auth.opened_as(admitted, allowed, at, false);
END
$$;

-- Opens a session that hangs on another one, and spends an assertion if one is given, or neither.
CREATE FUNCTION bridge_auth.open_delegated(
    p_session bridge_auth.new_session, p_user text, p_scopes text, p_parent uuid, p_parent_id text, p_actor text,
    p_max_depth bigint, p_resource text, p_issuer text, p_assertion bytea, p_assertion_life bigint, p_issued_at bigint
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder bridge_auth.users := bridge_auth.lock_user(p_user);
    result bridge_auth.opened;
BEGIN
    IF holder.id IS NULL THEN
        result.outcome := 'unknown_user';
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSIF NOT bridge_auth.spend_with_session(holder, p_assertion, p_assertion_life, p_issued_at) THEN
        result.outcome := 'assertion_used';
    ELSE
        result := bridge_auth.admit_delegated(
            p_session, holder, p_scopes, p_parent, p_parent_id, p_actor, p_max_depth, p_resource, p_issuer);
        IF result.outcome <> 'opened' THEN
            DELETE FROM bridge_auth.used_assertions WHERE hash = p_assertion;
        END IF;
    END IF;
    RETURN result;
END
$$;

-- Makes somebody known whom nobody has made known before. `p_mark` stands for a revocation of all that they have: if one was not long
-- ago, what was issued before it is worth nothing.
CREATE FUNCTION bridge_auth.add_user(
    p_user text, p_scopes text, p_hook_scopes text, p_label text, p_label_key text, p_mark bytea
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    PERFORM bridge_auth.begin_write();
    -- There is no row to lock: `apply_event` takes the same lock.
    PERFORM pg_advisory_xact_lock(hashtextextended('bridge_auth.users ' || p_user, 0));
    INSERT INTO bridge_auth.users (id, scopes, hook_scopes, label, label_key, not_before)
    VALUES (p_user, p_scopes, p_hook_scopes, p_label, p_label_key, coalesce(
        (SELECT expires_at - interval '10 minutes' FROM bridge_auth.used_assertions WHERE hash = p_mark), '-infinity'))
    ON CONFLICT (id) DO NOTHING;
END
$$;

-- Does what an event of an external issuer says and remembers it for `p_life` microseconds, or neither. `p_mark` is remembered for ten
-- minutes when all of somebody is revoked who is not known. The outcome is `done`
-- with how many sessions were revoked, or `done_before`.
CREATE FUNCTION bridge_auth.apply_event(
    p_event bytea, p_life bigint, p_action text, p_user text, p_key uuid, p_id text, p_client text, p_mark bytea,
    OUT outcome text, OUT revoked bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    person text := p_user;
BEGIN
    -- What comes again locks nothing.
    PERFORM FROM bridge_auth.used_assertions WHERE hash = p_event AND expires_at > clock_timestamp();
    IF FOUND THEN
        outcome := 'done_before';
        RETURN;
    END IF;
    IF p_action = 'session' THEN
        SELECT user_id INTO person FROM bridge_auth.sessions WHERE key = p_key AND id = p_id;
    END IF;
    PERFORM bridge_auth.lock_user(person);
    IF NOT bridge_auth.spend_assertion(p_event, p_life) THEN
        outcome := 'done_before';
        RETURN;
    END IF;
    outcome := 'done';
    CASE p_action
        WHEN 'session' THEN revoked := bridge_auth.revoke_session(p_key, p_id, p_user);
        WHEN 'user' THEN
            revoked := bridge_auth.revoke_user(p_user, false);
            IF revoked IS NULL THEN
                PERFORM pg_advisory_xact_lock(hashtextextended('bridge_auth.users ' || p_user, 0));
                revoked := bridge_auth.revoke_user(p_user, false);
            END IF;
            IF revoked IS NULL THEN
                INSERT INTO bridge_auth.used_assertions (hash, expires_at)
                VALUES (p_mark, clock_timestamp() + interval '10 minutes')
                ON CONFLICT (hash) DO UPDATE SET expires_at = excluded.expires_at;
            END IF;
        WHEN 'disable' THEN
            revoked := bridge_auth.revoke_user(p_user, true);
            IF revoked IS NULL THEN
                -- Whoever is not known yet may be made known later, by something that was issued before.
                INSERT INTO bridge_auth.users (id, scopes, disabled) VALUES (p_user, '', true) ON CONFLICT DO NOTHING;
                IF NOT FOUND THEN
                    revoked := bridge_auth.revoke_user(p_user, true);
                END IF;
            END IF;
        WHEN 'others' THEN revoked := bridge_auth.revoke_others(p_user, p_key, p_id);
        WHEN 'client' THEN revoked := bridge_auth.revoke_client(p_client);
    END CASE;
END
$$;
