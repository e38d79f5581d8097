//! The whole life of a bridge, played against running gateways and printed as it happens.

mod offboarding;
mod report;
mod stage;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use bridge_auth::header::X_USER_ID;
use bridge_auth::id::CodeVerifier;
use reqwest::Method;
use serde_json::{Value, json};

pub use self::report::Report;
use self::report::Scene;
use self::stage::{Answer, Call, Stage};
use super::company::Agent;
use super::identity_provider::IdentityProvider;

const BRIDGE: &str = "/v1/auth/bridge";

/// Where the demo is played.
pub struct Place<'a> {
    pub gateway: SocketAddr,
    /// The gateway's own name for itself.
    pub issuer: &'a str,
    /// Another gateway on the same database.
    pub another: SocketAddr,
    /// How long after a revocation the other gateway may still let in.
    pub lag: Duration,
    pub admin_token: &'a str,
    pub provider: &'a IdentityProvider,
    /// An agent, and the agent that it hires.
    pub planner: &'a Agent,
    pub researcher: &'a Agent,
}

/// Plays every scene and reports it. The first answer that is not as it should be ends the demo.
pub async fn play(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let played = scenes(place, report).await;
    report.close(played)
}

async fn scenes(place: &Place<'_>, report: &mut Report) -> Result<()> {
    let mut stage = Stage::new(&format!("http://{}", place.gateway), report)?;
    for secret in [place.admin_token, &place.planner.secret, &place.researcher.secret] {
        stage.keep_secret(secret);
    }
    let operator = format!("Bearer {}", place.admin_token);

    let linked = link(&mut stage).await?;
    use_it(&mut stage, &linked).await?;
    spoof(&mut stage, &linked).await?;
    revoke(&mut stage, &linked, &operator).await?;
    offboarding::play(&mut stage, place, &linked.cookie).await
}

/// A linked bridge, and what is shown again later.
struct Linked {
    /// Of the login.
    cookie: String,
    /// `Authorization` and the six identity headers, as the bridge was told to send them.
    headers: Vec<(String, String)>,
    session: String,
    exchange: Value,
}

impl Linked {
    fn call(&self, method: Method, path: &str) -> Call {
        self.headers.iter().fold(Call::new(method, path), |call, (name, value)| call.header(name, value))
    }
}

async fn link(stage: &mut Stage<'_>) -> Result<Linked> {
    stage.scene(Scene {
        name: "login",
        proves: "a person signs in with the gateway's own login",
        title: "Alice signs in at the gateway's own login",
    })?;
    let login = Call::new(Method::POST, "/demo/login")
        .json(json!({ "user_id": "alice", "scopes": "hook:govern hook:track" }));
    let answer = stage.call(login, 204).await?;
    let cookie = answer.header("set-cookie").split(';').next().unwrap_or_default().to_owned();

    stage.scene(Scene {
        name: "code",
        proves: "a signed-in person gets a one-time code",
        title: "She asks for a one-time code, bound to a challenge that her bridge made (PKCE)",
    })?;
    let verifier = CodeVerifier::random();
    stage.keep_secret(verifier.expose());
    let challenge = json!({
        "code_challenge": verifier.challenge().as_str(),
        "code_challenge_method": "S256",
    });
    let answer = stage.call(code_call(&cookie, challenge), 201).await?;
    stage.check("the code is 64 characters and is not to be cached", || {
        answer.text("code").len() == 64 && answer.header("cache-control") == "no-store"
    })?;

    stage.scene(Scene {
        name: "link",
        proves: "the bridge trades the code for a token and a session",
        title: "The bridge trades the code, once, for a token and a live session",
    })?;
    let exchange = json!({
        "code": answer.text("code"),
        "code_verifier": verifier.expose(),
        "device_name": "alice's laptop",
    });
    let answer = stage.call(exchange_call(&exchange), 200).await?;
    let headers = answer.body["headers"].as_object().cloned().unwrap_or_default();
    stage.check("there are six identity headers, and they say alice", || {
        headers.len() == 6 && answer.body["headers"]["x-user-id"] == "alice"
    })?;
    let identity = headers.iter().map(|(name, value)| (name.clone(), as_text(value)));
    let bearer = ("authorization".to_owned(), format!("Bearer {}", answer.text("token")));
    Ok(Linked {
        session: headers.get("x-session-id").map(as_text).unwrap_or_default(),
        headers: [bearer].into_iter().chain(identity).collect(),
        exchange,
        cookie,
    })
}

