PRAGMA synchronous = off;
BEGIN;

WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {dead})
INSERT INTO sessions (id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at, revoked_at)
SELECT
    'dead_' || n, 'victim', 'sp_bridge', 'bridge', 'bridge:call', (unixepoch() - 86400) * 1000,
    (unixepoch() - 86400) * 1000,
    CASE WHEN n % 2 = 0 THEN (unixepoch() - 1800) * 1000 ELSE (unixepoch() + 86400) * 1000 END,
    CASE WHEN n % 2 = 0 THEN NULL ELSE unixepoch() * 1000 END
FROM numbers;

WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {dead})
INSERT INTO codes (hash, user_id, scopes, created_at, expires_at)
SELECT 'dead_' || n, 'victim', '', (unixepoch() - 3600) * 1000, (unixepoch() - 1800) * 1000 FROM numbers;

COMMIT;
PRAGMA wal_checkpoint(TRUNCATE);
