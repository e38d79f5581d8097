//! What a test logged and showed, kept to be read.

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex, Once};

use serde_json::Value;
use tracing::Subscriber;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// All that was logged or shown.
#[derive(Clone, Default)]
pub struct Record(Arc<Mutex<Vec<u8>>>);

impl Record {
    pub fn show(&self, value: &dyn Debug) {
        self.0.lock().unwrap().extend(format!("{value:?} {value:#?}\n").into_bytes());
    }

    pub fn error(&self, error: &dyn std::error::Error) {
        self.show(&error);
        let mut next = Some(error);
        while let Some(error) = next {
            self.0.lock().unwrap().extend(format!("{error}\n").into_bytes());
            next = error.source();
        }
    }

    /// Takes down all that this thread logs, until the guard goes.
    pub fn listen(&self) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_env_filter(EnvFilter::new("bridge_auth=trace"))
            .with_writer(self.clone())
            .finish();
        hear(subscriber)
    }

    /// The same as text: JSON does not show the causes of an error.
    pub fn listen_to_text(&self) -> DefaultGuard {
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter(EnvFilter::new("bridge_auth=trace"))
            .with_writer(self.clone())
            .finish();
        hear(subscriber)
    }

    /// The fields of all that was logged for the auditor.
    pub fn audit(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["target"] == "bridge_auth::audit")
            .map(|mut line| line["fields"].take())
            .collect()
    }

    /// All that the chain of an error's sources says.
    pub fn told(error: &dyn std::error::Error) -> String {
        let causes = std::iter::successors(error.source(), |error| (*error).source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

/// Gives this thread's events to `subscriber`, until the guard goes.
///
/// `tracing` remembers of each event that nobody listens, when a thread without a subscriber is the first to reach it. A
/// test on another thread would then hear nothing. So all threads have a subscriber, which drops what it hears.
pub fn hear(subscriber: impl Subscriber + Send + Sync) -> DefaultGuard {
    static EVERYWHERE: Once = Once::new();
    EVERYWHERE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry())
            .expect("nobody else sets one");
    });
    tracing::subscriber::set_default(subscriber)
}

impl io::Write for Record {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Record {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
