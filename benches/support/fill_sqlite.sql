PRAGMA synchronous = off;
BEGIN;

WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {sessions} / 10)
INSERT INTO users (id, scopes) SELECT 'user-' || n, 'bridge:call' FROM numbers;

WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {sessions} - 1)
INSERT INTO sessions (
    id, user_id, client_id, call_source, scopes, user_agent, address, device_name, created_at, renewed_at, expires_at
)
SELECT
    printf('sess_%032x', n), 'user-' || (n / 10), 'sp_bridge', 'bridge', 'bridge:call', 'bridge/1.0 (Linux x86_64)',
    '192.0.2.1', 'laptop', unixepoch() * 1000, unixepoch() * 1000, (unixepoch() + 86400) * 1000
FROM numbers;

COMMIT;
ANALYZE;
PRAGMA wal_checkpoint(TRUNCATE);
