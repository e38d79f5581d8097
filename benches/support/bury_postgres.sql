-- Dead rows of one person: expired and revoked sessions, expired codes.
SET session_replication_role = replica;

INSERT INTO bridge_auth.sessions (
    key, id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at, revoked_at
)
SELECT
    encode(substring(sha256(id::bytea) FOR 16), 'hex')::uuid, id, 'victim', 'sp_bridge', 'bridge', 'bridge:call',
    now() - interval '1 day', now() - interval '1 day',
    CASE WHEN n % 2 = 0 THEN now() - interval '30 minutes' ELSE now() + interval '1 day' END,
    CASE WHEN n % 2 = 0 THEN NULL ELSE now() END
FROM generate_series(1, {dead}) AS n, LATERAL (SELECT 'dead_' || n AS id) AS named;

INSERT INTO bridge_auth.codes (hash, user_id, scopes, issued_at, expires_at)
SELECT encode(sha256(n::text::bytea), 'hex'), 'victim', '', now() - interval '1 hour', now() - interval '30 minutes'
FROM generate_series(1, {dead}) AS n;
