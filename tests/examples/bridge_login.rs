//! `bridge login` by the device grant (RFC 8628).

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::bridge::{credential, mode};
use super::scripted::Answer::{self, Busy, Cut, Error, Token};
use super::scripted::{Scripted, SigningIn};
use crate::support::process::example;

const PENDING: Answer = Error("authorization_pending");

/// Signs in at this gateway. The bridge waits so many seconds before each question, and on a busy machine a little longer.
async fn waits_at(gateway: &Scripted, seconds: &[u64]) {
    let home = tempfile::tempdir().unwrap();
    gateway.login(home.path(), &[]).ended().await.ok();
    let waits = gateway.waits();
    assert_eq!(waits.len(), seconds.len());
    for (wait, least) in waits.iter().zip(seconds.iter().copied().map(Duration::from_secs)) {
        assert!((least..least + Duration::from_secs(3)).contains(wait), "{waits:?}, expected {seconds:?}");
    }
}

/// The same at a gateway that gives these answers.
async fn waits(answers: &[Answer], seconds: &[u64]) {
    waits_at(&Scripted::start(answers.iter().copied()).await, seconds).await;
}

#[tokio::test]
async fn a_person_sees_code_and_address_and_the_bridge_keeps_what_it_gets() {
    let gateway = Scripted::start([PENDING, Token]).await;
    let home = tempfile::tempdir().unwrap();
    let login = gateway.login(home.path(), &["--client-id", "editor", "--scope", "chat tools"]).ended().await;
    assert_eq!(login.complaint, "");
    let (url, printed) = (gateway.url.clone(), login.ok());
    assert_eq!(
        printed,
        format!(
            "code: BCDF-GHJK\n\
             Open {url}/device in a browser on any device, and enter this code.\n\
             Or open {url}/device?user_code=BCDF-GHJK, and compare the code that you see there.\n\
             The code is good for 10 min.\n\
             signed in to {url}/"
        )
    );
    for asked in gateway.asked() {
        let form: Vec<_> = asked.form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        assert_eq!(
            form,
            [("client_id", "editor"), ("device_code", "the-device-code"), ("grant_type", grant)]
        );
    }
    assert_eq!(mode(&credential(&home)), 0o600);
    let kept: Value = serde_json::from_slice(&std::fs::read(credential(&home)).unwrap()).unwrap();
    assert_eq!(kept["client_id"], "editor");
    assert_eq!(kept["token"], "the-access-token");
    assert_eq!(kept["refresh_token"], "the-refresh-token");
}

#[tokio::test]
async fn row_l2_a_bridge_polls_at_the_interval() {
    waits(&[PENDING, PENDING, Token], &[1, 1, 1]).await;
}

#[tokio::test]
async fn row_l2_slow_down_adds_five_seconds_from_then_on() {
    waits(&[Error("slow_down"), PENDING, Token], &[1, 6, 6]).await;
}

#[tokio::test]
async fn row_l2_without_an_interval_a_bridge_waits_five_seconds() {
    let gateway = Scripted::start([Token]).await.with_codes(&json!({ "interval": null }));
    waits_at(&gateway, &[5]).await;
}

#[tokio::test]
async fn while_the_gateway_cannot_be_reached_the_interval_doubles() {
    waits(&[Cut, Cut, Token], &[1, 2, 4]).await;
}

#[tokio::test]
async fn a_busy_gateway_is_asked_again_when_it_says() {
    waits(&[Busy("4"), Token], &[1, 4]).await;
}

#[tokio::test]
async fn a_fault_is_told_once_and_costs_no_sign_in() {
    let gateway = Scripted::start([Cut, Busy("1"), Token]).await;
    let home = tempfile::tempdir().unwrap();
    let login = gateway.login(home.path(), &[]).ended().await;
    assert!(login.status.success());
    let expected = format!("cannot reach {}/; asking again until the code expires\n", gateway.url);
    assert_eq!(login.complaint, expected);
}

/// Why a sign-in with this answer fails. It leaves no credential.
async fn failure(gateway: &Scripted) -> String {
    let home = tempfile::tempdir().unwrap();
    let failed = gateway.login(home.path(), &[]).ended().await.failed();
    assert!(!credential(&home).exists());
    failed.strip_prefix("error: cannot sign in: ").unwrap_or_else(|| panic!("{failed}")).to_owned()
}

