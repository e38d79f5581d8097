//! A running gateway, and a browser without its window.

use std::process::Stdio;
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::provider::Provider;

/// A gateway that is ended with this value.
pub struct Gateway {
    _child: Child,
    _output: Lines<BufReader<ChildStdout>>,
    _home: TempDir,
    pub url: String,
}

/// The program, with a home of its own and nothing of the machine's settings.
pub fn program(home: &TempDir, issuer: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-oidc"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("BRIDGE_") || text.eq_ignore_ascii_case("http_proxy") {
            command.env_remove(&name);
        }
    }
    command.env("HOME", home.path()).env("XDG_DATA_HOME", home.path()).env("RUST_LOG", "off");
    command.args(["--listen", "127.0.0.1:0", "--login", "oidc", "--oidc-client-id", "gateway"]);
    command.args(["--oidc-issuer", issuer]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

impl Gateway {
    pub async fn start(provider: &Provider) -> Self {
        Self::start_with(provider, None).await
    }

    pub async fn start_with(provider: &Provider, secret: Option<&str>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut command = program(&home, provider.issuer());
        if let Some(secret) = secret {
            command.env("BRIDGE_AUTH_OIDC_CLIENT_SECRET", secret);
        }
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line =
                timeout(Duration::from_secs(60), output.next_line()).await.expect("it starts").unwrap();
            let line = line.expect("the gateway listens before it ends");
            if let Some(url) = line.strip_prefix("listening on ") {
                return Self { _child: child, _output: output, _home: home, url: url.to_owned() };
            }
        }
    }
}

/// It keeps the gateway's cookies by hand, and follows redirects one by one.
pub struct Browser {
    client: Client,
    pub cookies: Vec<(String, String)>,
    gateway: String,
}

impl Browser {
    pub fn at(gateway: &Gateway) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client, cookies: Vec::new(), gateway: gateway.url.clone() }
    }

    /// Opens an address of the gateway, or of the provider.
    pub async fn open(&mut self, address: &str) -> Response {
        let own = address.starts_with('/') || address.starts_with(&self.gateway);
        let url =
            if address.starts_with('/') { format!("{}{address}", self.gateway) } else { address.to_owned() };
        let mut request = self.client.get(url);
        if own {
            let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
            request = request.header(COOKIE, pairs.collect::<Vec<_>>().join("; "));
        }
        let answer = request.send().await.unwrap();
        for line in answer.headers().get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            assert!(line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    /// Goes to the provider and back, up to the address at the gateway that ends the sign-in.
    pub async fn come_back(&mut self, login: &str) -> String {
        let away = location(&self.open(login).await);
        location(&self.open(&away).await)
    }

    /// Signs in, and returns the last answer of the gateway.
    pub async fn sign_in(&mut self) -> Response {
        let back = self.come_back("/login?return_to=%2Fdevices").await;
        self.open(&back).await
    }

    /// The person's id, as a bridge of theirs is told, and what the home page says.
    pub async fn who(&mut self) -> Option<(String, String)> {
        let home = self.open("/").await.text().await.unwrap();
        let (_, after) = home.split_once("<strong>")?;
        let said = after.split_once("</p>").unwrap().0.replace("</strong>", "");
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        let bridge = format!("{}/v1/auth/bridge", self.gateway);
        let code =
            self.client.post(format!("{bridge}/code")).header(COOKIE, pairs.collect::<Vec<_>>().join("; "));
        let code: Value = code.send().await.unwrap().json().await.unwrap();
        let session = self.client.post(format!("{bridge}/session")).json(&json!({ "code": code["code"] }));
        let session: Value = session.send().await.unwrap().json().await.unwrap();
        Some((session["headers"]["x-user-id"].as_str().unwrap().to_owned(), said))
    }
}

pub fn location(answer: &Response) -> String {
    assert_eq!(answer.status(), 303);
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}
