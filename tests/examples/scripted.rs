//! A gateway that says what a test tells it to, on a real socket, and remembers what it was asked. And a bridge that signs in
//! there, read line by line.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::process::{PATIENCE, example};

/// What the token endpoint answers.
#[derive(Clone, Copy)]
pub enum Answer {
    Token,
    /// An OAuth error (RFC 6749 §5.2).
    Error(&'static str),
    /// 503, and when to come again.
    Busy(&'static str),
    /// The connection breaks.
    Cut,
}

/// What the token endpoint was asked.
pub struct Asked {
    pub at: Instant,
    pub form: BTreeMap<String, String>,
}

pub struct Scripted {
    pub url: String,
    script: Arc<Script>,
}

#[derive(Default)]
struct Script {
    metadata: Mutex<Value>,
    codes: Mutex<Value>,
    /// When it last gave codes.
    began: Mutex<Option<Instant>>,
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Asked>>,
}

impl Scripted {
    /// A gateway whose token endpoint gives these answers, and the last one from then on.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = Arc::new(Script::default());
        *script.answers.lock().unwrap() = answers.into_iter().collect();
        *script.metadata.lock().unwrap() = json!({
            "issuer": url,
            "token_endpoint": format!("{url}/token"),
            "device_authorization_endpoint": format!("{url}/device_authorization"),
            "authorization_endpoint": format!("{url}/authorize"),
            "authorization_response_iss_parameter_supported": true,
            "code_challenge_methods_supported": ["S256"],
        });
        *script.codes.lock().unwrap() = json!({
            "device_code": "the-device-code",
            "user_code": "BCDF-GHJK",
            "verification_uri": format!("{url}/device"),
            "verification_uri_complete": format!("{url}/device?user_code=BCDF-GHJK"),
            "expires_in": 600,
            "interval": 1,
        });
        let app = Router::new()
            .route("/.well-known/oauth-authorization-server", get(metadata))
            .route("/device_authorization", post(codes))
            .route("/token", post(token))
            .with_state(Arc::clone(&script));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, script }
    }

    /// The same, with other members in the metadata. `null` removes one.
    pub fn with_metadata(self, members: &Value) -> Self {
        change(&mut self.script.metadata.lock().unwrap(), members);
        self
    }

    /// The same, with other members in the answer of the device authorization endpoint.
    pub fn with_codes(self, members: &Value) -> Self {
        change(&mut self.script.codes.lock().unwrap(), members);
        self
    }

    /// What the token endpoint was asked until now.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.script.asked.lock().unwrap())
    }

    /// How long the bridge waited before each question, from the moment when it got its codes.
    pub fn waits(&self) -> Vec<Duration> {
        let times: Vec<_> = self.asked().iter().map(|asked| asked.at).collect();
        let began = self.script.began.lock().unwrap().expect("it gave codes");
        let before = std::iter::once(began).chain(times.iter().copied());
        before.zip(&times).map(|(before, at)| at.duration_since(before)).collect()
    }

    /// A bridge that signs in here.
    pub fn login(&self, home: &Path, arguments: &[&str]) -> SigningIn {
        let mut command = example("bridge", home);
        SigningIn::start(command.args(["login", &self.url]).args(arguments))
    }
}

fn change(object: &mut Value, members: &Value) {
    for (name, value) in members.as_object().unwrap() {
        object[name] = value.clone();
    }
    object.as_object_mut().unwrap().retain(|_, value| !value.is_null());
}

async fn metadata(State(script): State<Arc<Script>>) -> Response {
    axum::Json(script.metadata.lock().unwrap().clone()).into_response()
}

async fn codes(State(script): State<Arc<Script>>) -> Response {
    *script.began.lock().unwrap() = Some(Instant::now());
    axum::Json(script.codes.lock().unwrap().clone()).into_response()
}

async fn token(State(script): State<Arc<Script>>, body: String) -> Response {
    let form = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    script.asked.lock().unwrap().push(Asked { at: Instant::now(), form });
    let mut answers = script.answers.lock().unwrap();
    let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
    match answer.unwrap() {
        Answer::Token => axum::Json(json!({
            "access_token": "the-access-token",
            "token_type": "Bearer",
            "expires_in": 3600,
            "refresh_token": "the-refresh-token",
        }))
        .into_response(),
        Answer::Error(error) => {
            (StatusCode::BAD_REQUEST, axum::Json(json!({ "error": error }))).into_response()
        }
        Answer::Busy(after) => (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", after)]).into_response(),
        Answer::Cut => {
            Body::from_stream(stream::iter([Err::<&str, _>(std::io::Error::other("cut"))])).into_response()
        }
    }
}

/// A running `bridge login`.
pub struct SigningIn {
    child: Child,
    output: Lines<BufReader<ChildStdout>>,
    /// The lines that it printed until now.
    pub printed: Vec<String>,
}

/// How a `bridge login` ended.
pub struct SignedIn {
    pub status: ExitStatus,
    pub printed: String,
    pub complaint: String,
}

impl SigningIn {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, output, printed: Vec::new() }
    }

    /// What stands behind `prefix` in a line that it prints, up to a comma.
    pub async fn says(&mut self, prefix: &str) -> String {
        loop {
            let line = timeout(PATIENCE, self.output.next_line()).await.expect("it prints").unwrap();
            let Some(line) = line else {
                let mut complaint = String::new();
                self.child.stderr.take().unwrap().read_to_string(&mut complaint).await.unwrap();
                panic!("it never says {prefix:?}: {:?}, {complaint}", self.printed);
            };
            self.printed.push(line.clone());
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.split(',').next().unwrap().to_owned();
            }
        }
    }

    /// Presses ctrl-c.
    pub async fn interrupt(&self) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", "INT", &id]).status().await.unwrap().success());
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> SignedIn {
        let (mut complaint, mut stderr) = (String::new(), self.child.stderr.take().unwrap());
        let read = async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                self.printed.push(line);
            }
            stderr.read_to_string(&mut complaint).await.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, read).await.expect("the bridge ends by itself");
        SignedIn { status, printed: self.printed.join("\n"), complaint }
    }
}

impl SignedIn {
    /// It succeeded. What it printed.
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}", self.complaint);
        self.printed
    }

    /// It failed. The last line of its complaint.
    pub fn failed(self) -> String {
        assert_eq!(self.status.code(), Some(1), "{}", self.printed);
        self.complaint.lines().last().unwrap().to_owned()
    }
}
