//! `gateway`: its routes, its settings and its ends.

use std::time::Duration;

use reqwest::header::{CONNECTION, CONTENT_TYPE, COOKIE};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::{Gateway, alice, text};
use crate::support::PostgresBackend;
use crate::support::process::{example, run, start};
use crate::support::wire::raw;

#[tokio::test]
async fn only_who_is_signed_in_gets_a_code_and_only_operators_operate() {
    let gateway = Gateway::start(&[]).await;
    let code = gateway.client.post(gateway.url("/v1/auth/bridge/code")).send().await.unwrap();
    assert_eq!(code.status(), 401);
    let forged = gateway.client.post(gateway.url("/v1/auth/bridge/code")).header(COOKIE, "gateway_login=a");
    assert_eq!(forged.send().await.unwrap().status(), 401);

    let token = text(&gateway.link(alice()).await, "token");
    for wrong in ["", "wrong", &token] {
        let refused = gateway.get("/admin/users/alice/sessions", wrong).await;
        assert_eq!(refused.status(), 401);
        assert_eq!(refused.headers()["www-authenticate"], "Bearer realm=\"operators\"");
    }
    let admin_token = gateway.admin_token();
    let sessions = gateway.get("/admin/users/alice/sessions", admin_token).await;
    let sessions: Value = sessions.json().await.unwrap();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 1);

    let disable = gateway.client.post(gateway.url("/admin/users/alice/disable")).bearer_auth(admin_token);
    assert_eq!(disable.send().await.unwrap().status(), 204);
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 401);
    let enable = gateway.client.post(gateway.url("/admin/users/alice/enable")).bearer_auth(admin_token);
    assert_eq!(enable.send().await.unwrap().status(), 204);
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 401);
    let token = text(&gateway.link(alice()).await, "token");
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200);
}

#[tokio::test]
async fn handlers_see_the_caller_and_what_the_guard_wrote() {
    let gateway = Gateway::start(&[]).await;
    let access = gateway.link(json!({ "user_id": "alice", "scopes": ["hook:track"] })).await;
    let token = text(&access, "token");
    let who: Value = gateway.get("/v1/whoami", &token).await.json().await.unwrap();
    let session = &access["headers"]["x-session-id"];
    assert_eq!(who["user_id"], "alice");
    assert_eq!(who["session_id"], *session);
    assert_eq!(who["client_id"], "sp_bridge");
    assert_eq!(who["kind"], "user");
    assert_eq!(who["scopes"], json!(["hook:track"]));
    assert_eq!(who["policy_version"], "unversioned");
    assert_eq!(who["call_source"], "bridge");
    assert_eq!(who["trace_id"], who["headers"]["x-trace-id"]);
    assert_eq!(who["headers"]["x-session-id"], *session);
    assert!(who["headers"].get("authorization").is_none());

    let greeting = gateway.client.get(gateway.url("/v1/greeting")).send().await.unwrap();
    assert_eq!(greeting.text().await.unwrap(), "hello, whoever you are\n");
    assert_eq!(gateway.get("/v1/greeting", &token).await.text().await.unwrap(), "hello, alice\n");
    assert_eq!(gateway.get("/v1/greeting", "not.a.token").await.status(), 401);
}

#[tokio::test]
async fn a_scope_in_a_signature_is_required() {
    let gateway = Gateway::start(&[]).await;
    for (scopes, status) in [("", 403), ("hook:govern", 403), ("hook:govern hook:track", 200)] {
        let access = gateway.link(json!({ "user_id": "alice", "scopes": scopes })).await;
        let track = gateway.client.post(gateway.url("/v1/track")).bearer_auth(text(&access, "token"));
        let answer = track.send().await.unwrap();
        assert_eq!(answer.status(), status, "{scopes:?}");
        if status == 403 {
            let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
            assert!(challenge.contains("scope=\"hook:track\""), "{challenge}");
        }
    }
}

