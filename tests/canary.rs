//! No secret appears in logs at any level, in `Debug`, or in an error.

use std::collections::HashSet;
use std::fmt::Debug;

use bridge_auth::id::{ClientSecret, CodeVerifier, ExchangeCode, RefreshToken, TraceId};
use bridge_auth::issue::{CodeRequest, Exchange, Refresh};
use bridge_auth::store::Origin;
use bridge_auth::token::{Algorithm, KeyRing, SigningKey};
use bridge_auth::{Scopes, SignedIn};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::{Layer, ServiceExt, service_fn};
use tower_http::trace::TraceLayer;

use crate::support::bridge::{builder_with, user};
use crate::support::record::{Record, hear};
use crate::support::{Backend, PostgresBackend, SqliteBackend};

/// Walks the whole road, good and bad, and returns every secret that was on it.
async fn walk(backend: &impl Backend, record: &Record) -> Vec<String> {
    let signing = SigningKey::generate(Algorithm::EdDsa).unwrap();
    record.show(&signing);
    let keys = KeyRing::new(signing).unwrap();
    let pepper = "pepper-canary-0123456789abcdef-canary";
    let builder = builder_with(backend, keys.clone()).await.pepper(pepper);
    record.show(&builder);
    let bridge = builder.build().unwrap();
    let issuer = bridge.issuer();

    let verifier = CodeVerifier::random();
    let signed_in = SignedIn::new(user("alice"), Scopes::parse("a").unwrap());
    let issued =
        issuer.issue_code(&signed_in, CodeRequest::default().challenge(verifier.challenge())).await.unwrap();
    let of_code = |code: &ExchangeCode| {
        Exchange::new(code.clone()).refresh(true).origin(Origin::unknown().user_agent("canary"))
    };
    let exchange =
        |verifier: Option<CodeVerifier>| verifier.into_iter().fold(of_code(&issued.code), Exchange::verifier);
    record.error(&issuer.exchange(exchange(None)).await.unwrap_err());
    let access = issuer.exchange(exchange(Some(verifier.clone()))).await.unwrap();
    let replay_verifier = CodeVerifier::random();
    let refresh_token = access.refresh_token.clone().unwrap();
    let refresh = Refresh::new(refresh_token.clone(), access.client.clone());
    record.show(&refresh);
    let refreshed = issuer.refresh(refresh.clone()).await.unwrap();
    record.show(&refreshed);
    let guessed = RefreshToken::random();
    let guess = Refresh::new(guessed.clone(), access.client.clone());
    record.error(&issuer.refresh(guess).await.unwrap_err());

    let authenticator = bridge.authenticator("bridge").unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, access.token.to_header_value())]);
    record.show(&headers);
    let caller = authenticator.authenticate(&headers).await.unwrap();
    let client = issuer.provision_client(&caller).await.unwrap();
    let wrong = ClientSecret::random();
    record.error(&issuer.client_access(&client.id, &wrong, None, Origin::unknown()).await.unwrap_err());
    let hook = issuer.client_access(&client.id, &client.secret, None, Origin::unknown()).await.unwrap();

    let inner = service_fn(|request: Request<String>| async move {
        tracing::trace!(headers = ?request.headers(), "inner");
        Ok::<_, std::convert::Infallible>(Response::new(String::new()))
    });
    let service = TraceLayer::new_for_http().layer(bridge.layer("bridge").unwrap().layer(inner));
    let mut forged = access.token.expose().to_owned();
    forged.pop();
    for token in [access.token.expose(), &forged] {
        let mut value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
        value.set_sensitive(true);
        let request = Request::builder().header(AUTHORIZATION, value).body(String::new()).unwrap();
        record.show(&request);
        record.show(&service.clone().oneshot(request).await.unwrap().headers());
    }
    record.error(&issuer.exchange(exchange(Some(replay_verifier.clone()))).await.unwrap_err());
    record.error(&authenticator.authenticate(&headers).await.unwrap_err());
    record.error(&issuer.refresh(refresh).await.unwrap_err());
    let unknown = ExchangeCode::random();
    let stranger = of_code(&unknown);
    record.show(&stranger);
    record.error(&issuer.exchange(stranger).await.unwrap_err());
    bridge.admin().disable_user(&user("alice")).await.unwrap();

    let shown: [&dyn Debug; 12] = [
        &bridge,
        &issuer,
        &bridge.admin(),
        &keys,
        &issued,
        &access,
        &caller,
        &client,
        &hook,
        &verifier,
        &service,
        &authenticator,
    ];
    shown.into_iter().for_each(|value| record.show(value));
    tracing::trace!(trace = %TraceId::random(), "done");
    [
        issued.code.expose(),
        &issued.code.hash().to_hex(),
        unknown.expose(),
        verifier.expose(),
        replay_verifier.expose(),
        access.token.expose(),
        &forged,
        access.token.expose().rsplit('.').next().unwrap(),
        hook.token.expose(),
        refresh_token.expose(),
        refreshed.refresh_token.as_ref().unwrap().expose(),
        refreshed.token.expose(),
        guessed.expose(),
        client.secret.expose(),
        wrong.expose(),
        pepper,
    ]
    .map(str::to_owned)
    .to_vec()
}

