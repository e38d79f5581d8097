//! Which migrations a database has, and whether this version of the crate may run on it.

use tokio_postgres::Client;

use super::error::{failed, misconfigured};
use super::simple_query::{row, rows};
use crate::store::StoreError;
use crate::store::migrations::{Applied, Finding, Migration, POSTGRES, judge, newest, too_old};

/// The table of the migrations that were applied.
pub(super) const HISTORY: &str = "bridge_auth.migrations";

/// What the migrations of a database mean for this version.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The database has all that this version knows. It may have newer ones with which this version may run.
    Usable,
    /// It lacks these migrations.
    Behind(Vec<Migration>),
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
    match judge(HISTORY, &applied, POSTGRES, since) {
        Finding::Usable => Ok(State::Usable),
        Finding::Behind(missing) => Ok(State::Behind(missing)),
        Finding::Compatible(theirs) => {
            let newest = newest(POSTGRES);
            tracing::warn!(
                "the database was migrated by a newer version of bridge-auth (V{theirs}; this one knows up to \
                 V{newest}). The database says that this version may run on it. \
                 Upgrade this gateway when you can"
            );
            Ok(State::Usable)
        }
        Finding::Newer(theirs) => Err(misconfigured(too_old(theirs, POSTGRES))),
        Finding::Broken(why) => Err(misconfigured(why)),
    }
}
