//! `gateway --demo`.

use std::process::Output;

use tokio::process::Command;

use super::{Gateway, alice};
use crate::support::PostgresBackend;
use crate::support::process::{example, run};

/// What each scene is about, and how its answer begins.
const SCENES: [(&str, &str); 13] = [
    ("signs in", "204 No Content"),
    ("one-time code", "201 Created"),
    ("trades the code", "200 OK"),
    ("guarded route", "200 OK"),
    ("upstream", "200 OK"),
    ("signed in as her", "200 OK"),
    ("OAuth client", "200 OK"),
    ("claims to be mallory", "200 OK"),
    ("without a token", "401 Unauthorized"),
    ("operator revokes", "204 No Content"),
    ("very next request", "401 Unauthorized"),
    ("plays it again", "400 Bad Request"),
    ("makes a code up", "400 Bad Request"),
];

/// The demo's output, which is held to its scenes.
async fn play(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = run(command.arg("--demo")).await;
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{stdout}\n{stderr}");
    assert_eq!(stderr, "");
    let mut rest = stdout.as_str();
    for (number, (about, answer)) in SCENES.iter().enumerate() {
        let title = format!("{:2}. ", number + 1);
        let (_, scene) = rest.split_once(&title).expect(about);
        assert!(scene.lines().next().unwrap().contains(about), "{scene}");
        let (_, after) = scene.split_once("    < ").expect(about);
        assert!(after.starts_with(answer), "{about}: {after}");
        rest = after;
    }
    assert!(rest.ends_with("all 13 scenes were as they should be\n"), "{rest}");
    stdout
}

/// Whatever is as long as a secret: 43 characters or more without a break.
fn long_words(output: &str) -> Vec<&str> {
    let is_break = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    output.split(is_break).filter(|word| word.len() >= 43).collect()
}

#[tokio::test]
async fn the_demo_plays_every_scene_shows_no_secret_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let output = play(&mut example("gateway", home.path())).await;
    assert!(output.contains("authorization: Bearer eyJh…("), "{output}");
    assert!(output.contains("x-user-id: mallory"));
    // A challenge may be seen, and a code that was made up.
    let shown = long_words(&output);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[1], "0".repeat(64));
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn the_demo_plays_on_postgresql_too_empty_or_in_use() {
    let home = tempfile::tempdir().unwrap();
    let database = PostgresBackend::empty().await;
    play(example("gateway", home.path()).args(["--database", &database.url()])).await;
    let gateway = Gateway::start(&["--database", &database.url()]).await;
    gateway.link(alice()).await;
    play(example("gateway", home.path()).args(["--database", &database.url()])).await;
}

#[tokio::test]
async fn the_demo_fails_when_a_step_is_not_as_it_should_be() {
    let gateway = Gateway::start(&[]).await;
    gateway.link(alice()).await;
    let disable = gateway.client.post(gateway.url("/admin/users/alice/disable"));
    let answer = disable.bearer_auth(gateway.admin_token()).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let home = gateway.stop().await;

    let database = format!("sqlite:{}", home.path().join("bridge-auth/gateway.db").display());
    let played = run(example("gateway", home.path()).args(["--demo", "--database", &database])).await;
    assert_eq!(played.status.code(), Some(1));
    let stderr = String::from_utf8(played.stderr).unwrap();
    assert_eq!(stderr, "error: scene 2: expected 201, got 403 Forbidden\n");
}
