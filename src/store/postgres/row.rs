//! Reading rows, and the form of times and keys in them.

use std::error::Error;
use std::time::Duration;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type, accepts};
use uuid::Uuid;

use super::error::failed;
use crate::id::{Audience, CallSource, ClientId, Scopes, SessionId, UserId};
use crate::store::{RowMark, SessionKey, StoreError};

/// The longest time that is stored: a hundred years. A longer time could leave PostgreSQL's calendar.
const MAX: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The primary key of a session.
pub(super) fn session_key(id: &SessionId) -> Uuid {
    Uuid::from_u128(SessionKey::digest_of(id))
}

/// A duration in microseconds, as PostgreSQL counts it.
pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.min(MAX).as_micros()).expect("a hundred years are fewer than 2^63 microseconds")
}

/// A time as it comes over the wire: microseconds since a fixed year.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timestamp(i64);

impl Timestamp {
    /// How much later it is than `other`; zero if it is not later.
    pub(super) fn since(self, other: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(other.0).max(0).unsigned_abs())
    }

    /// The mark of a row that was made at this time.
    pub(super) const fn mark(self) -> RowMark {
        RowMark::made_at(self.0)
    }
}

impl<'a> FromSql<'a> for Timestamp {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(i64::from_be_bytes(raw.try_into()?)))
    }

    accepts!(TIMESTAMPTZ);
}

/// Reads columns that only this crate writes. An unexpected value is a fault, never an answer.
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

    fn resource(&self) -> Result<Option<Audience>, StoreError> {
        self.column::<Option<&str>>("resource")?.map(Audience::parse).transpose().map_err(failed)
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
