//! `GET /authorize`: which requests are answered where (OAuth 2.1 §4.1, RFC 9207, RFC 8707).

use http::{Method, StatusCode};
use serde_json::json;

use super::given::{
    CALLBACK, EDITOR, MCP, authorize, browse, code, consent, gateway, html, location, member, open, post,
    redeem,
};
use crate::oauth::given::claims;
use crate::support::bridge::ISSUER;
use crate::support::gateway::{PREFIX, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    a_person_lets_a_program_in_and_it_gets_tokens,
    row_l12_the_resource_of_the_request_bounds_code_token_and_refresh,
    a_code_needs_its_client_its_verifier_and_its_redirect_uri,
];

async fn a_person_lets_a_program_in_and_it_gets_tokens(db: impl Backend) {
    let gateway = gateway(&db).await;
    let answer = consent(&gateway, "alice", &authorize(&[("scope", Some("chat admin"))]), "allow").await;
    let url = location(&answer);
    assert!(url.as_str().starts_with(CALLBACK), "{url}");
    assert_eq!(member(&url, "state").as_deref(), Some("xyz"));
    assert_eq!(member(&url, "iss").as_deref(), Some(ISSUER));
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    let answer =
        redeem(&gateway, EDITOR, &member(&url, "code").unwrap(), &[("redirect_uri", CALLBACK)]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.json()["scope"], "chat");
    let token = answer.text("access_token");
    assert_eq!(claims(&token)["client_id"], EDITOR);
    assert!(gateway.admits(&token).await);
    let devices = open(&gateway, "alice", "/devices").await;
    assert!(html(&devices).contains("The Editor"));
}

