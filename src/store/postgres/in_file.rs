//! A [`PostgresStore`](super::PostgresStore) in a configuration file.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::builder::PostgresStoreBuilder;
use super::store::PostgresStore;
use crate::validate::duration_text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InFile {
    /// It may hold a password.
    url: SecretString,
    pool_size: Option<usize>,
    #[serde(default, deserialize_with = "duration_text::given")]
    wait_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration_text::given")]
    connect_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration_text::given")]
    statement_timeout: Option<Duration>,
    #[serde(default, deserialize_with = "duration_text::given")]
    write_timeout: Option<Duration>,
    root_certificates: Option<PathBuf>,
    migrate: Option<bool>,
}

/// The key `url`, and a key for each method: `pool_size`, `wait_timeout`, `connect_timeout`, `statement_timeout`,
/// `write_timeout`, `root_certificates` and `migrate` (feature `serde`).
impl<'de> Deserialize<'de> for PostgresStoreBuilder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = InFile::deserialize(deserializer)?;
        let mut builder = PostgresStore::builder(file.url.expose_secret());
        if let Some(connections) = file.pool_size {
            builder = builder.pool_size(connections);
        }
        for (time, set) in [
            (file.wait_timeout, Self::wait_timeout as fn(Self, Duration) -> Self),
            (file.connect_timeout, Self::connect_timeout),
            (file.statement_timeout, Self::statement_timeout),
            (file.write_timeout, Self::write_timeout),
        ] {
            if let Some(time) = time {
                builder = set(builder, time);
            }
        }
        if let Some(certificates) = file.root_certificates {
            builder = builder.root_certificates(certificates);
        }
        if let Some(migrate) = file.migrate {
            builder = builder.migrate(migrate);
        }
        Ok(builder)
    }
}
