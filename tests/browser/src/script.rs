//! A stock client that sends a person to the browser while it runs.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// Longer than any step takes: a client polls every five seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A script that runs.
#[derive(Debug)]
pub struct Script {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    printed: String,
}

impl Script {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines, printed: String::new() }
    }

    /// Where the script sends the person's browser.
    ///
    /// # Panics
    ///
    /// The script ends before it says so.
    pub async fn sends_to(&mut self) -> String {
        while let Some(line) = self.next_line().await {
            // A line that begins with the URL, or with the word "open" and the URL.
            let mut words = line.split_whitespace().skip_while(|word| word.eq_ignore_ascii_case("open"));
            if let Some(url) = words.next().filter(|word| word.starts_with("http")) {
                return url.to_owned();
            }
        }
        panic!("the script sends nobody to a browser: {}", self.told().await)
    }

    /// Waits for its end, and returns everything that it printed.
    ///
    /// # Panics
    ///
    /// It failed.
    pub async fn succeeds(mut self) -> String {
        while self.next_line().await.is_some() {}
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the script ends").unwrap();
        let told = self.told().await;
        assert!(status.success(), "{status}: {told}");
        told
    }

    /// Waits for its end, and returns everything that it printed.
    ///
    /// # Panics
    ///
    /// It succeeded.
    pub async fn fails(mut self) -> String {
        while self.next_line().await.is_some() {}
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the script ends").unwrap();
        let told = self.told().await;
        assert!(!status.success(), "{status}: {told}");
        told
    }

    async fn next_line(&mut self) -> Option<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await.expect("the script goes on").unwrap()?;
        self.printed += &line;
        self.printed.push('\n');
        Some(line)
    }

    /// Everything that it printed.
    async fn told(&mut self) -> String {
        let mut errors = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            let _ = timeout(PATIENCE, stderr.read_to_string(&mut errors)).await;
        }
        format!("{}{errors}", self.printed)
    }
}
