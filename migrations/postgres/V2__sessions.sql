-- Every operation that writes is one function, so that it is one statement: atomic, and one round trip.
--
-- They are written for READ COMMITTED, where each statement inside a function has a snapshot of its
-- own and sees what was committed while an earlier one waited for a lock. Locks are taken in this
-- order: the user, the code or the client, the sessions (those without a parent first, each by key),
-- the secrets (by id). Time is read after the locks: a clock read before the wait would let in what
-- expired during it. A refusal is an `outcome`, because an exception would undo what must stay, such
-- as the revocation that a replay causes.

-- What a session is opened with. `life` is in microseconds.
CREATE TYPE bridge_auth.new_session AS (
    key         uuid,
    id          text,
    declared    boolean,
    client_id   text,
    call_source text,
    user_agent  text,
    address     inet,
    device_name text,
    life        bigint,
    max_live    bigint,
    end_oldest  boolean
);

-- The answer of every operation that opens sessions. `expires_in` is in microseconds.
CREATE TYPE bridge_auth.opened AS (
    outcome          text,
    user_id          text,
    session_id       text,
    scopes           text,
    authenticated_at timestamptz,
    expires_in       bigint,
    renewed          boolean,
    first_used_at    timestamptz
);

CREATE FUNCTION bridge_auth.begin_write() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Under a snapshot older than the lock, a revoke-all would miss the session opened just before it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'bridge_auth needs READ COMMITTED' USING ERRCODE = 'active_sql_transaction';
    END IF;
    -- A crash must not bring back what was acknowledged as revoked or spent.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END
$$;

CREATE FUNCTION bridge_auth.lock_user(p_user text) RETURNS bridge_auth.users
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_user bridge_auth.users;
BEGIN
    PERFORM bridge_auth.begin_write();
    SELECT * INTO found_user FROM bridge_auth.users WHERE id = p_user FOR NO KEY UPDATE;
    RETURN found_user;
END
$$;

