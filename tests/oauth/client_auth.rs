//! How clients prove who they are: CHECKLIST 1.A and 2.4.

use std::sync::Arc;
use std::time::Duration;

use bridge_auth::id::ClientSecret;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use http::StatusCode;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::given::{
    Hook, SERVER, VERIFIER, basic, code_grant, gateway, hook, hook_of, last_of, oauth_builder, pkce_code,
    post, server, with_oauth,
};
use crate::support::bridge::builder_over;
use crate::support::counting::Counting;
use crate::support::gateway::{Answer, Gateway, send};
use crate::support::{Backend, SqliteBackend};

crate::store::promises![
    row_9_attack_a69_a_bad_header_is_challenged_with_its_own_scheme,
    row_14_every_way_to_write_a_client_id_works,
    row_25_attack_a81_every_person_has_an_ascii_client_id,
    attack_a75_parallel_provisioning_leaves_no_secret_dead,
    attack_a77_a_disabled_persons_client_is_refused,
];

const GRANT: (&str, &str) = ("grant_type", "client_credentials");
const CHALLENGE: &str = "Basic realm=\"oauth\", charset=\"UTF-8\"";

/// Asks for a token with this `Authorization`, and this in the body.
async fn with_header(gateway: &Gateway, value: &str, fields: super::given::Fields<'_>) -> Answer {
    send(post(gateway, "/token", &[&[GRANT], fields].concat()).header(AUTHORIZATION, value)).await
}

/// Asks for a token with this in the body alone.
async fn with_body(gateway: &Gateway, fields: super::given::Fields<'_>) -> Answer {
    send(post(gateway, "/token", &[&[GRANT], fields].concat())).await
}

async fn row_9_attack_a69_a_bad_header_is_challenged_with_its_own_scheme(db: impl Backend) {
    let gateway = gateway(&db).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let mut headers: Vec<_> = [
        format!("{id}:wrong"),
        format!("{id}:{secret}x"),
        format!("{id}:{}", &secret[..42]),
        format!("{id}:"),
        format!(":{secret}"),
        format!("{id}{secret}"),
        format!("bridge:bob:{secret}"),
        format!("::{id}:::{secret}"),
        format!("{id}:{secret}:"),
        format!("%zz:{secret}"),
        format!("{id}:%zz"),
        format!("{id}\0:{secret}"),
        format!("{id}:{secret}\0"),
        format!("{}:{secret}", id.replace("alice", "+")),
        String::new(),
        ":".to_owned(),
    ]
    .iter()
    .map(basic)
    .collect();
    headers.push(basic([b"\xff\xfe:", secret.as_bytes()].concat()));
    headers.push(basic([id.as_bytes(), b":\xff"].concat()));
    headers.extend(
        ["Basic", "Basic ", "Basic !!!", "Basic YQ", "Bearer abc", "Digest username=x", "x"]
            .map(str::to_owned),
    );
    let expected = with_header(&gateway, &basic("nobody:wrong"), &[]).await;
    assert!(expected.is_oauth_error(401, "invalid_client"), "{expected:?}");
    assert_eq!(expected.header("www-authenticate"), CHALLENGE);
    for header in headers {
        assert_eq!(with_header(&gateway, &header, &[]).await, expected, "{header}");
    }
}

async fn row_14_every_way_to_write_a_client_id_works(db: impl Backend) {
    let gateway = gateway(&db).await;
    for person in ["alice@example.com", "josé", "a:b%20c+d", "%41", "a+b"] {
        let Hook { id, secret } = hook_of(&gateway, &link(&gateway, person).await).await;
        let encoded: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
        let colon_alone = id.replace('%', "%25").replace('+', "%2B").replace(':', "%3A");
        let every_byte: String = id.bytes().map(|b| format!("%{b:02x}")).collect();
        for written in [&id, &encoded, &encoded.replace('+', "%20"), &colon_alone, &every_byte] {
            let answer = with_header(&gateway, &basic(format!("{written}:{secret}")), &[]).await;
            assert_eq!(answer.status, StatusCode::OK, "{written} {answer:?}");
        }
        let by_body = with_body(&gateway, &[("client_id", &id), ("client_secret", &secret)]).await;
        assert_eq!(by_body.status, StatusCode::OK, "{by_body:?}");
    }
}

