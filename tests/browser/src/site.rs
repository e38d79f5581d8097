//! A page of another site.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A site with one page.
#[derive(Debug)]
pub struct Site {
    port: u16,
    serving: JoinHandle<()>,
}

impl Site {
    /// Serves `html` on a free port of this machine.
    pub async fn start(html: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let page = get(async move || Html(html));
        let serving =
            tokio::spawn(async { drop(axum::serve(listener, Router::new().route("/", page)).await) });
        Self { port, serving }
    }

    /// Its two addresses: beside a gateway at 127.0.0.1 it is another origin, and then another site too. Browsers do not
    /// compare the ports of sites, so they send the gateway's cookies in the first case.
    #[must_use]
    pub fn urls(&self) -> [String; 2] {
        ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{}/", self.port))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
