//! The other side: a command-line bridge that links itself to a gateway and calls it.
//!
//! It renews nothing: when its token is over, it asks to be linked again.
//!
//! `cargo run --example bridge -- --help`

#![allow(unreachable_pub, reason = "a program exports nothing")]

mod client;
mod credential;

use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use bridge_auth::CodeVerifier;
use clap::{Parser, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};
use url::Url;

use crate::client::{Client, Problem};
use crate::credential::Folder;

/// Calls an AI gateway on a person's behalf.
#[derive(Parser)]
#[command(name = "bridge", version)]
struct Options {
    /// The gateway to link to; afterwards the credential knows [default: http://127.0.0.1:8080]
    #[arg(long, env = "BRIDGE_GATEWAY", value_name = "URL", global = true)]
    gateway: Option<Url>,

    /// Where the credential is kept [default: bridge.json in your data folder]
    #[arg(long, env = "BRIDGE_CREDENTIAL", value_name = "FILE", global = true)]
    credential: Option<PathBuf>,

    /// Sends the token over plain http to other machines too: whoever listens can use it
    #[arg(long, global = true)]
    insecure_http: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes a PKCE challenge to ask for a code with; the next `link` proves it
    Challenge,
    /// Trades a one-time code for a credential
    Link {
        /// The code; `-` reads it from standard input, which keeps it out of the process list
        #[arg(default_value = "-")]
        code: String,
        /// What this device is called in the person's list of sessions
        #[arg(long, value_name = "NAME")]
        device_name: Option<String>,
        /// The session id to ask for [default: the gateway's choice]
        #[arg(long, value_name = "ID")]
        session_id: Option<String>,
        /// Leaves the verifier of an earlier `challenge` aside
        #[arg(long)]
        no_pkce: bool,
    },
    /// Calls the gateway and prints the answer's body
    #[command(allow_missing_positional = true)]
    Call {
        /// [default: GET, or POST with --data]
        method: Option<Method>,
        /// The path at the gateway, such as /v1/whoami
        path: String,
        /// A JSON body; `-` reads it from standard input
        #[arg(long, value_name = "JSON")]
        data: Option<String>,
    },
    /// Lists what is signed in as this person
    Sessions,
    /// Gets an OAuth client for this person's hooks; its secret is shown once
    Provision,
    /// Ends the session and removes the credential
    Logout,
}

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
    let folder = Folder::new(options.credential)?;
    let http = options.insecure_http;
    match options.command {
        Command::Challenge => say(&folder.new_challenge()?),
        Command::Link { code, device_name, session_id, no_pkce } => {
            let gateway = match options.gateway {
                Some(gateway) => gateway,
                None => "http://127.0.0.1:8080".parse()?,
            };
            let verifier = if no_pkce { None } else { folder.verifier()? };
            let exchange = json!({
                "code": read_if_dash(code, "code: ")?,
                "code_verifier": verifier.as_ref().map(CodeVerifier::expose),
                "device_name": device_name,
            });
            let client = Client::new(&gateway, http)?;
            link(&client, &folder, without_nulls(exchange), session_id).await
        }
        Command::Call { method, path, data } => {
            let client = linked(&folder, options.gateway, http)?;
            let body = data.map(|data| read_if_dash(data, "")).transpose()?;
            let default = if body.is_some() { Method::POST } else { Method::GET };
            let answer = client.call(method.unwrap_or(default), &path, body).await?;
            Ok(io::stdout().write_all(&answer)?)
        }
        Command::Sessions => {
            let client = linked(&folder, options.gateway, http)?;
            list(&client.call_json(Method::GET, "/v1/auth/bridge/sessions").await?)
        }
        Command::Provision => {
            let client = linked(&folder, options.gateway, http)?;
            let hook_client = client.call_json(Method::POST, "/v1/auth/bridge/oauth-client").await?;
            say(&format!("{hook_client:#}"))
        }
        Command::Logout => {
            let client = linked(&folder, options.gateway, http)?;
            let ended = client.call(Method::POST, "/v1/auth/bridge/logout", None).await;
            match ended {
                // A session that is over needs no ending, and its credential is of no use to anyone.
                Err(error) if !matches!(error.downcast_ref(), Some(Problem::LinkAgain)) => Err(error),
                _ => folder.forget().and_then(|()| say("logged out")),
            }
        }
    }
}

async fn link(client: &Client, folder: &Folder, exchange: Value, session_id: Option<String>) -> Result<()> {
    let bound = exchange.get("code_verifier").is_some();
    let credential = client.exchange(&exchange, session_id).await.with_context(|| {
        // A network that is down must not read like a bad code.
        let aside = if bound { " with the last `challenge` (--no-pkce leaves it aside)" } else { "" };
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
        credential.ttl
    ))
}

/// A client with the kept credential, for the gateway that issued it and no other.
fn linked(folder: &Folder, gateway: Option<Url>, insecure_http: bool) -> Result<Client> {
    let credential = folder.credential()?;
    if let Some(gateway) = gateway {
        ensure!(
            gateway == credential.gateway,
            "the credential is for {}, and is not shown to {gateway}",
            credential.gateway
        );
    }
    Ok(Client::new(&credential.gateway, insecure_http)?.with(credential))
}

fn list(answer: &Value) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    for session in answer["sessions"].as_array().context("the gateway sent no list of sessions")? {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let expires = Duration::from_secs(session["expires_at"].as_u64().unwrap_or_default());
        let origin = &session["origin"];
        say(&format!(
            "{} {}  {}  {}  {}  {} min left",
            if session["current"] == true { '*' } else { ' ' },
            text(&session["id"]),
            text(&session["call_source"]),
            text(&origin["device_name"]),
            text(&origin["address"]),
            expires.saturating_sub(now).as_secs() / 60,
        ))?;
    }
    Ok(())
}

/// The argument itself, or standard input where it is `-`.
fn read_if_dash(argument: String, prompt: &str) -> Result<String> {
    if argument != "-" {
        return Ok(argument);
    }
    let mut text = String::new();
    if io::stdin().is_terminal() {
        write!(io::stderr(), "{prompt}")?;
        io::stdin().read_line(&mut text)?;
    } else {
        io::stdin().read_to_string(&mut text)?;
    }
    if text.trim().is_empty() {
        bail!("there is nothing on standard input");
    }
    Ok(text.trim().to_owned())
}

fn without_nulls(mut object: Value) -> Value {
    if let Some(members) = object.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    object
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

fn fail(message: &str) -> ExitCode {
    // Nobody may be there to read it, and that is no reason to panic.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::FAILURE
}
