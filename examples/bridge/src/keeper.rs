//! Keeps the credential good: renews it before it expires, once for all who wait, and in only one process at a time.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use reqwest::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::time::sleep;
use url::Url;

use crate::credential::{Credential, Folder};
use crate::gateway::{Gateway, Problem, is_invalid_token, succeeded};

/// How long a command waits for a gateway that cannot renew now.
const PATIENCE: Duration = Duration::from_secs(10);
/// The shortest and the longest wait between attempts. The gateway may ask for more.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The credential of one gateway.
pub struct Keeper {
    gateway: Gateway,
    folder: Folder,
    held: Mutex<Arc<Credential>>,
    /// The turn to renew, within this process.
    turn: tokio::sync::Mutex<Backoff>,
}

/// When the next attempt may start after a failed renewal.
#[derive(Default)]
struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Keeper {
    /// Keeps the credential in `folder` good. Only the gateway that issued the credential sees it.
    pub fn new(folder: Folder, gateway: Option<&Url>, insecure_http: bool) -> Result<Arc<Self>> {
        let Some(credential) = folder.credential()? else {
            return Err(folder.ended()?.map_or(Problem::NotLinked, Problem::SignedOut).into());
        };
        let issuer = &credential.gateway;
        if let Some(gateway) = gateway {
            ensure!(
                gateway == issuer,
                "the credential is for {issuer}, and is not shown to {gateway}: use another --credential"
            );
        }
        Ok(Arc::new(Self {
            gateway: Gateway::new(issuer, insecure_http)?,
            folder,
            held: Mutex::new(Arc::new(credential)),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The newest credential that this process has.
    pub fn held(&self) -> Arc<Credential> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A credential to call with. It is renewed when it is due. If the gateway cannot renew it now, or someone else renews
    /// it at this moment, the old one is returned while it is still good.
    pub async fn credential(self: &Arc<Self>) -> Result<Arc<Credential>, Problem> {
        let held = self.held();
        if held.refresh_token.is_none() || !held.life.is_due() {
            return Ok(held);
        }
        if !held.life.is_over() && self.folder.is_turn_taken()? {
            return Ok(held);
        }
        match self.renew(&held).await {
            Err(Problem::TryAgain { .. } | Problem::Unreachable { .. }) if !held.life.is_over() => Ok(held),
            renewed => renewed,
        }
    }

    /// The same, but waits up to [`PATIENCE`] for a gateway that cannot renew now.
    pub async fn credential_in_time(self: &Arc<Self>) -> Result<Arc<Credential>, Problem> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.credential().await {
                Err(Problem::TryAgain { .. } | Problem::Unreachable { .. })
                    if Instant::now() + self.wait().await < until =>
                {
                    sleep(self.wait().await).await;
                }
                credential => return credential,
            }
        }
    }

    /// Calls `path` and returns a successful answer. A token that the gateway refuses is renewed once.
    pub async fn call(
        self: &Arc<Self>,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Response, Problem> {
        let credential = self.credential_in_time().await?;
        let mut answer = self.gateway.call(&credential, method.clone(), path, body).await?;
        if is_invalid_token(answer.status(), answer.headers()) {
            let renewed = self.renew(&credential).await?;
            answer = self.gateway.call(&renewed, method, path, body).await?;
        }
        succeeded(answer).await
    }

    /// Calls `path` and returns the body as JSON.
    pub async fn call_json(self: &Arc<Self>, method: Method, path: &str) -> Result<Value, Problem> {
        let answer = self.call(method, path, None).await?;
        Ok(answer.json().await.context("the gateway's answer is not JSON")?)
    }

    /// The credential that comes after `stale`: one that another task or process has fetched by now, or a new one.
    ///
    /// # Errors
    ///
    /// [`Problem::SignedOut`] when the gateway no longer accepts the refresh token. The credential is then removed.
    /// After any other error the credential is kept.
    pub async fn renew(self: &Arc<Self>, stale: &Credential) -> Result<Arc<Credential>, Problem> {
        let (keeper, stale) = (Arc::clone(self), stale.token.clone());
        // The answer holds the only good refresh token. So the renewal goes on when its caller has gone.
        let renewal = tokio::spawn(async move { keeper.renew_in_turn(&stale).await });
        renewal.await.map_err(|_| anyhow!("the renewal was cut off: try again"))?
    }

    /// Waits for a renewal in progress.
    pub async fn settle(&self) {
        drop(self.turn.lock().await);
    }

    /// How long to wait before the next attempt.
    pub async fn wait(&self) -> Duration {
        self.turn.lock().await.wait()
    }

    async fn renew_in_turn(&self, stale: &str) -> Result<Arc<Credential>, Problem> {
        let mut backoff = self.turn.lock().await;
        let held = self.held();
        if held.token != stale && !held.life.is_due() {
            return Ok(held);
        }
        let wait = backoff.wait();
        if !wait.is_zero() {
            // Those who waited for a failed attempt must not start the next one at once.
            return Err(Problem::TryAgain { status: StatusCode::SERVICE_UNAVAILABLE, after: Some(wait) });
        }
        let renewed = self.renew_alone(stale).await;
        match &renewed {
            Err(problem @ (Problem::TryAgain { .. } | Problem::Unreachable { .. })) => {
                backoff.failed(problem);
            }
            _ => *backoff = Backoff::default(),
        }
        renewed
    }

    async fn renew_alone(&self, stale: &str) -> Result<Arc<Credential>, Problem> {
        let signed_out = || Problem::SignedOut(self.gateway.url().clone());
        let _turn = self.folder.turn().await?;
        // Read the file again: another process may have renewed the credential, or the person may have linked again.
        let kept = self.folder.credential()?.ok_or_else(signed_out)?;
        if kept.gateway != *self.gateway.url() {
            let gateway = kept.gateway;
            return Err(anyhow!("the credential is for {gateway} now: start the bridge again").into());
        }
        if kept.token != stale && !kept.life.is_due() {
            return Ok(self.hold(kept));
        }
        let Some(refresh_token) = &kept.refresh_token else { return Err(signed_out()) };
        // If the answer could not be stored, the session would be lost. So reserve the space first.
        let room = self.folder.room_for_next(&kept)?;
        match self.gateway.refresh(kept.client_id(), refresh_token).await {
            Ok(fresh) => {
                let next = Credential {
                    token: fresh.token,
                    refresh_token: fresh.refresh_token.or_else(|| kept.refresh_token.clone()),
                    life: fresh.life,
                    ..kept
                };
                room.keep(&next)?;
                Ok(self.hold(next))
            }
            Err(Problem::InvalidGrant) => {
                self.folder.forget_ended(self.gateway.url())?;
                Err(signed_out())
            }
            Err(problem) => Err(problem),
        }
    }

    fn hold(&self, credential: Credential) -> Arc<Credential> {
        let credential = Arc::new(credential);
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&credential);
        credential
    }
}

impl Backoff {
    fn failed(&mut self, problem: &Problem) {
        let doubled = SHORTEST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        let asked = match problem {
            Problem::TryAgain { after: Some(after), .. } => *after,
            _ => Duration::ZERO,
        };
        // A random part, so that all bridges of a gateway that was down do not come back at the same moment.
        let wait = doubled.max(asked).mul_f64(rand::random_range(1.0..1.25));
        self.failures += 1;
        self.not_before = Some(Instant::now() + wait);
    }

    fn wait(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, |time| time.saturating_duration_since(Instant::now()))
    }
}
