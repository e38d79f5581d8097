-- Turns the foreign key checks off: they would look users up a million times, and the rows are correct.
SET session_replication_role = replica;

INSERT INTO bridge_auth.users (id, scopes)
SELECT 'user-' || n, 'bridge:call' FROM generate_series(0, {sessions} / 10) AS n;

INSERT INTO bridge_auth.sessions (
    key, id, user_id, client_id, call_source, scopes, user_agent, address, device_name,
    created_at, renewed_at, expires_at
)
SELECT
    encode(substring(sha256(id::bytea) FOR 16), 'hex')::uuid, id, 'user-' || n / 10, 'sp_bridge', 'bridge',
    'bridge:call', 'bridge/1.0 (Linux x86_64)', '192.0.2.1', 'laptop', now(), now(), now() + interval '1 day'
FROM generate_series(0, {sessions} - 1) AS n, LATERAL (SELECT 'sess_' || lpad(to_hex(n), 32, '0') AS id) AS named;
