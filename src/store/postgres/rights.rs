//! What the gateway's role may do, and the `GRANT` statements for what it may not.

use tokio_postgres::Client;

use super::error::misconfigured;
use super::simple_query::{row, rows};
use crate::store::StoreError;

/// One row for each `GRANT` that is missing; no row if the schema does not exist yet. An identity column needs no right
/// on its sequence.
const MISSING: &str = "
    WITH schema AS (SELECT oid, nspname FROM pg_namespace WHERE nspname = 'bridge_auth'),
    -- What the migrations alone write, gateways only read.
    relation AS (
        SELECT class.oid, 'bridge_auth.' || quote_ident(class.relname) AS name,
            CASE WHEN class.relname IN ('migrations', 'compatible') THEN ARRAY['SELECT']
                ELSE ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE'] END AS needed
        FROM pg_class AS class JOIN schema ON schema.oid = class.relnamespace
        WHERE class.relkind IN ('r', 'p', 'v', 'm')
    ),
    lacking AS (
        SELECT array_to_string(needed, ', ') AS needed, string_agg(name, ', ' ORDER BY name) AS names FROM relation
        WHERE EXISTS (SELECT FROM unnest(needed) AS kind WHERE NOT has_table_privilege(relation.oid, kind))
        GROUP BY 1
    )
    SELECT format('GRANT USAGE ON SCHEMA bridge_auth TO %I', current_user) FROM schema
        WHERE NOT has_schema_privilege(oid, 'USAGE')
    UNION ALL
    SELECT format('GRANT %s ON %s TO %I', needed, names, current_user) FROM lacking
    UNION ALL
    SELECT format('GRANT USAGE ON SEQUENCE %s TO %I', string_agg('bridge_auth.' || quote_ident(relname), ', '), current_user)
        FROM pg_class JOIN schema ON schema.oid = relnamespace
        WHERE CASE WHEN relkind = 'S' THEN NOT has_sequence_privilege(pg_class.oid, 'USAGE') ELSE false END
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'i')
        HAVING count(*) > 0
    UNION ALL
    SELECT format('GRANT USAGE ON TYPE %s TO %I', string_agg(pg_type.oid::regtype::text, ', '), current_user)
        FROM pg_type JOIN schema ON schema.oid = typnamespace
        WHERE typtype = 'c' AND NOT has_type_privilege(pg_type.oid, 'USAGE')
            AND EXISTS (SELECT FROM pg_class WHERE pg_class.oid = typrelid AND relkind = 'c')
        HAVING count(*) > 0
    UNION ALL
    SELECT format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA bridge_auth TO %I', current_user)
        WHERE EXISTS (
            SELECT FROM pg_proc JOIN schema ON schema.oid = pronamespace
            WHERE NOT has_function_privilege(pg_proc.oid, 'EXECUTE')
        )";

/// The `GRANT` that the role needs to migrate. The owner of the schema owns what is in it, and may change it.
const MISSING_TO_MIGRATE: &str = "
    SELECT CASE
        WHEN schema.oid IS NULL AND NOT has_database_privilege(current_database(), 'CREATE')
            THEN format('GRANT CREATE ON DATABASE %I TO %I', current_database(), current_user)
        WHEN schema.oid IS NOT NULL AND NOT pg_has_role(schema.nspowner, 'USAGE')
            THEN format('GRANT %I TO %I', pg_get_userbyid(schema.nspowner), current_user)
        END, format('%I', current_user)
    FROM (VALUES (1)) AS one LEFT JOIN pg_namespace AS schema ON schema.nspname = 'bridge_auth'";

/// Refuses a role that lacks rights of a gateway.
pub(super) async fn to_use(client: &Client) -> Result<(), StoreError> {
    let missing = rows(client, MISSING).await?;
    if missing.is_empty() {
        return Ok(());
    }
    let grants: Vec<_> =
        missing.iter().filter_map(|row| row.get(0)).map(|grant| format!("{grant};")).collect();
    Err(misconfigured(format!(
        "the gateway's role lacks rights. As the owner of the schema bridge_auth, run in this database: {}",
        grants.join(" ")
    )))
}

/// Refuses a role that may not apply migrations.
pub(super) async fn to_migrate(client: &Client) -> Result<(), StoreError> {
    let row = row(client, MISSING_TO_MIGRATE).await?;
    let Some(grant) = row.get(0) else { return Ok(()) };
    let role = row.get(1).unwrap_or_default();
    Err(misconfigured(format!(
        "the database must be migrated, and the role {role} may not do so: run {grant}; or run \
         `PostgresStore::migrate` with a role that may, and connect this gateway with `migrate(false)`"
    )))
}
