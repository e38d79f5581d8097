//! What a page of another site cannot do to a person who is signed in here (row L11 of the checklist).

use browser_tests::browser::Browser;
use browser_tests::conformance::add_token;
use browser_tests::gateway::{ALLOW, Gateway};
use browser_tests::site::Site;
use thirtyfour::By;
use tokio::net::TcpListener;

fn authorize(gateway: &Gateway) -> String {
    let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    gateway.url(&format!(
        "/v1/auth/bridge/authorize?response_type=code&client_id=sp_bridge&redirect_uri=http://127.0.0.1:1/callback\
         &state=x&code_challenge={challenge}&code_challenge_method=S256"
    ))
}

#[tokio::test]
async fn row_l11_no_page_is_shown_in_a_frame_of_another_site() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let pages = [
        authorize(&gateway),
        waiting.page_with_code().to_owned(),
        waiting.page().to_owned(),
        gateway.url("/devices"),
        gateway.url("/login"),
    ];
    for page in pages {
        is_never_framed(&browser, &page).await;
    }
    let frame =
        Site::start(format!("<!doctype html><iframe src='{}'></iframe>", gateway.url("/healthz"))).await;
    browser.visit(&frame.urls()[0]).await;
    browser.find(By::Tag("iframe")).await.unwrap().enter_frame().await.unwrap();
    assert!(browser.has("pre").await, "this one may be framed, so the test sees what is in a frame");
}

/// The page is a page, but not in a frame of another site.
async fn is_never_framed(browser: &Browser, page: &str) {
    browser.visit(page).await;
    assert!(browser.has("main").await, "{page} is a page, when it stands alone");
    let frame = Site::start(format!("<!doctype html><iframe src='{page}'></iframe>")).await;
    for url in frame.urls() {
        browser.visit(&url).await;
        browser.find(By::Tag("iframe")).await.unwrap().enter_frame().await.unwrap();
        assert!(!browser.has("main, form, button").await, "{page} is in a frame of {url}");
        browser.enter_default_frame().await.unwrap();
    }
}

#[tokio::test]
async fn row_l11_the_operators_pages_are_not_shown_in_a_frame_of_another_site() {
    // What stands before the gateway adds the operator's token to every request. So no frame is empty for the want of it,
    // whatever the browser sends from inside a frame.
    let way = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", way.local_addr().unwrap());
    let gateway = Gateway::start(&["--issuer", &issuer]).await;
    gateway.link("alice", "laptop").await;
    add_token(way, &gateway.url(""), gateway.operators_token());
    let browser = Browser::start().await;
    for path in ["/admin", "/admin?user=alice"] {
        is_never_framed(&browser, &format!("{issuer}{path}")).await;
    }
}

#[tokio::test]
async fn row_l11_no_form_of_another_site_lets_a_program_in() {
    let gateway = Gateway::start(&[]).await;
    let waiting = gateway.ask().await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    for page in [waiting.page_with_code().to_owned(), authorize(&gateway)] {
        browser.visit(&page).await;
        // Even with a ticket of the person, which no other site has.
        let ticket = browser.value("input[name=ticket]").await;
        let form = format!(
            "<!doctype html><form method=post action='{page}'><input name=ticket value='{ticket}'>\
             <input name=user_code value='{}'><button name=decision value=allow>Win a prize</button></form>",
            waiting.user_code()
        );
        let site = Site::start(form).await;
        for url in site.urls() {
            browser.visit(&url).await;
            browser.press("button").await;
            assert!(browser.url().await.starts_with(&gateway.url("/")));
            assert_eq!(browser.heading().await, "Another site sent this request", "{url} to {page}");
        }
    }
    browser.is_good("other-site").await;
    assert_eq!(gateway.poll(&waiting).await["error"], "authorization_pending");

    browser.visit(waiting.page_with_code()).await;
    browser.press(ALLOW).await;
    assert_eq!(browser.heading().await, "Device connected", "the person's own click still counts");
}

#[tokio::test]
async fn row_l11_no_form_of_another_site_does_what_an_operator_does() {
    let gateway = Gateway::start(&[]).await;
    let token = gateway.link("alice", "laptop").await;
    let browser = Browser::start().await;
    browser.is_operator(&gateway).await;
    assert_eq!(browser.heading().await, "People");
    for path in ["/admin", "/admin?user=alice"] {
        for action in ["disable", "end_all"] {
            let form = format!(
                "<!doctype html><form method=post action='{}'><input name=user value=alice>\
                 <button name=action value={action}>Win a prize</button></form>",
                gateway.url(path)
            );
            let site = Site::start(form).await;
            for url in site.urls() {
                browser.visit(&url).await;
                browser.press("button").await;
                // The browser sent the operator's token with it, or the heading would be missing.
                assert_eq!(browser.heading().await, "Another site sent this request", "{url} to {path}");
            }
        }
    }
    assert_eq!(gateway.call(&token).await.status(), 200);

    browser.visit(&gateway.url("/admin?user=alice")).await;
    browser.click("main > details:first-of-type > summary").await;
    browser.press("button[value=disable]").await;
    assert_eq!(gateway.call(&token).await.status(), 401, "the operator's own click still counts");
}

#[tokio::test]
async fn no_form_of_another_site_signs_a_device_out() {
    let gateway = Gateway::start(&[]).await;
    let token = gateway.link("alice", "laptop").await;
    let browser = Browser::start().await;
    browser.is_signed_in(&gateway, "alice").await;
    let form = format!(
        "<!doctype html><form method=post action='{}'><button name=end_others value=yes>Win</button></form>",
        gateway.url("/devices")
    );
    let site = Site::start(form).await;
    for url in site.urls() {
        browser.visit(&url).await;
        browser.press("button").await;
        assert_eq!(browser.heading().await, "Another site sent this request", "{url}");
    }
    assert_eq!(gateway.call(&token).await.status(), 200);
}
