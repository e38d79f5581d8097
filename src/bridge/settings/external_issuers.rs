//! External issuers in a configuration file. Their callers have no sessions: a mapping to sessions is code.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::external_issuer::{ExternalIssuer, ExternalSessions, HttpJwks};
use crate::id::{Scopes, TextOf};
use crate::token::Algorithm;
use crate::validate::{BuildError, duration_text};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bridge) struct ExternalIssuerInFile {
    issuer: String,
    jwks_uri: TextOf<Url>,
    /// The audience of this gateway, by the audience in the tokens of the issuer.
    audiences: BTreeMap<String, String>,
    algorithms: Option<Vec<Algorithm>>,
    scopes_from: Option<Vec<String>>,
    allow_scopes: Option<TextOf<Scopes>>,
    #[serde(default)]
    insecure_accept_plain_jwts: bool,
    #[serde(default, deserialize_with = "duration_text::given")]
    refresh_every: Option<Duration>,
    #[serde(default, deserialize_with = "duration_text::given")]
    refresh_at_most_every: Option<Duration>,
    #[serde(default, deserialize_with = "duration_text::given")]
    stale_for: Option<Duration>,
    #[serde(default, deserialize_with = "duration_text::given")]
    keys_deadline: Option<Duration>,
}

impl TryFrom<ExternalIssuerInFile> for ExternalIssuer {
    type Error = BuildError;

    fn try_from(file: ExternalIssuerInFile) -> Result<Self, BuildError> {
        let source = HttpJwks::new(file.jwks_uri)?;
        let mut issuer = Self::new(file.issuer, source, ExternalSessions::None);
        for (external, own) in file.audiences {
            issuer = issuer.audience(external, own);
        }
        if let Some(algorithms) = file.algorithms {
            issuer = issuer.algorithms(algorithms);
        }
        if let Some(claims) = file.scopes_from {
            issuer = issuer.scopes_from(claims);
        }
        if let Some(scopes) = file.allow_scopes {
            issuer = issuer.allow_scopes(scopes);
        }
        if file.insecure_accept_plain_jwts {
            issuer = issuer.insecure_accept_plain_jwts();
        }
        for (time, set) in [
            (file.refresh_every, Self::refresh_every as fn(Self, Duration) -> Self),
            (file.refresh_at_most_every, Self::refresh_at_most_every),
            (file.stale_for, Self::stale_for),
            (file.keys_deadline, Self::keys_deadline),
        ] {
            if let Some(time) = time {
                issuer = set(issuer, time);
            }
        }
        Ok(issuer)
    }
}
