//! The calls of a person with all that they have, on every gateway.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, StatusCode};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::history::{Call, Verdict};
use super::scene::Scene;

/// How often a bridge calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    Calm,
    /// Something was just revoked.
    Quick,
    Over,
}

/// A linked bridge, or an agent that acts for the person with a session of its own.
pub struct Bridge {
    pub id: String,
    pub token: String,
}

/// The calls with all sessions of a person, on all gateways.
pub struct Calling {
    pub pace: watch::Sender<Pace>,
    pub callers: JoinSet<Vec<Call>>,
    /// How many sessions call.
    sessions: usize,
}

impl Calling {
    pub fn new() -> Self {
        Self { pace: watch::channel(Pace::Calm).0, callers: JoinSet::new(), sessions: 0 }
    }

    /// Begins to call with the sessions that do not call yet.
    pub fn begin(&mut self, scene: &Arc<Scene>, bridges: &[Bridge]) {
        for (session, bridge) in bridges.iter().enumerate().skip(self.sessions) {
            for gateway in 0..scene.gateways.len() {
                let (scene, token) = (scene.clone(), bridge.token.clone());
                self.callers.spawn(call_on(scene, session, gateway, token, self.pace.subscribe()));
            }
        }
        self.sessions = bridges.len();
    }
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

pub fn verdict(status: StatusCode, good: StatusCode) -> Verdict {
    match status {
        _ if status == good => Verdict::LetIn,
        // An unknown session that should be ended counts as refused.
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Verdict::Refused,
        // Of one issuer, a gateway takes a bounded number of events.
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Verdict::Unavailable,
        other => Verdict::Other(other.to_string()),
    }
}
