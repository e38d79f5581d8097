//! Tokens for this person's hooks: the hook client is provisioned when it is first needed, and its secret kept.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::credential::Life;
use crate::gateway::Problem;
use crate::keeper::Keeper;

/// The hook client of one session, and the tokens it got.
#[derive(Deserialize, Serialize)]
struct HookClient {
    gateway: Url,
    /// Whose end is the secret's end too.
    session_id: String,
    client_id: String,
    client_secret: String,
    tokens: Vec<HookToken>,
}

#[derive(Deserialize, Serialize)]
struct HookToken {
    wish: Wish,
    token: String,
    #[serde(flatten)]
    life: Life,
}

/// What a hook token shall be good for.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Wish {
    /// `None` is all that the hook client may do.
    pub scope: Option<String>,
    /// `None` is the gateway's usual audience.
    pub resource: Option<String>,
}

/// Gets an OAuth client for the hooks, and keeps it for [`token`].
pub async fn provision(keeper: &Arc<Keeper>) -> Result<Value, Problem> {
    let _turn = keeper.folder().hooks_turn().await?;
    let (answer, _) = provision_in_turn(keeper).await?;
    Ok(answer)
}

/// A token for the hooks: a kept one until shortly before its end, unless it must be `new`.
pub async fn token(keeper: &Arc<Keeper>, wish: &Wish, new: bool) -> Result<String, Problem> {
    let _turn = keeper.folder().hooks_turn().await?;
    let kept: Option<HookClient> = keeper.folder().hooks()?;
    let Some(mut client) = kept.filter(|kept| kept.is_of(keeper)) else {
        let (_, mut client) = provision_in_turn(keeper).await?;
        return client.fetch(keeper, wish).await;
    };
    client.tokens.retain(|kept| !kept.life.is_due());
    match client.tokens.iter().find(|kept| kept.wish == *wish) {
        Some(kept) if !new => return Ok(kept.token.clone()),
        _ => {}
    }
    match client.fetch(keeper, wish).await {
        // Another program has provisioned this device anew, or an operator took the secret away.
        Err(Problem::InvalidClient) => {
            let (_, mut client) = provision_in_turn(keeper).await?;
            client.fetch(keeper, wish).await
        }
        token => token,
    }
}

async fn provision_in_turn(keeper: &Arc<Keeper>) -> Result<(Value, HookClient), Problem> {
    let answer = keeper.call_json(Method::POST, "/v1/auth/bridge/oauth-client").await?;
    let member = |name: &str| {
        let member = answer[name].as_str().map(ToOwned::to_owned);
        member.with_context(|| format!("the gateway sent no {name}"))
    };
    let session = keeper.held();
    let client = HookClient {
        gateway: session.gateway.clone(),
        session_id: session.session_id().to_owned(),
        client_id: member("client_id")?,
        client_secret: member("client_secret")?,
        tokens: Vec::new(),
    };
    // It is shown once.
    keeper.folder().keep_hooks(&client)?;
    Ok((answer, client))
}

impl HookClient {
    fn is_of(&self, keeper: &Keeper) -> bool {
        let session = keeper.held();
        self.gateway == session.gateway && self.session_id == session.session_id()
    }

    async fn fetch(&mut self, keeper: &Keeper, wish: &Wish) -> Result<String, Problem> {
        let client = (self.client_id.as_str(), self.client_secret.as_str());
        let (scope, resource) = (wish.scope.as_deref(), wish.resource.as_deref());
        let fresh = keeper.gateway().client_credentials(client, scope, resource).await?;
        self.tokens.retain(|kept| kept.wish != *wish);
        self.tokens.push(HookToken { wish: wish.clone(), token: fresh.token.clone(), life: fresh.life });
        keeper.folder().keep_hooks(self)?;
        Ok(fresh.token)
    }
}
