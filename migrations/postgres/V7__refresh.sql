-- Refresh tokens, and the absolute end of a session. No row is rewritten, so this is quick on a large table.
--
-- A gateway of the version before may run on: its calls find the functions that replace those it knew, and what it
-- does not say has a default. Only a statement that it prepared before fails, once a connection, and counts as a fault.

-- All that this migration and the next ones lock, before anything else. Some calls read the secrets first and some the
-- sessions, and a backup reads both for hours: whoever is in the way is let through before the server would call it a
-- deadlock, and before the others behind it wait for long.
DO $$
BEGIN
    PERFORM set_config('lock_timeout', '500ms', true);
    FOR attempt IN 1..300 LOOP
        BEGIN
            LOCK TABLE bridge_auth.client_secrets, bridge_auth.sessions IN ACCESS EXCLUSIVE MODE;
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
    -- The absolute end. Nothing where it was opened before there were refresh tokens: then it ends when it expires.
    ADD COLUMN ends_at          timestamptz,
    -- When the person last signed in. Nothing in the rows from before: then it was when it was opened.
    ADD COLUMN authenticated_at timestamptz,
    -- The newest generation of its refresh tokens, and the oldest that is not forgotten.
    ADD COLUMN generation       bigint NOT NULL DEFAULT 0,
    ADD COLUMN first_generation bigint NOT NULL DEFAULT 0,
    -- When a refresh made the newest one.
    ADD COLUMN rotated_at       timestamptz;

-- `hash` is the SHA-256 of the token. A row never changes, and goes with its session: an id that comes back fits none.
CREATE TABLE bridge_auth.refresh_tokens (
    hash        bytea PRIMARY KEY,
    session_key uuid NOT NULL REFERENCES bridge_auth.sessions ON DELETE CASCADE,
    generation  bigint NOT NULL,
    issued_at   timestamptz NOT NULL
);

CREATE INDEX refresh_tokens_by_session ON bridge_auth.refresh_tokens (session_key);

ALTER TYPE bridge_auth.opened
    ADD ATTRIBUTE call_source text,
    ADD ATTRIBUTE rotated_at timestamptz;

DROP FUNCTION bridge_auth.admit_session(bridge_auth.new_session, text, text, uuid, timestamptz);
DROP FUNCTION bridge_auth.open_vouched(bridge_auth.new_session, text, text);
DROP FUNCTION bridge_auth.redeem_code(text, text, bridge_auth.new_session);

-- How long a session may live at most that a gateway of the version before opens: 30 days, in microseconds.
CREATE FUNCTION bridge_auth.default_max_life() RETURNS bigint
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT 2592000000000
$$;

-- Opens or renews a session of a user whose row the caller has locked. Unless the outcome is
-- `opened`, nothing was written. Its refresh tokens from before are forgotten; `p_refresh` is its new one's hash.
CREATE FUNCTION bridge_auth.admit_session(
    p_session bridge_auth.new_session, p_user text, p_scopes text, p_parent uuid, p_at timestamptz,
    p_authenticated_at timestamptz, p_max_life bigint, p_refresh bytea
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    held     bridge_auth.sessions;
    admitted bridge_auth.sessions;
    live     uuid[] := '{}';
    last     timestamptz := p_at + p_max_life * interval '1 microsecond';
    expiry   timestamptz := least(last, p_at + p_session.life * interval '1 microsecond');
    result   bridge_auth.opened;
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
        SET scopes = p_scopes, renewed_at = p_at, user_agent = p_session.user_agent,
            address = p_session.address, device_name = p_session.device_name,
            expires_at = greatest(expires_at, expiry), ends_at = greatest(expires_at, ends_at, last),
            -- Of two codes the one that was issued first may be redeemed last.
            authenticated_at = greatest(authenticated_at, p_authenticated_at),
            generation = generation + 1, first_generation = generation + 1
        WHERE key = p_session.key AND revoked_at IS NULL
        RETURNING * INTO admitted;
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
            key, id, user_id, client_id, parent, call_source, scopes, user_agent, address, device_name,
            created_at, renewed_at, expires_at, ends_at, authenticated_at
        ) VALUES (
            p_session.key, p_session.id, p_user, p_session.client_id, p_parent, p_session.call_source, p_scopes,
            p_session.user_agent, p_session.address, p_session.device_name,
            p_at, p_at, expiry, last, p_authenticated_at
        ) ON CONFLICT DO NOTHING
        RETURNING * INTO admitted;
    END IF;
    IF admitted.key IS NULL THEN
        result.outcome := 'session_taken';
        RETURN result;
    END IF;
    IF p_refresh IS NOT NULL THEN
        INSERT INTO bridge_auth.refresh_tokens (hash, session_key, generation, issued_at)
        VALUES (p_refresh, admitted.key, admitted.generation, p_at);
    END IF;
    IF NOT result.renewed AND cardinality(live) >= p_session.max_live THEN
        PERFORM bridge_auth.end_and_log_sessions(live[:cardinality(live) - p_session.max_live + 1]);
    END IF;
    RETURN bridge_auth.opened_as(admitted, p_scopes, p_at, result.renewed);
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
    result.authenticated_at := coalesce(p_session.authenticated_at, p_session.created_at);
    result.expires_in := extract(epoch FROM p_session.expires_at - p_at) * 1000000;
    result.renewed := p_renewed;
    RETURN result;
