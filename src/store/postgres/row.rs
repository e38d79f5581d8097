//! What a row says, and how times and keys are written into one.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;
use uuid::Uuid;

use super::error::failed;
use crate::id::{CallSource, ClientId, Scopes, SessionId, UserId};
use crate::store::StoreError;

/// The longest time that is stored, a hundred years: what is longer would leave the calendar.
const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The primary key of a session.
pub(super) fn session_key(id: &SessionId) -> Uuid {
    let digest: [u8; 32] = Sha256::digest(id.as_str().as_bytes()).into();
    let (key, _) = digest.split_first_chunk().expect("32 bytes begin with 16");
    Uuid::from_bytes(*key)
}

/// A duration as PostgreSQL counts it.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.min(MAX).as_micros()).expect("a hundred years are fewer than 2^63 microseconds")
}

/// Reads columns that only this crate writes: anything unexpected is a fault, never an answer.
pub(super) trait Columns {
    fn column<'a, T: FromSql<'a>>(&'a self, name: &str) -> Result<T, StoreError>;

    fn user(&self) -> Result<UserId, StoreError> {
        UserId::parse(self.column::<&str>("user_id")?).map_err(failed)
    }

    fn session(&self, name: &str) -> Result<SessionId, StoreError> {
        SessionId::parse(self.column::<&str>(name)?).map_err(failed)
    }

    fn client(&self) -> Result<ClientId, StoreError> {
        ClientId::parse(self.column::<&str>("client_id")?).map_err(failed)
    }

    fn call_source(&self) -> Result<CallSource, StoreError> {
        CallSource::parse(self.column::<&str>("call_source")?).map_err(failed)
    }

    fn scopes(&self) -> Result<Scopes, StoreError> {
        Scopes::parse(self.column::<&str>("scopes")?).map_err(failed)
    }

    fn count(&self, name: &str) -> Result<u64, StoreError> {
        u64::try_from(self.column::<i64>(name)?).map_err(failed)
    }
}

impl Columns for Row {
    fn column<'a, T: FromSql<'a>>(&'a self, name: &str) -> Result<T, StoreError> {
        Ok(self.try_get(name)?)
    }
}
