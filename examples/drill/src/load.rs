//! The load on every gateway, at bounded rates: people link bridges, call, and revoke.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream};
use rand::RngExt as _;
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::gateway::OPERATOR;
use crate::ledger::{Ledger, Span, Verdict};

/// How often each gateway is called. A request that hangs does not delay the next one.
const CALL_EVERY: Duration = Duration::from_millis(12);
const LINK_EVERY: Duration = Duration::from_millis(300);
const REVOKE_EVERY: Duration = Duration::from_millis(400);
/// How many requests of one kind may be in progress on one gateway.
const UNDER_WAY: usize = 48;
/// Longer than any request may take, because the gateway has its own deadline.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a check after the recovery waits for an answer other than 503.
const INSISTS: Duration = Duration::from_secs(15);

/// What all callers share.
#[derive(Debug)]
pub struct Scene {
    pub ledger: Ledger,
    client: Client,
    people: AtomicU64,
}

/// The load on one gateway. It ends when this value is dropped.
#[derive(Debug)]
pub struct Load {
    _tasks: JoinSet<()>,
}

/// A gateway to load: its index in the ledger, and its URL.
#[derive(Debug, Clone)]
pub struct Target {
    pub place: usize,
    pub url: String,
}

impl Scene {
    pub fn new() -> Result<Self> {
        let client = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { ledger: Ledger::new(), client, people: AtomicU64::new(0) })
    }

    /// Starts the load on a gateway.
    pub fn work(self: &Arc<Self>, on: &Target) -> Load {
        let mut tasks = JoinSet::new();
        tasks.spawn(again_and_again(CALL_EVERY, (self.clone(), on.clone()), |(scene, on)| async move {
            scene.call(&on).await;
        }));
        tasks.spawn(again_and_again(LINK_EVERY, (self.clone(), on.clone()), |(scene, on)| async move {
            scene.link_and_note(&on).await;
        }));
        tasks.spawn(again_and_again(REVOKE_EVERY, (self.clone(), on.clone()), |(scene, on)| async move {
            scene.revoke(&on).await;
        }));
        Load { _tasks: tasks }
    }

    /// Checks each of the sessions on every gateway.
    pub async fn check(&self, sessions: &[usize], on: &[Target]) {
        let pairs = sessions.iter().flat_map(|session| on.iter().map(move |target| (*session, target)));
        stream::iter(pairs)
            .for_each_concurrent(12, |(session, target)| async move {
                let start = self.ledger.now();
                loop {
                    let (span, verdict) = self.ask(session, target).await;
                    let answered = matches!(verdict, Verdict::LetIn | Verdict::Refused);
                    if answered || self.ledger.now() > start + INSISTS {
                        return self.ledger.pages().recovered(session, target.place, span, verdict);
                    }
                    sleep(Duration::from_millis(100)).await;
                }
            })
            .await;
    }

    async fn call(&self, on: &Target) {
        let now = self.ledger.now();
        let picked = self.ledger.pages().pick_to_call(now);
        if let Some(session) = picked {
            self.ask(session, on).await;
        }
    }

    /// Sends a guarded request, and notes the answer.
    async fn ask(&self, session: usize, on: &Target) -> (Span, Verdict) {
        let token = self.ledger.pages().sessions[session].token.clone();
        let request = self.request(Method::GET, on, "/v1/whoami").bearer_auth(token);
        let (span, answer) = self.send(request).await;
        let verdict = match answer {
            Some(StatusCode::OK) => Verdict::LetIn,
            Some(StatusCode::UNAUTHORIZED) => Verdict::Refused,
            Some(StatusCode::SERVICE_UNAVAILABLE) => Verdict::Unavailable,
            _ => Verdict::Odd,
        };
        self.ledger.pages().called(session, on.place, span, verdict);
        (span, verdict)
    }

    async fn link_and_note(&self, on: &Target) {
        let sent = self.ledger.now();
        let linked = self.link(on).await;
        let span = Span { sent, answered: self.ledger.now() };
        let mut pages = self.ledger.pages();
        pages.wrote(on.place, span, linked.is_ok());
        if let Ok((id, token)) = linked {
            pages.opened(id, token, span.answered);
        }
    }

    /// Logs in, gets a code and exchanges it. Returns the session and its token.
    async fn link(&self, on: &Target) -> Result<(String, String)> {
        let name = format!("person-{}", self.people.fetch_add(1, Ordering::Relaxed));
        let login =
            self.request(Method::POST, on, "/demo/login").json(&json!({ "user_id": name })).send().await?;
        let cookie =
            login.headers().get(SET_COOKIE).context("the login set no cookie")?.to_str()?.split(';').next();
        let cookie = cookie.unwrap_or_default().to_owned();
        let code =
            self.request(Method::POST, on, "/v1/auth/bridge/code").header(COOKIE, cookie).send().await?;
        ensure!(code.status() == StatusCode::CREATED, "the gateway gave no code: {}", code.status());
        let code: Value = code.json().await?;
        let exchange = json!({ "code": code["code"] });
        let access = self.request(Method::POST, on, "/v1/auth/bridge/session").json(&exchange).send().await?;
        ensure!(access.status() == StatusCode::OK, "the exchange failed: {}", access.status());
        let access: Value = access.json().await?;
        let text = |value: &Value| {
            value.as_str().map(str::to_owned).context("the exchange gave no session or token")
        };
        Ok((text(&access["headers"]["x-session-id"])?, text(&access["token"])?))
    }

    async fn revoke(&self, on: &Target) {
        let now = self.ledger.now();
        let Some((session, again)) = self.ledger.pages().pick_to_revoke(now) else { return };
        let of = self.ledger.pages().sessions[session].clone();
        // The session may be revoked already. Then its own token cannot revoke it.
        let request = if again || rand::rng().random_bool(0.5) {
            self.request(Method::DELETE, on, &format!("/admin/sessions/{}", of.id)).bearer_auth(OPERATOR)
        } else {
            let path = format!("/v1/auth/bridge/sessions/{}", of.id);
            self.request(Method::DELETE, on, &path).bearer_auth(of.token)
        };
        let (span, answer) = self.send(request).await;
        let acknowledged = answer == Some(StatusCode::NO_CONTENT);
        let mut pages = self.ledger.pages();
        pages.revocation(session, span, acknowledged);
        pages.wrote(on.place, span, acknowledged);
    }

    fn request(&self, method: Method, on: &Target, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", on.url))
    }

    async fn send(&self, request: RequestBuilder) -> (Span, Option<StatusCode>) {
        let sent = self.ledger.now();
        let answer = request.send().await;
        let answered = self.ledger.now();
        (Span { sent, answered }, answer.ok().map(|answer| answer.status()))
    }
}

async fn again_and_again<With, Run, Done>(every: Duration, with: With, run: Run)
where
    With: Clone,
    Run: Fn(With) -> Done,
    Done: Future<Output = ()> + Send + 'static,
{
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    let mut under_way = JoinSet::new();
    loop {
        ticks.tick().await;
        while under_way.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let task = run(with.clone());
        under_way.spawn(async move {
            task.await;
            drop(place);
        });
    }
}
