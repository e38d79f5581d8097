//! Which migrations a database has, and whether this version of the crate may run on it.

use refinery::Migration;
use tokio_postgres::Client;

use super::error::{failed, misconfigured};
use super::migrations::known;
use super::simple_query::{row, rows};
use crate::store::StoreError;

/// What the migrations of a database mean for this version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The database has all that this version knows. It may have newer ones with which this version may run.
    Usable,
    /// It lacks the migrations with these names.
    Behind(String),
}

/// A migration that was applied.
struct Applied {
    version: i32,
    name: String,
    checksum: String,
}

/// What the applied migrations mean.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    State(State),
    /// A newer version of the crate migrated the database, up to this migration. This version may run on it.
    Compatible(i32),
    /// A newer version of the crate migrated the database, and nothing says that this version may run on it.
    Newer(i32),
    /// A migration was applied in another form than this version knows, or was skipped.
    Broken(String),
}

/// Reads the applied migrations, with a role that may only use the schema.
pub(super) async fn read(client: &Client) -> Result<State, StoreError> {
    let tables = "SELECT count(*) FILTER (WHERE relname = 'migrations'), count(*) FILTER (WHERE relname = 'compatible')
        FROM pg_class WHERE relnamespace = to_regnamespace('bridge_auth')";
    let tables = row(client, tables).await?;
    let mut applied = Vec::new();
    if tables.get(0) == Some("1") {
        let sql = "SELECT version, name, checksum FROM bridge_auth.migrations ORDER BY version";
        for row in rows(client, sql).await? {
            let column = |place: usize| row.get(place).unwrap_or_default().to_owned();
            applied.push(Applied {
                version: column(0).parse().map_err(failed)?,
                name: column(1),
                checksum: column(2),
            });
        }
    }
    let mut since = None;
    if tables.get(1) == Some("1") {
        for row in rows(client, "SELECT since FROM bridge_auth.compatible").await? {
            since = Some(row.get(0).unwrap_or_default().parse().map_err(failed)?);
        }
    }
    let known = known();
    let newest = known.iter().map(Migration::version).max().unwrap_or_default();
    match judge(&applied, &known, since) {
        Finding::State(state) => Ok(state),
        Finding::Compatible(theirs) => {
            tracing::warn!(
                "the database was migrated by a newer version of bridge-auth (V{theirs}; this one knows up to \
                 V{newest}). The database says that this version may run on it. \
                 Upgrade this gateway when you can"
            );
            Ok(State::Usable)
        }
        Finding::Newer(theirs) => Err(misconfigured(format!(
            "the database was migrated by a newer version of bridge-auth (V{theirs}; this one knows up to V{newest}): \
             upgrade this gateway"
        ))),
        Finding::Broken(why) => Err(misconfigured(why)),
    }
}

/// Judges the `applied` migrations. `since` is the oldest migration that a gateway must know.
fn judge(applied: &[Applied], known: &[Migration], since: Option<i32>) -> Finding {
    let newest_known = known.iter().map(Migration::version).max().unwrap_or_default();
    let newest = applied.iter().map(|applied| applied.version).max().unwrap_or_default();
    for Applied { version, name, checksum } in
        applied.iter().filter(|applied| applied.version <= newest_known)
    {
        match known.iter().find(|known| known.version() == *version) {
            Some(known) if known.name() == name && known.checksum().to_string() == *checksum => {}
            Some(known) => {
                return Finding::Broken(format!(
                    "the migration V{version}__{name} was applied, but with other contents than {known} has in this \
                     version of bridge-auth. Either a build that was never released has migrated the database, or the \
                     table bridge_auth.migrations was changed"
                ));
            }
            None => {
                return Finding::Broken(format!(
                    "the migration V{version}__{name} was applied, but this version of bridge-auth has no migration \
                     with that number"
                ));
            }
        }
    }
    let is_applied = |known: &&Migration| applied.iter().any(|applied| applied.version == known.version());
    let missing: Vec<_> = known.iter().filter(|known| !is_applied(known)).collect();
    if let Some(skipped) = missing.iter().find(|missing| missing.version() < newest) {
        return Finding::Broken(format!(
            "the migration {skipped} was not applied, though V{newest} was: the table bridge_auth.migrations was \
             changed"
        ));
    }
    if newest > newest_known {
        let may_run = since.is_some_and(|since| since <= newest_known);
        return if may_run { Finding::Compatible(newest) } else { Finding::Newer(newest) };
    }
    Finding::State(if missing.is_empty() {
        State::Usable
    } else {
        State::Behind(missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Vec<Migration> {
        [1, 2, 4]
            .map(|version| Migration::unapplied(&format!("V{version}__step"), "SELECT 1").unwrap())
            .into()
    }

    fn applied(versions: &[i32]) -> Vec<Applied> {
        let checksum = |version: i32| {
            known().iter().find(|known| known.version() == version).map_or(7, Migration::checksum).to_string()
        };
        let applied = versions.iter();
        applied
            .map(|&version| Applied { version, name: "step".to_owned(), checksum: checksum(version) })
            .collect()
    }

    #[test]
    fn a_database_with_all_or_fewer_migrations_is_usable_or_behind() {
        let judge = |versions: &[i32]| judge(&applied(versions), &known(), None);
        assert_eq!(judge(&[1, 2, 4]), Finding::State(State::Usable));
        assert_eq!(judge(&[1, 2]), Finding::State(State::Behind("V4__step".to_owned())));
        assert_eq!(judge(&[]), Finding::State(State::Behind("V1__step, V2__step, V4__step".to_owned())));
    }

    #[test]
    fn a_newer_database_is_used_only_where_it_says_so() {
        let judge = |since| judge(&applied(&[1, 2, 4, 5, 9]), &known(), since);
        assert_eq!(judge(None), Finding::Newer(9));
        assert_eq!(judge(Some(5)), Finding::Newer(9));
        assert_eq!(judge(Some(4)), Finding::Compatible(9));
        assert_eq!(judge(Some(1)), Finding::Compatible(9));
    }

    #[test]
    fn what_was_skipped_or_changed_is_broken_however_new_the_database() {
        for versions in [&[1, 4][..], &[1, 2, 9], &[1, 2, 3, 4]] {
            let finding = judge(&applied(versions), &known(), Some(1));
            assert!(matches!(finding, Finding::Broken(_)), "{finding:?}");
        }
        let mut changed = applied(&[1, 2, 4, 9]);
        changed[1].checksum = "8".to_owned();
        assert!(
            matches!(judge(&changed, &known(), Some(1)), Finding::Broken(why) if why.contains("V2__step"))
        );
    }
}
