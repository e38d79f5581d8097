-- Indexes by which what is live is found however much is dead: what has expired lies behind them.
--
-- A transaction of its own, because it takes long on a large table: writes wait for it, a second or two for a million
-- sessions, and look-ups do not.

CREATE INDEX sessions_live_of_user ON bridge_auth.sessions (user_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX sessions_live_of_client ON bridge_auth.sessions (client_id, expires_at) WHERE revoked_at IS NULL;
CREATE INDEX sessions_live_of_parent ON bridge_auth.sessions (parent, expires_at)
    WHERE revoked_at IS NULL AND parent IS NOT NULL;
CREATE INDEX codes_open_of_user ON bridge_auth.codes (user_id, expires_at) WHERE spent_at IS NULL;
-- A session has as many of these as it was refreshed: one generation is found without a look at the others.
CREATE INDEX refresh_tokens_by_generation ON bridge_auth.refresh_tokens (session_key, generation);
