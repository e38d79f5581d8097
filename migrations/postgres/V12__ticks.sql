-- Ticks: writes by which a gateway knows that the server it talks to is still the primary. Hints of revocations are sent
-- after the revoking transaction, no longer by it: `NOTIFY` makes commits wait in line.

-- One row for each lease: one connection of one gateway. The number counts its ticks.
CREATE TABLE bridge_auth.ticks (
    lease    uuid PRIMARY KEY,
    number   bigint NOT NULL,
    -- `log_era`, where a standby can read it.
    era      bigint NOT NULL,
    -- The transaction of the tick. Whoever sees the row knows that no transaction before it comes again, also after a crash.
    xid      xid8 NOT NULL,
    begun_at timestamptz NOT NULL,
    at       timestamptz NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX ticks_by_begin ON bridge_auth.ticks (begun_at);

-- Which life of the database this is: another one after a crash, and on a server that took over. Nothing of it is logged, so
-- whoever begins one waits for no standby, and nobody waits for them.
CREATE FUNCTION bridge_auth.era() RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    found_era bigint;
BEGIN
    SELECT era INTO found_era FROM bridge_auth.log_era;
    IF NOT FOUND THEN
        INSERT INTO bridge_auth.log_era (era) VALUES ((random() * 9007199254740991)::bigint) ON CONFLICT DO NOTHING;
        SELECT era INTO found_era FROM bridge_auth.log_era;
    END IF;
    RETURN found_era;
END
$$;

-- Writes the next tick of a lease. What counts is that the caller hears of its commit, without a warning.
CREATE FUNCTION bridge_auth.tick(p_lease uuid, p_number bigint, OUT era bigint, OUT replication text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan AS $$
#variable_conflict use_column
DECLARE
    v_era      bigint := bridge_auth.era();
    dead_since timestamptz := clock_timestamp() - interval '1 day';
BEGIN
    PERFORM bridge_auth.begin_write();
    UPDATE bridge_auth.ticks SET number = p_number, era = v_era, xid = pg_current_xact_id(), at = clock_timestamp()
    WHERE lease = p_lease;
    IF NOT FOUND THEN
        INSERT INTO bridge_auth.ticks (lease, number, era, xid, begun_at, at)
        VALUES (p_lease, p_number, v_era, pg_current_xact_id(), clock_timestamp(), clock_timestamp());
        -- Leases of connections that are long gone.
        DELETE FROM bridge_auth.ticks WHERE lease IN (
            SELECT lease FROM bridge_auth.ticks
            WHERE begun_at < dead_since AND at < dead_since
            ORDER BY begun_at LIMIT 100 FOR UPDATE SKIP LOCKED
        );
    END IF;
    tick.era := v_era;
    tick.replication := CASE
        WHEN trim(current_setting('synchronous_standby_names')) <> ''
            AND current_setting('synchronous_commit') NOT IN ('off', 'local') THEN 'synchronous'
        WHEN EXISTS (SELECT FROM pg_stat_get_wal_senders())
            OR EXISTS (SELECT FROM pg_get_replication_slots() WHERE slot_type = 'physical') THEN 'asynchronous'
        ELSE 'one_node'
    END;
END
$$;

CREATE OR REPLACE FUNCTION bridge_auth.log_revocations(p_kind text, p_subjects text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cardinality(p_subjects) > 0 THEN
        INSERT INTO bridge_auth.revocations (kind, subject) SELECT p_kind, unnest(p_subjects);
    END IF;
END
$$;