/// A token of a person whose name no cookie can hold.
async fn link(gateway: &Gateway, person: &str) -> String {
    let access = crate::support::bridge::access(&gateway.bridge, person, "chat").await;
    access.token.expose().to_owned()
}

async fn row_25_attack_a81_every_person_has_an_ascii_client_id(db: impl Backend) {
    let gateway = gateway(&db).await;
    let long = "é".repeat(255);
    for person in [
        "日本",
        "'; DROP TABLE clients; --".replace(' ', "_").as_str(),
        "<script>",
        "(|(a=*))",
        "\\u0000",
        &long,
    ] {
        let hook = hook_of(&gateway, &link(&gateway, person).await).await;
        assert!(hook.id.bytes().all(|b| (0x20..=0x7e).contains(&b)), "{}", hook.id);
        assert!(hook.secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
        assert_eq!(hook.ask(&gateway, &[]).await.status, StatusCode::OK, "{}", hook.id);
    }
}

async fn attack_a75_parallel_provisioning_leaves_no_secret_dead(db: impl Backend) {
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let last = last_of(20, &gateway, &token).await;
    assert_eq!(last.ask(&gateway, &[]).await.status, StatusCode::OK);
    assert_eq!(db.count("client_secrets").await, 2, "a device has two at most");
    db.pass_time(Duration::from_secs(120)).await;
    let last = hook_of(&gateway, &token).await;
    assert_eq!(last.ask(&gateway, &[]).await.status, StatusCode::OK);
}

async fn attack_a77_a_disabled_persons_client_is_refused(db: impl Backend) {
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    gateway.operate(http::Method::POST, "/users/alice/disable").await;
    let refused = hook.ask(&gateway, &[]).await;
    assert_eq!(refused, Hook { secret: "wrong".to_owned(), ..hook.clone() }.ask(&gateway, &[]).await);
    assert!(refused.is_oauth_error(401, "invalid_client") && !gateway.admits(&token).await);
    gateway.operate(http::Method::POST, "/users/alice/enable").await;
    assert!(hook.ask(&gateway, &[]).await.is_oauth_error(401, "invalid_client"));
}

#[tokio::test]
async fn row_10_a_wrong_secret_in_the_body_is_always_the_same_401() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let expected = with_body(&gateway, &[("client_id", "nobody"), ("client_secret", "wrong")]).await;
    assert!(expected.is_oauth_error(401, "invalid_client"), "{expected:?}");
    let long = "a".repeat(10_000);
    for (id, secret) in [
        (id.as_str(), "wrong"),
        (&id, &secret[..42]),
        (&id, "\u{0}\u{e9}"),
        (&id, &long),
        ("bridge:bob", &secret),
        ("sp_bridge", &secret),
        ("\u{0}", &secret),
        ("josé", &secret),
        (&long, &secret),
        (SERVER, &secret),
        (&id, super::given::SERVER_SECRET),
    ] {
        let answer = with_body(&gateway, &[("client_id", id), ("client_secret", secret)]).await;
        assert_eq!(answer, expected, "{id:.40} {secret:.40}");
    }
    let without = with_body(&gateway, &[("client_secret", &secret)]).await;
    assert!(without.is_oauth_error(400, "invalid_request"), "{without:?}");
}