#[tokio::test]
async fn attack_n8_a_hook_token_never_reaches_the_messages() {
    let gateway = Gateway::start(&[]).await;
    let person = text(&gateway.link(alice()).await, "token");
    let hook = hook_token(&gateway, &person).await;
    let post = async |path: &str, token: &str| {
        let request = gateway.client.post(gateway.url(path)).bearer_auth(token).body("{}");
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((post("/v1/messages", &person).await, post("/v1/messages", &hook).await), (200, 403));
    assert_eq!(post("/v1/track", &hook).await, 200);
    assert_eq!(gateway.get("/v1/whoami", &hook).await.status(), 200);
    assert_eq!(gateway.get("/v1/greeting", &hook).await.status(), 403);
}

/// The token of the hook client that the bridge with `token` provisions.
async fn hook_token(gateway: &Gateway, token: &str) -> String {
    let provision = gateway.client.post(gateway.url("/v1/auth/bridge/oauth-client")).bearer_auth(token);
    let client: Value = provision.send().await.unwrap().json().await.unwrap();
    let request = gateway
        .client
        .post(gateway.url("/v1/auth/bridge/token"))
        .basic_auth(text(&client, "client_id"), Some(text(&client, "client_secret")))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body("grant_type=client_credentials&scope=hook:track");
    text(&request.send().await.unwrap().json().await.unwrap(), "access_token")
}

#[tokio::test]
async fn the_upstream_gets_the_body_and_nothing_that_was_for_the_gateway_alone() {
    let gateway = Gateway::start(&[]).await;
    let token = text(&gateway.link(alice()).await, "token");
    let message = gateway.client.post(gateway.url("/v1/messages"));
    let answer = message
        .bearer_auth(&token)
        .header(CONNECTION, "x-for-this-hop")
        .header("x-for-this-hop", "1")
        .header("te", "gzip")
        .header(COOKIE, "gateway_login=a")
        .header("x-kept", "yes")
        .header("X_User_Id", "mallory")
        .body("not json")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let received: Value = answer.json().await.unwrap();
    assert_eq!(received["method"], "POST");
    assert_eq!(received["body"], "not json");
    let headers = received["headers"].as_object().unwrap();
    assert_eq!(headers["x-user-id"], "alice");
    assert_eq!(headers["x-kept"], "yes");
    for name in ["connection", "x-for-this-hop", "te", "cookie", "authorization", "x_user_id"] {
        assert!(!headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn only_its_own_names_and_addresses_lead_to_the_gateway() {
    let gateway = Gateway::start(&["--issuer", "https://gateway.example"]).await;
    let address = gateway.running.url.strip_prefix("http://").unwrap().to_owned();
    let status = async |head: String| {
        let answer =
            raw(address.parse().unwrap(), format!("{head}connection: close\r\n\r\n").as_bytes()).await;
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let get = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n");
    for host in [
        "gateway.example",
        "GATEWAY.example:8443",
        "localhost",
        "localhost:1",
        "127.0.0.1",
        "192.0.2.7:80",
        "[::1]:8080",
    ] {
        assert_eq!(status(get("/v1/greeting", host)).await, 200, "{host}");
    }
    for host in ["rebound.example", "gateway.example.evil.example", "localhost.evil.example", "", "a b", "@"]
    {
        for path in [
            "/v1/greeting",
            "/v1/auth/bridge/code",
            "/admin/users/a/sessions",
            "/demo/login",
            "/login",
            "/",
            "/nowhere",
        ] {
            let found = status(get(path, host)).await;
            assert!(found == 421 || (found == 400 && host == "a b"), "{host:?} {path} {found}");
        }
        for probe in ["/healthz", "/readyz"] {
            assert!([200, 400].contains(&status(get(probe, host)).await), "{host:?} {probe}");
        }
    }
    let absolute = |target: &str, host: &str| get(&format!("http://{target}/v1/greeting"), host);
    assert_eq!(status(absolute("gateway.example", "gateway.example")).await, 200);
    assert_eq!(status(absolute("rebound.example", "gateway.example")).await, 421);
    assert_eq!(status(absolute("gateway.example", "rebound.example")).await, 421);
    assert_eq!(status("GET /v1/greeting HTTP/1.0\r\n".to_owned()).await, 421);
}

#[tokio::test]
async fn probes_and_keys_are_open() {
    let gateway = Gateway::start(&[]).await;
    let get = |path| gateway.client.get(gateway.url(path)).send();
    let health = get("/healthz").await.unwrap();
    assert_eq!(
        (health.status().as_u16(), health.text().await.unwrap().as_str()),
        (200, r#"{"status":"live"}"#)
    );
    assert_eq!(get("/readyz").await.unwrap().status(), 200);
    let keys: Value = get("/.well-known/jwks.json").await.unwrap().json().await.unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0].get("d"), None);
    assert_eq!(get("/nothing").await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_gateway_whose_database_is_gone_is_not_ready_and_calls_no_token_bad() {
    let database = PostgresBackend::empty().await;
    let gateway = Gateway::start(&["--database", &database.url()]).await;
    let token = text(&gateway.link(alice()).await, "token");
    drop(database);
    let ready = gateway.client.get(gateway.url("/readyz")).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    let words = ready.text().await.unwrap();
    assert!(words.contains(r#""reason":"the database "#), "{words}");
    assert!(!words.contains("127.0.0.1") && !words.contains("postgres"), "{words}");
    let answer = gateway.get("/v1/whoami", &token).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}

#[tokio::test]
async fn tokens_and_sessions_outlive_a_restart() {
    let issuer = ["--issuer", "https://gateway.example"];
    let gateway = Gateway::start(&issuer).await;
    let token = text(&gateway.link(alice()).await, "token");
    let gateway = Gateway::start_in(gateway.stop().await, &issuer).await;
    assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200);
}

#[tokio::test]
async fn what_is_short_lived_is_refused_when_its_time_is_over() {
    let gateway = Gateway::start(&["--token-life", "2", "--code-life", "1"]).await;
    let access = gateway.link(alice()).await;
    assert_eq!(access["ttl"], 2);
    let code = gateway.code(alice(), None).await;
    sleep(Duration::from_millis(2100)).await;
    assert_eq!(gateway.get("/v1/whoami", &text(&access, "token")).await.status(), 401);
    let exchange = gateway.client.post(gateway.url("/v1/auth/bridge/session")).json(&json!({ "code": code }));
    assert_eq!(exchange.send().await.unwrap().status(), 400);

    let gateway = Gateway::start(&["--session-life", "1"]).await;
    assert_eq!(gateway.link(alice()).await["ttl"], 1);
}

#[tokio::test]
async fn only_a_trusted_proxy_says_where_a_bridge_is() {
    for (arguments, address) in [(&["--trusted-proxy", "127.0.0.0/8"][..], "203.0.113.9"), (&[], "127.0.0.1")]
    {
        let gateway = Gateway::start(arguments).await;
        let exchange = json!({ "code": gateway.code(alice(), None).await });
        let request = gateway.client.post(gateway.url("/v1/auth/bridge/session")).json(&exchange);
        let answer = request.header("x-forwarded-for", "203.0.113.9").send().await.unwrap();
        let token = text(&answer.json().await.unwrap(), "token");
        let sessions: Value = gateway.get("/v1/auth/bridge/sessions", &token).await.json().await.unwrap();
        assert_eq!(sessions["sessions"][0]["origin"]["address"], address);
    }
}

#[tokio::test]
async fn the_gateway_is_a_resource_that_tokens_can_be_had_for() {
    let gateway = Gateway::start(&[]).await;
    let refused = gateway.client.get(gateway.url("/v1/whoami")).send().await.unwrap();
    let metadata = gateway.url("/.well-known/oauth-protected-resource");
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\"")), "{challenge}");
    let metadata: Value = gateway.client.get(metadata).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["resource"], gateway.running.url);
    assert_eq!(metadata["authorization_servers"], json!([gateway.running.url]));

    let refresh = text(&gateway.link(alice()).await, "refresh_token");
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("grant_type", "refresh_token"), ("client_id", "sp_bridge")])
        .extend_pairs([("refresh_token", refresh.as_str()), ("resource", &gateway.running.url)])
        .finish();
    let token = gateway.client.post(gateway.url("/v1/auth/bridge/token")).body(form);
    let token = token.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let token: Value = token.send().await.unwrap().json().await.unwrap();
    assert_eq!(gateway.get("/v1/whoami", &text(&token, "access_token")).await.status(), 200);
}

#[tokio::test]
async fn environment_variables_stand_for_flags() {
    let home = tempfile::tempdir().unwrap();
    let file = |name| home.path().join(name);
    let mut command = example("gateway", home.path());
    command
        .env("BRIDGE_AUTH_LISTEN", "127.0.0.1:0")
        .env("BRIDGE_AUTH_DATABASE", format!("sqlite:{}", file("a.db").display()))
        .env("BRIDGE_AUTH_KEY_FILE", file("b.key"))
        .env("BRIDGE_AUTH_ADMIN_TOKEN", "open sesame")
        .env("BRIDGE_AUTH_ISSUER", "https://gateway.example")
        .env("BRIDGE_AUTH_TOKEN_LIFE", "77");
    let running = start(&mut command).await;
    assert_eq!(running.printed, [""; 0], "no token is made when one is given");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let gateway = Gateway { running, home: tempfile::tempdir().unwrap(), client };
    assert_eq!(gateway.link(alice()).await["ttl"], 77);
    assert_eq!(gateway.get("/admin/users/alice/sessions", "open sesame").await.status(), 200);
    assert!(file("a.db").exists() && file("b.key").exists());

    let played = run(example("gateway", home.path()).env("BRIDGE_AUTH_DEMO", "1")).await;
    assert!(played.status.success());
}

#[tokio::test]
async fn what_cannot_work_is_one_line_and_exit_code_1() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let in_memory = |value: &str| {
        format!(
            "error: invalid value '{value}' for '--database <URL>': SQLite would make a separate database in memory"
        )
    };
    let cases: [(&[&str], &str); 25] = [
        (&["--bogus"], "error: unexpected argument '--bogus' found"),
        (&["--code-life", "soon"], "error: invalid value 'soon'"),
        (
            &["--code-life", "601"],
            "error: the code life is 601s: it must be 1 to 600 seconds, in whole seconds",
        ),
        (&["--freshness", "often"], "error: invalid value 'often'"),
        (&["--freshness", "watched:1s"], "error: invalid value 'watched:1s'"),
        (
            &["--freshness", "watched:9"],
            "error: max_lag is 9ms: it must be 10 ms to 60 s (BridgeBuilder::freshness)",
        ),
        (&["--pool-size", "0"], "error: invalid value '0'"),
        (&["--trusted-proxy", "everyone"], "error: invalid value 'everyone'"),
        (&["--admin-token", ""], "error: a value is required for '--admin-token <TOKEN>'"),
        (&["--issuer", "http://gateway.example"], "error: the issuer \"http://gateway.example\" must be"),
        (&["--listen", &taken], "error: cannot listen on 127.0.0.1:"),
        (&["--listen", "0.0.0.0:0"], "error: --issuer must name"),
        (&["--database", "mysql://a"], "error: invalid value 'mysql://a'"),
        (&["--database", "sqlite::memory:"], &in_memory("sqlite::memory:")),
        (&["--database", "sqlite://:memory:"], &in_memory("sqlite://:memory:")),
        (
            &["--database", "sqlite:file::memory:?cache=shared"],
            &in_memory("sqlite:file::memory:?cache=shared"),
        ),
        (&["--database", "sqlite:a.db?mode=memory"], &in_memory("sqlite:a.db?mode=memory")),
        (
            &["--database", "sqlite:file:a.db"],
            "error: cannot open the database file:a.db: the store is set up wrongly: \"file:a.db\" is a URI",
        ),
        (
            &["--database", "sqlite:"],
            "error: invalid value 'sqlite:' for '--database <URL>': sqlite: names no file, write sqlite:FILE",
        ),
        (&["--database", "sqlite:/proc/none/a.db"], "error: cannot open the database /proc/none/a.db"),
        (&["--database", "postgres://u:hunter2@127.0.0.1:1/a"], "error: cannot open the PostgreSQL database"),
        (&["--key-file", "/proc/none.key"], "error: cannot use the key file /proc/none.key"),
        (
            &["--agent", "planner"],
            "error: invalid value 'planner' for '--agent <ID:SECRET>': write ID:SECRET",
        ),
        (
            &["--agent", "planner:hunter2"],
            "error: the length of a registered client's secret is 7 characters: it must be at least 32 characters",
        ),
        (
            &["--identity-provider", "http://login.example"],
            "error: the JWKS URL \"http://login.example/jwks.json\" must be an https URL",
        ),
    ];
    for (arguments, expected) in cases {
        let mut command = example("gateway", home.path());
        // A flag goes before its variable.
        let output = run(command.env("BRIDGE_AUTH_LISTEN", "127.0.0.1:0").args(arguments)).await;
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {stderr}");
        assert!(stderr.starts_with(expected), "{arguments:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(!stderr.contains("hunter2"), "{stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}
