//! `gateway admin` and the operators' page, against a gateway that runs.

use std::collections::HashSet;
use std::process::Output;

use serde_json::{Value, json};

use super::{Gateway, alice, text};
use crate::support::process::{example, run};

/// What the command prints, and its exit code.
async fn admin(gateway: &Gateway, arguments: &[&str]) -> (i32, String, String) {
    let mut command = example("gateway", gateway.home.path());
    command.env("BRIDGE_AUTH_URL", &gateway.running.url);
    command.env("BRIDGE_AUTH_ADMIN_TOKEN", gateway.admin_token());
    ran(run(command.arg("admin").args(arguments)).await)
}

fn ran(output: Output) -> (i32, String, String) {
    let said = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), said(output.stdout), said(output.stderr))
}

/// The same for what succeeds.
async fn done(gateway: &Gateway, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = admin(gateway, arguments).await;
    assert_eq!((code, stderr.as_str()), (0, ""), "{arguments:?} {stdout}");
    stdout
}

#[tokio::test]
async fn an_operator_finds_a_person_and_ends_what_they_have() {
    let gateway = Gateway::start(&[]).await;
    let access = gateway.link(json!({ "user_id": "alice", "label": "alice@example.org" })).await;
    let session = text(&access["headers"], "x-session-id");
    let token = text(&access, "token");
    gateway.link(json!({ "user_id": "bob" })).await;

    for words in ["ali", "alice@exam", "ALICE@EXAMPLE"] {
        let found = done(&gateway, &["search", words]).await;
        let lines: Vec<_> = found.lines().collect();
        assert_eq!(lines.len(), 2, "{words}: {found}");
        assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>(), ["PERSON", "LABEL", "STATE"]);
        assert_eq!(
            lines[1].split_whitespace().collect::<Vec<_>>(),
            ["alice", "alice@example.org", "enabled"]
        );
    }
    assert_eq!(done(&gateway, &["search"]).await.lines().count(), 3);
    assert_eq!(done(&gateway, &["search", "nobody"]).await, "Nobody was found.\n");

    let devices = done(&gateway, &["devices", "alice"]).await;
    assert!(devices.starts_with("SESSION ") && devices.contains(&session), "{devices}");
    assert_eq!(done(&gateway, &["end", &session]).await, format!("The session {session} has ended.\n"));
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 401);
    assert_eq!(done(&gateway, &["devices", "alice"]).await, "Nothing is signed in as alice.\n");

    let token = text(&gateway.link(alice()).await, "token");
    assert_eq!(done(&gateway, &["end-all", "alice"]).await, "All of alice has ended: sessions: 1.\n");
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 401);

    done(&gateway, &["disable", "alice"]).await;
    assert!(done(&gateway, &["search", "alice"]).await.contains("disabled"));
    done(&gateway, &["enable", "alice"]).await;
    assert!(!done(&gateway, &["search", "alice"]).await.contains("disabled"));

    let events = done(&gateway, &["events", "alice"]).await;
    for event in
        ["operator_enabled_user", "operator_disabled_user", "operator_revoked_session", "code_redeemed"]
    {
        assert!(events.contains(event), "{event}: {events}");
    }
    assert!(events.contains("operator=\"operator\""), "{events}");
    let health = done(&gateway, &["health"]).await;
    assert!(health.contains(" fresh proof ") && health.contains("faults               0\n"), "{health}");
}

#[tokio::test]
async fn a_script_gets_the_gateways_json() {
    let gateway = Gateway::start(&[]).await;
    let access = gateway.link(json!({ "user_id": "a/b?c", "label": "<b>" })).await;
    let session = text(&access["headers"], "x-session-id");
    let json = async |arguments: &[&str]| -> Value {
        serde_json::from_str(&done(&gateway, arguments).await).unwrap()
    };
    let users = json(&["search", "a/b", "--json"]).await;
    assert_eq!(users["users"], json!([{ "id": "a/b?c", "label": "<b>", "disabled": false }]));
    assert_eq!(json(&["--json", "devices", "a/b?c"]).await["sessions"][0]["id"], session);
    assert_eq!(json(&["events", "a/b?c", "--json"]).await["events"][0]["name"], "code_redeemed");
    assert!(json(&["health", "--json"]).await["proven"].is_boolean());
    assert_eq!(json(&["end", &session, "--json"]).await, json!({}));
    assert_eq!(json(&["end-all", "a/b?c", "--json"]).await["revoked"], 0);
}

