//! Clients, resource servers and protected resources in a configuration file.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::audience::ProtectedResource;
use crate::id::{Audience, ClientId, Scopes, TextOf};
use crate::issue::RegisteredClient;

/// A server that may introspect tokens.
///
/// The secret is checked by the builder: its errors show no secret, and those of a file format show the line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bridge) struct ResourceServerInFile {
    pub(in crate::bridge) id: TextOf<ClientId>,
    pub(in crate::bridge) secret: SecretString,
    pub(in crate::bridge) audiences: Vec<TextOf<Audience>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RegisteredClientInFile {
    id: TextOf<ClientId>,
    name: String,
    site: Option<TextOf<Url>>,
    #[serde(default)]
    redirect_uris: Vec<String>,
    #[serde(default)]
    manages_devices: bool,
    #[serde(default)]
    exchanges_tokens: bool,
    #[serde(default)]
    impersonates: bool,
    secret: Option<SecretString>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedResourceInFile {
    resource: String,
    scopes: Option<TextOf<Scopes>>,
    name: Option<String>,
}

/// The keys `id`, `name`, `site`, `redirect_uris`, `manages_devices`, `exchanges_tokens`, `impersonates` and `secret`.
impl<'de> Deserialize<'de> for RegisteredClient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = RegisteredClientInFile::deserialize(deserializer)?;
        let client = Self::new(file.id, file.name).manages_devices(file.manages_devices);
        let client = client.exchanges_tokens(file.exchanges_tokens).impersonates(file.impersonates);
        let client = file.redirect_uris.into_iter().fold(client, Self::redirect_uri);
        let client = match file.site {
            Some(site) => client.site(site),
            None => client,
        };
        Ok(match file.secret {
            Some(secret) => client.secret(secret.expose_secret()),
            None => client,
        })
    }
}

/// The keys `resource`, `scopes` and `name`.
impl<'de> Deserialize<'de> for ProtectedResource {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let file = ProtectedResourceInFile::deserialize(deserializer)?;
        let resource = Self::new(file.resource);
        let resource = match file.scopes {
            Some(scopes) => resource.scopes(scopes),
            None => resource,
        };
        Ok(match file.name {
            Some(name) => resource.name(name),
            None => resource,
        })
    }
}