async fn use_it(stage: &mut Stage<'_>, linked: &Linked) -> Result<()> {
    stage.scene(Scene {
        name: "caller",
        proves: "the handler learns who calls, and never sees the token",
        title: "It calls a guarded route: the handler is told who calls",
    })?;
    let answer = stage.call(linked.call(Method::GET, "/v1/whoami"), 200).await?;
    stage.check("the caller is alice in her session, and the handler never sees the token", || {
        answer.text("user_id") == "alice"
            && answer.text("session_id") == linked.session
            && answer.body["headers"].get("authorization").is_none()
    })?;

    stage.scene(Scene {
        name: "upstream",
        proves: "the upstream gets the user's name, and never the token",
        title: "It sends a message, which the gateway passes to its upstream",
    })?;
    let message = json!({ "model": "small", "messages": [{ "role": "user", "content": "hello" }] });
    let call = linked.call(Method::POST, "/v1/messages").json(message.clone());
    let answer = stage.call(call, 200).await?;
    stage.check("the upstream got the message, alice's name and no token", || {
        let headers = &answer.body["headers"];
        answer.body["body"] == message
            && headers["x-user-id"] == "alice"
            && headers.get("authorization").is_none()
    })?;

    stage.scene(Scene {
        name: "sessions",
        proves: "the person sees the session and its device",
        title: "Alice looks at what is signed in as her",
    })?;
    let answer = stage.call(linked.call(Method::GET, &format!("{BRIDGE}/sessions")), 200).await?;
    stage.check("this session is among it, on her laptop", || {
        let sessions = answer.body["sessions"].as_array();
        let mut current = sessions.into_iter().flatten().filter(|session| session["current"] == true);
        current.next().is_some_and(|session| {
            session["id"] == linked.session && session["origin"]["device_name"] == "alice's laptop"
        })
    })?;

    stage.scene(Scene {
        name: "hooks",
        proves: "the bridge gets an OAuth client for its hooks",
        title: "The bridge gets an OAuth client for its hooks; the secret is shown this once",
    })?;
    let answer = stage.call(linked.call(Method::POST, &format!("{BRIDGE}/oauth-client")), 200).await?;
    stage.check("the client is alice's", || {
        answer.text("client_id") == "bridge:alice" && !answer.text("client_secret").is_empty()
    })
}

async fn spoof(stage: &mut Stage<'_>, linked: &Linked) -> Result<()> {
    stage.scene(Scene {
        name: "spoofing",
        proves: "a forged user name is removed, in both spellings",
        title: "It claims to be mallory, in two spellings",
    })?;
    let mut call = Call::new(Method::GET, "/v1/whoami").header("x_user_id", "mallory");
    for (name, value) in &linked.headers {
        call = call.header(name, if *name == X_USER_ID.as_str() { "mallory" } else { value });
    }
    let answer = stage.call(call, 200).await?;
    stage.check("both are dropped: the handler sees alice, and mallory nowhere", || {
        answer.body["headers"]["x-user-id"] == "alice" && !answer.body.to_string().contains("mallory")
    })?;

    stage.scene(Scene {
        name: "no token",
        proves: "a request without a token gets 401",
        title: "Someone comes without a token",
    })?;
    let answer = stage.call(Call::new(Method::GET, "/v1/whoami"), 401).await?;
    stage.check("they are asked for one, and accused of nothing", || {
        let challenge = answer.header("www-authenticate");
        challenge.starts_with("Bearer realm=\"gateway\", resource_metadata=") && !challenge.contains("error=")
    })
}

async fn revoke(stage: &mut Stage<'_>, linked: &Linked, operator: &str) -> Result<()> {
    stage.scene(Scene {
        name: "revoke",
        proves: "an operator revokes the session",
        title: "An operator revokes the session",
    })?;
    let path = format!("/admin/sessions/{}", linked.session);
    stage.call(Call::new(Method::DELETE, &path).header("authorization", operator), 204).await?;

    stage.scene(Scene {
        name: "revoked",
        proves: "the next request with the same token gets 401",
        title: "The very next request is refused, though the token has an hour to live",
    })?;
    let answer = stage.call(linked.call(Method::GET, "/v1/whoami"), 401).await?;
    stage.check("the bridge learns that it must link again, and no more", || {
        answer.text("code") == "invalid_token"
            && answer.header("www-authenticate").contains("error=\"invalid_token\"")
    })?;

    stage.scene(Scene {
        name: "replay",
        proves: "a code that was used before gets 400",
        title: "Someone who saw the code plays it again",
    })?;
    let replayed = stage.call(exchange_call(&linked.exchange), 400).await?;
    stage.scene(Scene {
        name: "guessing",
        proves: "a made-up code gets the same answer as a used one",
        title: "Someone makes a code up",
    })?;
    let made_up = json!({ "code": "0".repeat(64) });
    let unknown = stage.call(exchange_call(&made_up), 400).await?;
    stage.check("a spent code and an unknown one are answered alike", || {
        // Each request has a trace id of its own.
        let seen = |answer: &Answer| {
            let mut body = answer.body.clone();
            let trace = body.as_object_mut().and_then(|members| members.remove("trace_id"));
            (trace.is_some(), body, answer.header("cache-control").to_owned())
        };
        replayed.text("error") == "invalid_grant" && seen(&replayed) == seen(&unknown)
    })
}

fn code_call(cookie: &str, body: Value) -> Call {
    Call::new(Method::POST, &format!("{BRIDGE}/code")).header("cookie", cookie).json(body)
}

fn exchange_call(exchange: &Value) -> Call {
    Call::new(Method::POST, &format!("{BRIDGE}/session")).json(exchange.clone())
}

fn as_text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
