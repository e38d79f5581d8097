//! The gateway as a program. A package with a login of its own gives [`run`] its login.

#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    reason = "the parts of a program: only the examples with a login of their own use them"
)]

mod admin;
pub mod app;
mod bridge;
mod command;
mod company;
mod connections;
pub mod database;
mod demo;
mod home;
mod host;
pub mod html;
mod identity_provider;
mod keys;
pub mod login;
mod operators;
pub mod options;
// The documentation of `AuditTrail` shows this file.
#[path = "../../../docs/recent_events.rs"]
mod recent_events;
mod serve;
mod slow_bodies;
mod upstream;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tokio::runtime::Runtime;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::command::{Command, ProviderOptions, Subcommand};
use self::company::Agent;
use self::demo::{Place, Report};
use self::identity_provider::IdentityProvider;
use self::login::demo::Demo;
use self::login::{LoginMethod, LoginName, elsewhere};
use self::options::{Options, data_folder};
use self::recent_events::RecentEvents;
use self::serve::Gateway;

/// Runs the gateway with the login that its options name: `demo`, or one that is `built_in`.
pub fn run(built_in: &[&dyn LoginMethod]) -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => return fail(&first_paragraph(&error.to_string())),
    };
    let done = |ended: Result<ExitCode>| ended.unwrap_or_else(|error| fail(&format!("error: {error:#}")));
    let options = match command.subcommand {
        Some(Subcommand::Admin(admin)) => return done(admin::run(&admin)),
        Some(Subcommand::IdentityProvider(provider)) => return done(provide_identities(&provider)),
        None => command.options,
    };
    let mut found = built_in.iter().copied().chain([&Demo as &dyn LoginMethod]);
    let ended = match found.find(|login| login.name() == options.login) {
        _ if options.demo => demonstrate(options),
        Some(login) => serve_people(&options, login),
        None => elsewhere::run(options.login),
    };
    done(ended)
}

/// Vouches for people until the process is told to stop.
fn provide_identities(options: &ProviderOptions) -> Result<ExitCode> {
    Runtime::new()?.block_on(identity_provider::serve(options))?;
    Ok(ExitCode::SUCCESS)
}

/// Lets people's bridges in until the process is told to stop.
fn serve_people(options: &Options, login: &dyn LoginMethod) -> Result<ExitCode> {
    let events = start_log("info")?;
    Runtime::new()?.block_on(async {
        let gateway = Gateway::start(options, login, &data_folder()?, events).await?;
        if options.admin_token.is_none() {
            writeln!(io::stdout(), "operators' token: {}", gateway.admin_token)?;
        }
        if login.name() != LoginName::Demo {
            writeln!(io::stdout(), "people sign in at {}", gateway.issuer)?;
        }
        writeln!(io::stdout(), "listening on http://{}", gateway.address)?;
        gateway.serve().await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Plays the demo against two gateways and an identity provider of its own.
fn demonstrate(mut options: Options) -> Result<ExitCode> {
    ensure!(options.login == LoginName::Demo, "--demo plays with the login demo: leave --login out");
    // Only the demo's own lines should be on the screen.
    let events = start_log("warn")?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::new(options.verbose);
    let played = Runtime::new()?.block_on(async {
        let provider = IdentityProvider::start().await?;
        let [planner, researcher] = ["planner", "researcher"].map(Agent::random);
        options.company.identity_provider = Some(provider.issuer().to_owned());
        options.company.agent = vec![planner.clone(), researcher.clone()];
        let gateway = Gateway::start(&options, &Demo, folder.path(), events.clone()).await?;
        provider.tells(gateway.issuer.clone());
        if options.verbose {
            writeln!(io::stdout(), "listening on http://{}", gateway.address)?;
        }
        options.become_another(gateway.address, &gateway.issuer);
        let another = Gateway::start(&options, &Demo, folder.path(), events).await?;
        let place = Place {
            gateway: gateway.address,
            issuer: &options.issuer(gateway.address)?,
            another: another.address,
            lag: options.lag(),
            admin_token: &gateway.admin_token.clone(),
            provider: &provider,
            planner: &planner,
            researcher: &researcher,
        };
        tokio::select! {
            played = demo::play(&place, &mut report) => played,
            served = gateway.serve() => served.and_then(|()| bail!("the demo was interrupted")),
            served = another.serve() => served.and_then(|()| bail!("the demo was interrupted")),
        }
    });
    // The runtime has ended, and the server with it. Remove the folder before the report says that nothing is left.
    let removed = folder.close();
    played?;
    removed.context("cannot remove the temporary folder of the demo")?;
    report.end(&options.left_by_demo())
}

/// Logs to standard error what `RUST_LOG` asks for, or else `default`. Operators see the audit events all the same.
fn start_log(default: &str) -> Result<RecentEvents> {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| default.to_owned());
    // `EnvFilter` takes spans too, and brings a compiler of regular expressions.
    let filter: Targets =
        filter.parse().context("RUST_LOG is malformed: write a filter such as info or bridge_auth=debug")?;
    let ansi = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(ansi).with_filter(filter);
    let events = RecentEvents::default();
    let audit = Targets::new().with_target("bridge_auth::audit", LevelFilter::INFO);
    tracing_subscriber::registry().with(log).with(events.clone().with_filter(audit)).init();
    Ok(events)
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