END
$$;

-- Opens a session for a user for whom the host vouches.
CREATE FUNCTION bridge_auth.open_vouched(
    p_session bridge_auth.new_session, p_user text, p_scopes text,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
            p_session, p_user, bridge_auth.shared_scopes(p_scopes, holder.scopes), NULL, at, at,
            p_max_life, p_refresh);
    END IF;
    RETURN result;
END
$$;

-- Spends a code and opens a session, or neither.
CREATE FUNCTION bridge_auth.redeem_code(
    p_hash text, p_challenge text, p_session bridge_auth.new_session,
    p_max_life bigint DEFAULT bridge_auth.default_max_life(), p_refresh bytea DEFAULT NULL
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
        SELECT * INTO code FROM bridge_auth.codes WHERE hash = p_hash FOR UPDATE;
    END IF;
    IF NOT FOUND THEN
        result.outcome := 'unknown';
        RETURN result;
    END IF;

    at := clock_timestamp();
    IF code.spent_at IS NOT NULL THEN
        -- The id may stand for a younger session by now, when the first was swept.
        PERFORM bridge_auth.end_and_log_sessions(ARRAY(
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
    ELSE
        result := bridge_auth.admit_session(
            p_session, code.user_id, bridge_auth.shared_scopes(code.scopes, holder.scopes), NULL, at,
            code.issued_at, p_max_life, p_refresh);
        IF result.outcome = 'opened' THEN
            UPDATE bridge_auth.codes
            SET spent_at = at, session_key = p_session.key, session_id = p_session.id
            WHERE hash = p_hash;
        END IF;
    END IF;
    RETURN result;
END
$$;

-- Puts a successor in a refresh token's place and extends its session, or neither. `p_life` and `p_grace` are in
-- microseconds; without `p_scopes` the answer has all that the session keeps.
CREATE FUNCTION bridge_auth.refresh_session(
    p_presented bytea, p_successor bytea, p_client text, p_scopes text,
    p_user_agent text, p_address inet, p_device_name text, p_life bigint, p_grace bigint
) RETURNS bridge_auth.opened
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    token     bridge_auth.refresh_tokens;
    held      bridge_auth.sessions;
    holder    bridge_auth.users;
    kept      text;
    at        timestamptz;
    is_newest boolean;
    result    bridge_auth.opened;
BEGIN
    -- As with codes, what is unknown locks nothing.
    SELECT session.* INTO held
    FROM bridge_auth.refresh_tokens AS presented
    JOIN bridge_auth.sessions AS session ON session.key = presented.session_key
    WHERE presented.hash = p_presented AND presented.generation >= session.first_generation;
    IF FOUND THEN
        holder := bridge_auth.lock_user(held.user_id);
        SELECT * INTO held FROM bridge_auth.sessions WHERE key = held.key FOR NO KEY UPDATE;
        -- And again: the session may have been renewed meanwhile, or swept.
        SELECT * INTO token FROM bridge_auth.refresh_tokens
        WHERE hash = p_presented AND session_key = held.key AND generation >= held.first_generation;
    END IF;
    IF NOT FOUND THEN
        result.outcome := 'unknown';
        RETURN result;
    END IF;

    at := clock_timestamp();
    kept := bridge_auth.shared_scopes(held.scopes, holder.scopes);
    is_newest := token.generation = held.generation;
    IF held.revoked_at IS NOT NULL OR held.expires_at <= at THEN
        result.outcome := 'session_ended';
    ELSIF held.client_id <> p_client THEN
        result.outcome := 'wrong_client';
    ELSIF NOT is_newest AND (
        token.generation < held.generation - 1 OR at >= held.rotated_at + p_grace * interval '1 microsecond'
    ) THEN
        PERFORM bridge_auth.end_and_log_sessions(ARRAY[held.key]);
        result.outcome := 'reused';
        result.user_id := held.user_id;
        result.session_id := held.id;
        result.rotated_at := held.rotated_at;
    ELSIF holder.disabled THEN
        result.outcome := 'user_disabled';
    ELSIF NOT string_to_array(coalesce(p_scopes, ''), ' ') <@ string_to_array(kept, ' ') THEN
        result.outcome := 'scopes';
    ELSE
        UPDATE bridge_auth.sessions
        SET scopes = kept, renewed_at = at, user_agent = p_user_agent, address = p_address,
            device_name = coalesce(p_device_name, device_name),
            expires_at = greatest(expires_at, least(coalesce(ends_at, expires_at), at + p_life * interval '1 microsecond')),
            generation = generation + is_newest::int,
            rotated_at = CASE WHEN is_newest THEN at ELSE rotated_at END
        WHERE key = held.key
        RETURNING * INTO held;
        INSERT INTO bridge_auth.refresh_tokens (hash, session_key, generation, issued_at)
        VALUES (p_successor, held.key, held.generation, at);
        result := bridge_auth.opened_as(held, coalesce(p_scopes, kept), at, true);
    END IF;
    RETURN result;
END
$$;
