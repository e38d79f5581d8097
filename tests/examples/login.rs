//! `gateway`: how people sign in, and what it refuses.

use std::fs;
use std::process::Output;

use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response};
use serde_json::{Value, json};

use super::{Gateway, alice, text};
use crate::support::pages::at;
use crate::support::process::{example, run};

/// A browser without its window: it keeps cookies by hand, and follows no redirect.
struct Browser {
    client: Client,
    cookie: String,
}

impl Browser {
    fn new() -> Self {
        let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { client, cookie: String::new() }
    }

    async fn get(&self, url: String) -> Response {
        self.client.get(url).header(COOKIE, &self.cookie).send().await.unwrap()
    }

    async fn post(&mut self, url: String, form: &[(&str, &str)]) -> Response {
        let answer = self.client.post(url).header(COOKIE, &self.cookie).form(form).send().await.unwrap();
        if let Some(cookie) = answer.headers().get(SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
        answer
    }
}

fn login_page(return_to: &str) -> String {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
    format!("/login?{query}")
}

#[tokio::test]
async fn a_person_signs_in_and_comes_back_to_where_they_were() {
    let gateway = Gateway::start(&[]).await;
    let mut browser = Browser::new();
    let back = "/device?user_code=BCDF-GHJK&x=%2F";
    let page = browser.get(gateway.url(&login_page(back))).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("value=\"/device?user_code=BCDF-GHJK&#38;x=%2F\""));

    let filled =
        [("return_to", back), ("user_id", "alice"), ("label", "alice@example.org"), ("scopes", "hook:track")];
    let answer = browser.post(gateway.url("/login"), &filled).await;
    assert_eq!((answer.status().as_u16(), answer.headers()[LOCATION].to_str().unwrap()), (303, back));
    let home = browser.get(gateway.url("/")).await.text().await.unwrap();
    assert!(home.contains("<strong>alice</strong> (alice@example.org)"), "{home}");

    let again = browser.get(gateway.url(&login_page(back))).await;
    assert_eq!((again.status().as_u16(), again.headers()[LOCATION].to_str().unwrap()), (303, back));
    let switch = browser.get(gateway.url(&format!("{}&switch=yes", login_page(back)))).await;
    assert_eq!(switch.status(), 200, "who wants to be somebody else sees the form");

    let code = browser.client.post(gateway.url("/v1/auth/bridge/code")).header(COOKIE, &browser.cookie);
    assert_eq!(code.send().await.unwrap().status(), 201);
    let before = browser.cookie.clone();
    let answer = browser.post(gateway.url("/logout"), &[]).await;
    assert_eq!((answer.status().as_u16(), answer.headers()[LOCATION].to_str().unwrap()), (303, "/"));
    browser.cookie = before;
    let home = browser.get(gateway.url("/")).await.text().await.unwrap();
    assert!(home.contains("You are not signed in"), "a copy of the cookie is worth nothing: {home}");
}

#[tokio::test]
async fn the_pages_send_a_person_to_the_login_and_get_them_back() {
    let gateway = Gateway::start(&[]).await;
    let mut browser = Browser::new();
    for page in ["/devices", "/device?user_code=BCDF-GHJK"] {
        let away = browser.get(gateway.url(page)).await;
        assert_eq!(away.status(), 303, "{page}");
        assert_eq!(away.headers()[LOCATION].to_str().unwrap(), login_page(page));
    }
    browser.post(gateway.url("/login"), &[("user_id", "alice"), ("label", "alice@example.org")]).await;
    for page in ["/devices", "/device", "/v1/auth/bridge/devices"] {
        assert_eq!(browser.get(gateway.url(page)).await.status(), 200, "{page}");
    }
    let home = browser.get(gateway.url("/")).await.text().await.unwrap();
    assert!(home.contains("href=\"/devices\"") && home.contains("href=\"/device\""), "{home}");
}

