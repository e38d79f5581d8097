//! Discovery over HTTP: what a client that knows nothing but a URL finds out (CHECKLIST 1.F).

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bridge_auth::audience::ProtectedResource;
use bridge_auth::drain::AnswerBody;
use bridge_auth::id::Audience;
use bridge_auth::issue::AccessRequest;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Bridge, BridgeBuilder, BuildError, Scopes, SignedIn};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::support::bridge::{ISSUER, access, builder, user};
use crate::support::gateway::{Answer, Gateway, PREFIX, send};
use crate::support::{Backend, SqliteBackend};

const SERVER: &str = "/.well-known/oauth-authorization-server";
const RESOURCE: &str = "/.well-known/oauth-protected-resource";
const MCP: &str = "https://gateway.example/mcp";

fn scopes(text: &str) -> Scopes {
    Scopes::parse(text).unwrap()
}

/// With all there is to advertise.
async fn full(db: &SqliteBackend) -> BridgeBuilder {
    let url = |path: &str| format!("{ISSUER}{PREFIX}{path}");
    builder(db)
        .await
        .token_endpoint(url("/token"))
        .introspection_endpoint(url("/introspect"))
        .revocation_endpoint(url("/revoke"))
        .jwks_uri(format!("{ISSUER}/.well-known/jwks.json"))
        .refresh_tokens(true)
        .protected_resource(ProtectedResource::new(MCP).scopes(scopes("chat")).name("The tools"))
        .protected_resource(ProtectedResource::new(ISSUER))
}

/// A bridge of this issuer; the default one has another.
async fn of_issuer(db: &SqliteBackend, issuer: &str) -> BridgeBuilder {
    without_token_endpoint(db, issuer).await.token_endpoint(format!("{ISSUER}/token"))
}

async fn without_token_endpoint(db: &SqliteBackend, issuer: &str) -> BridgeBuilder {
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    Bridge::builder_with(issuer, keys, db.open().await)
}

async fn gateway(builder: BridgeBuilder) -> Gateway {
    Gateway::over(builder.build().unwrap()).await
}

async fn fetch(gateway: &Gateway, path: &str) -> Answer {
    send(gateway.request(Method::GET, path)).await
}

async fn metadata(builder: BridgeBuilder, path: &str) -> Value {
    let answer = fetch(&gateway(builder).await, path).await;
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer.json()
}