#[tokio::test]
async fn row_l2_a_sign_in_that_is_refused_says_so() {
    for (error, expected) in [
        ("access_denied", "this device was refused in the browser"),
        ("expired_token", "nobody allowed this device before the code expired: run `bridge login` again"),
        ("invalid_grant", "the gateway gave no token: invalid_grant"),
    ] {
        assert_eq!(failure(&Scripted::start([PENDING, Error(error)]).await).await, expected);
    }
}

#[tokio::test]
async fn a_code_that_nobody_uses_expires_also_without_the_gateway() {
    let short = json!({ "expires_in": 2 });
    let told = failure(&Scripted::start([PENDING]).await.with_codes(&short)).await;
    assert!(told.starts_with("nobody allowed this device"), "{told}");
    let gateway = Scripted::start([Cut]).await.with_codes(&short);
    let told = failure(&gateway).await;
    assert_eq!(
        told,
        format!("cannot reach {}/, until the code expired: run `bridge login` again", gateway.url)
    );
}

#[tokio::test]
async fn what_no_gateway_may_say_is_refused() {
    for (codes, expected) in [
        (json!({ "user_code": "\u{1b}[2J" }), "the gateway's code cannot be typed"),
        (json!({ "user_code": "" }), "the gateway's code cannot be typed"),
        (json!({ "verification_uri": "javascript:alert(1)" }), "javascript is no scheme of a gateway"),
        (json!({ "verification_uri": "http://gateway.example/" }), "plain http would show the token"),
        (json!({ "verification_uri_complete": "file:///etc/passwd" }), "file is no scheme of a gateway"),
        (json!({ "interval": u64::MAX }), "the gateway allows one question in"),
        (json!({ "expires_in": u64::MAX }), "the gateway's code is good for"),
        (json!({ "device_code": null }), "the gateway gave no token: the answer of the gateway is malformed"),
    ] {
        let told = failure(&Scripted::start([Token]).await.with_codes(&codes)).await;
        assert!(told.starts_with(expected), "{codes}: {told}");
    }
}

#[tokio::test]
async fn a_gateway_is_believed_about_itself_alone() {
    let other = Scripted::start([Token]).await.with_metadata(&json!({ "issuer": "https://other.example" }));
    let told = failure(&other).await;
    assert_eq!(told, format!("{} says that it is https://other.example: write that URL", other.url));
    let plain = json!({ "device_authorization_endpoint": "http://gateway.example/device" });
    let told = failure(&Scripted::start([Token]).await.with_metadata(&plain)).await;
    assert!(told.starts_with("plain http would show the token"), "{told}");
    let without =
        Scripted::start([Token]).await.with_metadata(&json!({ "device_authorization_endpoint": null }));
    let told = failure(&without).await;
    assert!(told.contains("names no device_authorization_endpoint"), "{told}");
}

#[tokio::test]
async fn ctrl_c_ends_a_sign_in_and_leaves_nothing() {
    let gateway = Scripted::start([PENDING]).await;
    let home = tempfile::tempdir().unwrap();
    let mut login = gateway.login(home.path(), &[]);
    login.says("code: ").await;
    login.interrupt().await;
    let ended = login.ended().await;
    assert_eq!(ended.status.code(), Some(130));
    assert_eq!(ended.complaint, "error: interrupted: this device was not signed in\n");
    assert!(!credential(&home).exists());
}

/// A program that writes down what it is asked to open, and where.
pub(super) fn browser(home: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    use std::os::unix::fs::PermissionsExt;

    let (program, opened) = (home.join("browser"), home.join("opened"));
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n", opened.display());
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    (program, opened)
}

/// What it was asked to open.
pub(super) async fn opened(file: &Path) -> String {
    let until = Instant::now() + Duration::from_secs(20);
    while !file.exists() {
        assert!(Instant::now() < until, "no browser was opened");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    std::fs::read_to_string(file).unwrap()
}

#[tokio::test]
async fn a_browser_is_opened_only_when_that_was_asked_for() {
    for (arguments, expected) in [(&[][..], false), (&["--open"], true)] {
        let gateway = Scripted::start([PENDING, Token]).await;
        let home = tempfile::tempdir().unwrap();
        let (program, file) = browser(home.path());
        let mut command = example("bridge", home.path());
        command.env("BROWSER", program).args(["login", &gateway.url]).args(arguments);
        SigningIn::start(&mut command).ended().await.ok();
        assert_eq!(file.exists(), expected);
        if expected {
            assert_eq!(opened(&file).await, format!("{}/device?user_code=BCDF-GHJK", gateway.url));
        }
    }
}
