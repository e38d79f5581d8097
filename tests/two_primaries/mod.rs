//! Gateways on a PostgreSQL that is the primary no longer, or cannot prove that it is: the answer is 503, never a
//! wrong yes. Whole processes on both sides: example gateways, and real clusters with a standby.

mod promoted;
mod read_only;
mod standby_gone;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::support::postgres::Cluster;
use crate::support::process::{Running, example, start_logging};

const OPERATOR: &str = "the-operators-own-secret";
const STRICT: &str = "strict";
const WATCHED: &str = "watched:1000";
/// A strict gateway lets nobody in on a proof older than this; the default of the setting.
const MAX_PROOF_AGE: Duration = Duration::from_secs(1);
/// What [`WATCHED`] says.
const MAX_LAG: Duration = Duration::from_secs(1);
/// A gateway serves again at most so long after a server that can prove itself is to be had.
const RECOVERY: Duration = Duration::from_secs(10);
/// How many connections a gateway may have on the server.
const POOL_SIZE: usize = 4;

/// Where gateways keep what they share: their key.
struct Home(TempDir);

/// An example gateway.
struct Gateway {
    running: Running,
    client: Client,
    log: PathBuf,
    /// How long after a revocation's acknowledgement it may still let in.
    bound: Duration,
}

/// A linked bridge.
struct Session {
    id: String,
    token: String,
}

/// An answer to a guarded call.
#[derive(Debug, Clone)]
struct Answer {
    sent: Instant,
    took: Duration,
    status: StatusCode,
    says_when_to_try_again: bool,
}

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Starts a gateway on `database`.
    async fn gateway(&self, database: &str, freshness: &str) -> Gateway {
        self.gateway_with(database, freshness, MAX_PROOF_AGE).await
    }

    /// The same where a proof may be as old as `max_proof_age`.
    async fn gateway_with(&self, database: &str, freshness: &str, max_proof_age: Duration) -> Gateway {
        let mut command = example("gateway", self.0.path());
        command.args(["--listen", "127.0.0.1:0", "--issuer", "http://127.0.0.1:1", "--no-rate-limits"]);
        command.args(["--admin-token", OPERATOR, "--pool-size", &POOL_SIZE.to_string()]);
        command.args(["--database", database, "--freshness", freshness]);
        command.args(["--max-proof-age", &max_proof_age.as_millis().to_string()]);
        let log = self.0.path().join(format!("{}.log", rand::random::<u64>()));
        let running = start_logging(&mut command, &log).await;
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
        Gateway { running, client, log, bound: if freshness == STRICT { max_proof_age } else { MAX_LAG } }
    }

    /// A strict gateway and a watched one.
    async fn one_of_each(&self, database: &str) -> [Gateway; 2] {
        [self.gateway(database, STRICT).await, self.gateway(database, WATCHED).await]
    }
}

