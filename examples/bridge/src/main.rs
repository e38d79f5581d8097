//! The other side: a command-line bridge. A person signs it in at a gateway, and it stays signed in.
//!
//! The bridge renews its token before the token expires, also when many of its processes run at once. `login` takes
//! what standards give: discovery (RFC 8414), the device grant (RFC 8628), and the browser of the machine (RFC 8252).
//! `link` takes a code of the gateway. `token` gives other programs a fresh token.
//!
//! `cargo run -p example-bridge -- --help`

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod browser;
mod callback;
mod credential;
mod device;
mod discovery;
mod gateway;
mod hooks;
mod keeper;
mod login;
mod loopback;
mod oauth;
mod options;
mod serve;
mod session;
mod token;

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use bridge_auth::id::CodeVerifier;
use clap::Parser;
use example_shared::stop::told_to_stop;
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::credential::Folder;
use crate::gateway::{Gateway, Problem};
use crate::keeper::Keeper;
use crate::options::{Command, Options};

/// The exit code when the person must sign in. A supervisor must be able to tell this from a fault.
const NEEDS_SIGN_IN: u8 = 3;
/// What a shell reports of a program that ctrl-c ended.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(answer) if !answer.use_stderr() => answer.exit(),
        Err(error) => {
            note(error.to_string().lines().next().unwrap_or_default());
            return ExitCode::FAILURE;
        }
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(&format!("error: {error:#}"));
            match error.downcast_ref() {
                Some(Problem::SignedOut(_) | Problem::NotLinked) => ExitCode::from(NEEDS_SIGN_IN),
                Some(Problem::Interrupted) => ExitCode::from(INTERRUPTED),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

async fn run(mut options: Options) -> Result<()> {
    match &mut options.command {
        Command::Challenge => return say(&Folder::new(options.credential)?.new_challenge()?),
        Command::Link { code, .. } => {
            *code = read_if_dash(code, "code: ")?;
            return link_as_told(&options).await;
        }
        Command::Call { data: Some(data), .. } => *data = read_if_dash(data, "")?,
        Command::Login(_) => {
            return tokio::select! {
                done = log_in(&options) => done,
                () = told_to_stop() => Err(Problem::Interrupted.into()),
            };
        }
        Command::Logout => return log_out(&options).await,
        // A program waits for the answer, and nobody can type a code there.
        Command::Token { .. } | Command::Status { .. } => return run_linked(&options).await,
        _ => {}
    }
    match run_linked(&options).await {
        Err(error) if options.relink || io::stdin().is_terminal() => match error.downcast_ref() {
            Some(problem @ Problem::SignedOut(gateway)) => {
                note(&problem.to_string());
                let exchange = json!({ "code": read_if_dash("-", "code: ")? });
                let gateway = Gateway::new(gateway, options.insecure_http)?;
                link(&gateway, &folder(&options)?, exchange, None).await?;
                run_linked(&options).await
            }
            _ => Err(error),
        },
        done => done,
    }
}

/// Runs a command that needs a credential.
async fn run_linked(options: &Options) -> Result<()> {
    let keeper = Keeper::new(folder(options)?, options.gateway.as_ref(), options.insecure_http)?;
    match &options.command {
        Command::Challenge | Command::Link { .. } | Command::Login(_) | Command::Logout => Ok(()),
        Command::Token { json, check } => token::print(&keeper, *json, *check).await,
        Command::Status { json } => session::status(&keeper, *json).await,
        Command::Call { method, path, data } => {
            let default = if data.is_some() { Method::POST } else { Method::GET };
            let method = method.clone().unwrap_or(default);
            let answer = keeper.call(method, path, data.as_deref()).await?;
            Ok(io::stdout().write_all(&answer.bytes().await?)?)
        }
        Command::Serve { listen, key } => serve::serve(keeper, *listen, key.clone()).await,
        Command::HookToken { scope, resource, new } => {
            let wish = hooks::Wish { scope: scope.clone(), resource: resource.clone() };
            say(&hooks::token(&keeper, &wish, *new).await?)
        }
        Command::Sessions => session::list(&keeper).await,
        Command::Provision => say(&format!("{:#}", hooks::provision(&keeper).await?)),
    }
}

async fn log_in(options: &Options) -> Result<()> {
    let Command::Login(login) = &options.command else { return Ok(()) };
    let folder = folder(options)?;
    let gateway = match login.at.as_ref().or(options.gateway.as_ref()) {
        Some(gateway) => gateway.clone(),
        None => match folder.credential()? {
            Some(credential) => credential.gateway,
            None => folder.ended()?.map_or_else(default_gateway, Ok)?,
        },
    };
    let gateway = Gateway::new(&gateway, options.insecure_http)?;
    login::login(&gateway, &folder, &login.request(), &login.place()).await.context("cannot sign in")
}

async fn log_out(options: &Options) -> Result<()> {
    let folder = folder(options)?;
    if folder.credential()?.is_none() && folder.ended()?.is_some() {
        folder.forget()?;
        return say("logged out");
    }
    let keeper = Keeper::new(folder, options.gateway.as_ref(), options.insecure_http)?;
    session::log_out(keeper.gateway(), keeper.folder()).await
}

fn default_gateway() -> Result<Url> {
    Ok("http://127.0.0.1:8080".parse()?)
}

async fn link_as_told(options: &Options) -> Result<()> {
    let Command::Link { code, device_name, session_id, no_pkce } = &options.command else { return Ok(()) };
    let folder = folder(options)?;
    let gateway = match &options.gateway {
        Some(gateway) => gateway.clone(),
        None => default_gateway()?,
    };
    let verifier = if *no_pkce { None } else { folder.verifier()? };
    let exchange = json!({
        "code": code,
        "code_verifier": verifier.as_ref().map(CodeVerifier::expose),
        "device_name": device_name,
    });
    let gateway = Gateway::new(&gateway, options.insecure_http)?;
    link(&gateway, &folder, without_nulls(exchange), session_id.clone()).await
}

async fn link(gateway: &Gateway, folder: &Folder, exchange: Value, session_id: Option<String>) -> Result<()> {
    let bound = exchange.get("code_verifier").is_some();
    let _turn = folder.turn().await?;
    let credential = gateway.exchange(&exchange, session_id).await.with_context(|| {
        // A network fault must not look like a bad code, so this is only the context of the error.
        let aside = if bound { " with the last `challenge` (use --no-pkce to link without it)" } else { "" };
        format!("cannot link{aside}")
    })?;
    folder.keep(&credential)?;
    if bound {
        folder.forget_verifier()?;
    }
    let name = |header| credential.headers.get(header).map_or("?", String::as_str);
    say(&format!(
        "linked as {} in session {} for {} s",
        name("x-user-id"),
        name("x-session-id"),
        credential.life.ttl
    ))
}

fn folder(options: &Options) -> Result<Folder> {
    Folder::new(options.credential.clone())
}

/// Returns the argument, or standard input if the argument is `-`.
fn read_if_dash(argument: &str, prompt: &str) -> Result<String> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    let mut text = String::new();
    if io::stdin().is_terminal() {
        write!(io::stderr(), "{prompt}")?;
        io::stdin().read_line(&mut text)?;
    } else {
        io::stdin().read_to_string(&mut text)?;
    }
    if text.trim().is_empty() {
        bail!("standard input is empty: write the value there, or give it as the argument");
    }
    Ok(text.trim().to_owned())
}

fn without_nulls(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    object
}

/// Prints the answer on standard output.
pub fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Prints a message that is not the answer on standard error. Standard error may be closed. That is no reason to panic.
pub fn note(message: &str) {
    // The gateway's words are in some messages. No control character among them may reach the terminal.
    let message = message.replace(|character: char| character.is_control(), " ");
    let _ = writeln!(io::stderr(), "{message}");
}
