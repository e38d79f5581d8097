//! `bridge token`: a fresh access token for a program that runs a command to get one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tokio::time::timeout;

use crate::gateway::Problem;
use crate::keeper::Keeper;
use crate::say;

/// How long the gateway may take to say that the session lives. The program waits for the token.
const PATIENCE: Duration = Duration::from_secs(5);

/// Prints the token and nothing else, or with `as_json` also when the token expires, in Unix seconds.
pub async fn print(keeper: &Arc<Keeper>, as_json: bool, check: bool) -> Result<()> {
    if check {
        check_session(keeper).await?;
    }
    let credential = keeper.credential_in_time().await?;
    if !as_json {
        return say(&credential.token);
    }
    let expires_at = credential.life.expires_at();
    say(&json!({ "token": credential.token, "expires_at": expires_at }).to_string())
}

/// Fails when the gateway says that the session has ended. A gateway that does not answer says nothing about it.
async fn check_session(keeper: &Arc<Keeper>) -> Result<(), Problem> {
    // The list of sessions is for tokens without a resource.
    if keeper.held().resource.is_some() {
        return Ok(());
    }
    let asked = timeout(PATIENCE, keeper.call(Method::GET, "/v1/auth/bridge/sessions?limit=1", None)).await;
    match asked {
        Ok(Err(problem @ Problem::SignedOut(_))) => Err(problem),
        _ => {
            // A renewal may have begun, and its answer must be stored.
            keeper.settle().await;
            Ok(())
        }
    }
}
