//! `bridge login`: the person signs in at the gateway, and this device gets a credential of its own.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use crate::credential::{Credential, Folder};
use crate::gateway::{Gateway, succeeded};
use crate::oauth::Token;
use crate::session::revoke;
use crate::{device, loopback, note, say};

/// How long the gateway may take for what this device can do without.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the person is asked to allow.
pub struct LoginRequest {
    pub client_id: String,
    /// `None`: what the gateway gives to this client.
    pub scope: Option<String>,
    /// `None`: all that bridges may call.
    pub resource: Option<Url>,
}

/// Where the person decides.
pub enum Place {
    /// In any browser, with a code.
    Anywhere { open: bool },
    /// In a browser on this machine.
    Here { open: bool, patience: Duration },
}

impl LoginRequest {
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.scope.iter().flat_map(|scope| scope.split_whitespace())
    }
}

/// Signs this device in, and stores its credential in place of the one before.
pub async fn login(gateway: &Gateway, folder: &Folder, wanted: &LoginRequest, place: &Place) -> Result<()> {
    let token = match place {
        Place::Anywhere { open } => device::grant(gateway, wanted, *open).await?,
        Place::Here { open, patience } => loopback::grant(gateway, wanted, *open, *patience).await?,
    };
    let credential = store(gateway, folder, wanted, token).await?;
    let who = credential.user_id().map_or_else(String::new, |user| format!(" as {user}"));
    if credential.refresh_token.is_none() {
        note("this gateway gave no refresh token: sign in again when the token expires");
    }
    say(&format!("signed in to {}{who}", credential.gateway))
}

async fn store(
    gateway: &Gateway,
    folder: &Folder,
    wanted: &LoginRequest,
    token: Token,
) -> Result<Credential> {
    let mut credential = Credential {
        gateway: gateway.url().clone(),
        client_id: Some(wanted.client_id.clone()),
        resource: wanted.resource.clone(),
        token: token.token,
        refresh_token: token.refresh_token,
        life: token.life,
        headers: Default::default(),
    };
    let _hooks_turn = folder.hooks_turn().await?;
    let _turn = folder.turn().await?;
    // A damaged one is no reason to lose the new one.
    let before = folder.credential().ok().flatten();
    folder.keep(&credential)?;
    folder.forget_hooks()?;
    if timeout(PATIENCE, identify(gateway, &mut credential)).await.is_ok_and(|known| known.is_ok()) {
        folder.keep(&credential)?;
    }
    if let Some(before) = before.filter(|before| before.gateway == credential.gateway) {
        let ended = timeout(PATIENCE, revoke(gateway, &before)).await;
        if !ended.is_ok_and(|ended| ended.is_ok()) {
            note("the session that this device had before could not be ended: see `bridge sessions`");
        }
    }
    Ok(credential)
}

/// Asks the gateway whose credential this is, and in which session.
async fn identify(gateway: &Gateway, credential: &mut Credential) -> Result<()> {
    if credential.resource.is_some() {
        return Ok(());
    }
    let answer = gateway.call(credential, Method::GET, "/v1/auth/bridge/sessions", None).await?;
    let answer: Value = succeeded(answer).await?.json().await?;
    let current = answer["sessions"].as_array().into_iter().flatten().find(|it| it["current"] == true);
    let found = [("x-user-id", &answer["user_id"]), ("x-session-id", &current.unwrap_or(&Value::Null)["id"])];
    for (header, value) in found {
        if let Some(value) = value.as_str() {
            credential.headers.insert(header.to_owned(), value.to_owned());
        }
    }
    Ok(())
}
