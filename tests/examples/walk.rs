//! The walk in the README.

use tokio::process::Command;

use super::Gateway;
use crate::support::process::run;

/// The commands under "Try it by hand".
fn commands() -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once("## Try it by hand").unwrap();
    let (_, block) = section.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0
}

/// Stands in for `jq`, which a machine may lack: one member of an object, or the whole.
const JQ: &str = r#"
jq() {
    if [ "$1" = -r ]; then sed -n "s/.*\"${2#.}\":\"\([^\"]*\)\".*/\1/p"; else cat; echo; fi
}
"#;

#[tokio::test]
async fn the_walk_in_the_readme_ends_in_a_refusal() {
    let gateway = Gateway::start(&[]).await;
    let address = gateway.running.url.strip_prefix("http://").unwrap();
    let script = format!("set -e\n{JQ}\n{}", commands().replace("localhost:8080", address));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(gateway.home.path())
        .env("ADMIN_TOKEN", gateway.admin_token())
        .env("no_proxy", "127.0.0.1");
    let walked = run(&mut shell).await;
    let output = String::from_utf8(walked.stdout).unwrap();
    assert!(walked.status.success(), "{output}\n{}", String::from_utf8_lossy(&walked.stderr));
    assert!(output.contains(r#""user_id":"alice""#), "{output}");
    let (_, refusal) = output.split_once(r#"{"revoked":1}"#).expect(&output);
    assert!(refusal.trim_start().starts_with("HTTP/1.1 401 Unauthorized"), "{refusal}");
    assert!(refusal.contains("invalid_token"), "{refusal}");
}