impl Gateway {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.running.url))
    }

    /// A code for `person`, or the status that came instead.
    async fn code(&self, person: &str) -> Result<String, StatusCode> {
        let login = self.request(Method::POST, "/demo/login").json(&json!({ "user_id": person }));
        let login = login.send().await.unwrap();
        let cookie = login.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let code = self.request(Method::POST, "/v1/auth/bridge/code").header(COOKIE, cookie);
        let code = code.send().await.unwrap();
        if code.status() != StatusCode::CREATED {
            return Err(code.status());
        }
        let code: Value = code.json().await.unwrap();
        Ok(code["code"].as_str().unwrap().to_owned())
    }

    /// What `code` is exchanged for, or the status that came instead.
    async fn exchange(&self, code: &str) -> Result<Session, StatusCode> {
        let exchange = self.request(Method::POST, "/v1/auth/bridge/session").json(&json!({ "code": code }));
        let access = exchange.send().await.unwrap();
        if access.status() != StatusCode::OK {
            return Err(access.status());
        }
        let access: Value = access.json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Ok(Session { id: text(&access["headers"]["x-session-id"]), token: text(&access["token"]) })
    }

    async fn link(&self, person: &str) -> Session {
        let code = self.code(person).await.unwrap();
        self.exchange(&code).await.unwrap()
    }

    /// Calls with the token of `session`.
    async fn call(&self, session: &Session) -> Answer {
        let sent = Instant::now();
        let answer =
            self.request(Method::GET, "/v1/whoami").bearer_auth(&session.token).send().await.unwrap();
        Answer {
            sent,
            took: sent.elapsed(),
            status: answer.status(),
            says_when_to_try_again: answer.headers().contains_key(RETRY_AFTER),
        }
    }

    /// Calls again and again for `time`.
    async fn call_for(&self, time: Duration, session: &Session) -> Vec<Answer> {
        let end = Instant::now() + time;
        let mut answers = Vec::new();
        while Instant::now() < end {
            answers.push(self.call(session).await);
            sleep(Duration::from_millis(20)).await;
        }
        answers
    }

    /// The operator ends a session.
    async fn revoke(&self, session: &Session) -> StatusCode {
        self.operate(Method::DELETE, &format!("/admin/sessions/{}", session.id)).await
    }

    /// The operator ends all sessions of a person.
    async fn revoke_all(&self, person: &str) -> StatusCode {
        self.operate(Method::DELETE, &format!("/admin/users/{person}/sessions")).await
    }

    async fn operate(&self, method: Method, path: &str) -> StatusCode {
        self.request(method, path).bearer_auth(OPERATOR).send().await.unwrap().status()
    }

    /// What `/readyz` answers.
    async fn readiness(&self) -> (StatusCode, String) {
        let answer = self.request(Method::GET, "/readyz").send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// `/readyz` is 503, and says that the server is not, or not provably, a primary that takes writes.
    async fn says_why_it_is_not_ready(&self) {
        let (status, why) = self.readiness().await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
        let names_it = ["primary", "writes", "read-only", "standby"].iter().any(|word| why.contains(word));
        assert!(names_it, "it does not say why: {why:?}");
    }

    /// It lets `session` in and says that it is ready, at most [`RECOVERY`] from now.
    async fn recovers(&self, session: &Session) {
        let start = Instant::now();
        loop {
            let (answer, (ready, why)) = (self.call(session).await, self.readiness().await);
            assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "a live session is never called invalid");
            if answer.status == StatusCode::OK && ready == StatusCode::OK {
                return;
            }
            assert!(
                start.elapsed() < RECOVERY,
                "not recovered after {RECOVERY:?}: {answer:?}, /readyz: {why}"
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The warnings that it logged.
    fn warnings(&self) -> Vec<String> {
        let log = std::fs::read_to_string(&self.log).unwrap();
        log.lines().filter(|line| line.contains("WARN")).map(str::to_owned).collect()
    }
}

/// A session of Mallory's and one of Alice's, both of which every one of `gateways` lets in.
async fn link_two(gateways: &[Gateway]) -> [Session; 2] {
    let sessions = [gateways[0].link("mallory").await, gateways[0].link("alice").await];
    for (gateway, session) in gateways.iter().flat_map(|gateway| sessions.iter().map(move |it| (gateway, it)))
    {
        assert_eq!(gateway.call(session).await.status, StatusCode::OK);
    }
    sessions
}

/// Nothing was proved after `since`: every one of `gateways` gave these answers to calls with a live session, and is not ready.
async fn proved_nothing_after(since: Instant, gateways: &[Gateway], answers: &[Vec<Answer>]) {
    for (gateway, answers) in gateways.iter().zip(answers) {
        all_unavailable_after(since, gateway.bound, answers);
        gateway.says_why_it_is_not_ready().await;
    }
}

/// Nobody was let in by a request sent more than `bound` after `since`.
fn none_let_in_after(since: Instant, bound: Duration, answers: &[Answer]) {
    let later: Vec<_> = answers.iter().filter(|answer| answer.sent > since + bound).collect();
    assert!(later.len() > 20, "nothing is proved by {} requests", later.len());
    let let_in = later.iter().filter(|answer| answer.status == StatusCode::OK).count();
    let last = later.iter().rev().find(|answer| answer.status == StatusCode::OK);
    let late = last.map(|answer| answer.sent - since);
    assert_eq!(let_in, 0, "of {} let in, the last one sent {late:?} after", later.len());
}

/// Every request sent more than `bound` after `since` was answered 503, with when to try again; and a live session was never
/// called invalid.
fn all_unavailable_after(since: Instant, bound: Duration, answers: &[Answer]) {
    none_let_in_after(since, bound, answers);
    for answer in answers {
        assert_ne!(answer.status, StatusCode::UNAUTHORIZED, "a live session is never called invalid");
        if answer.sent > since + bound {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
            assert!(answer.says_when_to_try_again, "{answer:?}");
        }
    }
}

/// The database of a gateway that may use either, `first` rather.
fn url_of_both(first: &Cluster, second: &Cluster) -> String {
    let (first, second) = (first.port(), second.port());
    format!("postgres://postgres@127.0.0.1:{first},127.0.0.1:{second}/postgres")
}
