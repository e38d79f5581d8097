//! A gateway that lets people's bridges in: axum, SQLite or PostgreSQL, and every endpoint of the crate.
//!
//! `cargo run --example gateway -- --demo` plays the whole life of a bridge, with one line for each scene. `--help`
//! lists all options.

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
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use bridge_auth::Bridge;
use bridge_auth::id::ClientSecret;
use bridge_auth::issue::Admin;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::time::{interval, sleep};
use tracing_subscriber::EnvFilter;

use crate::app::{AppState, app};
use crate::demo::Report;
use crate::options::{Options, data_folder};
use crate::stop::told_to_stop;

/// How long requests in progress may take after the gateway is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How often dead rows are deleted.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => return fail(&first_paragraph(&error.to_string())),
    };
    let ended = if options.demo { demonstrate(&options) } else { serve_people(&options) };
    ended.unwrap_or_else(|error| fail(&format!("error: {error:#}")))
}

/// Lets people's bridges in until the process is told to stop.
fn serve_people(options: &Options) -> Result<ExitCode> {
    start_log("info,refinery_core=warn")?;
    Runtime::new()?.block_on(async {
        let gateway = Gateway::start(options, &data_folder()?).await?;
        if options.admin_token.is_none() {
            writeln!(io::stdout(), "operators' token: {}", gateway.admin_token)?;
        }
        writeln!(io::stdout(), "listening on http://{}", gateway.address)?;
        gateway.serve().await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Plays the demo against a gateway of its own.
fn demonstrate(options: &Options) -> Result<ExitCode> {
    // Only the demo's own lines should be on the screen.
    start_log("warn")?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::new(options.verbose);
    let played = Runtime::new()?.block_on(async {
        let gateway = Gateway::start(options, folder.path()).await?;
        if options.verbose {
            writeln!(io::stdout(), "listening on http://{}", gateway.address)?;
        }
        let (address, admin_token) = (gateway.address, gateway.admin_token.clone());
        tokio::select! {
            played = demo::play(address, &admin_token, &mut report) => played,
            served = gateway.serve() => served.and_then(|()| bail!("the demo was interrupted")),
        }
    });
    // The runtime has ended, and the server with it. Remove the folder before the report says that nothing is left.
    let removed = folder.close();
    played?;
    removed.context("cannot remove the temporary folder of the demo")?;
    report.end(&options.left_by_demo())
}

/// A gateway that listens, with everything that it needs to serve.
struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    admin_token: String,
    app: Router,
    /// Keeps the background tasks alive.
    _bridge: Bridge,
}

impl Gateway {
    /// Starts a gateway. Files that the options give no path for go into `folder`.
    async fn start(options: &Options, folder: &Path) -> Result<Self> {
        let listen = options.listen();
        let listener =
            TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        let issuer = options.issuer(address)?;
        if !address.ip().is_loopback() {
            tracing::warn!(
                "anyone who reaches {address} can sign in as any person: /demo/login checks nothing, \
                 use it only for a demo"
            );
        }
        let bridge = options.bridge(&issuer, folder).await?;
        tokio::spawn(sweep_now_and_then(bridge.admin().clone()));
        let made = || ClientSecret::random().expose().to_owned();
        let admin_token = options.admin_token.clone().unwrap_or_else(made);
        let app = app(&bridge, &issuer, AppState::new(admin_token.clone(), upstream::start().await?))?;
        Ok(Self { listener, address, admin_token, app, _bridge: bridge })
    }

    /// Serves until the process is told to stop, and then finishes the requests in progress.
    async fn serve(self) -> Result<()> {
        let app = self.app.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(self.listener, app).with_graceful_shutdown(told_to_stop());
        tokio::select! {
            served = serving => Ok(served?),
            () = async { told_to_stop().await; sleep(GRACE).await } => {
                bail!("requests still ran {} s after the stop, and were cut off", GRACE.as_secs())
            }
        }
    }
}

/// Logs to standard error what `RUST_LOG` asks for, or else `default`.
fn start_log(default: &str) -> Result<()> {
    let filter = match std::env::var("RUST_LOG") {
        Ok(filter) => EnvFilter::try_new(filter)
            .context("RUST_LOG is malformed: write a filter such as info or bridge_auth=debug")?,
        Err(_) => EnvFilter::new(default),
    };
    let ansi = io::stderr().is_terminal();
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(ansi).with_env_filter(filter).init();
    Ok(())
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

/// What is wrong, on one line, without the usage that clap adds.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

fn fail(message: &str) -> ExitCode {
    // Standard error may be closed. That is no reason to panic.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::FAILURE
}
