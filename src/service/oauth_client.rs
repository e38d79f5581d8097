//! `POST /oauth-client`: a person's bridge gets an OAuth client for its hooks.

use http::StatusCode;
use http::request::Parts;
use serde::Serialize;

use super::answer::{Answer, Failure, Refusal, json};
use super::guarded::Guarded;
use crate::bridge::Bridge;
use crate::clock::since_epoch;
use crate::id::{ClientId, Scope};
use crate::issue::ProvisionError;
use crate::reject::InvalidCredential;

/// What RFC 7591 §3.2.1 says of a client, as far as there is something to say.
#[derive(Serialize)]
struct Provisioned<'a> {
    client_id: &'a ClientId,
    client_secret: &'a str,
    scopes: Vec<&'a Scope>,
    token_endpoint: &'a str,
    /// Unix seconds; 0 is never.
    client_secret_expires_at: u64,
}

pub(super) async fn answer(bridge: &Bridge, parts: &Parts) -> Answer {
    if bridge.settings().token_endpoint.is_none() {
        return Err(Refusal::not_found().into());
    }
    let user = Guarded::user(bridge, parts)?;
    let client =
        bridge.issuer().provision_client(user.caller).await.map_err(|error| refused(bridge, &user, error))?;
    let provisioned = Provisioned {
        client_id: &client.id,
        client_secret: client.secret.expose(),
        scopes: client.scopes.iter().collect(),
        token_endpoint: client.token_endpoint.as_str(),
        client_secret_expires_at: client.secret_expires_at.map_or(0, |time| since_epoch(time).as_secs()),
    };
    Ok(json(StatusCode::OK, &provisioned))
}

fn refused(bridge: &Bridge, user: &Guarded<'_>, error: ProvisionError) -> Failure {
    match error {
        ProvisionError::Off | ProvisionError::NotAUser => Refusal::not_found().into(),
        // It was live a moment ago, when the guard let the request in.
        ProvisionError::SessionNotLive => user.refuse(&InvalidCredential::SessionRevoked.into()),
        ProvisionError::TooManyDevices => Refusal::new(
            StatusCode::CONFLICT,
            "too_many_devices",
            "As many devices as may be have a secret. End the session of one of them first.",
        )
        .into(),
        ProvisionError::Store(fault) => Refusal::unavailable(bridge, &fault).into(),
    }
}
