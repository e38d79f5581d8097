//! The operators' page.

use std::time::Duration;

use axum::Router;
use bridge_auth::issue::TokenExchange;
use bridge_auth::pages::Pages;
use bridge_auth::service::Operator;
use bridge_auth::{Bridge, BridgeBuilder, Freshness, Scopes, SignedIn};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::ServiceExt as _;
use url::form_urlencoded;

use crate::oauth::given::{FORM, claims, post};
use crate::oauth::token_exchange::{ACCESS, GRANT};
use crate::sign_in::given::{self, Fields, html, sign_in_builder};
use crate::support::bridge::{ISSUER, builder, user};
use crate::support::gateway::{Answer, Gateway, OPERATOR, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    an_operator_finds_a_person_and_ends_a_device,
    a_bridge_is_refused_as_soon_as_an_operator_ended_its_device,
    an_operator_disables_and_enables_a_person,
    a_device_says_that_agents_act_through_it_while_they_do,
];

/// An operator's browser opens the page.
pub async fn open(gateway: &Gateway, path_and_query: &str) -> Answer {
    send(gateway.request(Method::GET, path_and_query).header(AUTHORIZATION, OPERATOR)).await
}

/// An operator's browser sends a form of the page.
pub async fn submit(gateway: &Gateway, path_and_query: &str, fields: Fields<'_>) -> Answer {
    let own = [("origin", ISSUER), ("sec-fetch-site", "same-origin")];
    send(form(gateway, path_and_query, fields, &own).header(AUTHORIZATION, OPERATOR)).await
}

fn form(
    gateway: &Gateway,
    path_and_query: &str,
    fields: Fields<'_>,
    headers: Fields<'_>,
) -> reqwest::RequestBuilder {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = gateway.request(Method::POST, path_and_query).header(CONTENT_TYPE, FORM).body(body);
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
}

async fn pages_builder(db: &impl Backend) -> BridgeBuilder {
    builder(db).await.pages(Pages::new("/login"))
}

async fn gateway(db: &impl Backend) -> Gateway {
    Gateway::over(pages_builder(db).await.build().unwrap()).await
}

fn session(token: &str) -> String {
    claims(token)["sid"].as_str().unwrap().to_owned()
}

async fn an_operator_finds_a_person_and_ends_a_device(db: impl Backend) {
    let gateway = gateway(&db).await;
    let person = SignedIn::new(user("a/b&c=d"), Scopes::default()).label("Alice@example.com");
    let (token, other) = (gateway.link("a/b&c=d").await, gateway.link("a/b&c=d").await);
    gateway.bridge.issuer().register_user(&person).await.unwrap();
    gateway.link("bob").await;
    let blank = open(&gateway, "/admin").await;
    assert!(blank.status == StatusCode::OK && !html(&blank).contains("bob"), "{blank:?}");
    assert!(html(&blank).contains("olga"), "the page says who operates");
    let everyone = open(&gateway, "/admin/?q=").await;
    assert!(html(&everyone).contains("bob") && html(&everyone).contains("Alice@example.com"));
    let found = open(&gateway, "/admin?q=+alice").await;
    assert!(
        html(&found).contains("href=\"?user=a%2Fb%26c%3Dd\"") && !html(&found).contains("bob"),
        "{found:?}"
    );
    let shown = open(&gateway, "/admin?user=a%2Fb%26c%3Dd").await;
    for text in ["Alice@example.com", "a/b&#38;c=d", &session(&token), &session(&other)] {
        assert!(html(&shown).contains(text), "{text} {}", html(&shown));
    }
    let end = [("action", "end"), ("user", "a/b&c=d"), ("session", &session(&token))];
    let ended = submit(&gateway, "/admin?user=a%2Fb%26c%3Dd", &end).await;
    assert_eq!(ended.status, StatusCode::OK, "{ended:?}");
    assert!(!html(&ended).contains(&session(&token)) && html(&ended).contains(&session(&other)));
    assert!(!gateway.admits(&token).await && gateway.admits(&other).await);
    let end_all = [("action", "end_all"), ("user", "a/b&c=d")];
    assert!(html(&submit(&gateway, "/admin", &end_all).await).contains("No device is signed in"));
    assert!(!gateway.admits(&other).await);
}

