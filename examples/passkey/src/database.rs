//! One small SQL interface to the gateway's kind of database: PostgreSQL, or a SQLite file.
//!
//! A statement names its values `$1`, `$2`, … in the order of their first use; both databases take that. `{bytes}` and
//! `{now}` (seconds since 1970, by the database's clock) stand for what they spell differently.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, anyhow};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rustls::{ClientConfig, RootCertStore};
use tokio::task::spawn_blocking;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Connections to PostgreSQL: logins are rare.
const CONNECTIONS: usize = 4;
/// Held while the tables are made, so that gateways that start at once do not make them twice.
const LOCK: i64 = 0x7061_7373_6b65_7973;

#[derive(Clone)]
pub enum Database {
    Sqlite(Arc<Mutex<Connection>>),
    Postgres(Pool),
}

/// A value that goes in or comes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Bytes(Vec<u8>),
    Text(String),
    Number(i64),
}

/// A row that came out.
pub type Row = Vec<Value>;

/// A statement and its values.
pub type Statement = (&'static str, Vec<Value>);

impl Database {
    pub fn sqlite(file: &Path) -> Result<Self> {
        let connection = Connection::open(file)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(Self::Sqlite(Arc::new(Mutex::new(connection))))
    }

    pub fn postgres(url: &str) -> Result<Self> {
        let config: tokio_postgres::Config = url.parse().context("the connection string is malformed")?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(config, MakeRustlsConnect::new(tls), recycling);
        Ok(Self::Postgres(Pool::builder(manager).max_size(CONNECTIONS).build()?))
    }

    /// Runs statements that make tables.
    pub async fn make_tables(&self, sql: &str) -> Result<()> {
        let sql = self.spelled(sql);
        match self {
            Self::Sqlite(connection) => {
                on(connection, move |connection| {
                    Ok(connection.execute_batch(&format!("BEGIN IMMEDIATE; {sql} COMMIT;"))?)
                })
                .await
            }
            Self::Postgres(pool) => {
                let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK}); {sql} COMMIT;");
                Ok(pool.get().await?.batch_execute(&begin).await?)
            }
        }
    }

    /// Runs one statement, and returns its rows.
    pub async fn run(&self, sql: &'static str, values: Vec<Value>) -> Result<Vec<Row>> {
        let text = self.spelled(sql);
        match self {
            Self::Sqlite(connection) => {
                on(connection, move |connection| {
                    let mut statement = connection.prepare_cached(&text)?;
                    let columns = statement.column_count();
                    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
                        (0..columns)
                            .map(|column| row.get_ref(column).map(from_sqlite))
                            .collect::<Result<Row, _>>()
                    })?;
                    Ok(rows.collect::<Result<_, _>>()?)
                })
                .await
            }
            Self::Postgres(pool) => {
                let client = pool.get().await?;
                let statement = client.prepare_cached(&text).await?;
                let rows = client.query(&statement, &borrowed(&values)).await?;
                rows.iter().map(from_postgres).collect()
            }
        }
    }

    /// Runs statements in one transaction, each of which must change exactly one row. Otherwise nothing is changed, and
    /// the answer is false.
    pub async fn all_or_nothing(&self, statements: Vec<Statement>) -> Result<bool> {
        let statements: Vec<_> =
            statements.into_iter().map(|(sql, values)| (self.spelled(sql), values)).collect();
        match self {
            Self::Sqlite(connection) => {
                on(connection, move |connection| {
                    let transaction =
                        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                    for (sql, values) in statements {
                        if transaction.execute(&sql, rusqlite::params_from_iter(values))? != 1 {
                            return Ok(false);
                        }
                    }
                    transaction.commit()?;
                    Ok(true)
                })
                .await
            }
            Self::Postgres(pool) => {
                let mut client = pool.get().await?;
                let transaction = client.transaction().await?;
                for (sql, values) in statements {
                    if transaction.execute(&sql, &borrowed(&values)).await? != 1 {
                        transaction.rollback().await?;
                        return Ok(false);
                    }
                }
                transaction.commit().await?;
                Ok(true)
            }
        }
    }

    fn spelled(&self, sql: &str) -> String {
        let (bytes, now) = match self {
            Self::Sqlite(_) => ("BLOB", "unixepoch()"),
            Self::Postgres(_) => ("BYTEA", "CAST(extract(epoch FROM clock_timestamp()) AS BIGINT)"),
        };
        sql.replace("{bytes}", bytes).replace("{now}", now)
    }
}

/// Runs `work` where it may block.
async fn on<T: Send + 'static>(
    connection: &Arc<Mutex<Connection>>,
    work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
) -> Result<T> {
    let connection = connection.clone();
    spawn_blocking(move || work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))).await?
}

fn borrowed(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values
        .iter()
        .map(|value| match value {
            Value::Bytes(bytes) => bytes as &(dyn ToSql + Sync),
            Value::Text(text) => text,
            Value::Number(number) => number,
        })
        .collect()
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Integer(number) => Value::Number(number),
        // No column of ours holds another kind.
        ValueRef::Real(_) | ValueRef::Null => Value::Number(0),
    }
}

fn from_postgres(row: &tokio_postgres::Row) -> Result<Row> {
    let value = |index: usize| match *row.columns()[index].type_() {
        Type::BYTEA => Ok(Value::Bytes(row.try_get(index)?)),
        Type::TEXT => Ok(Value::Text(row.try_get(index)?)),
        Type::INT8 => Ok(Value::Number(row.try_get(index)?)),
        ref other => Err(anyhow!("no column of ours is a {other}")),
    };
    (0..row.len()).map(value).collect()
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Number(number) => ValueRef::Integer(*number),
        }))
    }
}
