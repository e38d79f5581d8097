//! `gateway admin`: what an operator does from a terminal.

mod pages;
mod table;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::runtime::Runtime;
use url::{Host, Url};

use super::command::{Act, Admin};

const TIMEOUT: Duration = Duration::from_secs(15);
/// There is no such person or session.
const NOT_FOUND: u8 = 2;

/// Does it, and says what was done.
pub fn run(admin: &Admin) -> Result<ExitCode> {
    let answer = Runtime::new()?.block_on(ask(admin))?;
    let Some(answer) = answer else {
        let _ = writeln!(io::stderr(), "{}", missing(&admin.act));
        return Ok(ExitCode::from(NOT_FOUND));
    };
    let text = if admin.json { format!("{answer}\n") } else { table::said(&admin.act, &answer) };
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What the gateway answers, on as many pages as it has; an empty object when it has done something. `None`: it does not know
/// the person or session.
async fn ask(admin: &Admin) -> Result<Option<Value>> {
    let token = admin.admin_token.as_ref().context(
        "the operators' token is missing: set BRIDGE_AUTH_ADMIN_TOKEN, or give --admin-token. The gateway printed it when \
         it started",
    )?;
    let (method, url) = request(&admin.act, &admin.url)?;
    // A redirect would carry the request, and perhaps the token, elsewhere.
    let client = Client::builder().redirect(Policy::none()).timeout(TIMEOUT).build()?;
    let request = |url| client.request(method.clone(), url).bearer_auth(token);
    match pages::list(&admin.act) {
        Some(list) => list.whole(admin, &url, request).await,
        None => answer(admin, request(url)).await,
    }
}

/// One answer.
async fn answer(admin: &Admin, request: RequestBuilder) -> Result<Option<Value>> {
    let answer = request.send().await;
    let answer = answer.map_err(|error| {
        let why = if error.is_connect() { "no gateway answers at" } else { "the request failed at" };
        anyhow!(error.without_url()).context(format!("{why} {} (--url)", admin.url))
    })?;
    let status = answer.status();
    let body: Value = serde_json::from_slice(&answer.bytes().await?).unwrap_or_default();
    match status {
        StatusCode::NO_CONTENT => Ok(Some(Value::Object(serde_json::Map::new()))),
        StatusCode::OK => Ok(Some(body)),
        StatusCode::UNAUTHORIZED => {
            bail!("the gateway at {} does not accept this operators' token (--admin-token)", admin.url)
        }
        StatusCode::MISDIRECTED_REQUEST => {
            bail!("the gateway at {} has another name: give --url the host of its --issuer", admin.url)
        }
        StatusCode::NOT_FOUND if body["code"] == "events_not_kept" => {
            bail!("this gateway keeps no audit events")
        }
        StatusCode::NOT_FOUND if body["code"] == "not_found" => Ok(None),
        StatusCode::NOT_FOUND => bail!("there is no /admin at {}: is it a gateway?", admin.url),
        _ => {
            let detail = body["detail"].as_str().unwrap_or("no reason was given");
            bail!("the gateway answers {status}: {detail}")
        }
    }
}

fn request(act: &Act, gateway: &Url) -> Result<(Method, Url)> {
    let is_loopback = match gateway.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    ensure!(
        gateway.scheme() == "https" || (gateway.scheme() == "http" && is_loopback),
        "--url is {gateway}: it must be https, because the token must not be read on the way"
    );
    let (method, path): (_, &[&str]) = match act {
        Act::Search { .. } => (Method::GET, &["users"]),
        Act::Devices { user } => (Method::GET, &["users", user, "sessions"]),
        Act::End { session } => (Method::DELETE, &["sessions", session]),
        Act::EndAll { user } => (Method::DELETE, &["users", user, "sessions"]),
        Act::Disable { user } => (Method::POST, &["users", user, "disable"]),
        Act::Enable { user } => (Method::POST, &["users", user, "enable"]),
        Act::Events { user } => (Method::GET, &["users", user, "events"]),
        Act::Health => (Method::GET, &["health"]),
    };
    let mut url = gateway.clone();
    let segments = url.path_segments_mut();
    segments
        .map_err(|()| anyhow!("--url is {gateway}: it has no path"))?
        .pop_if_empty()
        .push("admin")
        .extend(path);
    if let Act::Search { text } = act {
        url.query_pairs_mut().append_pair("q", text);
    }
    Ok((method, url))
}

fn missing(act: &Act) -> String {
    match act {
        Act::End { session } => format!("error: there is no session {session:?}"),
        Act::Devices { user }
        | Act::EndAll { user }
        | Act::Disable { user }
        | Act::Enable { user }
        | Act::Events { user } => {
            format!("error: nobody has the id {user:?}: `gateway admin search` finds people")
        }
        Act::Search { .. } | Act::Health => "error: the gateway does not have this".to_owned(),
    }
}