#[tokio::test]
async fn programs_find_how_to_sign_in_and_what_was_turned_on() {
    for (arguments, documents, gateway_login) in [
        (&[][..], true, false),
        (&["--client-metadata", "off"], false, false),
        (&["--client-metadata", "claude.ai, a.example", "--gateway-login"], true, true),
    ] {
        let gateway = Gateway::start(arguments).await;
        let metadata = gateway.url("/.well-known/oauth-authorization-server");
        let metadata: Value = gateway.client.get(metadata).send().await.unwrap().json().await.unwrap();
        let endpoint = |name: &str| json!(gateway.url(&format!("/v1/auth/bridge/{name}")));
        assert_eq!(metadata["authorization_endpoint"], endpoint("authorize"));
        assert_eq!(metadata["device_authorization_endpoint"], endpoint("device_authorization"));
        assert_eq!(metadata["client_id_metadata_document_supported"] == true, documents);
        assert_eq!(metadata.get("gateway_protocol_version").is_some(), gateway_login);
        let asked = gateway.client.post(gateway.url("/v1/auth/bridge/device_authorization"));
        let asked: Value =
            asked.form(&[("client_id", "sp_bridge")]).send().await.unwrap().json().await.unwrap();
        assert_eq!(asked["verification_uri"], gateway.url("/device"));
    }
}

#[tokio::test]
async fn a_login_ends_the_login_before_it() {
    let gateway = Gateway::start(&[]).await;
    let mut browser = Browser::new();
    browser.post(gateway.url("/login"), &[("user_id", "mallory")]).await;
    let mallory = browser.cookie.clone();
    browser.post(gateway.url("/login"), &[("user_id", "alice")]).await;
    assert_ne!(browser.cookie, mallory);
    browser.cookie = mallory;
    assert!(browser.get(gateway.url("/")).await.text().await.unwrap().contains("not signed in"));
}

#[tokio::test]
async fn a_login_leads_to_no_other_site() {
    let gateway = Gateway::start(&[]).await;
    for evil in [
        "https://evil.example",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "\t//evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "evil.example",
        "@evil.example",
        ".evil.example",
        "/..//evil.example",
        "/.//evil.example",
        "/é",
        "",
    ] {
        let mut browser = Browser::new();
        let page = browser.get(gateway.url(&login_page(evil))).await;
        assert_eq!(page.status(), 400, "{evil:?}");
        let form = [("return_to", evil), ("user_id", "alice")];
        for path in ["/login", "/logout"] {
            let answer = browser.post(gateway.url(path), &form).await;
            assert_eq!(answer.status(), 422, "{path} {evil:?}");
            assert!(!answer.headers().contains_key(SET_COOKIE), "{path} {evil:?}");
        }
    }
}

#[tokio::test]
async fn no_other_site_signs_a_person_in_or_out() {
    let gateway = Gateway::start(&[]).await;
    let own = gateway.running.url.clone();
    let post = async |path: &str, headers: &[(&'static str, &str)]| {
        let request = Browser::new().client.post(gateway.url(path)).form(&[("user_id", "alice")]);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.send().await.unwrap().status().as_u16()
    };
    for path in ["/login", "/logout"] {
        for site in ["cross-site", "same-site"] {
            assert_eq!(post(path, &[("sec-fetch-site", site)]).await, 403, "{path} {site}");
            assert_eq!(
                post(path, &[("sec-fetch-site", site), ("origin", "https://evil.example")]).await,
                403
            );
        }
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
            assert_eq!(post(path, &[(ORIGIN.as_str(), origin)]).await, 403, "{path} {origin}");
        }
        assert_eq!(post(path, &[("origin", &own), ("sec-fetch-site", "same-origin")]).await, 303);
        assert_eq!(post(path, &[("origin", &own)]).await, 303);
        assert_eq!(post(path, &[]).await, 303, "a program is no browser");
    }
}

#[tokio::test]
async fn a_wrong_name_is_said_on_the_page() {
    let gateway = Gateway::start(&[]).await;
    let mut browser = Browser::new();
    let long = "a".repeat(256);
    for (field, value) in [("user_id", ""), ("user_id", long.as_str()), ("scopes", "a\"b")] {
        let mut form = vec![("return_to", "/devices"), ("label", "<b>")];
        form.push((field, value));
        if field != "user_id" {
            form.push(("user_id", "alice"));
        }
        let answer = browser.post(gateway.url("/login"), &form).await;
        assert_eq!(answer.status(), 422, "{field} {value}");
        let page = answer.text().await.unwrap();
        assert!(page.contains("role=\"alert\"") && page.contains("value=\"/devices\""), "{page}");
        assert!(page.contains("value=\"&#60;b&#62;\""), "what was typed stays, as text: {page}");
    }
}

