-- Ticks: writes by which a gateway knows that the server it talks to is still the primary. What counts is that it hears of their
-- commit, without a warning. Hints of revocations are sent after the revoking transaction, no longer by it: `NOTIFY` makes
-- commits wait in line.

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

CREATE OR REPLACE FUNCTION bridge_auth.log_revocations(p_kind text, p_subjects text[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF cardinality(p_subjects) > 0 THEN
        INSERT INTO bridge_auth.revocations (kind, subject) SELECT p_kind, unnest(p_subjects);
    END IF;
END
$$;
