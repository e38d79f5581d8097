//! The contract of every endpoint over HTTP: status, headers, body.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bridge_auth::id::{ClientId, ClientSecret};
use bridge_auth::issue::AccessRequest;
use bridge_auth::store::{Origin, SessionLimit, WhenFull};
use bridge_auth::{Scopes, SignedIn};
use http::header::{AUTHORIZATION, COOKIE, USER_AGENT};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::bridge::{builder, user};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_code_is_issued_to_a_signed_in_person,
    a_code_is_traded_for_a_token_and_the_headers_to_send,
    the_token_opens_the_gateway,
    a_person_sees_and_ends_their_own_sessions_alone,
    a_session_remembers_where_it_came_from,
    a_hook_client_is_provisioned_for_a_person_alone,
];

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

async fn a_code_is_issued_to_a_signed_in_person(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let url = format!("{PREFIX}/code");
    let issued = send(gateway.request(Method::POST, &url).header(COOKIE, "login=alice")).await;
    assert_eq!((issued.status, issued.header("content-type")), (StatusCode::CREATED, "application/json"));
    assert!(issued.is_not_stored(), "{issued:?}");
    let code = issued.text("code");
    assert!(code.len() == 64 && code.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{code}");
    let expires_at = issued.json()["expires_at"].as_u64().unwrap();
    assert!((now() + 118..=now() + 121).contains(&expires_at), "{expires_at}");
    assert_eq!(issued.json().as_object().unwrap().len(), 2);

    let stranger = send(gateway.request(Method::POST, &url)).await;
    assert!(stranger.is_problem(401, "sign_in_required"), "{stranger:?}");
    assert_eq!(stranger.header("www-authenticate"), "Bearer");
    assert_eq!(db.count("codes").await, 1);

    gateway.bridge.admin().disable_user(&user("alice")).await.unwrap();
    let disabled = send(gateway.request(Method::POST, &url).header(COOKIE, "login=alice")).await;
    assert!(disabled.is_problem(403, "user_disabled"), "{disabled:?}");
    let reserved = send(gateway.request(Method::POST, &url).header(COOKIE, "login=sp_bridge")).await;
    assert!(reserved.is_problem(403, "user_id_reserved"), "{reserved:?}");
}

async fn a_code_is_traded_for_a_token_and_the_headers_to_send(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let code = gateway.code("alice").await;
    let body = json!({ "code": code, "unknown": [{}], "device_name": "laptop" });
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let opened = send(gateway.post("/session", &body).header("traceparent", parent)).await;
    assert_eq!((opened.status, opened.header("content-type")), (StatusCode::OK, "application/json"));
    assert!(opened.is_not_stored(), "{opened:?}");
    let answer = opened.json();
    let members: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["expires_at", "headers", "token", "ttl"]);
    assert_eq!(answer["ttl"], 3600);
    assert!((now() + 3598..=now() + 3601).contains(&answer["expires_at"].as_u64().unwrap()));
    let session = answer["headers"]["x-session-id"].as_str().unwrap();
    assert!(session.starts_with("sess_") && session.len() == 37, "{session}");
    assert_eq!(
        answer["headers"],
        json!({
            "x-user-id": "alice",
            "x-session-id": session,
            "x-trace-id": trace,
            "x-client-id": "sp_bridge",
            "x-policy-version": "unversioned",
            "x-call-source": "bridge",
        })
    );
}

async fn the_token_opens_the_gateway(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let opened = gateway.exchange(&gateway.code("alice").await).await;
    let headers = opened.json()["headers"].as_object().unwrap().clone();
    let request = gateway.request(Method::GET, "/v1/echo").bearer_auth(opened.text("token"));
    let sent =
        headers.iter().fold(request, |request, (name, value)| request.header(name, value.as_str().unwrap()));
    let echoed = send(sent.header("x_user_id", "admin")).await;
    assert_eq!(echoed.status, StatusCode::OK, "{echoed:?}");
    let echoed = echoed.json();
    assert_eq!((&echoed["user_id"], &echoed["scopes"]), (&json!("alice"), &json!("chat tools")));
    for (name, value) in &headers {
        assert_eq!(&echoed["headers"][name], value, "{name}");
    }
    assert!(echoed["headers"].get("x_user_id").is_none() && echoed["headers"].get("authorization").is_none());
}

