//! Client metadata documents in a configuration file.

use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};

use crate::client_metadata::ClientMetadata;
use crate::id::TextOf;
use crate::validate::duration_text;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientMetadataInFile {
    hosts: Hosts,
    max_documents: Option<u32>,
    #[serde(default, deserialize_with = "duration_text::given")]
    longest_life: Option<Duration>,
    #[serde(default, deserialize_with = "duration_text::given")]
    timeout: Option<Duration>,
    root_certificate_pem: Option<String>,
    #[serde(default)]
    danger_allow_addresses: Vec<TextOf<IpNet>>,
}

/// Which hosts may publish documents. A file must say so, because "any" lets everybody have a client.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a list of hosts such as [\"claude.ai\"], or \"any\"")]
enum Hosts {
    Any(Any),
    These(Vec<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Any {
    Any,
}

/// The keys `hosts` (a list, or `"any"`), `max_documents`, `longest_life`, `timeout`, `root_certificate_pem` and
/// `danger_allow_addresses`.
impl<'de> Deserialize<'de> for ClientMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = ClientMetadataInFile::deserialize(deserializer)?;
        let mut accepted = match file.hosts {
            Hosts::Any(Any::Any) => Self::open(),
            Hosts::These(hosts) => Self::from_hosts(hosts),
        };
        accepted = accepted
            .cache(file.max_documents.unwrap_or(Self::MAX_DOCUMENTS), file.longest_life.unwrap_or(Self::DAY));
        if let Some(timeout) = file.timeout {
            accepted = accepted.timeout(timeout);
        }
        if let Some(pem) = file.root_certificate_pem {
            accepted = accepted.root_certificate_pem(pem);
        }
        Ok(accepted.danger_allow_addresses(file.danger_allow_addresses))
    }
}
