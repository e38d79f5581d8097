//! A real Chromium, and the example gateway that it visits.
//!
//! The gateway's pages are tested as people meet them: in Debian's `chromium`, driven over WebDriver. `.ci/test`
//! installs what is missing. The pictures of the pages are written to `target/pages`.

#![allow(clippy::unwrap_used)]

pub mod accessibility;
pub mod authenticator;
pub mod browser;
pub mod conformance;
pub mod document;
pub mod gateway;
pub mod pictures;
#[path = "../../support/process.rs"]
pub mod process;
pub mod script;
pub mod site;
#[path = "../../support/stock.rs"]
pub mod stock;

use std::path::{Path, PathBuf};

/// The folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