#[tokio::test]
async fn pages_of_the_login_cannot_be_framed_and_load_nothing_from_elsewhere() {
    let gateway = Gateway::start(&["--issuer", "https://gateway.example"]).await;
    for path in ["/login", "/"] {
        let page = Browser::new().get(gateway.url(path)).await;
        let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
        let policy = header("content-security-policy");
        for part in ["default-src 'none'", "style-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{path} {policy}");
        }
        assert!(!policy.contains("script-src"), "{policy}");
        assert_eq!(header("x-frame-options"), "DENY");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "same-origin");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("cross-origin-opener-policy"), "same-origin");
    }
    let answer = Browser::new().post(gateway.url("/login"), &[("user_id", "alice")]).await;
    let cookie = answer.headers()[SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-gateway_login="), "{cookie}");
    for part in ["HttpOnly", "Secure", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

#[tokio::test]
async fn a_demo_plays_with_its_own_login_alone() {
    let home = tempfile::tempdir().unwrap();
    let told = complaint(&home, &["--demo", "--login", "passkey"]).await;
    assert_eq!(told, "error: --demo plays with the login demo: leave --login out\n");
    let told = complaint(&home, &["--login", "oidc"]).await;
    assert!(
        told.starts_with("error: the following required arguments were not provided: --oidc-issuer"),
        "{told}"
    );
}

#[tokio::test]
async fn a_login_that_is_a_package_of_its_own_needs_cargo() {
    let home = tempfile::tempdir().unwrap();
    let mut command = example("gateway", home.path());
    let output = run(command.env("CARGO", "/nowhere/cargo").args(["--login", "passkey"])).await;
    let told = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(
        lines[0],
        "the login passkey is a package of its own: running cargo run --package example-passkey"
    );
    assert!(
        lines[1].starts_with("error: cannot run /nowhere/cargo: install Rust (rustup.rs), or set CARGO"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(1));

    // What stands for cargo here gets the same arguments.
    let echo = home.path().join("echo");
    fs::write(&echo, "#!/bin/sh\necho \"$@\"\n").unwrap();
    fs::set_permissions(&echo, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let mut command = example("gateway", home.path());
    let output =
        run(command.env("CARGO", &echo).args(["--listen", "127.0.0.1:0", "--login", "passkey"])).await;
    let ran = String::from_utf8(output.stdout).unwrap();
    let ran = ran.trim();
    let manifest = at("examples/passkey/Cargo.toml");
    let manifest = manifest.display();
    assert_eq!(
        ran,
        format!("run --quiet --manifest-path {manifest} -- --listen 127.0.0.1:0 --login passkey")
    );
}

#[tokio::test]
async fn tokens_are_signed_with_the_algorithm_that_was_chosen() {
    let home = tempfile::tempdir().unwrap();
    for (algorithm, kind) in
        [("EdDSA", "OKP"), ("Ed25519", "OKP"), ("ES256", "EC"), ("RS256", "RSA"), ("PS256", "RSA")]
    {
        let key = home.path().join(algorithm);
        let key = key.to_str().unwrap();
        let gateway = Gateway::start(&["--algorithm", algorithm, "--key-file", key]).await;
        let keys: Value = gateway
            .client
            .get(gateway.url("/.well-known/jwks.json"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["alg"]), (&json!(kind), &json!(algorithm)));
        let token = text(&gateway.link(alice()).await, "token");
        assert_eq!(gateway.get("/v1/whoami", &token).await.status(), 200);
    }
}

#[tokio::test]
async fn a_key_file_of_another_algorithm_is_refused_with_the_ones_it_is_for() {
    let home = tempfile::tempdir().unwrap();
    let file = |algorithm: &str| home.path().join(algorithm).to_str().unwrap().to_owned();
    for algorithm in ["EdDSA", "ES256", "RS256"] {
        drop(Gateway::start(&["--algorithm", algorithm, "--key-file", &file(algorithm)]).await);
    }
    for (key, asked, fits) in [
        ("EdDSA", "ES256", "--algorithm EdDSA or --algorithm Ed25519"),
        ("ES256", "EdDSA", "--algorithm ES256"),
        ("RS256", "EdDSA", "--algorithm RS256 or --algorithm PS256"),
    ] {
        let key = file(key);
        let before = fs::read(&key).unwrap();
        let told =
            complaint(&home, &["--listen", "127.0.0.1:0", "--algorithm", asked, "--key-file", &key]).await;
        let expected =
            format!("error: the key in {key} is not for --algorithm {asked}: write {fits}, or name another");
        assert!(told.starts_with(&expected), "{told}");
        assert_eq!(fs::read(&key).unwrap(), before);
    }
}

/// What the gateway prints that cannot start.
async fn complaint(home: &tempfile::TempDir, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = run(example("gateway", home.path()).args(arguments)).await;
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}
