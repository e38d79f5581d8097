-- Tens of thousands of rows in every table that grows: live, dead, and ripe for the sweep. The person `busy` has very many
-- that are dead. Nobody analyses it.
SET session_replication_role = replica;

-- Every label begins alike.
INSERT INTO bridge_auth.users (id, scopes, label, label_key)
SELECT 'u' || n, 'read write', 'A' || n, 'a' || n FROM generate_series(1, 20000) AS n
UNION ALL SELECT 'busy', 'read write', NULL, NULL
ON CONFLICT DO NOTHING;

-- Of three one is live, one revoked, one expired: some a few minutes ago, some hours.
INSERT INTO bridge_auth.sessions (
    key, id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at, revoked_at, ends_at
)
SELECT
    encode(substring(sha256(id::bytea) FOR 16), 'hex')::uuid, id, 'u' || n % 20000 + 1, 'sp_bridge', 'bridge', 'read',
    now() - interval '1 day', now(),
    CASE n % 6 WHEN 2 THEN now() - interval '10 minutes' WHEN 5 THEN now() - interval '3 hours' ELSE now() + interval '1 day' END,
    CASE WHEN n % 3 = 1 THEN now() END, now() + interval '30 days'
FROM generate_series(1, 40000) AS n, LATERAL (SELECT 's' || n AS id) AS named;

INSERT INTO bridge_auth.sessions (
    key, id, user_id, client_id, parent, call_source, scopes, created_at, renewed_at, expires_at
)
SELECT
    gen_random_uuid(), 'h' || n, 'u' || n % 20000 + 1, 'bridge:u' || n % 20000 + 1,
    encode(substring(sha256(('s' || n)::bytea) FOR 16), 'hex')::uuid, 'bridge', 'hook:track', now(), now(),
    now() + interval '1 day'
FROM generate_series(1, 10000) AS n;

-- Chains of two that hang on them: live, revoked and expired.
INSERT INTO bridge_auth.sessions (
    key, id, user_id, client_id, parent, depth, actor, call_source, scopes, created_at, renewed_at, expires_at, revoked_at
)
SELECT
    encode(substring(sha256(('a' || depth || ' ' || n)::bytea) FOR 16), 'hex')::uuid, 'a' || depth || '_' || n,
    'u' || n % 20000 + 1, 'agent-' || n % 100,
    encode(substring(sha256(CASE depth WHEN 1 THEN 's' || n ELSE 'a1 ' || n END::bytea) FOR 16), 'hex')::uuid, depth,
    '{"sub":"agent"}', 'bridge', 'read', now(), now(),
    CASE n % 6 WHEN 2 THEN now() - interval '10 minutes' WHEN 5 THEN now() - interval '3 hours' ELSE now() + interval '1 day' END,
    CASE WHEN n % 3 = 1 THEN now() END
FROM generate_series(1, 10000) AS n, generate_series(1, 2) AS depth;

INSERT INTO bridge_auth.sessions (key, id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at, revoked_at)
SELECT
    gen_random_uuid(), 'b' || n, 'busy', 'sp_bridge', 'bridge', 'read', now(), now(),
    CASE WHEN n % 2 = 0 THEN now() - interval '10 minutes' ELSE now() + interval '1 day' END,
    CASE WHEN n % 2 = 1 THEN now() END
FROM generate_series(1, 20000) AS n;

INSERT INTO bridge_auth.codes (hash, user_id, scopes, issued_at, expires_at, spent_at)
SELECT
    'c' || n, CASE WHEN n % 2 = 0 THEN 'busy' ELSE 'u' || n % 20000 + 1 END, 'read', now(),
    CASE WHEN n % 3 = 0 THEN now() - interval '2 days' ELSE now() - interval '10 minutes' END,
    CASE WHEN n % 4 = 0 THEN now() END
FROM generate_series(1, 20000) AS n;
INSERT INTO bridge_auth.codes (hash, user_id, scopes, issued_at, expires_at)
SELECT 'o' || n, 'u' || n, 'read', now(), now() + interval '2 minutes' FROM generate_series(1, 10000) AS n;

INSERT INTO bridge_auth.clients (id, owner, scopes)
SELECT 'bridge:u' || n, 'u' || n, 'hook:track' FROM generate_series(1, 20000) AS n;

INSERT INTO bridge_auth.client_secrets (client_id, session_key, hash, expires_at, jwk)
SELECT
    'bridge:u' || n % 20000 + 1, encode(substring(sha256(('s' || n)::bytea) FOR 16), 'hex')::uuid,
    sha256(n::text::bytea), CASE WHEN n % 5 = 0 THEN now() - interval '1 minute' END,
    CASE WHEN n % 3 = 0 THEN '{"alg":"EdDSA","kid":"k"}' END
FROM generate_series(1, 40000) AS n;

INSERT INTO bridge_auth.refresh_tokens (hash, session_key, generation, issued_at, rounds, is_followed)
SELECT
    sha256(('r' || n)::bytea), encode(substring(sha256(('s' || n % 40000 + 1)::bytea) FOR 16), 'hex')::uuid,
    n / 40000, now(), 0, false
FROM generate_series(1, 60000) AS n;

INSERT INTO bridge_auth.used_assertions (hash, expires_at)
SELECT
    sha256(('a' || n)::bytea), CASE WHEN n % 2 = 0 THEN now() - interval '1 minute' ELSE now() + interval '1 hour' END
FROM generate_series(1, 20000) AS n;

INSERT INTO bridge_auth.revocations (kind, subject, at)
SELECT 'session', 's' || n, CASE WHEN n % 2 = 0 THEN now() - interval '2 days' ELSE now() END
FROM generate_series(1, 20000) AS n;
-- Leases of gateways that were restarted for years.
INSERT INTO bridge_auth.ticks (lease, number, era, xid, begun_at, at)
SELECT gen_random_uuid(), 1, 1, '1'::xid8, now() - n * '1 minute'::interval, now() - n * '1 minute'::interval
FROM generate_series(1, 20000) AS n;

-- Device grants: those of `busy` are all dead, and of the others one in four waits.
INSERT INTO bridge_auth.device_grants (
    device_code, user_code, client_id, created_at, expires_at, poll_interval, state, user_id, decided_at, granted
)
SELECT
    sha256(('g' || n)::bytea), 'D' || n, 'sp_bridge', now(),
    CASE WHEN n % 3 = 0 THEN now() - interval '2 hours' ELSE now() - interval '10 minutes' END, 5000000,
    (ARRAY['allowed', 'denied', 'spent', 'void'])[n % 4 + 1], 'busy', now(), 'read'
FROM generate_series(1, 20000) AS n;
INSERT INTO bridge_auth.device_grants (
    device_code, user_code, client_id, created_at, expires_at, poll_interval, state, user_id, decided_at, granted
)
SELECT
    sha256(('l' || n)::bytea), 'L' || n, 'sp_bridge', now(), now() + interval '10 minutes', 5000000,
    CASE WHEN n % 4 = 0 THEN 'waiting' ELSE 'allowed' END, CASE WHEN n % 4 > 0 THEN 'u' || n END, now(), 'read'
FROM generate_series(1, 10000) AS n;
