//! One person: links bridges, calls with them on every gateway, and ends their sessions in random order.

use std::sync::Arc;
use std::time::Duration;

use rand::seq::IndexedRandom;
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::history::{Call, History, Revocation, Span, Verdict};
use super::scene::Scene;

/// How long half of the people wait for a revocation.
const IMPATIENT: Duration = Duration::from_millis(700);

/// How often a bridge calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Calm,
    /// Something was just revoked.
    Quick,
    Over,
}

/// A linked bridge.
struct Bridge {
    id: String,
    token: String,
}

struct Person {
    name: String,
    scene: Arc<Scene>,
    bridges: Vec<Bridge>,
    history: History,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    LogOut,
    /// With another session of the same person.
    EndOwn,
    EndByOperator,
    EndAll,
    /// Disable the person and enable it again. What was revoked stays revoked.
    Disable,
}

/// Runs the whole life of a person, and returns its history.
pub async fn live(scene: Arc<Scene>, name: String) -> History {
    let mut person = Person { name, scene, bridges: Vec::new(), history: History::default() };
    for _ in 0..rand::random_range(1..=3) {
        person.link().await;
    }
    let (pace, _) = watch::channel(Pace::Calm);
    let mut callers = JoinSet::new();
    for (session, bridge) in person.bridges.iter().enumerate() {
        for gateway in 0..person.scene.gateways.len() {
            let (scene, token) = (person.scene.clone(), bridge.token.clone());
            callers.spawn(call_on(scene, session, gateway, token, pace.subscribe()));
        }
    }
    person.end_all(&pace).await;
    sleep(person.scene.tail()).await;
    pace.send_replace(Pace::Over);
    for calls in callers.join_all().await {
        person.history.calls.extend(calls);
    }
    person.history
}

async fn call_on(
    scene: Arc<Scene>,
    session: usize,
    gateway: usize,
    token: String,
    mut pace: watch::Receiver<Pace>,
) -> Vec<Call> {
    let mut calls = Vec::new();
    loop {
        let request = scene.request(Method::GET, gateway, "/v1/greeting").bearer_auth(&token);
        let (span, answer) = scene.send(request).await;
        let verdict = answer.map_or_else(Verdict::Other, |answer| verdict(answer, StatusCode::OK));
        calls.push(Call { session, gateway, span, verdict });
        scene.count_call();
        let now = *pace.borrow_and_update();
        match now {
            Pace::Calm => {
                let _ = timeout(Duration::from_millis(rand::random_range(5..40)), pace.changed()).await;
            }
            Pace::Quick => {}
            Pace::Over => return calls,
        }
    }
}

impl Person {
    /// Links one bridge, if the store is available.
    async fn link(&mut self) {
        let scene = self.scene.clone();
        let (at, asked) = (scene.any_gateway(), scene.start.elapsed());
        let login = scene.request(Method::POST, at, "/demo/login").json(&json!({ "user_id": self.name }));
        let login = login.send().await.expect("a gateway always answers");
        let cookie = login.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        let code = scene.request(Method::POST, at, "/v1/auth/bridge/code").header(COOKIE, cookie);
        let code = code.send().await.expect("a gateway always answers");
        if code.status() != StatusCode::CREATED {
            // An old primary does not know a person who was registered on the new one.
            let unknown = code.status() == StatusCode::FORBIDDEN && scene.had_two_primaries_since(asked);
            if !unknown {
                self.expect_unavailable("a code", code.status());
            }
            return;
        }
        let code: Value = code.json().await.unwrap();
        let exchange = json!({ "code": code["code"] });
        let exchange =
            scene.request(Method::POST, scene.any_gateway(), "/v1/auth/bridge/session").json(&exchange);
        let sent = scene.start.elapsed();
        let access = exchange.send().await.expect("a gateway always answers");
        if access.status() != StatusCode::OK {
            // An old primary does not know a code that was issued on the new one.
            let unknown = access.status() == StatusCode::BAD_REQUEST && scene.had_two_primaries_since(asked);
            if !unknown {
                self.expect_unavailable("an exchange", access.status());
            }
            return;
        }
        let access: Value = access.json().await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        self.bridges
            .push(Bridge { id: text(&access["headers"]["x-session-id"]), token: text(&access["token"]) });
        self.history.openings.push(Span { sent, answered: scene.start.elapsed() });
    }

