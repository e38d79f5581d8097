//! The shell commands of the pages, run as they stand in an empty environment.

use std::net::TcpListener;

use tokio::process::Command;

use super::page::{code, read};
use crate::support::process::{example, run};

/// Runs the built example in the place of `cargo run`, and ends what was started when the commands end.
const PRELUDE: &str = r#"
set -e
cargo() { while [ "$1" != -- ]; do shift; done; shift; exec "$GATEWAY" "$@"; }
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
"#;

/// What the commands of a page print, and what the page says that they print.
async fn walk(name: &str) -> (String, String) {
    let page = read(name);
    let pieces = code(&page, &["sh", "text"]);
    let mut commands = PRELUDE.to_owned();
    let mut expected = String::new();
    let mut is_after_sh = false;
    for (language, piece) in pieces {
        match language {
            "sh" => commands.extend([piece, "\n"]),
            // What stands right after commands is what they print.
            _ if is_after_sh => expected.extend([piece, "\n"]),
            _ => {}
        }
        is_after_sh = language == "sh";
    }
    for port in ["8080", "8081", "8082"] {
        commands = commands.replace(port, &free_port().to_string());
    }
    let home = tempfile::tempdir().unwrap();
    let gateway = example("gateway", home.path());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &commands])
        .current_dir(home.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.path())
        .env("GATEWAY", gateway.as_std().get_program());
    let walked = run(&mut shell).await;
    let printed = String::from_utf8(walked.stdout).unwrap();
    assert!(walked.status.success(), "{printed}\n{}", String::from_utf8_lossy(&walked.stderr));
    (printed, expected)
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn the_walk_with_a_hook_prints_what_the_page_says() {
    let (printed, expected) = walk("hooks.md").await;
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn the_walk_through_two_gateways_prints_what_the_page_says() {
    let (printed, expected) = walk("several-gateways.md").await;
    assert_eq!(printed, expected);
}
