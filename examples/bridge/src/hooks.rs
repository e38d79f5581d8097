//! Tokens for this person's hooks. The hook client is provisioned when it is first needed, and its secret is stored.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::credential::Life;
use crate::gateway::Problem;
use crate::keeper::Keeper;

/// The hook client of one session, and its tokens.
#[derive(Deserialize, Serialize)]
struct HookClient {
    gateway: Url,
    /// The secret ends with this session.
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

/// What a hook token is requested for.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Wish {
    /// `None`: all scopes that the hook client may have.
    pub scope: Option<String>,
    /// `None`: the gateway's usual audience.
    pub resource: Option<String>,
}

/// Gets an OAuth client for the hooks, and stores it for [`token`].
pub async fn provision(keeper: &Arc<Keeper>) -> Result<Value, Problem> {
    let _turn = keeper.folder().hooks_turn().await?;
    let (answer, _) = provision_in_turn(keeper).await?;
    Ok(answer)
}

/// Returns a token for the hooks. A stored token is used until shortly before its end, unless `new` is set.
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
        // Another program provisioned this device again, or an operator removed the secret.
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
        member.with_context(|| format!("the gateway's answer has no {name}"))
    };
    let session = keeper.held();
    let client = HookClient {
        gateway: session.gateway.clone(),
        session_id: session.session_id().to_owned(),
        client_id: member("client_id")?,
        client_secret: member("client_secret")?,
        tokens: Vec::new(),
    };
    // The gateway shows the secret only once.
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
