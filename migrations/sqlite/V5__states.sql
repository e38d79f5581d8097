-- Whether sessions are live, on few pages: what is asked at every request needs nothing else of their rows.
CREATE INDEX session_states ON sessions (id, created_at, expires_at, revoked_at);
