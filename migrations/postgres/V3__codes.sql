-- Stores a code; the outcome is `issued` with its expiry, or a refusal. `p_life` is in microseconds.
CREATE FUNCTION bridge_auth.issue_code(
    p_hash text, p_user text, p_scopes text, p_challenge text, p_life bigint, p_max_open bigint,
    OUT outcome text, OUT ends_at timestamptz
)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
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
    INSERT INTO bridge_auth.codes (hash, user_id, scopes, challenge, issued_at, expires_at)
    VALUES (p_hash, p_user, p_scopes, p_challenge, at, at + p_life * interval '1 microsecond')
    RETURNING expires_at INTO ends_at;
    outcome := 'issued';
END
$$;

-- Spends a code and opens a session, or neither.
CREATE FUNCTION bridge_auth.redeem_code(p_hash text, p_challenge text, p_session bridge_auth.new_session)
RETURNS bridge_auth.opened
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
            p_session, code.user_id, bridge_auth.shared_scopes(code.scopes, holder.scopes), NULL, at);
        IF result.outcome = 'opened' THEN
            UPDATE bridge_auth.codes
            SET spent_at = at, session_key = p_session.key, session_id = p_session.id
            WHERE hash = p_hash;
            result.authenticated_at := code.issued_at;
        END IF;
    END IF;
    RETURN result;
END
$$;
