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

    /// The next line that begins with `start`.
    ///
    /// # Panics
    ///
    /// The script ends before it prints such a line.
    pub async fn line(&mut self, start: &str) -> String {
        while let Some(line) = self.next_line().await {
            if line.starts_with(start) {
                return line;
            }
        }
        panic!("the script printed no line {start:?}: {}", self.told().await)
    }

    /// Where the script sends the person's browser.
    pub async fn sends_to(&mut self) -> String {
        self.line("open ").await.split_off("open ".len())
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// It failed.
    pub async fn succeeds(mut self) {
        while self.next_line().await.is_some() {}
        let status = timeout(PATIENCE, self.child.wait()).await.expect("the script ends").unwrap();
        assert!(status.success(), "{status}: {}", self.told().await);
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
