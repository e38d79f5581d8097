//! A gateway with all that OAuth offers, its clients, and the requests they send.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bridge_auth::BridgeBuilder;
use bridge_auth::audience::ProtectedResource;
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::json;
use url::form_urlencoded;

use crate::support::Backend;
use crate::support::bridge::{ISSUER, builder};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};

pub const FORM: &str = "application/x-www-form-urlencoded";
/// A resource that tokens may be asked for.
pub const MCP: &str = "https://gateway.example/mcp";
/// One that is described too.
pub const TOOLS: &str = "https://gateway.example/tools";
/// The host's own server, which serves the audience `mcp`.
pub const SERVER: &str = "mcp-server";
pub const SERVER_SECRET: &str = "c2VydmVyIHNlY3JldCBvZiAzMiByYW5kb20gYnl0ZXM";
/// A verifier and its challenge (RFC 7636, appendix B).
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

pub type Fields<'a> = &'a [(&'a str, &'a str)];

/// A hook client and its secret.
#[derive(Clone)]
pub struct Hook {
    pub id: String,
    pub secret: String,
}

/// A builder with every OAuth endpoint on.
pub async fn oauth_builder(db: &impl Backend) -> BridgeBuilder {
    with_oauth(builder(db).await)
}

pub fn with_oauth(builder: BridgeBuilder) -> BridgeBuilder {
    let url = |path: &str| format!("{ISSUER}{PREFIX}{path}");
    builder
        .token_endpoint(url("/token"))
        .introspection_endpoint(url("/introspect"))
        .revocation_endpoint(url("/revoke"))
        .other_audiences([MCP, "https://api.example"])
        .protected_resource(ProtectedResource::new(TOOLS))
        .resource_server(SERVER, SERVER_SECRET, ["mcp", MCP])
}

pub async fn gateway(db: &impl Backend) -> Gateway {
    Gateway::over(oauth_builder(db).await.build().unwrap()).await
}

/// The hook client of `person`, provisioned by a bridge that was just linked.
pub async fn hook(gateway: &Gateway, person: &str) -> Hook {
    hook_of(gateway, &gateway.link(person).await).await
}

/// The hook client that the bridge with `token` provisions.
pub async fn hook_of(gateway: &Gateway, token: &str) -> Hook {
    let answer = gateway.call(Method::POST, &format!("{PREFIX}/oauth-client"), token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    Hook { id: answer.text("client_id"), secret: answer.text("client_secret") }
}

/// Of so many provisions at once for the bridge with `token`, the one that was answered last.
///
/// On a busy machine an answer may arrive behind later ones. Then this is tried again: a secret that is really dead is dead
/// each time.
pub async fn last_of(many: usize, gateway: &Gateway, token: &str) -> Hook {
    for _ in 0..4 {
        let last = last_to_arrive(many, gateway, token).await;
        if last.ask(gateway, &[]).await.status == 200 {
            return last;
        }
    }
    last_to_arrive(many, gateway, token).await
}

async fn last_to_arrive(many: usize, gateway: &Gateway, token: &str) -> Hook {
    let answered = std::sync::Mutex::new(Vec::new());
    let provisions = (0..many).map(async |_| {
        let hook = hook_of(gateway, token).await;
        answered.lock().unwrap().push(hook);
    });
    futures_util::future::join_all(provisions).await;
    answered.into_inner().unwrap().pop().unwrap()
}

/// A code for `person` that only [`VERIFIER`] exchanges.
pub async fn pkce_code(gateway: &Gateway, person: &str) -> String {
    let body = json!({ "code_challenge": CHALLENGE, "code_challenge_method": "S256" });
    gateway.code_with(person, &body).await
}

/// The fields by which the bridge exchanges `code`.
pub fn code_grant(code: &str) -> [(&str, &str); 4] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", "sp_bridge"),
        ("code", code),
        ("code_verifier", VERIFIER),
    ]
}

/// A form for `endpoint`, not sent yet.
pub fn post(gateway: &Gateway, endpoint: &str, fields: Fields<'_>) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    raw_post(gateway, endpoint, &body).header(CONTENT_TYPE, FORM)
}

/// A body for `endpoint` without a media type, not sent yet.
pub fn raw_post(gateway: &Gateway, endpoint: &str, body: &str) -> reqwest::RequestBuilder {
    gateway.request(Method::POST, &format!("{PREFIX}{endpoint}")).body(body.to_owned())
}

/// What an `Authorization` header of the scheme `Basic` says for this very text.
pub fn basic(text: impl AsRef<[u8]>) -> String {
    format!("Basic {}", STANDARD.encode(text))
}

impl Hook {
    /// `client_secret_basic`, as RFC 6749 §2.3.1 has it.
    pub fn basic(&self) -> String {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        basic(format!("{}:{}", encoded(&self.id), encoded(&self.secret)))
    }

    /// A request to `endpoint` by this client.
    pub async fn send(&self, gateway: &Gateway, endpoint: &str, fields: Fields<'_>) -> Answer {
        send(post(gateway, endpoint, fields).header(AUTHORIZATION, self.basic())).await
    }

    /// Asks for a token, with more than the grant needs.
    pub async fn ask(&self, gateway: &Gateway, more: Fields<'_>) -> Answer {
        self.send(gateway, "/token", &[&[("grant_type", "client_credentials")], more].concat()).await
    }

    /// A token of this client.
    pub async fn token(&self, gateway: &Gateway) -> String {
        let answer = self.ask(gateway, &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.text("access_token")
    }
}

/// The host's own server, as a client.
pub fn server() -> Hook {
    Hook { id: SERVER.to_owned(), secret: SERVER_SECRET.to_owned() }
}

/// The payload of a token, which nobody has verified.
pub fn claims(token: &str) -> serde_json::Value {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
