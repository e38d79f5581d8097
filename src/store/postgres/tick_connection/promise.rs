//! What the database promises when another server takes over, as the log says it.

use std::sync::{Mutex, PoisonError};

use tokio_postgres::Row;

use crate::store::postgres::error::failed;
use crate::store::postgres::row::Columns as _;
use crate::store::{Replication, StoreError};

/// The promise that was logged last, and its era.
#[derive(Default)]
pub(super) struct PromiseLog(Mutex<(Option<Replication>, Option<i64>)>);

impl PromiseLog {
    /// Logs what is promised, at first and whenever the promise changes, and logs a new era.
    pub(super) fn note(&self, replication: Replication, era: Option<i64>) {
        let before = {
            let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let now = (Some(replication), era.or(logged.1));
            std::mem::replace(&mut *logged, now)
        };
        let now = replication.as_str();
        match before {
            (Some(was), Some(before)) if era.is_some_and(|era| era != before) => {
                crate::telemetry::count("bridge_auth_era_changes_total", was.as_str());
                tracing::warn!(was = was.as_str(), replication = now, "{}", another_era(was));
            }
            (Some(was), _) if was == replication => {}
            (Some(was), _) => {
                tracing::warn!(was = was.as_str(), replication = now, "{}", replication.promise());
            }
            (None, _) => tracing::info!(replication = now, "{}", replication.promise()),
        }
    }
}

/// What a new era means for revocations; `was` is the promise before it.
fn another_era(was: Replication) -> String {
    let may_be_undone = match was {
        Replication::Synchronous => {
            "If that server was the synchronous standby, nothing acknowledged is lost. If it was not, what"
        }
        _ => "If another server has taken over, what",
    };
    format!(
        "the database has restarted after a crash, or another server has taken over. {may_be_undone} was acknowledged \
         shortly before may be undone, revocations too. To end every session of all bridges: curl -X DELETE -H \
         \"authorization: Bearer $ADMIN_TOKEN\" $GATEWAY/admin/clients/sp_bridge/sessions (use the path of your \
         operators' endpoints and your bridge client id), or call Admin::revoke_client"
    )
}

/// Reads the promise that a row shows.
pub(super) fn replication(row: &Row) -> Result<Replication, StoreError> {
    match row.column("replication")? {
        "one_node" => Ok(Replication::OneNode),
        "asynchronous" => Ok(Replication::Asynchronous),
        "synchronous" => Ok(Replication::Synchronous),
        other => Err(failed(format!("unknown kind of replication {other:?}"))),
    }
}
