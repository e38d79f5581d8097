//! PostgreSQL reads no more rows for those that are dead, or another's: also by plans from when its tables were empty.

use tokio_postgres::Client;

use crate::support::{Backend as _, PostgresBackend};

/// All that one person does and what ends them; `LAPTOP` is their session's key.
const OPERATIONS: [&str; 17] = [
    "SELECT bridge_auth.open_vouched(ROW(LAPTOP, 'laptop', true, 'sp_bridge', 'bridge', NULL, NULL, NULL, 86400000000, 64,
        true)::bridge_auth.new_session, 'alice', 'read')",
    "SELECT bridge_auth.provision('bridge:alice', 'alice', LAPTOP, 'laptop', '\\x01', 'hook:track', 60000000, 16, NULL)",
    "SELECT bridge_auth.open_for_client(ROW(gen_random_uuid(), gen_random_uuid(), false, 'bridge:alice', 'bridge',
        gen_random_uuid(), NULL, NULL, 1, 8, true)::bridge_auth.new_session, '\\x01', 'hook:track')",
    "SELECT bridge_auth.issue_code(gen_random_uuid()::text, 'alice', 'read', NULL, 120000000, 2)",
    // At the limit.
    "SELECT bridge_auth.open_vouched(ROW(gen_random_uuid(), gen_random_uuid(), false, 'sp_bridge', 'bridge', NULL, NULL,
        NULL, 86400000000, 1, true)::bridge_auth.new_session, 'alice', 'read')",
    "SELECT bridge_auth.start_device_grant('\\x02', 'BCDFGHJK', 'sp_bridge', 'read', NULL, NULL, NULL, NULL, 600000000,
            5000000),
        bridge_auth.count_poll('\\x02', 'sp_bridge'),
        bridge_auth.decide_device_grant('BCDFGHJK', 'sp_bridge', 'alice', 'read', 8),
        bridge_auth.collect_device_grant('\\x02', ROW(gen_random_uuid(), gen_random_uuid(), false, 'sp_bridge', 'bridge',
            NULL, NULL, NULL, 86400000000, 64, true)::bridge_auth.new_session, 1, NULL, NULL)",
    "SELECT bridge_auth.put_user('alice', 'read', NULL, 'Alice', 'alice')",
    // A chain of two, and one that is too many.
    "SELECT bridge_auth.open_delegated(ROW('00000000-0000-0000-0000-000000000002', 'agent', false, 'planner', 'bridge', NULL,
            NULL, NULL, 86400000000, 32, false)::bridge_auth.new_session, 'alice', 'read', LAPTOP, 'laptop', NULL, 4, NULL,
            NULL, '\x03', 60000000, 9000000000000000),
        bridge_auth.open_delegated(ROW(gen_random_uuid(), gen_random_uuid(), false, 'reader', 'bridge', NULL, NULL, NULL,
            86400000000, 32, false)::bridge_auth.new_session, 'alice', 'read', '00000000-0000-0000-0000-000000000002',
            'agent', NULL, 4, NULL, NULL, NULL, NULL, NULL),
        bridge_auth.open_delegated(ROW(gen_random_uuid(), gen_random_uuid(), false, 'reader', 'bridge', NULL, NULL, NULL,
            86400000000, 2, false)::bridge_auth.new_session, 'alice', 'read', LAPTOP, 'laptop', NULL, 4, NULL, NULL, NULL,
            NULL, NULL)",
    // The client of one and all that hangs on it; agents of others are live.
    "SELECT bridge_auth.open_delegated(ROW(gen_random_uuid(), gen_random_uuid(), false, 'mine', 'bridge', NULL, NULL, NULL,
            86400000000, 32, false)::bridge_auth.new_session, 'alice', 'read', LAPTOP, 'laptop', NULL, 4, NULL, NULL, NULL,
            NULL, NULL), bridge_auth.revoke_client('mine')",
    "SELECT bridge_auth.apply_event('\x04', 60000000, 'session', NULL, LAPTOP, 'laptop', NULL, NULL),
        bridge_auth.apply_event('\x04', 60000000, 'session', NULL, LAPTOP, 'laptop', NULL, NULL)",
    "SELECT bridge_auth.apply_event('\x05', 60000000, 'disable', 'alice', NULL, NULL, NULL, '\x15')",
    "SELECT bridge_auth.apply_event('\x06', 60000000, 'others', 'alice', LAPTOP, 'laptop', NULL, '\x15')",
    "SELECT bridge_auth.apply_event('\x07', 60000000, 'user', 'nobody', NULL, NULL, NULL, '\x16'),
        bridge_auth.add_user('nobody', 'read', NULL, NULL, NULL, '\x16')",
    "SELECT bridge_auth.revoke_session(LAPTOP, 'laptop', NULL)",
    "SELECT bridge_auth.revoke_client('bridge:alice')",
    "SELECT bridge_auth.revoke_user('alice', false)",
    "SELECT bridge_auth.revoke_others('alice', gen_random_uuid(), 'kept')",
];

