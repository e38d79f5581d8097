//! The dashboard and the alerts, against a real gateway and a real Prometheus.

#![allow(clippy::unwrap_used, reason = "a test says so when something is wrong")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use example_observability::{app, metrics, open, record_metrics};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

/// A Prometheus that runs until this is dropped.
struct Prometheus {
    process: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn promtool(arguments: &[&str]) {
    let run = Command::new("promtool").args(arguments).current_dir(file("")).output();
    let run = run.expect("promtool runs: install the package prometheus, or run .ci/test");
    assert!(run.status.success(), "{arguments:?}\n{}", String::from_utf8_lossy(&run.stdout));
}

#[test]
fn the_rules_and_the_configuration_are_good_and_the_tests_of_the_rules_pass() {
    promtool(&["check", "rules", "rules.yml"]);
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["test", "rules", "rules_test.yml"]);
    let rules = fs::read_to_string(file("rules.yml")).unwrap();
    let tests = fs::read_to_string(file("rules_test.yml")).unwrap();
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), 3);
    for alert in alerts {
        let tested = format!("alertname: {alert}\n        exp_alerts");
        assert!(tests.contains(&tested), "no test lets {alert} fire");
    }
}

/// The expressions of the dashboard and of the rules.
fn expressions() -> Vec<String> {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(file("dashboard.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    // Grafana replaces the variable by a time of a few scrapes.
    let shown = targets.map(|target| target["expr"].as_str().unwrap().replace("$__rate_interval", "1m"));
    let rules = fs::read_to_string(file("rules.yml")).unwrap();
    let alerts = rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ").map(ToOwned::to_owned));
    shown.chain(alerts).collect()
}

/// The metrics that an expression names, without the ending of a histogram's series.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("bridge_auth_"));
    let base = |name: &str| {
        ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).map(ToOwned::to_owned)
    };
    names.map(|name| base(name).unwrap_or_else(|| name.to_owned())).collect()
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_exists_and_every_metric_but_three_is_shown() {
    let table = include_str!("../../../src/telemetry/metrics.md");
    let known: BTreeSet<_> =
        table.lines().skip(2).filter_map(|row| Some(row.split('`').nth(1)?.to_owned())).collect();
    let shown: BTreeSet<_> = expressions().iter().flat_map(|expression| named(expression)).collect();
    assert!(shown.is_subset(&known), "{:?}", shown.difference(&known));
    let hidden: Vec<_> = known.difference(&shown).map(String::as_str).collect();
    let fetches = [
        "bridge_auth_client_documents_total",
        "bridge_auth_event_polls_total",
        "bridge_auth_jwks_fetches_total",
    ];
    assert_eq!(hidden, fetches);
}

/// A free port. Prometheus takes it at once.
fn free_port() -> u16 {
    StdListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Prometheus with the configuration of the example, at `target`, and with short times.
fn prometheus(folder: &Path, target: SocketAddr) -> Prometheus {
    let configuration = fs::read_to_string(file("prometheus.yml")).unwrap();
    let configuration = configuration.replace("127.0.0.1:9464", &target.to_string()).replace("15s", "1s");
    fs::write(folder.join("prometheus.yml"), configuration).unwrap();
    fs::copy(file("rules.yml"), folder.join("rules.yml")).unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let process = Command::new("prometheus")
        .arg("--config.file=prometheus.yml")
        .arg("--storage.tsdb.path=data")
        .arg(format!("--web.listen-address={address}"))
        .current_dir(folder)
        .stderr(Stdio::null())
        .spawn()
        .expect("prometheus starts: install the package prometheus, or run .ci/test");
    Prometheus { process, url: format!("http://{address}") }
}

impl Prometheus {
    /// The series that an expression has now. `None`: Prometheus does not answer yet.
    async fn ask(&self, client: &Client, expression: &str) -> Option<Vec<Value>> {
        let url = format!("{}/api/v1/query", self.url);
        let answer = client.get(url).query(&[("query", expression)]).send().await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        Some(answer["data"]["result"].as_array().unwrap().clone())
    }

    async fn until(&self, client: &Client, expression: &str) -> Vec<Value> {
        let asking = async {
            loop {
                if let Some(found) = self.ask(client, expression).await.filter(|found| !found.is_empty()) {
                    return found;
                }
                sleep(Duration::from_millis(200)).await;
            }
        };
        timeout(Duration::from_secs(60), asking).await.unwrap_or_else(|_| panic!("never: {expression}"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_the_gateway_evaluates_every_expression_and_an_alert_fires() {
    let folder = tempfile::tempdir().unwrap();
    let handle = record_metrics().unwrap();
    let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scraped = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, target) = (format!("http://{}", gateway.local_addr().unwrap()), scraped.local_addr().unwrap());
    let bridge = open(url.clone(), folder.path()).await.unwrap();
    let serving = app(&bridge).unwrap().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(gateway, serving).await });
    tokio::spawn(async move { axum::serve(scraped, metrics(handle)).await });
    let prometheus = prometheus(folder.path(), target);
    let client = Client::new();
    prometheus.until(&client, "up == 1").await;
    // A first scrape has the counters at zero. So the first event makes the alert fire.
    prometheus.until(&client, "bridge_auth_audit_total{reason=\"code_replayed\"} == 0").await;
    let alice = bridge_auth::SignedIn::new(bridge_auth::UserId::parse("alice").unwrap(), Default::default());
    let code = bridge.issuer().issue_code(&alice, Default::default()).await.unwrap();
    let exchange =
        || client.post(format!("{url}/auth/session")).json(&json!({ "code": code.code.expose() })).send();
    let opened: Value = exchange().await.unwrap().json().await.unwrap();
    let call = |token: &str| client.get(format!("{url}/whoami")).bearer_auth(token).send();
    assert_eq!(call(opened["token"].as_str().unwrap()).await.unwrap().status(), 200);
    assert_eq!(call("a.b.c").await.unwrap().status(), 401);
    assert_eq!(exchange().await.unwrap().status(), 400, "the code is spent");
    let fired =
        prometheus.until(&client, "ALERTS{alertname=\"BridgeAuthTokenReused\", alertstate=\"firing\"}").await;
    assert_eq!(fired[0]["metric"]["reason"], "code_replayed");
    for expression in expressions() {
        prometheus.ask(&client, &expression).await.unwrap();
    }
    for (name, labels) in [
        ("bridge_auth_admitted_total", "{reason=\"caller\"} == 1"),
        ("bridge_auth_refused_total", "{reason=\"malformed\"} == 1"),
        ("bridge_auth_endpoint_seconds_count", "{endpoint=\"/session\", outcome=\"refused\"} == 1"),
        ("bridge_auth_decision_seconds_count", " > 0"),
        ("bridge_auth_look_up_seconds_bucket", "{le=\"+Inf\"} > 0"),
        ("bridge_auth_pool_connections", " > 0"),
        ("bridge_auth_cached_tokens", " == 1"),
        ("bridge_auth_unavailable_total", "{reason=\"timed_out\"} == 0"),
    ] {
        prometheus.until(&client, &format!("{name}{labels}")).await;
    }
    let help: Value =
        client.get(format!("{}/api/v1/metadata", prometheus.url)).send().await.unwrap().json().await.unwrap();
    let help = help["data"]["bridge_auth_refused_total"][0]["help"].as_str().unwrap();
    assert!(help.starts_with("Requests that a layer"), "{help}");
}
