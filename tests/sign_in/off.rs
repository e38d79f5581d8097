//! What is not configured is neither there nor advertised.

use http::StatusCode;
use serde_json::{Value, json};

use super::given::{authorize, gateway, open, post, submit};
use crate::support::gateway::{Gateway, send};
use crate::support::{Backend, SqliteBackend};

async fn metadata(gateway: &Gateway) -> Value {
    let path = "/.well-known/oauth-authorization-server";
    send(gateway.request(http::Method::GET, path)).await.json()
}

#[tokio::test]
async fn row_l16_the_metadata_names_what_is_on_and_nothing_else() {
    let db = SqliteBackend::start().await;
    let metadata_on = metadata(&gateway(&db).await).await;
    let base = "https://gateway.example/v1/auth/bridge";
    assert_eq!(metadata_on["authorization_endpoint"], format!("{base}/authorize"));
    assert_eq!(metadata_on["device_authorization_endpoint"], format!("{base}/device_authorization"));
    assert_eq!(metadata_on["authorization_response_iss_parameter_supported"], true);
    let grants = metadata_on["grant_types_supported"].as_array().unwrap();
    for grant in ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"] {
        assert!(grants.contains(&json!(grant)), "{grant}");
    }
    assert_eq!(metadata_on.get("client_id_metadata_document_supported"), None);
    assert_eq!(metadata_on.get("registration_endpoint"), None, "there is no dynamic registration");

    let off = Gateway::over(crate::oauth::given::oauth_builder(&db).await.build().unwrap()).await;
    let metadata_off = metadata(&off).await;
    for member in [
        "authorization_endpoint",
        "device_authorization_endpoint",
        "authorization_response_iss_parameter_supported",
        "client_id_metadata_document_supported",
    ] {
        assert_eq!(metadata_off.get(member), None, "{member}");
    }
    let grants = metadata_off["grant_types_supported"].as_array().unwrap();
    assert!(!grants.contains(&json!("urn:ietf:params:oauth:grant-type:device_code")));
    for page in ["/device", "/devices", &authorize(&[])] {
        assert_eq!(open(&off, "alice", page).await.status, StatusCode::NOT_FOUND, "{page}");
        assert_eq!(submit(&off, "alice", page, &[]).await.status, StatusCode::NOT_FOUND, "{page}");
    }
    let codes = send(post(&off, "/device_authorization", &[("client_id", "sp_bridge")])).await;
    assert_eq!(codes.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_capabilities_name_the_ways_in_that_are_on() {
    let db = SqliteBackend::start().await;
    let modes = async |gateway: &Gateway| {
        let path = format!("{}/capabilities", crate::support::gateway::PREFIX);
        send(gateway.request(http::Method::GET, &path)).await.json()["modes"].clone()
    };
    let all = json!([
        "session",
        "oauth-client",
        "refresh",
        "device-code",
        "authorize",
        "introspection",
        "revocation"
    ]);
    assert_eq!(modes(&gateway(&db).await).await, all);
    let without_pages = crate::oauth::given::oauth_builder(&db)
        .await
        .authorization_endpoint("https://gateway.example/a-page-of-the-host");
    let off = modes(&Gateway::over(without_pages.build().unwrap()).await).await;
    assert_eq!(off, json!(["session", "oauth-client", "introspection", "revocation"]));
}
