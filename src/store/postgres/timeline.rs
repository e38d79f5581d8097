//! No way back to an old primary: a server on an older timeline is a primary that was replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio_postgres::{Client, Error};

/// The newest timeline on which a tick was acknowledged; zero while none is known. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline(Arc<AtomicI64>);

/// SQL for the number of a primary's timeline. The number grows with each promotion.
macro_rules! number {
    () => {
        "('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint"
    };
}

impl Timeline {
    /// A code of our own class, which no server uses.
    pub(super) const IS_OLDER: &'static str = "BA001";

    /// The timeline of the server; `None` if it is unknown, because some services do not have the function.
    pub(super) async fn of(client: &Client) -> Option<i64> {
        client.query_one(concat!("SELECT ", number!()), &[]).await.and_then(|row| row.try_get(0)).ok()
    }

    /// Records that a tick was acknowledged on this timeline. Returns whether it is newer than the timeline of an
    /// earlier tick.
    pub(super) fn go_on(&self, to: Option<i64>) -> bool {
        let to = to.unwrap_or_default();
        let before = self.0.fetch_max(to, Ordering::SeqCst);
        before != 0 && before < to
    }

    /// Refuses a server on an older timeline, with the code [`IS_OLDER`](Self::IS_OLDER). While no timeline is known,
    /// it asks nothing.
    pub(super) async fn check(&self, client: &Client) -> Result<(), Error> {
        match self.0.load(Ordering::SeqCst) {
            0 => Ok(()),
            newest => {
                let refuse = concat!(
                    "DO $$ BEGIN IF ",
                    number!(),
                    " < {newest} THEN RAISE EXCEPTION 'the server was the primary before another one took over' USING
                        ERRCODE = '{code}', HINT = 'If this is a new database, restart the gateway.';
                    END IF; END $$"
                );
                let refuse =
                    refuse.replace("{newest}", &newest.to_string()).replace("{code}", Self::IS_OLDER);
                client.batch_execute(&refuse).await
            }
        }
    }
}