CREATE FUNCTION bridge_auth.shared_scopes(p_scopes text, p_others text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(string_agg(scope, ' '), '')
    FROM unnest(string_to_array(p_scopes, ' ')) AS scope
    WHERE scope = ANY (string_to_array(p_others, ' '))
$$;

-- Revokes sessions with what hangs on them, and returns those that were not revoked before. What hangs
-- on an id from the time when it was another user's, before the sweep, is left alone.
CREATE FUNCTION bridge_auth.end_sessions(p_keys uuid[]) RETURNS uuid[]
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    keys     uuid[] := p_keys;
    all_keys uuid[] := '{}';
    ended    uuid[] := '{}';
    newly    uuid[];
BEGIN
    WHILE cardinality(keys) > 0 LOOP
        PERFORM FROM bridge_auth.sessions WHERE key = ANY (keys)
        ORDER BY parent IS NOT NULL, key FOR NO KEY UPDATE;

        WITH revoked AS (
            UPDATE bridge_auth.sessions SET revoked_at = clock_timestamp()
            WHERE key = ANY (keys) AND revoked_at IS NULL
            RETURNING key
        )
        SELECT coalesce(array_agg(key), '{}') INTO newly FROM revoked;

        all_keys := all_keys || keys;
        ended := ended || newly;
        keys := ARRAY(
            SELECT child.key FROM bridge_auth.sessions AS child
            JOIN bridge_auth.sessions AS device ON device.key = child.parent AND device.user_id = child.user_id
            WHERE device.key = ANY (keys) AND child.revoked_at IS NULL
        );
    END LOOP;

    DELETE FROM bridge_auth.client_secrets WHERE id IN (
        SELECT secret.id
        FROM bridge_auth.client_secrets AS secret
        JOIN bridge_auth.clients AS client ON client.id = secret.client_id
        JOIN bridge_auth.sessions AS device ON device.key = secret.session_key AND device.user_id = client.owner
        WHERE device.key = ANY (all_keys) ORDER BY secret.id FOR UPDATE OF secret
    );
    RETURN ended;
END
$$;

-- Writes the log. The notification is empty: it only wakes the watchers early.
CREATE FUNCTION bridge_auth.log_revocations(p_kind text, p_subjects text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cardinality(p_subjects) > 0 THEN
        INSERT INTO bridge_auth.revocations (kind, subject) SELECT p_kind, unnest(p_subjects);
        PERFORM pg_notify('bridge_auth_revoked', '');
    END IF;
END
$$;

-- Revokes sessions and logs each.
CREATE FUNCTION bridge_auth.end_and_log_sessions(p_keys uuid[]) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ended uuid[] := bridge_auth.end_sessions(p_keys);
BEGIN
    PERFORM bridge_auth.log_revocations(
        'session', ARRAY(SELECT id FROM bridge_auth.sessions WHERE key = ANY (ended)));
    RETURN cardinality(ended);
END
$$;

-- Opens or renews a session of a user whose row the caller has locked. Unless the outcome is
-- `opened`, nothing was written.
CREATE FUNCTION bridge_auth.admit_session(
    p_session bridge_auth.new_session, p_user text, p_scopes text, p_parent uuid, p_at timestamptz
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held    bridge_auth.sessions;
    live    uuid[] := '{}';
    ends_at timestamptz := p_at + p_session.life * interval '1 microsecond';
    result  bridge_auth.opened;
BEGIN
    SELECT * INTO held FROM bridge_auth.sessions WHERE key = p_session.key;
    result.renewed := held.key IS NOT NULL;
    IF result.renewed THEN
        -- Another parent's secret may not keep alive what ends with this one.
        IF NOT p_session.declared OR held.id <> p_session.id OR held.user_id <> p_user
            OR held.client_id <> p_session.client_id OR held.parent IS DISTINCT FROM p_parent
            OR held.expires_at <= p_at
        THEN
            result.outcome := 'session_taken';
            RETURN result;
        END IF;
        -- Revoking a client does not lock its users, so the row itself has the last word.
        UPDATE bridge_auth.sessions
        SET scopes = p_scopes, renewed_at = p_at, expires_at = greatest(expires_at, ends_at),
            user_agent = p_session.user_agent, address = p_session.address,
            device_name = p_session.device_name
        WHERE key = p_session.key AND revoked_at IS NULL
        RETURNING expires_at INTO ends_at;
    ELSE
        IF p_parent IS NULL THEN
            live := ARRAY(
                SELECT key FROM bridge_auth.sessions
                WHERE user_id = p_user AND parent IS NULL AND revoked_at IS NULL AND expires_at > p_at
                ORDER BY created_at, key
            );
            IF cardinality(live) >= p_session.max_live AND NOT p_session.end_oldest THEN
                result.outcome := 'too_many_sessions';
                RETURN result;
            END IF;
        END IF;
        INSERT INTO bridge_auth.sessions (
            key, id, user_id, client_id, parent, call_source, scopes,
            user_agent, address, device_name, created_at, renewed_at, expires_at
        ) VALUES (
            p_session.key, p_session.id, p_user, p_session.client_id, p_parent, p_session.call_source, p_scopes,
            p_session.user_agent, p_session.address, p_session.device_name, p_at, p_at, ends_at
        ) ON CONFLICT DO NOTHING;
    END IF;
    IF NOT FOUND THEN
        result.outcome := 'session_taken';
        RETURN result;
    END IF;
    IF NOT result.renewed AND cardinality(live) >= p_session.max_live THEN
        PERFORM bridge_auth.end_and_log_sessions(live[:cardinality(live) - p_session.max_live + 1]);
    END IF;

    result.outcome := 'opened';
    result.user_id := p_user;
    result.session_id := p_session.id;
    result.scopes := p_scopes;
    result.authenticated_at := p_at;
    result.expires_in := extract(epoch FROM ends_at - p_at) * 1000000;
    RETURN result;
END
$$;

-- Opens a session for a user for whom the host vouches.
CREATE FUNCTION bridge_auth.open_vouched(p_session bridge_auth.new_session, p_user text, p_scopes text)
RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    holder bridge_auth.users := bridge_auth.lock_user(p_user);
    result bridge_auth.opened;
BEGIN
    IF holder.id IS NULL THEN
        result.outcome := 'unknown_user';
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSE
        result := bridge_auth.admit_session(
            p_session, p_user, bridge_auth.shared_scopes(p_scopes, holder.scopes), NULL, clock_timestamp());
    END IF;
    RETURN result;
END
$$;