async fn a_person_sees_and_ends_their_own_sessions_alone(db: impl Backend) {
    let gateway = Gateway::start(&db).await;
    let (first, second) = (gateway.link("alice").await, gateway.link("alice").await);
    let bobs = gateway.exchange(&gateway.code("bob").await).await;
    let listed = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &first).await;
    assert_eq!(listed.status, StatusCode::OK, "{listed:?}");
    assert!(listed.is_not_stored() && listed.header("vary").contains("authorization"), "{listed:?}");
    let sessions = listed.json()["sessions"].as_array().unwrap().clone();
    assert_eq!(sessions.len(), 2);
    let current: Vec<_> = sessions.iter().filter(|session| session["current"] == true).collect();
    let [current] = current[..] else { panic!("{sessions:?}") };
    assert_eq!((&current["client_id"], &current["call_source"]), (&json!("sp_bridge"), &json!("bridge")));
    assert_eq!(current["scopes"], json!(["chat", "tools"]));
    let time = |member: &str| current[member].as_u64().unwrap();
    assert!(time("created_at").abs_diff(now()) <= 2 && time("renewed_at") == time("created_at"));
    assert_eq!(time("expires_at"), time("created_at") + 24 * 3600);

    let end = |token: String, id: String| {
        let gateway = &gateway;
        async move { gateway.call(Method::DELETE, &format!("{PREFIX}/sessions/{id}"), &token).await }
    };
    let other = sessions.iter().find(|session| session["current"] == false).unwrap()["id"].as_str().unwrap();
    for _ in 0..2 {
        let ended = end(first.clone(), other.to_owned()).await;
        assert_eq!((ended.status, ended.body.len()), (StatusCode::NO_CONTENT, 0));
    }
    assert!(!gateway.admits(&second).await && gateway.admits(&first).await);

    let foreign = bobs.json()["headers"]["x-session-id"].as_str().unwrap().to_owned();
    let refused = end(first.clone(), foreign).await;
    assert!(refused.is_problem(404, "not_found"), "{refused:?}");
    for unknown in ["sess_0", "no%20id", "%00", "a.b"] {
        assert_eq!(end(first.clone(), unknown.to_owned()).await, refused, "{unknown}");
    }
    assert!(gateway.admits(&bobs.text("token")).await);
}

async fn a_session_remembers_where_it_came_from(db: impl Backend) {
    let proxy = "127.0.0.0/8";
    let by_axum = |extensions: &http::Extensions| {
        Some(extensions.get::<axum::extract::ConnectInfo<std::net::SocketAddr>>()?.0.ip())
    };
    let trusting = builder(&db).await.peer_address(by_axum).trusted_proxies([proxy]).build().unwrap();
    let wary = builder(&db).await.peer_address(by_axum).build().unwrap();
    let blind = builder(&db).await.build().unwrap();
    let cases = [(trusting, json!("198.51.100.1")), (wary, json!("127.0.0.1")), (blind, Value::Null)];
    for (place, (bridge, address)) in cases.into_iter().enumerate() {
        let gateway = Gateway::over(bridge).await;
        let person = format!("person{place}");
        let body = json!({ "code": gateway.code(&person).await, "device_name": "Alice's\u{7} laptop" });
        let opened = send(
            gateway
                .post("/session", &body)
                .header(USER_AGENT, "bridge/1.0")
                .header("x-forwarded-for", "192.0.2.1, 198.51.100.1"),
        )
        .await;
        let listed = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &opened.text("token")).await;
        let origin = &listed.json()["sessions"][0]["origin"];
        assert_eq!(origin["user_agent"], "bridge/1.0");
        assert_eq!(origin["device_name"], "Alice's laptop");
        assert_eq!(origin.get("address").unwrap_or(&Value::Null), &address);
    }
}

