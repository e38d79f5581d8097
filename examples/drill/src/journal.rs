//! The drill's own log, with `--logs`. The gateways and Patroni have their own logs beside it.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use tokio::time::Instant;

use crate::faults::Kind;

#[derive(Debug)]
pub struct Journal(Option<File>);

/// Notes when each step of a failover was done.
#[derive(Debug)]
pub struct Watch<'a> {
    journal: &'a Journal,
    start: Instant,
}

impl Journal {
    pub fn open(logs: Option<&Path>) -> Result<Self> {
        let open = |logs: &Path| File::options().create(true).append(true).open(logs.join("drill.log"));
        Ok(Self(logs.map(open).transpose()?))
    }

    pub fn write(&self, lines: &[String]) {
        if let Some(mut file) = self.0.as_ref() {
            for line in lines {
                // An error when the log is written does not end the drill.
                let _ = writeln!(file, "{line}");
            }
        }
    }

    /// Starts the watch of a failover.
    pub fn watch(&self, kind: Kind) -> Watch<'_> {
        self.write(&[format!("failover: {kind}")]);
        Watch { journal: self, start: Instant::now() }
    }
}

impl Watch<'_> {
    pub fn note(&self, done: &str) {
        self.journal.write(&[format!("  {:.2?}: {done}", self.start.elapsed())]);
    }
}
