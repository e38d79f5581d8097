//! `POST /token`: CHECKLIST 1.A and 1.G.

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use serde_json::json;

use super::given::{
    FORM, Hook, MCP, TOOLS, claims, code_grant, gateway, hook, hook_of, oauth_builder, pkce_code, post,
    raw_post,
};
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_hook_client_gets_a_token_by_basic_and_by_body,
    row_130_131_every_secret_that_was_shown_last_works,
    row_125_the_hooks_of_a_bound_session_stay_within_its_resource,
];

async fn a_hook_client_gets_a_token_by_basic_and_by_body(db: impl Backend) {
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let by_basic = hook.ask(&gateway, &[]).await;
    let fields =
        [("grant_type", "client_credentials"), ("client_id", &hook.id), ("client_secret", &hook.secret)];
    let by_body = send(post(&gateway, "/token", &fields)).await;
    for answer in [by_basic, by_body] {
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
        assert!(answer.is_not_stored(), "{answer:?}");
        let token = answer.text("access_token");
        let expected = json!({
            "access_token": token,
            "token_type": "Bearer",
            "expires_in": 3600,
            "scope": "hook:govern hook:track",
        });
        assert_eq!(answer.json(), expected);
        let claims = claims(&token);
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
        let said = json!([claims["sub"], claims["client_id"], claims["owner"], claims["aud"]]);
        assert_eq!(said, json!(["bridge:alice", "bridge:alice", "alice", ["bridge", "mcp"]]));
        assert!(gateway.admits(&token).await);
    }
}

async fn row_130_131_every_secret_that_was_shown_last_works(db: impl Backend) {
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let last = super::given::last_of(8, &gateway, &token).await;
    assert_eq!(last.ask(&gateway, &[]).await.status, StatusCode::OK);
    let next = hook_of(&gateway, &token).await;
    assert_ne!(last.secret, next.secret);
    assert_eq!(last.ask(&gateway, &[]).await.status, StatusCode::OK, "within its overlap");
    db.pass_time(std::time::Duration::from_secs(120)).await;
    assert_eq!(next.ask(&gateway, &[]).await.status, StatusCode::OK);
    assert!(last.ask(&gateway, &[]).await.is_oauth_error(401, "invalid_client"));
}

#[tokio::test]
async fn row_1_only_post_is_taken_and_nothing_else_gives_a_token() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for endpoint in ["/token", "/introspect", "/revoke"] {
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::HEAD, Method::PATCH, Method::OPTIONS]
        {
            let request = gateway.request(method.clone(), &format!("{PREFIX}{endpoint}"));
            let request = request.header(AUTHORIZATION, hook.basic()).header(CONTENT_TYPE, FORM);
            let answer = send(request.body("grant_type=client_credentials")).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (StatusCode::METHOD_NOT_ALLOWED, "POST"),
                "{method} {endpoint}"
            );
            assert!(
                !String::from_utf8_lossy(&answer.body).contains("access_token") && answer.is_not_stored()
            );
        }
    }
}

#[tokio::test]
async fn row_2_the_body_is_a_form_in_utf8() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let ask = async |content_type: Option<&str>, body: &[u8]| {
        let request = gateway.request(Method::POST, &format!("{PREFIX}/token")).body(body.to_vec());
        let request = request.header(AUTHORIZATION, hook.basic());
        send(content_type.into_iter().fold(request, |request, value| request.header(CONTENT_TYPE, value)))
            .await
    };
    let form = b"grant_type=client_credentials";
    for content_type in [
        None,
        Some("application/json"),
        Some("multipart/form-data; boundary=x"),
        Some("text/plain"),
        Some("application/json, application/x-www-form-urlencoded"),
        Some("application/x-www-form-urlencoded; charset=iso-8859-1"),
        Some(""),
    ] {
        let answer = ask(content_type, form).await;
        assert!(answer.is_oauth_error(415, "invalid_request"), "{content_type:?} {answer:?}");
    }
    let json = ask(Some("application/json"), br#"{"grant_type":"client_credentials"}"#).await;
    assert!(json.is_oauth_error(415, "invalid_request"), "{json:?}");
    for body in [&b"grant_type=client_credentials&x=\xff"[..], b"grant_type=client_credentials&x=%ff%fe", b""]
    {
        assert!(ask(Some(FORM), body).await.is_oauth_error(400, "invalid_request"), "{body:?}");
    }
    for content_type in
        [FORM, "application/x-www-form-urlencoded;charset=UTF-8", "Application/X-WWW-Form-Urlencoded"]
    {
        assert_eq!(ask(Some(content_type), form).await.status, StatusCode::OK, "{content_type}");
    }
    let large = ask(Some(FORM), &[b'a'; 17 * 1024]).await;
    assert!(large.is_oauth_error(413, "content_too_large"), "{large:?}");
}

