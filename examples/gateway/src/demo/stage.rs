//! Requests, their answers, and how they are shown: readable, with the secrets shortened.

use anyhow::{Context, Result, ensure};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method};
use serde_json::Value;

use super::report::{Report, Scene};

/// The members of an answer that are secrets.
const SECRET_MEMBERS: [&str; 6] =
    ["code", "token", "access_token", "refresh_token", "id_token", "client_secret"];
/// The headers of an answer that are worth a line.
const SHOWN_HEADERS: [&str; 4] = ["set-cookie", "www-authenticate", "cache-control", "retry-after"];

/// How much of a body fits on one line.
const LINE: usize = 100;

/// Where the demo is played: it sends, shows and checks.
pub struct Stage<'a> {
    client: Client,
    gateway: String,
    secrets: Vec<String>,
    report: &'a mut Report,
}

/// A request to be sent and shown.
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<Value>,
    form: Vec<(String, String)>,
}

/// What came back.
pub struct Answer {
    headers: HeaderMap,
    /// The body; null when there is none.
    pub body: Value,
}

impl Call {
    /// To the gateway, or to the server that the whole URL names.
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: None, form: Vec::new() }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn form(mut self, form: &[(&str, &str)]) -> Self {
        self.form = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self
    }

    pub fn json(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }
}

impl Answer {
    /// A header as text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// A member of the body as text, empty when it is missing.
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_default()
    }
}

impl<'a> Stage<'a> {
    pub fn new(gateway: &str, report: &'a mut Report) -> Result<Self> {
        let client = Client::builder().no_proxy().user_agent("bridge-demo").build()?;
        Ok(Self { client, gateway: gateway.to_owned(), secrets: Vec::new(), report })
    }

    /// From now on `secret` is shown shortened, wherever it stands.
    pub fn keep_secret(&mut self, secret: &str) {
        self.secrets.push(secret.to_owned());
    }

    /// Begins a scene. The scene before it is proved.
    pub fn scene(&mut self, scene: Scene) -> Result<()> {
        self.report.begin(scene)
    }

    /// Sends a request, shows it and its answer, and holds the answer to its status.
    pub async fn call(&mut self, call: Call, status: u16) -> Result<Answer> {
        self.show(&format!("    > {} {}", call.method, call.path))?;
        for (name, value) in &call.headers {
            self.show(&format!("    > {name}: {value}"))?;
        }
        if let Some(body) = &call.body {
            self.show(&indented("    > ", body))?;
        }
        for (name, value) in &call.form {
            self.show(&format!("    > {name}={value}"))?;
        }
        let is_whole = call.path.starts_with("http://");
        let url = if is_whole { call.path } else { format!("{}{}", self.gateway, call.path) };
        let mut request = self.client.request(call.method, url);
        for (name, value) in call.headers {
            request = request.header(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        if !call.form.is_empty() {
            request = request.form(&call.form);
        }
        let response = request.send().await.context("the server did not answer")?;
        let (found, headers) = (response.status(), response.headers().clone());
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        let answer = Answer { headers, body };

        self.learn_secrets(&answer, found.is_success());
        self.show(&format!("    < {found}"))?;
        for name in SHOWN_HEADERS {
            for value in answer.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()) {
                self.show(&format!("    < {name}: {value}"))?;
            }
        }
        if !answer.body.is_null() {
            self.show(&indented("    < ", &answer.body))?;
        }
        ensure!(found.as_u16() == status, "expected {status}, got {found}");
        Ok(answer)
    }

    /// Shows what holds, or ends the demo because it does not.
    pub fn check(&self, what: &str, holds: impl FnOnce() -> bool) -> Result<()> {
        ensure!(holds(), "this does not hold: {what}");
        self.show(&format!("    ok: {what}"))
    }

    fn learn_secrets(&mut self, answer: &Answer, success: bool) {
        // The `code` of a refusal is its name, not a secret.
        if success {
            self.secrets.extend(SECRET_MEMBERS.iter().map(|member| answer.text(member).to_owned()));
        }
        let cookie = answer.header("set-cookie").split(';').next().and_then(|pair| pair.split_once('='));
        self.secrets.extend(cookie.map(|(_, value)| value.to_owned()));
        self.secrets.retain(|secret| !secret.is_empty());
    }

    fn show(&self, text: &str) -> Result<()> {
        let shown =
            self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, &short(secret)));
        self.report.detail(&shown)
    }
}

/// The first characters of a secret, and how many it has.
fn short(secret: &str) -> String {
    let start: String = secret.chars().take(4).collect();
    format!("{start}…({})", secret.chars().count())
}

/// On one line when it fits.
fn indented(prefix: &str, body: &Value) -> String {
    let short = body.to_string();
    let text = if short.len() <= LINE { short } else { format!("{body:#}") };
    let lines: Vec<_> = text.lines().map(|line| format!("{prefix}{line}")).collect();
    lines.join("\n")
}
