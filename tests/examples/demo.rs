//! `gateway --demo`.

use std::path::Path;
use std::process::Output;

use tempfile::TempDir;
use tokio::process::Command;

use super::{Gateway, alice};
use crate::support::PostgresBackend;
use crate::support::process::{example, run};
use crate::support::terminal::run_at_terminal;

/// What each scene is about in the full form, and how its answer begins.
const SCENES: [(&str, &str); 25] = [
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
    ("links her bridge again", "201 Created"),
    ("vouches for Alice", "200 OK"),
    ("hires an agent", "200 OK"),
    ("hires an agent in turn", "200 OK"),
    ("Another gateway", "200 OK"),
    ("leaves the company", "204 No Content"),
    ("calls each gateway", "401 Unauthorized"),
    ("that of the hook", "401 Unauthorized"),
    ("the agent's agent", "401 Unauthorized"),
    ("vouched for her", "401 Unauthorized"),
    ("from before Alice left", "400 Bad Request"),
    ("hired again", "204 No Content"),
];

/// What each scene says in the short form: its name, and what it proves.
const LINES: [(&str, &str); 25] = [
    ("login", "a person signs in with the gateway's own login"),
    ("code", "a signed-in person gets a one-time code"),
    ("link", "the bridge trades the code for a token and a session"),
    ("caller", "the handler learns who calls, and never sees the token"),
    ("upstream", "the upstream gets the user's name, and never the token"),
    ("sessions", "the person sees the session and its device"),
    ("hooks", "the bridge gets an OAuth client for its hooks"),
    ("spoofing", "a forged user name is removed, in both spellings"),
    ("no token", "a request without a token gets 401"),
    ("revoke", "an operator revokes the session"),
    ("revoked", "the next request with the same token gets 401"),
    ("replay", "a code that was used before gets 400"),
    ("guessing", "a made-up code gets the same answer as a used one"),
    ("again", "her bridge links again, and its hook gets a token"),
    ("company", "the company vouches for her, and an agent gets a token"),
    ("agent", "an agent acts for her, with less than she may do"),
    ("its agent", "the agent's own agent does too, and both are named"),
    ("both", "another gateway on the same database admits all five"),
    ("leaves", "the company tells one of the gateways that she left"),
    ("bridge", "her bridge gets 401 at its next request, from both"),
    ("hook", "her hook gets 401, from both"),
    ("agents", "the agent gets 401 from both, and so does its agent"),
    ("vouched", "so does the agent that the company vouched for"),
    ("no return", "an assertion from before gets 400, and a login 403"),
    ("rehired", "she may come back, and what has ended stays ended"),
];

/// The demo in its short form, on a machine that asks for no colours and forbids none.
pub fn demo(home: &Path) -> Command {
    let mut command = example("gateway", home);
    for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(variable);
    }
    command.env("TERM", "xterm-256color").arg("--demo");
    command
}

/// What the full form prints, which is held to its scenes.
async fn play_in_full(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = run(command.arg("-v")).await;
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
    assert!(rest.ends_with("all 25 scenes were as they should be\n"), "{rest}");
    stdout
}

/// Plays the short form, holds it to its scenes and returns what its last line says of what is left behind.
async fn play(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = run(command).await;
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(status.success(), "{stdout}\n{stderr}");
    assert_eq!(stderr, "");
    let left = held_to_the_scenes(&stdout);
    assert!(stdout.lines().take(LINES.len()).all(|line| line.chars().count() < 80), "{stdout}");
    left
}

/// Every scene has its line, in order, with a tick and a time. The last line says that all were proved, and then what it returns.
fn held_to_the_scenes(printed: &str) -> String {
    assert!(!printed.contains('\x1b'), "no escape codes: {printed:?}");
    let mut lines = printed.lines();
    for (name, proves) in LINES {
        let line = lines.next().expect(name);
        let said = line.strip_prefix("✓ ").and_then(|rest| rest.strip_prefix(name)).expect(line).trim_start();
        let took = said.strip_prefix(proves).expect(line);
        assert_time(took.strip_prefix("  ").expect(line), " ms");
    }
    assert_eq!(lines.next(), Some(""));
    let (took, left) = lines.next().and_then(|line| line.split_once(". ")).expect(printed);
    assert_time(took.strip_prefix("25 of 25 proved in ").expect(took), " s");
    assert_eq!(lines.next(), None);
    left.to_owned()
}

fn assert_time(text: &str, unit: &str) {
    let number = text.strip_suffix(unit).expect(text).trim_start().trim_start_matches('<');
    assert!(number.parse::<f64>().is_ok(), "{text}");
}

fn files(folder: &TempDir) -> usize {
    std::fs::read_dir(folder.path()).unwrap().count()
}

/// Whatever is as long as a secret: 43 characters or more without a break.
fn long_words(output: &str) -> Vec<&str> {
    let is_break = |c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c));
    output.split(is_break).filter(|word| word.len() >= 43).collect()
}

/// A database in which Alice may not sign in, so that the second scene fails.
async fn without_alice() -> (TempDir, String) {
    let gateway = Gateway::start(&[]).await;
    gateway.link(alice()).await;
    let disable = gateway.client.post(gateway.url("/admin/users/alice/disable"));
    let answer = disable.bearer_auth(gateway.admin_token()).send().await.unwrap();
    assert_eq!(answer.status(), 204);
    let home = gateway.stop().await;
    let database = format!("sqlite:{}", home.path().join("bridge-auth/gateway.db").display());
    (home, database)
}

