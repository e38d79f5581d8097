//! What all pages promise.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::samples::{Chosen, all};
use super::*;
use crate::id::Scope;

fn pages() -> Pages {
    Pages::new("/login")
        .gateway_name("Example Gateway")
        .scope(Scope::parse("models:use").unwrap(), "Send prompts to models, at your team’s cost")
}

fn html(page: &Page) -> &str {
    std::str::from_utf8(&page.body).unwrap()
}

fn header<'p>(page: &'p Page, name: &str) -> &'p str {
    page.headers[name].to_str().unwrap()
}

/// What stands between `open` and `close`.
fn between<'t>(text: &'t str, open: &str, close: &str) -> &'t str {
    text.split_once(open).unwrap().1.split_once(close).unwrap().0
}

#[test]
fn every_text_of_a_caller_is_escaped_on_every_page() {
    let hostile = "'\"><script>alert(1)</script>&amp;</title></textarea><img src=x>";
    let calm = all(&pages(), &Chosen::all("calm"));
    for ((name, page), (_, calm)) in all(&pages(), &Chosen::all(hostile)).iter().zip(&calm) {
        let (sent, calm) = (html(page), html(calm));
        let tags = |html: &str| html.matches('<').count();
        let quotes = |html: &str| html.matches('"').count();
        assert_eq!((tags(sent), quotes(sent)), (tags(calm), quotes(calm)), "{name}");
        assert!(!sent.contains("<script") && !sent.contains("<img"), "{name}");
        // What was escaped already is escaped once more: it is shown as it was sent.
        assert!(!sent.contains("&amp;<") && !sent.contains("alert(1)<"), "{name}");
    }
}

#[test]
fn every_text_of_the_host_is_escaped_too() {
    let mut texts = Texts::default();
    for text in texts.each_mut() {
        *text = "<script>'\"{program}</script>".into();
    }
    let pages = pages().texts(texts).gateway_name("<script>'\"</script>");
    for (name, page) in all(&pages, &Chosen::usual()) {
        assert!(!html(&page).contains("<script"), "{name}");
    }
}

#[test]
fn row_l11_and_l17_every_page_forbids_frames_referrers_caches_and_foreign_content() {
    for (name, page) in all(&pages(), &Chosen::usual()) {
        let policy = header(&page, "content-security-policy");
        let hash = between(policy, "'sha256-", "'");
        let form_action = if name.starts_with("consent") { "" } else { "; form-action 'self'" };
        assert_eq!(
            policy,
            format!(
                "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; \
                 frame-ancestors 'none'{form_action}"
            ),
            "{name}"
        );
        for (header_name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(header(&page, header_name), value, "{name}");
        }
    }
}

#[test]
fn row_l17_the_style_that_is_sent_is_the_one_that_is_allowed() {
    for css in [Pages::STYLESHEET, "", "p::before { content: \"<é>\" }", "a {}\r\nb {}\rc {}\n"] {
        let pages = pages().stylesheet(css);
        pages.check().unwrap();
        for (name, page) in all(&pages, &Chosen::usual()) {
            let html = html(&page);
            let sent = between(html, "<style>", "</style>");
            assert!(!sent.contains('\r'), "{name}: a browser would hash another text");
            let hash = STANDARD.encode(Sha256::digest(sent));
            assert!(header(&page, "content-security-policy").contains(&format!("'sha256-{hash}'")), "{name}");
            assert!(!html.contains(" style="), "{name}: the policy forbids style attributes");
        }
    }
}

#[test]
fn row_l17_no_page_has_a_script_or_loads_anything() {
    for (name, page) in all(&pages(), &Chosen::usual()) {
        let html = html(&page);
        for loading in
            ["<script", "<link", "<img", "<iframe", "<object", "src=", "@import", "url(", "javascript:"]
        {
            assert!(!html.contains(loading), "{name} has {loading}");
        }
        let has_handler = html.split(" on").skip(1).any(|rest| {
            let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
            !name.is_empty() && rest[name.len()..].starts_with('=')
        });
        assert!(!has_handler, "{name}");
    }
}

#[test]
fn row_l11_a_page_with_a_form_says_where_the_form_comes_from() {
    for (name, page) in all(&pages(), &Chosen::usual()) {
        let html = html(&page);
        let says = html.contains("<meta name=\"referrer\" content=\"same-origin\">");
        assert!(says || !html.contains("<form"), "{name}");
        assert!(!html.contains("action=\""), "{name}: a form goes to where its page is");
    }
}

#[test]
fn row_l5_and_l15_the_person_sees_who_asks_and_where_the_answer_goes() {
    let pages = pages();
    let all = all(&pages, &Chosen::usual());
    let page = |name: &str| html(&all.iter().find(|(other, _)| *other == name).unwrap().1);
    for shown in
        ["Alice Doe", "BCDF-GHJK", "Claude Code", "203.0.113.7", "claude-code/2.1.4", "Example Gateway"]
    {
        assert!(page("device-confirm").contains(shown), "{shown}");
    }
    for shown in
        ["Alice Doe", "Claude Code", "https://claude.example/code", "This computer (<bdi>mcp.tools.example"]
    {
        assert!(page("consent").contains(shown), "{shown}");
    }
    let unverified = page("consent-unverified");
    assert_eq!(unverified.matches("<dd><bdi>mcp.tools.example</bdi></dd>").count(), 2, "client and redirect");
    for name in ["device-confirm", "consent", "consent-unverified"] {
        let html = page(name);
        assert!(html.contains("Send prompts to models") && html.contains("other:scope"), "{name}");
        assert!(html.contains("value=\"allow\"") && html.contains("value=\"deny\""), "{name}");
    }
}