#[tokio::test]
async fn row_3_a_parameter_without_a_value_is_absent() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let all = hook.ask(&gateway, &[("scope", ""), ("resource", ""), ("client_id", "")]).await;
    assert_eq!(all.text("scope"), "hook:govern hook:track");
    for fields in [&[("grant_type", "")][..], &[]] {
        let none = hook.send(&gateway, "/token", fields).await;
        assert!(none.is_oauth_error(400, "invalid_request"), "{none:?}");
    }
}

#[tokio::test]
async fn row_4_no_parameter_is_there_twice() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for twice in [
        [("grant_type", "client_credentials"); 2],
        [("client_id", "bridge:alice"); 2],
        [("scope", "hook:track"); 2],
        [("scope", "hook:track"), ("scope", "")],
        [("code", "a"), ("code", "b")],
        [("foo", "a"), ("foo", "b")],
    ] {
        let answer = hook.ask(&gateway, &twice).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{twice:?} {answer:?}");
    }
    assert_eq!(hook.ask(&gateway, &[("resource", MCP); 2]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn row_5_what_is_unknown_is_ignored() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    assert_eq!(hook.ask(&gateway, &[("foo", "bar"), ("redirect_uri", "x")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn row_6_7_and_133_there_is_no_other_grant() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for grant in [
        "urn:x",
        "password",
        "implicit",
        "refresh_token",
        "Client_Credentials",
        "client_credentials ",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "\u{0}",
    ] {
        for request in [post(&gateway, "/token", &[("grant_type", grant)])] {
            let anonymous = send(request.try_clone().unwrap()).await;
            let known = send(request.header(AUTHORIZATION, hook.basic())).await;
            assert!(known.is_oauth_error(400, "unsupported_grant_type"), "{grant} {known:?}");
            assert_eq!(anonymous, known);
        }
    }
}

#[tokio::test]
async fn row_18_nothing_that_is_answered_may_be_kept() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let wrong = Hook { secret: "wrong".to_owned(), ..hook.clone() };
    let nothing: super::given::Fields<'_> = &[];
    for endpoint in ["/token", "/introspect", "/revoke"] {
        for answer in [
            hook.send(&gateway, endpoint, nothing).await,
            wrong.send(&gateway, endpoint, &[("grant_type", "client_credentials"), ("token", "x")]).await,
            hook.send(&gateway, endpoint, &[("grant_type", "client_credentials"), ("token", "x")]).await,
            send(raw_post(&gateway, endpoint, "")).await,
            send(gateway.request(Method::GET, &format!("{PREFIX}{endpoint}"))).await,
        ] {
            assert!(answer.is_not_stored(), "{endpoint} {answer:?}");
        }
    }
}

#[tokio::test]
async fn row_19_57_the_life_of_a_token_is_what_is_said_of_it() {
    let db = SqliteBackend::start().await;
    let bridge = oauth_builder(&db).await.token_life(std::time::Duration::from_secs(77)).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    let answer = hook(&gateway, "alice").await.ask(&gateway, &[]).await;
    let said = claims(&answer.text("access_token"));
    let life = said["exp"].as_u64().unwrap() - said["iat"].as_u64().unwrap();
    assert!(
        answer.json()["expires_in"].is_u64()
            && life.abs_diff(answer.json()["expires_in"].as_u64().unwrap()) <= 1
    );
    assert!((76..=77).contains(&life), "{life}");
    assert!(answer.text("token_type").eq_ignore_ascii_case("bearer"));
}

#[tokio::test]
async fn row_20_attack_a72_a_scope_is_narrowed_and_never_widened() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for (asked, granted) in [
        ("hook:track", "hook:track"),
        ("hook:govern", "hook:govern"),
        ("hook:track hook:govern", "hook:govern hook:track"),
        ("hook:govern hook:track", "hook:govern hook:track"),
    ] {
        let answer = hook.ask(&gateway, &[("scope", asked)]).await;
        assert_eq!((answer.status, answer.text("scope").as_str()), (StatusCode::OK, granted));
        assert_eq!(claims(&answer.text("access_token"))["scope"], granted);
    }
    let many = (0..100).map(|n| format!("s{n}")).collect::<Vec<_>>().join(" ");
    for scope in [
        "admin",
        "chat",
        "hook:govern hook:track admin",
        "hook:*",
        "*",
        "Hook:Govern",
        "\"hook:govern\"",
        "hook:govern  hook:track",
        " hook:govern",
        "hook:govern ",
        " ",
        "hook:govern\thook:track",
        "hook:govern hook:govern",
        "hook:gov\u{e9}rn",
        "hook\u{ff1a}govern",
        "hook:govern\\",
        "hook:govern\u{0}",
        &many,
        &"a".repeat(5000),
    ] {
        let answer = hook.ask(&gateway, &[("scope", scope)]).await;
        assert!(answer.is_oauth_error(400, "invalid_scope"), "{scope:.60} {answer:?}");
    }
}

#[tokio::test]
async fn row_21_no_refresh_token_comes_with_client_credentials() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::over(oauth_builder(&db).await.refresh_tokens(true).build().unwrap()).await;
    let answer = hook(&gateway, "alice").await.ask(&gateway, &[]).await;
    assert!(answer.status == StatusCode::OK && answer.json().get("refresh_token").is_none(), "{answer:?}");
}

#[tokio::test]
async fn row_23_attack_a47_no_error_echoes_what_was_sent() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for canary in ["\"canary", "canary\\", "canary\r\nx: y", "can\u{e9}ary", "canary\u{0}"] {
        for name in [
            "grant_type",
            "scope",
            "client_id",
            "client_secret",
            "code",
            "code_verifier",
            "resource",
            "client_assertion",
            canary,
        ] {
            let mut fields = vec![("grant_type", "client_credentials")];
            fields.retain(|(field, _)| *field != name);
            fields.push((name, canary));
            let answer = hook.send(&gateway, "/token", &fields).await;
            let shown = format!("{answer:?}");
            assert!(!shown.contains("canary") && !shown.contains("ary"), "{shown}");
            if answer.status != StatusCode::OK {
                let error = answer.text("error");
                assert!(answer.is_oauth_error(answer.status.as_u16(), &error), "{answer:?}");
            }
        }
    }
}

