//! Claude Code's "Cloud gateway" login, request by request: first as the client sends it, then what others see of it.

use std::time::Duration;

use axum::Router;
use axum::routing::post as route_post;
use bridge_auth::issue::RegisteredClient;
use bridge_auth::rejection::ProblemJson;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BridgeBuilder, BuildError};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tower::Layer as _;
use url::Url;

use super::given::{
    Codes, DEVICE_CODE, EDITOR, FORM, Fields, basic, decide, poll, post, sign_in_builder, start, with_sign_in,
};
use crate::oauth::given::{claims, hook, oauth_builder, server};
use crate::support::bridge::{ISSUER, user};
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, ListedByAdmin as _, SqliteBackend};

crate::store::promises![
    claude_code_signs_in_calls_refreshes_and_signs_out,
    a_refused_refresh_sends_claude_code_to_sign_in_again,
    a_person_who_is_locked_out_is_asked_to_sign_in_again,
];

/// How versions of the client name themselves in their forms.
#[derive(Debug, Clone, Copy)]
enum Dialect {
    /// 2.1.278: nothing. The device grant starts without a body.
    Nothing,
    /// An empty form.
    EmptyForm,
    /// `client_id=claude-code` everywhere.
    Named,
}

const DIALECTS: [Dialect; 3] = [Dialect::Nothing, Dialect::EmptyForm, Dialect::Named];

/// The client. It knows the base URL, and all else from the metadata.
struct Claude<'g> {
    gateway: &'g Gateway,
    dialect: Dialect,
    metadata: Value,
}

impl<'g> Claude<'g> {
    async fn discover(gateway: &'g Gateway, dialect: Dialect) -> Self {
        let path = "/.well-known/oauth-authorization-server";
        let answer = send(gateway.request(Method::GET, path)).await;
        assert_eq!(answer.status, StatusCode::OK);
        Self { gateway, dialect, metadata: answer.json() }
    }

    /// A form for an endpoint of the metadata. The client takes no endpoint of another origin than the base's.
    fn form(&self, endpoint: &str, fields: Fields<'_>) -> RequestBuilder {
        let url: Url = self.metadata[endpoint].as_str().unwrap().parse().unwrap();
        assert_eq!(url.origin(), ISSUER.parse::<Url>().unwrap().origin());
        let named = [("client_id", "claude-code")];
        let fields = [fields, if matches!(self.dialect, Dialect::Named) { &named } else { &[] }].concat();
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.gateway.request(Method::POST, url.path()).header(CONTENT_TYPE, FORM).body(body)
    }

    async fn start(&self) -> Codes {
        let url: Url = self.metadata["device_authorization_endpoint"].as_str().unwrap().parse().unwrap();
        let request = match self.dialect {
            Dialect::Nothing => self.gateway.request(Method::POST, url.path()),
            _ => self.form("device_authorization_endpoint", &[]),
        };
        let answer = send(request.header("user-agent", "claude-cli/2.1.278")).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let complete = format!("{}?user_code={}", answer.text("verification_uri"), answer.text("user_code"));
        assert_eq!(answer.text("verification_uri_complete"), complete);
        assert_eq!((&answer.json()["expires_in"], &answer.json()["interval"]), (&json!(600), &json!(5)));
        Codes { device: answer.text("device_code"), user: answer.text("user_code") }
    }

    async fn poll(&self, codes: &Codes) -> Answer {
        let fields = [("grant_type", DEVICE_CODE), ("device_code", codes.device.as_str())];
        send(self.form("token_endpoint", &fields)).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        send(self.form("token_endpoint", &fields)).await
    }

    /// `/logout`: both tokens, one request each.
    async fn sign_out(&self, tokens: &Answer) {
        for (member, hint) in [("access_token", "access_token"), ("refresh_token", "refresh_token")] {
            let token = tokens.text(member);
            let fields = [("token", token.as_str()), ("token_type_hint", hint)];
            let answer = send(self.form("revocation_endpoint", &fields)).await;
            assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({})), "{member}");
        }
    }

    async fn ask(&self, token: &str) -> Answer {
        send(message(self.gateway).bearer_auth(token)).await
    }

    /// Everything up to the tokens.
    async fn sign_in(&self, person: &str) -> Answer {
        let codes = self.start().await;
        assert_eq!(decide(self.gateway, person, &codes, "allow").await.status, StatusCode::OK);
        let tokens = self.poll(&codes).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
        tokens
    }
}

