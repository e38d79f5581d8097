//! A running gateway: what it opens, how it serves, and how it ends.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::{Router, middleware};
use bridge_auth::Bridge;
use bridge_auth::id::ClientSecret;
use bridge_auth::issue::Admin;
use example_shared::stop::{interrupted, terminated, told_to_stop};
use tokio::net::TcpListener;
use tokio::time::{interval, sleep};
use url::Url;

use super::app::{AppState, app};
use super::bridge;
use super::connections::Connections;
use super::login::{LoginMethod, LoginName, Setup};
use super::options::{Options, TimeoutOptions};
use super::readiness::Stopping;
use super::recent_events::RecentEvents;
use super::{slow_bodies, upstream};

/// How often dead rows are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// A gateway that listens, with everything that it needs to serve.
pub struct Gateway {
    listener: TcpListener,
    pub address: SocketAddr,
    pub admin_token: String,
    /// The gateway's own URL.
    pub issuer: Url,
    app: Router,
    timeouts: TimeoutOptions,
    stopping: Stopping,
    /// Keeps the background tasks alive.
    _bridge: Bridge,
}

impl Gateway {
    /// Starts a gateway. Files that the options give no path for go into `folder`.
    pub async fn start(
        options: &Options,
        login: &dyn LoginMethod,
        folder: &Path,
        events: RecentEvents,
    ) -> Result<Self> {
        let listen = options.listen();
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let issuer = options.issuer(address)?;
        let own: Url = issuer.parse().context("the issuer is no URL")?;
        login.check(&own)?;
        if !address.ip().is_loopback() && login.name() == LoginName::Demo {
            tracing::warn!(
                "anyone who reaches {address} can sign in as any person: the login demo checks nothing, \
                 use it only for a demo, and --login passkey or --login oidc for people"
            );
        }
        let bridge = bridge::open(options, &issuer, folder, events).await?;
        tokio::spawn(sweep_now_and_then(bridge.admin().clone()));
        let made = || ClientSecret::random().expose().to_owned();
        let admin_token = options.admin_token.clone().unwrap_or_else(made);
        let login = login.open(Setup { options, issuer: &own, folder }).await?;
        let state = AppState::new(login.logins, admin_token.clone(), upstream::start().await?);
        let (timeouts, stopping) = (options.timeouts.clone(), state.stopping.clone());
        let in_time = middleware::from_fn_with_state(timeouts.body(), slow_bodies::refuse);
        let app = app(&bridge, &own, &issuer, login.routes, state)?.layer(in_time);
        Ok(Self { listener, address, admin_token, issuer: own, app, timeouts, stopping, _bridge: bridge })
    }

    /// Serves until the process is told to stop, and then finishes the requests in progress.
    ///
    /// # Errors
    ///
    /// Requests took longer than they may after a stop, and were cut off.
    pub async fn serve(self) -> Result<()> {
        let mut connections = Connections::new(self.app, self.timeouts.header());
        connections
            .accept_until(self.listener, time_to_stop(&self.stopping, self.timeouts.drain_pause()))
            .await;
        let limit = self.timeouts.stop();
        match connections.end(limit).await {
            0 => Ok(()),
            cut => {
                let seconds = limit.as_secs();
                bail!("requests still ran {seconds} s after the stop, and were cut off (connections: {cut})")
            }
        }
    }
}

/// Waits until no more connections are to be accepted. From the first signal on the gateway calls itself not ready.
///
/// A service manager sends SIGTERM, and a balancer may send requests until it has seen that the gateway is not ready. A
/// person who presses ctrl-c waits for no balancer, and neither does a second signal.
async fn time_to_stop(stopping: &Stopping, pause: Duration) {
    let pause = tokio::select! {
        () = interrupted() => Duration::ZERO,
        () = terminated() => pause,
    };
    stopping.begin();
    tracing::info!("the gateway was told to stop: it accepts connections for {} s more", pause.as_secs());
    tokio::select! {
        () = sleep(pause) => {}
        () = told_to_stop() => {}
    }
}

async fn sweep_now_and_then(admin: Admin) {
    let mut ticks = interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        match admin.sweep(|_| {}).await {
            Ok(swept) => tracing::debug!(?swept, "the sweep deleted expired rows"),
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the sweep of expired rows failed, and will be tried again");
            }
        }
    }
}
