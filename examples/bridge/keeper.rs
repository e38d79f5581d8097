//! Keeps the credential good: renews it before it is over, once for everyone who waits, and only by one process at a time.

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
/// The waits between attempts, without what the gateway asks for.
const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The credential of one gateway.
pub struct Keeper {
    gateway: Gateway,
    folder: Folder,
    held: Mutex<Arc<Credential>>,
    /// Whose turn it is to renew, within this process.
    turn: tokio::sync::Mutex<Backoff>,
}

/// When a renewal that failed may be tried again.
#[derive(Default)]
struct Backoff {
    failures: u32,
    not_before: Option<Instant>,
}

impl Keeper {
    /// Keeps the credential in `folder`, for the gateway that issued it and no other.
    pub fn new(folder: Folder, gateway: Option<&Url>, insecure_http: bool) -> Result<Arc<Self>> {
        let credential = folder.credential()?.ok_or(Problem::NotLinked)?;
        let issuer = &credential.gateway;
        if let Some(gateway) = gateway {
            ensure!(gateway == issuer, "the credential is for {issuer}, and is not shown to {gateway}");
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

    /// The credential as it was got last.
    pub fn held(&self) -> Arc<Credential> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A credential to call with: renewed when it is due, or the one there is while that is good and the gateway cannot renew it.
    pub async fn credential(self: &Arc<Self>) -> Result<Arc<Credential>, Problem> {
        let held = self.held();
        if held.refresh_token.is_none() || !held.life.is_due() {
            return Ok(held);
        }
        match self.renew(&held).await {
            Err(Problem::TryAgain { .. } | Problem::Unreachable { .. }) if !held.life.is_over() => Ok(held),
            renewed => renewed,
        }
    }

    /// The same, with patience for a gateway that cannot renew now.
    async fn credential_in_time(self: &Arc<Self>) -> Result<Arc<Credential>, Problem> {
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

    /// Calls `path` and returns the answer, which is a good one. A token that the gateway refuses is renewed once.
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
        Ok(answer.json().await.context("the gateway did not answer in JSON")?)
    }

    /// The credential that comes after `stale`: the one that somebody else has got by now, or a new one.
    ///
    /// # Errors
    ///
    /// [`Problem::SignedOut`] when the gateway takes the refresh token no more; the credential is then gone. After any other
    /// the credential is kept.
    pub async fn renew(self: &Arc<Self>, stale: &Credential) -> Result<Arc<Credential>, Problem> {
        let (keeper, stale) = (Arc::clone(self), stale.token.clone());
        // A caller who goes away must not take an answer along that holds the only good refresh token.
        let renewal = tokio::spawn(async move { keeper.renew_in_turn(&stale).await });
        renewal.await.map_err(|_| anyhow!("the renewal was cut off"))?
    }

    /// Waits for a renewal that is under way.
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
            // Who waited for an attempt that failed does not make the next at once.
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
        // As it is now: another process may have renewed it, or the person linked again.
        let kept = self.folder.credential()?.ok_or_else(signed_out)?;
        if kept.gateway != *self.gateway.url() {
            return Err(anyhow!("the credential is for {} now: start again", kept.gateway).into());
        }
        if kept.token != stale && !kept.life.is_due() {
            return Ok(self.hold(kept));
        }
        let Some(refresh_token) = &kept.refresh_token else { return Err(signed_out()) };
        // An answer that cannot be kept would be lost with the session.
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
                self.folder.forget()?;
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
        // Spread, so that all the bridges of a gateway that was down do not come back at once.
        let wait = doubled.max(asked).mul_f64(rand::random_range(1.0..1.25));
        self.failures += 1;
        self.not_before = Some(Instant::now() + wait);
    }

    fn wait(&self) -> Duration {
        self.not_before.map_or(Duration::ZERO, |time| time.saturating_duration_since(Instant::now()))
    }
}