    fn expect_unavailable(&mut self, what: &str, status: StatusCode) {
        if status != StatusCode::SERVICE_UNAVAILABLE {
            self.history.surprises.push(format!("{what} was answered {status}"));
        }
    }

    /// Ends one session or all, again and again, until none is left or no gateway does it.
    async fn end_all(&mut self, pace: &watch::Sender<Pace>) {
        for _ in 0..50 {
            let Some(session) = self.any_live() else { return };
            sleep(Duration::from_millis(rand::random_range(50..400))).await;
            let acts = [Act::LogOut, Act::EndOwn, Act::EndByOperator, Act::EndAll, Act::Disable];
            // After all sessions are revoked, there is none left to revoke one by one.
            let chosen = acts.choose_weighted(&mut rand::rng(), |act| match act {
                Act::EndAll | Act::Disable => 1,
                _ => 3,
            });
            let act = *chosen.expect("the list of acts is not empty, and has weights");
            self.end(act, session).await;
            pace.send_replace(Pace::Quick);
            sleep(Duration::from_millis(30)).await;
            pace.send_replace(Pace::Calm);
            if let Act::Disable = act {
                let path = format!("/admin/users/{}/enable", self.name);
                let _ = self.scene.send(self.scene.operate(Method::POST, &path)).await;
            }
        }
    }

    async fn end(&mut self, act: Act, session: usize) {
        let scene = self.scene.clone();
        let (name, id) = (&self.name, &self.bridges[session].id);
        let as_bridge = |method, path: &str, bridge: usize| {
            scene.request(method, scene.any_gateway(), path).bearer_auth(&self.bridges[bridge].token)
        };
        let by = rand::random_range(0..self.bridges.len());
        let (what, named, asked_with, request) = match act {
            Act::LogOut => {
                let request = as_bridge(Method::POST, "/v1/auth/bridge/logout", session);
                ("log out", Some(session), Some(session), request)
            }
            Act::EndOwn => {
                let request = as_bridge(Method::DELETE, &format!("/v1/auth/bridge/sessions/{id}"), by);
                ("end own", Some(session), Some(by), request)
            }
            Act::EndByOperator => {
                let request = scene.operate(Method::DELETE, &format!("/admin/sessions/{id}"));
                ("end by operator", Some(session), None, request)
            }
            Act::EndAll => (
                "end all",
                None,
                None,
                scene.operate(Method::DELETE, &format!("/admin/users/{name}/sessions")),
            ),
            Act::Disable => {
                ("disable", None, None, scene.operate(Method::POST, &format!("/admin/users/{name}/disable")))
            }
        };
        // A person who does not wait for a gateway on the old primary may reach a gateway on the new primary while both
        // are alive.
        let patience = if rand::random() { IMPATIENT } else { Duration::MAX };
        let sent = scene.start.elapsed();
        let Ok((span, answer)) = timeout(patience, scene.send(request)).await else {
            let span = Span { sent, answered: scene.start.elapsed() };
            self.history.revocations.push(Revocation { what, session: named, span, acknowledged: false });
            return;
        };
        let done = if matches!(act, Act::EndAll) { StatusCode::OK } else { StatusCode::NO_CONTENT };
        let verdict = answer.map_or_else(Verdict::Other, |answer| verdict(answer, done));
        let acknowledged = verdict == Verdict::LetIn;
        self.history.revocations.push(Revocation { what, session: named, span, acknowledged });
        if verdict != Verdict::LetIn {
            let session = asked_with.unwrap_or(session);
            self.history.calls.push(Call { session, gateway: 0, span, verdict });
        }
    }

    /// One of the sessions whose revocation was not acknowledged yet.
    fn any_live(&self) -> Option<usize> {
        let is_ended = |session| {
            let mut revocations = self.history.revocations.iter();
            revocations.any(|revocation| {
                revocation.acknowledged && revocation.session.is_none_or(|named| named == session)
            })
        };
        let live: Vec<_> = (0..self.bridges.len()).filter(|session| !is_ended(*session)).collect();
        live.choose(&mut rand::rng()).copied()
    }
}

fn verdict(status: StatusCode, good: StatusCode) -> Verdict {
    match status {
        _ if status == good => Verdict::LetIn,
        // An unknown session that should be ended counts as refused.
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Verdict::Refused,
        StatusCode::SERVICE_UNAVAILABLE => Verdict::Unavailable,
        other => Verdict::Other(other.to_string()),
    }
}
