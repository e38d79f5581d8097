-- One row, made by whoever reads the log first. Being unlogged, it is gone after a crash and on a standby that
-- was promoted: there transaction numbers may come again that a reader has counted as passed.
CREATE UNLOGGED TABLE bridge_auth.log_era (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    era bigint NOT NULL
);
