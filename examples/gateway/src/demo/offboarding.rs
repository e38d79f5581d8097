//! The second part: a person is let in on every road, leaves the company, and is out on all of them.

use std::time::Duration;

use anyhow::Result;
use reqwest::Method;
use serde_json::json;
use tokio::time::sleep;

use super::report::Scene;
use super::stage::{Call, Stage};
use super::{BRIDGE, Place, code_call, exchange_call};
use crate::company::Agent;

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Plays it. `cookie` says that Alice is signed in at the gateway's own login.
pub async fn play(stage: &mut Stage<'_>, place: &Place<'_>, cookie: &str) -> Result<()> {
    let (bridge, hook) = link_again(stage, cookie).await?;
    let (vouched, assertion) = vouch(stage, place).await?;
    let (agent, its_agent) = delegate(stage, place, &bridge).await?;
    let tokens = Tokens { bridge, hook, vouched, agent, its_agent };
    both_let_in(stage, place, &tokens).await?;
    leave(stage, place).await?;
    all_are_out(stage, place, &tokens).await?;
    no_return(stage, place, cookie, &assertion).await?;
    rehire(stage, place, &tokens).await
}

/// What lets in as Alice.
struct Tokens {
    bridge: String,
    hook: String,
    vouched: String,
    agent: String,
    its_agent: String,
}

/// The tokens of a new bridge and of its hook.
async fn link_again(stage: &mut Stage<'_>, cookie: &str) -> Result<(String, String)> {
    stage.scene(Scene {
        name: "again",
        proves: "her bridge links again, and its hook gets a token",
        title: "Alice links her bridge again, and a hook of the bridge gets a token of its own",
    })?;
    let code = stage.call(code_call(cookie, json!({})), 201).await?;
    let access = stage.call(exchange_call(&json!({ "code": code.text("code") })), 200).await?;
    let bridge = access.text("token").to_owned();
    let provision = Call::new(Method::POST, &format!("{BRIDGE}/oauth-client")).bearer(&bridge);
    let client = stage.call(provision, 200).await?;
    let ask = token_call(&[
        ("grant_type", "client_credentials"),
        ("scope", "hook:track"),
        ("client_id", client.text("client_id")),
        ("client_secret", client.text("client_secret")),
    ]);
    let answer = stage.call(ask, 200).await?;
    Ok((bridge, answer.text("access_token").to_owned()))
}

/// The token that an assertion of the identity provider opened, and one more assertion.
async fn vouch(stage: &mut Stage<'_>, place: &Place<'_>) -> Result<(String, String)> {
    stage.scene(Scene {
        name: "company",
        proves: "the company vouches for her, and an agent gets a token",
        title: "The company's identity provider vouches for Alice to an agent, which trades that for a token (ID-JAG)",
    })?;
    let assertion = ask_for_assertion(stage, place).await?;
    let answer = stage.call(vouched_call(place.planner, &assertion), 200).await?;
    stage.check("there is no refresh token", || answer.body.get("refresh_token").is_none())?;
    let token = answer.text("access_token").to_owned();
    let answer = stage.call(whoami(&format!("http://{}", place.gateway), &token), 200).await?;
    stage.check("the agent calls as alice, with the scope of the assertion", || {
        answer.text("user_id") == "alice"
            && answer.text("client_id") == place.planner.id
            && answer.body["scopes"] == json!(["hook:track"])
    })?;
    Ok((token, ask_for_assertion(stage, place).await?))
}

/// The company says that Alice may use the agent here. Alice signs in at the company, and the agent asks.
async fn ask_for_assertion(stage: &mut Stage<'_>, place: &Place<'_>) -> Result<String> {
    let provider = place.provider.issuer();
    let sign_in = Call::new(Method::POST, &format!("{provider}/people/alice/id-token"));
    let signed_in = stage.call(sign_in, 200).await?;
    let ask = Call::new(Method::POST, &format!("{provider}/token")).form(&[
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("subject_token", signed_in.text("id_token")),
        ("subject_token_type", ID_TOKEN),
        ("audience", place.issuer),
        ("resource", place.issuer),
        ("client_id", &place.planner.id),
        ("scope", "hook:track"),
    ]);
    let answer = stage.call(ask, 200).await?;
    Ok(answer.text("access_token").to_owned())
}

/// The token of an agent that acts for Alice, and that of an agent of the agent.
async fn delegate(stage: &mut Stage<'_>, place: &Place<'_>, bridge: &str) -> Result<(String, String)> {
    stage.scene(Scene {
        name: "agent",
        proves: "an agent acts for her, with less than she may do",
        title: "Her bridge hires an agent, which exchanges the bridge's token for one of its own (RFC 8693)",
    })?;
    let gateway = format!("http://{}", place.gateway);
    let answer = stage.call(delegated_call(place.planner, bridge), 200).await?;
    let agent = answer.text("access_token").to_owned();
    let answer = stage.call(whoami(&gateway, &agent), 200).await?;
    stage.check("the handler sees alice, and the agent that acts for her", || {
        answer.text("user_id") == "alice"
            && answer.body["actor"]["sub"] == place.planner.id
            && answer.body["scopes"] == json!(["hook:track"])
    })?;

    stage.scene(Scene {
        name: "its agent",
        proves: "the agent's own agent does too, and both are named",
        title: "The agent hires an agent in turn",
    })?;
    let answer = stage.call(delegated_call(place.researcher, &agent), 200).await?;
    let its_agent = answer.text("access_token").to_owned();
    let answer = stage.call(whoami(&gateway, &its_agent), 200).await?;
    stage.check("the handler sees alice, the agent, and before it the agent that hired it", || {
        let actor = &answer.body["actor"];
        answer.text("user_id") == "alice"
            && actor["sub"] == place.researcher.id
            && actor["act"]["sub"] == place.planner.id
    })?;
    Ok((agent, its_agent))
}

