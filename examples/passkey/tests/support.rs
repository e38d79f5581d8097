//! A running gateway, and a browser without its window.

use std::process::Stdio;
use std::time::Duration;

use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::authenticator::Passkey;

/// A gateway that is ended with this value.
pub struct Gateway {
    child: Child,
    _output: Lines<BufReader<ChildStdout>>,
    pub home: TempDir,
    /// The origin that browsers know: a name, because passkeys need one.
    pub origin: String,
    address: String,
}

/// The program, with a home of its own and nothing of the machine's settings.
pub fn program(home: &TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-passkey"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("BRIDGE_") {
            command.env_remove(&name);
        }
    }
    command.env("HOME", home.path()).env("XDG_DATA_HOME", home.path()).env("RUST_LOG", "off");
    command.args(["--listen", "127.0.0.1:0", "--login", "passkey"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command
}

impl Gateway {
    pub async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), &[]).await
    }

    pub async fn start_in(home: TempDir, arguments: &[&str]) -> Self {
        let mut child = program(&home).args(arguments).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut origin = None;
        loop {
            let line =
                timeout(Duration::from_secs(60), output.next_line()).await.expect("it starts").unwrap();
            let line = line.expect("the gateway listens before it ends");
            if let Some(url) = line.strip_prefix("people sign in at ") {
                origin = Some(url.trim_end_matches('/').to_owned());
            }
            if let Some(address) = line.strip_prefix("listening on ") {
                let (address, origin) = (address.to_owned(), origin.expect("it says where people sign in"));
                return Self { child, _output: output, home, origin, address };
            }
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.address)
    }

    /// Ends it, and hands its files on.
    pub async fn stop(self) -> TempDir {
        let Self { mut child, home, .. } = self;
        child.kill().await.unwrap();
        home
    }
}

/// It keeps cookies by hand, and follows no redirect.
#[derive(Clone)]
pub struct Browser {
    client: Client,
    pub cookies: Vec<(String, String)>,
    address: String,
    pub origin: String,
}

impl Browser {
    pub fn at(gateway: &Gateway) -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client, cookies: Vec::new(), address: gateway.address.clone(), origin: gateway.origin.clone() }
    }

    fn cookie(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    pub async fn get(&self, path: &str) -> Response {
        let request = self.client.get(format!("{}{path}", self.address)).header(COOKIE, self.cookie());
        request.send().await.unwrap()
    }

    /// Calls what the page's script calls.
    pub async fn post(&mut self, path: &str, body: &Value) -> Response {
        let request = self.client.post(format!("{}/login/passkey/{path}", self.address)).json(body);
        let request = request.header(COOKIE, self.cookie()).header("origin", &self.origin);
        let answer = request.header("sec-fetch-site", "same-origin").send().await.unwrap();
        for line in answer.headers().get_all(SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        answer
    }

    pub async fn begin_creation(&mut self, name: &str) -> Value {
        let answer = self.post("begin-creation", &json!({ "name": name })).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    pub async fn begin_sign_in(&mut self) -> Value {
        let answer = self.post("begin-sign-in", &json!({})).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        answer.json().await.unwrap()
    }

    /// Creates a passkey and is signed in by it.
    pub async fn register(&mut self, name: &str) -> Passkey {
        let options = self.begin_creation(name).await;
        let (passkey, created) = Passkey::create(&self.origin, &options);
        let answer = self.post("create", &created).await;
        assert_eq!(answer.status(), 204, "{:?}", answer.text().await);
        passkey
    }

    /// The status of a sign-in.
    pub async fn sign_in(&mut self, passkey: &Passkey) -> u16 {
        let options = self.begin_sign_in().await;
        self.post("sign-in", &passkey.assertion(&options)).await.status().as_u16()
    }

    /// The name that the home page shows.
    pub async fn who(&self) -> Option<String> {
        let home = self.get("/").await.text().await.unwrap();
        let (_, after) = home.split_once("<strong>")?;
        Some(after.split_once("</strong>").unwrap().0.to_owned())
    }
}