#[test]
fn row_l13_and_l15_a_program_that_describes_itself_is_shown_with_its_host_and_without_a_site() {
    let pages = pages();
    let chosen = Chosen { site: "https://bank.example", ..Chosen::usual() };
    for (name, page) in all(&pages, &chosen) {
        if name.ends_with("-unverified") {
            let html = html(&page);
            assert!(!html.contains("bank.example"), "{name}");
            assert!(html.contains("does not know this program"), "{name}");
            assert!(html.contains("<dd><bdi>mcp.tools.example</bdi></dd>"), "{name}");
        }
    }
}

/// What stands at the end of a host's name says whose it is.
#[test]
fn row_l15_the_hosts_of_a_program_are_shown_whole() {
    let host = format!("{}.evil.example", "a".repeat(63) + &".b".repeat(88));
    assert!(host.len() > 240);
    for (name, page) in all(&pages(), &Chosen { host: &host, ..Chosen::usual() }) {
        let hosts = match name {
            "consent-unverified" => 2,
            _ => continue,
        };
        assert_eq!(html(&page).matches(&format!("<dd><bdi>{host}</bdi></dd>")).count(), hosts, "{name}");
    }
}

#[test]
fn every_text_is_on_some_page() {
    let mut texts = Texts::default();
    let names: Vec<_> = texts.each().iter().map(|text| text.name).collect();
    let mut markers = Vec::new();
    for (number, (text, name)) in texts.each_mut().into_iter().zip(names).enumerate() {
        let marker = format!("marker{number}end");
        *text = match name {
            "SharedTexts::months" => [&*marker; 12].join(" ").into(),
            // The moment must show its month.
            "SharedTexts::moment" => format!("{marker} {{month}}").into(),
            _ => marker.clone().into(),
        };
        markers.push((name, marker));
    }
    let shown: String =
        all(&pages().texts(texts), &Chosen::usual()).iter().map(|(_, page)| html(page)).collect();
    for (name, marker) in markers {
        assert!(shown.contains(&marker), "{name}");
    }
}

#[test]
fn every_placeholder_of_a_text_is_filled_in() {
    let chosen = Chosen::usual();
    for (name, page) in all(&pages(), &chosen) {
        assert!(!between(html(&page), "<body>", "</body>").contains(['{', '}']), "{name}");
    }
}

#[test]
fn the_status_says_what_happened() {
    let all = all(&pages(), &Chosen::usual());
    let of = |name: &str| &all.iter().find(|(other, _)| *other == name).unwrap().1;
    for (name, status) in [
        ("device-entry", StatusCode::OK),
        ("device-unknown-code", StatusCode::BAD_REQUEST),
        ("denied", StatusCode::OK),
        ("unknown-client", StatusCode::BAD_REQUEST),
        ("answered", StatusCode::CONFLICT),
        ("cross-site", StatusCode::FORBIDDEN),
        ("too-many", StatusCode::TOO_MANY_REQUESTS),
        ("unavailable", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        assert_eq!(of(name).status, status, "{name}");
    }
    assert_eq!(header(of("too-many"), "retry-after"), "42");
    assert_eq!(header(of("unavailable"), "retry-after"), "1");
    assert!(!of("misconfigured").headers.contains_key("retry-after"));
}

#[test]
fn what_would_make_a_broken_page_is_refused_at_start() {
    let refused = |pages: Pages| pages.check().unwrap_err().to_string();
    pages().check().unwrap();
    assert!(refused(Pages::new("//evil.example")).contains("the login URL \"//evil.example\""));
    assert!(refused(pages().switch_account("javascript:1")).contains("switch the account"));
    assert!(refused(pages().gateway_name(" ")).contains("the name of the gateway \" \""));
    let unsaid = pages().scope(Scope::parse("tools").unwrap(), " ");
    assert!(refused(unsaid).contains("the words for the scope \"tools\""));
    for css in ["a {} </STYLE><script>", "a\0"] {
        assert!(refused(pages().stylesheet(css)).contains("the stylesheet"), "{css}");
    }
    let with = |change: fn(&mut Texts)| {
        let mut texts = Texts::default();
        change(&mut texts);
        refused(pages().texts(texts))
    };
    assert!(with(|texts| texts.shared.allow = "".into()).contains("SharedTexts::allow"));
    assert!(with(|texts| texts.consent.heading = "{prorgam}?".into()).contains("{prorgam}?"));
    assert!(with(|texts| texts.shared.lang = "e n".into()).contains("language tag"));
    assert!(with(|texts| texts.shared.direction = "up".into()).contains("ltr"));
    assert!(with(|texts| texts.shared.months = "Jan".into()).contains("twelve"));
}

/// Writes one of each page, as it is sent, to `target/pages/samples.json`. `tests/browser` shows them to a browser.
#[test]
fn the_samples_are_written_for_the_browser() {
    let mut samples = Vec::new();
    for (kind, chosen) in [("usual", Chosen::usual()), ("long", Chosen::long())] {
        for (name, page) in all(&pages(), &chosen) {
            let headers = page.headers.iter().map(|(name, value)| [name.as_str(), value.to_str().unwrap()]);
            samples.push(json!({
                "name": format!("{kind}-{name}"),
                "status": page.status.as_u16(),
                "headers": headers.collect::<Vec<_>>(),
                "html": html(&page),
            }));
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("samples.json"), serde_json::to_vec(&samples).unwrap()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_a_page_panic_or_adds_a_tag(text in "(?s).{1,60}") {
        let calm = all(&pages(), &Chosen::all("calm"));
        for ((_, page), (_, calm)) in all(&pages(), &Chosen::all(&text)).iter().zip(&calm) {
            prop_assert_eq!(html(page).matches('<').count(), html(calm).matches('<').count());
        }
    }
}
