//! What a page of another site can make a signed-in person's browser do: nothing.

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN};
use http::{Method, StatusCode};
use serde_json::json;

use crate::support::bridge::{ISSUER, builder};
use crate::support::gateway::{Answer, Gateway, OPERATOR, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

const SEC_FETCH_SITE: &str = "sec-fetch-site";

async fn ask(gateway: &Gateway, headers: &[(&str, &str)]) -> Answer {
    let request = gateway.post("/code", &json!({})).header(COOKIE, "login=alice");
    send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

#[tokio::test]
async fn a_page_of_another_site_gets_no_code() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let own = ISSUER;
    for headers in [
        &[(SEC_FETCH_SITE, "cross-site")][..],
        &[(SEC_FETCH_SITE, "same-site")],
        &[(SEC_FETCH_SITE, "cross-site"), (ORIGIN.as_str(), own)],
        &[(ORIGIN.as_str(), "https://evil.example")],
        &[(ORIGIN.as_str(), "null")],
        &[(ORIGIN.as_str(), "http://127.0.0.1:1")],
        &[(ORIGIN.as_str(), own), (ORIGIN.as_str(), "https://evil.example")],
    ] {
        let refused = ask(&gateway, headers).await;
        assert_eq!(
            (refused.status, refused.text("code").as_str()),
            (StatusCode::FORBIDDEN, "cross_site"),
            "{headers:?}"
        );
        assert!(!refused.headers.contains_key("access-control-allow-origin"));
    }
    assert_eq!(db.count("codes").await, 0);
}

#[tokio::test]
async fn the_hosts_own_page_and_what_is_no_browser_get_one() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    for headers in [
        &[][..],
        &[(SEC_FETCH_SITE, "same-origin"), (ORIGIN.as_str(), ISSUER)],
        &[(SEC_FETCH_SITE, "none")],
        &[(ORIGIN.as_str(), ISSUER)],
        &[(ORIGIN.as_str(), ISSUER), (HOST.as_str(), "behind-a-proxy.example")],
    ] {
        assert_eq!(ask(&gateway, headers).await.status, StatusCode::CREATED, "{headers:?}");
    }
}

#[tokio::test]
async fn attack_n15_an_origin_that_equals_a_rebound_host() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let reached = format!("http://{}", gateway.address);
    for headers in [
        &[(ORIGIN.as_str(), "http://rebound.example"), (HOST.as_str(), "rebound.example")][..],
        &[
            (ORIGIN.as_str(), "http://rebound.example"),
            (HOST.as_str(), "rebound.example"),
            (SEC_FETCH_SITE, "same-origin"),
        ],
        &[(ORIGIN.as_str(), &reached)],
        &[(ORIGIN.as_str(), &reached), (SEC_FETCH_SITE, "same-origin")],
        &[(ORIGIN.as_str(), "http://gateway.example"), (HOST.as_str(), "gateway.example")],
    ] {
        let refused = ask(&gateway, headers).await;
        assert!(refused.is_problem(403, "cross_site"), "{headers:?} {refused:?}");
        let operator = gateway.request(Method::POST, "/admin/users/alice/disable");
        let operator = operator.header(AUTHORIZATION, OPERATOR);
        let operator = headers.iter().fold(operator, |request, (name, value)| request.header(*name, *value));
        assert!(send(operator).await.is_problem(403, "cross_site"), "{headers:?}");
    }
    assert_eq!(db.count("codes").await, 0);
}

#[tokio::test]
async fn a_page_of_a_trusted_origin_gets_a_code_too() {
    const APP: &str = "https://app.example";
    let db = SqliteBackend::start().await;
    let trusting = || async { builder(&db).await };
    let bridge = trusting().await.trusted_origins([APP]).build().unwrap();
    let gateway = Gateway::over(bridge).await;
    for headers in [
        &[(ORIGIN.as_str(), APP)][..],
        &[(ORIGIN.as_str(), APP), (SEC_FETCH_SITE, "cross-site")],
        &[(ORIGIN.as_str(), ISSUER), (SEC_FETCH_SITE, "same-origin")],
    ] {
        assert_eq!(ask(&gateway, headers).await.status, StatusCode::CREATED, "{headers:?}");
    }
    let both = [(ORIGIN.as_str(), APP), (ORIGIN.as_str(), "https://evil.example")];
    assert_eq!(ask(&gateway, &both).await.status, StatusCode::FORBIDDEN);
    for bad in ["http://app.example", "https://app.example/page", "data:a"] {
        assert!(trusting().await.trusted_origins([bad]).build().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn neither_a_link_nor_a_form_issues_a_code() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    let url = format!("{PREFIX}/code");
    let link = send(gateway.request(Method::GET, &url).header(COOKIE, "login=alice")).await;
    assert_eq!(link.status, StatusCode::METHOD_NOT_ALLOWED);
    for form in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"] {
        let sent =
            gateway.request(Method::POST, &url).header(COOKIE, "login=alice").header(CONTENT_TYPE, form);
        assert_eq!(send(sent).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{form}");
    }
    assert_eq!(db.count("codes").await, 0);
}

#[tokio::test]
async fn a_preflight_grants_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = Gateway::start(&db).await;
    for path in ["/code", "/session", "/sessions", "/logout"] {
        let preflight = gateway
            .request(Method::OPTIONS, &format!("{PREFIX}{path}"))
            .header(ORIGIN, "https://evil.example")
            .header("access-control-request-method", "POST");
        let answer = send(preflight).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{path}");
    }
}
