//! What a document may say.

use proptest::prelude::*;

use super::super::client_url::ClientUrl;
use super::*;

const CLIENT: &str = "https://client.example/app.json";

fn read(json: &[u8]) -> Result<ClientDocument, Refusal> {
    ClientDocument::read(&ClientUrl::parse(&id(CLIENT)).unwrap(), json)
}

fn read_with(members: &Value) -> Result<ClientDocument, Refusal> {
    read(with_members(CLIENT, members).to_string().as_bytes())
}

#[test]
fn row_l13_a_good_document_says_who_the_client_is() {
    let document = read_with(&json!({ "unknown": [1, { "deep": null }] })).unwrap();
    assert_eq!(document.client_id.as_str(), CLIENT);
    assert_eq!(document.host(), "client.example");
    assert_eq!(document.name.as_deref(), Some("Example"));
    assert_eq!(document.site.unwrap().as_str(), "https://client.example/");
    assert_eq!(document.redirect_uris, ["https://client.example/callback", "http://127.0.0.1/callback"]);
    assert_eq!(document.scopes.unwrap().to_string(), "read write");
    let least = json!({ "client_id": CLIENT, "redirect_uris": ["com.example.app:/callback"] }).to_string();
    let least = read(least.as_bytes()).unwrap();
    assert_eq!((least.name, least.site, least.scopes), (None, None, None));
}

#[test]
fn row_l13_a_document_that_breaks_a_rule_is_refused() {
    for (members, refusal) in [
        (json!({ "client_id": null }), Refusal::OtherClientId),
        (json!({ "client_id": "https://client.example/App.json" }), Refusal::OtherClientId),
        (json!({ "client_id": "https://client.example/app.json/" }), Refusal::OtherClientId),
        (json!({ "client_id": "https://client.example:443/app.json" }), Refusal::OtherClientId),
        (json!({ "client_id": "https://evil.example/app.json" }), Refusal::OtherClientId),
        (json!({ "client_id": 7 }), Refusal::Malformed),
        (json!({ "token_endpoint_auth_method": "client_secret_basic" }), Refusal::Secret),
        (json!({ "token_endpoint_auth_method": "client_secret_post" }), Refusal::Secret),
        (json!({ "token_endpoint_auth_method": "client_secret_jwt" }), Refusal::Secret),
        (json!({ "token_endpoint_auth_method": "private_key_jwt" }), Refusal::Secret),
        (json!({ "token_endpoint_auth_method": "tls_client_auth" }), Refusal::Secret),
        (json!({ "token_endpoint_auth_method": "" }), Refusal::Secret),
        (
            json!({
                "token_endpoint_auth_method": "client_secret_post", "token_endpoint_auth_methods_supported": ["none"],
            }),
            Refusal::Secret,
        ),
        (json!({ "client_secret": "s3cret" }), Refusal::Secret),
        (json!({ "client_secret": "" }), Refusal::Secret),
        (json!({ "client_secret_expires_at": 0 }), Refusal::Secret),
        (
            json!({ "jwks": { "keys": [{ "kty": "OKP", "x": "AA" }, { "kty": "OKP", "x": "AA", "d": "AA" }] } }),
            Refusal::Secret,
        ),
        (json!({ "jwks": { "keys": [{ "kty": "oct", "k": "AA" }] } }), Refusal::Secret),
        (json!({ "jwks": [] }), Refusal::Malformed),
        (json!({ "redirect_uris": null }), Refusal::NoRedirectUris),
        (json!({ "redirect_uris": [] }), Refusal::NoRedirectUris),
        (json!({ "redirect_uris": ["cursor://callback"] }), Refusal::NoRedirectUris),
        (json!({ "redirect_uris": "https://client.example/callback" }), Refusal::Malformed),
        (json!({ "redirect_uris": [7] }), Refusal::Malformed),
        (json!({ "grant_types": ["client_credentials"] }), Refusal::GrantTypes),
        (json!({ "grant_types": [] }), Refusal::GrantTypes),
        (json!({ "response_types": ["token"] }), Refusal::ResponseTypes),
        (json!({ "scope": "read  write" }), Refusal::Scope),
        (json!({ "scope": "re\"ad" }), Refusal::Scope),
        (json!({ "client_name": ["Example"] }), Refusal::Malformed),
    ] {
        assert_eq!(read_with(&members), Err(refusal), "{members}");
    }
    for text in [
        "",
        "null",
        "[]",
        "\"https://client.example/app.json\"",
        "{}}",
        "{\"client_id\":",
        "<html></html>",
        "\u{feff}{}",
        // Two programs could take two different ones.
        "{\"client_id\":\"https://evil.example/\",\"client_id\":\"https://client.example/app.json\"}",
    ] {
        assert_eq!(read(text.as_bytes()), Err(Refusal::Malformed), "{text}");
    }
    // An array has the members in order, and is no object.
    let in_order = format!("[\"{CLIENT}\", null, null, [\"https://client.example/callback\"], \"none\"]");
    assert_eq!(read(in_order.as_bytes()), Err(Refusal::Malformed));
    assert_eq!(read("[".repeat(5000).as_bytes()), Err(Refusal::Malformed));
    let deep = format!("{{\"client_id\":{}", "{\"a\":".repeat(1000));
    assert_eq!(read(deep.as_bytes()), Err(Refusal::Malformed));
    assert_eq!(read(b"{\"client_id\":\"\xff\"}"), Err(Refusal::Malformed));
}

