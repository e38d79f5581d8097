//! The walk in the README.

use tokio::process::Command;

use super::Gateway;
use crate::support::process::run;

/// The commands under a heading.
fn commands(heading: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, section) = readme.split_once(heading).unwrap();
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
    let output = walk(commands("## Try it by hand")).await;
    assert!(output.contains(r#""user_id":"alice""#), "{output}");
    let (_, refusal) = output.split_once(r#"{"revoked":1}"#).expect(&output);
    assert_refused(refusal);
}

#[tokio::test]
async fn the_walk_with_a_stock_client_ends_in_a_refusal() {
    let first = commands("## Try it by hand");
    let is_link = |line: &&str| ["curl -c ", "code=", "token="].iter().any(|start| line.starts_with(start));
    let link: Vec<_> = first.lines().filter(is_link).collect();
    let output = walk(&format!("{}\n{}", link.join("\n"), commands("### With a stock OAuth client"))).await;
    let told = [r#""token_endpoint""#, r#""tracked_for":"alice""#, r#""active":true"#, r#"{"active":false}"#];
    let rest = told.iter().fold(output.as_str(), |rest, told| rest.split_once(told).expect(&output).1);
    assert_refused(rest);
}

/// What `script` prints, run beside a gateway of its own.
async fn walk(script: &str) -> String {
    let gateway = Gateway::start(&[]).await;
    let address = gateway.running.url.strip_prefix("http://").unwrap();
    let script = format!("set -e\n{JQ}\n{}", script.replace("localhost:8080", address));
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &script])
        .current_dir(gateway.home.path())
        .env("ADMIN_TOKEN", gateway.admin_token())
        .env("no_proxy", "127.0.0.1");
    let walked = run(&mut shell).await;
    let output = String::from_utf8(walked.stdout).unwrap();
    assert!(walked.status.success(), "{output}\n{}", String::from_utf8_lossy(&walked.stderr));
    output
}

fn assert_refused(answer: &str) {
    assert!(answer.trim_start().starts_with("HTTP/1.1 401 Unauthorized"), "{answer}");
    assert!(answer.contains("invalid_token"), "{answer}");
}