/// A call of the Messages API as the client makes it, without a token.
fn message(gateway: &Gateway) -> RequestBuilder {
    gateway
        .request(Method::POST, "/v1/messages?beta=true")
        .header(CONTENT_TYPE, "application/json")
        .header("anthropic-version", "2023-06-01")
        .header("anthropic-beta", "oauth-2025-04-20")
        .header("x-app", "cli")
        .header("x-stainless-lang", "js")
        .body(r#"{"model":"claude-sonnet-4-5","max_tokens":1,"messages":[]}"#)
}

async fn builder(db: &impl Backend) -> BridgeBuilder {
    sign_in_builder(db).await.gateway_login(true)
}

/// A gateway whose `/v1/messages` answers everyone who is let in.
async fn gateway(builder: BridgeBuilder) -> Gateway {
    let bridge = builder.build().unwrap();
    let messages =
        Router::new().route("/v1/messages", route_post(async || "{}")).layer(bridge.layer("bridge").unwrap());
    let plain = Router::new()
        .route("/v1/plain", route_post(async || "{}"))
        .layer(bridge.layer("bridge").unwrap().rejection_body(ProblemJson));
    Gateway::with_routes(bridge, messages.merge(plain)).await
}

/// Whether it is an error that the client's SDK reads.
fn is_api_error(answer: &Answer, status: u16, error: &str) -> bool {
    let body = answer.json();
    answer.status == status
        && answer.header("content-type") == "application/json"
        && answer.is_not_stored()
        && body["type"] == "error"
        && body["error"]["type"] == error
        && body["error"]["message"].as_str().is_some_and(|message| !message.is_empty())
}

async fn claude_code_signs_in_calls_refreshes_and_signs_out(db: impl Backend) {
    let gateway = gateway(builder(&db).await).await;
    for dialect in DIALECTS {
        let claude = Claude::discover(&gateway, dialect).await;
        assert_eq!(claude.metadata["gateway_protocol_version"], 1);
        let grants = claude.metadata["grant_types_supported"].as_array().unwrap();
        assert!([DEVICE_CODE, "refresh_token"].iter().all(|grant| grants.contains(&json!(grant))));

        let codes = claude.start().await;
        let pending = claude.poll(&codes).await;
        assert!(pending.is_oauth_error(400, "authorization_pending"), "{dialect:?} {pending:?}");
        let early = claude.poll(&codes).await;
        assert!(early.is_oauth_error(400, "slow_down"), "{dialect:?} {early:?}");
        assert_eq!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
        db.pass_time(Duration::from_secs(11)).await;
        let tokens = claude.poll(&codes).await;
        assert_eq!((tokens.status, tokens.text("token_type")), (StatusCode::OK, "Bearer".to_owned()));
        assert!(tokens.is_not_stored() && tokens.json()["expires_in"].as_u64() == Some(3600));
        assert_eq!(claims(&tokens.text("access_token"))["client_id"], "sp_bridge");
        assert_eq!(claude.ask(&tokens.text("access_token")).await.status, StatusCode::OK);

        let refreshed = claude.refresh(&tokens.text("refresh_token")).await;
        assert_eq!(refreshed.status, StatusCode::OK, "{dialect:?} {refreshed:?}");
        assert_ne!(refreshed.text("refresh_token"), tokens.text("refresh_token"));
        assert_eq!(claude.ask(&refreshed.text("access_token")).await.status, StatusCode::OK);

        claude.sign_out(&refreshed).await;
        let refused = claude.ask(&refreshed.text("access_token")).await;
        assert!(is_api_error(&refused, 401, "authentication_error"), "{refused:?}");
        assert!(claude.refresh(&refreshed.text("refresh_token")).await.is_oauth_error(401, "invalid_grant"));
    }
}

async fn a_refused_refresh_sends_claude_code_to_sign_in_again(db: impl Backend) {
    let gateway = gateway(builder(&db).await).await;
    for dialect in DIALECTS {
        let claude = Claude::discover(&gateway, dialect).await;
        let tokens = claude.sign_in("alice").await;
        for session in gateway.bridge.admin().sessions_of(&user("alice")).await.unwrap() {
            gateway.bridge.admin().revoke_session(&session.id).await.unwrap();
        }
        let denied = claude.ask(&tokens.text("access_token")).await;
        assert!(is_api_error(&denied, 401, "authentication_error"), "{denied:?}");
        for token in [&*tokens.text("refresh_token"), "never-issued"] {
            let refused = claude.refresh(token).await;
            assert!(refused.is_oauth_error(401, "invalid_grant"), "{dialect:?} {refused:?}");
            assert!(refused.header("www-authenticate").starts_with("Basic "), "RFC 9110 §15.5.2");
        }
        // Signing in again works.
        let again = claude.sign_in("alice").await;
        assert_eq!(claude.ask(&again.text("access_token")).await.status, StatusCode::OK);
    }
}

async fn a_person_who_is_locked_out_is_asked_to_sign_in_again(db: impl Backend) {
    let gateway = gateway(builder(&db).await).await;
    let claude = Claude::discover(&gateway, Dialect::Nothing).await;
    let tokens = claude.sign_in("alice").await;
    assert_eq!(gateway.operate(Method::POST, "/users/alice/disable").await.status, StatusCode::NO_CONTENT);
    assert!(claude.refresh(&tokens.text("refresh_token")).await.is_oauth_error(401, "invalid_grant"));
    let codes = claude.start().await;
    assert_ne!(decide(&gateway, "alice", &codes, "allow").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_registered_claude_code_is_the_client_whichever_way_it_asks() {
    let db = SqliteBackend::start().await;
    let named = builder(&db).await.client(RegisteredClient::new("claude-code", "Claude Code"));
    let gateway = gateway(named).await;
    for dialect in DIALECTS {
        let claude = Claude::discover(&gateway, dialect).await;
        let tokens = claude.sign_in("alice").await;
        assert_eq!(claims(&tokens.text("access_token"))["client_id"], "claude-code");
        // Another version refreshes in its own way.
        let other = Claude::discover(&gateway, Dialect::Named).await;
        let refreshed = other.refresh(&tokens.text("refresh_token")).await;
        assert_eq!(refreshed.status, StatusCode::OK, "{dialect:?} {refreshed:?}");
        claude.sign_out(&refreshed).await;
        assert!(!gateway.admits(&refreshed.text("access_token")).await);
    }
}

#[tokio::test]
async fn a_person_who_says_no_ends_the_login() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(builder(&db).await).await;
    let claude = Claude::discover(&gateway, Dialect::Nothing).await;
    let codes = claude.start().await;
    assert_eq!(decide(&gateway, "alice", &codes, "deny").await.status, StatusCode::OK);
    assert!(claude.poll(&codes).await.is_oauth_error(400, "access_denied"));
}

#[tokio::test]
async fn errors_at_the_layers_are_errors_of_the_messages_api() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(builder(&db).await).await;
    let claude = Claude::discover(&gateway, Dialect::Nothing).await;
    let token = claude.sign_in("alice").await.text("access_token");
    let hook = hook(&gateway, "bob").await.token(&gateway).await;

    let anonymous = send(message(&gateway)).await;
    assert!(is_api_error(&anonymous, 401, "authentication_error"), "{anonymous:?}");
    assert!(anonymous.header("www-authenticate").starts_with("Bearer"));
    assert!(is_api_error(&claude.ask("not.a.token").await, 401, "authentication_error"));
    assert!(is_api_error(&claude.ask(&hook).await, 403, "permission_error"));
    let malformed = send(message(&gateway).header(AUTHORIZATION, "Bearer")).await;
    assert!(is_api_error(&malformed, 400, "invalid_request_error"), "{malformed:?}");
    // A layer for other clients has the words that it was given, and so have the endpoints of the bridge.
    let plain = send(gateway.request(Method::POST, "/v1/plain")).await;
    assert!(plain.is_problem(401, "credential_required"), "{plain:?}");
    let sessions = send(gateway.request(Method::GET, "/v1/auth/bridge/sessions")).await;
    assert!(sessions.is_problem(401, "credential_required"), "{sessions:?}");

    db.break_down();
    let down = claude.ask(&token).await;
    assert!(is_api_error(&down, 503, "api_error"), "{down:?}");
    assert_eq!(down.header("retry-after"), "1");
}

#[tokio::test]
async fn the_hosts_own_body_of_rejections_stays() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(builder(&db).await.rejection_body(ProblemJson)).await;
    let anonymous = send(message(&gateway)).await;
    assert!(anonymous.is_problem(401, "credential_required"), "{anonymous:?}");
}

