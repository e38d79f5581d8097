//! One Chromium with a profile of its own.

use std::ops::Deref;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use thirtyfour::{By, ChromiumLikeCapabilities, DesiredCapabilities, WebDriver, WebElement, WindowHandle};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

/// Longer than any step takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser that runs, and the WebDriver session that drives it. When it is dropped, it ends with all its processes, and
/// its profile is deleted: also after a panic.
///
/// It derefs to the session, so every command of `thirtyfour` is at hand.
#[derive(Debug)]
pub struct Browser {
    session: WebDriver,
    driver: Child,
    home: TempDir,
}

/// Whether pages may run scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scripts {
    /// As people have it.
    Run,
    /// As the most careful people have it.
    Blocked,
}

impl Browser {
    /// Starts a browser that nobody has used.
    pub async fn start() -> Self {
        Self::start_with(Scripts::Run).await
    }

    /// The same, and says whether pages may run scripts.
    pub async fn start_with(scripts: Scripts) -> Self {
        let home = tempfile::tempdir().unwrap();
        let (driver, port) = start_driver(&home).await;
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let session = WebDriver::builder(format!("http://127.0.0.1:{port}"), capabilities(scripts));
        let session = session.client(client).connect().await.expect("Chromium starts");
        Self { session, driver, home }
    }

    /// Goes to `url`, and waits until the page is there.
    pub async fn visit(&self, url: &str) {
        self.session.goto(url).await.unwrap();
    }

    /// The tab that is shown.
    pub async fn tab(&self) -> WindowHandle {
        self.session.window().await.unwrap()
    }

    /// Opens `url` in another tab, and shows it.
    pub async fn open_tab(&self, url: &str) -> WindowHandle {
        let tab = self.session.new_tab().await.unwrap();
        self.show(&tab).await;
        self.visit(url).await;
        tab
    }

    /// Shows a tab.
    pub async fn show(&self, tab: &WindowHandle) {
        self.session.switch_to_window(tab.clone()).await.unwrap();
    }

    /// Types `text` into the one field that `css` finds.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.one(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Clicks what `css` finds. The page stays.
    pub async fn click(&self, css: &str) {
        self.one(css).await.click().await.unwrap();
    }

    /// Clicks what `css` finds, and waits for the page that follows.
    pub async fn press(&self, css: &str) {
        let button = self.one(css).await;
        self.follow(button).await;
    }

    /// Presses what `css` finds in the one `container` that says `text`.
    pub async fn press_beside(&self, text: &str, container: &str, css: &str) {
        for found in self.session.find_all(By::Css(container)).await.unwrap() {
            if found.text().await.unwrap().contains(text) {
                let button = found.find(By::Css(css)).await.unwrap();
                return self.follow(button).await;
            }
        }
        panic!("no {container} says {text}: {}", self.text().await)
    }

    /// A slow server answers after the driver has called the click done. So the page that goes is watched.
    async fn follow(&self, button: WebElement) {
        let page = self.one("html").await;
        button.click().await.unwrap();
        let gone = timeout(PATIENCE, async {
            while page.tag_name().await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        if gone.await.is_err() {
            panic!("no page followed: {}", self.text().await);
        }
    }

    async fn one(&self, css: &str) -> WebElement {
        match self.session.find(By::Css(css)).await {
            Ok(found) => found,
            Err(error) => panic!("nothing at {css}: {error}\n{}", self.text().await),
        }
    }

    /// The value of the field that `css` finds.
    pub async fn value(&self, css: &str) -> String {
        self.one(css).await.value().await.unwrap().unwrap()
    }

    /// Changes the value of a field that people do not see.
    pub async fn set(&self, css: &str, value: &str) {
        let script = "document.querySelector(arguments[0]).value = arguments[1]";
        self.session.execute(script, vec![css.into(), value.into()]).await.unwrap();
    }

    /// Whether the page has what `css` finds.
    pub async fn has(&self, css: &str) -> bool {
        !self.session.find_all(By::Css(css)).await.unwrap().is_empty()
    }

    /// Waits until the page has what `css` finds.
    pub async fn waits_for(&self, css: &str) {
        let shown = timeout(PATIENCE, async {
            while !self.has(css).await {
                sleep(Duration::from_millis(50)).await;
            }
        });
        if shown.await.is_err() {
            panic!("{css} never came: {}", self.text().await);
        }
    }

    /// What a person can read on the page.
    pub async fn text(&self) -> String {
        match self.session.find(By::Tag("body")).await {
            Ok(body) => body.text().await.unwrap(),
            Err(_) => String::new(),
        }
    }

    /// Where the browser is.
    pub async fn url(&self) -> String {
        self.session.current_url().await.unwrap().to_string()
    }

    /// Waits until the browser is at a URL that begins with `start`, and returns the URL.
    pub async fn arrives_at(&self, start: &str) -> String {
        let arrived = timeout(PATIENCE, async {
            loop {
                let url = self.url().await;
                if url.starts_with(start) {
                    return url;
                }
                sleep(Duration::from_millis(50)).await;
            }
        });
        match arrived.await {
            Ok(url) => url,
            Err(_) => panic!("never came to {start}, but to {}:\n{}", self.url().await, self.text().await),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // To close the session first, `thirtyfour` would block this thread, and wait for a runtime that may be gone.
        let _ = self.session.clone().leak();
        let _ = self.driver.start_kill();
        // Chromium writes to its folder until it has ended too, and makes the folder anew.
        for _ in 0..10 {
            let _ = std::fs::remove_dir_all(self.home.path());
            std::thread::sleep(Duration::from_millis(30));
        }
    }
}

impl Deref for Browser {
    type Target = WebDriver;

    fn deref(&self) -> &WebDriver {
        &self.session
    }
}

/// Starts a driver, and returns the port that it says it listens on.
async fn start_driver(home: &TempDir) -> (Child, u16) {
    for _ in 0..5 {
        // With port 0 the driver takes a free one. It wants the same number for IPv4 and IPv6, and ends when another
        // program has one of the two.
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", home.path())
            .env("TMPDIR", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver starts: .ci/test installs it");
        if let Some(port) = port_of(driver.stdout.take().unwrap()).await {
            return (driver, port);
        }
    }
    panic!("chromedriver found no free port")
}

async fn port_of(output: impl AsyncRead + Unpin + Send + 'static) -> Option<u16> {
    let mut lines = BufReader::new(output).lines();
    let found = timeout(PATIENCE, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                return Some(port.trim_end_matches('.').parse().unwrap());
            }
        }
        None
    });
    let port = found.await.expect("the driver starts, or ends");
    // Read on, or the driver would wait at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    port
}

fn capabilities(scripts: Scripts) -> thirtyfour::Capabilities {
    let mut chrome = DesiredCapabilities::chrome();
    let mut arguments = vec![
        "--headless=new",
        // Containers give little shared memory.
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
        "--no-proxy-server",
        "--disable-background-networking",
        "--force-color-profile=srgb",
        "--lang=en",
        // Chromium ends when the driver's end of the pipe closes, so it never outlives the driver.
        "--remote-debugging-pipe",
    ];
    if is_root() {
        arguments.push("--no-sandbox");
    }
    for argument in arguments {
        chrome.add_arg(argument).unwrap();
    }
    if scripts == Scripts::Blocked {
        let blocked = serde_json::json!({ "profile.managed_default_content_settings.javascript": 2 });
        chrome.add_experimental_option("prefs", blocked).unwrap();
    }
    chrome.into()
}

/// Chromium's sandbox refuses to run as root, as CI does.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}