async fn no_secret_is_shown(backend: impl Backend) {
    let record = Record::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(record.clone())
        .finish();
    let secrets = {
        let _guard = hear(subscriber);
        walk(&backend, &record).await
    };
    let text = record.text();
    for event in [
        "code_issued",
        "code_redeemed",
        "code_replayed",
        "refreshed",
        "refresh_refused",
        "client_provisioned",
        "client_refused",
        "done",
    ] {
        assert!(text.contains(event), "the record is whole: {event}\n{text}");
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} was shown");
    }
}

#[tokio::test]
async fn no_secret_appears_in_logs_debug_or_errors_on_sqlite() {
    no_secret_is_shown(SqliteBackend::start().await).await;
}

#[tokio::test]
async fn no_secret_appears_in_logs_debug_or_errors_on_postgres() {
    no_secret_is_shown(PostgresBackend::start().await).await;
}

/// The hash of a code is what is stored of it.
fn at_rest(secrets: Vec<String>) -> impl Iterator<Item = String> {
    let hashes: HashSet<_> =
        secrets.iter().filter_map(|secret| Some(ExchangeCode::parse(secret).ok()?.hash().to_hex())).collect();
    secrets.into_iter().filter(move |secret| !hashes.contains(secret))
}

#[tokio::test]
async fn no_secret_is_in_the_sqlite_file_not_even_in_what_was_deleted() {
    let backend = SqliteBackend::start().await;
    let secrets = walk(&backend, &Record::default()).await;
    let mut bytes = Vec::new();
    for suffix in ["", "-wal"] {
        let mut path = backend.path().into_os_string();
        path.push(suffix);
        bytes.extend(std::fs::read(path).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("alice"), "what is stored can be found");
    for secret in at_rest(secrets) {
        assert!(!text.contains(&secret), "{secret} is stored");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_tables_of_postgres() {
    let backend = PostgresBackend::start().await;
    let secrets = walk(&backend, &Record::default()).await;
    let client = backend.client().await;
    let mut text = String::new();
    for table in [
        "users",
        "sessions",
        "codes",
        "clients",
        "client_secrets",
        "revocations",
        "refresh_tokens",
        "used_assertions",
    ] {
        let sql =
            format!("SELECT coalesce(string_agg(held::text, ' '), '') FROM bridge_auth.{table} AS held");
        text += client.query_one(&sql, &[]).await.unwrap().get::<_, &str>(0);
    }
    assert!(text.contains("alice"), "what is stored can be found");
    for secret in at_rest(secrets) {
        assert!(!text.contains(&secret), "{secret} is stored");
    }
}