/// As many sessions of hers as may be live, what has expired of hers, and what is live of others.
const FILL: &str = "
    INSERT INTO bridge_auth.users (id, scopes) SELECT 'u' || n, 'read' FROM generate_series(1, 3000) AS n;
    INSERT INTO bridge_auth.sessions (key, id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
    SELECT gen_random_uuid(), 's' || n, 'u' || n % 3000 + 1, 'sp_bridge', 'bridge', 'read', now(), now(), now() + '1 day'
    FROM generate_series(1, 20000) AS n;
    INSERT INTO bridge_auth.sessions (key, id, user_id, client_id, parent, call_source, scopes, created_at, renewed_at,
        expires_at)
    SELECT gen_random_uuid(), 'h' || n, 'u' || n, 'bridge:u' || n, gen_random_uuid(), 'bridge', 'read', now(), now(),
        now() + '1 day' FROM generate_series(1, 3000) AS n;
    INSERT INTO bridge_auth.sessions (key, id, user_id, client_id, parent, depth, call_source, scopes, created_at, renewed_at,
        expires_at)
    SELECT gen_random_uuid(), 'e' || n, 'u' || n, 'planner', gen_random_uuid(), 1, 'bridge', 'read', now(), now(),
        now() + '1 day' FROM generate_series(1, 3000) AS n;
    INSERT INTO bridge_auth.sessions (key, id, user_id, client_id, parent, depth, call_source, scopes, created_at, renewed_at,
        expires_at)
    SELECT gen_random_uuid(), 'f' || n, 'alice', 'planner', '00000000-0000-0000-0000-000000000001', 1, 'bridge', 'read',
        now(), now(), now() - '10 minutes'::interval FROM generate_series(1, 20000) AS n;
    INSERT INTO bridge_auth.sessions (key, id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
    SELECT gen_random_uuid(), 'd' || n, 'alice', 'sp_bridge', 'bridge', 'read', now(), now(), now() - '10 minutes'::interval
    FROM generate_series(1, 20000) AS n;
    INSERT INTO bridge_auth.sessions (key, id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
    SELECT gen_random_uuid(), 'a' || n, 'alice', 'sp_bridge', 'bridge', 'read', now(), now(), now() + '1 day'
    FROM generate_series(1, 60) AS n;
    INSERT INTO bridge_auth.codes (hash, user_id, scopes, issued_at, expires_at)
    SELECT 'd' || n, 'alice', 'read', now(), now() - '10 minutes'::interval FROM generate_series(1, 20000) AS n;
    INSERT INTO bridge_auth.device_grants (device_code, user_code, client_id, created_at, expires_at, poll_interval, state,
        user_id, decided_at, granted)
    SELECT sha256(('g' || n)::bytea), 'g' || n, 'sp_bridge', now(), now() - '10 minutes'::interval, 5000000,
        (ARRAY['allowed', 'denied', 'spent', 'void'])[n % 4 + 1], 'alice', now(), 'read'
    FROM generate_series(1, 20000) AS n;
    INSERT INTO bridge_auth.device_grants (device_code, user_code, client_id, created_at, expires_at, poll_interval, state,
        user_id, decided_at, granted)
    SELECT sha256(('u' || n)::bytea), 'u' || n, 'sp_bridge', now(), now() + '1 minute'::interval, 5000000,
        CASE WHEN n % 2 = 0 THEN 'waiting' ELSE 'allowed' END, 'u' || n, now(), 'read'
    FROM generate_series(1, 3000) AS n;
    INSERT INTO bridge_auth.codes (hash, user_id, scopes, issued_at, expires_at)
    SELECT 'u' || n, 'u' || n, 'read', now(), now() + '1 minute'::interval FROM generate_series(1, 3000) AS n";

/// How many rows this transaction has read, and how many entries of indexes.
async fn read(client: &Client) -> i64 {
    let sql =
        "SELECT sum(pg_stat_get_xact_tuples_returned(oid) + pg_stat_get_xact_tuples_fetched(oid))::bigint
        FROM pg_class WHERE relnamespace = 'bridge_auth'::regnamespace AND relkind IN ('r', 'i')";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn attack_n13_no_operation_reads_what_is_dead_or_anothers_by_a_plan_from_an_empty_table() {
    let db = PostgresBackend::start().await;
    let client = db.client().await;
    let run = async |operation: &str| {
        let sql = operation.replace("LAPTOP", "'00000000-0000-0000-0000-000000000001'::uuid");
        let before = read(&client).await;
        client.batch_execute(&sql).await.unwrap();
        read(&client).await - before
    };
    client
        .batch_execute("INSERT INTO bridge_auth.users (id, scopes) VALUES ('alice', 'read'); BEGIN")
        .await
        .unwrap();
    for _ in 0..8 {
        for operation in OPERATIONS {
            client.batch_execute("SAVEPOINT before").await.unwrap();
            for earlier in &OPERATIONS[..2] {
                run(earlier).await;
            }
            run(operation).await;
            client.batch_execute("ROLLBACK TO before").await.unwrap();
        }
    }
    client.batch_execute(FILL).await.unwrap();
    for operation in OPERATIONS {
        client.batch_execute("SAVEPOINT before").await.unwrap();
        for earlier in &OPERATIONS[..2] {
            run(earlier).await;
        }
        let rows = run(operation).await;
        assert!(rows < 4000, "{rows} rows for {operation}");
        client.batch_execute("ROLLBACK TO before").await.unwrap();
    }
}
