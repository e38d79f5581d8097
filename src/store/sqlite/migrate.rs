//! Migrations of a file. `connect` holds the lock on it.

use rusqlite::{Connection, TransactionBehavior};

use super::transaction::fault;
use crate::store::migrations::{Applied, Finding, Migration, create, judge, too_old};
use crate::store::{StoreError, StoreErrorKind};

/// The table of the migrations that were applied. `refinery` gave it this name.
const HISTORY: &str = "refinery_schema_history";

/// The time as RFC 3339 writes it.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

/// Applies those of the `known` migrations that are missing, all of them or none.
pub(super) fn migrate(connection: &mut Connection, known: &[Migration]) -> Result<(), StoreError> {
    connection.execute_batch(&create(HISTORY)).map_err(fault)?;
    let applied = applied(connection).map_err(fault)?;
    match judge(HISTORY, &applied, known, None) {
        Finding::Usable => Ok(()),
        Finding::Behind(missing) => apply(connection, &missing).map_err(fault),
        // No table of a file says that an older gateway may run on it.
        Finding::Compatible(theirs) | Finding::Newer(theirs) => Err(misconfigured(too_old(theirs, known))),
        Finding::Broken(why) => Err(misconfigured(why)),
    }
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<Applied>> {
    let mut statement =
        connection.prepare("SELECT version, name, checksum FROM refinery_schema_history ORDER BY version")?;
    let rows = statement.query_map([], |row| {
        Ok(Applied { version: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? })
    })?;
    rows.collect()
}

fn apply(connection: &mut Connection, missing: &[Migration]) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in missing {
        transaction.execute_batch(migration.sql)?;
        transaction.execute_batch(&migration.record(HISTORY, NOW))?;
    }
    transaction.commit()
}

fn misconfigured(why: String) -> StoreError {
    StoreError::new(StoreErrorKind::Misconfigured, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations::SQLITE;

    #[test]
    fn a_file_of_a_newer_version_and_a_changed_one_are_refused_in_those_words() {
        let mut file = Connection::open_in_memory().unwrap();
        migrate(&mut file, SQLITE).unwrap();
        let newest = SQLITE.len();
        let error = migrate(&mut file, &SQLITE[..2]).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Misconfigured);
        let told = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            told.contains(&format!("newer version of bridge-auth (V{newest}; this one knows up to V2)")),
            "{told}"
        );
        file.execute_batch("UPDATE refinery_schema_history SET checksum = '7' WHERE version = 2").unwrap();
        let error = migrate(&mut file, SQLITE).unwrap_err();
        let told = std::error::Error::source(&error).unwrap().to_string();
        assert!(told.contains("V2__refresh") && told.contains(HISTORY), "{told}");
    }

    #[test]
    fn a_migration_that_fails_leaves_nothing_behind() {
        let mut file = Connection::open_in_memory().unwrap();
        file.execute_batch("CREATE TABLE device_grants (id)").unwrap();
        migrate(&mut file, SQLITE).unwrap_err();
        let tables = "SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table'";
        let tables: String = file.query_one(tables, [], |row| row.get(0)).unwrap();
        assert_eq!(tables, "device_grants,refinery_schema_history");
        assert!(applied(&file).unwrap().is_empty());
    }

    #[test]
    fn refinery_finds_nothing_to_do_in_a_file_of_ours() {
        let mut file = Connection::open_in_memory().unwrap();
        migrate(&mut file, SQLITE).unwrap();
        let known: Vec<_> = SQLITE
            .iter()
            .map(|known| refinery::Migration::unapplied(&known.to_string(), known.sql).unwrap())
            .collect();
        let runner = refinery::Runner::new(&known);
        assert!(runner.run(&mut file).unwrap().applied_migrations().is_empty());
        let last = runner.get_last_applied_migration(&mut file).unwrap().unwrap();
        assert!(last.applied_on().is_some());
    }

    #[test]
    fn credentials_that_a_migration_drops_leave_their_ids_behind() {
        let mut file = Connection::open_in_memory().unwrap();
        migrate(&mut file, &SQLITE[..3]).unwrap();
        file.execute_batch(
            "INSERT INTO users (id, scopes) VALUES ('alice', '');
            INSERT INTO clients (id, owner, scopes) VALUES ('bridge:alice', 'alice', '');
            INSERT INTO client_secrets (id, client_id, session_id, hash) VALUES (7, 'bridge:alice', 'gone', x'00')",
        )
        .unwrap();
        migrate(&mut file, SQLITE).unwrap();
        let left: i64 = file.query_one("SELECT count(*) FROM client_secrets", [], |row| row.get(0)).unwrap();
        assert_eq!(left, 0, "it was of no live device");
        file.execute_batch(
            "INSERT INTO sessions (id, user_id, client_id, call_source, scopes, created_at, renewed_at, expires_at)
            VALUES ('laptop', 'alice', 'sp_bridge', 'bridge', '', 0, 0, 0)",
        )
        .unwrap();
        let insert = "INSERT INTO client_secrets (client_id, session_id, hash, created_at)
            VALUES ('bridge:alice', 'laptop', x'01', 0) RETURNING id";
        let id: i64 = file.query_one(insert, [], |row| row.get(0)).unwrap();
        assert_eq!(id, 8);
    }
}
