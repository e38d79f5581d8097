//! Simple queries. Nothing is prepared, and all values are text.

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::error::failed;
use crate::store::StoreError;

/// The rows of the last statement in `sql`.
pub(super) async fn rows(client: &Client, sql: &str) -> Result<Vec<SimpleQueryRow>, StoreError> {
    let messages = client.simple_query(sql).await?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect())
}

/// The one row of the last statement in `sql`.
pub(super) async fn row(client: &Client, sql: &str) -> Result<SimpleQueryRow, StoreError> {
    rows(client, sql).await?.pop().ok_or_else(|| failed("the answer has no row"))
}