async fn a_bridge_is_refused_as_soon_as_an_operator_ended_its_device(db: impl Backend) {
    let max_lag = Duration::from_secs(5);
    for freshness in [Freshness::Strict, Freshness::Watched { max_lag }] {
        let gateway = Gateway::over(pages_builder(&db).await.freshness(freshness).build().unwrap()).await;
        let token = gateway.link("alice").await;
        for _ in 0..3 {
            assert!(gateway.admits(&token).await);
        }
        let end = [("action", "end"), ("user", "alice"), ("session", &session(&token))];
        assert_eq!(submit(&gateway, "/admin", &end).await.status, StatusCode::OK);
        assert!(!gateway.admits(&token).await, "{freshness:?}");
    }
}

/// Both on the page of the person and on that of operators.
async fn a_device_says_that_agents_act_through_it_while_they_do(db: impl Backend) {
    let builder = sign_in_builder(&db).await.token_exchange(TokenExchange::new());
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let token = gateway.link("alice").await;
    let (device, other) = (session(&token), session(&gateway.link("alice").await));
    // Of each page: what it says of this device, and of the other one.
    let shown = async || {
        let pages =
            [given::open(&gateway, "alice", "/devices").await, open(&gateway, "/admin?user=alice").await];
        pages.map(|page| {
            [&device, &other].map(|id| {
                let devices: Vec<_> = html(&page).split("<details>").skip(1).collect();
                let device = devices.iter().find(|shown| shown.contains(id)).expect("each is shown");
                device.contains("Agents act through this device too. They are signed out with it.")
            })
        })
    };
    assert_eq!(shown().await, [[false, false]; 2]);
    let exchange = [
        ("grant_type", GRANT),
        ("subject_token", &token),
        ("subject_token_type", ACCESS),
        ("client_id", "sp_bridge"),
    ];
    let exchanged = send(post(&gateway, "/token", &exchange)).await;
    assert_eq!(exchanged.status, StatusCode::OK, "{exchanged:?}");
    assert_eq!(shown().await, [[true, false]; 2]);
    let agent = exchanged.text("access_token");
    let end = [("token", &*agent), ("client_id", "sp_bridge")];
    assert_eq!(send(post(&gateway, "/revoke", &end)).await.status, StatusCode::OK);
    assert_eq!(shown().await, [[false, false]; 2]);
}

async fn an_operator_disables_and_enables_a_person(db: impl Backend) {
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let act = async |action: &str| submit(&gateway, "/admin", &[("action", action), ("user", "alice")]).await;
    let disabled = act("disable").await;
    assert!(
        html(&disabled).contains("value=\"enable\"") && html(&disabled).contains("Disabled"),
        "{disabled:?}"
    );
    assert!(!html(&disabled).contains("value=\"disable\""));
    assert!(!gateway.admits(&token).await);
    assert!(html(&open(&gateway, "/admin?q=ali").await).contains("Disabled"));
    let asked = gateway.post("/code", &serde_json::json!({})).header("cookie", "login=alice");
    assert_eq!(send(asked).await.status, StatusCode::FORBIDDEN);
    assert!(html(&act("enable").await).contains("value=\"disable\""));
    assert!(gateway.admits(&gateway.link("alice").await).await);
}

