//! A gateway that lets people's bridges in: axum, SQLite or PostgreSQL, and every endpoint of the crate.
//!
//! `cargo run --example gateway -- --demo` plays the whole life of a bridge; `--help` lists the rest.

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod app;
mod demo;
#[path = "../shared/hop_by_hop.rs"]
mod hop_by_hop;
mod host;
mod login;
mod operators;
mod options;
mod readiness;
#[path = "../shared/stop.rs"]
mod stop;
mod upstream;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use bridge_auth::id::ClientSecret;
use bridge_auth::issue::Admin;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::time::{interval, sleep};
use tracing_subscriber::EnvFilter;

use crate::app::{AppState, app};
use crate::options::{Options, data_folder};
use crate::stop::told_to_stop;

/// How long requests that are under way may take once the gateway is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often dead rows are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => return fail(error.to_string().lines().next().unwrap_or_default()),
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("error: {error:#}")),
    }
}

async fn run(options: Options) -> Result<()> {
    start_log(options.demo)?;
    let listen = options.listen();
    let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
    let address = listener.local_addr()?;
    let temporary = if options.demo { Some(tempfile::tempdir()?) } else { None };
    let folder = temporary.as_ref().map_or_else(data_folder, |folder| Ok(folder.path().to_owned()))?;
    let issuer = options.issuer(address)?;
    let bridge = options.bridge(&issuer, &folder).await?;
    tokio::spawn(sweep_now_and_then(bridge.admin().clone()));

    let admin_token = match &options.admin_token {
        Some(token) => token.clone(),
        None => {
            let token = ClientSecret::random().expose().to_owned();
            if !options.demo {
                writeln!(io::stdout(), "operators' token: {token}")?;
            }
            token
        }
    };
    let state = AppState::new(admin_token.clone(), upstream::start().await?);
    let app = app(&bridge, &issuer, state)?;
    if !address.ip().is_loopback() {
        tracing::warn!("whoever reaches {address} can sign in as anyone: /demo/login is a stand-in");
    }
    writeln!(io::stdout(), "listening on http://{address}")?;

    if options.demo {
        tokio::select! {
            played = demo::play(address, &admin_token) => played,
            served = serve(listener, app) => served.and_then(|()| bail!("the demo was interrupted")),
        }
    } else {
        serve(listener, app).await
    }
}

/// Logs to standard error what `RUST_LOG` asks for.
fn start_log(demo: bool) -> Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter).context("RUST_LOG is malformed")?,
        // The demo's page is what it prints.
        Err(_) if demo => EnvFilter::new("warn"),
        Err(_) => EnvFilter::new("info,refinery_core=warn"),
    };
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(ansi).with_env_filter(filter).init();
    Ok(())
}

/// Serves until the process is told to stop, and lets the requests under way end.
async fn serve(listener: TcpListener, app: Router) -> Result<()> {
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(told_to_stop());
    tokio::select! {
        served = serving => Ok(served?),
        () = async { told_to_stop().await; sleep(GRACE).await } => bail!("requests were cut off"),
    }
}

async fn sweep_now_and_then(admin: Admin) {
    let mut ticks = interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        match admin.sweep(|_| {}).await {
            Ok(swept) => tracing::debug!(?swept, "swept"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "sweep failed"),
        }
    }
}

fn fail(message: &str) -> ExitCode {
    // Nobody may be there to read it, and that is no reason to panic.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::FAILURE
}