async fn a_hook_client_is_provisioned_for_a_person_alone(db: impl Backend) {
    let bridge = builder(&db).await.max_devices(1).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let token = gateway.link("alice").await;
    let url = format!("{PREFIX}/oauth-client");
    let provisioned = gateway.call(Method::POST, &url, &token).await;
    assert_eq!(provisioned.status, StatusCode::OK, "{provisioned:?}");
    assert!(provisioned.is_not_stored(), "{provisioned:?}");
    let secret = provisioned.text("client_secret");
    // The absolute end of its session.
    let ends_at = provisioned.json()["client_secret_expires_at"].as_u64().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((now + 29 * 86400..=now + 30 * 86400).contains(&ends_at), "{ends_at}");
    assert_eq!(
        provisioned.json(),
        json!({
            "client_id": "bridge:alice",
            "client_secret": secret,
            "scopes": ["hook:govern", "hook:track"],
            "token_endpoint": "https://gateway.example/token",
            "client_secret_expires_at": ends_at,
        })
    );

    let second_device = gateway.link("alice").await;
    let full = gateway.call(Method::POST, &url, &second_device).await;
    assert_eq!(full.status, StatusCode::CONFLICT);
    assert_eq!(full.json()["code"], "too_many_devices");
    // The answer says which device holds the credential.
    let holders = full.json()["devices"].clone();
    let listed = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &token).await.json();
    let current = listed["sessions"].as_array().unwrap().iter().find(|session| session["current"] == true);
    assert_eq!(holders[0]["session_id"], current.unwrap()["id"], "{holders}");
    assert_eq!(holders.as_array().unwrap().len(), 1);

    let client = ClientId::parse("bridge:alice").unwrap();
    let secret = ClientSecret::parse(&secret).unwrap();
    let access =
        gateway.bridge.issuer().client_access(&client, &secret, None, Origin::unknown()).await.unwrap();
    let hook = access.token.expose();
    for (method, path) in
        [(Method::POST, "/oauth-client"), (Method::GET, "/sessions"), (Method::DELETE, "/sessions/sess_0")]
    {
        let refused = gateway.call(method, &format!("{PREFIX}{path}"), hook).await;
        assert!(refused.is_problem(403, "insufficient_scope"), "{path} {refused:?}");
        assert_eq!(refused.header("www-authenticate"), "Bearer error=\"insufficient_scope\"");
    }
    let logged_out = gateway.call(Method::POST, &format!("{PREFIX}/logout"), hook).await;
    assert_eq!(logged_out.status, StatusCode::NO_CONTENT, "{logged_out:?}");
    assert!(!gateway.admits(hook).await && gateway.admits(&token).await);
}

#[tokio::test]
async fn the_devices_that_hold_credentials_are_told_however_many_are_newer() {
    let db = SqliteBackend::start().await;
    let limit = SessionLimit::new(2000, WhenFull::Refuse);
    let bridge = builder(&db).await.max_devices(1).session_limit(limit).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let url = format!("{PREFIX}/oauth-client");
    let first = gateway.exchange(&gateway.code("alice").await).await;
    assert_eq!(gateway.call(Method::POST, &url, &first.text("token")).await.status, StatusCode::OK);
    let mut newest = None;
    for _ in 0..1001 {
        let request = AccessRequest::for_user(user("alice"), Scopes::default());
        newest = Some(gateway.bridge.issuer().open_access(request).await.unwrap().token);
    }
    let full = gateway.call(Method::POST, &url, newest.unwrap().expose()).await;
    assert_eq!(full.status, StatusCode::CONFLICT, "{full:?}");
    assert_eq!(full.json()["devices"].as_array().unwrap().len(), 1, "{full:?}");
    assert_eq!(full.json()["devices"][0]["session_id"], first.json()["headers"]["x-session-id"]);
}

#[tokio::test]
async fn null_says_nothing_less_than_a_missing_member_and_is_refused() {
    let db = SqliteBackend::start().await;
    let gateway = crate::oauth::given::gateway(&db).await;
    let token = gateway.link("alice").await;
    let codes = db.count("codes").await;
    for member in ["code_challenge", "code_challenge_method", "resource"] {
        let asked = gateway.post("/code", &json!({ member: null })).header(COOKIE, "login=alice");
        assert!(send(asked).await.is_problem(400, "invalid_request"), "{member}");
    }
    assert_eq!(db.count("codes").await, codes, "no code without PKCE");
    let code = gateway.code("alice").await;
    for member in ["code_verifier", "device_name"] {
        let refused = send(gateway.post("/session", &json!({ "code": code, member: null }))).await;
        assert!(refused.is_oauth_error(400, "invalid_request"), "{member} {refused:?}");
    }
    assert_eq!(gateway.exchange(&code).await.status, StatusCode::OK, "the code is not spent");
    for member in ["token_endpoint_auth_method", "jwks", "jwks_uri"] {
        let asked = gateway.post("/oauth-client", &json!({ member: null })).bearer_auth(&token);
        assert!(send(asked).await.is_problem(400, "invalid_client_metadata"), "{member}");
    }
    let other = gateway.post("/code", &json!({ "other": null })).header(COOKIE, "login=alice");
    assert_eq!(send(other).await.status, StatusCode::CREATED, "unknown members are ignored as ever");
}

