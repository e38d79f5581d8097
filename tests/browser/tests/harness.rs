//! The browser does what the other tests rely on.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use browser_tests::browser::{Browser, Scripts};
use tokio::net::TcpListener;

const PAGE: &str = "<!doctype html><html lang=en><title>before</title><main><h1>A page</h1>\
    <script>document.title = 'after'</script></main>";

async fn page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(|| async { Html(PAGE) }));
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("http://{address}/")
}

#[tokio::test]
async fn a_blocked_script_does_not_run_and_the_driver_still_works() {
    let url = page().await;
    for (scripts, title) in [(Scripts::Run, "after"), (Scripts::Blocked, "before")] {
        let browser = Browser::start_with(scripts).await;
        browser.visit(&url).await;
        assert_eq!(browser.title().await.unwrap(), title, "{scripts:?}");
        assert_eq!(browser.text().await, "A page");
    }
}
