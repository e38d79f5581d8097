//! What is charged to a rate limit, and what a limit refuses.

use bridge_auth::rate_limit::RateLimits;
use futures_util::future::join_all;
use http::Method;
use http::header::{AUTHORIZATION, COOKIE};
use serde_json::json;

use super::{line_of, lines, told};
use crate::oauth::given::{basic, hook, oauth_builder, post};
use crate::sign_in::given::sign_in_builder;
use crate::support::gateway::{Gateway, PREFIX, send};
use crate::support::record::Record;
use crate::support::{Backend, SqliteBackend};

const WRONG: &str = "d3Jvbmcgc2VjcmV0IG9mIDMyIHJhbmRvbSBieXRlcyE";

async fn gateway(db: &impl Backend, limits: RateLimits) -> Gateway {
    Gateway::over(told(sign_in_builder(db).await).rate_limits(limits).build().unwrap()).await
}

#[tokio::test]
async fn a_refusal_by_a_limit_says_which_limit_whose_and_how_long() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_address(30).codes_per_person(2).calls_per_session(2);
    let gateway = gateway(&db, limits).await;
    let token = gateway.link("alice").await;
    let record = Record::default();
    let _listening = record.listen();
    let mut refused = Vec::new();
    for _ in 0..4 {
        let sessions = gateway.call(Method::GET, &format!("{PREFIX}/sessions"), &token).await;
        let code = send(gateway.post("/code", &json!({})).header(COOKIE, "login=alice")).await;
        let secret = post(&gateway, "/token", &[("grant_type", "client_credentials")]);
        let secret = send(secret.header(AUTHORIZATION, basic(format!("bridge:alice:{WRONG}")))).await;
        let all = [("session", sessions), ("person", code), ("address", secret)];
        refused.extend(all.into_iter().filter(|(_, answer)| answer.status == 429));
    }
    for limit in ["session", "person", "address"] {
        let (_, answer) =
            refused.iter().find(|(by, _)| *by == limit).unwrap_or_else(|| panic!("{limit}: {refused:?}"));
        let line = line_of(&record, answer);
        assert_eq!((&line["reason"], &line["limit"]), (&json!("rate_limited"), &json!(limit)), "{line}");
        assert_eq!(line["retry_after"].to_string(), answer.header("retry-after"), "{line}");
        let whose = line["limit_of"].as_str().unwrap();
        let fits = match limit {
            "session" => whose.starts_with("sess_") && line["user_id"] == "alice",
            "person" => whose == "alice",
            _ => whose == "127.0.0.1",
        };
        assert!(fits && line["address"] == "127.0.0.1", "{line}");
    }
    for (_, answer) in &refused {
        line_of(&record, answer);
    }
}

#[tokio::test]
async fn a_client_under_attack_is_named_by_the_limit() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db, RateLimits::default().per_client(1)).await;
    let id = hook(&gateway, "alice").await.id;
    let record = Record::default();
    let _listening = record.listen();
    let mut last = None;
    for _ in 0..3 {
        let request = post(&gateway, "/token", &[("grant_type", "client_credentials")]);
        last = Some(send(request.header(AUTHORIZATION, basic(format!("{id}:{WRONG}")))).await);
    }
    let line = line_of(&record, &last.unwrap());
    assert_eq!((&line["limit"], &line["limit_of"]), (&json!("client"), &json!(id)), "{line}");
}

#[tokio::test]
async fn a_wrong_user_code_is_charged_and_has_a_line() {
    let db = SqliteBackend::start().await;
    let gateway = gateway(&db, RateLimits::default()).await;
    let record = Record::default();
    let _listening = record.listen();
    let path = format!("{PREFIX}/device?user_code=BCDF-GHJK");
    let shown = send(gateway.request(Method::GET, &path).header(COOKIE, "login=alice")).await;
    let lines = [line_of(&record, &shown)];
    assert_eq!((&lines[0]["reason"], &lines[0]["user_id"]), (&json!("unknown_user_code"), &json!("alice")));
    assert_eq!(
        (&lines[0]["charged"], &lines[0]["address"]),
        (&json!("address, user_codes"), &json!("127.0.0.1"))
    );
    assert!(!record.text().contains("BCDF"), "a code is a secret while it waits");
}

#[tokio::test]
async fn a_flood_hides_no_refusal_that_is_charged_and_the_rest_is_counted() {
    let db = SqliteBackend::start().await;
    let limits = RateLimits::default().per_address(100_000);
    let builder = told(oauth_builder(&db).await).refresh_tokens(true).rate_limits(limits);
    let gateway = Gateway::over(builder.build().unwrap()).await;
    let id = hook(&gateway, "alice").await.id;
    let record = Record::default();
    let _listening = record.listen();
    let flood = |many| join_all((0..many).map(|_| gateway.call(Method::GET, "/v1/echo", "no.good.token")));
    // Far more than the lines that a flood may write.
    for _ in 0..30 {
        flood(100).await;
    }
    let told_of = lines(&record).len();
    assert!((1000..3000).contains(&told_of), "{told_of}");
    let refresh =
        [("grant_type", "refresh_token"), ("client_id", "sp_bridge"), ("refresh_token", "no token")];
    let mut charged = Vec::new();
    for round in 0..5 {
        flood(100).await;
        let secret = post(&gateway, "/token", &[("grant_type", "client_credentials")]);
        let secret = send(secret.header(AUTHORIZATION, basic(format!("{id}:{WRONG}")))).await;
        charged.push((secret, "address, client"));
        let code = send(gateway.post("/session", &json!({ "code": "0".repeat(64) }))).await;
        charged.push((code, "address"));
        // The first time it is a guess. Then the token itself has a limit.
        let refreshed = send(post(&gateway, "/token", &refresh)).await;
        charged.push((refreshed, if round == 0 { "address" } else { "refresh_token" }));
    }
    for (answer, limit) in &charged {
        assert_eq!(line_of(&record, answer)["charged"], *limit, "{answer:?}");
    }
    let lines = lines(&record);
    let left_out: u64 = lines.iter().filter_map(|line| line["left_out"].as_u64()).sum();
    assert_eq!(lines.len() as u64 + left_out, 3000 + 5 * (100 + 3), "each refusal has a line or is counted");
}