#[tokio::test]
async fn row_11_attack_a70_two_methods_in_one_request_are_refused() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let header = hook.basic();
    let jwt = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (id, secret) = (("client_id", hook.id.as_str()), ("client_secret", hook.secret.as_str()));
    let assertion = ("client_assertion", "a.b.c");
    for fields in [
        &[secret][..],
        &[id, secret],
        &[jwt, assertion],
        &[("client_id", "bridge:bob")],
        &[("client_id", "x y")],
    ] {
        let answer = with_header(&gateway, &header, fields).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{fields:?} {answer:?}");
    }
    for fields in [&[id, secret, jwt, assertion][..], &[id, jwt], &[id, assertion]] {
        let answer = with_body(&gateway, fields).await;
        assert!(answer.is_oauth_error(400, "invalid_request"), "{fields:?} {answer:?}");
    }
    let twice =
        post(&gateway, "/token", &[GRANT]).header(AUTHORIZATION, &header).header(AUTHORIZATION, &header);
    assert!(send(twice).await.is_oauth_error(400, "invalid_request"));
    assert_eq!(with_header(&gateway, &header, &[id]).await.status, StatusCode::OK);
    assert_eq!(
        with_header(&gateway, &header, &[("client_id", ""), ("client_secret", "")]).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn row_12_13_16_a_secret_works_by_basic_in_any_case_and_in_the_body() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for scheme in ["Basic", "basic", "BASIC", "bAsIc", "Basic "] {
        let header = hook.basic().replace("Basic", scheme);
        assert_eq!(with_header(&gateway, &header, &[]).await.status, StatusCode::OK, "{scheme}");
    }
    let body = with_body(&gateway, &[("client_id", &hook.id), ("client_secret", &hook.secret)]).await;
    assert_eq!(body.status, StatusCode::OK);
}

#[tokio::test]
async fn row_13_attack_a71_a_secret_in_the_query_is_refused_and_proves_nothing() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("client_id", &hook.id), ("client_secret", &hook.secret)])
        .finish();
    let path = format!("/token?{query}");
    let in_query = send(post(&gateway, &path, &[GRANT])).await;
    assert!(in_query.is_oauth_error(400, "invalid_request"), "{in_query:?}");
    let both = send(post(&gateway, &path, &[GRANT]).header(AUTHORIZATION, hook.basic())).await;
    assert!(both.is_oauth_error(400, "invalid_request"), "{both:?}");
    let id_alone = send(post(&gateway, "/token?client_id=sp_bridge", &[GRANT])).await;
    assert!(id_alone.is_oauth_error(401, "invalid_client"), "{id_alone:?}");
    let unknown = send(post(&gateway, "/token?x=y", &[GRANT]).header(AUTHORIZATION, hook.basic())).await;
    assert_eq!(unknown.status, StatusCode::OK);
}

#[tokio::test]
async fn row_15_52_every_401_is_a_challenge_that_names_its_charset() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    for answer in [
        with_body(&gateway, &[]).await,
        with_body(&gateway, &[("client_id", "nobody")]).await,
        with_body(&gateway, &[("client_id", "nobody"), ("client_secret", "wrong")]).await,
        with_header(&gateway, "Basic", &[]).await,
    ] {
        assert!(answer.is_oauth_error(401, "invalid_client"), "{answer:?}");
        assert_eq!(answer.header("www-authenticate"), CHALLENGE);
    }
}

#[tokio::test]
async fn row_22_a_client_that_proves_nothing_gets_no_token_for_itself() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let bridge = with_body(&gateway, &[("client_id", "sp_bridge")]).await;
    assert!(bridge.is_oauth_error(400, "unauthorized_client"), "{bridge:?}");
    assert!(with_body(&gateway, &[("client_id", &hook.id)]).await.is_oauth_error(401, "invalid_client"));
    assert!(server().ask(&gateway, &[]).await.is_oauth_error(400, "unauthorized_client"));
}

#[tokio::test]
async fn row_8_attack_a73_a_hook_client_has_no_grant_but_its_own() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let code = pkce_code(&gateway, "alice").await;
    let fields = [("grant_type", "authorization_code"), ("code", code.as_str()), ("code_verifier", VERIFIER)];
    let refused = hook.send(&gateway, "/token", &fields).await;
    assert!(refused.is_oauth_error(400, "unauthorized_client"), "{refused:?}");
    assert_eq!(send(post(&gateway, "/token", &code_grant(&code))).await.status, StatusCode::OK);
    let exchange = [("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange")];
    assert!(hook.send(&gateway, "/token", &exchange).await.is_oauth_error(400, "unsupported_grant_type"));
}

