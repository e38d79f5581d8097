//! The migrations of both databases, and what those that were applied to a database mean.
//!
//! The history of a database is a table in the form of the crate `refinery`, which applied the migrations before 0.1. So a
//! database goes on, whichever of the two made it.

use std::fmt;
use std::hash::{Hash as _, Hasher as _};

use siphasher::sip::SipHasher13;

/// One step from a version of the tables to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Migration {
    pub(super) version: i32,
    name: &'static str,
    pub(super) sql: &'static str,
}

macro_rules! migrations {
    ($folder:literal, $($version:literal $name:literal)+) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../migrations/", $folder, "/V", $version, "__", $name, ".sql")),
        }),+]
    };
}

/// In their order.
#[cfg(feature = "postgres")]
pub(super) const POSTGRES: &[Migration] = migrations!("postgres",
    1 "tables"
    2 "sessions"
    3 "codes"
    4 "clients"
    5 "revocation"
    6 "eras"
    7 "refresh"
    8 "client_keys"
    9 "live_indexes"
    10 "bounded"
    11 "bounded_functions"
    12 "ticks"
    13 "compatible"
    14 "planned"
    15 "sign_in"
    16 "delegation"
);

/// In their order.
#[cfg(feature = "sqlite")]
pub(super) const SQLITE: &[Migration] = migrations!("sqlite",
    1 "tables"
    2 "refresh"
    3 "client_keys"
    4 "bounded"
    5 "states"
    6 "sign_in"
    7 "delegation"
);

impl Migration {
    /// As `refinery` computes it: a change of it would make every database look as if somebody had changed it.
    fn checksum(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        self.name.hash(&mut hasher);
        self.version.hash(&mut hasher);
        self.sql.hash(&mut hasher);
        hasher.finish()
    }

    /// The statement that writes into `history` that this migration was applied. `now` is the time as SQL.
    pub(super) fn record(&self, history: &str, now: &str) -> String {
        let Self { version, name, .. } = self;
        let checksum = self.checksum();
        format!(
            "INSERT INTO {history} (version, name, applied_on, checksum) \
             VALUES ({version}, '{name}', {now}, '{checksum}')"
        )
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "V{}__{}", self.version, self.name)
    }
}

/// The statement that makes the table `history`.
pub(super) fn create(history: &str) -> String {
    format!(
        "CREATE TABLE IF NOT EXISTS {history} \
         (version int4 PRIMARY KEY, name varchar(255), applied_on varchar(255), checksum varchar(255))"
    )
}

/// A migration that was applied.
pub(super) struct Applied {
    pub(super) version: i32,
    pub(super) name: String,
    pub(super) checksum: String,
}

/// What the applied migrations mean.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// All that this version knows were applied.
    Usable,
    /// These are missing.
    Behind(Vec<Migration>),
    /// A newer version of the crate migrated the database, up to this migration. This version may run on it.
    Compatible(i32),
    /// A newer version of the crate migrated the database, and nothing says that this version may run on it.
    Newer(i32),
    /// A migration was applied in another form than this version knows, or was skipped.
    Broken(String),
}