/// What a client sees that names or proves itself as the standards say.
async fn seen_by_standard_clients(gateway: &Gateway) -> Vec<Answer> {
    let refresh = |client: &'static str| {
        let fields =
            [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", "never-issued")];
        send(post(gateway, "/token", &fields))
    };
    let server = server();
    let hook = hook(gateway, "carol").await;
    let codes = start(gateway, EDITOR, &[]).await;
    vec![
        refresh("sp_bridge").await,
        refresh(EDITOR).await,
        refresh("nobody").await,
        poll(gateway, EDITOR, &codes).await,
        send(post(gateway, "/token", &[("grant_type", "client_credentials")])).await,
        send(post(gateway, "/token", &[("grant_type", "authorization_code"), ("code", "x")])).await,
        send(post(gateway, "/introspect", &[("token", "x")])).await,
        hook.send(gateway, "/token", &[("grant_type", "refresh_token"), ("refresh_token", "x")]).await,
        server.send(gateway, "/introspect", &[("token", "x")]).await,
        send(post(gateway, "/token", &[("grant_type", "refresh_token")]).header(AUTHORIZATION, basic("a:b")))
            .await,
        send(post(gateway, "/revoke", &[("token", "x"), ("client_secret", "x")])).await,
    ]
}

#[tokio::test]
async fn a_client_that_names_itself_sees_no_difference() {
    let db = SqliteBackend::start().await;
    let off = gateway(sign_in_builder(&db).await).await;
    let on = gateway(builder(&db).await).await;
    let (off, on) = (seen_by_standard_clients(&off).await, seen_by_standard_clients(&on).await);
    for (off, on) in off.iter().zip(&on) {
        assert_eq!(off, on);
    }
    assert!(on[0].is_oauth_error(400, "invalid_grant") && on[2].is_oauth_error(401, "invalid_client"));
}

