//! The session of this device: what the gateway says about it, and its end.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::credential::{Credential, Folder};
use crate::gateway::{Gateway, Problem, is_invalid_token, succeeded};
use crate::keeper::Keeper;
use crate::say;

/// Lists the person's sessions.
pub async fn list(keeper: &Arc<Keeper>) -> Result<()> {
    let answer = sessions(keeper).await?;
    for session in answer["sessions"].as_array().context("the gateway's answer has no list of sessions")? {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let origin = &session["origin"];
        say(&format!(
            "{} {}  {}  {}  {}  {} min left",
            if session["current"] == true { '*' } else { ' ' },
            text(&session["id"]),
            text(&session["call_source"]),
            text(&origin["device_name"]),
            text(&origin["address"]),
            left(&session["expires_at"]).as_secs() / 60,
        ))?;
    }
    Ok(())
}

/// Says who is signed in, at which gateway and until when, once the gateway has confirmed it.
pub async fn status(keeper: &Arc<Keeper>, as_json: bool) -> Result<()> {
    // The gateway lists no sessions for a token of one resource.
    let answer = if keeper.held().resource.is_some() { Value::Null } else { sessions(keeper).await? };
    let sessions = answer["sessions"].as_array().into_iter().flatten();
    let session = sessions.clone().find(|session| session["current"] == true);
    let credential = keeper.credential().await?;
    let session = session.unwrap_or(&Value::Null);
    let user = answer["user_id"].as_str().or(credential.user_id());
    if as_json {
        return say(&json!({
            "gateway": credential.gateway,
            "user_id": user,
            "client_id": credential.client_id(),
            "session_id": session["id"],
            "resource": credential.resource,
            "token_expires_at": credential.life.expires_at(),
            "session_expires_at": session["expires_at"],
            "session_ends_at": session["ends_at"],
        })
        .to_string());
    }
    say(&format!("signed in to {} as {}", credential.gateway, user.unwrap_or("someone it does not name")))?;
    if let Some(id) = session["id"].as_str() {
        let (expires, ends) = (spoken(left(&session["expires_at"])), spoken(left(&session["ends_at"])));
        say(&format!("session {id}: ends in {expires} unless it is renewed, and in {ends} at the latest"))?;
    }
    let renewal = match credential.refresh_token {
        Some(_) => "then it is renewed",
        None => "then sign in again: the gateway gave no refresh token",
    };
    say(&format!(
        "token of {}: good for {}, {renewal}",
        credential.client_id(),
        spoken(credential.life.left())
    ))
}

/// Ends the session at the gateway, and removes the credential.
pub async fn log_out(gateway: &Gateway, folder: &Folder) -> Result<()> {
    // No other process may renew the credential in between.
    let _turn = folder.turn().await?;
    if let Some(credential) = folder.credential()? {
        revoke(gateway, &credential).await?;
    }
    folder.forget()?;
    say("logged out")
}

/// Revokes the credential (RFC 7009), and its session with it. A gateway without a revocation endpoint has `/logout`.
pub async fn revoke(gateway: &Gateway, credential: &Credential) -> Result<(), Problem> {
    let Some(endpoint) = gateway.revocation_endpoint().await? else {
        let answer = gateway.call(credential, Method::POST, "/v1/auth/bridge/logout", None).await?;
        // The session has ended already.
        if is_invalid_token(answer.status(), answer.headers()) {
            return Ok(());
        }
        return succeeded(answer).await.map(drop);
    };
    // The refresh token ends the session also after the access token has expired.
    let (token, kind) = match &credential.refresh_token {
        Some(token) => (token, "refresh_token"),
        None => (&credential.token, "access_token"),
    };
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", credential.client_id())
        .append_pair("token", token)
        .append_pair("token_type_hint", kind)
        .finish();
    let request = gateway.request_to(Method::POST, &endpoint);
    let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form);
    succeeded(gateway.send(request).await?).await.map(drop)
}

async fn sessions(keeper: &Arc<Keeper>) -> Result<Value, Problem> {
    keeper.call_json(Method::GET, "/v1/auth/bridge/sessions").await
}

/// How long until a time in Unix seconds.
fn left(time: &Value) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(time.as_u64().unwrap_or_default()).saturating_sub(now)
}

fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ ..7200 => format!("{} min", seconds / 60),
        seconds @ ..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
