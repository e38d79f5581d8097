//! `POST /oauth-client`: a person's bridge gets an OAuth client for its hooks.

use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};

use super::answer::{Answer, EndpointError, EndpointFailure, json};
use super::endpoint_caller::EndpointCaller;
use super::request_body::RequestBody;
use super::state::ServiceState;
use crate::caller::Caller;
use crate::clock::since_epoch;
use crate::id::{ClientId, Scope};
use crate::issue::{HookClient, HookKey, ProvisionError};
use crate::rejection::{InvalidCredential, Rejection};
use crate::store::DeviceQuery;
use crate::telemetry::note_reason;
use crate::token::{KeyError, never_null};

/// What a bridge may send about its client (RFC 7591 §2). Other members are ignored.
#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, deserialize_with = "never_null")]
    token_endpoint_auth_method: Option<Value>,
    #[serde(default, deserialize_with = "never_null")]
    jwks: Option<Value>,
    #[serde(default, deserialize_with = "never_null")]
    jwks_uri: Option<Value>,
}

/// What the answer says about a client with a secret (RFC 7591 §3.2.1).
#[derive(Serialize)]
struct Provisioned<'a> {
    client_id: &'a ClientId,
    client_secret: &'a str,
    scopes: Vec<&'a Scope>,
    token_endpoint: &'a str,
    /// Unix seconds: the absolute end of the device's session.
    client_secret_expires_at: u64,
}

/// What the answer says about a client with a key.
#[derive(Serialize)]
struct ProvisionedKey<'a> {
    client_id: &'a ClientId,
    scopes: Vec<&'a Scope>,
    token_endpoint: &'a str,
    token_endpoint_auth_method: &'static str,
    jwks: Value,
}

/// What a client will prove itself with.
enum Credential {
    Secret,
    /// A JWK.
    Key(String),
}

const PRIVATE_KEY_JWT: &str = "private_key_jwt";

pub(super) async fn answer(state: &ServiceState, parts: &Parts, body: RequestBody) -> Answer {
    if state.settings.endpoints.token.is_none() {
        return Err(EndpointError::not_found().into());
    }
    let user = EndpointCaller::bridge(state, parts)?;
    let metadata = if body.is_empty() { None } else { body.json::<Metadata>(&parts.headers).await? };
    let issuer = &state.issuer;
    let provisioned = match metadata.unwrap_or_default().credential()? {
        Credential::Secret => issuer.provision_client(user.caller).await.map(|client| with_secret(&client)),
        Credential::Key(jwk) => {
            issuer.provision_client_key(user.caller, &jwk).await.map(|key| with_key(&key))
        }
    };
    match provisioned {
        Ok(answer) => Ok(answer),
        Err(error) => Err(refused(state, &user, error).await),
    }
}

/// The maximum of devices have a credential. Lists them, so that the person can end the session of one.
async fn too_many_devices(state: &ServiceState, caller: &Caller) -> EndpointError {
    let mut query = DeviceQuery { limit: 1000, ..DeviceQuery::default() };
    let mut devices = Vec::new();
    // Few devices have credentials. But they may be older than a whole page of other devices.
    loop {
        let page = match state.admin.devices_of(caller.user_id(), &query).await {
            Ok(page) => page,
            Err(fault) => return EndpointError::unavailable(state, &fault),
        };
        devices.extend(page.devices.iter().filter(|device| device.has_credential()).map(|device| {
            object!({
                "session_id": device.session.id,
                "device_name": device.session.origin.device_name,
                "renewed_at": since_epoch(device.session.renewed_at).as_secs(),
            })
        }));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    EndpointError::new(
        StatusCode::CONFLICT,
        "too_many_devices",
        "As many devices as allowed have a secret or a key: see devices. End the session of one of them first.",
    )
    .member("devices", devices.into())
}

const INVALID_METADATA: EndpointError = EndpointError::new(
    StatusCode::BAD_REQUEST,
    "invalid_client_metadata",
    "To get a secret, send no body. To use a key, send token_endpoint_auth_method private_key_jwt, and jwks with one \
     public key: Ed25519, P-256, or RSA of 2048 to 4096 bits with its alg.",
);

const PRIVATE_KEY: EndpointError = EndpointError::new(
    StatusCode::BAD_REQUEST,
    "invalid_client_metadata",
    "The key in jwks is private, and is now disclosed. Make a new key pair, and send only its public half.",
);

impl Metadata {
    fn credential(&self) -> Result<Credential, EndpointError> {
        if self.jwks.as_ref().is_some_and(shows_private_key) {
            return Err(PRIVATE_KEY);
        }
        let method = self.token_endpoint_auth_method.as_ref().map(Value::as_str);
        let keys = self.jwks.as_ref().map(|jwks| jwks["keys"].as_array().map(Vec::as_slice));
        match (method, keys, &self.jwks_uri) {
            (None | Some(Some("client_secret_basic" | "client_secret_post")), None, None) => {
                Ok(Credential::Secret)
            }
            (Some(Some(PRIVATE_KEY_JWT)), Some(Some([key])), None) => Ok(Credential::Key(key.to_string())),
            _ => Err(INVALID_METADATA),
        }
    }
}

/// Whether a key set holds a private or symmetric key, however malformed the set is.
fn shows_private_key(jwks: &Value) -> bool {
    const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
    let keys = jwks["keys"].as_array().or_else(|| jwks.as_array());
    keys.map_or(std::slice::from_ref(jwks), Vec::as_slice)
        .iter()
        .any(|key| PRIVATE.iter().any(|member| key.get(member).is_some_and(|value| !value.is_null())))
}

fn with_secret(client: &HookClient) -> Response<Bytes> {
    let provisioned = Provisioned {
        client_id: &client.id,
        client_secret: client.secret.expose(),
        scopes: client.scopes.iter().collect(),
        token_endpoint: client.token_endpoint.as_str(),
        client_secret_expires_at: since_epoch(client.secret_expires_at).as_secs(),
    };
    json(StatusCode::OK, &provisioned)
}

fn with_key(client: &HookKey) -> Response<Bytes> {
    let key: Value = serde_json::from_str(&client.jwk).unwrap_or_default();
    let provisioned = ProvisionedKey {
        client_id: &client.id,
        scopes: client.scopes.iter().collect(),
        token_endpoint: client.token_endpoint.as_str(),
        token_endpoint_auth_method: PRIVATE_KEY_JWT,
        jwks: object!({ "keys": [key] }),
    };
    json(StatusCode::OK, &provisioned)
}

async fn refused(state: &ServiceState, user: &EndpointCaller<'_>, error: ProvisionError) -> EndpointFailure {
    match error {
        ProvisionError::Off | ProvisionError::NotAUser => EndpointError::not_found().into(),
        ProvisionError::Key(KeyError::Private) => PRIVATE_KEY.into(),
        ProvisionError::Key(_) => INVALID_METADATA.into(),
        // The session was live a moment ago, when the guard let the request in.
        ProvisionError::SessionNotLive => user.refuse(InvalidCredential::SessionRevoked.into()),
        ProvisionError::InsufficientScope { required } => {
            user.refuse(Rejection::InsufficientScope { required })
        }
        ProvisionError::TooManyDevices => too_many_devices(state, user.caller).await.into(),
        ProvisionError::Overlapped => {
            note_reason("overlapped", "calls of this person overlapped too often");
            EndpointError::too_many(Duration::from_secs(1)).into()
        }
        ProvisionError::Store(fault) => EndpointError::unavailable(state, &fault).into(),
    }
}