#[tokio::test]
async fn attack_a66_an_unknown_client_takes_the_same_work_as_a_wrong_secret() {
    let db = SqliteBackend::start().await;
    let store = Arc::new(Counting::new(db.open().await));
    let keys = KeyRing::new(SigningKey::generate(Algorithm::EdDsa).unwrap()).unwrap();
    let gateway = Gateway::over(with_oauth(builder_over(store.clone(), keys)).build().unwrap()).await;
    let Hook { id, secret } = hook(&gateway, "alice").await;
    let encoded = |id: &str| form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>();
    let mut counts = Vec::new();
    for (id, secret) in [
        (id.as_str(), "wrong"),
        (&id, &secret[..42]),
        (&id, &secret.chars().rev().collect::<String>()),
        ("bridge:nobody", &secret),
        ("sp_bridge", &secret),
    ] {
        for (header, times) in [(format!("{id}:{secret}"), 1), (format!("{}:{secret}", encoded(id)), 2)] {
            store.reset();
            let refused = with_header(&gateway, &basic(&header), &[]).await;
            assert!(refused.is_oauth_error(401, "invalid_client"), "{refused:?}");
            // Only how an id is written tells how often it is looked for.
            let times = if encoded(id) == id { 1 } else { times };
            counts.push((store.verifications(), times, header));
        }
    }
    assert!(counts.iter().all(|(counted, expected, _)| counted == expected), "{counts:?}");
}

#[tokio::test]
async fn attack_a68_nothing_tells_who_has_a_hook_client() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    hook(&gateway, "alice").await;
    gateway.link("bob").await;
    let expected = with_header(&gateway, &basic("bridge:nobody:wrong"), &[]).await;
    for person in ["alice", "bob"] {
        assert_eq!(with_header(&gateway, &basic(format!("bridge:{person}:wrong")), &[]).await, expected);
    }
}

#[tokio::test]
async fn attack_a67_a_secret_is_compared_whole_and_a_long_one_is_not_hashed() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    for longer in
        [format!("{}x", hook.secret), format!("{}\0", hook.secret), hook.secret.repeat(2), "a".repeat(15_000)]
    {
        let wrong = Hook { secret: longer, ..hook.clone() };
        assert!(wrong.ask(&gateway, &[]).await.is_oauth_error(401, "invalid_client"));
    }
}

#[tokio::test]
async fn attack_a76_a_replaced_secret_dies_after_the_overlap() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let token = gateway.link("alice").await;
    let old = hook_of(&gateway, &token).await;
    let new = hook_of(&gateway, &token).await;
    assert_eq!(old.ask(&gateway, &[]).await.status, StatusCode::OK);
    db.pass_time(Duration::from_secs(61)).await;
    assert!(old.ask(&gateway, &[]).await.is_oauth_error(401, "invalid_client"));
    assert_eq!(new.ask(&gateway, &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn attack_a74_a80_a_hook_token_is_no_persons() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db).await;
    let hook = hook(&gateway, "alice").await;
    let token = hook.token(&gateway).await;
    let path = format!("{}/oauth-client", crate::support::gateway::PREFIX);
    let refused = gateway.call(http::Method::POST, &path, &token).await;
    assert!(refused.is_problem(403, "insufficient_scope"), "{refused:?}");
}

#[tokio::test]
async fn a_server_that_could_be_guessed_or_taken_for_another_is_refused_at_start() {
    let db = SqliteBackend::start().await;
    let secret = |text: &str| ClientSecret::parse(text).unwrap();
    let good = super::given::SERVER_SECRET;
    for (id, text) in [
        ("tools", "short"),
        ("tools", &good[..31]),
        ("sp_bridge", good),
        ("bridge:x", good),
        (SERVER, good),
        ("a b", good),
    ] {
        let built = oauth_builder(&db).await.resource_server(id, secret(text), ["mcp"]).build();
        assert!(built.is_err(), "{id} {text}");
    }
    assert!(oauth_builder(&db).await.resource_server("tools", secret(good), ["mcp"]).build().is_ok());
}
