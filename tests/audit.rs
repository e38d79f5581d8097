//! What the host's audit log tells of the endpoints: who did what to whom, and no secret.

use bridge_auth::drain::AnswerBody;
use bridge_auth::service::{Operator, PeerAddr};
use bridge_auth::{Bridge, Scopes, SignedIn};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Service, ServiceExt};

use crate::support::bridge::{builder, user};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

const OPERATOR: &str = "olga\nevent=\"forged\"";

/// A request with all that a host puts into its extensions.
fn request(method: &str, uri: &str, token: Option<&str>, body: &Value) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(uri).header(CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(AUTHORIZATION, format!("Bearer {token}"));
    }
    request
        .extension(SignedIn::new(user("alice"), Scopes::parse("chat").unwrap()))
        .extension(Operator::new(OPERATOR))
        .extension(PeerAddr([203, 0, 113, 9].into()))
        .body(Full::from(body.to_string()))
        .unwrap()
}

async fn ask<S>(service: S, request: Request<Full<Bytes>>) -> Value
where
    S: Service<Request<Full<Bytes>>, Response = Response<AnswerBody>, Error = std::convert::Infallible>,
{
    let body = service.oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap_or(Value::Null)
}

/// Walks through the endpoints; the secrets that were on the way.
async fn walk(bridge: &Bridge) -> Vec<String> {
    let text = |answer: &Value, member: &str| answer[member].as_str().unwrap().to_owned();
    let mut secrets = Vec::new();
    let mut link = async || {
        let issued = ask(bridge.service(), request("POST", "/code", None, &json!({}))).await;
        let presented = json!({ "code": issued["code"] });
        let opened = ask(bridge.service(), request("POST", "/session", None, &presented)).await;
        secrets.extend([text(&issued, "code"), text(&opened, "token")]);
        (presented, opened)
    };
    let (presented, opened) = link().await;
    let (_, second) = link().await;
    let token = text(&second, "token");
    let provisioned = ask(bridge.service(), request("POST", "/oauth-client", Some(&token), &json!({}))).await;
    secrets.push(text(&provisioned, "client_secret"));
    ask(bridge.service(), request("POST", "/session", None, &presented)).await;
    ask(bridge.service(), request("POST", "/logout", Some(&token), &json!({}))).await;
    let session = text(&opened["headers"], "x-session-id");
    for (method, uri) in [
        ("DELETE", format!("/sessions/{session}")),
        ("DELETE", "/users/alice/sessions".to_owned()),
        ("DELETE", "/clients/bridge%3Aalice/sessions".to_owned()),
        ("POST", "/users/alice/disable".to_owned()),
        ("POST", "/users/alice/enable".to_owned()),
    ] {
        ask(bridge.admin_service(), request(method, &uri, None, &json!({}))).await;
    }
    secrets
}

#[tokio::test]
async fn every_act_is_in_the_log_with_who_did_it_and_no_secret_is() {
    let db = SqliteBackend::start().await;
    let bridge = builder(&db).await.build().unwrap();
    let record = Record::default();
    let secrets = {
        let _guard = record.listen();
        walk(&bridge).await
    };
    let text = record.text();
    let audit = record.audit();
    let find = |event: &str| {
        let found = audit.iter().find(|fields| fields["event"] == event);
        found.unwrap_or_else(|| panic!("{event} is not in {audit:?}"))
    };
    let replayed = find("code_replayed");
    assert_eq!((&replayed["user_id"], &replayed["address"]), (&json!("alice"), &json!("203.0.113.9")));
    assert!(replayed["first_used_at"].is_u64(), "{replayed}");
    assert_eq!(find("logged_out")["user_id"], "alice");
    assert_eq!(find("client_provisioned")["client_id"], "bridge:alice");
    for event in [
        "operator_revoked_session",
        "operator_revoked_user",
        "operator_disabled_user",
        "operator_enabled_user",
    ] {
        let fields = find(event);
        assert_eq!(
            (&fields["operator"], &fields["found"]),
            (&json!(format!("{OPERATOR:?}")), &json!(true)),
            "{event}"
        );
    }
    let client = find("operator_revoked_client");
    assert_eq!(
        (&client["operator"], &client["client_id"]),
        (&json!(format!("{OPERATOR:?}")), &json!("bridge:alice"))
    );
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} was logged");
    }
}