/// Behind an optional layer `Authorization: Basic` is not among the headers. It still proves the client.
#[tokio::test]
async fn a_client_that_proves_itself_behind_an_optional_layer_is_that_client() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let optional = bridge.layer("bridge").unwrap().optional();
    let behind = Router::new().nest_service("/behind", optional.layer(bridge.service()));
    let gateway = Gateway::with_routes(bridge, behind).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    let body = format!("token={token}");
    let revoke = gateway.request(Method::POST, "/behind/revoke").header(CONTENT_TYPE, FORM).body(body);
    let answer = send(revoke.header(AUTHORIZATION, hook.basic())).await;
    assert_eq!((answer.status, answer.json()), (StatusCode::OK, json!({})));
    assert!(!gateway.admits(&token).await);
}

/// A client appends the well-known path to its base. A router may have cut the path of the base off.
#[tokio::test]
async fn the_metadata_are_found_behind_a_base_with_a_path() {
    let db = SqliteBackend::start().await;
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let below = async |on: bool| {
        let issuer = format!("{ISSUER}/gw");
        let builder = Bridge::builder_with(issuer, keys.clone(), db.open().await);
        let bridge = with_sign_in(builder).gateway_login(on).build().unwrap();
        let documents = Router::new().route_service("/.well-known/{*document}", bridge.well_known_service());
        let gateway = Gateway::with_routes(bridge, Router::new().nest("/gw", documents)).await;
        let inserted = gateway.request(Method::GET, "/.well-known/oauth-authorization-server/gw");
        assert_eq!(send(inserted).await.json()["issuer"], format!("{ISSUER}/gw"), "RFC 8414 §3.1");
        send(gateway.request(Method::GET, "/gw/.well-known/oauth-authorization-server")).await
    };
    assert_eq!(below(true).await.json()["issuer"], format!("{ISSUER}/gw"));
    assert_eq!(below(false).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_the_setting_nothing_of_it_is_there() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(sign_in_builder(&db).await).await;
    let metadata = Claude::discover(&gateway, Dialect::Nothing).await.metadata;
    assert_eq!(metadata.get("gateway_protocol_version"), None);
    for named in [&[][..], &[("client_id", "claude-code")]] {
        for (endpoint, fields) in [
            ("/device_authorization", &[][..]),
            ("/token", &[("grant_type", "refresh_token"), ("refresh_token", "x")]),
            ("/token", &[("grant_type", DEVICE_CODE), ("device_code", "x")]),
            ("/revoke", &[("token", "x")]),
        ] {
            let refused = send(post(&gateway, endpoint, &[fields, named].concat())).await;
            assert!(refused.is_oauth_error(401, "invalid_client"), "{endpoint} {refused:?}");
        }
    }
    let nothing = gateway.request(Method::POST, "/v1/auth/bridge/device_authorization");
    assert!(send(nothing).await.is_oauth_error(415, "invalid_request"));
    let anonymous = send(message(&gateway)).await;
    assert!(anonymous.is_problem(401, "credential_required"), "{anonymous:?}");
}

#[tokio::test]
async fn what_the_login_could_not_work_with_is_refused_at_start() {
    let db = SqliteBackend::start().await;
    let secret = bridge_auth::id::ClientSecret::parse(super::given::SERVER_SECRET).unwrap();
    let elsewhere: Url = "https://elsewhere.example/token".parse().unwrap();
    let confidential = RegisteredClient::new("claude-code", "Claude Code").secret(&secret);
    for (builder, needs) in [
        (oauth_builder(&db).await.gateway_login(true), "device_authorization_endpoint"),
        (builder(&db).await.token_endpoint(elsewhere.clone()), "origin"),
        (builder(&db).await.device_authorization_endpoint(elsewhere), "origin"),
        (builder(&db).await.client(confidential), "no secret"),
    ] {
        let Err(refusal @ BuildError::GatewayLogin { .. }) = builder.build() else { panic!("{needs}") };
        assert!(refusal.to_string().contains(needs), "{refusal}");
    }
}