#[tokio::test]
async fn what_people_choose_themselves_is_text_on_the_page() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let evil = "<script>alert(1)</script>\"'&";
    let name = evil.replace(' ', "");
    let code = {
        let person = SignedIn::new(user(&name), Scopes::default()).label(evil);
        let issued = gateway.bridge.issuer().issue_code(&person, Default::default()).await.unwrap();
        issued.code.expose().to_owned()
    };
    let body = serde_json::json!({ "code": code, "device_name": evil });
    let opened = send(gateway.post("/session", &body).header("user-agent", evil)).await;
    assert_eq!(opened.status, StatusCode::OK, "{opened:?}");
    let encoded: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
    for path in
        [format!("/admin?q={encoded}"), format!("/admin?user={encoded}"), format!("/admin?q={encoded}x")]
    {
        let page = open(&gateway, &path).await;
        let text = html(&page);
        assert!(text.contains("alert(1)") && !text.contains("<script"), "{path} {text}");
        assert!(!text.contains("\"'&\""), "{path} {text}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.ends_with("form-action 'self'"),
            "{policy}"
        );
        assert_eq!((page.header("x-frame-options"), page.header("cache-control")), ("DENY", "no-store"));
    }
}

#[tokio::test]
async fn the_list_of_people_and_of_devices_goes_on_where_it_stopped() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    for number in 0..101 {
        let person = SignedIn::new(user(&format!("p{number:03}")), Scopes::default());
        gateway.bridge.issuer().register_user(&person).await.unwrap();
    }
    let first = open(&gateway, "/admin?q=p").await;
    assert!(html(&first).contains("p099") && !html(&first).contains("p100"), "{}", html(&first));
    assert!(html(&first).contains("href=\"?q=p&amp;after=p099\""), "{}", html(&first));
    let second = open(&gateway, "/admin?q=p&after=p099").await;
    assert!(html(&second).contains("p100") && !html(&second).contains("after="), "{}", html(&second));
}

#[tokio::test]
async fn the_page_tells_the_health_of_the_gateway() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    assert!(gateway.admits(&gateway.link("alice").await).await);
    let page = open(&gateway, "/admin").await;
    for text in ["Freshness", "one_node", "in use"] {
        assert!(html(&page).contains(text), "{text} {}", html(&page));
    }
    let health = gateway.operate(Method::GET, "/health").await;
    assert!(health.status == StatusCode::OK && health.is_not_stored(), "{health:?}");
    let health = health.json();
    assert_eq!((&health["replication"], &health["faults"]), (&"one_node".into(), &0.into()), "{health}");
    assert!(health["proven"].is_boolean() && health["age_ms"].is_u64() && health["look_up_ms"].is_u64());
    assert!(health["pool"]["size"].as_u64() > Some(0), "{health}");
    db.break_down();
    let broken = open(&gateway, "/admin?q=a").await;
    assert_eq!((broken.status, broken.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    html(&broken);
    assert_eq!(open(&gateway, "/admin").await.status, StatusCode::OK, "health is shown when nothing else is");
}

#[tokio::test]
async fn a_form_of_another_site_or_without_an_operator_does_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let disable = [("action", "disable"), ("user", "alice")];
    for headers in [
        &[("sec-fetch-site", "cross-site")][..],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
    ] {
        let refused = form(&gateway, "/admin", &disable, headers).header(AUTHORIZATION, OPERATOR);
        let refused = send(refused).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{headers:?}");
        html(&refused);
    }
    for path in
        ["/admin", "/admin/", "/admin?user=alice", "/admin/users", "/admin/users/alice", "/admin/health"]
    {
        let refused = send(gateway.request(Method::GET, path)).await;
        assert!(refused.is_problem(401, "operator_required"), "{path} {refused:?}");
    }
    let refused = send(form(&gateway, "/admin", &disable, &[("origin", ISSUER)])).await;
    assert!(refused.is_problem(401, "operator_required"), "{refused:?}");
    // What looks like a form in the address is none.
    open(&gateway, "/admin?action=disable&user=alice").await;
    assert!(gateway.admits(&token).await);
}