#[tokio::test]
async fn what_is_not_offered_is_not_there() {
    let db = SqliteBackend::start().await;
    let with = Gateway::start(&db).await;
    let url = format!("{PREFIX}/capabilities");
    let offered = send(with.request(Method::GET, &url)).await;
    assert_eq!(offered.json(), json!({ "modes": ["session", "oauth-client"] }));

    let keys = with.bridge.keys().clone();
    let bridge = bridge_auth::Bridge::builder_with("https://gateway.example", keys, db.open().await);
    let without = Gateway::over(bridge.build().unwrap()).await;
    let offered = send(without.request(Method::GET, &url)).await;
    assert_eq!((offered.status, offered.json()), (StatusCode::OK, json!({ "modes": ["session"] })));
    let token = without.link("alice").await;
    let refused = without.call(Method::POST, &format!("{PREFIX}/oauth-client"), &token).await;
    assert!(refused.is_problem(404, "not_found"), "{refused:?}");
}

#[tokio::test]
async fn the_keys_are_public_and_nothing_more() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    for path in ["/.well-known/jwks.json".to_owned(), format!("{PREFIX}/.well-known/jwks.json")] {
        let answer = send(gateway.request(Method::GET, &path)).await;
        assert_eq!(answer.header("content-type"), "application/jwk-set+json");
        assert!(answer.header("cache-control").starts_with("public, max-age="), "{answer:?}");
        let keys = answer.json()["keys"].as_array().unwrap().clone();
        assert_eq!(keys.len(), 1);
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(keys[0].get(private).is_none(), "{private}");
        }
    }
}

#[tokio::test]
async fn guarded_endpoints_challenge_strangers() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    for (method, path) in [
        (Method::POST, "/oauth-client"),
        (Method::GET, "/sessions"),
        (Method::DELETE, "/sessions/sess_0"),
        (Method::POST, "/logout"),
    ] {
        let url = format!("{PREFIX}{path}");
        let stranger = send(gateway.request(method.clone(), &url)).await;
        assert!(stranger.is_problem(401, "credential_required"), "{stranger:?}");
        assert_eq!(stranger.header("www-authenticate"), "Bearer");
        let forged = gateway.call(method.clone(), &url, "a.b.c").await;
        assert!(forged.is_problem(401, "invalid_token"), "{forged:?}");
        let twice = gateway.request(method, &url).header(AUTHORIZATION, "Bearer a.b.c").bearer_auth("a.b.c");
        assert!(send(twice).await.is_problem(400, "invalid_request"));
    }
}

#[tokio::test]
async fn a_store_that_cannot_answer_is_503_and_calls_nothing_bad() {
    let db = SqliteBackend::start().await;
    let gateway =
        Gateway::over(builder(&db).await.retry_after(Duration::from_secs(7)).build().unwrap()).await;
    let (code, token) = (gateway.code("alice").await, gateway.link("alice").await);
    let scopes = Scopes::parse("chat").unwrap();
    gateway.bridge.issuer().register_user(&SignedIn::new(user("bob"), scopes.clone())).await.unwrap();
    db.break_down();
    let is_down = |answer: &Answer| {
        assert_eq!(
            (answer.status, answer.header("retry-after")),
            (StatusCode::SERVICE_UNAVAILABLE, "7"),
            "{answer:?}"
        );
        assert!(answer.is_not_stored() && !answer.headers.contains_key("www-authenticate"), "{answer:?}");
        let text = String::from_utf8_lossy(&answer.body).to_lowercase();
        assert!(!text.contains("sql") && !text.contains("table"), "{text}");
    };
    let exchanged = gateway.exchange(&code).await;
    is_down(&exchanged);
    assert!(exchanged.is_oauth_error(503, "temporarily_unavailable"), "{exchanged:?}");
    for (method, path) in
        [(Method::GET, "/sessions"), (Method::POST, "/logout"), (Method::POST, "/oauth-client")]
    {
        is_down(&gateway.call(method, &format!("{PREFIX}{path}"), &token).await);
    }
    is_down(&gateway.operate(Method::GET, "/users/alice/sessions").await);
    is_down(&gateway.operate(Method::DELETE, "/users/alice/sessions").await);
    is_down(&gateway.operate(Method::DELETE, "/sessions/sess_0").await);
    is_down(&gateway.operate(Method::POST, "/users/alice/disable").await);
}
