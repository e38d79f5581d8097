-- Device grants (RFC 8628), exchange codes of any client, and people who are found by what operators call them.
--
-- The order of locks is that of V2. A device grant stands where a code stands: the user, the device grant, the sessions. A grant
-- that waits has no user yet. Whoever counts its polls locks the grant alone.
--
-- A gateway of the version before may run on: its calls find these functions, and what it does not say has a default. It
-- redeems no code of another client: that is checked here.

-- As in V10. A look at all users is part of it, because an index is made: less than a second for a million.
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR attempt IN 1..300 LOOP
        BEGIN
            LOCK TABLE bridge_auth.users, bridge_auth.codes IN ACCESS EXCLUSIVE MODE;
            PERFORM set_config('lock_timeout', '0', true);
            RETURN;
        EXCEPTION WHEN lock_not_available THEN
            PERFORM pg_sleep(0.2);
        END;
    END LOOP;
    RAISE EXCEPTION 'bridge_auth.users is in use' USING ERRCODE = 'lock_not_available';
END
$$;

-- `label_key` is the label without letter case, as the gateway folds it. An empty label is none.
ALTER TABLE bridge_auth.users
    ADD COLUMN label     text,
    ADD COLUMN label_key text COLLATE "C";

CREATE INDEX users_by_label ON bridge_auth.users (label_key, id) WHERE label_key IS NOT NULL;

ALTER TABLE bridge_auth.codes
    -- The only client that may redeem it. Nothing in the rows from before: there it may be any.
    ADD COLUMN client_id    text COLLATE "C",
    -- Where it was sent; nothing where it was sent nowhere.
    ADD COLUMN redirect_uri text;

CREATE TABLE bridge_auth.device_grants (
    -- The SHA-256 of the device code.
    device_code   bytea PRIMARY KEY,
    -- What the person types. Nothing once another grant has the same, which may be after this one expired.
    user_code     text COLLATE "C" UNIQUE,
    client_id     text COLLATE "C" NOT NULL,
    -- What the client asks for; nothing where that is all.
    scopes        text,
    resource      text,
    user_agent    text,
    address       inet,
    device_name   text,
    created_at    timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    -- Microseconds between two polls.
    poll_interval bigint NOT NULL,
    -- The end of the present interval, and whether a poll came before it.
    next_poll_at  timestamptz NOT NULL DEFAULT '-infinity',
    is_slowed     boolean NOT NULL DEFAULT false,
    -- `void`: allowed, and then all of the person was revoked.
    state         text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'allowed', 'denied', 'void', 'spent')),
    -- Who decided, when, and what the session may do.
    user_id       text COLLATE "C" REFERENCES bridge_auth.users,
    decided_at    timestamptz,
    granted       text
);

CREATE INDEX device_grants_allowed_of_user ON bridge_auth.device_grants (user_id, expires_at) WHERE state = 'allowed';
CREATE INDEX device_grants_allowed_of_client ON bridge_auth.device_grants (client_id, expires_at) WHERE state = 'allowed';
CREATE INDEX device_grants_by_expiry ON bridge_auth.device_grants (expires_at);
CREATE INDEX codes_open_of_client ON bridge_auth.codes (client_id, expires_at) WHERE spent_at IS NULL;

DROP FUNCTION bridge_auth.put_user(text, text, text);
DROP FUNCTION bridge_auth.issue_code(text, text, text, text, bigint, bigint, text);
DROP FUNCTION bridge_auth.redeem_code(text, text, bridge_auth.new_session, bigint, bytea, text);
DROP FUNCTION bridge_auth.sweep(bigint);