#[tokio::test]
async fn row_104_the_metadata_are_json_at_the_well_known_path_before_the_issuers_own() {
    let db = SqliteBackend::start().await;
    for (issuer, found, not_found) in [
        (ISSUER, vec![""], vec!["/", "/tenant1", "x"]),
        ("https://gateway.example/", vec![""], vec!["/"]),
        (
            "https://gateway.example/tenant1",
            vec!["/tenant1"],
            vec!["", "/", "/tenant1/", "/tenant2", "/tenant1/x"],
        ),
        ("https://gateway.example/a/b/", vec!["/a/b", "/a/b/"], vec!["", "/a", "/a/b//", "/a/%62"]),
    ] {
        let gateway = gateway(of_issuer(&db, issuer).await).await;
        for path in found {
            let answer = fetch(&gateway, &format!("{SERVER}{path}")).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
            assert_eq!(answer.text("issuer"), issuer, "{path}");
            assert_eq!(answer.header("cache-control"), "public, max-age=300");
            assert!(!answer.headers.contains_key("pragma"));
        }
        for path in not_found {
            let answer = fetch(&gateway, &format!("{SERVER}{path}")).await;
            assert!(answer.is_problem(404, "not_found"), "{issuer} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn row_105_the_issuer_is_byte_for_byte_that_of_the_tokens() {
    let db = SqliteBackend::start().await;
    for issuer in
        ["https://gateway.example", "https://Gateway.example:443/Tenant%31", "https://gateway.example/a/"]
    {
        let bridge = of_issuer(&db, issuer).await.build().unwrap();
        let token = access(&bridge, "alice", "").await.token;
        let payload = URL_SAFE_NO_PAD.decode(token.expose().split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&payload).unwrap();
        let path = issuer.parse::<url::Url>().unwrap().path().trim_end_matches('/').to_owned();
        let answer = fetch(&Gateway::over(bridge).await, &format!("{SERVER}{path}")).await;
        assert_eq!((answer.text("issuer").as_str(), claims["iss"].as_str()), (issuer, Some(issuer)));
    }
    for unsafe_one in ["http://gateway.example", "https://gateway.example/?a", "https://gateway.example/#a"] {
        let refused = of_issuer(&db, unsafe_one).await.build();
        assert!(matches!(refused, Err(BuildError::Issuer(_))), "{unsafe_one}");
    }
}

#[tokio::test]
async fn row_106_the_grants_are_those_that_are_on() {
    let db = SqliteBackend::start().await;
    let grants = async |builder| metadata(builder, SERVER).await["grant_types_supported"].clone();
    assert_eq!(grants(builder(&db).await).await, json!(["client_credentials", "authorization_code"]));
    let all = json!(["client_credentials", "authorization_code", "refresh_token"]);
    assert_eq!(grants(full(&db).await).await, all);
}

#[tokio::test]
async fn row_107_what_must_be_there_is_and_no_page_is_made_up_for_the_authorization_endpoint() {
    let db = SqliteBackend::start().await;
    let found = metadata(builder(&db).await, SERVER).await;
    assert_eq!(found["token_endpoint"], format!("{ISSUER}/token"));
    assert_eq!(found["response_types_supported"], json!(["code"]));
    let absent = [
        "authorization_endpoint",
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
        "revocation_endpoint",
        "revocation_endpoint_auth_methods_supported",
        "jwks_uri",
        "registration_endpoint",
        "protected_resources",
    ];
    for member in absent {
        assert!(found.get(member).is_none(), "{member}: {found}");
    }
    let found = metadata(full(&db).await, SERVER).await;
    assert_eq!(found["introspection_endpoint"], format!("{ISSUER}{PREFIX}/introspect"));
    assert_eq!(found["revocation_endpoint"], format!("{ISSUER}{PREFIX}/revoke"));
    assert_eq!(found["jwks_uri"], format!("{ISSUER}/.well-known/jwks.json"));
    assert_eq!(found["protected_resources"], json!([MCP, ISSUER]));
    let page = format!("{ISSUER}/link");
    let found = metadata(builder(&db).await.authorization_endpoint(&page), SERVER).await;
    assert_eq!(found["authorization_endpoint"], page);
}

#[tokio::test]
async fn row_108_and_153_the_ways_to_prove_a_client_are_listed_with_their_algorithms() {
    let db = SqliteBackend::start().await;
    let found = metadata(full(&db).await, SERVER).await;
    let proofs = json!(["client_secret_basic", "client_secret_post", "private_key_jwt"]);
    let and_none = json!(["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]);
    for (endpoint, methods) in [("token", &and_none), ("revocation", &and_none), ("introspection", &proofs)] {
        assert_eq!(found[format!("{endpoint}_endpoint_auth_methods_supported")], *methods, "{endpoint}");
        let algorithms = found[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")].clone();
        assert_eq!(algorithms, json!(["EdDSA", "Ed25519", "ES256", "PS256", "RS256"]), "{endpoint}");
    }
}

#[tokio::test]
async fn row_109_nothing_empty_is_said() {
    let db = SqliteBackend::start().await;
    for builder in [builder(&db).await.hook_scopes(Scopes::default()), full(&db).await] {
        let gateway =
            gateway(builder.protected_resource(ProtectedResource::new("https://gateway.example/bare"))).await;
        for path in [SERVER.to_owned(), format!("{RESOURCE}/bare")] {
            let found = fetch(&gateway, &path).await.json();
            for (member, value) in found.as_object().unwrap() {
                let is_empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty) || value == "";
                assert!(!is_empty, "{path}: {member}");
            }
        }
    }
}

#[tokio::test]
async fn row_110_pkce_is_advertised_as_s256_alone() {
    let db = SqliteBackend::start().await;
    assert_eq!(
        metadata(builder(&db).await, SERVER).await["code_challenge_methods_supported"],
        json!(["S256"])
    );
}

#[tokio::test]
async fn row_111_the_metadata_of_a_resource_stand_at_its_path_behind_the_well_known_one() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(full(&db).await).await;
    for (path, resource) in [("", ISSUER), ("/mcp", MCP)] {
        let answer = fetch(&gateway, &format!("{RESOURCE}{path}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.text("resource"), resource);
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
    }
    for path in ["/", "/mcp/", "/mc", "/mcp/x", "/MCP", "//mcp"] {
        let answer = fetch(&gateway, &format!("{RESOURCE}{path}")).await;
        assert!(answer.is_problem(404, "not_found"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn row_112_and_151_the_resource_is_byte_for_byte_what_was_configured() {
    let db = SqliteBackend::start().await;
    for (resource, path) in [
        ("https://gateway.example", ""),
        ("https://gateway.example/", ""),
        ("https://gateway.example:8443/mcp", "/mcp"),
        ("https://gateway.example:443/mcp", "/mcp"),
        ("HTTPS://Gateway.EXAMPLE/mcp", "/mcp"),
        ("https://gateway.example/mcp/", "/mcp/"),
        ("https://gateway.example/mcp/", "/mcp"),
    ] {
        let builder = builder(&db).await.protected_resource(ProtectedResource::new(resource));
        let gateway = gateway(builder).await;
        let asked = gateway
            .request(Method::GET, &format!("{RESOURCE}{path}"))
            .header("host", "evil.example")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "http")
            .header("forwarded", "host=evil.example;proto=http");
        assert_eq!(send(asked).await.text("resource"), resource, "{path}");
    }
    for bad in [
        "https://gateway.example/mcp#x",
        "http://gateway.example/mcp",
        "https://gateway.example/mcp?x",
        "mcp",
    ] {
        let refused = builder(&db).await.protected_resource(ProtectedResource::new(bad)).build();
        assert!(matches!(refused, Err(BuildError::Text { .. })), "{bad}");
    }
    let two = builder(&db).await.protected_resource(ProtectedResource::new(MCP));
    let two = two.protected_resource(ProtectedResource::new("https://other.example/mcp"));
    assert!(two.build().is_err(), "one path cannot lead to the metadata of two");
}

#[tokio::test]
async fn row_113_a_resource_names_its_authorization_server_and_how_a_token_is_sent() {
    let db = SqliteBackend::start().await;
    let found = metadata(full(&db).await, &format!("{RESOURCE}/mcp")).await;
    let expected = json!({
        "resource": MCP,
        "authorization_servers": [ISSUER],
        "scopes_supported": ["chat"],
        "bearer_methods_supported": ["header"],
        "resource_name": "The tools",
    });
    assert_eq!(found, expected);
    let found = metadata(full(&db).await, RESOURCE).await;
    let expected = json!({ "resource": ISSUER, "authorization_servers": [ISSUER], "bearer_methods_supported": ["header"] });
    assert_eq!(found, expected);
}

/// A gateway whose resource is on its own socket, so that what it says can be followed.
async fn resource_gateway(db: &SqliteBackend, resource_path: &str, required: &str) -> Gateway {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let resource = format!("http://{}{resource_path}", listener.local_addr().unwrap());
    let described = ProtectedResource::new(&resource).scopes(scopes("chat tools"));
    let bridge = full(db).await.protected_resource(described).build().unwrap();
    let layer = bridge.layer(&resource).unwrap().require_scopes(scopes(required));
    let route = Router::new().route(resource_path, get(|| async { "in" })).layer(layer);
    Gateway::on(listener, bridge, route)
}

#[tokio::test]
async fn row_114_and_143_a_challenge_points_to_the_metadata_of_the_resource_that_was_asked() {
    let db = SqliteBackend::start().await;
    let gateway = resource_gateway(&db, "/tools/v1", "").await;
    let origin = format!("http://{}", gateway.address);
    let refused = fetch(&gateway, "/tools/v1").await;
    let pointer = format!("{origin}{RESOURCE}/tools/v1");
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("www-authenticate"),
        format!("Bearer resource_metadata=\"{pointer}\", scope=\"chat tools\"")
    );
    let found = reqwest::get(&pointer).await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(found["resource"], format!("{origin}/tools/v1"));
    assert_eq!(found, fetch(&gateway, &format!("{RESOURCE}/tools/v1")).await.json());
    let bad = gateway.call(Method::GET, "/tools/v1", "x.y.z").await;
    let challenge = bad.header("www-authenticate");
    assert!(challenge.contains(&pointer) && challenge.contains("error=\"invalid_token\""), "{challenge}");
    // A token for another audience is not one for this resource.
    assert_eq!(gateway.call(Method::GET, "/tools/v1", &gateway.link("alice").await).await.status, 401);
}

#[tokio::test]
async fn row_115_a_challenge_names_all_scopes_at_once_and_the_metadata_few() {
    let db = SqliteBackend::start().await;
    let gateway = resource_gateway(&db, "/mcp2", "tools:write tools:read").await;
    let none = fetch(&gateway, "/mcp2").await;
    let challenge = none.header("www-authenticate");
    assert!(challenge.ends_with("scope=\"tools:read tools:write\""), "{challenge}");
    let found = fetch(&gateway, &format!("{RESOURCE}/mcp2")).await.json();
    assert_eq!(found["scopes_supported"], json!(["chat", "tools"]));
    let server = fetch(&gateway, SERVER).await.json();
    assert_eq!(server["scopes_supported"], json!(["chat", "hook:govern", "hook:track", "tools"]));

    let resource = format!("http://{}/mcp2", gateway.address);
    gateway.bridge.issuer().register_user(&SignedIn::new(user("alice"), scopes("tools:read"))).await.unwrap();
    let request = AccessRequest::for_user(user("alice"), scopes("tools:read"));
    let request = request.audiences([Audience::parse(resource).unwrap()]);
    let token = gateway.bridge.issuer().open_access(request).await.unwrap().token;
    let lacking = gateway.call(Method::GET, "/mcp2", token.expose()).await;
    assert_eq!(lacking.status, 403);
    let challenge = lacking.header("www-authenticate");
    assert!(challenge.contains(&format!("{RESOURCE}/mcp2\"")), "{challenge}");
    assert!(
        challenge.ends_with("error=\"insufficient_scope\", scope=\"tools:read tools:write\""),
        "{challenge}"
    );
}

#[tokio::test]
async fn row_116_no_authorization_response_is_promised() {
    let db = SqliteBackend::start().await;
    let found = metadata(full(&db).await, SERVER).await;
    assert!(found.get("authorization_response_iss_parameter_supported").is_none(), "{found}");
}

#[tokio::test]
async fn row_88_the_key_set_is_public_and_may_be_kept_for_a_while() {
    let db = SqliteBackend::start().await;
    let answer = fetch(&gateway(full(&db).await).await, "/.well-known/jwks.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/jwk-set+json"));
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    let mut ids: Vec<_> = keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect();
    ids.dedup();
    assert_eq!(ids.len(), keys.len());
    for key in keys {
        assert!(key["use"] == "sig" && key["alg"] == "EdDSA", "{key}");
        for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
            assert!(key.get(private).is_none(), "{private}");
        }
    }
}

#[tokio::test]
async fn attack_a45_no_header_changes_a_byte_of_what_is_advertised() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(full(&db).await).await;
    for path in
        [SERVER.to_owned(), RESOURCE.to_owned(), format!("{RESOURCE}/mcp"), format!("{PREFIX}/sessions")]
    {
        let honest = fetch(&gateway, &path).await;
        for (name, value) in [
            ("host", "evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-prefix", "/evil"),
            ("x-original-host", "evil.example"),
            ("forwarded", "host=evil.example"),
            ("origin", "https://evil.example"),
        ] {
            let poisoned = send(gateway.request(Method::GET, &path).header(name, value)).await;
            assert_eq!(poisoned, honest, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn pages_of_any_origin_may_read_the_metadata_without_credentials() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(full(&db).await).await;
    for path in [SERVER, RESOURCE] {
        let answer = fetch(&gateway, path).await;
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let preflight = gateway
            .request(Method::OPTIONS, path)
            .header("origin", "https://inspector.example")
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "mcp-protocol-version");
        let preflight = send(preflight).await;
        assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-origin")), (204, "*"));
        assert_eq!(preflight.header("access-control-allow-headers"), "*");
        assert!(!preflight.headers.contains_key("access-control-allow-credentials"));
        let wrong = send(gateway.request(Method::POST, path)).await;
        assert!(wrong.is_problem(405, "method_not_allowed") && wrong.header("allow") == "GET, HEAD, OPTIONS");
    }
}

#[tokio::test]
async fn without_a_token_endpoint_there_is_no_authorization_server_to_find() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(without_token_endpoint(&db, ISSUER).await).await;
    assert!(fetch(&gateway, SERVER).await.is_problem(404, "not_found"));
}

#[tokio::test]
async fn the_combined_service_answers_at_the_root_too() {
    let db = SqliteBackend::start().await;
    let bridge = full(&db).await.build().unwrap();
    for path in [SERVER.to_owned(), format!("{RESOURCE}/mcp"), "/.well-known/jwks.json".to_owned()] {
        let request = |path: &str| Request::get(path).body(Full::<Bytes>::default()).unwrap();
        let combined = bridge.service().oneshot(request(&path)).await.unwrap();
        let alone = bridge.well_known_service().oneshot(request(&path)).await.unwrap();
        assert_eq!((combined.status().as_u16(), combined.headers()), (200, alone.headers()), "{path}");
        let body = |answer: http::Response<AnswerBody>| answer.into_body().collect();
        assert_eq!(body(combined).await.unwrap().to_bytes(), body(alone).await.unwrap().to_bytes());
    }
}
