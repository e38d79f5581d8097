//! What a test logged and showed, kept to be read.

use std::fmt::Debug;
use std::io;
use std::sync::{Arc, Mutex};

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

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
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