#[tokio::test]
async fn row_28_attack_a74_a_clients_token_is_no_persons() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    let said = claims(&token);
    assert_eq!((said["sub"].as_str(), said["owner"].as_str()), (Some("bridge:alice"), Some("alice")));
    for (method, path) in [(Method::GET, "/sessions"), (Method::POST, "/oauth-client")] {
        let refused = gateway.call(method, &format!("{PREFIX}{path}"), &token).await;
        assert!(refused.is_problem(403, "insufficient_scope"), "{refused:?}");
    }
    // A person whose id is that of a client has a client of another name.
    let namesake = crate::support::bridge::access(&gateway.bridge, "bridge:alice", "chat").await;
    let other = hook_of(&gateway, namesake.token.expose()).await;
    assert_eq!(other.id, "bridge:bridge:alice");
}

#[tokio::test]
async fn row_29_no_origin_is_let_in_by_a_browser() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let request = post(&gateway, "/token", &[("grant_type", "client_credentials")]);
    let answer =
        send(request.header(AUTHORIZATION, hook.basic()).header("origin", "https://evil.example")).await;
    let is_cors = |name: &http::HeaderName| name.as_str().starts_with("access-control-");
    assert!(answer.status == StatusCode::OK && !answer.headers.keys().any(is_cors), "{answer:?}");
}