async fn row_l12_the_resource_of_the_request_bounds_code_token_and_refresh(db: impl Backend) {
    let gateway = gateway(&db).await;
    let request = authorize(&[("resource", Some(MCP))]);
    let code = code(&gateway, "alice", &request).await;
    let other = redeem(&gateway, EDITOR, &code, &[("resource", "https://api.example")]).await;
    assert!(other.is_oauth_error(400, "invalid_target"), "{other:?}");
    let answer = redeem(&gateway, EDITOR, &code, &[("resource", MCP)]).await;
    assert_eq!(claims(&answer.text("access_token"))["aud"], json!([MCP]));
    let refresh = answer.text("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("client_id", EDITOR), ("refresh_token", &*refresh)];
    let other =
        send(post(&gateway, "/token", &[&fields[..], &[("resource", "https://api.example")]].concat()));
    let other = other.await;
    assert!(other.is_oauth_error(400, "invalid_target"), "{other:?}");
    let narrow = send(post(&gateway, "/token", &fields)).await;
    assert_eq!(claims(&narrow.text("access_token"))["aud"], json!([MCP]));
}

async fn a_code_needs_its_client_its_verifier_and_its_redirect_uri(db: impl Backend) {
    let gateway = gateway(&db).await;
    let code = code(&gateway, "alice", &authorize(&[])).await;
    for (client, more) in [
        ("sp_bridge", &[][..]),
        (EDITOR, &[("redirect_uri", "https://editor.example/other")]),
        (EDITOR, &[("redirect_uri", "http://127.0.0.1/cb")]),
    ] {
        let refused = redeem(&gateway, client, &code, more).await;
        assert!(refused.is_oauth_error(400, "invalid_grant"), "{client} {more:?} {refused:?}");
    }
    let wrong = [
        ("grant_type", "authorization_code"),
        ("client_id", EDITOR),
        ("code", &*code),
        ("code_verifier", "a-verifier-of-another-program-0123456789abcdef"),
    ];
    assert!(send(post(&gateway, "/token", &wrong)).await.is_oauth_error(400, "invalid_grant"));
    let foreign = gateway.exchange(&code).await;
    assert_eq!(foreign.status, StatusCode::BAD_REQUEST, "the code is no exchange code of the bridge");
    assert_eq!(redeem(&gateway, EDITOR, &code, &[]).await.status, StatusCode::OK);
    let replayed = redeem(&gateway, EDITOR, &code, &[]).await;
    assert!(replayed.is_oauth_error(400, "invalid_grant"), "{replayed:?}");
}

#[tokio::test]
async fn row_l8_and_l9_no_browser_is_sent_to_a_redirect_that_is_not_registered() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    for changes in [
        [("client_id", None)],
        [("client_id", Some("nobody"))],
        [("client_id", Some("bridge:alice"))],
        [("client_id", Some("https://editor.example/client.json"))],
        [("client_id", Some("mcp-server"))],
        [("redirect_uri", None)],
        [("redirect_uri", Some("https://editor.example/cb/"))],
        [("redirect_uri", Some("https://editor.example/CB"))],
        [("redirect_uri", Some("https://editor.example/cb#x"))],
        [("redirect_uri", Some("https://user@editor.example/cb"))],
        [("redirect_uri", Some("https://editor.example/cb/../cb"))],
        [("redirect_uri", Some("https://evil.example/cb"))],
        [("redirect_uri", Some("http://localhost/cb"))],
        [("redirect_uri", Some("http://127.0.0.1:1/other"))],
        [("redirect_uri", Some("javascript:alert(1)"))],
    ] {
        let answer = open(&gateway, "alice", &authorize(&changes)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{changes:?} {answer:?}");
        assert!(!answer.headers.contains_key("location"));
        html(&answer);
    }
    for repeated in ["client_id=editor", "redirect_uri=https%3A%2F%2Feditor.example%2Fcb"] {
        let answer = open(&gateway, "alice", &format!("{}&{repeated}", authorize(&[]))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{repeated}");
    }
    let port = authorize(&[("redirect_uri", Some("http://127.0.0.1:49152/cb"))]);
    assert_eq!(open(&gateway, "alice", &port).await.status, StatusCode::OK);
}

#[tokio::test]
async fn row_l7_l9_and_l10_every_other_error_goes_to_the_redirect_with_state_and_issuer() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let long = "s".repeat(2049);
    for (changes, error, state) in [
        ([("response_type", None)], "invalid_request", Some("xyz")),
        ([("response_type", Some("token"))], "unsupported_response_type", Some("xyz")),
        ([("response_type", Some("code id_token"))], "unsupported_response_type", Some("xyz")),
        ([("response_mode", Some("fragment"))], "invalid_request", Some("xyz")),
        ([("code_challenge", None)], "invalid_request", Some("xyz")),
        ([("code_challenge", Some("short"))], "invalid_request", Some("xyz")),
        ([("code_challenge_method", None)], "invalid_request", Some("xyz")),
        ([("code_challenge_method", Some("plain"))], "invalid_request", Some("xyz")),
        ([("scope", Some("a\"b"))], "invalid_scope", Some("xyz")),
        ([("scope", Some("admin"))], "invalid_scope", Some("xyz")),
        ([("resource", Some("https://other.example"))], "invalid_target", Some("xyz")),
        ([("request", Some("a.b.c"))], "request_not_supported", Some("xyz")),
        ([("request_uri", Some("https://editor.example/r"))], "request_uri_not_supported", Some("xyz")),
        ([("state", Some(long.as_str()))], "invalid_request", None),
    ] {
        let answer = open(&gateway, "alice", &authorize(&changes)).await;
        let url = location(&answer);
        assert!(url.as_str().starts_with(CALLBACK), "{url}");
        assert_eq!(member(&url, "error").as_deref(), Some(error), "{changes:?}");
        assert_eq!(member(&url, "state").as_deref(), state, "{changes:?}");
        assert_eq!(member(&url, "iss").as_deref(), Some(ISSUER));
        assert_eq!(member(&url, "code"), None);
    }
    for repeated in ["state=a", "scope=chat&scope=tools", "code_challenge=x"] {
        let answer = open(&gateway, "alice", &format!("{}&{repeated}", authorize(&[]))).await;
        assert_eq!(member(&location(&answer), "error").as_deref(), Some("invalid_request"), "{repeated}");
    }
    let two = format!("{}&resource={MCP}&resource=https%3A%2F%2Fapi.example", authorize(&[]));
    let answer = open(&gateway, "alice", &two).await;
    assert_eq!(member(&location(&answer), "error").as_deref(), Some("invalid_target"));
}

#[tokio::test]
async fn somebody_who_is_not_signed_in_loses_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let request =
        authorize(&[("scope", Some("chat tools")), ("resource", Some(MCP)), ("state", Some("a/b?c&d=e"))]);
    let answer = send(browse(&gateway, Method::GET, &request)).await;
    let login = url::Url::parse(ISSUER).unwrap().join(answer.header("location")).unwrap();
    assert_eq!((answer.status, login.path()), (StatusCode::SEE_OTHER, "/login"));
    assert_eq!(member(&login, "return_to"), Some(format!("{PREFIX}{request}")));
    let shown = open(&gateway, "alice", &request).await;
    assert!(html(&shown).contains("The Editor"));
}
