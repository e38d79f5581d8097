//! A [`SqliteStore`](super::SqliteStore) in a configuration file.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::builder::SqliteStoreBuilder;
use super::store::SqliteStore;
use crate::validate::duration_text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InFile {
    path: PathBuf,
    readers: Option<usize>,
    #[serde(default, deserialize_with = "duration_text::given")]
    timeout: Option<Duration>,
}

/// The keys `path`, `readers` and `timeout` (feature `serde`).
impl<'de> Deserialize<'de> for SqliteStoreBuilder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = InFile::deserialize(deserializer)?;
        let mut builder = SqliteStore::builder(file.path);
        if let Some(readers) = file.readers {
            builder = builder.readers(readers);
        }
        if let Some(timeout) = file.timeout {
            builder = builder.timeout(timeout);
        }
        Ok(builder)
    }
}
