-- Public keys as client credentials, and the assertions that they were used for.

-- Of a public key; then `hash` is its thumbprint and not the hash of a secret.
ALTER TABLE client_secrets ADD COLUMN jwk TEXT;

-- `hash` is of the client and the `jti` of an assertion that may not be used again before `expires_at`.
CREATE TABLE used_assertions (
    hash       BLOB PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);