-- Makes a person known. Writes nothing when nothing changes: hosts call it at every login. Without a label the one that is
-- stored stays.
CREATE FUNCTION bridge_auth.put_user(
    p_user text, p_scopes text, p_hook_scopes text, p_label text DEFAULT NULL, p_label_key text DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    PERFORM FROM bridge_auth.users
    WHERE id = p_user AND scopes = p_scopes AND hook_scopes IS NOT DISTINCT FROM p_hook_scopes
        AND (p_label IS NULL OR label IS NOT DISTINCT FROM p_label);
    IF NOT FOUND THEN
        PERFORM bridge_auth.begin_write();
        INSERT INTO bridge_auth.users AS known (id, scopes, hook_scopes, label, label_key)
        VALUES (p_user, p_scopes, p_hook_scopes, p_label, p_label_key)
        ON CONFLICT (id) DO UPDATE SET scopes = excluded.scopes, hook_scopes = excluded.hook_scopes,
            label = coalesce(excluded.label, known.label), label_key = coalesce(excluded.label_key, known.label_key);
    END IF;
END
$$;

-- Stores a code, and spends the ticket that it was allowed with, or neither. The outcome is `issued` with its expiry, or a
-- refusal. `p_life` and `p_ticket_life` are in microseconds.
CREATE FUNCTION bridge_auth.issue_code(
    p_hash text, p_user text, p_scopes text, p_challenge text, p_life bigint, p_max_open bigint,
    p_resource text DEFAULT NULL, p_client text DEFAULT NULL, p_redirect_uri text DEFAULT NULL,
    p_ticket bytea DEFAULT NULL, p_ticket_life bigint DEFAULT NULL, OUT outcome text, OUT ends_at timestamptz
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
    ELSIF p_ticket IS NOT NULL AND NOT bridge_auth.spend_assertion(p_ticket, p_ticket_life) THEN
        outcome := 'ticket_used';
        RETURN;
    END IF;

    DELETE FROM bridge_auth.codes WHERE hash IN (
        SELECT hash FROM bridge_auth.codes
        WHERE user_id = p_user AND spent_at IS NULL AND expires_at > at
        ORDER BY issued_at DESC, hash OFFSET p_max_open - 1
    );
    INSERT INTO bridge_auth.codes (
        hash, user_id, client_id, scopes, redirect_uri, challenge, resource, issued_at, expires_at
    ) VALUES (
        p_hash, p_user, p_client, p_scopes, p_redirect_uri, p_challenge, p_resource, at,
        at + p_life * interval '1 microsecond'
    )
    RETURNING expires_at INTO ends_at;
    outcome := 'issued';
END
$$;

-- Spends a code and opens a session, or neither.
CREATE FUNCTION bridge_auth.redeem_code(
    p_hash text, p_challenge text, p_session bridge_auth.new_session,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL,
    p_resource text DEFAULT NULL, p_redirect_uri text DEFAULT NULL
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
    ELSIF code.client_id <> p_session.client_id THEN
        result.outcome := 'wrong_client';
    ELSIF code.redirect_uri <> p_redirect_uri THEN
        result.outcome := 'wrong_redirect';
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

-- Stores a device grant; the outcome is `started` with its expiry, or `user_code_taken`. `p_life` and `p_interval` are in
-- microseconds.
CREATE FUNCTION bridge_auth.start_device_grant(
    p_device_code bytea, p_user_code text, p_client text, p_scopes text, p_resource text,
    p_user_agent text, p_address inet, p_device_name text, p_life bigint, p_interval bigint,
    OUT outcome text, OUT ends_at timestamptz
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    at timestamptz;
BEGIN
    PERFORM bridge_auth.begin_write();
    at := clock_timestamp();
    -- One that has expired gives its user code away, and keeps the rest: its client is still told that it has expired.
    UPDATE bridge_auth.device_grants SET user_code = NULL WHERE user_code = p_user_code AND expires_at <= at;
    INSERT INTO bridge_auth.device_grants (
        device_code, user_code, client_id, scopes, resource, user_agent, address, device_name, created_at, expires_at,
        poll_interval
    ) VALUES (
        p_device_code, p_user_code, p_client, p_scopes, p_resource, p_user_agent, p_address, p_device_name, at,
        at + p_life * interval '1 microsecond', p_interval
    ) ON CONFLICT (user_code) DO NOTHING
    RETURNING expires_at INTO ends_at;
    outcome := CASE WHEN ends_at IS NULL THEN 'user_code_taken' ELSE 'started' END;
END
$$;

-- Stores what a person decides about the grant that waits with this user code; without `p_granted` that is no. Of what the
-- person allowed and no client has collected, the newest stay, `p_max_allowed` with this one.
CREATE FUNCTION bridge_auth.decide_device_grant(
    p_user_code text, p_client text, p_user text, p_granted text, p_max_allowed bigint
) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder bridge_auth.users;
    asked  bridge_auth.device_grants;
    at     timestamptz := clock_timestamp();
BEGIN
    -- What is unknown locks nothing: guessing must not cost more than a look.
    PERFORM FROM bridge_auth.device_grants
    WHERE user_code = p_user_code AND client_id = p_client AND state = 'waiting' AND expires_at > at;
    IF NOT FOUND THEN
        RETURN 'not_waiting';
    END IF;
    holder := bridge_auth.lock_user(p_user);
    IF holder.id IS NULL THEN
        RETURN 'unknown_user';
    ELSIF holder.disabled THEN
        RETURN 'user_disabled';
    END IF;
    SELECT * INTO asked FROM bridge_auth.device_grants
    WHERE user_code = p_user_code AND client_id = p_client FOR NO KEY UPDATE;
    at := clock_timestamp();
    IF asked.state IS DISTINCT FROM 'waiting' OR asked.expires_at <= at THEN
        RETURN 'not_waiting';
    END IF;

    IF p_granted IS NOT NULL THEN
        DELETE FROM bridge_auth.device_grants WHERE device_code IN (
            SELECT device_code FROM bridge_auth.device_grants
            WHERE user_id = p_user AND state = 'allowed' AND expires_at > at
            ORDER BY decided_at DESC, device_code OFFSET p_max_allowed - 1
        );
    END IF;
    UPDATE bridge_auth.device_grants
    SET state = CASE WHEN p_granted IS NULL THEN 'denied' ELSE 'allowed' END,
        user_id = p_user, decided_at = at, granted = p_granted
    WHERE device_code = asked.device_code;
    RETURN 'decided';
END
$$;

-- How a grant stands for a client that polls now. Of one that waits: `due` when the interval is over, `early` at the first poll
-- before that, `slow_down` at the others. The first two are to be counted.
CREATE FUNCTION bridge_auth.standing_of(p_grant bridge_auth.device_grants, p_client text, p_at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE
        WHEN p_grant.device_code IS NULL OR p_grant.state = 'spent' THEN 'unknown'
        WHEN p_grant.client_id <> p_client THEN 'wrong_client'
        WHEN p_grant.expires_at <= p_at THEN 'expired'
        WHEN p_grant.state = 'void' THEN 'user_disabled'
        WHEN p_grant.state <> 'waiting' THEN p_grant.state
        WHEN p_grant.next_poll_at <= p_at THEN 'due'
        WHEN NOT p_grant.is_slowed THEN 'early'
        ELSE 'slow_down'
    END
$$;

-- Counts a poll of a grant that waits, and returns how the grant stood. The end of an interval counts from the last poll that
-- was not too early, so that a client that polls all the time gets an answer too.
CREATE FUNCTION bridge_auth.count_poll(
    p_device_code bytea, p_client text, OUT standing text, OUT user_id text, OUT poll_interval bigint
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    asked  bridge_auth.device_grants;
    at     timestamptz;
    slower bigint;
BEGIN
    PERFORM bridge_auth.begin_write();
    SELECT * INTO asked FROM bridge_auth.device_grants WHERE device_code = p_device_code FOR NO KEY UPDATE;
    at := clock_timestamp();
    standing := bridge_auth.standing_of(asked, p_client, at);
    IF standing = 'due' THEN
        UPDATE bridge_auth.device_grants
        SET next_poll_at = at + poll_interval * interval '1 microsecond', is_slowed = false
        WHERE device_code = p_device_code;
    ELSIF standing = 'early' THEN
        -- Five seconds more, up to a minute, for this interval too (RFC 8628 §3.5).
        slower := greatest(asked.poll_interval, least(asked.poll_interval + 5000000, 60000000));
        UPDATE bridge_auth.device_grants
        SET next_poll_at = next_poll_at + (slower - asked.poll_interval) * interval '1 microsecond',
            poll_interval = slower, is_slowed = true
        WHERE device_code = p_device_code
        RETURNING * INTO asked;
    END IF;
    count_poll.user_id := asked.user_id;
    count_poll.poll_interval := asked.poll_interval;
END
$$;

-- Spends a grant that was allowed and opens a session, or neither.
CREATE FUNCTION bridge_auth.collect_device_grant(
    p_device_code bytea, p_session bridge_auth.new_session, p_max_life bigint, p_refresh bytea, p_resource text
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    person text;
    holder bridge_auth.users;
    asked  bridge_auth.device_grants;
    at     timestamptz;
    result bridge_auth.opened;
BEGIN
    SELECT user_id INTO person FROM bridge_auth.device_grants WHERE device_code = p_device_code;
    holder := bridge_auth.lock_user(person);
    SELECT * INTO asked FROM bridge_auth.device_grants
    WHERE device_code = p_device_code AND user_id IS NOT DISTINCT FROM holder.id FOR NO KEY UPDATE;
    at := clock_timestamp();
    result.outcome := bridge_auth.standing_of(asked, p_session.client_id, at);
    IF result.outcome <> 'allowed' THEN
        RETURN result;
    ELSIF holder.disabled OR asked.decided_at <= holder.not_before THEN
        result.outcome := 'user_disabled';
    ELSIF asked.resource <> p_resource THEN
        result.outcome := 'wrong_resource';
    ELSE
        result := bridge_auth.admit_session(
            p_session, holder.id, bridge_auth.shared_scopes(asked.granted, holder.scopes), at,
            asked.decided_at, p_max_life, p_refresh, asked.resource);
        IF result.outcome = 'opened' THEN
            UPDATE bridge_auth.device_grants SET state = 'spent' WHERE device_code = p_device_code;
        END IF;
    END IF;
    RETURN result;
END
$$;

-- Revokes all of a user, and disables them if asked. Returns as in V11.
CREATE OR REPLACE FUNCTION bridge_auth.revoke_user(p_user text, p_disable boolean) RETURNS bigint
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
    UPDATE bridge_auth.device_grants SET state = 'void'
    WHERE user_id = p_user AND state = 'allowed' AND expires_at > dead_since;
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

-- Revokes all of a client, known or not, with what it was given and has not collected yet.
ALTER FUNCTION bridge_auth.revoke_client(text) RENAME TO end_sessions_of_client;
CREATE FUNCTION bridge_auth.revoke_client(p_client text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    at         timestamptz;
    dead_since timestamptz;
BEGIN
    PERFORM bridge_auth.begin_write();
    at := clock_timestamp();
    dead_since := bridge_auth.dead_since();
    UPDATE bridge_auth.codes SET expires_at = at
    WHERE client_id = p_client AND spent_at IS NULL AND expires_at > at;
    UPDATE bridge_auth.device_grants SET state = 'void'
    WHERE client_id = p_client AND state = 'allowed' AND expires_at > dead_since;
    RETURN bridge_auth.end_sessions_of_client(p_client);
END
$$;

-- Revokes all of a user but one live session, and what hangs on it. Returns as `revoke_user`. Each session is in the log by itself,
-- because an entry for the user would say that the one which stays has ended too.
CREATE FUNCTION bridge_auth.revoke_others(p_user text, p_keep uuid, p_keep_id text) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    holder     bridge_auth.users := bridge_auth.lock_user(p_user);
    at         timestamptz := clock_timestamp();
    dead_since timestamptz := bridge_auth.dead_since();
    held       bridge_auth.sessions;
    kept       uuid;
    ended      bigint;
BEGIN
    IF holder.id IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT * INTO held FROM bridge_auth.sessions WHERE key = p_keep AND id = p_keep_id;
    IF held.user_id = p_user AND held.revoked_at IS NULL AND held.expires_at > at THEN
        kept := held.key;
    END IF;
    -- It is asked for codes and device grants alone: the session that stays knows nothing of it.
    UPDATE bridge_auth.users SET not_before = at WHERE id = p_user;
    UPDATE bridge_auth.codes SET expires_at = at
    WHERE user_id = p_user AND spent_at IS NULL AND expires_at > at;
    UPDATE bridge_auth.device_grants SET state = 'void'
    WHERE user_id = p_user AND state = 'allowed' AND expires_at > dead_since;
    ended := bridge_auth.end_and_log_sessions_of(p_user, ARRAY(
        SELECT key FROM bridge_auth.sessions
        WHERE user_id = p_user AND revoked_at IS NULL AND expires_at > dead_since
            AND (kept IS NULL OR key <> kept AND parent IS DISTINCT FROM kept)));
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

-- Deletes at most `p_limit` dead rows of each table. Rows that are being used are left for the next sweep.
CREATE FUNCTION bridge_auth.sweep(
    p_limit bigint, OUT codes bigint, OUT sessions bigint, OUT secrets bigint, OUT revocations bigint,
    OUT refresh_tokens bigint, OUT assertions bigint, OUT device_grants bigint
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
    DELETE FROM bridge_auth.device_grants WHERE device_code IN (
        SELECT device_code FROM bridge_auth.device_grants WHERE expires_at <= swept_at - interval '1 hour'
        ORDER BY expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED
    );
    GET DIAGNOSTICS device_grants = ROW_COUNT;
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
