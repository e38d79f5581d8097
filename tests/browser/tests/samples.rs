//! One of each page that the library renders, also those that people seldom meet. A unit test of the library writes them.

use std::fs;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use browser_tests::browser::Browser;
use browser_tests::repository;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;

/// The samples, made anew.
async fn samples() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let written = Command::new(cargo)
        // As .ci/test has built them already.
        .args(["test", "--package", "bridge-auth", "--all-features", "--lib"])
        .args(["--", "--exact", "pages::tests::the_samples_are_written_for_the_browser"])
        .current_dir(repository())
        .stdout(Stdio::null())
        .status();
    assert!(written.await.unwrap().success(), "the library's tests write the samples");
    let file = fs::read(repository().join("target/pages/samples.json")).unwrap();
    serde_json::from_slice(&file).unwrap()
}

/// Serves each sample with its own status and headers under its name, and returns where.
async fn serve(samples: &[Value]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().route("/{name}", axum::routing::get(page)).with_state(samples.into());
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

async fn page(
    State(samples): State<Arc<[Value]>>,
    Path(name): Path<String>,
) -> (StatusCode, HeaderMap, String) {
    let Some(sample) = samples.iter().find(|sample| sample["name"] == name) else {
        return (StatusCode::NOT_FOUND, HeaderMap::new(), String::new());
    };
    let status = u16::try_from(sample["status"].as_u64().unwrap()).unwrap();
    let headers = sample["headers"].as_array().unwrap().iter().map(|header| {
        let text = |at: usize| header[at].as_str().unwrap();
        (text(0).parse::<HeaderName>().unwrap(), text(1).parse::<HeaderValue>().unwrap())
    });
    let html = sample["html"].as_str().unwrap().to_owned();
    (StatusCode::from_u16(status).unwrap(), headers.collect(), html)
}

#[tokio::test]
async fn every_page_is_readable_for_everybody_with_the_longest_texts_too() {
    let samples = samples().await;
    let names: Vec<_> = samples.iter().map(|sample| sample["name"].as_str().unwrap()).collect();
    for seldom in [
        "usual-too-many",
        "usual-page-expired",
        "usual-unavailable",
        "usual-unknown-client",
        "usual-operators-nobody",
        "usual-person-disabled",
        "long-device-confirm",
        "long-consent-unverified",
        "long-devices",
        "long-person",
    ] {
        assert!(names.contains(&seldom), "{seldom} is not in {names:?}");
    }
    let url = serve(&samples).await;
    let browser = Browser::start().await;
    for name in names {
        browser.visit(&format!("{url}/{name}")).await;
        assert!(!browser.heading().await.is_empty(), "{name}");
        browser.is_good(&format!("sample-{name}")).await;
    }
}
