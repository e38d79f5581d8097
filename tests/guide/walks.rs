//! The shell commands of the pages, run as they stand in an empty environment.

use super::page::read;
use crate::support::pages::fenced;
use crate::support::postgres::free_port;
use crate::support::process::{executable, run, shell};

/// Runs the built example in the place of `cargo run`, and ends what was started when the commands end. (`$(jobs -p)` is empty in
/// dash: a command in `$(…)` has no jobs.)
const PRELUDE: &str = r#"
cargo() { while [ "$1" != -- ]; do shift; done; shift; exec "$GATEWAY" "$@"; }
trap 'jobs -p > jobs; kill $(cat jobs) 2>/dev/null || true' EXIT
"#;

/// What the commands of a page print, and what the page says that they print.
async fn walk(name: &str) -> (String, String) {
    let page = read(name);
    let mut commands = PRELUDE.to_owned();
    let mut expected = String::new();
    let mut is_after_sh = false;
    for (language, piece) in fenced(&page) {
        match language {
            "sh" => commands.extend([piece, "\n"]),
            // What stands right after commands is what they print.
            "text" if is_after_sh => expected.extend([piece, "\n"]),
            _ => {}
        }
        is_after_sh = language == "sh";
    }
    for port in ["8080", "8081", "8082"] {
        commands = commands.replace(port, &free_port().to_string());
    }
    let home = tempfile::tempdir().unwrap();
    let mut shell = shell(&commands, home.path(), home.path());
    shell.env("GATEWAY", executable("gateway"));
    let walked = run(&mut shell).await;
    let printed = String::from_utf8(walked.stdout).unwrap();
    assert!(walked.status.success(), "{printed}\n{}", String::from_utf8_lossy(&walked.stderr));
    (printed, expected)
}

#[tokio::test]
async fn the_walk_with_a_hook_prints_what_the_page_says() {
    let (printed, expected) = walk("hooks.md").await;
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn the_walk_with_a_company_prints_what_the_page_says() {
    let (printed, expected) = walk("delegation-and-offboarding.md").await;
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn the_walk_through_two_gateways_prints_what_the_page_says() {
    let (printed, expected) = walk("several-gateways.md").await;
    assert_eq!(printed, expected);
}