#[test]
fn row_l13_a_redirect_uri_is_https_or_http_on_loopback_or_a_private_scheme_with_a_dot() {
    let with = |uri: &str| read_with(&json!({ "redirect_uris": ["https://client.example/callback", uri] }));
    for good in [
        "https://other.example/callback?x=1",
        "https://client.example:8443/",
        "http://127.0.0.1:33418/",
        "http://127.0.0.1",
        "http://[::1]/callback",
        "http://localhost:3000/callback",
        "com.example.app:/callback",
        "com.example.app://callback",
    ] {
        assert_eq!(with(good).unwrap().redirect_uris, ["https://client.example/callback", good]);
    }
    for bad in [
        "",
        "/callback",
        "callback",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "vbscript:x",
        "data:text/html,x",
        "file:///etc/passwd",
        "blob:https://client.example/1",
        "about:blank",
        "view-source:https://client.example/",
        "http://client.example/callback",
        "http://127.0.0.1.evil.example/",
        "http://localhost.evil.example/",
        "http://192.168.0.1/",
        "http://0.0.0.0/",
        "https://me@client.example/callback",
        "https://client.example/callback#token",
        "https://client.example/call back",
        "https://client.example\\@evil.example/",
        "https:client.example/callback",
        "https:/client.example/callback",
        "https:///client.example/callback",
        "https://client.example/\u{202e}callback",
        "https://client.example/callback\r\nset-cookie: a=b",
        "com.example.app:/callback#token",
        "com.example.app:/call back",
    ] {
        assert_eq!(with(bad), Err(Refusal::RedirectUri), "{bad:?}");
    }
    // Others may redirect there: this server does not.
    assert_eq!(with("cursor://callback").unwrap().redirect_uris, ["https://client.example/callback"]);
}

#[test]
fn row_l13_a_client_with_a_key_is_public_only_when_it_says_that_it_may_be() {
    let chooses = |methods: Value| {
        read_with(&json!({
            "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods_supported": methods,
            "jwks": { "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": "AA" }] },
        }))
    };
    assert!(chooses(json!(["none", "private_key_jwt"])).is_ok());
    assert_eq!(chooses(json!(["private_key_jwt"])), Err(Refusal::Secret));
    assert!(read_with(&json!({ "token_endpoint_auth_method": null })).is_ok());
}

#[test]
fn a_name_and_a_home_page_show_nothing_that_they_are_not() {
    let name = |name: &str| read_with(&json!({ "client_name": name })).unwrap().name;
    assert_eq!(name("Cla\u{202e}ude\u{200b}\r\n\u{0} \u{2066}AI").as_deref(), Some("Claude AI"));
    assert_eq!(name(" \u{200b}\t"), None);
    assert_eq!(name(&"é".repeat(500)).unwrap().chars().count(), 80);
    let site = |site: &str| read_with(&json!({ "client_uri": site })).unwrap().site;
    assert!(site("https://client.example/about").is_some());
    for other in [
        "https://claude.ai/",
        "http://client.example/",
        "https://client.example:8443/",
        "https://claude.ai@client.example/",
        "https://www.client.example/",
        "javascript:alert(1)",
        "client.example",
    ] {
        assert_eq!(site(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn reading_a_document_never_panics(bytes in any::<Vec<u8>>(), text in any::<String>()) {
        _ = read(&bytes);
        _ = read(text.as_bytes());
        _ = read(format!("{{{text}}}").as_bytes());
    }

    #[test]
    fn no_value_of_a_member_panics_and_what_is_taken_can_be_used(
        name in "client_(id|name|uri|secret)|redirect_uris|scope|grant_types|token_endpoint_auth_method",
        text in prop_oneof![any::<String>(), "[a-z.-]{1,12}:[/a-z0-9.:@#\\\\%-]{0,30}"],
        is_list in any::<bool>(),
    ) {
        let value = if is_list { json!([text]) } else { json!(text) };
        if let Ok(document) = read_with(&json!({ name: value })) {
            prop_assert!(!document.redirect_uris.is_empty());
            for uri in document.redirect_uris {
                let scheme = uri.split(':').next().unwrap();
                prop_assert!(uri.is_ascii() && !uri.contains('#'));
                prop_assert!(matches!(scheme, "https" | "http") || scheme.contains('.'), "{}", uri);
            }
        }
    }
}