async fn both_let_in(stage: &mut Stage<'_>, place: &Place<'_>, tokens: &Tokens) -> Result<()> {
    stage.scene(Scene {
        name: "both",
        proves: "another gateway on the same database admits all five",
        title: "Another gateway on the same database lets in all five of them",
    })?;
    let another = format!("http://{}", place.another);
    let Tokens { bridge, hook, vouched, agent, its_agent } = tokens;
    for token in [bridge, hook, vouched, agent, its_agent] {
        stage.call(whoami(&another, token), 200).await?;
    }
    Ok(())
}

async fn leave(stage: &mut Stage<'_>, place: &Place<'_>) -> Result<()> {
    stage.scene(Scene {
        name: "leaves",
        proves: "the company tells one of the gateways that she left",
        title: "Alice leaves the company: its identity provider pushes a security event to one of the gateways",
    })?;
    let call = Call::new(Method::POST, &format!("{}/people/alice/leave", place.provider.issuer()));
    stage.call(call, 204).await?;
    if place.lag > Duration::ZERO {
        stage
            .check("both gateways are told how old their answers may be: the demo waits so long", || true)?;
        sleep(place.lag).await;
    }
    Ok(())
}

async fn all_are_out(stage: &mut Stage<'_>, place: &Place<'_>, tokens: &Tokens) -> Result<()> {
    stage.scene(Scene {
        name: "bridge",
        proves: "her bridge gets 401 at its next request, from both",
        title: "The bridge calls each gateway: its next request is refused",
    })?;
    is_out(stage, place, &tokens.bridge).await?;

    stage.scene(Scene {
        name: "hook",
        proves: "her hook gets 401, from both",
        title: "So is that of the hook",
    })?;
    is_out(stage, place, &tokens.hook).await?;

    stage.scene(Scene {
        name: "agents",
        proves: "the agent gets 401 from both, and so does its agent",
        title: "So is that of the agent, and that of the agent's agent",
    })?;
    is_out(stage, place, &tokens.agent).await?;
    is_out(stage, place, &tokens.its_agent).await?;

    stage.scene(Scene {
        name: "vouched",
        proves: "so does the agent that the company vouched for",
        title: "So is that of the agent that the company vouched for her to",
    })?;
    is_out(stage, place, &tokens.vouched).await
}

/// Both gateways refuse the token.
async fn is_out(stage: &mut Stage<'_>, place: &Place<'_>, token: &str) -> Result<()> {
    for gateway in [place.another, place.gateway] {
        let answer = stage.call(whoami(&format!("http://{gateway}"), token), 401).await?;
        stage.check("the token is called bad", || answer.text("code") == "invalid_token")?;
    }
    Ok(())
}

async fn no_return(stage: &mut Stage<'_>, place: &Place<'_>, cookie: &str, assertion: &str) -> Result<()> {
    stage.scene(Scene {
        name: "no return",
        proves: "an assertion from before gets 400, and a login 403",
        title: "The agent has one more assertion from before Alice left, and she is still signed in at the login",
    })?;
    let answer = stage.call(vouched_call(place.planner, assertion), 400).await?;
    stage.check("the assertion opens no session", || answer.text("error") == "invalid_grant")?;
    stage.call(code_call(cookie, json!({})), 403).await?;
    Ok(())
}

async fn rehire(stage: &mut Stage<'_>, place: &Place<'_>, tokens: &Tokens) -> Result<()> {
    stage.scene(Scene {
        name: "rehired",
        proves: "she may come back, and what has ended stays ended",
        title: "Alice is hired again: an operator enables her, and the company vouches for her anew",
    })?;
    let enable = Call::new(Method::POST, "/admin/users/alice/enable");
    stage.call(enable.bearer(place.admin_token), 204).await?;
    let come_back = format!("{}/people/alice/return", place.provider.issuer());
    stage.call(Call::new(Method::POST, &come_back), 204).await?;
    // An assertion says to the second when it was issued. It must be after she was disabled.
    sleep(Duration::from_secs(1)).await;
    let assertion = ask_for_assertion(stage, place).await?;
    stage.call(vouched_call(place.planner, &assertion), 200).await?;
    is_out(stage, place, &tokens.bridge).await?;
    is_out(stage, place, &tokens.its_agent).await
}

fn whoami(gateway: &str, token: &str) -> Call {
    Call::new(Method::GET, &format!("{gateway}/v1/whoami")).bearer(token)
}

fn token_call(form: &[(&str, &str)]) -> Call {
    Call::new(Method::POST, &format!("{BRIDGE}/token")).form(form)
}

/// An agent shows an assertion.
fn vouched_call(agent: &Agent, assertion: &str) -> Call {
    token_call(&[
        ("grant_type", JWT_BEARER),
        ("assertion", assertion),
        ("client_id", &agent.id),
        ("client_secret", &agent.secret),
    ])
}

/// An agent exchanges a token.
fn delegated_call(agent: &Agent, token: &str) -> Call {
    token_call(&[
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", ACCESS_TOKEN),
        ("scope", "hook:track"),
        ("client_id", &agent.id),
        ("client_secret", &agent.secret),
    ])
}