#[tokio::test]
async fn a_form_that_is_not_of_the_page_does_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    for fields in [
        &[][..],
        &[("action", "disable")],
        &[("user", "alice")],
        &[("action", "destroy"), ("user", "alice")],
        &[("action", "disable"), ("user", "a b")],
        &[("action", "end"), ("user", "alice")],
        &[("action", "end"), ("user", "alice"), ("session", "a b")],
        &[("action", "disable"), ("action", "enable"), ("user", "alice")],
    ] {
        let refused = submit(&gateway, "/admin", fields).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{fields:?}");
        html(&refused);
    }
    for query in ["?user=a&user=b", "?q=%ff", "?user=alice&cursor=x", "?q=&after=%00"] {
        assert_eq!(
            open(&gateway, &format!("/admin{query}")).await.status,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
    for unknown in ["nobody", "a%20b", "%00"] {
        let page = open(&gateway, &format!("/admin?user={unknown}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{unknown}");
        assert!(html(&page).contains("no such person"), "{unknown}");
    }
    for action in ["disable", "enable", "end_all"] {
        let page = submit(&gateway, "/admin", &[("action", action), ("user", "nobody")]).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{action}");
    }
    let none = [("action", "end"), ("user", "alice"), ("session", "sess_0")];
    assert!(html(&submit(&gateway, "/admin", &none).await).contains("signed out already"));
    assert!(gateway.admits(&token).await);
    let put = send(gateway.request(Method::PUT, "/admin").header(AUTHORIZATION, OPERATOR)).await;
    assert!(put.is_problem(405, "method_not_allowed") && put.header("allow") == "GET, HEAD, POST", "{put:?}");
}

#[tokio::test]
async fn the_forms_write_the_audit_events_of_the_endpoints() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let session = session(&gateway.link("alice").await);
    let record = Record::default();
    let guard = record.listen();
    for fields in [
        &[("action", "end"), ("user", "alice"), ("session", session.as_str())][..],
        &[("action", "end_all"), ("user", "alice")],
        &[("action", "disable"), ("user", "alice")],
        &[("action", "enable"), ("user", "alice")],
    ] {
        assert_eq!(submit(&gateway, "/admin", fields).await.status, StatusCode::OK);
    }
    drop(guard);
    let of_operators: Vec<_> =
        record.audit().into_iter().filter(|fields| fields["operator"] == "\"olga\"").collect();
    let events: Vec<_> = of_operators.iter().map(|fields| fields["event"].as_str().unwrap()).collect();
    let expected = [
        "operator_revoked_session",
        "operator_revoked_user",
        "operator_disabled_user",
        "operator_enabled_user",
    ];
    assert_eq!(events, expected);
    for fields in of_operators {
        assert_eq!((&fields["user_id"], &fields["found"]), (&"alice".into(), &true.into()), "{fields}");
    }
}

async fn ask(app: Router, path: &str) -> (StatusCode, String) {
    let mut request = Request::get(path).body(axum::body::Body::empty()).unwrap();
    request.extensions_mut().insert(Operator::new("olga"));
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    (parts.status, String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap())
}

#[tokio::test]
async fn the_page_is_on_with_the_pages_wherever_it_is_mounted() {
    let db = SqliteBackend::start().await;
    let nested = |bridge: &Bridge| Router::new().nest_service("/ops/people", bridge.admin_service());
    let (on, off) = (pages_builder(&db).await.build().unwrap(), builder(&db).await.build().unwrap());
    for path in ["/ops/people", "/ops/people/", "/ops/people?q=x"] {
        let (status, page) = ask(nested(&on), path).await;
        assert!(status == StatusCode::OK && page.contains("<form"), "{path} {page}");
        let (status, problem) = ask(nested(&off), path).await;
        assert!(status == StatusCode::NOT_FOUND && problem.contains("not_found"), "{path} {problem}");
    }
    assert_eq!(ask(nested(&off), "/ops/people/users").await.0, StatusCode::OK, "JSON needs no pages");
    for path in ["/", "/?q=x", "http://operators.example"] {
        let mut request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
        request.extensions_mut().insert(Operator::new("olga"));
        assert_eq!(on.admin_service().oneshot(request).await.unwrap().status(), StatusCode::OK, "{path}");
    }
}