#[tokio::test]
async fn a_list_is_shown_to_its_end_however_many_pages_it_has() {
    let gateway = Gateway::start(&[]).await;
    for name in ["desk", "laptop", "phone", "server", "tablet"] {
        gateway.link(json!({ "user_id": "alice" })).await;
        gateway.link(json!({ "user_id": format!("owner-of-{name}") })).await;
    }
    for size in ["1", "2", "5", "6"] {
        let shown =
            async |arguments: &[&str]| done(&gateway, &[arguments, &["--page-size", size]].concat()).await;
        let found = shown(&["search", "owner"]).await;
        assert_eq!(found.lines().count(), 1 + 5, "{size}: {found}");
        let devices = shown(&["devices", "alice"]).await;
        assert_eq!(devices.lines().count(), 1 + 5, "{size}: {devices}");

        for (arguments, list, next) in [
            (["search", "owner", "--json"], "users", "next_after"),
            (["devices", "alice", "--json"], "sessions", "next_cursor"),
        ] {
            let whole: Value = serde_json::from_str(&shown(&arguments).await).unwrap();
            let ids = whole[list].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap());
            assert_eq!(ids.collect::<HashSet<_>>().len(), 5, "{size}: each once: {whole}");
            assert!(whole.get(next).is_none(), "{size}: {whole}");
        }
    }
}

#[tokio::test]
async fn what_does_not_work_is_one_line_and_an_exit_code() {
    let gateway = Gateway::start(&[]).await;
    for act in ["end-all", "disable", "enable"] {
        let (code, stdout, stderr) = admin(&gateway, &[act, "nobody"]).await;
        assert_eq!((code, stdout.as_str()), (2, ""), "{act}: {stderr}");
        assert!(stderr.starts_with("error: nobody has the id \"nobody\""), "{stderr}");
    }
    let (code, _, stderr) = admin(&gateway, &["end", "sess_none"]).await;
    assert_eq!((code, stderr.as_str()), (2, "error: there is no session \"sess_none\"\n"));

    let url = gateway.running.url.as_str();
    let cases: [(&[&str], String); 5] = [
        (
            &["--admin-token", "wrong"],
            format!("error: the gateway at {url}/ does not accept this operators' token"),
        ),
        (
            &["--url", "http://127.0.0.1:1"],
            "error: no gateway answers at http://127.0.0.1:1/ (--url)".to_owned(),
        ),
        (
            &["--url", "http://gateway.example"],
            "error: --url is http://gateway.example/: it must be https".to_owned(),
        ),
        (&["--url", &format!("{url}/elsewhere")], format!("error: there is no /admin at {url}/elsewhere")),
        (&["--admin-token", ""], "error: a value is required for '--admin-token <TOKEN>'".to_owned()),
    ];
    for (arguments, expected) in cases {
        let (code, stdout, stderr) = admin(&gateway, &[&["health"], arguments].concat()).await;
        assert_eq!((code, stdout.as_str()), (1, ""), "{arguments:?}");
        assert!(stderr.starts_with(&expected), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(!stderr.contains(gateway.admin_token()), "{stderr}");
    }
    let without = run(example("gateway", gateway.home.path()).args(["admin", "health"])).await;
    let (code, _, stderr) = ran(without);
    assert!(
        code == 1
            && stderr.starts_with("error: the operators' token is missing: set BRIDGE_AUTH_ADMIN_TOKEN"),
        "{stderr}"
    );
}

#[tokio::test]
async fn no_text_of_a_program_steers_the_operators_terminal() {
    let gateway = Gateway::start(&[]).await;
    let code = gateway.code(alice(), None).await;
    let exchange = json!({ "code": code, "device_name": "laptop" });
    let request = gateway.client.post(gateway.url("/v1/auth/bridge/session")).json(&exchange);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let (code, _, stderr) = admin(&gateway, &["devices", "\u{1b}[2J"]).await;
    assert!(!stderr.contains('\u{1b}') && code != 0, "{stderr:?}");
    let devices = done(&gateway, &["devices", "alice"]).await;
    assert!(devices.contains("laptop") && !devices.contains('\u{1b}'), "{devices:?}");
}

#[tokio::test]
async fn a_browser_opens_the_operators_page_with_the_token_as_a_password() {
    let gateway = Gateway::start(&[]).await;
    gateway.link(alice()).await;
    let open = async |name: &str, token: &str| {
        let request = gateway.client.get(gateway.url("/admin?user=alice")).basic_auth(name, Some(token));
        request.send().await.unwrap()
    };
    let refused = gateway.client.get(gateway.url("/admin")).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let challenges: Vec<_> = refused.headers().get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Bearer realm=\"operators\"", "Basic realm=\"operators\", charset=\"UTF-8\""]);
    // As the OpenAPI document says.
    assert_eq!(refused.headers()["content-type"], "application/problem+json");
    let problem: Value = refused.json().await.unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&401.into(), &"operator_required".into()));
    for (name, token) in [("carol", "wrong"), (gateway.admin_token(), ""), ("", "")] {
        assert_eq!(open(name, token).await.status(), 401, "{name}");
    }
    let page = open("carol", gateway.admin_token()).await;
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("alice") && page.contains("code_redeemed"), "{page}");

    // What a page of another site posts with the browser's password is refused.
    let disable = gateway.client.post(gateway.url("/admin/users/alice/disable"));
    let disable = disable.basic_auth("carol", Some(gateway.admin_token()));
    let evil = disable.try_clone().unwrap().header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(evil.status(), 403);
    assert_eq!(disable.send().await.unwrap().status(), 204);
    assert!(done(&gateway, &["events", "alice"]).await.contains("operator=\"carol\""));
}