#[tokio::test]
async fn row_30_a_store_that_cannot_answer_calls_nobody_bad() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let code = pkce_code(&gateway, "alice").await;
    db.break_down();
    for answer in [hook.ask(&gateway, &[]).await, send(post(&gateway, "/token", &code_grant(&code))).await] {
        assert!(answer.is_oauth_error(503, "temporarily_unavailable"), "{answer:?}");
        assert!(answer.header("retry-after") == "1" && !answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn row_125_126_151_a_resource_is_the_audience_of_its_token() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let default = claims(&hook.token(&gateway).await);
    assert_eq!(default["aud"], json!(["bridge", "mcp"]));
    for same in [MCP, "HTTPS://GATEWAY.example/mcp", "https://gateway.example:443/mcp"] {
        let answer = hook.ask(&gateway, &[("resource", same), ("scope", "hook:track")]).await;
        let token = answer.text("access_token");
        assert_eq!(claims(&token)["aud"], json!([MCP]), "{same}");
        assert!(!gateway.admits(&token).await, "it is for another audience");
    }
    let tools = hook.ask(&gateway, &[("resource", TOOLS)]).await.text("access_token");
    assert_eq!(claims(&tools)["aud"], json!([TOOLS]));
    for resources in [
        &["mcp"][..],
        &["https://gateway.example/mcp#x"],
        &["https://gateway.example/mcp#"],
        &["/mcp"],
        &["https://evil.example/mcp"],
        &["https://gateway.example/mcp/"],
        &[MCP, "https://api.example"],
        &[MCP, "https://evil.example"],
        &["\u{0}"],
    ] {
        let fields: Vec<_> = resources.iter().map(|resource| ("resource", *resource)).collect();
        let answer = hook.ask(&gateway, &fields).await;
        assert!(answer.is_oauth_error(400, "invalid_target"), "{resources:?} {answer:?}");
    }
}

/// What a session may not have its hooks may not either: else a bridge that was linked for one resource gets to all by way of
/// its own hook client.
async fn row_125_the_hooks_of_a_bound_session_stay_within_its_resource(db: impl Backend) {
    let gateway =
        Gateway::over(oauth_builder(&db).await.audiences([MCP, "bridge", TOOLS]).build().unwrap()).await;
    let asked = |hook: Hook, resource: &'static str| {
        let gateway = &gateway;
        async move {
            let answer = hook.ask(gateway, &[("resource", resource)]).await;
            if answer.status == StatusCode::OK {
                return claims(&answer.text("access_token"))["aud"].clone();
            }
            assert!(answer.is_oauth_error(400, "invalid_target"), "{answer:?}");
            json!("refused")
        }
    };
    let code = gateway.code_with("alice", &json!({ "resource": MCP })).await;
    let bound = hook_of(&gateway, &gateway.exchange(&code).await.text("token")).await;
    let open = hook(&gateway, "alice").await;
    // The second time its session is renewed, or answered as it is.
    for _ in 0..2 {
        assert_eq!(asked(bound.clone(), "").await, json!([MCP]));
        assert_eq!(asked(bound.clone(), MCP).await, json!([MCP]));
        assert_eq!(asked(bound.clone(), TOOLS).await, json!("refused"));
        assert_eq!(asked(open.clone(), "").await, json!([MCP, "bridge", TOOLS]));
        assert_eq!(asked(open.clone(), TOOLS).await, json!([TOOLS]));
        db.pass_time(std::time::Duration::from_secs(61)).await;
    }
}