/// Judges the migrations that were `applied` by the table `history`. `since` is the oldest migration that a gateway must know.
pub(super) fn judge(history: &str, applied: &[Applied], known: &[Migration], since: Option<i32>) -> Finding {
    let newest_known = newest(known);
    let newest = applied.iter().map(|applied| applied.version).max().unwrap_or_default();
    for Applied { version, name, checksum } in
        applied.iter().filter(|applied| applied.version <= newest_known)
    {
        match known.iter().find(|known| known.version == *version) {
            Some(known) if known.name == name && known.checksum().to_string() == *checksum => {}
            Some(known) => {
                return Finding::Broken(format!(
                    "the migration V{version}__{name} was applied, but with other contents than {known} has in this \
                     version of bridge-auth. Either a build that was never released has migrated the database, or the \
                     table {history} was changed"
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
    let is_applied = |known: &&Migration| applied.iter().any(|applied| applied.version == known.version);
    let missing: Vec<_> = known.iter().filter(|known| !is_applied(known)).copied().collect();
    if let Some(skipped) = missing.iter().find(|missing| missing.version < newest) {
        return Finding::Broken(format!(
            "the migration {skipped} was not applied, though V{newest} was: the table {history} was changed"
        ));
    }
    if newest > newest_known {
        let may_run = since.is_some_and(|since| since <= newest_known);
        return if may_run { Finding::Compatible(newest) } else { Finding::Newer(newest) };
    }
    if missing.is_empty() { Finding::Usable } else { Finding::Behind(missing) }
}

/// What a gateway says that is too old for a database.
pub(super) fn too_old(theirs: i32, known: &[Migration]) -> String {
    format!(
        "the database was migrated by a newer version of bridge-auth (V{theirs}; this one knows up to V{}): upgrade \
         this gateway",
        newest(known)
    )
}

/// The number of the newest of these.
pub(super) fn newest(migrations: &[Migration]) -> i32 {
    migrations.iter().map(|migration| migration.version).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[step(1), step(2), step(4)];

    const fn step(version: i32) -> Migration {
        Migration { version, name: "step", sql: "SELECT 1" }
    }

    fn applied(versions: &[i32]) -> Vec<Applied> {
        let checksum = |version| step(version).checksum().to_string();
        let applied =
            |&version: &i32| Applied { version, name: "step".to_owned(), checksum: checksum(version) };
        versions.iter().map(applied).collect()
    }

    #[test]
    fn a_database_with_all_or_fewer_migrations_is_usable_or_behind() {
        let judge = |versions: &[i32]| judge("history", &applied(versions), KNOWN, None);
        assert_eq!(judge(&[1, 2, 4]), Finding::Usable);
        assert_eq!(judge(&[1, 2]), Finding::Behind(vec![step(4)]));
        assert_eq!(judge(&[]), Finding::Behind(KNOWN.to_vec()));
    }

    #[test]
    fn a_newer_database_is_used_only_where_it_says_so() {
        let judge = |since| judge("history", &applied(&[1, 2, 4, 5, 9]), KNOWN, since);
        assert_eq!(judge(None), Finding::Newer(9));
        assert_eq!(judge(Some(5)), Finding::Newer(9));
        assert_eq!(judge(Some(4)), Finding::Compatible(9));
        assert_eq!(judge(Some(1)), Finding::Compatible(9));
    }

    #[test]
    fn what_was_skipped_or_changed_is_broken_however_new_the_database() {
        for versions in [&[1, 4][..], &[1, 2, 9], &[1, 2, 3, 4]] {
            let finding = judge("history", &applied(versions), KNOWN, Some(1));
            assert!(matches!(finding, Finding::Broken(_)), "{finding:?}");
        }
        let mut changed = applied(&[1, 2, 4, 9]);
        changed[1].checksum = "8".to_owned();
        let finding = judge("history", &changed, KNOWN, Some(1));
        assert!(matches!(&finding, Finding::Broken(why) if why.contains("V2__step")), "{finding:?}");
    }

    #[test]
    fn every_file_of_a_folder_is_a_migration_with_the_checksum_of_refinery() {
        let folders = [
            #[cfg(feature = "postgres")]
            ("postgres", POSTGRES),
            #[cfg(feature = "sqlite")]
            ("sqlite", SQLITE),
        ];
        for (folder, known) in folders {
            assert!(known.is_sorted_by(|a, b| a.version < b.version), "{folder}: applied in this order");
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
            let files: Vec<_> = std::fs::read_dir(path).unwrap().map(|file| file.unwrap().path()).collect();
            assert_eq!(files.len(), known.len(), "{folder}");
            for migration in known {
                let theirs = refinery::Migration::unapplied(&migration.to_string(), migration.sql).unwrap();
                assert_eq!(migration.checksum(), theirs.checksum(), "{migration}");
                assert_eq!((migration.version, migration.name), (theirs.version(), theirs.name()));
                let is_file = |file: &std::path::PathBuf| {
                    file.file_name().unwrap().to_str().unwrap() == format!("{migration}.sql")
                };
                assert!(files.iter().any(is_file), "{migration}");
            }
        }
    }
}