#[tokio::test]
async fn the_demo_says_in_a_line_what_each_scene_proved_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let left = play(&mut demo(home.path())).await;
    assert_eq!(left, "No server and no file is left behind.");
    assert_eq!(files(&home), 0);
}

#[tokio::test]
async fn the_full_demo_plays_every_scene_shows_no_secret_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let output = play_in_full(&mut demo(home.path())).await;
    assert!(output.contains("authorization: Bearer eyJh…("), "{output}");
    assert!(output.contains("x-user-id: mallory"));
    // A challenge may be seen, and a code that was made up.
    let shown = long_words(&output);
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert_eq!(shown[1], "0".repeat(64));
    assert_eq!(files(&home), 0);
}

#[tokio::test]
async fn the_demo_plays_on_postgresql_too_empty_or_in_use() {
    let home = tempfile::tempdir().unwrap();
    let database = PostgresBackend::empty().await;
    play_in_full(demo(home.path()).args(["--database", &database.url()])).await;
    let gateway = Gateway::start(&["--database", &database.url()]).await;
    gateway.link(alice()).await;
    play_in_full(demo(home.path()).args(["--database", &database.url()])).await;

    let left = play(demo(home.path()).args(["--database", &database.url()])).await;
    assert_eq!(
        left,
        "No server and no file is left behind. The demo's rows stay in the PostgreSQL database."
    );
    assert_eq!(files(&home), 0);
}

#[tokio::test]
async fn the_demo_says_which_files_stay() {
    let home = tempfile::tempdir().unwrap();
    let (database, key) = (home.path().join("a.db"), home.path().join("b.key"));
    let left = play(demo(home.path()).arg("--key-file").arg(&key)).await;
    assert_eq!(left, format!("No server is left behind. The signing key stays in {}.", key.display()));
    assert!(key.exists());

    let left = play(demo(home.path()).args(["--database", &format!("sqlite:{}", database.display())])).await;
    let (file, key) = (database.display(), home.path().join("a.key"));
    let said = format!(
        "No server is left behind. The demo's rows stay in {file}. The signing key stays in {}.",
        key.display()
    );
    assert_eq!(left, said);
    assert!(database.exists() && key.exists());
}

#[tokio::test]
async fn the_demo_has_colours_at_a_terminal_alone() {
    let home = tempfile::tempdir().unwrap();
    let (status, shown) = run_at_terminal(&mut demo(home.path())).await;
    assert!(status.success(), "{shown}");
    assert_eq!(shown.matches("\x1b[32m✓\x1b[0m").count(), LINES.len(), "{shown:?}");
    held_to_the_scenes(&anstream::adapter::strip_str(&shown).to_string());

    for (variable, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let (status, shown) = run_at_terminal(demo(home.path()).env(variable, value)).await;
        assert!(status.success(), "{shown}");
        held_to_the_scenes(&shown);
    }
}

#[tokio::test]
async fn the_demo_fails_when_a_step_is_not_as_it_should_be() {
    let (home, database) = without_alice().await;
    let Output { status, stdout, stderr } = run(demo(home.path()).args(["--database", &database])).await;
    assert_eq!(status.code(), Some(1));
    assert_eq!(String::from_utf8(stderr).unwrap(), "");
    let stdout = String::from_utf8(stdout).unwrap();
    let lines: Vec<_> = stdout.lines().collect();
    let [first, second, reason, "", last] = lines[..] else { panic!("{stdout}") };
    assert!(first.starts_with("✓ login "), "{stdout}");
    assert!(second.starts_with("✗ code "), "{stdout}");
    assert_eq!(reason, "  expected 201, got 403 Forbidden");
    assert!(last.starts_with("1 of 25 proved in "), "{stdout}");

    let (status, shown) = run_at_terminal(demo(home.path()).args(["--database", &database])).await;
    assert_eq!(status.code(), Some(1));
    assert!(shown.contains("\x1b[31m✗\x1b[0m"), "{shown:?}");
}

#[tokio::test]
async fn the_full_demo_fails_when_a_step_is_not_as_it_should_be() {
    let (home, database) = without_alice().await;
    let played = run(demo(home.path()).args(["-v", "--database", &database])).await;
    assert_eq!(played.status.code(), Some(1));
    let stderr = String::from_utf8(played.stderr).unwrap();
    assert_eq!(stderr, "error: scene 2: expected 201, got 403 Forbidden\n");
}

#[tokio::test]
async fn both_forms_of_the_demo_are_explained() {
    let home = tempfile::tempdir().unwrap();
    let help = String::from_utf8(run(example("gateway", home.path()).arg("--help")).await.stdout).unwrap();
    assert!(help.contains("prints one line for each scene"), "{help}");
    assert!(help.contains("With --demo: prints each request and each answer in full"), "{help}");

    let refused = run(example("gateway", home.path()).arg("-v")).await;
    assert_eq!(refused.status.code(), Some(1));
    let stderr = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(stderr, "error: the following required arguments were not provided: --demo\n");
}
